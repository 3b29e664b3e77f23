"""The folder of a run: its lock, what lies in it under which name, and its card. One process writes it."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import platform
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
from facecomp_lib.utils import files
from facecomp_lib.utils.files import atomic_write

__all__ = ["locked", "make_card", "read_json", "read_log", "weights_path", "write_image"]

_LAST = 100  # steps that the final losses are means over


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
            stack.enter_context(files.locked(folder / "lock"))
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
