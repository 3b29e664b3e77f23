"""Putting a completion back around the known pixels, and refusing what cannot be completed."""

from __future__ import annotations

import torch
from torch import Tensor

from facecomp_lib.utils.checks import check_image, check_mask, kind_of


def composite(image: Tensor, raw: Tensor, mask: Tensor) -> Tensor:
    """The completed image: known pixels of ``image``, bit for bit, and ``raw`` where the mask is 0.

    ``M * I + (1 - M) * G`` of the papers, chosen per pixel instead of summed, so that no rounding touches
    known pixels.

    Args:
        image: float ``[B, 3, H, W]``, RGB in [0, 1]; its missing pixels are ignored.
        raw: the prediction, same shape and type.
        mask: float ``[B, 1, H, W]`` (or one mask ``[1, 1, H, W]`` for all), 1 = known, 0 = missing.

    Raises:
        ValueError: other shapes or types, or a mask that does not hold 0 and 1.
    """
    check_mask(mask, image)
    return merge(image, raw, mask)


def merge(image: Tensor, raw: Tensor, mask: Tensor) -> Tensor:
    """:func:`composite` under a mask that was checked before; its values are not looked at again."""
    if raw.shape != image.shape or raw.dtype != image.dtype:
        raise ValueError(
            f"image and raw must have one shape and type, not {list(image.shape)} {kind_of(image)} "
            f"and {list(raw.shape)} {kind_of(raw)}."
        )
    return torch.where(mask > 0.5, image, raw)


def hole_fraction(mask: Tensor) -> Tensor:
    """Share of missing pixels per mask: ``[B, 1, H, W] -> [B]``, 0 ... 1."""
    return 1 - mask.flatten(1).mean(1)


def check(image: Tensor, mask: Tensor) -> Tensor:
    """Refuse what no method can complete; return the mask with the batch size of the image.

    Raises:
        ValueError: the image is not float RGB ``[B, 3, H, W]`` of finite numbers in [0, 1], the mask is not
            0/1 of the same size, or nothing is known of a face.
    """
    check_image(image, smallest=2)
    check_mask(mask, image)
    mask = mask.expand(len(image), -1, -1, -1)  # [B, 1, H, W]
    known = torch.where(mask > 0.5, image, image.new_tensor(0.5))  # ignore values under the mask
    if not bool(((known >= 0) & (known <= 1)).all()):
        raise ValueError("image has NaN or values outside [0, 1] at known pixels: clamp or rescale it first.")
    empty = (mask.flatten(1).amax(1) == 0).nonzero().flatten().tolist()
    if empty:
        raise ValueError(f"The mask of image {empty[0]} leaves no known pixel (a 100 % hole): keep some.")
    return mask
