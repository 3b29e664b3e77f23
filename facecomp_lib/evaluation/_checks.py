"""What every measure asks of its images."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["check_mask", "check_pair", "check_images", "widened"]

_SLACK = 1e-3  # resizing and rounding may leave [0, 1] by a hair


def check_images(image: Any, name: str) -> None:
    """Refuse what is not a batch of RGB images, float ``[B, 3, H, W]``, finite, in [0, 1]."""
    _check_kind(image, name)
    _check_values(image, name)


def check_pair(prediction: Any, target: Any) -> None:
    """Refuse images that cannot be compared: the target must be an image, the prediction a finite one."""
    _check_kind(prediction, "prediction")
    _check_kind(target, "target")
    if prediction.shape != target.shape:
        raise ValueError(
            "prediction and target must have one shape [B, 3, H, W], "
            f"not {list(prediction.shape)} and {list(target.shape)}."
        )
    if prediction.device != target.device:
        raise ValueError(
            f"prediction is on {prediction.device}, target on {target.device}: move one with .to(...)."
        )
    _check_values(prediction, "prediction", in_range=False)
    _check_values(target, "target")


def check_mask(mask: Any, target: Tensor) -> None:
    """Refuse a mask that is not ``[B, 1, H, W]`` (or one for all) like the target; its type may be any."""
    batch, _, height, width = target.shape
    shape = list(mask.shape) if isinstance(mask, Tensor) else type(mask).__name__
    if shape not in ([batch, 1, height, width], [1, 1, height, width]):
        raise ValueError(f"mask must be [{batch}, 1, {height}, {width}], not {shape}.")
    if mask.device != target.device:
        raise ValueError(f"target is on {target.device}, mask on {mask.device}: move one with .to(...).")


def widened(image: Tensor) -> Tensor:
    """At least single precision: sums over an image in half precision would be worth two digits."""
    return image.to(torch.promote_types(image.dtype, torch.float32))


def _check_kind(image: Any, name: str) -> None:
    if not isinstance(image, Tensor):
        raise ValueError(f"{name} must be a float tensor [B, 3, H, W], not {type(image).__name__}.")
    if image.ndim != 4 or image.shape[1] != 3:
        hint = {1: " (repeat a grey image three times)", 4: " (drop the alpha channel)"}
        reason = hint.get(image.shape[1], "") if image.ndim == 4 else ""
        raise ValueError(f"{name} must be RGB, [B, 3, H, W], not {list(image.shape)}{reason}.")
    if not image.is_floating_point():
        kind = str(image.dtype).removeprefix("torch.")
        raise ValueError(f"{name} must be float in [0, 1], not {kind}: divide 8-bit images by 255.")


def _check_values(image: Tensor, name: str, in_range: bool = True) -> None:
    if not image.numel():
        return
    low, high = float(image.amin()), float(image.amax())  # NaN and infinities show in these, too
    if not (abs(low) < torch.inf and abs(high) < torch.inf):
        raise ValueError(f"{name} has NaN or infinite values: there is nothing to measure.")
    if in_range and (low < -_SLACK or high > 1 + _SLACK):
        raise ValueError(f"{name} must lie in [0, 1], not {low:.3g} ... {high:.3g}: rescale it first.")
