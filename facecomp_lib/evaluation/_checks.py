"""What every metric asks of its images: the library's checks, and enough digits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from facecomp_lib.utils import checks
from facecomp_lib.utils.checks import check_images_match as check_pair

__all__ = ["check_binary", "check_mask", "check_pair", "check_images", "widened"]


def check_images(image: Any, name: str) -> None:
    """Refuse what is not a batch of RGB images, float ``[B, 3, H, W]``, finite, in [0, 1]."""
    checks.check_image(image, name)
    checks.check_unit_range(image, name)


def check_mask(mask: Any, target: Tensor) -> None:
    """Refuse a mask that is not ``[B, 1, H, W]`` (or one for all) like the target, or holds anything but 1
    (known) and 0 (missing); its type may be any."""
    checks.check_mask(mask, target, "target", binary=False)
    check_binary(mask)


def check_binary(mask: Tensor) -> None:
    """Refuse a mask of any type that holds anything but 1 (known) and 0 (missing)."""
    if not bool(((mask == 0) | (mask == 1)).all()):
        low, high = mask.double().aminmax()
        raise ValueError(
            f"mask must hold 1 (known) and 0 (missing) only, not values from {low:.3g} to {high:.3g}: give "
            "mask > 127 of an 8-bit one, mask > 0.5 of a soft one."
        )


def widened(image: Tensor) -> Tensor:
    """At least single precision: sums over an image in half precision would be worth two digits."""
    return image.to(torch.promote_types(image.dtype, torch.float32))
