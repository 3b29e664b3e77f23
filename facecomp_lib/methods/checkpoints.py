"""Trained methods on disk: float16 or 8-bit weights in safetensors, and a JSON card beside them.

``save`` writes such a checkpoint; ``load`` reads one, or what ``fc.training.fit`` wrote; ``pretrained`` reads
one that travels with the course.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from facecomp_lib.methods.base import Method
from facecomp_lib.methods.eight_bit import pack, unpack
from facecomp_lib.methods.registry import build, find
from facecomp_lib.utils.checks import check_count, shown
from facecomp_lib.utils.files import atomic_write, damaged, expand, read_json

__all__ = ["load", "pretrained", "save"]

FOLDER = Path(__file__).parent.parent / "pretrained"
_ENDINGS = (".safetensors", ".json")
_LONGEST = 120  # characters of a reason in a message
_CARD = {"method": str, "config": dict, "networks": list, "sha256": str}
_CONFIG = {"method": str, "config": dict, "stages": list}
_OPTIONS_TODAY = {"lafin": {"dot": "landmark_width"}}  # method -> earlier name of an option -> today's


def pretrained(name: str, variant: str | None = None, size: int = 128) -> Method:
    """A trained method in eval mode; ``.card`` says what it was trained on, how long, and how well it does.

    Args:
        name: one of ``fc.methods.NAMES``; or the path of a checkpoint of your own, as for :func:`load`.
        variant: by default the paper's full model.
        size: side of its images, px; by default the one to which ``fc.faces.from_photo`` brings a photograph.

    Raises:
        ValueError: an unknown method, or a damaged or foreign checkpoint.
        FileNotFoundError: no such checkpoint travels with the course; the sentence lists those that do.
    """
    if Path(str(name)).suffix in _ENDINGS:
        return load(name)
    find(name)
    check_count(size, 1, "size")
    stem = "-".join(part for part in (name, variant, str(size)) if part)
    if not (FOLDER / f"{stem}.json").exists():
        there = ", ".join(sorted(path.stem for path in FOLDER.glob("*.json"))) or "none yet"
        raise FileNotFoundError(f"No checkpoint {stem} travels with the course; there are: {there}.")
    return load(FOLDER / f"{stem}.safetensors")


def save(
    method: Method,
    path: str | os.PathLike[str],
    networks: Iterable[str] | None = None,
    *,
    eight_bit: bool = False,
    **card: Any,
) -> Path:
    """Write a checkpoint, ``PATH.safetensors`` and ``PATH.json``: equal weights give equal bytes.

    Args:
        method: what to save.
        path: of the weights; the card lies beside them.
        networks: names of those to save, all by default; ``complete`` needs no discriminators.
        eight_bit: store large weights in half the bytes of float16 (`eight_bit.pack`): for checkpoints that
            travel with the course.
        card: what a reader should know: data, steps, seed, hardware, metrics.

    Returns:
        The path of the weights.

    Raises:
        ValueError: the method has no such network, or weights that float16 cannot hold; or the card says what
            JSON cannot, or what the checkpoint itself does.
        OSError: no room or no permission.
    """
    from safetensors.torch import save as to_bytes

    path = _weights_file(expand(path))
    chosen = tuple(method.networks if networks is None else networks)
    if unknown := [network for network in chosen if network not in method.networks]:
        raise ValueError(f"{method.name} has no network {unknown}; it has {', '.join(method.networks)}.")
    if taken := sorted(set(card) & set(_CARD)):
        raise ValueError(f"The card says by itself what {', '.join(taken)} is: give it another name.")
    weights = {
        key: (value.half() if value.is_floating_point() else value).detach().cpu().contiguous()
        for key, value in method.state_dict().items()
        if key.split(".")[0] in chosen
    }
    if bad := _not_finite(weights):
        raise ValueError(f"{bad} holds a weight that is not finite or too large: nothing is saved.")
    data = to_bytes(pack(weights) if eight_bit else weights)
    content = {
        "method": method.name,
        "config": method.config,
        "networks": chosen,
        "sha256": hashlib.sha256(data).hexdigest(),
        **card,
    }
    try:
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"The card must hold plain numbers and texts ({error}): nothing is saved."
        ) from error
    atomic_write(path, data)
    atomic_write(path.with_suffix(".json"), text)
    return path


def load(path: str | os.PathLike[str]) -> Method:
    """A method in eval mode, with the weights that :func:`save` or ``fc.training.fit`` wrote.

    Args:
        path: of a checkpoint (its weights or its card); or the folder of a run, for the weights after its
            last finished stage; or ``RUN_DIR/weights-STAGE.safetensors``, for those after another one.

    Raises:
        FileNotFoundError: no weights or no card there, or a run without a finished stage.
        ValueError: damaged files, or weights that do not fit the method as it is defined now.
    """
    path = expand(path)
    if path.is_dir():
        return _load_run(path)
    weights, card = _weights_file(path), _weights_file(path).with_suffix(".json")
    if weights.is_file() and not card.exists() and (weights.parent / "config.json").is_file():
        return _load_run(weights.parent, weights)
    for needed in (weights, card):
        if not needed.is_file():
            raise FileNotFoundError(
                f"{needed} is missing: a checkpoint is a .safetensors file and a .json card beside it."
            )
    content = _read(card, _CARD, "a checkpoint's card", "fetch it again")
    name, config, networks, digest = (content[key] for key in _CARD)
    data = weights.read_bytes()
    if hashlib.sha256(data).hexdigest() != digest:
        raise ValueError(f"{weights} is damaged or not the file that its card describes: fetch it again.")
    method = _rebuild(name, config, card)
    _take(method, data, networks, weights)
    method.card = content
    return method.eval()


def _load_run(folder: Path, weights: Path | None = None) -> Method:
    """The method of a run, with the weights of its last finished stage or the given ones."""
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(
            f"{folder} is no run: the folder that fc.training.fit writes has a config.json."
        )
    path, again = folder / "config.json", "train again in a fresh run_dir"
    config = _read(path, _CONFIG, "the config of a run", again)
    name, options, stages = (config[key] for key in _CONFIG)
    names = [stage.get("name") if isinstance(stage, dict) else None for stage in stages]
    files = [folder / f"weights-{stage}.safetensors" for stage in names]
    finished = [file for file in files if file.is_file()] if weights is None else [weights]
    if not finished:
        raise FileNotFoundError(f"The run in {folder} has finished no stage yet: go on with its training.")
    method = _rebuild(name, options, path)
    data = finished[-1].read_bytes()
    if _recorded(folder, finished[-1]) not in (None, hashlib.sha256(data).hexdigest()):
        raise ValueError(f"{finished[-1]} is damaged: call fit again, or train again in a fresh run_dir.")
    _take(method, data, method.networks, finished[-1])
    if (folder / "card.json").is_file():
        method.card = _read(folder / "card.json", {}, "a run's card", again)
    return method.eval()


def _recorded(folder: Path, weights: Path) -> str | None:
    """SHA-256 of a run's weights as its manifest has it, if it has."""
    try:
        manifest = json.loads((folder / "state" / "state.json").read_text(encoding="utf-8"))
        return manifest["files"][weights.name]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _rebuild(name: str, options: dict[str, Any], path: Path) -> Method:
    """A new method with recorded options, or a sentence if it does not have them any more."""
    today = _OPTIONS_TODAY.get(name, {})
    options = {today.get(option, option): value for option, value in options.items()}
    try:
        return build(name, **options)
    except Exception as error:  # options of a foreign file may be anything, and a class of a student's, too
        why = str(error).rstrip(".")[:_LONGEST]
        raise ValueError(
            f"{path} does not fit the method {shown(name)} as it is defined now ({why}): train it again, or "
            f"restore the definition."
        ) from error


def _take(method: Method, data: bytes, networks: Iterable[str], path: Path) -> None:
    """Give some networks of a method their weights, all or none of them."""
    from safetensors.torch import load as from_bytes

    with damaged(path, "fetch it again, or train again"):
        tensors = unpack(from_bytes(data))
        if bad := _not_finite(tensors):
            raise ValueError(f"{bad} holds NaN or infinite weights")
    weights: dict[str, Tensor] = {
        _current_name(key): value.float() if value.is_floating_point() else value
        for key, value in tensors.items()
    }
    networks = {_current_name(str(network)) for network in networks}
    own = method.state_dict()
    needed = {key: _form(value) for key, value in own.items() if key.split(".")[0] in networks}
    there = {key: _form(value) for key, value in weights.items()}
    if needed != there:
        odd = sorted(set(needed) ^ set(there)) or [k for k in needed if needed[k] != there[k]]
        raise ValueError(
            f"{path} does not fit the method {method.name!r} as it is defined now (first difference: "
            f"{odd[0][:_LONGEST]}): train it again, or restore the definition."
        )
    method.load_state_dict({**own, **weights})


def _form(tensor: Tensor) -> tuple[torch.Size, bool]:
    return tensor.shape, tensor.is_floating_point()


def _weights_file(path: Path) -> Path:
    """``PATH.safetensors`` for a path with or without an ending."""
    stem = path.name.removesuffix(path.suffix) if path.suffix in _ENDINGS else path.name
    return path.with_name(f"{stem}.safetensors")


def _read(path: Path, kinds: Mapping[str, type], what: str, advice: str) -> dict[str, Any]:
    """A JSON object with these entries, each of its kind."""
    content = read_json(path, advice)
    if not isinstance(content, dict):
        raise ValueError(f"{path} is not {what} (it holds no object): {advice}.")
    if odd := [key for key, kind in kinds.items() if not isinstance(content.get(key), kind)]:
        raise ValueError(f"{path} is not {what} (its {odd[0]!r} is missing or odd): {advice}.")
    return content


def _not_finite(weights: Mapping[str, Tensor]) -> str | None:
    """The first tensor with a value that is NaN or infinite."""
    return next((name for name, value in weights.items() if not bool(value.isfinite().all())), None)


def _current_name(key: str) -> str:
    """A weight's name today: older checkpoints say critic and to_picture."""
    return key.replace("critic", "discriminator").replace("to_picture", "to_image")
