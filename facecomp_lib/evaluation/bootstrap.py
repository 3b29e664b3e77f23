"""How sure is a mean over images? Percentile bootstrap. Lesson 02 explains it.

Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13: draw as many images as there are,
with replacement, many times, and look at how the mean scatters. Images count as independent, unless groups
are given: where several images show one person, whole people are drawn, and the interval is a little wider.
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
    """A mean over images with its interval.

    Attributes:
        mean: NaN if nothing was measured.
        low, high: the interval; NaN for fewer than two images.
        n: images that were measured.
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


def bootstrap(
    values: ArrayLike,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    groups: ArrayLike | None = None,
) -> Estimate:
    """The mean of ``values [N]`` and the interval that holds ``level`` of the resampled means.

    NaN counts as not measured. Equal N and seed draw the same images, so that methods are treated alike.
    ``groups [N]`` says which images belong together (to one person): they are drawn together or not at all.

    Raises:
        ValueError: not a flat list of numbers, groups of another length, or a level or number of resamples
            that makes no sense.
    """
    numbers = _flat(values)
    if not 0 < level < 1 or resamples < 1:
        raise ValueError(f"An interval needs 0 < level < 1 and resamples >= 1, not {level} and {resamples}.")
    known = ~np.isnan(numbers)
    sums, counts = grouped(numbers, known, groups)
    units, n = len(sums), int(known.sum())
    mean = float(numbers[known].mean()) if n else np.nan
    if units < 2:
        return Estimate(mean, np.nan, np.nan, n)
    random = np.random.default_rng(seed)
    means = np.empty(resamples)
    step = max(1, _AT_ONCE // units)
    for first in range(0, resamples, step):
        rows = min(step, resamples - first)
        drawn = random.integers(units, size=(rows, units))
        means[first : first + rows] = sums[drawn].sum(1) / counts[drawn].sum(1)
    # no interpolation between neighbours: one of them may be infinite (the PSNR of equal images)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2], method="inverted_cdf")
    return Estimate(mean, float(low), float(high), n)


def difference(values: ArrayLike, others: ArrayLike, **options: Any) -> Estimate:
    """The mean of ``values - others``, paired image by image, with its interval.

    Much narrower than two intervals side by side suggest, because hard images are hard for both. Options as
    for :func:`bootstrap`.

    Raises:
        ValueError: as :func:`bootstrap`, or if there are not as many of both.
    """
    one, other = _flat(values), _flat(others)
    if len(one) != len(other):
        raise ValueError(f"A paired difference needs the same images twice: {len(one)} and {len(other)}.")
    with np.errstate(invalid="ignore"):  # two infinite values have no difference: not measured
        return bootstrap(one - other, **options)


def grouped(
    numbers: NDArray[np.float64], known: NDArray[np.bool_], groups: ArrayLike | None
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Sum and count of the known numbers of each group; by default every number is its own."""
    if groups is None:
        return numbers[known], np.ones(int(known.sum()), np.int64)
    labels = np.asarray(groups)
    if labels.shape != numbers.shape:
        raise ValueError(
            f"groups must name a group for each of {len(numbers)} values, not {list(labels.shape)}."
        )
    place = np.unique(labels[known], return_inverse=True)[1]
    return np.bincount(place, numbers[known]).astype(np.float64), np.bincount(place).astype(np.int64)


def _flat(values: ArrayLike) -> NDArray[np.float64]:
    numbers = np.asarray(values, np.float64)
    if numbers.ndim != 1:
        raise ValueError(f"A flat list is needed, one number per image, not {list(numbers.shape)}.")
    return numbers
