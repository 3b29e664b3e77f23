"""From a photograph to an aligned crop and back, by a similarity transform."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from facecomp_lib.faces import alignment

__all__ = ["Matrix", "Photo", "paste", "warp"]

Photo: TypeAlias = NDArray[np.uint8]  # [H, W, 3]
Matrix: TypeAlias = NDArray[np.float64]  # [2, 3], from pixels of the photograph to pixels of the crop


def warp(photo: NDArray[Any], matrix: Matrix, shape: tuple[int, int]) -> NDArray[Any]:
    """Resample ``photo`` by a similarity: pixel p of the photograph lands on ``matrix`` applied to p.

    Where the photograph shrinks, it is first resampled on a grid fine enough for its pixels and then
    averaged, so that nothing aliases whatever the angle. Beyond the edge, the last pixels are repeated.

    Args:
        photo: ``[H, W, C]`` uint8 or float32.
        matrix: ``[2, 3]``.
        shape: height and width of the result.
    """
    import cv2

    scale = np.sqrt(np.linalg.det(matrix[:, :2]))
    fine = max(1, int(np.ceil(1 / scale - 1e-9)))
    finer = matrix * fine
    finer[:, 2] += (fine - 1) / 2  # pixel centres: x' = (x + 0.5) * fine - 0.5
    height, width = shape
    cut, origin = _needed_part(photo, finer, height * fine, width * fine)
    finer[:, 2] += finer[:, :2] @ origin
    how = cv2.INTER_CUBIC if fine == 1 and scale > 1 else cv2.INTER_LINEAR
    result = cv2.warpAffine(
        cut, finer, (width * fine, height * fine), flags=how, borderMode=cv2.BORDER_REPLICATE
    )
    if fine > 1:
        result = cv2.resize(result, (width, height), interpolation=cv2.INTER_AREA)
    return result.reshape(height, width, -1)


def _needed_part(
    photo: NDArray[Any], matrix: Matrix, height: int, width: int
) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """The part of the photograph that lands in a result of this size, with a margin; and its top left
    corner."""
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]], dtype=np.float64)
    reach = alignment.apply(alignment.invert(matrix), corners)
    limits = np.array(photo.shape[1::-1])
    low = np.clip(np.floor(reach.min(axis=0)).astype(int) - 4, 0, limits - 1)
    high = np.clip(np.ceil(reach.max(axis=0)).astype(int) + 5, low + 1, limits)
    return np.ascontiguousarray(photo[low[1] : high[1], low[0] : high[0]]), low.astype(np.float64)


def paste(photo: Photo, matrix: Matrix, crop: NDArray[np.float32], hole: Photo, feather: float) -> Photo:
    """The photograph with a completed crop where the hole is, see `photo.Face.paste`.

    Works on the part of the photograph around the hole.
    """
    import cv2

    result = photo.copy()
    scale = np.sqrt(np.linalg.det(matrix[:, :2]))
    width = feather / scale  # of the seam, in pixels of the photograph
    window = _hole_window(matrix, hole, photo.shape, margin=int(np.ceil(2 * width)) + 2)
    if window is None:
        return result
    rows, columns = window
    origin = np.array([columns.start, rows.start])
    shape = (rows.stop - rows.start, columns.stop - columns.start)
    to_crop = matrix.copy()
    to_crop[:, 2] += matrix[:, :2] @ origin

    nearest = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    missing = cv2.warpAffine(
        hole, to_crop, shape[::-1], flags=nearest, borderMode=cv2.BORDER_CONSTANT, borderValue=0
    )
    new = warp(crop, alignment.invert(to_crop), shape) * 255
    if width > 0:
        around, weight = _known_colours(photo[rows, columns], missing, width)
        depth = cv2.distanceTransform(missing, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        seam = np.clip(1 - depth / (width + 1), 0, 1) * weight
        new += seam[..., None] * (around - new)
    changed = missing.astype(bool)
    result[rows, columns][changed] = new[changed].round().clip(0, 255).astype(np.uint8)
    return result


def _hole_window(
    matrix: Matrix, hole: Photo, shape: tuple[int, ...], margin: int
) -> tuple[slice, slice] | None:
    """Rows and columns of the photograph that hold the hole and a margin; None if the hole is not in it."""
    ys, xs = np.nonzero(hole)
    if not len(xs):
        return None
    corners = [(x, y) for x in (xs.min() - 0.5, xs.max() + 0.5) for y in (ys.min() - 0.5, ys.max() + 0.5)]
    reach = alignment.apply(alignment.invert(matrix), np.array(corners))
    low = np.maximum(np.floor(reach.min(axis=0)).astype(int) - margin, 0)
    high = np.minimum(np.ceil(reach.max(axis=0)).astype(int) + margin + 1, shape[1::-1])
    if (low >= high).any():
        return None
    return slice(low[1], high[1]), slice(low[0], high[0])


def _known_colours(part: Photo, missing: NDArray[Any], width: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """The known pixels' colours, spread into the hole, and how much they are worth there (0 ... 1)."""
    import cv2

    def spread(values: NDArray[Any]) -> NDArray[Any]:
        side = (
            2 * int(np.ceil(width / 2)) + 1
        )  # two box blurs: a tent, at a cost that the width doesn't change
        once = cv2.blur(values, (side, side), borderType=cv2.BORDER_REPLICATE)
        return cv2.blur(once, (side, side), borderType=cv2.BORDER_REPLICATE)

    known = (1 - missing).astype(np.float32)
    weight = spread(known)
    return spread(part * known[..., None]) / np.maximum(weight, 1e-4)[..., None], np.clip(weight * 20, 0, 1)
