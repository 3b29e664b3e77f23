"""Checkpoints that survive a kill at any moment, and weight files: safetensors, written whole or not at all.

A checkpoint is two files in ``run_dir/state``: tensors under a name that contains their hash, and the
manifest ``state.json``, which names them. Renaming ``state.json`` is the moment at which a checkpoint becomes
the one that counts; until then the one before it is untouched.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from facecomp_lib.training.manifest import PATH, digest, seal, unseal
from facecomp_lib.utils.files import atomic_write, remove

__all__ = [
    "explain_full_disk",
    "forget_checkpoint",
    "load_checkpoint",
    "read_weights",
    "save_checkpoint",
    "write_weights",
]

_TENSORS = re.compile(r"[0-9a-f]{16}\.safetensors")
_OURS = re.compile(r"([0-9a-f]{16}|new)\.safetensors|\.(new\.safetensors|state\.json)\.[0-9a-f]{16}\.part")


def save_checkpoint(folder: Path, tensors: Mapping[str, Tensor], **content: Any) -> None:
    """Make this the run's checkpoint.

    Args:
        folder: for checkpoints alone.
        tensors: by name.
        content: what else the manifest says, as JSON has it.

    Raises:
        OSError: no room or no permission; the checkpoint before is as it was, and nothing else is left.
    """
    try:
        fresh = folder / "new.safetensors"
        write_weights(fresh, tensors)
        sha256 = str(digest(fresh))
        named = fresh.with_name(f"{sha256[:16]}.safetensors")
        os.replace(fresh, named)
        atomic_write(folder / PATH.name, seal({**content, "tensors": named.name, "sha256": sha256}))
    finally:
        _tidy(folder)


def load_checkpoint(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The checkpoint's content and tensors.

    Raises:
        ValueError: damaged files.
    """
    from safetensors.torch import load as from_bytes

    try:
        content = unseal((folder / PATH.name).read_bytes())
        if not _TENSORS.fullmatch(content["tensors"]):
            raise ValueError("it names no tensors")
        data = (folder / content["tensors"]).read_bytes()
        if hashlib.sha256(data).hexdigest() != content["sha256"]:
            raise ValueError("its SHA-256 is not the recorded one")
        return content, from_bytes(data)
    except (ValueError, KeyError, TypeError, FileNotFoundError) as error:
        raise ValueError(
            f"The checkpoint in {folder} is damaged ({error}): train again in a fresh run_dir, or delete "
            f"{folder.parent} to train from the beginning; weights-*.safetensors hold the finished stages."
        ) from error


def forget_checkpoint(folder: Path) -> None:
    """Delete the run's checkpoint, and nothing else that lies beside it."""
    remove(folder, [PATH.name])
    _tidy(folder)


def write_weights(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Tensors and nothing else: equal weights give equal bytes.

    Raises:
        OSError: no room or no permission; the old file is as it was.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    plain: dict[str, Any] = {"device": "cpu", "memory_format": torch.contiguous_format}
    ready = {name: tensor.detach().to(copy=True, **plain) for name, tensor in tensors.items()}
    try:
        atomic_write(path, lambda temporary: save_file(ready, temporary))
    except SafetensorError as error:
        if number := re.search(r"os error (\d+)", str(error)):
            raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error
        raise


def read_weights(path: Path, sha256: str | None = None) -> dict[str, Tensor]:
    """What :func:`write_weights` wrote.

    Args:
        sha256: of the file as it was written, if it is known.

    Raises:
        ValueError: no such file, or a damaged one.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load as from_bytes

    try:
        data = path.read_bytes()
        if sha256 not in (None, hashlib.sha256(data).hexdigest()):
            raise ValueError("its SHA-256 is not the recorded one")
        return from_bytes(data)
    except (FileNotFoundError, ValueError, SafetensorError) as error:
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


def _tidy(folder: Path) -> None:
    """Keep the checkpoint that counts; remove others and half-written ones, by the names that we gave."""
    try:
        counts = unseal((folder / PATH.name).read_bytes())["tensors"]
    except FileNotFoundError:
        counts = None
    except (OSError, ValueError, KeyError):
        return  # damaged: who knows which tensors it meant
    names = [file.name for file in folder.iterdir()] if folder.is_dir() else []
    remove(folder, [name for name in names if _OURS.fullmatch(name) and name != counts])
