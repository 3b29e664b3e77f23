"""Methods x holes x measures, with intervals: printed, drawn, saved. Lesson 02 fills the first one."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from facecomp_lib.evaluation import _csv
from facecomp_lib.evaluation.bootstrap import Estimate, bootstrap, difference
from facecomp_lib.evaluation.table import Table, display

if TYPE_CHECKING:
    from facecomp_lib.show.canvas import Sheet

__all__ = ["Comparison"]


@dataclass
class _Cell:
    """The numbers of one method on one kind of hole."""

    images: int = 0
    scores: dict[str, NDArray[np.float64]] = field(default_factory=dict)  # measure -> [images]
    of_set: dict[str, float] = field(default_factory=dict)  # measure -> one number of the whole set

    def append(self, count: int, scores: Mapping[str, NDArray[np.float64]]) -> None:
        """More images; a measure that some of them lack is NaN there."""
        for name in {**self.scores, **scores}:
            before = self.scores.get(name, np.full(self.images, np.nan))
            self.scores[name] = np.concatenate([before, scores.get(name, np.full(count, np.nan))])
        self.images += count

    def values(self, measure: str) -> NDArray[np.float64]:
        if measure in self.of_set:
            return np.array([self.of_set[measure]])
        return self.scores.get(measure, np.empty(0))


class Comparison:
    """Scores of methods on kinds of holes, image by image.

        comparison = Comparison()
        comparison.add("telea", "center", fc.evaluation.score(fill, image, mask))
        print(comparison.table("psnr_hole"))
        comparison.difference("psnr_hole", "telea", "mean", "center")

    Args:
        level: of the bootstrap intervals.
        resamples, seed: of the bootstrap; equal ones give equal intervals.
        groups: which images belong together, ``[N]`` in the order in which they are added; intervals then
            count people, say, not images.
        rows: of the printed tables, ``"holes"`` or ``"methods"``.
    """

    def __init__(
        self,
        level: float = 0.95,
        resamples: int = 2000,
        seed: int = 0,
        groups: ArrayLike | None = None,
        rows: str = "holes",
    ) -> None:
        bootstrap([0.0], level, resamples, seed)  # refuses what makes no sense
        if rows not in ("holes", "methods"):
            raise ValueError(f"rows must be 'holes' or 'methods', not {rows!r}.")
        self.level, self.resamples, self.seed, self.rows = level, resamples, seed, rows
        self.groups = None if groups is None else np.asarray(groups)
        self._cells: dict[tuple[str, str], _Cell] = {}

    def add(self, method: str, hole: str, scores: Mapping[str, Any]) -> Comparison:
        """Add images (again and again, batch by batch) or a number of the whole set.

        Args:
            method, hole: names.
            scores: measure -> one number per image, ``[B]``, as :func:`score` gives them; or one number
                (KID, say), which belongs to the set and replaces an earlier one. To compare methods in pairs,
                add the same images to each in the same order.

        Returns:
            The comparison itself.

        Raises:
            ValueError: measures of different numbers of images, or no names.
        """
        if not method or not hole or not scores:
            raise ValueError("Scores need a method's name, a hole's name and at least one measure.")
        numbers = {name: _numbers(value) for name, value in scores.items()}
        per_image = {name: value for name, value in numbers.items() if value.ndim == 1}
        counts = {len(value) for value in per_image.values()}
        if len(counts) > 1 or any(value.ndim > 1 for value in numbers.values()):
            shapes = ", ".join(f"{name} {list(value.shape)}" for name, value in numbers.items())
            raise ValueError(f"Every measure needs one number per image of the batch, not {shapes}.")
        cell = self._cells.setdefault((method, hole), _Cell())
        cell.of_set |= {name: float(value) for name, value in numbers.items() if value.ndim == 0}
        if counts:
            cell.append(counts.pop(), per_image)
        return self

    @property
    def methods(self) -> tuple[str, ...]:
        """In the order in which they were first added; so are holes and measures."""
        return tuple(dict.fromkeys(method for method, _ in self._cells))

    @property
    def holes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(hole for _, hole in self._cells))

    @property
    def measures(self) -> tuple[str, ...]:
        return tuple(
            dict.fromkeys(name for cell in self._cells.values() for name in (*cell.scores, *cell.of_set))
        )

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """(Method, hole) that something was added for, methods first; not every method needs every hole."""
        return tuple(key for key in itertools.product(self.methods, self.holes) if key in self._cells)

    def values(self, measure: str, method: str, hole: str) -> NDArray[np.float64]:
        """The scores themselves, one per image; NaN where an image was not measured."""
        self._check(measure)
        if (method, hole) not in self._cells:
            raise ValueError(f"Nothing was added for {method!r} on {hole!r}; there is {self!r}.")
        return self._cells[method, hole].values(measure)

    def estimate(self, measure: str, method: str, hole: str) -> Estimate:
        """The mean over images and its bootstrap interval."""
        return bootstrap(self.values(measure, method, hole), **self._options(measure, method, hole))

    def difference(self, measure: str, method: str, other: str, hole: str) -> Estimate:
        """``method`` minus ``other`` on one kind of hole, paired by image, with its interval.

        Raises:
            ValueError: unknown names, or different numbers of images.
        """
        pair = (self.values(measure, name, hole) for name in (method, other))
        return difference(*pair, **self._options(measure, method, hole))

    def table(self, measure: str) -> Table:
        """All methods on all holes by one measure."""
        self._check(measure)
        cells = {
            key: self.estimate(measure, *key) for key, cell in self._cells.items() if _has(cell, measure)
        }
        best = frozenset(key for hole in self.holes for key in self._best(measure, hole, cells))
        return Table(
            measure, self.methods, self.holes, cells, best, None, self.level, self.methods, self.rows
        )

    def differences(self, measure: str, baseline: str) -> Table:
        """Every other method minus ``baseline``, paired by image."""
        self._check(measure)
        if baseline not in self.methods:
            raise ValueError(f"There is no method {baseline!r}: choose one of {', '.join(self.methods)}.")
        keys = [key for key, cell in self._cells.items() if key[0] != baseline and _has(cell, measure)]
        cells = {
            (method, hole): self.difference(measure, method, baseline, hole)
            for method, hole in keys
            if (baseline, hole) in self._cells
        }
        others = tuple(method for method in self.methods if method != baseline)
        return Table(
            measure, others, self.holes, cells, frozenset(), baseline, self.level, self.methods, self.rows
        )

    def figure(self, measure: str) -> Sheet:
        """Dots with their intervals, one row per hole, one colour per method."""
        from facecomp_lib.evaluation.plot import dots

        return dots(self.table(measure))

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Save every score: a row per image, a column per measure; the file appears whole or not at all."""
        rows: list[_csv.Row] = []
        for key, cell in self._cells.items():
            if cell.of_set:
                rows.append((*key, "", [cell.of_set.get(name, np.nan) for name in self.measures]))
            nothing = np.full(cell.images, np.nan)
            columns = [cell.scores.get(name, nothing) for name in self.measures]
            rows += [(*key, str(k), [column[k] for column in columns]) for k in range(cell.images)]
        _csv.write(path, self.measures, rows)

    @classmethod
    def from_csv(cls, path: str | os.PathLike[str], **options: Any) -> Comparison:
        """Read what :meth:`to_csv` saved; options as for the class.

        Raises:
            FileNotFoundError: no such file. ValueError: not such a file; the sentence names the damaged line.
        """
        measures, rows = _csv.read(path)
        cells: dict[tuple[str, str], tuple[list[list[float]], dict[str, float]]] = {}
        for method, hole, image, numbers in rows:
            of_images, of_set = cells.setdefault((method, hole), ([], {}))
            if image:
                of_images.append(numbers)
            else:
                of_set |= {name: x for name, x in zip(measures, numbers, strict=True) if not np.isnan(x)}
        comparison = cls(**options)
        for key, (of_images, of_set) in cells.items():
            table = np.array(of_images).reshape(-1, len(measures)).T
            scores = {name: x for name, x in zip(measures, table, strict=True) if not np.isnan(x).all()}
            comparison.add(*key, scores | of_set)
        return comparison

    def __str__(self) -> str:
        return "\n\n".join(str(self.table(measure)) for measure in self.measures) or repr(self)

    def __repr__(self) -> str:
        methods, holes, measures = (", ".join(names) for names in (self.methods, self.holes, self.measures))
        return f"Comparison(methods: {methods}; holes: {holes}; measures: {measures})"

    def _repr_html_(self) -> str:
        return "".join(self.table(measure)._repr_html_() for measure in self.measures)

    def _options(self, measure: str, method: str, hole: str) -> dict[str, Any]:
        """Of the bootstrap; a number of the whole set has no groups."""
        of_set = measure in self._cells[method, hole].of_set
        return {
            "level": self.level,
            "resamples": self.resamples,
            "seed": self.seed,
            "groups": None if of_set else self.groups,
        }

    def _check(self, measure: str) -> None:
        if measure not in self.measures:
            offered = ", ".join(self.measures) or "none yet"
            raise ValueError(f"There is no measure {measure!r} here, only {offered}.")

    def _best(
        self, measure: str, hole: str, cells: Mapping[tuple[str, str], Estimate]
    ) -> list[tuple[str, str]]:
        """The best of a hole and what cannot be told from it; nothing if there is no contest."""
        better = display(measure).better
        keys = [key for key in cells if key[1] == hole and not np.isnan(cells[key].mean)]
        if not better or len(keys) < 2:
            return []
        first = max(keys, key=lambda key: better * cells[key].mean)
        return [key for key in keys if key == first or self._tied(measure, key, first)]

    def _tied(self, measure: str, key: tuple[str, str], best: tuple[str, str]) -> bool:
        if len(self.values(measure, *key)) != len(self.values(measure, *best)):
            return False
        gap = self.difference(measure, key[0], best[0], key[1])
        return gap.mean == 0 or (gap.n > 1 and not gap.clear)


def _numbers(value: Any) -> NDArray[np.float64]:
    if isinstance(value, Tensor):
        value = value.detach().cpu()
    elif hasattr(value, "__float__") and not isinstance(value, np.ndarray):
        value = float(value)
    return np.asarray(value, np.float64)


def _has(cell: _Cell, measure: str) -> bool:
    return measure in cell.scores or measure in cell.of_set
