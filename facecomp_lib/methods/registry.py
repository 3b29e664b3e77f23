"""From a method's name to a new one."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import torch

from facecomp_lib.methods.base import CLASSES, Method
from facecomp_lib.utils.draws import own_draws

__all__ = ["NAMES", "build", "find"]

NAMES = ("gfc", "collagan", "lafin")
"""Methods that a lesson builds and exports to ``facecomp_lib.papers``."""


def find(name: str) -> type[Method]:
    """The class that was defined last under this name; imports the exported one if there is none yet.

    Raises:
        ValueError: no lesson and no cell defines such a method.
    """
    if name not in CLASSES and name in NAMES:
        importlib.import_module(f"facecomp_lib.papers.{name}")
    if name not in CLASSES:
        raise ValueError(f"Unknown method {name!r}: choose one of {', '.join({*NAMES, *CLASSES})}.")
    return CLASSES[name]


def build(name: str, *, seed: int = 0, **options: Any) -> Method:
    """A new, untrained method.

    Args:
        name: one of :data:`NAMES`, or the ``name`` of a class that you defined.
        seed: of the initial weights: the same seed and options give the same ones, whatever was drawn before.
        options: of the method: ``size`` (px), ``width`` (1.0 is the paper's), and its own.

    Raises:
        ValueError: an unknown name or option, or a value that the method refuses.
    """
    cls = find(name)
    known = [option for option in inspect.signature(cls).parameters if option != "self"]
    if unknown := sorted(set(options) - set(known)):
        raise ValueError(f"{name} has no option {', '.join(unknown)}; it has {', '.join(known)}.")
    device = torch.get_default_device()
    with torch.random.fork_rng(devices=[], enabled=device.type != "cpu"), own_draws(seed, device):
        return cls(**options)
