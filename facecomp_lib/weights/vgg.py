"""The convolutional parts of VGG-16 and VGG-19, frozen."""

from pathlib import Path
from typing import TYPE_CHECKING

from facecomp_lib.weights.cache import available, path

if TYPE_CHECKING:
    import torch

__all__ = ["torchvision_features", "vgg16_features", "vgg19_features", "vgg_layers"]


def vgg16_features() -> "torch.nn.Sequential":
    """Build VGG-16's convolutional part (31 layers, torchvision's numbering), frozen.

    Its weights come from "lpips_vgg" or "vgg16". It expects ImageNet-normalised images float32
    ``[B, 3, H, W]`` and gives ``[B, 512, H/32, W/32]``.
    """
    if available("lpips_vgg") or not available("vgg16"):
        from safetensors.torch import load_file

        tensors = load_file(path("lpips_vgg"))
        # net.slice2.5.weight -> 5.weight: lpips keeps torchvision's numbers inside its slices
        state = {key.split(".", 2)[2]: value for key, value in tensors.items() if key.startswith("net.")}
    else:
        state = torchvision_features(path("vgg16"))
    return vgg_layers((2, 2, 3, 3, 3), state)


def vgg19_features() -> "torch.nn.Sequential":
    """Build VGG-19's convolutional part (37 layers), frozen; see `vgg16_features`."""
    return vgg_layers((2, 2, 4, 4, 4), torchvision_features(path("vgg19")))


def torchvision_features(file: Path) -> "dict[str, torch.Tensor]":
    """Read the convolutional part's weights from torchvision's file; only tensors are unpickled."""
    import torch

    state = torch.load(file, map_location="cpu", weights_only=True)
    return {
        key.removeprefix("features."): value for key, value in state.items() if key.startswith("features.")
    }


def vgg_layers(depths: tuple[int, ...], state: "dict[str, torch.Tensor]") -> "torch.nn.Sequential":
    """Build five blocks of 3x3 convolutions with ReLU, each closed by 2x2 max pooling.

    Args:
        depths: convolutions in each block.
        state: their weights by torchvision's names, ``"0.weight"`` and on.
    """
    import torch

    layers: list[torch.nn.Module] = []
    with torch.device("meta"):
        channels = 3
        for depth, width in zip(depths, (64, 128, 256, 512, 512), strict=True):
            for _ in range(depth):
                layers += [torch.nn.Conv2d(channels, width, 3, padding=1), torch.nn.ReLU()]
                channels = width
            layers.append(torch.nn.MaxPool2d(2))
    network = torch.nn.Sequential(*layers)
    network.load_state_dict(state, assign=True)
    return network.eval().requires_grad_(False)
