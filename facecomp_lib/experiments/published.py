"""What the papers print: their tables, typed in once, as data.

A file ``experiments/<paper>/published.yaml`` holds every printed table of measurements whole, with the rows
and columns that this course does not use. Numbers that stand in the text only are tables with a word for a
name. The classes below say what a file may hold.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from facecomp_lib.utils.checks import shown
from facecomp_lib.utils.yaml_files import read_yaml

__all__ = ["METRICS", "PublishedTables", "Table", "load_published", "published"]

#: Where the files are: in the repository, not in the package.
EXPERIMENTS = Path(__file__).parents[2] / "experiments"

#: Names of metrics that a file may use.
METRICS = (
    *("psnr", "ssim", "l1", "lpips", "fid", "identity", "dice", "f_score", "landmark_error", "nme"),
    *("accuracy", "accuracy_gain", "vote_share", "prefilled", "time", "training_time", "parameters"),
    "image_size",
)

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class _Part(BaseModel):
    """A part of a file: it refuses fields that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Values(_Part):
    """The numbers of one metric.

    Attributes:
        unit: as printed: "%", "dB", "px", "ms" ... or "" for a plain number.
        better: which numbers are better; None where neither is.
        rows, columns: labels of this metric alone, where they differ from the table's.
        values: one list for each row, one number for each column; None where the paper prints none.
    """

    unit: str
    better: Literal["higher", "lower"] | None
    rows: tuple[str, ...] | None = None
    columns: tuple[str, ...] | None = None
    values: tuple[tuple[Number | None, ...], ...]


class Table(_Part):
    """A printed table.

    Attributes:
        source: "table", or "text" for numbers that stand in a sentence.
        page: of the paper as a file, from 1; None where our copy does not tell.
        section: of the paper.
        caption: what the table shows, in our words.
        data: what was averaged over.
        images: how many images, None if the paper does not say.
        note: what else a reader has to know.
        methods_in: whether the methods are the printed rows or the printed columns.
        rows, columns: the printed labels.
        metrics: the numbers by the name of the metric.
    """

    source: Literal["table", "text"] = "table"
    page: int | None
    section: str
    caption: str
    data: str
    images: int | None
    note: str = ""
    methods_in: Literal["rows", "columns"]
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    metrics: dict[str, Values]

    @model_validator(mode="after")
    def _check(self) -> Table:
        for name, metric in self.metrics.items():
            if name not in METRICS:
                raise ValueError(f"unknown metric {name!r}; known are {', '.join(METRICS)}")
            rows, columns = self.labels(name)
            for kind, labels in (("row", rows), ("column", columns)):
                for label in labels:
                    if labels.count(label) > 1:
                        raise ValueError(f"{kind} {label!r} occurs {labels.count(label)} times in {name!r}")
            if len(metric.values) != len(rows):
                raise ValueError(f"{name!r} has {len(metric.values)} rows of values for {len(rows)} labels")
            for row, values in zip(rows, metric.values, strict=True):
                if len(values) != len(columns):
                    raise ValueError(
                        f"row {row!r} of {name!r} has {len(values)} values for {len(columns)} columns"
                    )
        return self

    def labels(self, metric: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The printed rows and columns of a metric."""
        own = self.metrics[metric]
        return own.rows or self.rows, own.columns or self.columns

    def tidy(self) -> pd.DataFrame:
        """One line for each printed cell: row (the method), column, metric, value."""
        lines: list[tuple[str, str, str, float]] = []
        for name, metric in self.metrics.items():
            methods, places = self.labels(name)
            values = np.array(metric.values, dtype=float)  # [rows, columns], None becomes NaN
            if self.methods_in == "columns":
                methods, places, values = places, methods, values.T
            if metric.unit == "%":
                values = (values / 100).round(10)  # as fractions; rounded, so that 94.1 gives 0.941
            for method, numbers in zip(methods, values.tolist(), strict=True):
                for place, number in zip(places, numbers, strict=True):
                    lines.append((method, place, name, number))
        return pd.DataFrame(lines, columns=["row", "column", "metric", "value"])


class PublishedTables(_Part):
    """All tables of a paper.

    Attributes:
        paper: its short name, as the folder is called.
        title: of the paper.
        tables: by printed number ("1", "II"), or by a word for numbers of the text.
        other_tables: printed tables without measurements (layers of networks), and what they hold.
    """

    paper: str
    title: str
    tables: Annotated[dict[str, Table], Field(min_length=1)]
    other_tables: dict[str, str] = {}


def published(paper: str, table: str | int | None = None) -> pd.DataFrame:
    """What a paper prints, as a tidy data frame: one line for each cell of its tables.

    Its columns: ``paper``, ``table`` (the printed number as text, or a word), ``row`` (the method or variant
    as printed), ``column`` (the mask, part or data set as printed), ``metric``, and ``value``, which is NaN
    where the paper leaves the cell empty. Values are on the scale of :mod:`facecomp_lib.evaluation`: what a
    paper prints in per cent is a fraction. Printed averages are cells like the others (column "Average").

    Args:
        paper: its short name: "gfc", "collagan", "lafin", "oracle" or "symmfc".
        table: one table only, by its printed number (2, "2", "II"), or its word.

    Raises:
        FileNotFoundError: the experiments folder, or the paper's file in it, is missing.
        ValueError: there is no such table, or the file has a mistake.
    """
    tables = load_published(paper).tables
    if table is not None and str(table) not in tables:
        raise ValueError(f"{paper!r} has no table {str(table)!r}; there are {', '.join(tables)}.")
    names = list(tables) if table is None else [str(table)]
    frames = [tables[name].tidy().assign(paper=paper, table=name) for name in names]
    columns = ["paper", "table", "row", "column", "metric", "value"]
    return pd.concat(frames, ignore_index=True)[columns]


def load_published(paper: str, folder: Path = EXPERIMENTS) -> PublishedTables:
    """The tables of a paper as they are printed, with pages, captions, units and directions.

    Args:
        paper: its short name.
        folder: that holds ``<paper>/published.yaml``.

    Raises:
        FileNotFoundError: the folder or the file is missing.
        ValueError: the file has a mistake; the message names the file, the place and the mistake.
    """
    if not folder.is_dir():
        raise FileNotFoundError(
            f"The experiments folder {folder} is missing: it comes with the course's repository, not with "
            "the installed package. Work in a clone of the repository."
        )
    path = folder / paper / "published.yaml"
    if not path.is_file():
        known = sorted(file.parent.name for file in folder.glob("*/published.yaml"))
        raise FileNotFoundError(f"No published tables of {paper!r}; there are: {', '.join(known) or 'none'}.")
    try:
        tables = PublishedTables.model_validate(read_yaml(path))
    except ValidationError as error:
        raise ValueError(f"{path}, {_first(error)}.") from None
    if tables.paper != paper:
        raise ValueError(f"{path}, paper: it says {tables.paper!r}, but the folder is called {paper!r}.")
    return tables


def _first(error: ValidationError) -> str:
    """The place of the first mistake and what it is: ``tables.1.page: field is missing``."""
    mistake = error.errors()[0]
    place = ".".join(str(part) for part in mistake["loc"]) or "the whole file"
    if mistake["type"] == "extra_forbidden":
        return f"{place}: this field is unknown"
    if mistake["type"] == "missing":
        return f"{place}: this field is missing"
    if mistake["type"] == "value_error":
        return f"{place}: {mistake['ctx']['error']}"
    return f"{place}: {mistake['msg'].lower()}, not {shown(mistake['input'])}"
