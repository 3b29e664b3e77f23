"""The LPIPS distance with its weights from our cache."""

import warnings
from typing import TYPE_CHECKING

from facecomp_lib.weights.cache import path

if TYPE_CHECKING:
    import torch

__all__ = ["lpips_model"]


def lpips_model(net: str = "alex") -> "torch.nn.Module":
    """Build the `lpips` package's distance with its weights from our cache: no hub, no pickle.

    Zhang et al., The Unreasonable Effectiveness of Deep Features as a Perceptual Metric, CVPR 2018.

    Args:
        net: "alex" (the usual metric) or "vgg".

    Returns:
        Module in eval mode without gradients to its weights. ``model(a, b, normalize=True)`` takes images
        float32 ``[B, 3, H, W]`` in [0, 1] and gives ``[B, 1, 1, 1]``, 0 for equal images.

    Raises:
        ValueError: another ``net``. FileNotFoundError: the weights are missing.
    """
    if net not in ("alex", "vgg"):
        raise ValueError(f"LPIPS comes with net='alex' or net='vgg', not {net!r}.")
    import torch
    from safetensors.torch import load_file

    from facecomp_lib.weights.torchvision_fix import ensure_torchvision

    tensors = load_file(path(f"lpips_{net}"))
    ensure_torchvision()
    import lpips

    with warnings.catch_warnings(), torch.device("meta"):  # builds the shapes only: nothing to initialise
        warnings.simplefilter("ignore", UserWarning)  # lpips calls torchvision by its older arguments
        model = lpips.LPIPS(pretrained=False, pnet_rand=True, net=net, verbose=False)
    # lpips holds each head under two names, lin0 and lins.0
    heads = {
        name.replace("lin", "lins.", 1): value for name, value in tensors.items() if name.startswith("lin")
    }
    state = {name: value for name, value in model.state_dict().items() if name.startswith("scaling_layer")}
    model.load_state_dict(tensors | heads | state, assign=True)
    return model.eval().requires_grad_(False)
