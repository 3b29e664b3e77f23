"""What an experiment left: every score in one tidy data frame, a card that says how they came about, figures.

A file ``experiments/<paper>/results/<experiment>.csv.gz`` has a row per variant, seed, data set, mask and
face, and a column per metric; empty is what was not measured. A row with index -1 holds numbers of the whole
set. Of photographs, whose faces are not ours to tell apart, only means are recorded, with their intervals.
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from facecomp_lib.experiments.paths import ROOT
from facecomp_lib.utils.files import atomic_write, damaged, read_bytes, read_json

__all__ = ["Results", "load", "save"]

KEYS = ["variant", "seed", "dataset", "mask", "index", "identity"]
FILE_KEYS = [*KEYS[:-1], "person"]  # in a file, identity is the name of a metric
WORDS = ("experiment", "variant", "method", "dataset", "mask")
_MEGABYTES, _UNPACKED = 64, 200_000_000  # the largest record that we have takes 0.4 MB, unpacked 2.3
MEANS = ["variant", "dataset", "mask", "metric", "n", "mean", "low", "high"]


@dataclass(frozen=True, eq=False)
class Results:
    """What an experiment left.

    Attributes:
        name: as in ``lafin/ablation``.
        scores: a row per number: ``experiment, variant, seed, dataset, mask, index, identity, metric,
            value``; of photographs a row per mean: ``experiment, variant, dataset, mask, metric, n, mean,
            low, high``.
        card: how the scores came about.
        images: file's name without its ending -> path of a recorded figure.
    """

    name: str
    scores: pd.DataFrame
    card: dict[str, Any]
    images: dict[str, Path] = field(default_factory=dict)

    def __repr__(self) -> str:
        variants = ", ".join(dict.fromkeys(self.scores["variant"]))
        return f"Results({self.name!r}: {len(self.scores):,} rows; variants {variants})"


def load(name: str, root: Path = ROOT) -> Results:
    """Results that were recorded.

    Args:
        name: paper and experiment, ``"lafin/ablation"``.
        root: the folder of experiments.

    Raises:
        FileNotFoundError: nothing of that name; the sentence lists what there is. ValueError: another or a
            damaged file.
    """
    paper, _, experiment = name.partition("/")
    folder = root / paper / "results"
    path = folder / f"{experiment}.csv.gz"
    if not path.is_file():
        there = sorted(
            f"{one.parts[-3]}/{one.name.removesuffix('.csv.gz')}" for one in root.glob("*/results/*.csv.gz")
        )
        raise FileNotFoundError(
            f"There are no results {name!r} in {root}; there are: {', '.join(there) or 'none'}."
        )
    table = read_table(path)
    if list(table.columns) == MEANS:
        scores = table
    elif list(table.columns[: len(KEYS)]) == FILE_KEYS:
        scores = table.melt(FILE_KEYS, var_name="metric").dropna(subset="value", ignore_index=True)
        scores = scores.rename(columns={"person": "identity"})
    else:
        raise ValueError(f"{path} holds no results: its columns must begin {', '.join(FILE_KEYS)}.")
    numbers = [column for column in scores if column not in (*WORDS, "metric")]
    if odd := [column for column in numbers if not pd.api.types.is_numeric_dtype(scores[column])]:
        raise ValueError(f"{path} holds no results: there are texts among the numbers of {odd[0]!r}.")
    scores.insert(0, "experiment", name)
    card = folder / f"{experiment}.json"
    content = read_json(card, "fetch it again") if card.exists() else {}
    if not isinstance(content, dict):
        raise ValueError(f"{card} is no card: it holds no object. Fetch it again.")
    figures = [*folder.glob(f"{experiment}.webp"), *sorted(folder.glob(f"{experiment}_*.webp"))]
    return Results(
        name,
        scores,
        content,
        {figure.stem: figure for figure in figures},
    )


def read_table(path: Path) -> pd.DataFrame:
    """The table in a ``.csv.gz``; only empty cells are missing values, and a name may look like a number.

    Raises:
        ValueError: the file is damaged, or much larger than it should be.
    """
    data = read_bytes(path, _MEGABYTES)
    with damaged(path, "fetch it again, or run the experiment again"):
        with gzip.open(io.BytesIO(data)) as file:
            text = file.read(_UNPACKED + 1)
        if len(text) > _UNPACKED:
            raise ValueError(f"it unpacks to more than {_UNPACKED // 10**6} MB")
        return pd.read_csv(
            io.BytesIO(text), keep_default_na=False, na_values=[""], dtype=dict.fromkeys(WORDS, str)
        )


def save(results: Results, root: Path = ROOT, digits: int | Mapping[str, int] = 4) -> Path:
    """Write scores and card where :func:`load` finds them; equal scores are equal bytes.

    Args:
        results: figures are not copied.
        root: the folder of experiments.
        digits: significant ones that are kept; or metric -> digits, 4 for those that it lacks.

    Returns:
        The file of the scores. Each file appears whole or not at all, the card last.
    """
    paper, _, experiment = results.name.partition("/")
    folder = root / paper / "results"
    table = results.scores.drop(columns="experiment", errors="ignore")
    if "mean" not in table:
        order = pd.MultiIndex.from_frame(table[KEYS]).unique()
        table = table.pivot(index=KEYS, columns="metric", values="value")
        table = table.reindex(order)[list(dict.fromkeys(results.scores["metric"]))]
        for name in table:
            keep = digits if isinstance(digits, int) else digits.get(str(name), 4)
            table[name] = table[name].map(f"{{:.{keep}g}}".format, na_action="ignore")
        table.index.names = FILE_KEYS
        table = table.reset_index()
    path = folder / f"{experiment}.csv.gz"
    text = table.to_csv(index=False, lineterminator="\n")
    atomic_write(path, gzip.compress(text.encode(), mtime=0))
    card = json.dumps(results.card, indent=1, ensure_ascii=False)
    atomic_write(path.with_name(f"{experiment}.json"), card + "\n")
    return path
