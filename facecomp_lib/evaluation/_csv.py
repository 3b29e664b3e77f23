"""A comparison as a CSV file: a row per image, a column per measure.

Numbers of a whole set stand in a row without an image; what was not measured is empty.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Sequence

import numpy as np

from facecomp_lib.utils.files import atomic_write

__all__ = ["read", "write"]

KEYS = ("method", "hole", "picture")
Row = tuple[str, str, str, list[float]]  # method, hole, image's number or "", one number per measure


def write(path: str | os.PathLike[str], measures: Sequence[str], rows: Iterable[Row]) -> None:
    """Write the file whole or not at all; numbers keep all their digits."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*KEYS, *measures])
    for *key, numbers in rows:
        writer.writerow([*key, *("" if np.isnan(number) else repr(float(number)) for number in numbers)])
    atomic_write(path, text.getvalue())


def read(path: str | os.PathLike[str]) -> tuple[list[str], list[Row]]:
    """The measures and the rows of a file that :func:`write` wrote.

    Raises:
        FileNotFoundError: no such file. ValueError: another file, or a damaged line, named by its number.
    """
    with open(path, encoding="utf-8", errors="replace", newline="") as file:
        reader = csv.reader(file)
        try:
            header = next(reader, [])
            measures = header[len(KEYS) :]
            if tuple(header[: len(KEYS)]) != KEYS or not measures:
                raise ValueError(f"{path} holds no comparison: it must begin {','.join(KEYS)},...")
            return measures, [_row(row, measures, f"{path}, line {reader.line_num}") for row in reader]
        except csv.Error as error:
            raise ValueError(f"{path} is no CSV file ({error}).") from error


def _row(row: list[str], measures: list[str], place: str) -> Row:
    try:
        method, hole, image, *texts = row
        if len(texts) != len(measures) or not method or not hole:
            raise ValueError
        return method, hole, image, [float(text) if text else np.nan for text in texts]
    except ValueError:
        raise ValueError(
            f"{place} is damaged: method, hole, image and {len(measures)} numbers are needed."
        ) from None
