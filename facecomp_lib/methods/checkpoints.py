"""Checkpoints that travel with the course: float16 or 8-bit weights in safetensors, and a JSON card."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from facecomp_lib.methods.base import Method
from facecomp_lib.methods.eight_bit import pack, unpack
from facecomp_lib.methods.registry import build, find
from facecomp_lib.utils.files import atomic_write, expand

__all__ = ["load", "pretrained", "save"]

FOLDER = Path(__file__).parent.parent / "pretrained"


def pretrained(name: str, variant: str | None = None, size: int = 128) -> Method:
    """A trained method in eval mode; ``.card`` says what it was trained on, how long, and how well it does.

    Args:
        name: one of ``fc.methods.NAMES``.
        variant: by default the paper's full model.
        size: of its images in px.

    Raises:
        ValueError: an unknown method, or a damaged or foreign checkpoint.
        FileNotFoundError: no such checkpoint travels with the course; the sentence lists those that do.
    """
    find(name)
    stem = "-".join(part for part in (name, variant, str(size)) if part)
    if not (FOLDER / f"{stem}.json").exists():
        there = ", ".join(sorted(path.stem for path in FOLDER.glob("*.json"))) or "none yet"
        raise FileNotFoundError(f"No checkpoint {stem} travels with the course; there are: {there}.")
    return load(FOLDER / f"{stem}.safetensors")


def save(
    method: Method,
    path: str | os.PathLike[str],
    networks: Iterable[str],
    *,
    eight_bit: bool = False,
    **card: Any,
) -> Path:
    """Write a checkpoint, ``PATH.safetensors`` and ``PATH.json``: equal runs give equal bytes of weights.

    Args:
        method: what to save.
        path: of the weights; the card lies beside them.
        networks: names of those that ``complete`` needs; discriminators can stay at home.
        eight_bit: store large weights in half the bytes of float16 (`eight_bit.pack`); for what travels
            with the course.
        card: what a reader should know: data, steps, seed, hardware, metrics.

    Raises:
        ValueError: the method has no such network.
    """
    from safetensors.torch import save as to_bytes

    path = expand(path).with_suffix(".safetensors")
    wanted = tuple(networks)
    if unknown := [network for network in wanted if network not in method.networks]:
        raise ValueError(f"{method.name} has no network {unknown}; it has {', '.join(method.networks)}.")
    weights = {
        key: (value.half() if value.is_floating_point() else value).detach().cpu().contiguous()
        for key, value in method.state_dict().items()
        if key.split(".")[0] in wanted
    }
    data = to_bytes(pack(weights) if eight_bit else weights)
    content = {
        "method": method.name,
        "config": method.config,
        "networks": wanted,
        "sha256": hashlib.sha256(data).hexdigest(),
        **card,
    }
    atomic_write(path, data)
    atomic_write(path.with_suffix(".json"), json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    return path


def load(path: str | os.PathLike[str]) -> Method:
    """A method from a checkpoint that :func:`save` wrote.

    Raises:
        FileNotFoundError: no weights or no card there.
        ValueError: the two do not belong together, or not to the method as it is defined now.
    """
    from safetensors.torch import load as from_bytes

    path = expand(path)
    card_path = path.with_suffix(".json")
    for needed in (path, card_path):
        if not needed.is_file():
            raise FileNotFoundError(
                f"{needed} is missing: a checkpoint is a .safetensors file and its .json card."
            )
    data = path.read_bytes()
    try:
        card = json.loads(card_path.read_text(encoding="utf-8"))
        name, config, networks, digest = (card[key] for key in ("method", "config", "networks", "sha256"))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{card_path} is not a checkpoint's card: fetch it again.") from error
    if hashlib.sha256(data).hexdigest() != digest:
        raise ValueError(f"{path} is damaged or not the file that its card describes: fetch it again.")
    method = build(name, **config)
    weights = {
        key: value.float() if value.is_floating_point() else value
        for key, value in unpack(from_bytes(data)).items()
    }
    own = method.state_dict()
    wanted = {key: value.shape for key, value in own.items() if key.split(".")[0] in networks}
    if wanted != {key: value.shape for key, value in weights.items()}:
        odd = sorted(set(wanted) ^ set(weights)) or [k for k in wanted if wanted[k] != weights[k].shape]
        raise ValueError(
            f"{path} does not fit the method {name!r} as it is defined now (first difference: {odd[0]}): "
            "train it again, or restore the definition."
        )
    method.load_state_dict({**own, **weights})
    method.card = card
    return method.eval()
