"""From a method's name to a new one."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import torch

from facecomp_lib.methods.base import CLASSES, Method
from facecomp_lib.utils.checks import check_choice, check_count
from facecomp_lib.utils.draws import own_draws

__all__ = ["NAMES", "build", "find"]

NAMES = ("gfc", "collagan", "lafin")
"""Methods that a lesson builds and exports to ``facecomp_lib.papers``."""


def find(name: str) -> type[Method]:
    """The class that was defined last under this name; imports the exported one if there is none yet.

    Raises:
        ValueError: no lesson and no cell defines such a method.
    """
    check_choice(name, sorted({*NAMES, *CLASSES}), "method")
    if name not in CLASSES:
        importlib.import_module(f"facecomp_lib.papers.{name}")
    return CLASSES[name]


def build(name: str, *, seed: int = 0, **options: Any) -> Method:
    """A new, untrained method.

    Args:
        name: one of :data:`NAMES`, or the ``name`` of a class that you defined.
        seed: of the initial weights, not negative: the same seed and options give the same ones, whatever was
            drawn before.
        options: of the method: ``size`` (px), ``width`` (1.0 is the paper's), and its own.

    Raises:
        ValueError: an unknown name or option, or a value that the method refuses.
    """
    cls = find(name)
    known = [option for option in inspect.signature(cls).parameters if option != "self"]
    if unknown := sorted(set(options) - set(known)):
        raise ValueError(f"{name} has no option {', '.join(unknown)}; it has {', '.join(known)}.")
    check_count(seed, 0, "seed", 2**63 - 1)
    device = torch.get_default_device()
    with torch.random.fork_rng(devices=[], enabled=device.type != "cpu"), own_draws(seed, device):
        try:
            method = cls(**options)
        except RuntimeError as error:
            raise ValueError(f"{name} cannot be built with these options ({error}).") from error
    if empty := [key for key, weight in method.named_parameters() if not weight.numel()]:
        raise ValueError(f"With these options {empty[0]} of {name} has no weights: choose larger ones.")
    return method
