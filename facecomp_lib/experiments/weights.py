"""Networks that begin with the weights of another run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from facecomp_lib import methods
from facecomp_lib.methods import Method
from facecomp_lib.utils.files import expand, read_json

__all__ = ["ORIGIN", "PRETRAINED", "load_networks"]

PRETRAINED = "pretrained"
ORIGIN = "init_from.json"  # in a run's folder: what its networks began with
FACTS = ("method", "steps", "seed", "data", "init_from")


def load_networks(method: Method, sources: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Give networks of a method the weights of others.

    Args:
        method: changed in place.
        sources: network -> what ``fc.methods.load`` reads (a run's folder, a checkpoint), or ``pretrained``.

    Returns:
        Network -> the part of the other's card that says what it was, and what it began with in turn.

    Raises:
        FileNotFoundError: no such run or checkpoint. ValueError: it lacks the network, or has another one.
    """
    origins = {}
    for name, source in sources.items():
        other = methods.pretrained(method.name) if source == PRETRAINED else methods.load(source)
        if name not in other.card.get("networks", other.networks):
            raise ValueError(f"{source} holds no network {name!r}: name a run that has trained one.")
        try:
            method.networks[name].load_state_dict(other.networks[name].state_dict())
        except RuntimeError as error:
            raise ValueError(f"{source}: its {name} is another one; it needs the same options.") from error
        origins[name] = {key: other.card[key] for key in FACTS if key in other.card}
        if (earlier := expand(source) / ORIGIN).is_file():
            origins[name]["init_from"] = read_json(earlier, "train that run again")
    return origins
