"""How far the skin lies from the skull's centre: what keeps growing hair outside the head."""

from functools import cache

import numpy as np
from scipy.spatial import Delaunay

from .shape import SKIN, head

CENTRE = np.array([0, -0.04, 0.915])  # of the skull, neutral coordinates


class Skull:
    """Distance of the skin from the skull's centre by direction: a table on a grid of azimuth and elevation.

    Each grid point is bound to three vertices once, on the neutral head; a person's table is a weighted sum.
    `grow.skin_radius` reads the table and knows the range of its axes.
    """

    AZIMUTHS, ELEVATIONS = 72, 40

    def __init__(self):
        vertices, flat = self._outer_skin()
        # azimuth wraps round, and above and below the topmost and lowest vertices the table is constant
        wrapped = np.concatenate([flat, flat + [2 * np.pi, 0], flat - [2 * np.pi, 0]])
        poles = np.array([[a, e] for a in np.linspace(-9, 9, 40) for e in (1.6, -1.7)])
        nearest_pole = [np.argmax(flat[:, 1] * s) for _ in range(40) for s in (1, -1)]
        ids = np.concatenate([np.tile(vertices, 3), vertices[nearest_pole]])
        mesh = Delaunay(np.concatenate([wrapped, poles]))
        azimuths = np.linspace(-np.pi, np.pi, self.AZIMUTHS)
        elevations = np.linspace(-1.45, 1.57, self.ELEVATIONS)
        a, e = np.meshgrid(azimuths, elevations, indexing="ij")
        grid = np.stack([a.ravel(), e.ravel()], 1)
        simplex = mesh.find_simplex(grid)
        matrix = mesh.transform[simplex]
        two = np.einsum("nij,nj->ni", matrix[:, :2], grid - matrix[:, 2])
        self.weights = np.column_stack([two, 1 - two.sum(1)]).astype(np.float32)
        self.vertices = ids[mesh.simplices[simplex]]

    @staticmethod
    def _outer_skin():
        """Vertices (N,), the outermost in each direction, and their azimuth and elevation (N, 2)."""
        model = head()
        vertices = np.unique(model.faces[model.kind == SKIN])
        offset = model.neutral[vertices] - CENTRE
        keep = (model.ear[vertices] < 0.3) & (offset[:, 2] > -0.15)
        vertices, offset = vertices[keep], offset[keep]
        azimuth = np.arctan2(offset[:, 0], -offset[:, 1])
        elevation = np.arctan2(offset[:, 2], np.hypot(offset[:, 0], offset[:, 1]))
        cell = np.round(azimuth * 40).astype(int) * 1000 + np.round(elevation * 40).astype(int)
        order = np.lexsort((-np.linalg.norm(offset, axis=1), cell))
        outer = order[np.unique(cell[order], return_index=True)[1]]
        return vertices[outer], np.stack([azimuth[outer], elevation[outer]], 1)

    def table(self, points):
        """float32 radii (AZIMUTHS, ELEVATIONS) in metres of a person's rest mesh (V, 3)."""
        surface = np.einsum("nk,nkd->nd", self.weights, points[self.vertices])
        radii = np.linalg.norm(surface - CENTRE, axis=1).astype(np.float32)
        return radii.reshape(self.AZIMUTHS, self.ELEVATIONS)


@cache
def skull():
    """The table's grid, made once."""
    return Skull()
