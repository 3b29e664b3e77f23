"""Augmentation of decoded images on the CPU: bytes in, floats out, by OpenCV, face by face."""

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
    from facecomp_lib.faces.augment import Change

__all__ = ["change_bytes"]

Way = tuple[
    NDArray[np.float64], tuple[int, int, int, int]
]  # new to old pixels, and the rim that old ones need
_LEVELS = np.arange(256) / 255
_SWAP = np.arange(256, dtype=np.uint8)
_SWAP[: len(PARSING_MIRROR)] = PARSING_MIRROR


def change_bytes(
    images: Sequence[NDArray[np.uint8]], parsing: Sequence[NDArray[np.uint8]], change: Change
) -> tuple[Tensor, Tensor]:
    """Images ``[H, W, 3]`` moved and in other light, and their maps of classes ``[H, W]`` moved along.

    They are what ``change`` makes of the same faces as floats, but for rounding to bytes in between (up to
    0.01 of the range), and for pixels whose place lies halfway between two.

    Args:
        images: B of one size.
        parsing: as many, or none.
        change: of B faces.

    Returns:
        image: float32 ``[B, 3, h, w]`` in channels-last memory.
        parsing: int64 ``[B, h, w]``, or ``[0, h, w]``.
    """
    import cv2

    ways = _ways(change, images)
    moved = np.empty((len(images), *change.size, 3), np.uint8)
    for image, way, new in zip(images, ways, moved, strict=True):
        # OpenCV moves four channels in half the time that it needs for three.
        four = _pulled(cv2.cvtColor(image, cv2.COLOR_RGB2RGBA), way, change.size, cv2.INTER_LINEAR)
        cv2.cvtColor(four, cv2.COLOR_RGBA2RGB, new)
    classes = np.empty((len(parsing), *change.size), np.int64)
    for labels, way, mirrored, place in zip(parsing, ways, mirrors(change.matrix), classes, strict=False):
        found = _pulled(labels, way, change.size, cv2.INTER_NEAREST)
        place[:] = cv2.LUT(found, _SWAP) if mirrored else found
    return _in_light(moved, change), torch.from_numpy(classes)


def _in_light(images: NDArray[np.uint8], change: Change) -> Tensor:
    """Brightness and contrast changed, by a table for each image."""
    import cv2

    pivot = np.array([sum(cv2.mean(image)[:3]) for image in images]) / (3 * 255)
    slope, offset = change.gain * change.slope, change.gain * (1 - change.slope) * pivot
    tables = np.clip(slope[:, None] * _LEVELS + offset[:, None], 0, 1).astype(np.float32)  # [B, 256]
    lit = np.empty(images.shape, np.float32)
    for image, table, new in zip(images, tables, lit, strict=True):
        cv2.LUT(image, table, new)
    return torch.from_numpy(lit).permute(0, 3, 1, 2)


def _ways(change: Change, images: Sequence[NDArray[np.uint8]]) -> list[Way]:
    """How each new image is taken from an old one."""
    if not images:
        return []
    height, width = images[0].shape[:2]
    back = inverse(change.matrix)
    corners = np.array([[x, y] for x in (0, change.size[1] - 1) for y in (0, change.size[0] - 1)])
    reached = corners @ back[:, :, :2].transpose(0, 2, 1) + back[:, None, :, 2]  # [B, 4, (x, y)]
    low, high = -reached.min(1), reached.max(1) - [width - 1, height - 1]
    beyond = np.array([low[:, 1], high[:, 1], low[:, 0], high[:, 0]]).T
    rims = np.maximum(np.ceil(beyond), 0).astype(int) + 2  # and the neighbours that interpolation looks at
    back[:, :, 2] += rims[:, [2, 0]]
    return list(zip(back, map(tuple, rims.tolist()), strict=True))


def _pulled(image: NDArray[Any], way: Way, size: Size, method: int) -> NDArray[Any]:
    """An image moved. OpenCV is twice as quick where it need not mind the border, hence the rim."""
    import cv2

    back, (top, bottom, left, right) = way
    wide = cv2.copyMakeBorder(image, top, bottom, left, right, cv2.BORDER_REFLECT_101)
    return cv2.warpAffine(wide, back, size[::-1], flags=method | cv2.WARP_INVERSE_MAP)
