"""What makes a training run the run it is: method, code, stages, data, seed. Equal facts, equal weights."""

from __future__ import annotations

import dataclasses
import dis
import functools
import hashlib
import inspect
import json
import sys
from collections.abc import Iterator, Sequence
from types import CodeType, FunctionType
from typing import Any

import facecomp_lib
from facecomp_lib.faces.dataset import FaceDataset
from facecomp_lib.methods import Method, Stage

__all__ = ["differences", "facts_of", "fingerprint"]

_PLAIN = (bool, int, float, complex, str, bytes, type(None))


def facts_of(
    method: Method, stages: Sequence[Stage], data: FaceDataset, seed: int, precision: str
) -> dict[str, Any]:
    """All that the weights after training depend on, ready for JSON; not the number of processes."""
    facts = {
        "method": method.name,
        "config": method.config,
        "stages": [dataclasses.asdict(stage) for stage in stages],
        "data": {
            "name": data.name,
            "version": data.version,
            "split": data.split,
            "faces": len(data),
            "size": data.size,
        },
        "seed": seed,
        "precision": precision,
        "library": facecomp_lib.__version__,
        "python": "{}.{}".format(*sys.version_info),
        "code": _code_of(method),
    }
    return json.loads(json.dumps(facts, default=str))


def fingerprint(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def differences(there: Any, here: Any, name: str = "") -> Iterator[str]:
    """What differs, in words: ``stages.1.steps (200 there, 300 here)``."""
    if isinstance(there, list) and isinstance(here, list) and len(there) == len(here):
        there, here = dict(enumerate(there)), dict(enumerate(here))
    if isinstance(there, dict) and isinstance(here, dict):
        for key in {**there, **here}:
            if name == "code" and there.get(key) != here.get(key):
                yield f"the code of {key}"
            else:
                yield from differences(there.get(key), here.get(key), f"{name}.{key}".lstrip("."))
    elif there != here:
        yield f"{name} ({_short(there)} there, {_short(here)} here)"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _code_of(method: Method) -> dict[str, str]:
    """A hash for each class of the method's parts, and for each function and class that they use from the
    module (or the notebook) that defines them.

    What is hashed is what Python executes, so that comments, docstrings and formatting do not count, and a
    notebook's class equals its exported twin.
    """
    waiting: list[Any] = [cls for part in method.modules() for cls in type(part).__mro__ if _is_ours(cls)]
    found: dict[str, str] = {}
    while waiting:
        thing = waiting.pop()
        if thing.__qualname__ in found:
            continue
        lines: list[str] = []
        if isinstance(thing, type):
            lines += [f"{key} = {text}" for key, value in vars(thing).items() if (text := _plain(value))]
        for name, function in _functions(thing):
            lines.append(f"{name}: {_plain((function.__defaults__, function.__kwdefaults__))}")
            lines += _instructions(function.__code__)
            for used, value in _used(function):
                if isinstance(value, (type, FunctionType)):
                    waiting += [value] if value.__module__ == thing.__module__ else []
                elif text := _plain(value):
                    lines.append(f"{used} = {text}")
        found[thing.__qualname__] = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
    return dict(sorted(found.items()))


def _is_ours(cls: type) -> bool:
    """Not PyTorch's, and not the common ground of all methods, which the library's version stands for."""
    return cls.__module__.split(".")[0] not in ("torch", "builtins", "abc") and not issubclass(Method, cls)


def _functions(thing: Any) -> Iterator[tuple[str, FunctionType]]:
    members = vars(thing).items() if isinstance(thing, type) else [(thing.__name__, thing)]
    method = isinstance(thing, type) and issubclass(thing, Method)
    for name, member in members:
        if method and name == "stages":
            continue  # what it returned is among the facts
        if isinstance(member, (staticmethod, classmethod)):
            member = member.__func__
        elif isinstance(member, property):
            member = member.fget
        elif isinstance(member, functools.cached_property):
            member = member.func
        if isinstance(member := inspect.unwrap(member) if callable(member) else member, FunctionType):
            yield name, member


def _instructions(code: CodeType) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if isinstance(instruction.argval, CodeType):
            yield from _instructions(instruction.argval)
        else:
            yield f"{instruction.opname} {_plain(instruction.argval) or ''}"


def _used(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Names that a function takes from around it, and their values now."""
    codes = [function.__code__]
    for code in codes:
        codes += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    for name in sorted({name for code in codes for name in code.co_names}):
        if name in function.__globals__:
            yield name, function.__globals__[name]
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        yield name, cell.cell_contents


def _plain(value: Any) -> str:
    """Numbers, texts and collections of them as a text; empty for anything else."""
    if isinstance(value, (set, frozenset)):
        value = sorted(map(repr, value))
    if isinstance(value, dict):
        value = list(value.items())
    if isinstance(value, (list, tuple)):
        return f"({', '.join(map(_plain, value))})"
    return repr(value) if isinstance(value, _PLAIN) else ""
