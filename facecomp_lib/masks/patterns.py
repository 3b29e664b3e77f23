"""Holes without a place: a cloudy pattern, and single pixels."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from facecomp_lib.masks.canvas import Canvas, Family, Hole, between, lowest

# The pattern that collagan borrows enlarges noise so that one value spans 1/0.06 px of a 128 px image.
_GRAIN = 1 / 0.06 / 128


def pattern(canvas: Canvas, fraction: float = 0.25, grain: float | None = None) -> Hole:
    """A quarter of the image in cloudy patches: the darkest pixels of smoothly enlarged noise.

    ``fraction``: of the pixels that are missing, to the nearest pixel. ``grain``: px of the image per value
    of the noise, about half the distance from patch to patch; by default 0.13 of the shorter side.
    """
    between(fraction, 0.01, 0.99, "fraction")
    grain = _GRAIN * canvas.side if grain is None else grain
    between(grain, 1, canvas.side, "grain", " px")
    # Whole steps of a sixteenth of a value, so that the few possible weights are computed once.
    shift_y, shift_x = (int(step) for step in canvas.random.integers(16, size=2))
    down = _cubic(canvas.height, grain, shift_y)
    across = _cubic(canvas.width, grain, shift_x)
    noise = canvas.random.random((down.shape[1], across.shape[1]))
    return lowest(down @ noise @ across.T, _count(canvas, fraction))


def noise(canvas: Canvas, fraction: float = 0.8) -> Hole:
    """Single pixels are missing, 80 % of them, all choices equally likely.

    ``fraction``: of the pixels that are missing, to the nearest pixel.
    """
    between(fraction, 0.01, 0.99, "fraction")
    return lowest(canvas.random.random((canvas.height, canvas.width)), _count(canvas, fraction))


def _count(canvas: Canvas, fraction: float) -> int:
    pixels = canvas.height * canvas.width
    return min(max(round(fraction * pixels), 1), pixels - 1)


@lru_cache(maxsize=256)
def _cubic(length: int, grain: float, shift: int) -> NDArray[np.float64]:
    """Weights ``[length, values]`` that enlarge a row of values by cubic convolution (Keys, a = -1/2).

    Args:
        length: px.
        grain: px per value.
        shift: sixteenths of a value that the row is moved by.
    """
    at = np.arange(length) / grain + shift / 16 + 1  # where each pixel lies among the values
    values = int(at[-1]) + 3
    x = np.abs(at[:, None] - np.arange(values))
    near = (1.5 * x - 2.5) * x**2 + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


FAMILIES = {
    "pattern": Family(pattern, "collagan 4.1, 25 % missing"),
    "noise": Family(noise, "collagan 4.1, 80 % missing"),
}
