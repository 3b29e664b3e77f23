"""Irregular masks: brush strokes and blobs, or a folder's, with a missing share inside stated bounds.

The bounds hold by construction: thin skeletons of strokes and blobs swell, each at its own speed, until they
cover exactly the wanted number of pixels, which lies between the bounds.
"""

from __future__ import annotations

import math
import os

import numpy as np
from numpy.typing import NDArray

from facecomp_lib.masks import folder as mask_folder
from facecomp_lib.masks.base import Draw, Hole, MaskContext, MaskKind, lowest

_STROKES = 60  # drawn at most; most holes are full after ten to twenty
_CORNERS = 8  # of a stroke or a blob, at most
_SLOWNESS = (3, 2, 1)  # at which skeletons swell: fine, middling, broad


def irregular_mask(low: int, high: int) -> Draw:
    """Make a drawing function: the missing share lies between two bounds in per cent, both excluded."""

    def draw(
        context: MaskContext, folder: str | os.PathLike[str] | None = None, invert: bool = False
    ) -> Hole:
        """Brush strokes and blobs, or a mask from a folder of images.

        ``folder``: its images are the masks: light (or, of images with transparent pixels, opaque) is
        missing, dark is known (as in the test masks of the partial-convolution archive); resized to the
        nearest pixel and flipped at random. One is chosen whose ratio lies in the bounds; what is no image
        is left out with a warning. ``invert``: dark is missing (as in that archive's raw training masks).
        """
        pixels = context.height * context.width
        least, most = low * pixels // 100 + 1, (high * pixels - 1) // 100
        if folder is not None:
            return mask_folder.choose(context, folder, invert, least, most)
        return strokes(context, int(context.random.integers(least, most + 1)))

    return draw


def strokes(context: MaskContext, count: int) -> Hole:
    """Strokes and blobs that cover exactly ``count`` pixels."""
    import cv2

    random = context.random
    # Few and broad or many and fine, as chance has it, but none larger than the hole that is wanted.
    brush = random.uniform(0.02, 0.1) * math.sqrt(count)
    slowness = random.choice(_SLOWNESS, _STROKES)
    corners, lengths = _skeletons(context, brush)
    width = 2 * brush / slowness
    enough = int(np.searchsorted(np.cumsum((lengths + width) * width), count)) + 1
    # Only lines of one pixel and distances in whole numbers: OpenCV draws those alike in every version.
    swelling = np.full((context.height, context.width), np.iinfo(np.int32).max, np.int32)
    for slower in _SLOWNESS:
        drawn = [corners[k] for k in np.flatnonzero(slowness[:enough] == slower)]
        if not drawn:
            continue
        paper = np.ones((context.height, context.width), np.uint8)
        distance = cv2.distanceTransform(cv2.polylines(paper, drawn, False, 0), cv2.DIST_L2, cv2.DIST_MASK_5)
        np.minimum(swelling, (distance * (16 * slower)).astype(np.int32), out=swelling)
    return lowest(swelling, count)


def _skeletons(context: MaskContext, brush: float) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Wandering lines, and stars that will swell to blobs, one in four.

    Args:
        context: they begin anywhere in its image.
        brush: middling width of a stroke, px.

    Returns:
        Corners ``[N, 2 * _CORNERS, 2]`` in px, and lengths ``[N]`` in px.
    """
    random, shape = context.random, (_STROKES, _CORNERS)
    start = random.random((_STROKES, 1, 2)) * [context.width, context.height]
    star = random.random((_STROKES, 1)) < 0.25
    ends = np.where(star, _CORNERS, random.integers(1, _CORNERS + 1, (_STROKES, 1)))
    lengths = random.uniform(0.5, 6, shape) * brush * (np.arange(_CORNERS) < ends) * np.where(star, 0.4, 1)
    turns = random.uniform(-1.3, 1.3, shape).cumsum(1) + random.uniform(0, 2 * math.pi, (_STROKES, 1))
    angles = np.where(star, np.arange(_CORNERS) * (2 * math.pi / _CORNERS), turns)
    steps = lengths[..., None] * np.stack([np.cos(angles), np.sin(angles)], 2)
    # A star's path returns to its middle after every tip; a line's stays where it is for one step.
    line = start + steps.cumsum(1)
    path = np.empty((_STROKES, 2 * _CORNERS, 2))
    path[:, 0::2] = np.where(star[..., None], start, line - steps)
    path[:, 1::2] = np.where(star[..., None], start + steps, line)
    return np.floor(path).astype(np.int32), lengths.sum(1)  # floor: all begin inside the image


BINS = ((10, 20), (20, 30), (30, 40), (40, 50), (50, 60))
_SOURCE = "lafin tab. 1, symmfc II, oracle D"
KINDS = {
    f"irregular_{low}_{high}": MaskKind(irregular_mask(low, high), _SOURCE, smallest=16) for low, high in BINS
}
