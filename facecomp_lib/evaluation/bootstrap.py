"""How sure is a mean? Percentile bootstrap over faces or people, and over runs. Lesson 02 explains it.

Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13: draw as many faces as there are,
with replacement, many times, and look at how the mean scatters. Faces count as independent, unless groups are
given: where several images show one person, whole people are drawn, and the interval is a little wider.

``scipy.stats.bootstrap`` draws the same, but interpolates between neighbouring means, which fails where one
of them is infinite (the PSNR of equal images), and it cannot draw runs and faces at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

__all__ = ["LEVEL", "Estimate", "bootstrap", "bootstrap_runs", "difference"]

LEVEL = 0.95  # of all intervals
RESAMPLES = 2000
TAILS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
_AT_ONCE = 2**21  # draws held in memory


@dataclass(frozen=True)
class Estimate:
    """A mean over faces with its 95 % interval.

    Attributes:
        mean: NaN if nothing was measured.
        low, high: the interval; NaN for fewer than two faces.
        n: faces that were measured.
    """

    mean: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        interval = "" if np.isnan(self.low) else f" [{self.low:.4g}, {self.high:.4g}]"
        return f"{self.mean:.4g}{interval}"

    @property
    def significant(self) -> bool:
        """Zero lies outside the interval: of a difference, its sign is beyond chance."""
        return self.low > 0 or self.high < 0


def bootstrap(values: ArrayLike, seed: int = 0, groups: ArrayLike | None = None) -> Estimate:
    """Mean of ``values [N]`` and the interval that holds 95 % of the resampled means.

    NaN counts as not measured. Equal N and seed draw the same faces, so that methods are treated alike.
    ``groups [N]`` says which faces belong together (to one person): they are drawn together or not at all.

    Raises:
        ValueError: not a flat list of numbers, or groups of another length.
    """
    numbers = _flat(values)
    known = ~np.isnan(numbers)
    sums, counts = _group_sums(numbers, known, groups)
    units, n = len(sums), int(known.sum())
    mean = float(numbers[known].mean()) if n else np.nan
    if units < 2:
        return Estimate(mean, np.nan, np.nan, n)
    random = np.random.default_rng(seed)
    means = np.empty(RESAMPLES)
    step = max(1, _AT_ONCE // units)
    for first in range(0, RESAMPLES, step):
        rows = min(step, RESAMPLES - first)
        drawn = random.integers(units, size=(rows, units))
        means[first : first + rows] = sums[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.quantile(means, TAILS, method="inverted_cdf")
    return Estimate(mean, float(low), float(high), n)


def difference(
    values: ArrayLike, others: ArrayLike, seed: int = 0, groups: ArrayLike | None = None
) -> Estimate:
    """The mean of ``values - others``, paired face by face, with its interval.

    Much narrower than two intervals side by side suggest, because hard faces are hard for both.

    Raises:
        ValueError: as :func:`bootstrap`, or if there are not as many of both.
    """
    one, other = _flat(values), _flat(others)
    if len(one) != len(other):
        raise ValueError(f"A paired difference needs the same faces twice: {len(one)} and {len(other)}.")
    with np.errstate(invalid="ignore"):  # two infinite values have no difference: not measured
        return bootstrap(one - other, seed, groups)


def bootstrap_runs(values: ArrayLike, seed: int = 0, groups: ArrayLike | None = None) -> Estimate:
    """The mean of ``values [runs, N]`` and its interval, with chance in both: in training runs and in faces.

    All runs see the same faces, so one draw of people serves all runs (Owen, The Pigeonhole Bootstrap, 2007).
    Drawing anew among three seeds says too little about the seeds that one did not try: they are spread out
    as Student's t asks for so few (Hesterberg, What Teachers Should Know About the Bootstrap, 2015, section
    5).

    Args:
        values: one number per training run and face. A face that a run lacks (its number is not finite) does
            not count in any.
        groups: ``[N]``, faces that belong together; by default each is its own.

    Returns:
        Estimate: ``n`` counts faces; limits are NaN for fewer than two runs or two groups.

    Raises:
        ValueError: another shape.
    """
    table = np.asarray(values, np.float64)
    if table.ndim != 2 or not table.size:
        raise ValueError(f"values must be [runs, faces], not {list(table.shape)}.")
    known = np.asarray(np.isfinite(table).all(0))
    by_group = [_group_sums(row, known, groups) for row in table]
    sums, counts = np.stack([one for one, _ in by_group]), by_group[0][1]  # [runs, G], [G]
    total = int(counts.sum())
    mean = float(sums.sum() / (total * len(table))) if total else np.nan
    runs, people = sums.shape
    if runs < 2 or people < 2:
        return Estimate(mean, np.nan, np.nan, total)
    random = np.random.default_rng(seed)
    drawn = random.multinomial(people, np.full(people, 1 / people), size=RESAMPLES)  # how often each
    of_runs = drawn @ sums.T / (drawn @ counts)[:, None]  # [RESAMPLES, runs]
    middle = of_runs.mean(1)
    other = np.take_along_axis(of_runs, random.integers(runs, size=(RESAMPLES, runs)), 1).mean(1)
    means = middle + _widening(runs) * (other - middle)
    low, high = np.quantile(means, TAILS)
    return Estimate(mean, float(low), float(high), total)


def _widening(runs: int) -> float:
    """How much wider than a bootstrap's an honest interval over so few runs is."""
    return float(np.sqrt(runs / (runs - 1)) * stats.t.ppf(TAILS[1], runs - 1) / stats.norm.ppf(TAILS[1]))


def _group_sums(
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
        raise ValueError(f"A flat list is needed, one number per face, not {list(numbers.shape)}.")
    return numbers
