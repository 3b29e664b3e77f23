"""The source code of a method, which is a part of what makes a run the run it is."""

from __future__ import annotations

import dis
import functools
import hashlib
import inspect
import textwrap
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

from facecomp_lib.methods import Method

__all__ = ["source_hashes"]

_PLAIN = (bool, int, float, complex, str, bytes, type(None))


def source_hashes(method: Method) -> dict[str, str]:
    """A hash for each class of the method's parts, and for each function and class that they use from the
    module (or the notebook) that defines them: of their source, and of the plain constants that they use."""
    waiting: list[Any] = [cls for part in method.modules() for cls in type(part).__mro__ if _is_ours(cls)]
    hashes: dict[str, str] = {}
    while waiting:
        thing = waiting.pop()
        if thing.__qualname__ in hashes:
            continue
        lines: list[str] = []
        if isinstance(thing, type):
            lines += [f"{name} = {_plain(value)}" for name, value in vars(thing).items() if "__" not in name]
        for function in _functions(thing):
            lines.append(_source(function))
            for name in sorted(_global_names(function.__code__) & function.__globals__.keys()):
                value = function.__globals__[name]
                if isinstance(value, type | FunctionType):
                    waiting += [value] if value.__module__ == thing.__module__ else []
                else:
                    lines.append(f"{name} = {_plain(value)}")
        hashes[thing.__qualname__] = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
    return dict(sorted(hashes.items()))


def _is_ours(cls: type) -> bool:
    """Not PyTorch's, and not the common ground of all methods, which the library's version stands for."""
    return cls.__module__.split(".")[0] not in ("torch", "builtins", "abc") and not issubclass(Method, cls)


def _functions(thing: Any) -> Iterator[FunctionType]:
    """A function itself, or those that a class defines: ``inspect`` finds no source of a notebook's class."""
    members = vars(thing).items() if isinstance(thing, type) else [(thing.__name__, thing)]
    for name, member in members:
        if name == "stages" and isinstance(thing, type) and issubclass(thing, Method):
            continue  # what it returned is part of the configuration
        if isinstance(member, staticmethod | classmethod):
            member = member.__func__
        elif isinstance(member, property):
            member = member.fget
        elif isinstance(member, functools.cached_property):
            member = member.func
        if isinstance(member := inspect.unwrap(member) if callable(member) else member, FunctionType):
            yield member


def _source(function: FunctionType) -> str:
    try:
        return textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError):
        return f"{function.__qualname__}: unknown source"


def _global_names(code: CodeType) -> set[str]:
    """Names that a function looks up in its module, in functions within it as well."""
    names = {step.argval for step in dis.get_instructions(code) if step.opname == "LOAD_GLOBAL"}
    return names.union(*(_global_names(inner) for inner in code.co_consts if isinstance(inner, CodeType)))


def _plain(value: Any) -> str:
    """Numbers, texts and collections of them as a text; empty for anything else."""
    if isinstance(value, set | frozenset):
        value = sorted(map(repr, value))
    if isinstance(value, dict):
        value = list(value.items())
    if isinstance(value, list | tuple):
        return f"({', '.join(map(_plain, value))})"
    return repr(value) if isinstance(value, _PLAIN) else ""
