"""Where the mirror point of each pixel lies, and how differently light falls there."""

import numpy as np

from .camera import SAMPLES
from .fibres import FRAME, HAIR
from .raster import EMPTY
from .shape import TORSO, head

SAME = 0.0025  # metres on the neutral head: closer places of the skin are the same
FACING = 0.15  # least cosine between the normal and the direction to the camera


def mirror_flow(stage, camera, mesh, seen, solid, screen, surface, weights):
    """Where, in the flipped image, the mirror point of what each pixel shows lies.

    Args:
        stage, camera: the posed scene and what looks at it.
        mesh: (faces (F, 3), kinds (F,)) in the order of drawing.
        seen, solid: int64 (3S, 3S) visibility with and without fibres. screen: (V, 3), the projected mesh.
        surface: int (S, S) triangle at each pixel's centre, or -1. weights: (S, S, 3) of its corners.

    Returns:
        float32 (S, S, 2) in [-1, 1] (outside the image up to 2 in size, 0 where nothing is known), and
        bool (S, S): true where the image shows the very mirror point, and both points face the camera.
    """
    (faces, kinds), model, size = mesh, head(), len(surface)
    flow, valid = np.zeros((size, size, 2), np.float32), np.zeros((size, size), bool)
    shown = np.nonzero((surface >= 0) & (kinds[np.maximum(surface, 0)] != TORSO))
    corners, w = faces[surface[shown]], weights[shown]
    partner = model.mirror[corners]
    place = blend(stage.world, partner, w)
    target = camera.pixels(place)  # (N, 2) px
    mirrored = np.stack([size - 1 - target[:, 0], target[:, 1]], 1)
    flow[shown] = (2 * mirrored / (size - 1) - 1).astype(np.float32)

    own = _facing(camera, blend(stage.normals, corners, w), blend(stage.world, corners, w))
    other = _facing(camera, blend(stage.normals, partner, w), place)
    sample = np.floor((target + 0.5) * SAMPLES).astype(int)
    inside = ((sample >= 0) & (sample < size * SAMPLES)).all(1)
    sure = np.flatnonzero(inside & (np.minimum(own, other) > FACING))
    columns, rows = sample[sure].T
    covers = np.isin(stage.kinds, (HAIR, FRAME))  # brows, beard and lashes belong to the skin
    fibre = (seen[rows, columns] & 0xFFFFFFFF) - len(faces)
    covered = (fibre >= 0) & covers[np.clip(fibre, 0, len(covers) - 1)]
    key = solid[rows, columns]
    open_skin = ~covered & (key != int(EMPTY))
    there = faces[np.where(open_skin, key & 0xFFFFFFFF, 0)]
    found = blend(model.neutral, there, _barycentric(screen[there], sample[sure] + 0.5))
    wanted = blend(model.neutral, partner[sure], w[sure])
    hit = np.zeros(len(place), bool)
    hit[sure] = open_skin & (np.linalg.norm(found - wanted, axis=1) < SAME)
    valid[shown] = hit
    return np.clip(flow, -2, 2), valid


def blend(values, corners, weights):
    """Values by vertex (V, 3) interpolated in triangles (N, 3) with weights (N, 3)."""
    columns = np.ascontiguousarray(values.T)  # numpy is quickest with the long axis last
    a, b, c = (columns[:, corners[:, k]] * weights[:, k] for k in range(3))
    return (a + b + c).T


def _facing(camera, normal, place):
    """Cosine (N,) between normals (N, 3) and the direction from places (N, 3) to the camera."""
    view = camera.position - place
    return (normal * view).sum(1) / (np.linalg.norm(normal, axis=1) * np.linalg.norm(view, axis=1) + 1e-9)


def _barycentric(corners, point):
    """Perspective weights (N, 3) of points (N, 2) in projected triangles (N, 3, 3)."""
    a, b, c = (corners[:, k, :2].astype(np.float64) for k in range(3))
    area = _cross(b - a, c - a)
    area = np.where(np.abs(area) < 1e-12, 1e-12, area)
    w1, w2 = _cross(point - a, c - a) / area, _cross(b - a, point - a) / area
    w = np.stack([1 - w1 - w2, w1, w2], 1) * (1 - corners[:, :, 2])
    return w / w.sum(1, keepdims=True)


def _cross(u, v):
    return u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]


def light_ratio(glow, flow, valid):
    """Shading (S, S, 3) at each pixel over shading at its mirror point: float32, 1 where that is not seen."""
    import cv2

    at = ((flow + 1) * (0.5 * (len(glow) - 1))).astype(np.float32)
    flipped = glow[:, ::-1].copy()
    other = cv2.remap(flipped, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    ratio = np.clip(glow / np.maximum(other, 0.02), 0.125, 8)
    return np.where(valid[..., None], ratio, 1).astype(np.float32)
