"""Collections of images, as people keep them: a folder or a zip file, with tables of labels beside.

Nothing is ever unpacked to disk: a zip's members are read into memory, and their names are only names.
"""

from __future__ import annotations

import collections
import csv
import hashlib
import io
import re
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facecomp_lib.utils.checks import check_landmarks

__all__ = ["SUFFIXES", "ImageSource", "Table", "read_side_files", "sha256"]

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}
MAX_FILE_MEGABYTES = 300


def sha256(data: bytes) -> str:
    """The digest in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


class ImageSource:
    """The images of a folder or a zip file, by name. Nothing is unpacked: members are read into memory."""

    def __init__(self, source: Path) -> None:
        self.source = source
        self._zip: zipfile.ZipFile | None = None
        if source.is_dir():
            found = [file.relative_to(source).as_posix() for file in source.rglob("*") if file.is_file()]
        elif source.is_file():
            try:
                self._zip = zipfile.ZipFile(source)
            except zipfile.BadZipFile as error:
                raise ValueError(f"{source} is neither a folder nor a whole zip file ({error}).") from error
            found = [info.filename for info in self._zip.infolist() if not info.is_dir()]
        else:
            raise FileNotFoundError(f"There is no folder or zip file {source}.")
        self.names = sorted({name for name in found if _is_image(name)})

    def __enter__(self) -> ImageSource:
        return self

    def __exit__(self, *_: object) -> None:
        if self._zip is not None:
            self._zip.close()

    def read(self, name: str) -> bytes:
        """The bytes of one file.

        Raises:
            ValueError: it is unreasonably large or damaged.
        """
        try:
            size = self._zip.getinfo(name).file_size if self._zip else (self.source / name).stat().st_size
            if size > MAX_FILE_MEGABYTES * 1e6:
                raise ValueError(f"{name} is larger than {MAX_FILE_MEGABYTES} MB.")
            return self._zip.read(name) if self._zip else (self.source / name).read_bytes()
        except (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
            raise ValueError(f"{name} cannot be read ({error}).") from error

    def digest(self, name: str) -> str:
        """SHA-256 of a file; its name's where it cannot be read."""
        try:
            return sha256(self.read(name))
        except ValueError:
            return sha256(name.encode())

    def side_file(self, name: str) -> bytes:
        """A file from disk, or the member of that name."""
        if Path(name).is_file():
            return Path(name).read_bytes()
        if self._zip is not None and name in self._zip.namelist():
            return self.read(name)
        raise FileNotFoundError(f"There is no file {name}.")


def _is_image(name: str) -> bool:
    parts = re.split(r"[/\\]", name)
    hidden = any(part.startswith(".") for part in parts if part not in (".", "..")) or "__MACOSX" in parts
    return Path(name).suffix.lower() in SUFFIXES and not hidden


@dataclass(frozen=True)
class Table:
    """What the side files know, one row per image they name.

    Attributes:
        row_of: image -> row.
        labelled: whether there is a labels file; an image that it does not name is rejected then.
        people: int64 ``[N]`` or None.
        truths: bool ``[N, k]``, in the order of ``attributes``.
        numbers: float32 ``[N, m]``, NaN where unknown, in the order of ``scalars``.
        landmarks: float32 ``[N, 68, 2]`` or None.
    """

    row_of: dict[str, int]
    labelled: bool = False
    attributes: tuple[str, ...] = ()
    scalars: tuple[str, ...] = ()
    people: NDArray[np.int64] | None = None
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
        rows = len(names) if table.truths is None else len(table.truths)
        if len(points) != rows:
            raise ValueError(f"{landmarks} holds {len(points)} faces for {rows} images: give one row each.")
        table = replace(table, landmarks=points)
    return table


def _read_labels(data: bytes, file: str, names: Sequence[str]) -> Table:
    try:
        rows = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{file} is not a CSV file in UTF-8 ({error}).") from error
    if not rows or "file" not in rows[0] or any(None in row or None in row.values() for row in rows):
        raise ValueError(f"{file} must be a CSV table with a column 'file' and rows of equal length.")
    columns = {column: [row[column] for row in rows] for column in rows[0]}
    images = _match(columns.pop("file"), names)
    people = columns.pop("identity", None)
    read = {column: _read_column(values) for column, values in columns.items()}
    truths = {
        column: values for column, values in read.items() if values is not None and values.dtype == bool
    }
    numbers = {
        column: values for column, values in read.items() if values is not None and values.dtype != bool
    }
    return Table(
        row_of={name: row for row, name in enumerate(images) if name is not None},
        labelled=True,
        attributes=tuple(truths),
        scalars=tuple(numbers),
        people=None if people is None else _numbered(people),
        truths=np.array(list(truths.values()), dtype=bool).reshape(len(truths), len(rows)).T,
        numbers=np.array(list(numbers.values()), dtype=np.float32).reshape(len(numbers), len(rows)).T,
    )


def _read_points(data: bytes, name: str) -> NDArray[np.float32]:
    try:
        points = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f"{name} is not an array file (.npy) of numbers.") from error
    check_landmarks(points, ("N", 68, 2), name, finite=False)
    return points.astype(np.float32)


def _match(files: Sequence[str], names: Sequence[str]) -> list[str | None]:
    """The image that each row of the labels means: by its whole name, or else by its last part."""
    whole = set(names)
    last = collections.Counter(name.rsplit("/", 1)[-1] for name in names)
    by_last = {name.rsplit("/", 1)[-1]: name for name in names}
    return [file if file in whole else by_last[file] if last[file] == 1 else None for file in files]


_TRUTHS = {"1": True, "true": True, "0": False, "-1": False, "false": False}


def _read_column(values: Sequence[str]) -> NDArray[Any] | None:
    """A column of truth values (bool), or of numbers (float32, NaN where empty); None for text."""
    texts = [value.strip().lower() for value in values]
    if all(text in _TRUTHS for text in texts):
        return np.array([_TRUTHS[text] for text in texts])
    try:
        return np.array([float(text) if text else np.nan for text in texts], dtype=np.float32)
    except ValueError:
        return None


def _numbered(people: Sequence[str]) -> NDArray[np.int64]:
    """Whole numbers stay; names are numbered in alphabetical order."""
    if all(re.fullmatch(r"\d{1,9}", person.strip()) for person in people):
        return np.array([int(person) for person in people])
    return np.unique(np.array(people), return_inverse=True)[1].astype(np.int64)
