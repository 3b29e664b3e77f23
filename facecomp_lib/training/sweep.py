"""Runs side by side: what each was given and how it ended, in one table; the mean and spread over seeds."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facecomp_lib.utils.files import atomic_write, expand

__all__ = ["Runs", "Spread", "add_metrics", "collect"]

CARD, METRICS, RECORD = "card.json", "metrics.json", "run.json"
GIVEN = ("method", "config", "seed", "precision", "data", "stages", "finished", "steps")  # entries of a card


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation (n - 1) of ``n`` runs; the deviation of one run is NaN."""

    mean: float
    deviation: float
    n: int

    def __str__(self) -> str:
        return _text(self.mean) if self.n < 2 else f"{_text(self.mean)} ± {self.deviation:.2g}"


@dataclass(frozen=True, eq=False)
class Runs:
    """A table: one row per run, or per group of runs.

    Attributes:
        rows: column -> value; rows may lack columns. ``run`` is the folder; a lesson's parameters have their
            own names, and ``part`` tells several trainings of one lesson apart; what the card holds is named
            with dots, as in ``config.width`` and ``final.g.l1``.
        given: columns that say what a run was given, in contrast to what came out; runs that agree in them
            are the same but for chance.
        parameters: those among them that a lesson was called with.
        troubles: a sentence for each card that could not be read, and for each run without one.
    """

    rows: Sequence[Mapping[str, Any]]
    given: frozenset[str] = frozenset()
    parameters: frozenset[str] = frozenset()
    troubles: Sequence[str] = ()

    @property
    def columns(self) -> list[str]:
        """All columns, in the order in which they first come."""
        return list(dict.fromkeys(name for row in self.rows for name in row))

    def over(self, name: str = "seed") -> Runs:
        """Runs that were given the same but for ``name``, put together: numbers become a :class:`Spread`."""
        groups: dict[str, list[Mapping[str, Any]]] = {}
        for row in self.rows:
            key = {k: v for k, v in row.items() if k in self.given - {name, "run"}}
            groups.setdefault(json.dumps(key, sort_keys=True, default=str), []).append(row)
        rows = [self._together(group, name) for group in groups.values()]
        return Runs(rows, self.given - {name} | {"runs"}, self.parameters - {name}, self.troubles)

    def _together(self, group: list[Mapping[str, Any]], name: str) -> dict[str, Any]:
        row: dict[str, Any] = {"runs": len(group)}
        for column in Runs(group).columns:
            values = [each[column] for each in group if column in each]
            if column in self.given:
                row |= {column: values[0]} if column not in (name, "run") else {}
            elif all(_is_number(value) for value in values):
                several = len(values) > 1
                row[column] = Spread(
                    statistics.fmean(values), statistics.stdev(values) if several else math.nan, len(values)
                )
        return row

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all columns as CSV, whole or not at all; a spread takes a column for each of its numbers.

        A text that a spreadsheet would take for a formula has an apostrophe in front.
        """
        rows = [dict(_written(row)) for row in self.rows]
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, Runs(rows).columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        atomic_write(path, text.getvalue())

    def __str__(self) -> str:
        """What differs between the runs, and their results; then what is wrong, a line each.

        Results are the metrics, or the final losses where there are no metrics; the file has them all.
        """
        lines = []
        if self.rows:
            names = self._shown() or self.columns[:1]
            head = [name.removeprefix("metrics.").removeprefix("final.") for name in names]
            table = [head, *([_text(row.get(name, "")) for name in names] for row in self.rows)]
            widths = [max(len(line[k]) for line in table) for k in range(len(names))]
            lines = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in table]
        return "\n".join([*(lines or ["no runs"]), *self.troubles])

    __repr__ = __str__

    def _shown(self) -> list[str]:
        """The columns that are printed."""
        varying = [name for name in self.columns if name in self.given - {"run"} and self._varies(name)]
        if self.parameters & set(varying):  # the rest follows from them
            varying = [name for name in varying if name in self.parameters | {"method", "part"}]
        results = [name for name in self.columns if name.startswith("metrics.")]
        results = results or [
            name for name in self.columns if name.startswith("final.") and not name.endswith(".gradient")
        ]
        more = [name for name in ("runs", "seconds", "error") if name in self.columns and name not in varying]
        return [*varying, *more, *results]

    def _varies(self, name: str) -> bool:
        return len({json.dumps(row.get(name), default=str) for row in self.rows}) > 1


def collect(*folders: str | os.PathLike[str]) -> Runs:
    """The runs in and below these folders, one row for each ``card.json`` that ``fit`` wrote.

    Beside the card's own entries a row has the parameters of the lesson that trained it (from the
    ``run.json`` of ``course.py train`` and ``sweep``) and what :func:`add_metrics` added. A lesson that was
    executed without training has a row of its parameters; one that failed, its error.

    Raises:
        FileNotFoundError: no such folder.
    """
    rows: list[dict[str, Any]] = []
    given, called = {"run"}, set[str]()
    troubles: list[str] = []
    for folder in map(expand, folders):
        if not folder.is_dir():
            raise FileNotFoundError(f"There is no folder {folder}: give one that holds runs.")
        cards, records = (sorted(folder.rglob(name)) for name in (CARD, RECORD))
        for path in sorted({*cards, *records}):
            record = path.parent / RECORD if path.name == RECORD else _record_of(path, folder)
            if path.name == RECORD and any(path.parent in card.parents for card in cards):
                continue  # its cards tell more
            parameters, error = _parameters(record, troubles)
            card = _read(path, troubles) if path.name == CARD else {}
            card = card | _optional(path.parent / METRICS, troubles)
            if path.name == CARD and not card:
                continue
            entries = {key: value for key, value in _flat(card) if key not in parameters}
            part = {"part": _part(path.parent, record)} if path.name == CARD else {}
            rows.append({"run": _name(path.parent, folder)} | parameters | part | entries | error)
            called |= parameters.keys()
            given |= {*parameters, *part, *(key for key in entries if key.split(".")[0] in GIVEN)}
        if not cards and not records:
            troubles.append(f"{folder}: no {CARD} and no {RECORD}; nothing was trained there.")
    return Runs(rows, frozenset(given), frozenset(called), troubles)


def add_metrics(run_dir: str | os.PathLike[str], **metrics: float) -> None:
    """Put numbers about a trained run beside its card, for :func:`collect`; a name given again is replaced.

    Raises:
        ValueError: something that is not a number.
    """
    path = expand(run_dir) / METRICS
    known = _optional(path, []).get("metrics", {})
    if wrong := [name for name, value in metrics.items() if not _is_number(float(value))]:
        raise ValueError(f"Metrics must be finite numbers; not finite: {', '.join(wrong)}.")
    new = {name: float(value) for name, value in metrics.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, json.dumps({"metrics": {**known, **new}}, indent=2) + "\n")


def _record_of(card: Path, folder: Path) -> Path | None:
    """The nearest record above a card, up to the folder that was asked for."""
    for parent in card.parents:
        if (parent / RECORD).exists():
            return parent / RECORD
        if parent == folder:
            break
    return None


def _parameters(record: Path | None, troubles: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a lesson was given, and its error if it failed."""
    content = _read(record, troubles) if record else {}
    parameters = content.get("parameters")
    error = content.get("error")
    return (parameters if isinstance(parameters, dict) else {}), ({"error": error} if error else {})


def _optional(path: Path, troubles: list[str]) -> dict[str, Any]:
    return _read(path, troubles) if path.exists() else {}


def _read(path: Path, troubles: list[str]) -> dict[str, Any]:
    """A JSON object, empty with a sentence among the troubles if there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict):
            return content
        reason = "it holds no JSON object"
    except (OSError, ValueError) as error:
        reason = type(error).__name__
    sentence = f"{path} cannot be read ({reason}): train that run again."
    if sentence not in troubles:
        troubles.append(sentence)
    return {}


def _flat(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Entries of nested objects by dotted names: lists of objects by their names, other lists as texts."""
    for key, value in content.items():
        if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
            value = {str(each.get("name", place)): each for place, each in enumerate(value)}
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, " ".join(map(str, value)) if isinstance(value, list) else value


def _name(run: Path, folder: Path) -> str:
    return (Path(folder.name) / run.relative_to(folder)).as_posix()


def _part(run: Path, record: Path | None) -> str:
    """Which training of a lesson it is: its folder below the lesson's `run`."""
    return "" if record is None else "/".join(run.relative_to(record.parent).parts[1:])


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _written(row: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in row.items():
        name = _plain(name)
        if isinstance(value, Spread):
            yield from (
                (f"{name}.mean", value.mean),
                (f"{name}.deviation", value.deviation),
                (f"{name}.n", value.n),
            )
        else:
            yield name, _plain(value)


def _plain(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t")) else value
