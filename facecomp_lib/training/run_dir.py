"""The folder of a run: its lock, what lies in it under which name, and its card. One process writes it."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning_fabric
import numpy as np
import safetensors
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor

from facecomp_lib.methods import Method, Stage
from facecomp_lib.training.manifest import PATH, read_manifest
from facecomp_lib.utils import files
from facecomp_lib.utils.files import atomic_write

__all__ = [
    "check_folder",
    "locked",
    "make_card",
    "parse_row",
    "read_card",
    "read_json",
    "read_log",
    "weights_path",
    "write_image",
]

_LAST = 100  # steps that the final losses are means over
_LOCK = "lock"
_FOLDERS = ("state", "images", "tensorboard")
_BEFORE = "init_from.json"  # what experiments write before the training begins


def check_folder(folder: Path) -> None:
    """Refuse a folder that is neither empty nor that of a run, before anything is written.

    Hidden files, which editors and systems leave, do not count.

    Raises:
        ValueError: it holds something else, or a link that leads out of it.
    """
    if not folder.is_dir():
        return
    for name in (*_FOLDERS, _LOCK):
        if (folder / name).is_symlink():
            raise ValueError(
                f"{folder / name} is a link, and training writes into its own folder alone: remove the link, "
                "or choose another run_dir."
            )
    config = folder / "config.json"
    if (folder / PATH).exists() or (config.is_file() and b'"fingerprint"' in config.read_bytes()):
        return
    if foreign := sorted(path.name for path in folder.iterdir() if not _may_stay(path)):
        named = ", ".join(foreign[:3]) + (f" and {len(foreign) - 3} more" if len(foreign) > 3 else "")
        raise ValueError(
            f"{folder} is neither empty nor the folder of a run (it holds {named}): choose a fresh run_dir."
        )


def _may_stay(path: Path) -> bool:
    """Whether something does not get in a new run's way: what is hidden, a lock, a folder called ``state``,
    of whose content nothing that is not ours is touched."""
    if path.name == _LOCK:
        return path.is_file() and not path.stat().st_size
    return (
        path.name.startswith(".") or path.name == _BEFORE or (path.name == PATH.parent.name and path.is_dir())
    )


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes out. The lock is the operating system's: a killed process leaves none behind.

    Raises:
        BlockingIOError: another process trains there.
        OSError: the folder cannot be written.
    """
    with contextlib.ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(files.locked(folder / _LOCK))
        except BlockingIOError as error:
            raise BlockingIOError(
                f"Another process is training in {folder}: wait until it ends, or choose another run_dir."
            ) from error
        except OSError as error:
            raise OSError(
                f"{folder} cannot be written ({error.strerror}): choose another run_dir."
            ) from error
        yield


def read_json(path: Path) -> dict[str, Any]:
    """One of the run's JSON files.

    Raises:
        ValueError: it is damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged: choose a fresh run_dir, or delete this one.") from error


def weights_path(folder: Path, stage: str) -> Path:
    """Where the weights after a stage lie."""
    return folder / f"weights-{stage}.safetensors"


def read_card(folder: Path) -> dict[str, Any]:
    """What ``card.json`` says.

    Raises:
        ValueError: it is not as it was written.
    """
    path, recorded = folder / "card.json", read_manifest(folder).get("card")
    if recorded is None:
        return read_json(path)
    if not path.is_file() or path.read_bytes() != recorded.encode():
        raise ValueError(
            f"{path} is missing, damaged or was changed: call fit again as before, which writes it anew."
        )
    return json.loads(recorded)


def read_log(folder: Path) -> dict[str, NDArray[Any]]:
    """Columns of ``log.csv``: ``step`` (int), ``stage`` (str), then numbers, NaN where a cell is empty.

    Rows that cannot be read are left out, with a warning.

    Raises:
        ValueError: it is no log of a run.
    """
    path = folder / "log.csv"
    header, *lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    names = header.split(",")
    if names[:2] != ["step", "stage"]:
        raise ValueError(
            f"{path} is not as fit wrote it (did a spreadsheet save it?): its first line must begin with "
            "step,stage. Restore it, or look at the run with tensorboard."
        )
    rows = [row for line in lines[:-1] if (row := parse_row(line, len(names)))]
    if lost := len(lines) - 1 - len(rows):
        warnings.warn(f"{path} is damaged: {lost} of its rows cannot be read and are left out.", stacklevel=2)
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    return {
        "step": np.array(columns[0], int),
        "stage": np.array(columns[1], str),
        **{name: np.array(values, float) for name, values in zip(names[2:], columns[2:], strict=True)},
    }


def parse_row(line: str, width: int) -> tuple[Any, ...] | None:
    """Step, stage and numbers of a line of the log; None if it is no whole row of ``width`` cells."""
    cells = line.split(",")
    if len(cells) != width or not cells[1].isidentifier():
        return None
    try:
        return int(cells[0]), cells[1], *(float(cell or "nan") for cell in cells[2:])
    except ValueError:
        return None


def write_image(path: Path, rows: Sequence[Tensor]) -> None:
    """Faces side by side, one tensor ``[N, 3, S, S]`` below the other, as WebP."""
    from PIL import Image

    grid = torch.cat([torch.cat(list(row.cpu()), 2) for row in rows], 1)  # [3, rows * S, N * S]
    pixels = (grid * 255).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
    atomic_write(path, lambda temporary: Image.fromarray(pixels).save(temporary, "WEBP", quality=90))


def make_card(
    config: Mapping[str, Any],
    method: Method,
    done: Sequence[Stage],
    seconds: float,
    fabric: Fabric,
    log: Mapping[str, NDArray[Any]],
) -> dict[str, Any]:
    """A run in one small file, ready for JSON: what was trained, on what, for how long, and how it ended.

    Args:
        config: of ``run_config``.
        done: the finished stages.
        seconds: time of training, all calls of ``fit`` together.
        log: columns of ``log.csv`` so far.
    """
    own = log["stage"] == done[-1].name
    final = {
        name: float(values[own][-_LAST:][np.isfinite(values[own][-_LAST:])].mean())
        for name, values in log.items()
        if name not in ("step", "stage") and np.isfinite(values[own][-_LAST:]).any()
    }
    seen = sum(stage.steps * stage.batch_size for stage in done)
    return {
        **{key: value for key, value in config.items() if key != "code"},
        "parameters": {
            name: sum(parameter.numel() for parameter in network.parameters())
            for name, network in method.networks.items()
        },
        "finished": [stage.name for stage in done],
        "steps": sum(stage.steps for stage in done),
        "samples": seen,
        "seconds": round(seconds, 1),
        "samples_per_second": round(seen / seconds, 2),
        "final": final,
        "hardware": _hardware(fabric),
        "versions": {
            module.__name__: module.__version__ for module in (torch, lightning_fabric, safetensors, np)
        },
    }


def _hardware(fabric: Fabric) -> str:
    """Device, threads and processes in words."""
    if fabric.device.type == "cuda":
        name = torch.cuda.get_device_name(fabric.device)
    else:
        name = f"{platform.machine()} CPU, {torch.get_num_threads()} of {os.cpu_count()} cores"
    return name if fabric.world_size == 1 else f"{fabric.world_size} processes, each on {name}"
