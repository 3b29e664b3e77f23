"""Checkpoints that survive a kill at any moment, and weight files: safetensors, written whole or not at all.

A checkpoint is two files in ``run_dir/state``: tensors under a name that contains their hash, and
``state.json``, which names them. Renaming ``state.json`` is the moment at which a checkpoint becomes the one
that counts; until then the one before it is untouched.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

__all__ = [
    "explain_full_disk",
    "load_checkpoint",
    "read_weights",
    "save_checkpoint",
    "write_text",
    "write_weights",
]


def save_checkpoint(folder: Path, tensors: Mapping[str, Tensor], **content: Any) -> None:
    """Make this the run's checkpoint.

    Args:
        folder: for checkpoints alone.
        tensors: by name.
        content: what else to remember, as JSON has it.

    Raises:
        OSError: no room or no permission; the checkpoint before is as it was, and nothing else is left.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        fresh = folder / "new.safetensors"
        digest = _write_part(fresh, tensors)
        named = fresh.with_name(f"{digest[:16]}.safetensors")
        os.replace(_part(fresh), named)
        write_text(folder / "state.json", json.dumps({**content, "tensors": named.name, "sha256": digest}))
    finally:
        _tidy(folder)


def load_checkpoint(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The checkpoint's content and tensors.

    Raises:
        ValueError: damaged files.
    """
    from safetensors.torch import load as from_bytes

    try:
        content = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        data = (folder / content["tensors"]).read_bytes()
        if hashlib.sha256(data).hexdigest() != content["sha256"]:
            raise ValueError("its SHA-256 is not the recorded one")
        return content, from_bytes(data)
    except (ValueError, KeyError, TypeError, FileNotFoundError) as error:
        raise ValueError(
            f"The checkpoint in {folder} is damaged ({error}): train again in a fresh run_dir, or delete "
            "that folder to train from the beginning; weights-*.safetensors hold the finished stages."
        ) from error


def write_weights(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Tensors and nothing else: equal weights give equal bytes."""
    _write_part(path, tensors)
    os.replace(_part(path), path)


def read_weights(path: Path) -> dict[str, Tensor]:
    """What :func:`write_weights` wrote.

    Raises:
        ValueError: no such file, or a damaged one.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load as from_bytes

    try:
        return from_bytes(path.read_bytes())
    except (FileNotFoundError, SafetensorError) as error:
        raise ValueError(
            f"{path} is missing or damaged ({error}): train again in a fresh run_dir."
        ) from error


@contextlib.contextmanager
def explain_full_disk(folder: Path) -> Iterator[None]:
    """What to do when the disk is full, in one sentence."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS):
            raise
        raise OSError(
            f"{folder} cannot be written ({error.strerror}): make room there and call fit again; it goes on "
            "from the last checkpoint, which is whole."
        ) from error


def write_text(path: Path, text: str) -> None:
    """A text file, whole or not at all, on the disk before this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(_part(path), "w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(_part(path), path)
    except BaseException:
        _part(path).unlink(missing_ok=True)
        raise
    _sync(path.parent)


def _part(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def _write_part(path: Path, tensors: Mapping[str, Tensor]) -> str:
    """Write ``PATH.part`` through to the disk and return its SHA-256."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    plain: dict[str, Any] = {"device": "cpu", "memory_format": torch.contiguous_format}
    ready = {name: tensor.detach().to(copy=True, **plain) for name, tensor in tensors.items()}
    try:
        save_file(ready, _part(path))
        with open(_part(path), "rb+") as file:
            os.fsync(file.fileno())
            return hashlib.file_digest(file, "sha256").hexdigest()
    except BaseException as error:
        _part(path).unlink(missing_ok=True)
        if isinstance(error, SafetensorError) and (number := re.search(r"os error (\d+)", str(error))):
            raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error
        raise


def _tidy(folder: Path) -> None:
    """Keep the checkpoint that counts, remove all others and what was left half written."""
    try:
        counts = json.loads((folder / "state.json").read_text(encoding="utf-8"))["tensors"]
    except (OSError, ValueError, KeyError, TypeError):
        counts = None
    for file in folder.iterdir():
        if file.name not in ("state.json", counts):
            file.unlink()


def _sync(folder: Path) -> None:
    """Names, too, reach the disk; systems that cannot do that for a folder go without."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
