"""Weights in eight bits: large tensors as whole numbers from -127 to 127, 32 of which share a scale.

``weight[i] = whole[i] * scale[i // 32]`` in the order in which the tensor lies in memory. That takes 8.5 bits
per weight instead of float16's 16; the error is at most half a step, the largest of the 32 divided by 254.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

__all__ = ["pack", "unpack"]

_SCALE = ":scale"
_BLOCK = 32  # weights that share a scale
_LARGE = 1 << 15  # weights; smaller tensors (biases, norms, the layers next to the image) stay as they are


def pack(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Replace each large float tensor by an int8 one of its shape and ``NAME:scale``, float16 ``[N / 32]``.

    Raises:
        ValueError: a weight is not finite, or too large for float16.
    """
    packed = {}
    for name, weight in weights.items():
        if not weight.is_floating_point() or weight.numel() < _LARGE or weight.numel() % _BLOCK:
            packed[name] = weight
            continue
        blocks = weight.float().reshape(-1, _BLOCK)  # [N / 32, 32]
        scale = (blocks.abs().amax(1) / 127).half()  # [N / 32]
        if not scale.isfinite().all():
            raise ValueError(f"{name} holds a weight that is not finite or too large: nothing is saved.")
        steps = scale.float().where(scale > 0, 1)[:, None]  # [N / 32, 1]
        whole = (blocks / steps).round().clamp(-127, 127)  # [N / 32, 32]
        packed[name] = whole.to(torch.int8).reshape(weight.shape)
        packed[name + _SCALE] = scale
    return packed


def unpack(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Undo :func:`pack` up to rounding; tensors without a scale come back as they are.

    Raises:
        ValueError: a scale that does not belong to its tensor.
    """
    weights = {}
    for name, tensor in stored.items():
        if name.endswith(_SCALE):
            continue
        scale = stored.get(name + _SCALE)
        if scale is not None:
            if scale.numel() * _BLOCK != tensor.numel():
                raise ValueError(f"{name} has {tensor.numel()} weights and {scale.numel()} scales.")
            blocks = tensor.float().reshape(-1, _BLOCK) * scale.float()[:, None]  # [N / 32, 32]
            tensor = blocks.reshape(tensor.shape)
        weights[name] = tensor
    return weights
