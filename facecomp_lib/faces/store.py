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
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from facecomp_lib.faces import codec
from facecomp_lib.faces.splits import SPLITS
from facecomp_lib.utils.checks import check_count, check_path
from facecomp_lib.utils.files import atomic_write

__all__ = ["Store", "Writer"]

FORMAT = "facecomp-faces"
FORMAT_VERSION = 1
META = "meta.json"
_PART = re.compile(r"part-\d{5}\.arrow")
_VECTORS = {"landmarks": 136, "pose": 3, "lamps": 12}

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


class Writer:
    """Writes a prepared data set in parts; a part is there as a whole or not at all, so a killed run resumes.

    >>> writer = Writer(folder, "my photos", size=128, version="1")     # doctest: +SKIP
    >>> for index, names in enumerate(chunks):                          # doctest: +SKIP
    ...     if not writer.has_part(index):
    ...         writer.add_part(index, [record_of(name) for name in names])
    >>> writer.finish(rejected=12)                                      # doctest: +SKIP

    Args:
        folder: made when missing; may hold the unfinished parts of a run with the same arguments.
        name: of the data set.
        size: side of the square images in pixels.
        attribute_names: order of the attributes.
        scalars: names of further numbers per face.
        image_format, quality: see :func:`facecomp_lib.faces.codec.encode_record`.
        meta: anything else that ``meta.json`` should say (must be JSON); ``version`` becomes
            ``FaceDataset.version``.

    Raises:
        ValueError: the folder holds something else, or a size, format or quality that cannot be.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        name: str,
        size: int,
        attribute_names: Sequence[str] = (),
        scalars: Sequence[str] = (),
        image_format: str = "webp",
        quality: int = 88,
        **meta: object,
    ) -> None:
        self.folder = check_path(folder, "folder")
        check_count(size, 8, "size", 8192)
        codec.check_encoding(image_format, quality)
        self.schema = arrow_schema(attribute_names, scalars)
        self._head: dict[str, Any] = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "name": name,
            "size": size,
            "attribute_names": list(attribute_names),
            "scalars": list(scalars),
            "image_format": image_format,
            "quality": quality,
        }
        self._head = _merged(self._head, meta)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._start_or_resume()

    def has_part(self, index: int) -> bool:
        """Whether this part is written already."""
        return self._part(index).exists()

    def add_part(self, index: int, records: Sequence[Mapping[str, Any]]) -> bool:
        """Write part ``index`` from plain or encoded records (``encode_record``); an existing part is kept.

        Returns:
            whether the part was written now.

        Raises:
            ValueError: a record is incomplete or has a field of another shape; nothing is written.
        """
        path = self._part(index)
        if path.exists():
            return False
        rows = []
        for place, record in enumerate(records):
            try:
                rows.append(self._row(record))
            except (KeyError, TypeError, ValueError) as error:
                reason = f"has no {error}" if isinstance(error, KeyError) else f"is not usable: {error}"
                raise ValueError(
                    f"Record {place} of part {index} ({record.get('name')!r}) {reason}"
                ) from error
        batch = pa.RecordBatch.from_pylist(rows, schema=self.schema)

        def write(temporary: Path) -> None:
            with pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, self.schema) as file:
                file.write_batch(batch)

        atomic_write(path, write)
        return True

    def finish(self, **meta: object) -> Path:
        """Check the parts and declare the data set complete.

        Raises:
            ValueError: a part is missing in between, or an identity occurs in two splits.
        """
        for leftover in self.folder.glob(".*.part"):
            leftover.unlink(missing_ok=True)
        names = sorted(path.name for path in self.folder.iterdir() if _PART.fullmatch(path.name))
        if not names or names != [self._part(index).name for index in range(len(names))]:
            raise ValueError(f"{self.folder} must hold part-00000.arrow and on without a gap, not {names}.")
        tables = [_open_part(self.folder / name, self.schema) for name in names]
        parts = [[name, table.num_rows] for name, table in zip(names, tables, strict=True)]
        _check_identities(pa.concat_tables(tables))
        digests = [_sha256(self.folder / name) for name in names]
        about = {"parts": parts, "parts_sha256": digests, "count": sum(count for _, count in parts)}
        self._write_meta(_merged(self._head, meta) | about)
        return self.folder

    def _part(self, index: int) -> Path:
        if not 0 <= index < 100_000:
            raise ValueError(f"Parts are numbered 0 ... 99999, not {index}.")
        return self.folder / f"part-{index:05d}.arrow"

    def _start_or_resume(self) -> None:
        if (self.folder / META).exists():
            found = _read_meta(self.folder)
            changed = [key for key, value in self._head.items() if found.get(key) != value]
            if changed:
                raise ValueError(
                    f"{self.folder} holds a data set of another {', '.join(changed)}: choose a fresh folder."
                )
        elif any(self.folder.iterdir()):
            raise ValueError(
                f"{self.folder} is not empty and holds no prepared data set: choose a fresh folder."
            )
        else:
            self._write_meta(self._head)

    def _write_meta(self, meta: Mapping[str, Any]) -> None:
        text = json.dumps(meta, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        atomic_write(self.folder / META, text)

    def _row(self, record: Mapping[str, Any]) -> dict[str, Any]:
        size = self._head["size"]
        if not isinstance(record["image"], bytes):
            record = codec.encode_record(record, self._head["image_format"], self._head["quality"])
        _, width, height = codec.image_size(memoryview(record["image"]))
        if (width, height) != (size, size):
            raise ValueError(f"its image is {width}x{height} px in a data set of {size}x{size}")
        if record["split"] not in SPLITS:
            raise ValueError(f"its split {record['split']!r} is none of {', '.join(SPLITS)}")
        row = {key: record.get(key) for key in ("identity", "image", "parsing", "mirror_flow", "light_ratio")}
        row |= {"name": str(record["name"]), "split": record["split"]}
        row |= {key: _vector(key, record.get(key), length) for key, length in _VECTORS.items()}
        if row["identity"] is not None:
            row["identity"] = int(row["identity"])
        attributes = record.get("attributes") or {}
        row["attributes"] = [bool(attributes[name]) for name in self._head["attribute_names"]]
        scalars = record.get("scalars") or {}
        row |= {
            name: None if scalars.get(name) is None else float(scalars[name])
            for name in self._head["scalars"]
        }
        unknown = set(attributes) - set(self._head["attribute_names"]) | set(scalars) - set(
            self._head["scalars"]
        )
        if unknown:
            raise ValueError(f"it has {', '.join(sorted(unknown))}, which the Writer was not told of")
        return row


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
        self.meta = _read_meta(self.folder)
        if "parts" not in self.meta:
            raise ValueError(f"{self.folder} is unfinished: run the script that makes it again, it resumes.")
        _check_meta(self.folder / META, self.meta)
        self.size: int = self.meta["size"]
        self.attribute_names: tuple[str, ...] = tuple(self.meta["attribute_names"])
        self.scalars: tuple[str, ...] = tuple(self.meta["scalars"])
        schema = arrow_schema(self.attribute_names, self.scalars)
        tables = [_open_part(self.folder / name, schema, count) for name, count in self.meta["parts"]]
        self._table = pa.concat_tables(tables)
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
        inner = column.combine_chunks().flatten()
        if inner.null_count:
            raise ValueError(
                f"{self.folder}: the column {name!r} has holes inside a face's numbers: prepare it again."
            )
        flat = inner.to_numpy(zero_copy_only=False)
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
        return (
            f"{self.folder / file}, row {row - int(self._starts[part])} ({self._table.column('name')[row]})"
        )

    def _decode(
        self, name: str, row: int, size: int, decoder: Callable[[memoryview, int, int], Decoded]
    ) -> Decoded:
        try:
            return decoder(self.encoded(name, row), self.size, size)
        except ValueError as error:
            raise ValueError(f"{name} of {self.where(row)}: {error}.") from error


def _vector(name: str, value: Any, length: int) -> NDArray[np.float32] | None:
    if value is None:
        return None
    flat = np.asarray(value, np.float32).reshape(-1)
    if flat.shape != (length,) or not np.isfinite(flat).all():
        raise ValueError(f"its {name} must be {length} finite numbers")
    return flat


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _merged(head: Mapping[str, Any], meta: Mapping[str, Any]) -> dict[str, Any]:
    taken = set(meta) & {*head, "parts", "parts_sha256", "count"}
    if taken:
        raise ValueError(f"meta.json says {', '.join(sorted(taken))} itself: name your entries otherwise.")
    return dict(head) | dict(json.loads(json.dumps(meta)))


def _read_meta(folder: Path) -> dict[str, Any]:
    path = folder / META
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is not readable JSON ({error}): prepare the data set again.") from error
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        raise ValueError(f"{path} does not describe a prepared data set (no format {FORMAT!r}).")
    if meta.get("format_version") != FORMAT_VERSION:
        raise ValueError(
            f"{path} has format version {meta.get('format_version')}, not {FORMAT_VERSION}: prepare it again."
        )
    return meta


def _check_meta(path: Path, meta: Mapping[str, Any]) -> None:
    """Refuse entries of another type, and part names that point out of the folder."""
    size, parts = meta.get("size"), meta.get("parts")
    names = [meta.get("attribute_names"), meta.get("scalars")]
    good = (
        isinstance(size, int)
        and 2 <= size <= 8192
        and all(isinstance(entry, list) and all(isinstance(name, str) for name in entry) for entry in names)
        and isinstance(parts, list)
        and len(parts) > 0
        and all(isinstance(part, list) and len(part) == 2 for part in parts)
        and all(isinstance(name, str) and _PART.fullmatch(name) and isinstance(n, int) for name, n in parts)
    )
    if not good:
        raise ValueError(
            f"{path} is damaged (size, attribute_names, scalars or parts): prepare the data set again."
        )


def _open_part(path: Path, schema: pa.Schema, count: int | None = None) -> pa.Table:
    """Memory-map one part and check it against the declared columns and number of faces."""
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing: copy the data set again, or run the script that makes it."
        )
    try:
        with pa.memory_map(str(path)) as source:
            table = pa.ipc.open_file(source).read_all()
        table.validate(full=True)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"{path} is truncated or not an Arrow file ({reason}): fetch or prepare it again."
        ) from error
    for field in schema:
        kinds = [other.type for other in table.schema if other.name == field.name]
        if kinds != [field.type]:
            found = str(kinds[0]) if len(kinds) == 1 else f"{len(kinds)} columns"
            raise ValueError(f"{path}: the column {field.name!r} must be {field.type}, found {found}.")
    if count is not None and table.num_rows != count:
        raise ValueError(f"{path} holds {table.num_rows} faces where {META} says {count}: prepare it again.")
    return table.select(schema.names)


def _check_identities(table: pa.Table) -> None:
    people: dict[int, str] = {}
    pairs = zip(table.column("identity").to_pylist(), table.column("split").to_pylist(), strict=True)
    for person, split in pairs:
        if person is not None and people.setdefault(person, split) != split:
            raise ValueError(
                f"Identity {person} occurs in {people[person]} and in {split}: split by identity."
            )
