"""Irregular holes: brush strokes and blobs, or masks from a folder, with a hole ratio inside stated bounds.

The bounds hold by construction: strokes are drawn until they cover about the wanted number of pixels, which
lies strictly inside the bounds; then the drawing is grown or worn down evenly to exactly that number.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from facecomp_lib.masks import folder as pictures
from facecomp_lib.masks.canvas import Canvas, Draw, Family, Hole, lowest

_ROUNDS, _DOZEN = 6, 12  # strokes are drawn by the dozen until they suffice; six dozen always come close
_CORNERS = 8  # of a stroke or a blob, at most
_FINE = 4  # bits of a pixel in which OpenCV takes positions


def between(low: int, high: int) -> Draw:
    """The family of irregular holes with a ratio between two bounds in per cent, neither of them reached."""

    def irregular(canvas: Canvas, folder: str | os.PathLike[str] | None = None, invert: bool = False) -> Hole:
        """Brush strokes and blobs, or a mask from a folder of pictures.

        ``folder``: its pictures are the masks, whatever Pillow reads: light is missing, dark is known (as in
        the test masks of the partial-convolution archive); resized to the nearest pixel and flipped at
        random. One is chosen whose ratio lies in the bounds. ``invert``: dark is missing (as in that
        archive's raw training masks).
        """
        pixels = canvas.height * canvas.width
        least, most = low * pixels // 100 + 1, (high * pixels - 1) // 100
        if folder is not None:
            return pictures.choose(canvas, folder, invert, least, most)
        return strokes(canvas, int(canvas.random.integers(least, most + 1)))

    return irregular


def strokes(canvas: Canvas, count: int) -> Hole:
    """Strokes and blobs that cover exactly ``count`` pixels."""
    import cv2

    drawn = np.zeros((canvas.height, canvas.width), np.uint8)
    # Few and thick or many and thin, as chance has it, but none larger than the hole that is wanted.
    brush = canvas.random.uniform(0.04, 0.16) * math.sqrt(count)
    for _ in range(_ROUNDS):
        for corners, width, blob in _strokes(canvas, brush):
            cv2.polylines(drawn, [corners], blob, 1, width, cv2.LINE_8, _FINE)
            if blob:
                cv2.fillPoly(drawn, [corners], 1, cv2.LINE_8, _FINE)
            if cv2.countNonZero(drawn) >= 0.9 * count:
                return _to_count(drawn, count)
    return _to_count(drawn, count)


def _strokes(canvas: Canvas, brush: float) -> Iterator[tuple[NDArray[np.int32], int, bool]]:
    """A dozen wandering lines and, one in four, ragged blobs.

    Args:
        canvas: they begin anywhere on it.
        brush: middling width of the lines, px.

    Yields:
        corners ``[N, 2]`` in fractions of a pixel for OpenCV, the width of the line in px, and whether it is
        the outline of a blob.
    """
    random = canvas.random
    start = random.random((_DOZEN, 1, 2)) * [canvas.width, canvas.height]
    blob = random.random(_DOZEN) < 0.25
    widths = brush * random.uniform(0.5, 2, _DOZEN)
    ends = np.where(blob, _CORNERS, random.integers(2, _CORNERS + 1, _DOZEN))
    turns = random.uniform(-1.3, 1.3, (_DOZEN, _CORNERS))
    turns[:, 0] = random.uniform(0, 2 * math.pi, _DOZEN)
    lengths = random.uniform(0.5, 4, (_DOZEN, _CORNERS, 1)) * brush
    around = np.arange(_CORNERS) * (2 * math.pi / _CORNERS)
    angles = np.where(blob[:, None], around, turns.cumsum(1))
    steps = lengths * np.stack([np.cos(angles), np.sin(angles)], 2)
    corners = start + np.where(blob[:, None, None], 0.6 * steps, steps.cumsum(1) - steps[:, :1])
    fixed = np.round(corners * 2**_FINE).astype(np.int32)
    for k in range(_DOZEN):
        yield fixed[k, : ends[k]], max(1, round(widths[k])), bool(blob[k])


def _to_count(drawn: NDArray[np.uint8], count: int) -> Hole:
    """Grow or wear down a drawing by the distance from its edge until it has ``count`` pixels."""
    import cv2

    grow = cv2.countNonZero(drawn) < count
    distance = cv2.distanceTransform(1 - drawn if grow else drawn, cv2.DIST_L2, cv2.DIST_MASK_5)
    levels = (distance * 16).astype(np.int32)  # whole numbers, the same on every machine
    return lowest(levels if grow else levels.max() - levels, count)


BINS = ((10, 20), (20, 30), (30, 40), (40, 50), (50, 60))
_SOURCE = "lafin table 1, symmfc table II, oracle D"
FAMILIES = {f"irregular_{low}_{high}": Family(between(low, high), _SOURCE, smallest=16) for low, high in BINS}
