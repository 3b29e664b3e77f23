"""Scores of several training runs in one small file, so that a claim can be judged again without training.

A compressed CSV with a row per run, method, hole and image: who the image shows, then a column per
measure. Recorded ones travel with the course in ``facecomp_lib/results``, each with a JSON card beside it.
Of photographs, only means do: they are rows of a card.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facecomp_lib.evaluation.bootstrap import Estimate
from facecomp_lib.evaluation.comparison import Comparison
from facecomp_lib.evaluation.table import Table
from facecomp_lib.utils.files import atomic_write

__all__ = ["load_runs", "recorded", "recorded_means", "save_runs"]

FOLDER = Path(__file__).parent.parent / "results"
KEYS = ("run", "method", "hole", "picture", "person")


def save_runs(
    path: str | os.PathLike[str], runs: Mapping[int, Comparison], digits: int | Mapping[str, int] = 4
) -> None:
    """Write the scores of each run; the file appears whole or not at all, and equal scores are equal bytes.

    Args:
        path: ending in ``.csv.gz``.
        runs: training seed -> comparison; numbers of a whole set (KID) are left out.
        digits: significant ones that are kept; or measure -> digits, 4 for measures that it lacks.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    cells = {(seed, *key): scores for seed, run in runs.items() for key, scores in _cells(run).items()}
    measures = list(dict.fromkeys(name for scores in cells.values() for name in scores))
    kept = [digits if isinstance(digits, int) else digits.get(name, 4) for name in measures]
    writer.writerow([*KEYS, *measures])
    for key, scores in cells.items():
        count = len(next(iter(scores.values())))
        groups = runs[key[0]].groups
        columns = [scores.get(name, np.full(count, np.nan)) for name in measures]
        for image, person in enumerate(range(count) if groups is None else groups.tolist()):
            numbers = (_text(column[image], keep) for column, keep in zip(columns, kept, strict=True))
            writer.writerow([*key, image, person, *numbers])
    atomic_write(path, gzip.compress(text.getvalue().encode(), mtime=0))


def _cells(run: Comparison) -> dict[tuple[str, str], dict[str, NDArray[np.float64]]]:
    """(Method, hole) -> measure -> one number per image."""
    cells = {}
    for key in run.pairs:
        scores = {name: run.values(name, *key) for name in run.measures}
        count = max(map(len, scores.values()))  # a number of the whole set stands alone
        cells[key] = {name: values for name, values in scores.items() if len(values) == count}
    return cells


def _text(number: float, digits: int) -> str:
    return "" if np.isnan(number) else f"{number:.{digits}g}"


def load_runs(path: str | os.PathLike[str]) -> dict[int, Comparison]:
    """What :func:`save_runs` wrote: training seed -> comparison, whose intervals count people.

    Raises:
        FileNotFoundError: no such file. ValueError: another or a damaged file.
    """
    try:
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        if tuple(header[: len(KEYS)]) != KEYS:
            raise ValueError("its columns are others")
        return _comparisons(header[len(KEYS) :], rows)
    except (EOFError, ValueError, csv.Error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} holds no recorded runs ({error}): fetch it again.") from error


def _comparisons(measures: list[str], rows: list[list[str]]) -> dict[int, Comparison]:
    blocks: dict[tuple[int, str, str], list[list[float]]] = {}
    people: dict[int, int] = {}
    for run, method, hole, image, person, *texts in rows:
        numbers = [float(text) if text else np.nan for text in texts]
        blocks.setdefault((int(run), method, hole), []).append(numbers)
        people[int(image)] = int(person)
    groups = [people[image] for image in sorted(people)]
    runs: dict[int, Comparison] = {}
    for (seed, name, kind), table in blocks.items():
        scores = dict(zip(measures, np.array(table).T, strict=True))
        runs.setdefault(seed, Comparison(groups=groups)).add(name, kind, scores)
    return runs


def recorded(name: str) -> tuple[dict[int, Comparison], dict[str, Any]]:
    """Runs that travel with the course, and the card that says how they were made.

    Args:
        name: ``"gfc_models"``, say.

    Raises:
        FileNotFoundError: nothing of that name; the sentence lists what there is.
    """
    table = FOLDER / f"{name}.csv.gz"
    if not table.exists():
        raise _missing(name, sorted(FOLDER.glob("*.csv.gz")))
    return load_runs(table), _card(name)


def recorded_means(
    name: str, holes: Iterable[str] | None = None
) -> tuple[dict[str, dict[str, Table]], dict[str, Any]]:
    """Means of photographs that travel with the course, and the card that says how they came about.

    Args:
        name: ``"gfc_photos_64"``, say.
        holes: those that the tables are to show, by default all.

    Returns:
        Name of the faces -> measure -> table, a fill in each row; the card without its rows.

    Raises:
        FileNotFoundError: nothing of that name; the sentence lists what there is.
    """
    card = _card(name)
    rows = card.pop("rows", None)
    if rows is None:
        raise _missing(name, (path for path in FOLDER.glob("*.json") if b'"rows"' in path.read_bytes()))
    wanted = tuple(dict.fromkeys(row["hole"] for row in rows) if holes is None else holes)
    tables: dict[str, dict[str, Table]] = {}
    for faces, measure in dict.fromkeys((row["faces"], row["measure"]) for row in rows):
        cells = {
            (row["fill"], row["hole"]): Estimate(row["mean"], row["low"], row["high"], row["n"])
            for row in rows
            if (row["faces"], row["measure"]) == (faces, measure) and row["hole"] in wanted
        }
        fills = tuple(dict.fromkeys(fill for fill, _ in cells))
        tables.setdefault(faces, {})[measure] = Table(measure, fills, wanted, cells, rows="methods")
    return tables, card


def _card(name: str) -> dict[str, Any]:
    path = FOLDER / f"{name}.json"
    if not path.exists():
        raise _missing(name, sorted(FOLDER.glob("*.json")))
    card: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return card


def _missing(name: str, files: Iterable[Path]) -> FileNotFoundError:
    there = ", ".join(sorted(path.name.partition(".")[0] for path in files)) or "none yet"
    return FileNotFoundError(f"Nothing recorded as {name!r} travels with the course; there are: {there}.")
