"""Geometry, brightness and contrast of decoded images on the CPU: bytes in, floats out, by OpenCV.

What :class:`~facecomp_lib.faces.augment.AugmentParams` does in PyTorch, in less than a third of the time:
``DecodedBatch.augment`` chooses between the two and shows the figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facecomp_lib.faces.affine import Size, inverse, mirrors
from facecomp_lib.faces.schema import PARSING_MIRROR

if TYPE_CHECKING:
    from facecomp_lib.faces.augment import AugmentParams

__all__ = ["augment_uint8"]

# From new to old pixels [2, 3], and how many pixels must be added to the old image above, below, left, right.
Warp = tuple[NDArray[np.float64], tuple[int, int, int, int]]
_LEVELS = np.arange(256) / 255
_SWAP = np.arange(256, dtype=np.uint8)
_SWAP[: len(PARSING_MIRROR)] = PARSING_MIRROR


def augment_uint8(
    images: Sequence[NDArray[np.uint8]], parsing: Sequence[NDArray[np.uint8]], params: AugmentParams
) -> tuple[Tensor, Tensor]:
    """Move images ``[H, W, 3]`` and their parsing maps ``[H, W]``, change brightness and contrast.

    The result is what ``params`` makes of the same faces as floats, but for rounding to bytes in between (up
    to 0.01 of the range), and for pixels whose place lies halfway between two.

    Args:
        images: B of one size.
        parsing: as many, or none.
        params: of B faces; its camera is left to the caller.

    Returns:
        image: float32 ``[B, 3, h, w]`` in channels-last memory.
        parsing: int64 ``[B, h, w]``, or ``[0, h, w]``.
    """
    import cv2

    warps = _warps(params, images)
    moved = np.empty((len(images), *params.size, 3), np.uint8)
    for image, warp, place in zip(images, warps, moved, strict=True):
        # OpenCV moves four channels in half the time that it needs for three.
        four = _apply_warp(cv2.cvtColor(image, cv2.COLOR_RGB2RGBA), warp, params.size, cv2.INTER_LINEAR)
        cv2.cvtColor(four, cv2.COLOR_RGBA2RGB, place)
    classes = np.empty((len(parsing), *params.size), np.int64)
    for labels, warp, mirrored, row in zip(parsing, warps, mirrors(params.matrix), classes, strict=False):
        warped = _apply_warp(labels, warp, params.size, cv2.INTER_NEAREST)
        row[:] = cv2.LUT(warped, _SWAP) if mirrored else warped
    return _apply_light(moved, params), torch.from_numpy(classes)


def _apply_light(images: NDArray[np.uint8], params: AugmentParams) -> Tensor:
    """Change brightness and contrast by a table per image: ``[B, H, W, 3]`` to float ``[B, 3, H, W]``."""
    import cv2

    pivot = np.array([sum(cv2.mean(image)[:3]) for image in images]) / (3 * 255)
    slope, offset = params.gain * params.slope, params.gain * (1 - params.slope) * pivot
    tables = np.clip(slope[:, None] * _LEVELS + offset[:, None], 0, 1).astype(np.float32)  # [B, 256]
    lit = np.empty(images.shape, np.float32)
    for image, table, place in zip(images, tables, lit, strict=True):
        cv2.LUT(image, table, place)
    return torch.from_numpy(lit).permute(0, 3, 1, 2)  # [B, 3, H, W]


def _warps(params: AugmentParams, images: Sequence[NDArray[np.uint8]]) -> list[Warp]:
    """How each new image is taken from an old one."""
    if not images:
        return []
    height, width = images[0].shape[:2]
    back = inverse(params.matrix)
    corners = np.array([[x, y] for x in (0, params.size[1] - 1) for y in (0, params.size[0] - 1)])
    reached = corners @ back[:, :, :2].transpose(0, 2, 1) + back[:, None, :, 2]  # [B, 4, (x, y)]
    low, high = -reached.min(1), reached.max(1) - [width - 1, height - 1]
    beyond = np.array([low[:, 1], high[:, 1], low[:, 0], high[:, 0]]).T  # [B, 4]
    rims = np.maximum(np.ceil(beyond), 0).astype(int) + 2  # and the neighbours that interpolation looks at
    back[:, :, 2] += rims[:, [2, 0]]
    return list(zip(back, map(tuple, rims.tolist()), strict=True))


def _apply_warp(image: NDArray[Any], warp: Warp, size: Size, method: int) -> NDArray[Any]:
    """Move one image. OpenCV is twice as quick where it need not mind the border, so the border is added."""
    import cv2

    back, (top, bottom, left, right) = warp
    wide = cv2.copyMakeBorder(image, top, bottom, left, right, cv2.BORDER_REFLECT_101)
    return cv2.warpAffine(wide, back, size[::-1], flags=method | cv2.WARP_INVERSE_MAP)
