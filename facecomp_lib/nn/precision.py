"""Where half precision is not enough."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch
from torch import Tensor

__all__ = ["full_precision"]


def full_precision(x: Tensor) -> AbstractContextManager:
    """A context in which autocast leaves float32 as it is, on the device of ``x``.

    For sums of many squares, which float16 cannot hold, and coordinates: bfloat16 has no digits for fractions
    of a pixel.
    """
    return torch.autocast("cpu" if x.is_meta else x.device.type, enabled=False)
