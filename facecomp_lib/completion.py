"""What every way of completing a face returns, classical or learned."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

__all__ = ["Completion"]


@dataclass(frozen=True, eq=False)
class Completion:
    """A completed batch.

    Attributes:
        composite: ``[B, 3, H, W]`` in [0, 1]; its known pixels are bit-identical to the input's.
        raw: ``[B, 3, H, W]``, what the method drew everywhere.
        extras: whatever else it computed that a student wants to see, by name: ``attention``, ``flow`` ...
    """

    composite: Tensor
    raw: Tensor
    extras: dict[str, Tensor] = field(default_factory=dict)
