"""Names of an earlier edition that still work, with a warning, until the next one."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import ParamSpec, TypeVar

__all__ = ["renamed"]

P = ParamSpec("P")
R = TypeVar("R")


def renamed(**today: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a function take keyword arguments by earlier names.

    Args:
        today: earlier name -> name of today.

    Raises:
        TypeError: when called, an argument under both names.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            for old in sorted(set(today) & set(kwargs)):
                new, called = today[old], getattr(function, "__name__", "this")
                if new in kwargs:
                    raise TypeError(f"{called} got {new} and {old}, its earlier name: give {new} alone.")
                warnings.warn(f"{old} of {called} is called {new} now.", FutureWarning, stacklevel=2)
                kwargs[new] = kwargs.pop(old)
            return function(*args, **kwargs)

        return call

    return decorate
