"""Does a paper's claim hold here? Models trained several times, compared face by face. Lesson 03 uses it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from facecomp_lib.evaluation.bootstrap import LEVEL, Estimate, bootstrap_runs
from facecomp_lib.evaluation.registry import metric as display_of
from facecomp_lib.evaluation.summary import face_values, name_column, people_of

__all__ = ["HOLDS", "OPPOSITE", "UNDECIDED", "Claim", "claim"]

HOLDS, OPPOSITE, UNDECIDED = "holds", "the opposite holds", "undecided"
Who = str | tuple[str, str]


@dataclass(frozen=True)
class Claim:
    """A claim and what became of it; ``pd.DataFrame(claims)`` has a row for each.

    Attributes:
        text: what is claimed, in words.
        metric: by which it is judged.
        paper: the paper's own difference, in the metric's scale, NaN if it gives none.
        mean: ``better - worse`` here, over faces and seeds.
        low, high: its 95 % interval over faces and seeds; NaN for a single run.
        verdict: whether the interval lies on the claimed side of zero, on the other, or around it.
        n: faces.
        seeds: training runs.
        seeds_needed: about how many would decide it, if the difference and its spread over seeds stay as they
            are; NaN where it is decided, or more seeds alone would not do.
        by_seed: the difference of each run.
    """

    text: str
    metric: str
    paper: float
    mean: float
    low: float
    high: float
    verdict: str
    n: int
    seeds: int
    seeds_needed: float
    by_seed: tuple[float, ...]


def claim(
    text: str,
    scores: pd.DataFrame,
    metric: str,
    better: Who,
    worse: Who,
    masks: str | Iterable[str] | None = None,
    paper: float | None = None,
    across: str = "mask",
) -> Claim:
    """Judge the claim that one model is better than another by a metric.

    A difference between two models has two sources of chance: which faces were measured, and the seeds that
    the models were trained with. The interval counts both.

    Args:
        text: the claim in words.
        scores: of all seeds, as :func:`load` gives them.
        metric: name; whether higher or lower is better follows from it.
        better, worse: names of the two models. Or (model, mask), to claim that a model fares better on one
            kind of mask than on another.
        masks: kinds of masks to average over, by default all; of no meaning for (model, mask).
        paper: the paper's ``better - worse``, in the metric's scale (L1 as a fraction).
        across: the column that ``masks`` names values of; ``"dataset"`` for test sets.

    Raises:
        ValueError: a metric of unknown direction, names that are not there, or seeds that the two models do
            not share.
    """
    sign = display_of(metric).sign
    if not sign:
        raise ValueError(
            f"Whether a higher or lower {metric!r} is better is not known: it cannot judge a claim."
        )
    part = scores[scores["metric"] == metric]
    kinds = dict.fromkeys(part[across]) if masks is None else [masks] if isinstance(masks, str) else masks
    kinds = list(kinds)
    one, other = (_mean_values(part, metric, who, kinds, across) for who in (better, worse))
    if list(one.columns) != list(other.columns):
        raise ValueError(
            f"{better!r} and {worse!r} need the same seeds, not {[*one.columns]} and {[*other.columns]}."
        )
    gaps = one - other  # [faces, seeds]
    table = gaps.to_numpy(np.float64).T  # [seeds, faces]
    ours = bootstrap_runs(table, groups=people_of(gaps.index))
    known = np.isfinite(table).all(0)
    by_seed = table[:, known].mean(1) if ours.n else np.full(len(table), np.nan)
    return Claim(
        text,
        metric,
        np.nan if paper is None else float(paper),
        ours.mean,
        ours.low,
        ours.high,
        _verdict(ours, sign),
        ours.n,
        len(table),
        np.nan if ours.significant else _seeds_needed(by_seed),
        tuple(by_seed.tolist()),
    )


def _mean_values(scores: pd.DataFrame, metric: str, who: Who, masks: list[str], across: str) -> pd.DataFrame:
    """Each face's mean over the masks ``[faces, seeds]``; NaN where one of them was not measured."""
    pairs = [(who, mask) for mask in masks] if isinstance(who, str) else [who]
    if not pairs:
        raise ValueError("A claim needs at least one kind of mask.")
    name = name_column(scores)
    parts = []
    for method, mask in pairs:
        part = scores[(scores[name] == method) & (scores[across] == mask)]
        if part.empty:
            raise ValueError(
                f"There is no {metric} of {method!r} on {mask!r}; there is "
                f"{', '.join(dict.fromkeys(scores[name]))} on {', '.join(dict.fromkeys(scores[across]))}."
            )
        parts.append(face_values(part))
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total / len(parts)


def _verdict(ours: Estimate, sign: int) -> str:
    if not ours.significant:
        return UNDECIDED
    return HOLDS if ours.mean * sign > 0 else OPPOSITE


def _seeds_needed(by_seed: np.ndarray) -> float:
    """The least number of seeds at which Student's interval of such a mean excludes zero, up to 1000."""
    if len(by_seed) < 2 or not np.isfinite(by_seed).all():
        return np.nan
    mean, deviation = abs(by_seed.mean()), by_seed.std(ddof=1)
    counts = np.arange(2, 1001)
    decided = stats.t.ppf((1 + LEVEL) / 2, counts - 1) * deviation / np.sqrt(counts) < mean
    needed = counts[decided.argmax()]
    return float(needed) if decided.any() and needed > len(by_seed) else np.nan
