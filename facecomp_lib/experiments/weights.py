"""Networks that begin with the weights of another run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from facecomp_lib import methods
from facecomp_lib.methods import Method
from facecomp_lib.utils.files import atomic_write, expand

__all__ = ["describe_origin", "load_networks", "read_network"]

PRETRAINED = "pretrained"
ORIGIN = ("method", "steps", "seed", "data", "init_from")


def load_networks(method: Method, sources: Mapping[str, str]) -> None:
    """Give networks of a method the weights of others.

    Args:
        method: changed in place.
        sources: network -> folder of a finished run, a ``.safetensors``, or ``pretrained``.

    Raises:
        FileNotFoundError: no such run or file. ValueError: it lacks the network, or has another one.
    """
    for name, source in sources.items():
        try:
            method.networks[name].load_state_dict(read_network(method.name, name, source))
        except RuntimeError as error:
            raise ValueError(f"{source}: its {name} is another one; it needs the same options.") from error


def read_network(method: str, name: str, source: str) -> dict[str, Tensor]:
    """Weights of one network, float32, under its own names."""
    if source == PRETRAINED:
        return dict(methods.pretrained(method).networks[name].state_dict())
    path = expand(source)
    if path.is_dir() and (path / "card.json").exists():
        card = json.loads((path / "card.json").read_text(encoding="utf-8"))
        path = path / f"weights-{card['finished'][-1]}.safetensors"
    if not path.is_file():
        raise FileNotFoundError(f"There is no finished run and no .safetensors at {source}.")
    prefix = f"{name}."
    weights = {
        key.removeprefix(prefix): value.float() if value.is_floating_point() else value
        for key, value in load_file(path).items()
        if key.startswith(prefix)
    }
    if not weights:
        raise ValueError(f"{source} holds no network {name!r}: name a run that has trained one.")
    return weights


def describe_origin(sources: Mapping[str, str], path: Path) -> None:
    """Write what the runs were that networks come from, and what those began with: JSON, once."""
    if path.exists():
        return
    origins = {name: read_card(source) for name, source in sources.items()}
    atomic_write(path, json.dumps(origins))


def read_card(source: str) -> dict[str, Any]:
    """The part of a run's or a checkpoint's card that says where its weights come from."""
    folder = expand(source)
    folder = folder if folder.is_dir() else folder.parent
    own = expand(source).with_suffix(".json")
    card = own if own.is_file() else folder / "card.json"
    content = json.loads(card.read_text(encoding="utf-8")) if card.is_file() else {}
    earlier = folder / "init_from.json"
    if earlier.is_file():
        content["init_from"] = json.loads(earlier.read_text(encoding="utf-8"))
    return {key: content[key] for key in ORIGIN if key in content}
