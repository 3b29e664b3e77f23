"""Turn a folder or zip of photographs into a prepared data set of aligned faces.

Every image is read, its largest face found and aligned; it is kept or rejected. ``manifest.csv`` in the data
set says which and why, also for files that look like images and cannot be read. The work is cut into parts
that are written whole, so that a killed run goes on where it stopped; the result's bytes do not depend on
interruptions or on the number of processes.
`data_scripts/prepare_folder.py` is the command.
"""

from __future__ import annotations

import collections
import contextlib
import csv
import io
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from facecomp_lib.faces.image_io import SUFFIXES
from facecomp_lib.faces.labels import read_side_files
from facecomp_lib.faces.prepare_parts import COLUMNS, Job, end_if_imported_by_a_worker, rejected, run
from facecomp_lib.faces.sources import ImageSource, sha256
from facecomp_lib.utils.checks import check_choice, check_count, check_path, check_range
from facecomp_lib.utils.files import atomic_write, damaged, printable, remove, remove_leftovers

__all__ = ["MANIFEST", "Options", "prepare"]

MANIFEST = "manifest.csv"


@dataclass(frozen=True)
class Options:
    """What decides the result. A data set that was begun goes on only under equal options.

    Attributes:
        size: side of the aligned images in pixels.
        zoom: 1 is the course's frame; more cuts tighter (see `alignment.template`).
        min_face: least side, in pixels of the photograph, of the square that is cut out; by default half of
            ``size``, so that nothing is enlarged more than twofold.
        max_outside: largest share of the aligned image that may lie beyond the photograph's edge.
        max_turn: largest turn of the head to either side (`alignment.turn`); 0.8 is some 45 degrees.
        max_residual: largest misfit of eyes and mouth (`alignment.residual`).
        max_doubt: largest disagreement of the detector with itself (`landmarks.FoundFace.doubt`).
        detector: "dlib", "face-alignment", or None for the best one to be had.
        limit: look at the first so many images only.
        part_length: images per written part; a killed run loses at most so much work per process.
    """

    size: int = 256
    zoom: float = 1.0
    min_face: int | None = None
    max_outside: float = 0.25
    max_turn: float = 0.8
    max_residual: float = 0.04
    max_doubt: float = 0.08
    detector: str | None = None
    limit: int | None = None
    part_length: int = 256

    def __post_init__(self) -> None:
        check_count(self.size, 16, "size", 2048)
        check_range(self.zoom, 0.5, 4, "zoom")
        check_count(self.least_side, 1, "min_face")
        check_range(self.max_outside, 0, 1, "max_outside")
        for name in ("max_turn", "max_residual", "max_doubt"):
            check_range(getattr(self, name), 0, math.inf, name)
        if self.limit is not None:
            check_count(self.limit, 1, "limit")
        check_count(self.part_length, 1, "part_length", 100_000)

    @property
    def least_side(self) -> int:
        """``min_face`` with its default filled in."""
        return (self.size + 1) // 2 if self.min_face is None else self.min_face


def prepare(
    source: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    options: Options | None = None,
    labels: str | None = None,
    landmarks: str | None = None,
    workers: int = 1,
    progress: bool = True,
) -> dict[str, int]:
    """Prepare a data set from photographs; see the module's text.

    Args:
        source: a folder (searched with its subfolders) or a zip file of images.
        folder: where the data set goes: a fresh folder, or one with an unfinished run of the same kind.
        options: see `Options`.
        labels: CSV file with a column ``file`` and any others: ``identity`` (number or name of the person);
            columns of 0/1, -1/1 or true/false (attributes); columns of numbers (scalars); text is left out.
            A column ``split`` (train, val, test, or CelebA's 0, 1, 2) decides instead of the hash of the
            identity. Looked for on disk, then inside the zip. Without identities every image is a person of
            its own. Files are named as seen from ``source``; capitals, ``\\`` for ``/`` and accents that are
            stored in another way do not matter where the name is clear without them.
        landmarks: ``.npy`` file ``[N, 68, 2]`` in pixels of the images, one row per row of ``labels``, or
            per image in alphabetical order; then no detector is used.
        workers: processes.
        progress: draw a progress bar.

    Returns:
        How many images were kept and rejected: ``{"kept": ..., reason: ..., ...}``.

    Raises:
        FileNotFoundError, ValueError: an argument, the source, a side file, or the target folder is not
            usable; nothing was written. BlockingIOError: another process prepares the same folder.
        BrokenProcessPool: a worker process died.
    """
    from facecomp_lib.faces.writer import Writer

    end_if_imported_by_a_worker()
    options = options or Options()
    check_count(workers, 1, "workers")
    out = check_path(folder, "folder")
    job = _plan(check_path(source, "source"), options, labels, landmarks)
    with Writer(
        out,
        Path(source).stem,
        options.size,
        job.table.attributes,
        job.table.scalars,
        preparation=job.fingerprint,
    ) as writer:
        pieces = [out / "unfinished" / f"manifest-{part:05d}.csv" for part in range(job.parts)]
        if not writer.finished:
            done = [writer.has_part(part) and piece.is_file() for part, piece in enumerate(pieces)]
            todo = [part for part in range(job.parts) if not done[part]]
            for part, (records, rows) in run(job, todo, workers, progress):
                atomic_write(pieces[part], _csv_text(rows))
                writer.add_part(part, records)
            rows = [row for piece in pieces for row in _read_csv(piece, "delete it and start again")]
            rows += job.left_out
            atomic_write(out / MANIFEST, _csv_text(sorted(rows, key=lambda row: row["file"])))
            writer.finish(manifest=MANIFEST)
        _remove_pieces(pieces)
    return _count(
        _read_csv(out / MANIFEST, "the faces are prepared, but for this list choose a fresh folder")
    )


def _count(rows: Sequence[Mapping[str, str]]) -> dict[str, int]:
    reasons = collections.Counter(_kind(row["reason"]) for row in rows if row["kept"] == "0")
    return {"kept": len(rows) - reasons.total()} | dict(reasons.most_common())


def _kind(reason: str) -> str:
    """The reason without its details."""
    return reason.split(":")[0]


# ---------------------------------------------------------------------------------------- what is to be done


def _plan(source: Path, options: Options, labels: str | None, landmarks: str | None) -> Job:
    with ImageSource(source) as images:
        names = images.names[: options.limit]
        if not names:
            others = "; ".join(f"{name}: {reason}" for name, reason in list(images.left_out.items())[:2])
            raise ValueError(f"{source} holds no images ({', '.join(sorted(SUFFIXES))}). {others}".strip())
        left_out = [rejected(name, reason) for name, reason in images.left_out.items()]
        hashes = {name: images.digest(name) for name in names}
        side_files = {name: images.side_file(name) for name in (labels, landmarks) if name is not None}
        table = read_side_files(side_files, labels, landmarks, images.names)
    first: dict[str, str] = {}
    duplicates = {name: first[key] for name, key in hashes.items() if first.setdefault(key, name) != name}
    detector = "given" if landmarks is not None else _detector(options)
    digests = {"images_sha256": sha256(json.dumps(hashes).encode())}
    digests |= {f"side_file_{i}_sha256": sha256(data) for i, data in enumerate(side_files.values())}
    fingerprint = asdict(options) | {"detector": detector, "images": len(names)} | digests
    return Job(source, options, detector, names, duplicates, table, left_out, fingerprint)


def _detector(options: Options) -> str:
    from facecomp_lib.faces.landmarks import DETECTORS, best_detector

    if options.detector is None:
        return best_detector()
    check_choice(options.detector, DETECTORS, "detector")
    return options.detector


# --------------------------------------------------------------------------------------------------- files


def _remove_pieces(pieces: Sequence[Path]) -> None:
    """Delete what a run needed to go on; a file of somebody else stays, and its folder with it."""
    folder = pieces[0].parent
    remove_leftovers(folder)
    remove(folder, [*(piece.name for piece in pieces), "lock"])
    with contextlib.suppress(OSError):
        folder.rmdir()


def _csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return printable(text.getvalue())


def _read_csv(file: Path, advice: str) -> list[dict[str, str]]:
    with damaged(file, advice), file.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    if any(tuple(row) != COLUMNS or None in row.values() for row in rows):
        raise ValueError(f"{file} is damaged or cut off (it must have {len(COLUMNS)} columns): {advice}.")
    return rows
