"""How sure is a mean over pictures? Percentile bootstrap. Lesson 02 explains it.

Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13: draw as many pictures as there are,
with replacement, many times, and look at how the mean scatters. Pictures count as independent; where several
show one person, the truth is a little less sure than the interval says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Estimate", "bootstrap", "difference"]

_AT_ONCE = 2**21  # draws held in memory


@dataclass(frozen=True)
class Estimate:
    """A mean over pictures with its interval.

    Attributes:
        mean: NaN if nothing was measured.
        low, high: the interval; NaN for fewer than two pictures.
        n: pictures that were measured.
    """

    mean: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        interval = "" if np.isnan(self.low) else f" [{self.low:.4g}, {self.high:.4g}]"
        return f"{self.mean:.4g}{interval}"

    @property
    def clear(self) -> bool:
        """Zero lies outside the interval: of a difference, its sign is beyond chance."""
        return self.low > 0 or self.high < 0


def bootstrap(values: ArrayLike, level: float = 0.95, resamples: int = 2000, seed: int = 0) -> Estimate:
    """The mean of ``values [N]`` and the interval that holds ``level`` of the resampled means.

    NaN counts as not measured. Equal N and seed draw the same pictures, so that methods are treated alike.

    Raises:
        ValueError: not a flat list of numbers, or a level or number of resamples that makes no sense.
    """
    numbers = _flat(values)
    if not 0 < level < 1 or resamples < 1:
        raise ValueError(f"An interval needs 0 < level < 1 and resamples >= 1, not {level} and {resamples}.")
    numbers = numbers[~np.isnan(numbers)]
    n = len(numbers)
    if n < 2:
        return Estimate(float(numbers[0]) if n else np.nan, np.nan, np.nan, n)
    random = np.random.default_rng(seed)
    means = np.empty(resamples)
    step = max(1, _AT_ONCE // n)
    for first in range(0, resamples, step):
        rows = min(step, resamples - first)
        means[first : first + rows] = numbers[random.integers(n, size=(rows, n))].mean(1)
    # no interpolation between neighbours: one of them may be infinite (the PSNR of equal pictures)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2], method="inverted_cdf")
    return Estimate(float(numbers.mean()), float(low), float(high), n)


def difference(values: ArrayLike, others: ArrayLike, **options: Any) -> Estimate:
    """The mean of ``values - others``, paired picture by picture, with its interval.

    Much narrower than two intervals side by side suggest, because hard pictures are hard for both. Options as
    for :func:`bootstrap`.

    Raises:
        ValueError: as :func:`bootstrap`, or if there are not as many of both.
    """
    one, other = _flat(values), _flat(others)
    if len(one) != len(other):
        raise ValueError(f"A paired difference needs the same pictures twice: {len(one)} and {len(other)}.")
    with np.errstate(invalid="ignore"):  # two infinite values have no difference: not measured
        return bootstrap(one - other, **options)


def _flat(values: ArrayLike) -> NDArray[np.float64]:
    numbers = np.asarray(values, np.float64)
    if numbers.ndim != 1:
        raise ValueError(f"A flat list is needed, one number per picture, not {list(numbers.shape)}.")
    return numbers
