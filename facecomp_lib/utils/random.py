"""Random numbers as functions of a key: seed, step, number of the sample. No generator keeps a state.

So a sample's numbers don't depend on its neighbours in the batch, on the number of processes, or on what was
drawn before, and an interrupted run continues with the numbers it would have had. Three forms:

- :func:`uniform` hashes (key, place) into tensors on any device, the same numbers on all of them. The hash
  is an integer mixer of two multiplications and three shifts with Chris Wellons' constants ("lowbias32"),
  applied twice.
- :func:`uniform_rows` reads one row per sample from a stream that belongs to the step: quick for a few
  numbers in double precision.
- :func:`keyed_generator` makes a NumPy generator, for other distributions and any count of numbers.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

__all__ = ["keyed_generator", "sample_keys", "uniform", "uniform_rows"]

_BITS = 0xFFFFFFFF  # the 32 low bits of an int64, so that shifts see no sign


def _mix(x: Tensor) -> Tensor:
    x = x & _BITS
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & _BITS
    x = ((x ^ (x >> 15)) * 0x846CA68B) & _BITS
    return x ^ (x >> 16)


def sample_keys(seed: int, step: int, index: Tensor) -> Tensor:
    """A key for each sample: int64 ``[B]`` from whole numbers not below 0."""
    key = _mix(torch.full_like(index, seed & _BITS))
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


def uniform_rows(seed: int, step: int, index: ArrayLike, count: int) -> NDArray[np.float64]:
    """``count`` numbers in [0, 1) for each sample: float64 ``[B, count]``.

    Args:
        seed, step: not negative.
        index: whole numbers from 0 up ``[B]`` that name the samples.
        count: another count gives other numbers.

    Raises:
        ValueError: a negative or broken number.
    """
    names = np.asarray(index)
    if names.ndim != 1 or (names.size and names.dtype.kind not in "iu"):
        raise ValueError(
            f"index must be a flat list of whole numbers, not {names.dtype} {list(names.shape)}."
        )
    if seed < 0 or step < 0 or (names < 0).any():
        raise ValueError("seed, step and index must not be negative.")
    # One stream per step, in which each sample has its place: seeding one for each takes longer.
    stream = np.random.PCG64([seed, step])
    random, table, at = np.random.Generator(stream), np.empty((len(names), count)), 0
    for row, name in zip(table, names.tolist(), strict=True):
        stream.advance((name * count - at) % 2**128)
        random.random(out=row)
        at = (name + 1) * count
    return table


def keyed_generator(*key: int) -> np.random.Generator:
    """A generator whose numbers depend on these whole numbers from 0 up; zeros at the end change nothing."""
    small = max(key) < 2**32  # as an array such a key gives the same numbers, a third sooner
    return np.random.default_rng(np.array(key, np.uint32) if small else list(key))
