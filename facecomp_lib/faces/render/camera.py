"""From world coordinates to images: the camera, and the maps that lamps and sky see."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from .. import alignment

SAMPLES = 3  # samples per pixel side: the middle one sits on the pixel centre, where labels are read
FACE = 0.13  # metres: what spans the field of view, about the height of a face
REACH = 0.20  # metres around the skull's centre that maps cover


class Camera:
    """A pinhole before the face, and the similarity transform that brings the face into the aligned frame.

    Args:
        centre: (3,) of the skull, world. landmarks: (68, 3) world.
        image: `Scene`. size: side in pixels.
        unaligned: shift, scale and turn the frame at random.

    Attributes:
        position: (3,) world. matrix: (2, 3), image plane to pixels. roll: degrees.
        samples_per_metre: at the distance of the face.
    """

    def __init__(self, centre, landmarks, scene, size, unaligned=False):
        tangent = np.tan(np.deg2rad(scene.field_of_view) / 2)
        self.near = 0.5 * FACE / tangent
        self.position = centre + [0, -FACE / tangent, -0.03]
        anchors = alignment.anchors(self._plane(landmarks))
        matrix = alignment.similarity(anchors, (alignment.TEMPLATE + scene.jitter) * size - 0.5)
        if unaligned:
            shake = _random_frame(scene.seed, size)
            matrix = np.column_stack([shake[:, :2] @ matrix[:, :2], alignment.apply(shake, matrix[:, 2])])
        self.matrix = matrix
        self.roll = float(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0])))
        scale = np.hypot(matrix[0, 0], matrix[1, 0])
        self.samples_per_metre = float(scale * SAMPLES / (FACE / tangent))

    def _plane(self, points):
        """World points (..., 3) on the image plane at distance 1: (..., 2), x right, y down."""
        x, depth, up = np.moveaxis(points - self.position.astype(np.float32), -1, 0)
        return np.stack([x / depth, -up / depth], -1)

    def pixels(self, points):
        """World points (..., 3) to pixel coordinates (..., 2); integers are pixel centres."""
        return alignment.apply(self.matrix, self._plane(points))

    def project(self, points):
        """World points (N, 3) to (column, row, depth) in samples, float32 (N, 3), for the rasteriser."""
        out = np.empty((len(points), 3), np.float32)
        out[:, :2] = (self.pixels(points) + 0.5) * SAMPLES
        out[:, 2] = 1 - self.near / (points[:, 1] - self.position[1])
        return out

    def seen_from(self, direction):
        """A world direction (3,) in the image's axes: x right, y up, z to the viewer."""
        x, y, z = direction
        c, s = np.cos(np.deg2rad(self.roll)), np.sin(np.deg2rad(self.roll))
        return c * x + s * z, c * z - s * x, -y


def _random_frame(seed, size):
    """2 x 3 matrix: a turn, zoom and shift of an image about its middle."""
    rng = np.random.default_rng([seed, 3])
    angle, zoom = np.deg2rad(rng.uniform(-15, 15)), rng.uniform(0.75, 1.15)
    linear = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = np.full(2, (size - 1) / 2)
    return np.column_stack([linear, middle + rng.uniform(-0.1, 0.1, 2) * size - linear @ middle])


@dataclass(frozen=True)
class Views:
    """Square orthographic maps around one origin, one for each of D directions.

    `rows` (D, 3, 3): unit vectors right, down and towards the viewer. `origin` (3,) lies in the middle of
    each map. `size`: side of the maps in texels.
    """

    rows: np.ndarray
    origin: np.ndarray
    size: int

    @property
    def scale(self):
        """Texels per metre."""
        return 0.5 * self.size / REACH

    def project(self, points):
        """World points (N, 3) to (column, row, depth) in texels and metres, float32 (D, N, 3).

        Depth is 1 at the origin and grows away from the viewer.
        """
        scale = np.array([[self.scale], [self.scale], [-1]], np.float32)
        axes = (self.rows.astype(np.float32) * scale).reshape(-1, 3)
        flat = (points - self.origin.astype(np.float32)) @ axes.T  # (N, 3D)
        flat += np.tile(np.array([0.5 * self.size, 0.5 * self.size, 1], np.float32), len(self.rows))
        return flat.reshape(len(points), len(self.rows), 3).transpose(1, 0, 2)


def basis(towards):
    """Orthonormal rows (3, 3): right, down and towards a lamp, as the lamp sees the scene."""
    towards = towards / np.linalg.norm(towards)
    right = np.cross([0.05, 0.1, 1.0], towards)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(right, towards), towards])


@cache
def sky():
    """Bases (D, 3, 3) of where ambient light comes from: even on the sphere, what lies behind left out."""
    n = 16
    k = np.arange(n) + 0.5
    z, around = 1 - 2 * k / n, np.pi * (1 + 5**0.5) * k  # a Fibonacci lattice
    ring = np.sqrt(1 - z**2)
    points = np.stack([ring * np.cos(around), ring * np.sin(around), z], 1)
    return np.stack([basis(p) for p in points if p[1] < 0.45])
