"""The work of preparing photographs: image by image, in parts, in one process or several."""

from __future__ import annotations

import multiprocessing
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from facecomp_lib.faces import alignment, photo
from facecomp_lib.faces.codec import encode_record
from facecomp_lib.faces.image_io import read_image
from facecomp_lib.faces.labels import Table
from facecomp_lib.faces.sources import ImageSource
from facecomp_lib.faces.splits import split_of
from facecomp_lib.utils.files import printable
from facecomp_lib.utils.processes import end_with_parent

if TYPE_CHECKING:
    from facecomp_lib.faces.prepare import Options

__all__ = ["COLUMNS", "Job", "end_if_imported_by_a_worker", "rejected", "run"]

COLUMNS = ("file", "kept", "reason", "split", "identity", "side", "outside", "turn", "residual", "doubt")
"""Of the manifest."""


@dataclass(frozen=True)
class Job:
    """Everything a worker process needs to know."""

    source: Path
    options: Options
    detector: str
    names: list[str]
    duplicate_of: dict[str, str]
    table: Table
    left_out: list[dict[str, Any]]  # manifest rows of what looks like an image and cannot be read
    fingerprint: dict[str, Any]  # what must be equal for a run to go on

    @property
    def parts(self) -> int:
        """Number of parts."""
        return -(-len(self.names) // self.options.part_length)

    def part(self, number: int) -> range:
        """The images of one part, as indices into ``names``."""
        length = self.options.part_length
        return range(number * length, min((number + 1) * length, len(self.names)))


_Done = tuple[list[dict[str, Any]], list[dict[str, Any]]]  # encoded records, manifest rows


def run(job: Job, parts: Sequence[int], workers: int, progress: bool) -> Iterator[tuple[int, _Done]]:
    """Each part's records and manifest rows, as they are done."""
    from tqdm.auto import tqdm

    done_before = len(job.names) - sum(len(job.part(part)) for part in parts)
    kept = seen = 0
    with tqdm(total=len(job.names), initial=done_before, unit="image", disable=not progress) as bar:
        for part, done in _results(job, parts, workers, bar.update):
            seen, kept = seen + len(done[1]), kept + len(done[0])
            bar.set_postfix_str(f"rejected {(seen - kept) / seen:.1%}")
            yield part, done


def _results(
    job: Job, parts: Sequence[int], workers: int, advance: Callable[[int], Any]
) -> Iterator[tuple[int, _Done]]:
    if workers <= 1:
        _start(job)
        for part in parts:
            yield part, _do_part(part, advance)
        return
    # Fresh processes: a forked copy of a process that has used threads may hang.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, max(len(parts), 1)), context, _start_process, (job,))
    waiting = {pool.submit(_do_part, part): part for part in parts}
    try:
        for future in as_completed(waiting):
            done = future.result()
            advance(len(done[1]))
            yield waiting.pop(future), done
    except BrokenProcessPool as error:
        raise BrokenProcessPool(
            "A worker process died. A script must call prepare below `if __name__ == '__main__':`. Else "
            "memory may be short: workers=1 needs least, and the same call goes on from here."
        ) from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def end_if_imported_by_a_worker() -> None:
    """A worker process imports the script that started it; without a guard there, it would start more."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        sys.exit(1)  # the process that waits for it says what is wrong


_worker: tuple[Job, ImageSource] | None = None


def _start(job: Job) -> None:
    global _worker
    _worker = job, ImageSource(job.source)


def _start_process(job: Job) -> None:
    """A worker process: one thread, leaves Ctrl-C to the main process, and ends with it however it ends."""
    import cv2
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    _start(job)


def _do_part(part: int, advance: Callable[[int], Any] | None = None) -> _Done:
    assert _worker is not None, "_start comes first"
    job, images = _worker
    records, rows = [], []
    for index in job.part(part):
        record, row = _do_image(job, images, index)
        rows.append(row)
        if record is not None:
            records.append(encode_record(record))
        if advance is not None:
            advance(1)
    return records, rows


def _do_image(job: Job, images: ImageSource, index: int) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """The record of one image, or None; and its row of the manifest."""
    name = job.names[index]
    row = rejected(name)
    if job.table.labelled and name not in job.table.row_of:
        return None, row | {"reason": "no labels"}
    if name in job.duplicate_of:
        return None, row | {"reason": f"duplicate: same file as {job.duplicate_of[name]}"}
    try:
        image = read_image(images.read(name))
    except ValueError as error:
        return None, row | {"reason": f"unreadable: {error}"}
    points, doubt = _find(job, name, image)
    if points is None:
        return None, row | {"reason": "no face"}
    try:
        face = photo.align(image, points, job.options.size, job.detector, job.options.zoom)
    except ValueError as error:
        return None, row | {"reason": f"poor landmarks: {error}"}
    quality = {
        "side": job.options.size / float(np.sqrt(np.linalg.det(face.matrix[:, :2]))),
        "outside": 1 - float(face.inside.mean()),
        "turn": alignment.turn(points),
        "residual": alignment.residual(points),
        "doubt": doubt,
    }
    row |= {key: f"{value:.4f}" for key, value in quality.items()}
    reason = _reason(job.options, **quality)
    if reason:
        return None, row | {"reason": reason}
    record = {
        "name": name,
        "image": (face.image[0].permute(1, 2, 0) * 255).round().byte().numpy(),
        "landmarks": face.landmarks[0].numpy(),
    } | _known_of(job.table, name, index)
    return record, row | {"kept": 1, "split": record["split"], "identity": record["identity"]}


def rejected(name: str, reason: str = "") -> dict[str, Any]:
    """A row of the manifest."""
    return dict.fromkeys(COLUMNS, "") | {"file": printable(name), "kept": 0, "reason": reason}


def _known_of(table: Table, name: str, index: int) -> dict[str, Any]:
    """Identity, split, attributes and scalars; an image of nobody known is a person of its own."""
    row = table.row_of[name]
    person = None if table.people is None else int(table.people[row])
    split = split_of(name if person is None else person)
    known: dict[str, Any] = {
        "identity": index if person is None else person,
        "split": split if table.splits is None else str(table.splits[row]),
    }
    if table.truths is not None:
        known["attributes"] = dict(zip(table.attributes, table.truths[row].tolist(), strict=True))
    if table.numbers is not None:
        numbers = (None if np.isnan(value) else float(value) for value in table.numbers[row])
        known["scalars"] = dict(zip(table.scalars, numbers, strict=True))
    return known


def _find(job: Job, name: str, image: NDArray[np.uint8]) -> tuple[NDArray[np.float64] | None, float]:
    """Landmarks of the largest face, and the detector's doubt; given landmarks are not doubted."""
    if job.table.landmarks is not None:
        return job.table.landmarks[job.table.row_of[name]].astype(np.float64), 0.0
    from facecomp_lib.faces.landmarks import best_face

    face = best_face(image, job.detector)
    return (face.landmarks, face.doubt) if face else (None, 0.0)


def _reason(options: Options, side: float, outside: float, turn: float, residual: float, doubt: float) -> str:
    """Why a face is rejected; empty if it is kept."""
    faults = {
        "too small": side < options.least_side,
        "poor landmarks": doubt > options.max_doubt,
        "poor alignment": residual > options.max_residual,
        "head turned away": abs(turn) > options.max_turn,
        "leaves the image": outside > options.max_outside,
    }
    return next((fault for fault, found in faults.items() if found), "")
