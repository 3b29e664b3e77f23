"""What is known of photographs beforehand: a table of labels and an array of landmarks."""

from __future__ import annotations

import csv
import io
import posixpath
import re
import unicodedata
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facecomp_lib.faces.splits import SPLITS
from facecomp_lib.utils.checks import check_landmarks, kind_of
from facecomp_lib.utils.files import damaged, printable

__all__ = ["Table", "read_side_files"]


@dataclass(frozen=True)
class Table:
    """What the side files know, one row per image they name.

    Attributes:
        row_of: image -> row.
        labelled: whether there is a labels file; an image that it does not name is rejected then.
        people: int64 ``[N]`` or None.
        splits: names of the splits ``[N]``, or None.
        truths: bool ``[N, k]``, in the order of ``attributes``.
        numbers: float32 ``[N, m]``, NaN where unknown, in the order of ``scalars``.
        landmarks: float32 ``[N, 68, 2]`` or None.
    """

    row_of: dict[str, int]
    labelled: bool = False
    attributes: tuple[str, ...] = ()
    scalars: tuple[str, ...] = ()
    people: NDArray[np.int64] | None = None
    splits: NDArray[np.str_] | None = None
    truths: NDArray[np.bool_] | None = None
    numbers: NDArray[np.float32] | None = None
    landmarks: NDArray[np.float32] | None = None


def read_side_files(
    contents: Mapping[str, bytes], labels: str | None, landmarks: str | None, names: Sequence[str]
) -> Table:
    table = Table({name: row for row, name in enumerate(names)})
    if labels is not None:
        table = _read_labels(contents[labels], labels, names)
    if landmarks is not None:
        points = _read_points(contents[landmarks], landmarks)
        rows, of = (
            (len(names), "images") if table.truths is None else (len(table.truths), f"rows of {labels}")
        )
        if len(points) != rows:
            raise ValueError(f"{landmarks} holds {len(points)} faces for {rows} {of}: give one for each.")
        table = replace(table, landmarks=points)
    return table


def _read_labels(data: bytes, file: str, names: Sequence[str]) -> Table:
    columns = _read_columns(data, file)
    files = columns.pop("file")
    row_of = _match(files, names)
    _report_rows(files, row_of, file)
    people = None if "identity" not in columns else _numbered(columns.pop("identity"))
    splits = None if "split" not in columns else _read_splits(columns.pop("split"), people, file)
    read = {column: _read_column(values) for column, values in columns.items()}
    truths = {
        column: values for column, values in read.items() if values is not None and values.dtype == bool
    }
    numbers = {
        column: values for column, values in read.items() if values is not None and values.dtype != bool
    }
    _check_columns(truths, numbers, file)
    return Table(
        row_of=row_of,
        labelled=True,
        attributes=tuple(truths),
        scalars=tuple(numbers),
        people=people,
        splits=splits,
        truths=np.array(list(truths.values()), dtype=bool).reshape(len(truths), len(files)).T,
        numbers=np.array(list(numbers.values()), dtype=np.float32).reshape(len(numbers), len(files)).T,
    )


def _read_columns(data: bytes, file: str) -> dict[str, list[str]]:
    """The columns of a CSV table, as texts."""
    with damaged(file, "save it as a CSV table in UTF-8"):
        table = [row for row in csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")) if row]
    header, rows = (table[0], table[1:]) if table else ([], [])
    if "file" not in header or len(set(header)) < len(header):
        raise ValueError(
            f"{file} must be a CSV table with a column 'file', each name once and commas in between, not "
            f"{','.join(header)[:80]!r}."
        )
    if not rows or any(len(row) != len(header) for row in rows):
        raise ValueError(f"{file} must have rows, and all of equal length.")
    return {column: [row[place] for row in rows] for place, column in enumerate(header)}


def _report_rows(files: Sequence[str], row_of: Mapping[str, int], file: str) -> None:
    """Say which rows are of no use; refuse a table that fits no image at all."""
    met = set(row_of.values())
    unmet = [name for row, name in enumerate(files) if row not in met]
    if not unmet:
        return
    examples = " and ".join(repr(name) for name in unmet[:2])
    sentence = f"{len(unmet)} of {len(files)} rows of {file} name no image of their own, such as {examples}"
    if not met:
        raise ValueError(f"{sentence}: give paths as seen from the folder or zip file, such as 'sub/a.jpg'.")
    warnings.warn(f"{sentence}.", UserWarning, stacklevel=2)


def _check_columns(
    truths: Mapping[str, NDArray[Any]], numbers: Mapping[str, NDArray[Any]], file: str
) -> None:
    from facecomp_lib.faces.store import arrow_schema

    try:
        arrow_schema(list(truths), list(numbers))
    except ValueError as error:
        raise ValueError(f"{file}: {error} Rename the column.") from error
    for column, values in numbers.items():
        if np.isinf(values).any():
            raise ValueError(f"{file}: the column {column!r} has infinite numbers: leave unknown ones empty.")


def _read_points(data: bytes, name: str) -> NDArray[np.float32]:
    with damaged(name, "save an array of numbers with numpy.save"):
        points = np.load(io.BytesIO(data), allow_pickle=False)
    check_landmarks(points, ("N", 68, 2), name, finite=False)
    if points.dtype.kind not in "fiu":
        raise ValueError(f"{name} must hold numbers, not {kind_of(points)}.")
    with np.errstate(over="ignore"):
        return points.astype(np.float32)


def _match(files: Sequence[str], names: Sequence[str]) -> dict[str, int]:
    """Image -> the row of the labels that means it: the first of these rules under which they agree.

    The whole name as it is; written in another way (:func:`_text`); in capitals or not; then the same for the
    last part of the image's name. An image that two rows mean under one rule belongs to the last of them.
    """
    row_of: dict[str, int] = {}
    open_rows = dict(enumerate(files))
    for last in (False, True):
        for key in _KEYS:
            image_of: dict[str, str | None] = {}
            for name in names:  # None where two images have one key
                text = key(posixpath.basename(name) if last else name)
                image_of[text] = None if text in image_of else name
            rows = {row: image_of.get(key(file)) for row, file in open_rows.items()}
            new = {image: row for row, image in rows.items() if image is not None and image not in row_of}
            open_rows = {row: file for row, file in open_rows.items() if rows[row] not in new}
            row_of |= new
    return row_of


def _text(name: str) -> str:
    """A name without what systems write differently: accents apart from letters, ``\\``, ``./``."""
    return posixpath.normpath(unicodedata.normalize("NFC", printable(name).strip().replace("\\", "/")))


_KEYS: tuple[Callable[[str], str], ...] = (str, _text, lambda name: _text(name).casefold())
_SPLITS = {"0": "train", "1": "val", "2": "test", "valid": "val", "validation": "val"} | {
    name: name for name in SPLITS
}  # the numbers are those of CelebA's partition file


def _read_splits(values: Sequence[str], people: NDArray[np.int64] | None, file: str) -> NDArray[np.str_]:
    """The given split of each row, one for each person."""
    unknown = next((value for value in values if value.strip().lower() not in _SPLITS), None)
    if unknown is not None:
        raise ValueError(f"{file}: split must be one of {', '.join(_SPLITS)}, not {unknown[:80]!r}.")
    splits = np.array([_SPLITS[value.strip().lower()] for value in values])
    if people is not None:
        of_person: dict[int, str] = {}
        for person, split in zip(people.tolist(), splits.tolist(), strict=True):
            if of_person.setdefault(person, split) != split:
                raise ValueError(
                    f"{file}: person {person} is in {of_person[person]} and in {split}: split by identity."
                )
    return splits


_TRUTHS = {"1": True, "true": True, "0": False, "-1": False, "false": False}


def _read_column(values: Sequence[str]) -> NDArray[Any] | None:
    """A column of truth values (bool), or of numbers (float32, NaN where empty); None for text."""
    texts = [value.strip().lower() for value in values]
    if all(text in _TRUTHS for text in texts):
        return np.array([_TRUTHS[text] for text in texts])
    try:
        with np.errstate(over="ignore"):
            return np.array([float(text) if text else np.nan for text in texts]).astype(np.float32)
    except ValueError:
        return None


def _numbered(people: Sequence[str]) -> NDArray[np.int64]:
    """Whole numbers stay; names are numbered in alphabetical order."""
    if all(re.fullmatch(r"\d{1,9}", person.strip()) for person in people):
        return np.array([int(person) for person in people])
    return np.unique(np.array(people), return_inverse=True)[1].astype(np.int64)
