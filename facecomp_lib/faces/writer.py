"""Write prepared data sets: in parts, each there as a whole or not at all, by one process at a time."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from facecomp_lib.faces import codec
from facecomp_lib.faces.splits import SPLITS
from facecomp_lib.faces.store import (
    FORMAT,
    FORMAT_VERSION,
    MAX_SIZE,
    META,
    arrow_schema,
    check_identities,
    open_part,
    part_name,
    read_meta,
)
from facecomp_lib.utils.checks import check_count, check_path
from facecomp_lib.utils.files import atomic_write, locked, printable, remove, remove_leftovers

__all__ = ["Writer"]

LOCK = "lock"
_VECTORS = {"landmarks": 136, "pose": 3, "lamps": 12}


class Writer:
    """Writes a prepared data set in parts; a part is there as a whole or not at all, so a killed run resumes.

    >>> with Writer(folder, "my photos", size=128, version="1") as writer:     # doctest: +SKIP
    ...     for index, names in enumerate(chunks):
    ...         if not writer.has_part(index):
    ...             writer.add_part(index, [record_of(name) for name in names])
    ...     writer.finish(rejected=12)

    ``with`` keeps other processes out until the block ends.

    Args:
        folder: made when missing; may hold the unfinished parts of a run with the same arguments.
        name: of the data set.
        size: side of the square images in pixels.
        attribute_names: order of the attributes.
        scalars: names of further numbers per face.
        image_format, quality: see :func:`facecomp_lib.faces.codec.encode_record`.
        meta: anything else that ``meta.json`` should say (must be JSON); ``version`` becomes
            ``FaceDataset.version``.

    Attributes:
        finished: whether the data set is complete.

    Raises:
        ValueError: the folder holds something else, or a size, format or quality that cannot be.
        BlockingIOError: another process writes there.
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
        check_count(size, 8, "size", MAX_SIZE)
        codec.check_encoding(image_format, quality)
        self.schema = arrow_schema(attribute_names, scalars)
        self._head: dict[str, Any] = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "name": printable(str(name)),
            "size": size,
            "attribute_names": list(attribute_names),
            "scalars": list(scalars),
            "image_format": image_format,
            "quality": quality,
        }
        self._head = _merged(self._head, meta)
        self._held = contextlib.ExitStack()
        self._check_folder()  # before anything is made in it
        if not self.finished:
            with self._alone():
                self._start_or_resume()

    def __enter__(self) -> Writer:
        if not self.finished:
            self._held.enter_context(self._alone())
            self._start_or_resume()  # another process may have finished in between
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def has_part(self, index: int) -> bool:
        """Whether this part is written already."""
        return (self.folder / part_name(index)).exists()

    def add_part(self, index: int, records: Sequence[Mapping[str, Any]]) -> bool:
        """Write part ``index`` from plain or encoded records (``encode_record``); an existing part is kept.

        Returns:
            whether the part was written now.

        Raises:
            ValueError: a record is incomplete or has a field of another shape; nothing is written.
        """
        path = self.folder / part_name(index)
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
        remove_leftovers(self.folder)
        names = sorted(path.name for path in self.folder.glob("part-*.arrow"))
        if not names or names != [part_name(index) for index in range(len(names))]:
            raise ValueError(f"{self.folder} must hold part-00000.arrow and on without a gap, not {names}.")
        tables = [open_part(self.folder / name, self.schema) for name in names]
        parts = [[name, table.num_rows] for name, table in zip(names, tables, strict=True)]
        check_identities(pa.concat_tables(tables), self.folder)
        digests = [_sha256(self.folder / name) for name in names]
        about = {"parts": parts, "parts_sha256": digests, "count": sum(count for _, count in parts)}
        self._write_meta(_merged(self._head, meta) | about)
        self.finished = True
        return self.folder

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes out; the lock file goes with the last work on the data set."""
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(locked(self.folder / LOCK))
            except BlockingIOError as error:
                raise BlockingIOError(
                    f"Another process prepares {self.folder}: wait until it ends, or choose another folder."
                ) from error
            yield
        if self.finished:
            remove(self.folder, [LOCK])  # whoever locks it now finds nothing left to do

    def _check_folder(self) -> bool:
        """Whether there is a data set of this kind; refuse a folder that holds anything else."""
        if self.folder.exists() and not self.folder.is_dir():
            raise ValueError(f"{self.folder} is a file: name a fresh folder.")
        if (self.folder / META).exists():
            found = read_meta(self.folder)
            changed = [key for key, value in self._head.items() if found.get(key) != value]
            if changed:
                raise ValueError(
                    f"{self.folder} holds a data set of another {', '.join(changed)}: choose a fresh folder."
                )
            self.finished = "parts" in found
            return True
        self.finished = False
        if self.folder.is_dir() and any(not _is_clutter(path.name) for path in self.folder.iterdir()):
            raise ValueError(
                f"{self.folder} is not empty and holds no prepared data set: choose a fresh folder."
            )
        return False

    def _start_or_resume(self) -> None:
        if not self._check_folder():
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
        row |= {"name": printable(str(record["name"])), "split": record["split"]}
        row |= {key: _vector(key, record.get(key), length) for key, length in _VECTORS.items()}
        if row["identity"] is not None:
            row["identity"] = int(row["identity"])
            check_count(row["identity"], 0, "its identity", 2**31 - 1)
        attributes = record.get("attributes") or {}
        row["attributes"] = [bool(attributes[name]) for name in self._head["attribute_names"]]
        scalars = record.get("scalars") or {}
        row |= {name: _scalar(name, scalars.get(name)) for name in self._head["scalars"]}
        unknown = set(attributes) - set(self._head["attribute_names"]) | set(scalars) - set(
            self._head["scalars"]
        )
        if unknown:
            raise ValueError(f"it has {', '.join(sorted(unknown))}, which the Writer was not told of")
        return row


def _is_clutter(name: str) -> bool:
    """Whether a folder with this file counts as fresh: what desktops hide in folders, and our own lock."""
    return name.startswith(".") or name.lower() in ("thumbs.db", "desktop.ini", LOCK)


def _vector(name: str, value: Any, length: int) -> NDArray[np.float32] | None:
    if value is None:
        return None
    flat = np.asarray(value, np.float32).reshape(-1)
    if flat.shape != (length,) or not np.isfinite(flat).all():
        raise ValueError(f"its {name} must be {length} finite number{'s' if length > 1 else ''}")
    return flat


def _scalar(name: str, value: Any) -> float | None:
    flat = _vector(name, value, 1)
    return None if flat is None else float(flat[0])


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _merged(head: Mapping[str, Any], meta: Mapping[str, Any]) -> dict[str, Any]:
    taken = set(meta) & {*head, "parts", "parts_sha256", "count"}
    if taken:
        raise ValueError(f"meta.json says {', '.join(sorted(taken))} itself: name your entries otherwise.")
    return dict(head) | dict(json.loads(json.dumps(meta)))
