"""Prepared data sets on disk: a folder with ``meta.json`` and Arrow files that are memory-mapped when read.

=============== ==================== ====================================================================
column          Arrow type           holds
=============== ==================== ====================================================================
name            string               where the image comes from, for people
split           string               ``train``, ``val`` or ``test``
identity        int32 or null        person, unique over all splits
image           binary               WebP, JPEG or PNG, ``size`` x ``size``
landmarks       136 x float32 / null 68 times (x, y)
parsing         binary / null        8-bit PNG of class numbers
pose            3 x float32 / null   yaw, pitch, roll in degrees
lamps           12 x float32 / null  two lamps: direction and colour
mirror_flow     binary / null        16-bit PNG, x above y offsets: 2**15 + 64 times pixels, 0 = invalid
light_ratio     binary / null        8-bit PNG at half size: 128 + 40 log2(ratio)
attributes      k x bool             in the order of ``attribute_names`` (column absent where there are none)
(each scalar)   float32 / null       further numbers, named in ``scalars``
=============== ==================== ====================================================================

Equal faces give equal bytes: no times, no host names. Files from elsewhere are checked, never unpickled.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from facecomp_lib.faces import codec
from facecomp_lib.faces.splits import SPLITS
from facecomp_lib.utils.checks import check_path, shown
from facecomp_lib.utils.files import damaged, read_json

__all__ = ["Store", "arrow_schema", "check_identities", "open_part", "part_name", "read_meta"]

FORMAT = "facecomp-faces"
FORMAT_VERSION = 1
META = "meta.json"
MAX_SIZE = 8192  # px
MAX_PARTS = 100_000
_AGAIN = "prepare the data set again"

Decoded = TypeVar("Decoded")


def arrow_schema(attribute_names: Sequence[str] = (), scalars: Sequence[str] = ()) -> pa.Schema:
    """The columns of a data set with these attributes and further numbers."""
    columns: dict[str, pa.DataType] = {
        "name": pa.string(),
        "split": pa.string(),
        "identity": pa.int32(),
        "image": pa.binary(),
        "landmarks": pa.list_(pa.float32(), 136),
        "parsing": pa.binary(),
        "pose": pa.list_(pa.float32(), 3),
        "lamps": pa.list_(pa.float32(), 12),
        "mirror_flow": pa.binary(),
        "light_ratio": pa.binary(),
    }
    for kind, names in (("attribute", attribute_names), ("scalar", scalars)):
        bad = [name for name in names if not isinstance(name, str) or name in columns or name == "attributes"]
        if bad or len(set(names)) < len(names):
            raise ValueError(f"{kind} names must be distinct and none of the columns' own: {list(names)}.")
    if attribute_names:
        columns["attributes"] = pa.list_(pa.bool_(), len(attribute_names))
    columns.update((name, pa.float32()) for name in scalars)
    return pa.schema(list(columns.items()))


def part_name(index: int) -> str:
    """The file name of part ``index``."""
    if not 0 <= index < MAX_PARTS:
        raise ValueError(f"Parts are numbered 0 ... {MAX_PARTS - 1}, not {index}.")
    return f"part-{index:05d}.arrow"


class Store:
    """A finished prepared data set, opened for reading; images are decoded one by one when asked for.

    Raises:
        FileNotFoundError: there is no such data set.
        ValueError: a file is damaged, unfinished or something else; the sentence names the file.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = check_path(folder, "folder")
        if not (self.folder / META).is_file():
            raise FileNotFoundError(
                f"No prepared data set at {self.folder} (no {META}): make one with "
                "data_scripts/prepare_folder.py or data_scripts/render_faces.py."
            )
        self.meta = read_meta(self.folder)
        if "parts" not in self.meta:
            raise ValueError(f"{self.folder} is unfinished: run the script that makes it again, it resumes.")
        _check_meta(self.folder / META, self.meta)
        self.size: int = self.meta["size"]
        self.attribute_names: tuple[str, ...] = tuple(self.meta["attribute_names"])
        self.scalars: tuple[str, ...] = tuple(self.meta["scalars"])
        with damaged(self.folder / META, _AGAIN):
            schema = arrow_schema(self.attribute_names, self.scalars)
        tables = [open_part(self.folder / name, schema, count) for name, count in self.meta["parts"]]
        self._table = pa.concat_tables(tables)
        check_identities(self._table, self.folder)
        self._starts = np.cumsum([0] + [table.num_rows for table in tables])

    def __len__(self) -> int:
        return int(self._table.num_rows)

    @property
    def version(self) -> str:
        """What identifies the data set: its maker's version, and a digest of ``meta.json``, which holds those
        of the parts. A data set of an earlier edition that has a version, but no digests, has that alone."""
        named = str(self.meta.get("version", ""))
        if named and "parts_sha256" not in self.meta:
            return named
        digest = hashlib.sha256(json.dumps(self.meta, sort_keys=True).encode()).hexdigest()[:12]
        return f"{named}-{digest}" if named else digest

    def column(self, name: str) -> NDArray[Any]:
        """One column of all faces: vectors ``[N, k]``, ``identity`` int64 (-1 unknown), text ``[N]``.

        Unknown floats are NaN.
        """
        column = self._table.column(name)
        if name in ("name", "split"):
            return np.array(column.to_pylist(), dtype=str)
        if name == "identity":
            return np.asarray(column.fill_null(-1).to_numpy(), np.int64)
        if pa.types.is_binary(column.type):
            raise ValueError(f"{name} is an image: use Store.decode.")
        if pa.types.is_floating(column.type):
            return np.asarray(column.to_numpy(zero_copy_only=False), np.float32)
        known = self.known(name)
        flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
        values = np.full(
            (len(self), column.type.list_size), np.nan if flat.dtype != bool else False, flat.dtype
        )
        values[known] = flat.reshape(-1, column.type.list_size)
        return values

    def known(self, name: str) -> NDArray[np.bool_]:
        """Which faces have this column, bool ``[N]``."""
        return np.asarray(self._table.column(name).is_valid().to_numpy(), bool)

    def encoded(self, name: str, row: int) -> memoryview:
        """The stored bytes of one image, empty where there is none; a view of the mapped file."""
        data = self._table.column(name)[row].as_buffer()
        return memoryview(b"" if data is None else data).cast("B")  # Arrow's buffers count as signed bytes

    def image(self, row: int, size: int) -> NDArray[np.uint8]:
        return self._decode("image", row, size, codec.decode_image)

    def parsing(self, row: int, size: int) -> NDArray[np.uint8]:
        return self._decode("parsing", row, size, codec.decode_parsing)

    def mirror_flow(self, row: int, size: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        return self._decode("mirror_flow", row, size, codec.decode_flow)

    def light_ratio(self, row: int, size: int) -> NDArray[np.float32]:
        return self._decode("light_ratio", row, size, codec.decode_light)

    def where(self, row: int) -> str:
        """File, row and name of a face, for messages."""
        part = int(np.searchsorted(self._starts, row, side="right")) - 1
        file = self.meta["parts"][part][0]
        number, name = row - int(self._starts[part]), self._table.column("name")[row]
        return f"{self.folder / file}, row {number} ({name})"

    def _decode(
        self, name: str, row: int, size: int, decoder: Callable[[memoryview, int, int], Decoded]
    ) -> Decoded:
        try:
            return decoder(self.encoded(name, row), self.size, size)
        except Exception as error:  # OpenCV raises errors of its own about damaged bytes
            raise ValueError(f"{name} of {self.where(row)}: {error}.") from error


def read_meta(folder: Path) -> dict[str, Any]:
    """``meta.json`` of a prepared data set, finished or not.

    Raises:
        FileNotFoundError, ValueError: there is none, it is damaged, or it describes something else.
    """
    path = folder / META
    meta = read_json(path, _AGAIN)
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        raise ValueError(f"{path} does not describe a prepared data set (no format {FORMAT!r}).")
    if meta.get("format_version") != FORMAT_VERSION:
        raise ValueError(
            f"{path} has format version {shown(meta.get('format_version'))}, not {FORMAT_VERSION}: "
            "prepare it again."
        )
    return meta


def _check_meta(path: Path, meta: Mapping[str, Any]) -> None:
    """Refuse entries of another type, and part names that point out of the folder."""
    parts = meta.get("parts")
    lists = [meta.get("attribute_names"), meta.get("scalars")]
    good = (
        isinstance(meta.get("name"), str)
        and _is_count(meta.get("size"), 2, MAX_SIZE)
        and all(isinstance(names, list) and all(isinstance(name, str) for name in names) for names in lists)
        and isinstance(parts, list)
        and 0 < len(parts) <= MAX_PARTS
        and all(isinstance(part, list) and len(part) == 2 and _is_count(part[1], 0) for part in parts)
        and [part[0] for part in parts] == [part_name(index) for index in range(len(parts))]
        and meta.get("count") == sum(count for _, count in parts)
    )
    if not good:
        raise ValueError(
            f"{path} is damaged (name, size, attribute_names, scalars, parts or count): {_AGAIN}."
        )


def _is_count(value: Any, least: int, most: float = math.inf) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def open_part(path: Path, schema: pa.Schema, count: int | None = None) -> pa.Table:
    """Memory-map one part and check all that a Writer checks, but for the images' contents.

    Args:
        schema: the columns that it must have.
        count: the number of faces that it must hold.

    Raises:
        FileNotFoundError, ValueError: it is missing or damaged; the sentence names the file.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing: copy the data set again, or run the script that makes it."
        )
    with damaged(path, "fetch or prepare it again"):
        with pa.memory_map(str(path)) as source:
            table = pa.ipc.open_file(source).read_all()
        table.validate(full=True)
        found = [(field.name, field.type) for field in table.schema]
    for field in schema:
        kinds = [kind for name, kind in found if name == field.name]
        if kinds != [field.type]:
            there = str(kinds[0]) if len(kinds) == 1 else f"{len(kinds)} columns"
            raise ValueError(f"{path}: the column {field.name!r} must be {field.type}, found {there}.")
    if count is not None and table.num_rows != count:
        raise ValueError(f"{path} holds {table.num_rows} faces where {META} says {count}: prepare it again.")
    with damaged(path, "fetch or prepare it again"):  # without the file's own metadata
        table = pa.Table.from_arrays(table.select(schema.names).columns, schema=schema)
    _check_values(path, table)
    return table


def _check_values(path: Path, table: pa.Table) -> None:
    """Refuse faces without name, split, image or attributes, and numbers that are missing or not finite."""
    for field in table.schema:
        column = table.column(field.name)
        known = np.asarray(column.is_valid().to_numpy(), bool)
        if field.name in ("name", "split", "image", "attributes"):
            _refuse(path, ~known, f"it has no {field.name}")
        if field.name == "split":
            _refuse(path, ~np.isin(column.to_pylist(), SPLITS), f"its split is none of {', '.join(SPLITS)}")
        if pa.types.is_fixed_size_list(field.type):
            inner = column.combine_chunks().flatten()  # of the known faces, one after the other
        elif pa.types.is_floating(field.type):
            inner = column.drop_null()
        else:
            continue
        good = np.asarray(inner.is_valid().to_numpy(zero_copy_only=False), bool)
        if not pa.types.is_boolean(inner.type):
            good &= np.isfinite(inner.to_numpy(zero_copy_only=False))  # a null becomes NaN
        width = getattr(field.type, "list_size", 1)
        bad = np.zeros(len(table), bool)
        bad[known] = ~good.reshape(-1, width).all(1)
        _refuse(path, bad, f"its {field.name} must be finite numbers")


def _refuse(path: Path, bad: NDArray[np.bool_], fault: str) -> None:
    if bad.any():
        raise ValueError(f"{path}, row {int(bad.argmax())}: {fault}: {_AGAIN}.")


def check_identities(table: pa.Table, place: Path) -> None:
    """Refuse a person whose faces are in two splits."""
    people = np.asarray(table.column("identity").fill_null(-1).to_numpy(), np.int64)
    splits = np.array(table.column("split").to_pylist(), dtype=str)
    _, first, inverse = np.unique(people, return_index=True, return_inverse=True)
    differs = (splits != splits[first[inverse]]) & (people >= 0)
    if differs.any():
        face = int(differs.argmax())
        raise ValueError(
            f"{place}: identity {people[face]} occurs in {splits[first[inverse[face]]]} and in "
            f"{splits[face]}: split by identity."
        )
