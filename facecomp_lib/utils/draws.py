"""PyTorch's random operators with a generator of one's own, from which nobody else in the program draws.

Layers and initializers, such as dropout, draw from PyTorch's own generator, which all threads share, and do
not take another one. Where the numbers are chosen on purpose, `utils/random.py` is what to use."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cache
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["OwnDraws", "own_draws"]


class OwnDraws(TorchDispatchMode):
    """Within the block this thread's random operators on the CPU draw from a generator of the block's own;
    those of other threads go on with PyTorch's.

    Args:
        seed: of the generator; None refuses draws.

    Raises:
        ValueError: a draw that is refused.
    """

    def __init__(self, seed: int | None) -> None:
        super().__init__()
        self.generator = None if seed is None else torch.Generator().manual_seed(seed)

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        drawn = torch.Tag.nondeterministic_seeded in func.tags and kwargs.get("generator") is None
        if drawn and _device(args, kwargs).type == "cpu":
            if self.generator is None:
                raise ValueError(
                    "A network draws random numbers while gradients are computed, other ones than before: "
                    "use no checkpointing (torch.utils.checkpoint) around dropout."
                )
            if (with_generator := _with_generator(func)) is not None:
                return with_generator(*args, **{**kwargs, "generator": self.generator})
        return func(*args, **kwargs)


def _device(args: Sequence[Any], kwargs: Mapping[str, Any]) -> torch.device:
    """Where an operator draws."""
    tensors = (each.device for each in args if isinstance(each, torch.Tensor))
    return torch.device(kwargs.get("device") or next(tensors, "cpu"))


@cache
def _with_generator(func: Any) -> Any:
    """The form of a random operator that takes a generator; None if it has none."""
    own = {argument.name for argument in func._schema.arguments}
    forms = [func, *(getattr(func.overloadpacket, name) for name in func.overloadpacket.overloads())]
    for form in forms:
        if {argument.name for argument in form._schema.arguments} == own | {"generator"}:
            return form
    return None


def own_draws(seed: int | None, device: torch.device, compiled: bool = False) -> AbstractContextManager[Any]:
    """:class:`OwnDraws` where PyTorch offers it: on the CPU, uncompiled. Elsewhere seed its generators."""
    if device.type == "cpu" and not compiled:
        return OwnDraws(seed)
    if seed is not None:
        torch.manual_seed(seed)
    return contextlib.nullcontext()
