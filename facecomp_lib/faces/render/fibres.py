"""Fibres: hairs and spectacle frames as polylines, and the roots from which hairs grow.

A fibre starts at a root bound to the mesh by barycentric weights, so it follows every shape and expression.
"""

from dataclasses import dataclass

import numpy as np

from .shape import SKIN, head

#: Kinds of fibres.
HAIR, BEARD, BROW, LASH, FRAME = 0, 1, 2, 3, 4


@dataclass
class Fibres:
    """N polylines of M nodes and of one kind."""

    nodes: np.ndarray  # float32 (N, M, 3) metres, head coordinates before posing
    kind: int
    tint: np.ndarray  # float32 (N,) brightness factor
    depth: np.ndarray  # float32 (N, M) 0 deep in the hair .. 1 on its outside
    width: float  # metres


@dataclass(frozen=True)
class Roots:
    """Candidate roots spread evenly over a region of the skin, in a fixed random order."""

    tri: np.ndarray  # (N, 3) vertices
    bary: np.ndarray  # (N, 3)
    rest: np.ndarray  # (N, 3) neutral position
    chance: np.ndarray  # (N,) fixed uniform numbers
    random: np.ndarray  # (N, 6) fixed normal numbers
    tuft: np.ndarray  # (N,) number of the 14 mm cube that a root lies in

    def place(self, points, chosen):
        """Values (n, 3) at the chosen roots of something given by vertex (V, 3)."""
        return np.einsum("nk,nkd->nd", self.bary[chosen], points[self.tri[chosen]])


def scatter(inside, count, seed):
    """Up to `count` `Roots` on head skin where `inside(neutral (..., 3))` holds, evenly by area."""
    model, rng = head(), np.random.default_rng(seed)
    tri = model.faces[model.kind == SKIN]
    tri = tri[model.ear[tri].max(1) < 0.3]
    corners = model.neutral[tri]
    touched = inside(corners).any(1)
    tri, corners = tri[touched], corners[touched]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    picked = rng.choice(len(tri), 4 * count, p=area / area.sum())
    u, v = np.sqrt(rng.random(4 * count)), rng.random(4 * count)
    bary = np.stack([1 - u, u * (1 - v), u * v], 1)
    rest = np.einsum("nk,nkd->nd", bary, corners[picked])
    keep = np.nonzero(inside(rest))[0][:count]
    n, rest = len(keep), rest[keep]
    cube = np.floor((rest - rest.min(0)) / 0.014).astype(int)
    tuft = np.unique(cube @ [1, 1000, 1000000], return_inverse=True)[1]
    weights = bary[keep].astype(np.float32)
    return Roots(tri[picked[keep]], weights, rest, rng.random(n), rng.normal(size=(n, 6)), tuft)


def unit(v):
    """Vectors (..., 3) made one long."""
    return v / (np.linalg.norm(v, axis=-1, keepdims=True) + 1e-9)


def evenly(points, count):
    """`count` points along the polyline `points` (N, 3), evenly by length."""
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    at = np.linspace(0, length[-1], count)
    return np.stack([np.interp(at, length, points[:, d]) for d in range(3)], 1)


@dataclass(frozen=True)
class Arc:
    """Shape of short hairs that bend back to the skin."""

    kind: int
    width: float  # metres
    lift: float  # degrees off the skin at the root
    bend: float  # how much the tip comes back
    jitter: float  # disorder of their directions
    nodes: int = 4

    def grow(self, roots, chosen, points, normals, direction, length):
        """Fibres from the chosen roots.

        Args:
            points, normals: (V, 3) rest mesh of the person.
            direction: (n, 3), made tangent to the skin. length: (n,) metres.
        """
        root, normal = roots.place(points, chosen), unit(roots.place(normals, chosen))
        random = roots.random[chosen]
        direction = direction + self.jitter * random[:, :3]
        along = unit(direction - normal * np.sum(direction * normal, 1, keepdims=True))
        t = np.linspace(0, 1, self.nodes)[None, :, None]
        lift = np.deg2rad(self.lift)
        rise = np.sin(lift) * t - self.bend * t**2
        path = root[:, None] + length[:, None, None] * (
            along[:, None] * t * np.cos(lift) + normal[:, None] * rise
        )
        tint = np.clip(1 + 0.25 * random[:, 3], 0.4, 1.8)
        depth = np.broadcast_to(0.5 + 0.5 * t[..., 0], path.shape[:2])
        return Fibres(
            path.astype(np.float32),
            self.kind,
            tint.astype(np.float32),
            depth.astype(np.float32),
            self.width,
        )


def solid(paths, kind, width):
    """Fibres without shading of their own from paths (N, M, 3)."""
    path = np.asarray(paths, np.float32)
    return Fibres(path, kind, np.ones(len(path), np.float32), np.ones(path.shape[:2], np.float32), width)
