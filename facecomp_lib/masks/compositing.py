"""Putting a completion back around the known pixels, and refusing masks that cannot be completed."""

from __future__ import annotations

import torch
from torch import Tensor


def composite(image: Tensor, raw: Tensor, mask: Tensor) -> Tensor:
    """The completed image: known pixels of ``image``, bit for bit, and ``raw`` where the mask is 0.

    ``M * I + (1 - M) * G`` of the papers, chosen per pixel instead of summed, so that no rounding touches
    known pixels.

    Args:
        image: float ``[B, 3, H, W]``, RGB in [0, 1]; its missing pixels are ignored.
        raw: same shape and type, what a method drew.
        mask: float ``[B, 1, H, W]`` (or one mask ``[1, 1, H, W]`` for all), 1 = known, 0 = missing.
    """
    if raw.shape != image.shape or raw.dtype != image.dtype:
        raise ValueError(
            f"image and raw must have one shape and type, not {list(image.shape)} {_type(image)} "
            f"and {list(raw.shape)} {_type(raw)}."
        )
    return torch.where(_checked_mask(image, mask) > 0.5, image, raw)


def hole_fraction(mask: Tensor) -> Tensor:
    """Share of missing pixels per mask: ``[B, 1, H, W] -> [B]``, 0 ... 1."""
    return 1 - mask.flatten(1).mean(1)


def check(image: Tensor, mask: Tensor) -> Tensor:
    """Refuse what no method can complete; return the mask with the batch size of the image.

    Raises:
        ValueError: the image is not float RGB ``[B, 3, H, W]`` of finite numbers in [0, 1], the mask is not
            0/1 of the same size, or nothing is known of a face.
    """
    if not isinstance(image, Tensor) or image.ndim != 4 or image.shape[1] != 3:
        shape = list(image.shape) if isinstance(image, Tensor) else type(image).__name__
        hint = ""
        if isinstance(image, Tensor) and image.ndim == 4 and image.shape[1] in (1, 4):
            hint = ": repeat a grey image three times" if image.shape[1] == 1 else ": drop the alpha channel"
        raise ValueError(f"image must be RGB [B, 3, H, W], not {shape}{hint}.")
    if min(image.shape[2:]) < 2:
        raise ValueError(f"image must be at least 2x2 px, not {image.shape[2]}x{image.shape[3]}.")
    if not image.is_floating_point():
        raise ValueError(f"image must be float in [0, 1], not {_type(image)}: divide 8-bit images by 255.")
    mask = _checked_mask(image, mask)
    known = torch.where(
        mask > 0.5, image, image.new_tensor(0.5)
    )  # what lies under the hole is nobody's business
    if not bool(((known >= 0) & (known <= 1)).all()):
        raise ValueError("image has NaN or values outside [0, 1] at known pixels: clamp or rescale it first.")
    empty = (mask.flatten(1).amax(1) == 0).nonzero().flatten().tolist()
    if empty:
        raise ValueError(f"The mask of image {empty[0]} leaves no known pixel (a 100 % hole): keep some.")
    return mask


def _checked_mask(image: Tensor, mask: Tensor) -> Tensor:
    wanted = [image.shape[0], 1, *image.shape[2:]]
    if not isinstance(mask, Tensor) or not mask.is_floating_point():
        kind = _type(mask) if isinstance(mask, Tensor) else type(mask).__name__
        raise ValueError(f"mask must be a float tensor {wanted} of 0 and 1, not {kind}: use mask.float().")
    if list(mask.shape) not in (wanted, [1, *wanted[1:]]):
        raise ValueError(f"mask must have the shape {wanted} like the image, not {list(mask.shape)}.")
    if mask.device != image.device:
        raise ValueError(f"image is on {image.device}, mask on {mask.device}: move one with .to(...).")
    if not bool(((mask == 0) | (mask == 1)).all()):
        raise ValueError("mask must hold 1 (known) and 0 (missing) only.")
    return mask.expand(wanted)


def _type(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
