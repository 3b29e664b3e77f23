"""Does a paper's claim hold here? Models trained several times, compared face by face. Lesson 03 uses it.

A difference between two models has two sources of chance: which faces were measured, and the seeds that the
models were trained with. The bootstrap here draws both again: people (or images), and training runs. All
runs see the same faces, so one draw of people serves all runs (Owen, The Pigeonhole Bootstrap, 2007).
Drawing anew among three seeds says too little about the seeds that one did not try: they are spread out as
Student's t asks for so few (Hesterberg, What Teachers Should Know About the Bootstrap, 2015, section 5).
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from facecomp_lib.evaluation.bootstrap import Estimate, grouped
from facecomp_lib.evaluation.comparison import Comparison
from facecomp_lib.evaluation.table import Table, display

__all__ = ["Claim", "Claims", "claim", "over_runs", "table_over_runs"]

HOLDS, FAILS, OPEN = "holds", "does not hold (the opposite does)", "undecided at this budget"
Who = str | tuple[str, str]


@dataclass(frozen=True)
class Claim:
    """A claim and what became of it.

    Attributes:
        text: what is claimed, in words.
        measure: by which it is judged.
        ours: ``better - worse``, with the interval over faces and seeds; NaN limits for a single run.
        by_run: the difference of each run.
        paper: the paper's own difference, in the measure's scale, if it gives one.
        level: of the interval.
    """

    text: str
    measure: str
    ours: Estimate
    by_run: tuple[float, ...]
    paper: float | None = None
    level: float = 0.95

    @property
    def verdict(self) -> str:
        """Whether the interval lies on the claimed side of zero, on the other, or around it."""
        if not self.ours.clear:
            return OPEN
        return HOLDS if (self.ours.mean > 0) == (display(self.measure).better > 0) else FAILS

    @property
    def cells(self) -> tuple[str, str, str, str, str]:
        """The row: claim, measure, the paper's difference, ours, verdict."""
        shown = display(self.measure)
        unit = f" {shown.unit}" if shown.unit else ""
        paper = "-" if self.paper is None else shown.number(self.paper, sign=True) + unit
        ours = shown.number(self.ours.mean, sign=True) + unit
        if not np.isnan(self.ours.low):
            ours += f" [{shown.number(self.ours.low, True)}, {shown.number(self.ours.high, True)}]"
        runs = len(self.by_run)
        arrow = "\u2191" if shown.better > 0 else "\u2193"
        verdict = self.verdict + (" (one run cannot tell)" if runs == 1 else "")
        return self.text, f"{shown.label} {arrow}", paper, ours, verdict

    def __str__(self) -> str:
        text, measure, paper, ours, verdict = self.cells
        return f"{text} | {measure} | paper {paper} | ours {ours} | {verdict}"

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return Claims([self])._repr_html_()


class Claims(tuple[Claim, ...]):
    """Claims as one table: ``print(Claims([claim(...), claim(...)]))``."""

    @property
    def head(self) -> tuple[str, ...]:
        levels = {f"{100 * one.level:g} %" for one in self}
        runs = {len(one.by_run) for one in self}
        count = "/".join(map(str, sorted(runs)))
        ours = f"ours [{', '.join(sorted(levels))} interval, {count} run{'' if runs == {1} else 's'}]"
        return "claim", "by", "paper", ours, "verdict"

    def __str__(self) -> str:
        rows = [self.head, *(one.cells for one in self)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        def row(cells: Sequence[str], tag: str) -> str:
            style = "text-align:left;padding:2px 12px"
            return "".join(f"<{tag} style='{style}'>{html.escape(cell)}</{tag}>" for cell in cells)

        body = "".join(f"<tr>{row(one.cells, 'td')}</tr>" for one in self)
        return (
            "<table style='font-variant-numeric:tabular-nums'>"
            f"<thead><tr>{row(self.head, 'th')}</tr></thead><tbody>{body}</tbody></table>"
        )


def claim(
    text: str,
    runs: Comparison | Sequence[Comparison] | Mapping[int, Comparison],
    measure: str,
    better: Who,
    worse: Who,
    holes: str | Iterable[str] | None = None,
    paper: float | None = None,
    groups: ArrayLike | None = None,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Claim:
    """Judge the claim that one model is better than another by a measure.

    Args:
        text: the claim in words.
        runs: a comparison per training seed, all of the same faces in the same order with the same holes.
        measure: name; whether more or less of it is better follows from the name.
        better, worse: names of the two models. Or (model, hole), to claim that a model fares better on one
            kind of hole than on another.
        holes: kinds of holes to average over, by default all; of no meaning for (model, hole).
        paper: the paper's ``better - worse``, in the measure's scale (L1 as a fraction).
        groups: which faces belong together, ``[N]``; by default as the comparisons say, else each its own.
        level, resamples, seed: of the bootstrap.

    Returns:
        Claim: holds if the interval of the difference lies on the claimed side of zero; its opposite does if
        it lies on the other side; else undecided. A single run leaves everything undecided.

    Raises:
        ValueError: runs of different faces, a measure of unknown direction, or names that a run lacks.
    """
    several = _several(runs)
    if not display(measure).better:
        raise ValueError(f"Whether more or less {measure!r} is better is not known: it cannot judge a claim.")
    kinds = several[0].holes if holes is None else (holes,) if isinstance(holes, str) else tuple(holes)
    gaps = [_mean(run, measure, better, kinds) - _mean(run, measure, worse, kinds) for run in several]
    if len({len(gap) for gap in gaps}) > 1:
        raise ValueError(f"Runs must measure the same faces, not {[len(gap) for gap in gaps]} of them.")
    groups = several[0].groups if groups is None else groups
    table = np.stack(gaps)
    ours = over_runs(table, groups, level, resamples, seed)
    by_run = table[:, np.isfinite(table).all(0)].mean(1) if ours.n else np.full(len(table), np.nan)
    return Claim(text, measure, ours, tuple(by_run.tolist()), paper, level)


def table_over_runs(
    runs: Comparison | Sequence[Comparison] | Mapping[int, Comparison],
    measure: str,
    methods: Sequence[str] | None = None,
    holes: Sequence[str] | None = None,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Table:
    """Means over faces and training runs, methods by holes, as :func:`over_runs` has them, where every run
    measured.

    Args:
        methods, holes: of the table, by default all of the first run.

    The others and errors as for :func:`claim`. Columns overlap more than differences do: judge by claims.
    """
    several = _several(runs)
    first = several[0]
    names = first.methods if methods is None else tuple(methods)
    kinds = first.holes if holes is None else tuple(holes)
    if unknown := sorted({*names, *kinds} - {*first.methods, *first.holes}):
        raise ValueError(f"Nothing was added for {', '.join(unknown)}; there is {first!r}.")
    cells = {
        (method, hole): over_runs(
            np.stack([run.values(measure, method, hole) for run in several]),
            first.groups,
            level,
            resamples,
            seed,
        )
        for method in names
        for hole in kinds
        if all((method, hole) in run.pairs and run.values(measure, method, hole).size for run in several)
    }
    return Table(measure, names, kinds, cells, level=level, palette=names, rows=first.rows)


def over_runs(
    values: ArrayLike,
    groups: ArrayLike | None = None,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Estimate:
    """The mean of ``values [runs, N]`` and its interval, with chance in both: in runs and in images.

    An image that a run lacks (its number is not finite) does not count in any.

    Args:
        values: one number per training run and image; the same images in all runs.
        groups: ``[N]``, images that belong together; by default each is its own.
        level, resamples, seed: of the bootstrap.

    Returns:
        Estimate: ``n`` counts images; limits are NaN for fewer than two runs or two groups.

    Raises:
        ValueError: another shape, or a level or number of resamples that makes no sense.
    """
    table = np.asarray(values, np.float64)
    if table.ndim != 2 or not table.size:
        raise ValueError(f"values must be [runs, images], not {list(table.shape)}.")
    if not 0 < level < 1 or resamples < 1:
        raise ValueError(f"An interval needs 0 < level < 1 and resamples >= 1, not {level} and {resamples}.")
    known = np.asarray(np.isfinite(table).all(0))
    by_group = [grouped(row, known, groups) for row in table]
    sums, counts = np.stack([one for one, _ in by_group]), by_group[0][1]  # [runs, G], [G]
    total = int(counts.sum())
    mean = float(sums.sum() / (total * len(table))) if total else np.nan
    runs, people = sums.shape
    if runs < 2 or people < 2:
        return Estimate(mean, np.nan, np.nan, total)
    random = np.random.default_rng(seed)
    drawn = random.multinomial(people, np.full(people, 1 / people), size=resamples)  # how often each
    of_runs = drawn @ sums.T / (drawn @ counts)[:, None]  # [resamples, runs]
    middle = of_runs.mean(1)
    other = np.take_along_axis(of_runs, random.integers(runs, size=(resamples, runs)), 1).mean(1)
    means = middle + _spread(runs, level) * (other - middle)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(mean, float(low), float(high), total)


def _spread(runs: int, level: float) -> float:
    """How much wider than a bootstrap's an honest interval over so few runs is."""
    tail = (1 + level) / 2
    return float(np.sqrt(runs / (runs - 1)) * stats.t.ppf(tail, runs - 1) / stats.norm.ppf(tail))


def _several(runs: Comparison | Sequence[Comparison] | Mapping[int, Comparison]) -> list[Comparison]:
    if isinstance(runs, Comparison):
        return [runs]
    several = list(runs.values() if isinstance(runs, Mapping) else runs)
    if not several:
        raise ValueError("A claim needs at least one run.")
    return several


def _mean(run: Comparison, measure: str, who: Who, holes: Sequence[str]) -> NDArray[np.float64]:
    """Each image's mean over the holes, ``[N]``; NaN where one of them was not measured."""
    pairs = [(who, hole) for hole in holes] if isinstance(who, str) else [who]
    if not pairs:
        raise ValueError("A claim needs at least one kind of hole.")
    values = [run.values(measure, *pair) for pair in pairs]
    if len({len(one) for one in values}) > 1:
        raise ValueError(f"{who!r} was not measured on the same faces under each hole.")
    return np.stack(values).mean(0)
