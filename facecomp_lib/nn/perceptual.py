"""Features of a network that has seen ImageNet, and the two losses that compare images by them.

Lesson 05 builds both losses; oracle and symmfc use the first one, too. The networks come from ``fc.weights``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor, nn

from facecomp_lib import weights
from facecomp_lib.nn.precision import full_precision

__all__ = ["best_vgg", "gram", "perceptual_loss", "style_loss", "vgg_features"]

# Layers whose outputs are relu1_1, relu2_1, ..., relu5_1, in torchvision's numbering.
_TAKEN = {"vgg16": (1, 6, 11, 18, 25), "vgg19": (1, 6, 11, 20, 29)}
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's images


def best_vgg() -> str | None:
    """``"vgg19"``, the papers' network, if its weights are here; else ``"vgg16"``; None without both."""
    if weights.available("vgg19"):
        return "vgg19"
    return "vgg16" if weights.available("lpips_vgg") or weights.available("vgg16") else None


def vgg_features(image: Tensor, network: str) -> list[Tensor]:
    """relu1_1, 2_1, 3_1, 4_1, 5_1 of images ``[B, 3, H, W]`` in [0, 1]: five ``[B, C, H/2^k, W/2^k]``.

    Args:
        network: ``"vgg16"`` or ``"vgg19"``.

    Raises:
        ValueError: another network.
        FileNotFoundError: its weights are not here; the sentence says what to do.
    """
    if network not in _TAKEN:
        raise ValueError(f"network must be one of {', '.join(_TAKEN)}, not {network!r}.")
    mean, std = (image.new_tensor(values).view(1, 3, 1, 1) for values in (_MEAN, _STD))
    x = (image - mean) / std
    features = []
    for layer, module in enumerate(_layers(network, str(image.device))):
        x = module(x)
        if layer in _TAKEN[network]:
            features.append(x)
    return features


@cache
def _layers(network: str, device: str) -> nn.Sequential:
    """The frozen layers up to relu5_1, which write into nothing that autograd still needs."""
    load = weights.vgg19_features if network == "vgg19" else weights.vgg16_features
    layers = nn.Sequential(*list(load())[: _TAKEN[network][-1] + 1]).to(device)
    for layer in layers:
        if isinstance(layer, nn.Conv2d):  # fastest for images of this size
            layer.weight.data = layer.weight.contiguous(memory_format=torch.channels_last)
    return layers.requires_grad_(False).eval()


def gram(features: Tensor) -> Tensor:
    """Which channels fire together: ``[B, C, H, W]`` -> ``[B, C, C]``, products over C * H * W."""
    with full_precision(features):
        flat = features.float().flatten(2)
        return flat @ flat.mT / flat[0].numel()


def perceptual_loss(drawn: Sequence[Tensor], true: Sequence[Tensor]) -> Tensor:
    """Sum over layers of the mean |difference| of features."""
    return torch.stack([(a - b).abs().mean() for a, b in zip(drawn, true, strict=True)]).sum()


def style_loss(drawn: Sequence[Tensor], true: Sequence[Tensor]) -> Tensor:
    """Sum over layers of the mean |difference| of Gram matrices."""
    return torch.stack([(gram(a) - gram(b)).abs().mean() for a, b in zip(drawn, true, strict=True)]).sum()
