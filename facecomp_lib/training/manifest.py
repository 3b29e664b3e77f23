"""The manifest of a run: ``state/state.json`` says what the run has written, with a digest of everything.

It is the last file that a checkpoint replaces, so that what it describes is there, and it carries a seal, the
SHA-256 of itself: a manifest of which a single bit is another one is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["PATH", "digest", "read_manifest", "seal", "unseal"]

PATH = Path("state", "state.json")  # in the run_dir

_SEAL = "seal"
_OLD = {"step", "seconds", "precision", "schedules", "tensors", "sha256"}  # what earlier ones say, unsealed


def seal(content: Mapping[str, Any]) -> str:
    """The text of a manifest: its content and its seal."""
    sealed = {**content, _SEAL: hashlib.sha256(json.dumps(content).encode()).hexdigest()}
    return json.dumps(sealed) + "\n"


def unseal(data: bytes) -> dict[str, Any]:
    """The content of a manifest.

    Raises:
        ValueError: it is damaged.
    """
    try:
        content = json.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise ValueError("it is no JSON") from error
    if not isinstance(content, dict):
        raise ValueError("it is no JSON object")
    if content.keys() <= _OLD:
        return content
    content.pop(_SEAL, None)
    if seal(content).encode() != data:
        raise ValueError("its seal is broken")
    return content


def read_manifest(run_dir: Path) -> dict[str, Any]:
    """What the run in a folder has written; empty if that is not known.

    Raises:
        ValueError: the manifest is damaged.
    """
    path = run_dir / PATH
    try:
        return unseal(path.read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ValueError(
            f"{path} is damaged ({error}): choose a fresh run_dir, or delete this one to train from "
            "the beginning."
        ) from error


def digest(path: Path) -> str | None:
    """SHA-256 of a file; None if there is none."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None
