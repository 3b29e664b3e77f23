"""Public doors answer in words of their own.

A public function checks its arguments where that needs a sentence of its own. What it does not foresee fails
somewhere in a library inside, in words that say nothing to the caller ("'NoneType' object has no attribute
'device'"). :func:`door` turns such an error into one sentence that names the function and what it was given.
It costs nothing while all goes well. It changes no error that the project raised on purpose, that comes from
the caller's own code, or that tells of the machine: memory, files, missing packages, interruptions.
"""

from __future__ import annotations

import dis
import functools
import inspect
import numbers
import os
import sysconfig
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

__all__ = ["door", "doors", "is_refusal"]

F = TypeVar("F", bound=Callable[..., Any])
_PACKAGE = __name__.split(".")[0]
LIBRARY = str(Path(__file__).resolve().parents[1]) + os.sep
_INSTALLED = tuple(
    sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib")
)
_TYPED = ("<stdin>", "<ipython")  # what somebody types has no file
_MACHINE = (OSError, ImportError, MemoryError, Warning)
_RAISE = dis.opmap["RAISE_VARARGS"]


def door(function: F, name: str = "") -> F:
    """A public function whose foreign errors become one sentence about its arguments.

    Args:
        name: by which the caller knows it, by default where it is defined.
    """
    name = name or f"{function.__module__}.{function.__qualname__}"
    name = name.replace(_PACKAGE, "fc", 1)

    @functools.wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            if _is_of_the_machine(error) or is_refusal(error) or _in_callers_code(error):
                raise
            try:
                given = inspect.signature(function).bind(*args, **kwargs).arguments
            except TypeError:  # arguments that it does not have: Python's own sentence says so
                raise error from None
            raise ValueError(_sentence(name, function, given)) from error

    return typing.cast(F, guarded)


def doors(room: dict[str, Any], names: Iterable[str]) -> None:
    """Make doors of a package's public functions and of the making of its classes' objects.

    ``doors(globals(), __all__)`` stands at the end of the package's file.
    """
    for name in names:
        value, label = room.get(name), f"{room['__name__']}.{name}"
        if isinstance(value, (types.FunctionType, types.MethodType, functools._lru_cache_wrapper)):
            room[name] = door(value, label)
        elif isinstance(value, type) and isinstance(value.__init__, types.FunctionType):  # type: ignore[misc]
            value.__init__ = door(value.__init__, label)  # type: ignore[misc]


def is_refusal(error: BaseException) -> bool:
    """Whether a ``raise`` of the project is where an error comes from."""
    *_, last = (None, *_frames(error))
    if last is None or not last.tb_frame.f_code.co_filename.startswith(LIBRARY):
        return False
    return last.tb_frame.f_code.co_code[last.tb_lasti] == _RAISE


def _frames(error: BaseException) -> Iterator[types.TracebackType]:
    at = error.__traceback__
    while at is not None:
        yield at
        at = at.tb_next


def _is_of_the_machine(error: BaseException) -> bool:
    return isinstance(error, _MACHINE) or type(error).__name__ == "OutOfMemoryError"


def _in_callers_code(error: BaseException) -> bool:
    """Whether an error passed through code that is neither the project's nor of an installed package."""
    files = {frame.tb_frame.f_code.co_filename for frame in _frames(error)}
    return any(
        file.startswith(_TYPED) or os.path.isabs(file) and not file.startswith((LIBRARY, *_INSTALLED))
        for file in files  # those that are not absolute are compiled or put together by libraries
    )


def _sentence(name: str, function: Callable[..., Any], given: Mapping[str, Any]) -> str:
    """What a function was given, and which of it is of another kind than its signature says."""
    try:
        hints = typing.get_type_hints(function)
    except NameError:  # a type that only the type checker knows
        hints = {}
    given = {key: value for key, value in given.items() if key not in ("self", "cls")}
    wrong = [key for key, value in given.items() if key in hints and not _fits(value, hints[key])]
    told = ", ".join(f"{key}={_told(value)}" for key, value in given.items() if not wrong or key in wrong)
    return f"{name} cannot use {told}: its docstring says what it takes."


def _told(value: Any) -> str:
    from facecomp_lib.utils.checks import describe, shown  # not above: it loads PyTorch

    return shown(value) if isinstance(value, (str, bytes, bool, int, float, type(None))) else describe(value)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is of the kind that an annotation names, as far as one sees from outside."""
    origin = typing.get_origin(hint)
    if hint is Any:
        return True
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, choice) for choice in typing.get_args(hint))
    if origin is Literal:
        return value in typing.get_args(hint)
    if hint is float:
        return isinstance(value, numbers.Real) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, numbers.Integral) and not isinstance(value, bool)
    kind = origin or hint
    return not isinstance(kind, type) or isinstance(value, kind)
