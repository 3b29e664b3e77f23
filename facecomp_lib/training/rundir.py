"""The folder of a run: config, lock, log, images, weights, checkpoint, card. One process writes it."""

from __future__ import annotations

import contextlib
import csv
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facecomp_lib.methods import Stage
from facecomp_lib.training.facts import differences, fingerprint
from facecomp_lib.training.state import write_text
from facecomp_lib.utils.files import atomic_write

__all__ = ["Log", "claim", "locked", "read_json", "read_log", "weights_path", "write_image"]

_TENSORBOARD_EVERY = 10  # steps


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes out. The lock is the operating system's: a killed process leaves none behind.

    Raises:
        BlockingIOError: another process trains there.
        OSError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = open(folder / "lock", "a+", encoding="utf-8")  # noqa: SIM115 (closed below, in every case)
    except OSError as error:
        raise OSError(f"{folder} cannot be written ({error.strerror}): choose another run_dir.") from error
    with file:
        try:
            _lock(file)
        except OSError as error:
            raise BlockingIOError(
                f"Another process is training in {folder}: wait until it ends, or choose another run_dir."
            ) from error
        yield


def _lock(file: IO[str]) -> None:
    if os.name == "nt":
        import msvcrt

        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def claim(folder: Path, facts: dict[str, Any]) -> None:
    """Write the run's config, or compare with the one that is there.

    Raises:
        ValueError: the folder holds another run; the sentence says what differs.
    """
    path = folder / "config.json"
    if not path.exists():
        write_text(path, json.dumps({"fingerprint": fingerprint(facts), **facts}, indent=2))
        return
    there = read_json(path)
    if there.get("fingerprint") == fingerprint(facts):
        return
    what = list(differences({key: value for key, value in there.items() if key != "fingerprint"}, facts))
    more = f" and {len(what) - 3} more" if len(what) > 3 else ""
    raise ValueError(
        f"{folder} holds another run: it differs in {', '.join(what[:3]) or 'its fingerprint'}{more}. "
        "Choose a fresh run_dir, or delete this one."
    )


def read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged: choose a fresh run_dir, or delete this one.") from error


def weights_path(folder: Path, stage: str) -> Path:
    return folder / f"weights-{stage}.safetensors"


class Log:
    """A row per step in ``log.csv``, and every tenth one for TensorBoard.

    Args:
        folder: of the run.
        stages: all of the run's; each optimizer's terms get a column ``optimizer.term`` and one
            ``optimizer.gradient``, empty where a stage or a step has none.
        step: the next one; rows from there on are of steps that will be repeated, and are cut off.
    """

    def __init__(self, folder: Path, stages: Sequence[Stage], step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        optimizers = [(name, optimizer) for stage in stages for name, optimizer in stage.optimizers.items()]
        columns = [
            f"{name}.{term}" for name, optimizer in optimizers for term in (*optimizer.losses, "gradient")
        ]
        self.columns = list(dict.fromkeys(columns))
        path = folder / "log.csv"
        text = ",".join(["step", "stage", *self.columns])
        if path.exists():
            rows = path.read_text(encoding="utf-8", errors="replace").split("\n")[1:-1]
            numbers = [row.partition(",")[0] for row in rows]
            kept = [row for row, n in zip(rows, numbers, strict=True) if n.isdecimal() and int(n) < step]
            text = "\n".join([text, *kept])
        write_text(path, text)
        self._file = open(path, "a", encoding="utf-8", buffering=1)  # noqa: SIM115 (see close)
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step)

    def row(self, step: int, stage: str, values: Mapping[str, float]) -> None:
        cells = [f"{values[column]:.9g}" if column in values else "" for column in self.columns]
        self._file.write(",".join([str(step), stage, *cells]) + "\n")
        if step % _TENSORBOARD_EVERY == 0:
            for name, value in values.items():
                self._board.add_scalar(name.replace(".", "/"), value, step)

    def sync(self) -> None:
        """Bring all rows to the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._board.flush()

    def close(self) -> None:
        self._file.close()
        self._board.close()


def read_log(folder: Path) -> dict[str, NDArray[Any]]:
    """Columns of ``log.csv``: ``step`` (int), ``stage`` (str), then numbers, NaN where a cell is empty."""
    with open(folder / "log.csv", encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    table = {name: [row[place] for row in rows] for place, name in enumerate(header)}
    return {
        "step": np.array(table.pop("step"), int),
        "stage": np.array(table.pop("stage"), str),
        **{name: np.array([float(v or "nan") for v in values]) for name, values in table.items()},
    }


def write_image(path: Path, rows: Sequence[Tensor]) -> None:
    """Faces side by side, one tensor ``[N, 3, S, S]`` below the other, as WebP."""
    from PIL import Image

    grid = torch.cat([torch.cat(list(row.cpu()), 2) for row in rows], 1)  # [3, rows * S, N * S]
    pixels = (grid * 255).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
    atomic_write(path, lambda temporary: Image.fromarray(pixels).save(temporary, "WEBP", quality=90))
