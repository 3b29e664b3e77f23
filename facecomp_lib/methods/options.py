"""Options of a method are of the kinds that its class says."""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from facecomp_lib.utils.checks import shown

__all__ = ["check_options"]

_WORDS = {
    bool: "True or False", int: "a whole number", float: "a number", str: "a text", type(None): "None"
}  # fmt: skip


def check_options(cls: type, options: Mapping[str, Any]) -> None:
    """Refuse options of another kind than the annotations of a class's ``__init__`` say.

    Args:
        cls: a method's class. What it annotates by anything but ``bool``, ``int``, ``float``, ``str``, None
            and unions of these is its own business.
        options: name -> value. A size is whole, a width above 0, whatever the annotation.

    Raises:
        ValueError: the sentence names option and kind.
    """
    hints = _hints(cls)
    for name, value in options.items():
        kinds = (int,) if name == "size" else _kinds(hints[name]) if name in hints else ()
        if kinds and not any(_is_a(value, kind) for kind in kinds):
            words = " or ".join(_WORDS[kind] for kind in kinds)
            raise ValueError(f"{name} must be {words}, not {shown(value)}.")
        if name.endswith("width") and value is not None and (not _is_a(value, float) or value <= 0):
            raise ValueError(f"{name} must be a number above 0, not {shown(value)}.")


def _hints(cls: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls.__init__)  # type: ignore[misc]
    except NameError:  # a name that exists for the type checker only
        return {}


def _kinds(hint: Any) -> Sequence[type]:
    """The plain kinds that an annotation allows, none if it allows any other."""
    union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    kinds = typing.get_args(hint) if union else (hint,)
    return kinds if all(kind in list(_WORDS) for kind in kinds) else ()


def _is_a(value: Any, kind: type) -> bool:
    """Whether it is of that kind; True is no number, and a number is finite."""
    if kind in (int, float) and isinstance(value, bool):
        return False
    if kind is float:
        return isinstance(value, int | float) and math.isfinite(value)
    return isinstance(value, kind)
