"""Random numbers as a function of a key, the same on CPU and GPU and in any split of a batch over processes.

A generator with a state gives the third sample of a batch other numbers when the batch is cut in two. A hash
of (key, place) doesn't. The hash is an integer mixer of two multiplications and three shifts with Chris
Wellons' constants ("lowbias32"), applied twice.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["sample_keys", "uniform"]

_BITS = 0xFFFFFFFF  # the 32 low bits of an int64, so that shifts see no sign


def _mix(x: Tensor) -> Tensor:
    x = x & _BITS
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & _BITS
    x = ((x ^ (x >> 15)) * 0x846CA68B) & _BITS
    return x ^ (x >> 16)


def sample_keys(seed: int, step: int, index: Tensor) -> Tensor:
    """A key for each sample: int64 ``[B]`` from whole numbers not below 0."""
    key = _mix(torch.full_like(index, seed))
    key = _mix(key ^ (step & _BITS))
    return _mix(_mix(key) ^ index)


def uniform(keys: Tensor, shape: Sequence[int], salt: str = "") -> Tensor:
    """Numbers in [0, 1), evenly spread: float32 ``[B, *shape]`` on the device of the keys.

    Args:
        keys: int64 ``[B]``.
        shape: of one sample's numbers.
        salt: another name gives other numbers for the same key.
    """
    base = _mix(_mix(keys ^ zlib.crc32(salt.encode())))  # [B]
    place = _mix(torch.arange(math.prod(shape), device=keys.device))  # [n]
    bits = _mix(place[None, :] ^ base[:, None]) >> 8  # [B, n], 24 bits: what a float32 holds exactly
    return (bits.float() / 2**24).reshape(len(keys), *shape)
