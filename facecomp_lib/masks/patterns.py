"""Masks that are spread over the image: a cloudy pattern, and single pixels."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from facecomp_lib.masks.base import Hole, MaskContext, MaskKind, lowest
from facecomp_lib.utils.checks import check_range

# The pattern that collagan borrows enlarges noise so that one value spans 1/0.06 px of a 128 px image.
_GRAIN = 1 / 0.06 / 128


def pattern(context: MaskContext, fraction: float = 0.25, grain: float | None = None) -> Hole:
    """A quarter of the image in cloudy patches: the darkest pixels of smoothly enlarged noise.

    ``fraction``: of the pixels that are missing, to the nearest pixel. ``grain``: px of the image per value
    of the noise, about half the distance from patch to patch; by default 0.13 of the shorter side.
    """
    check_range(fraction, 0.01, 0.99, "fraction")
    grain = _GRAIN * context.side if grain is None else grain
    check_range(grain, 1, context.side, "grain", " px")
    # Whole steps of a sixteenth of a value, so that the few possible weights are computed once.
    shift_y, shift_x = (int(step) for step in context.random.integers(16, size=2))
    down = _cubic(context.height, grain, shift_y)
    across = _cubic(context.width, grain, shift_x)
    noise = context.random.random((down.shape[1], across.shape[1]))
    return lowest(down @ noise @ across.T, _count(context, fraction))


def noise(context: MaskContext, fraction: float = 0.8) -> Hole:
    """Single pixels are missing, 80 % of them, all choices equally likely.

    ``fraction``: of the pixels that are missing, to the nearest pixel.
    """
    check_range(fraction, 0.01, 0.99, "fraction")
    return lowest(context.random.random((context.height, context.width)), _count(context, fraction))


def _count(context: MaskContext, fraction: float) -> int:
    pixels = context.height * context.width
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


KINDS = {
    "pattern": MaskKind(pattern, "collagan 4.1, 25 % missing"),
    "noise": MaskKind(noise, "collagan 4.1, 80 % missing"),
}
