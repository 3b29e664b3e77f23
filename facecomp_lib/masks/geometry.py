"""Where the parts of a face are, for masks that follow it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facecomp_lib.faces import alignment
from facecomp_lib.faces.schema import LANDMARK_MIRROR

Points = NDArray[np.float64]

# The mean of the embedded training faces, made symmetric: its image-left half and the middle, as fractions of
# the side of an aligned image, by iBUG number.
_MEAN = {
    (0, 1, 2, 3, 4, 5, 6, 7, 8): "245 492 254 555 262 618 276 680 293 747 326 809 374 860 431 899 500 911",
    (17, 18, 19, 20, 21): "317 406 348 388 381 386 414 395 447 411",
    (27, 28, 29, 30, 31, 32, 33): "500 473 500 527 500 581 500 630 436 651 467 659 500 663",
    (36, 37, 38, 39, 40, 41): "338 480 370 462 400 464 424 484 396 492 368 492",
    (48, 49, 50, 51, 57, 58, 59): "403 739 431 721 468 711 500 714 500 801 474 798 446 790",
    (60, 61, 62, 66, 67): "418 731 457 744 500 747 500 753 455 752",
}


def _weights() -> NDArray[np.complex128]:
    """What the anchors count in the similarity transform that brings the aligned frame nearest to them.

    With points as complex numbers, turn and scale of that transform are one number, a weighted sum of the
    anchors. The frame's template loses its small asymmetry here, so that a mirrored face is as large.
    """
    template = (alignment.TEMPLATE + alignment.TEMPLATE[[1, 0, 2]] * [-1, 1] + [1, 0]) / 2 @ [1, 1j]
    template -= template.mean()
    return template.conj() / np.vdot(template, template).real


_WEIGHTS = _weights()


@lru_cache(maxsize=16)
def average(height: int, width: int) -> FaceGeometry:
    """The average aligned face, symmetric about the image's middle; in oblong images it stands there."""
    points = np.empty((68, 2))
    for numbers, values in _MEAN.items():
        half = np.array(values.split(), float).reshape(-1, 2) / 1000
        points[LANDMARK_MIRROR[list(numbers)]] = half * [-1, 1] + [1, 0]
        points[list(numbers)] = half
    side = min(height, width)
    return FaceGeometry((points - 0.5) * side + [width / 2 - 0.5, height / 2 - 0.5])


def mirror(points: Points, width: int) -> Points:
    """Landmarks ``[68, 2]`` of the mirrored image."""
    return points[LANDMARK_MIRROR] * [-1, 1] + [width - 1, 0]


class FaceGeometry:
    """Position, size and tilt of a face in an image.

    Args:
        points: landmarks ``[68, 2]``, px, iBUG order.

    Attributes:
        points: the landmarks.
        side: how large the face is: the side of the aligned image that would show it at this size, px.
        right, down: unit vectors along the line of the eyes and across it.
    """

    def __init__(self, points: Points) -> None:
        self.points = points
        turn = complex(_WEIGHTS @ (alignment.anchors(points) @ [1, 1j]))
        self.side = abs(turn)
        if self.side < 4:
            raise ValueError("landmarks must be in pixels: these span less than two, as fractions would.")
        x, y = turn.real / self.side, turn.imag / self.side
        self.right, self.down = np.array([x, y]), np.array([-y, x])

    def mean(self, *numbers: int) -> Points:
        """The mean ``[2]`` of some landmarks, px."""
        return self.points[list(numbers)].mean(0)

    def bounds(self, numbers: Sequence[int], margin: float = 0.0) -> tuple[float, float, float, float]:
        """The smallest upright box around landmarks: left, top, right, bottom in px.

        Args:
            numbers: of landmarks.
            margin: added on every side, as a share of `side`.
        """
        points = self.points[numbers]
        (left, top), (right, bottom) = points.min(0).tolist(), points.max(0).tolist()
        more = margin * self.side
        return left - more, top - more, right + more, bottom + more

    def at(self, origin: Points, shape: ArrayLike, turn: float = 0.0) -> Points:
        """Points of a shape that is drawn in the face's own axes, in px.

        Args:
            origin: ``[2]`` px, where the shape's (0, 0) goes.
            shape: ``[..., 2]``, x to the right and y down along the face, as shares of `side`.
            turn: turns the shape clockwise about its origin, degrees.
        """
        cos, sin = np.cos(np.radians(turn)), np.sin(np.radians(turn))
        right = cos * self.right + sin * self.down
        down = cos * self.down - sin * self.right
        return origin + self.side * (np.asarray(shape, float) @ np.stack([right, down]))

    def local(self, origin: Points) -> Points:
        """The landmarks ``[68, 2]`` in the face's own axes about an origin in px: the inverse of `at`."""
        return (self.points - origin) @ np.stack([self.right, self.down], 1) / self.side
