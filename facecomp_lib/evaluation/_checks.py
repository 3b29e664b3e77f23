"""What every metric asks of its images: the library's checks, and enough digits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from facecomp_lib.utils import checks
from facecomp_lib.utils.checks import check_images_match as check_pair

__all__ = ["check_mask", "check_pair", "check_images", "widened"]


def check_images(image: Any, name: str) -> None:
    """Refuse what is not a batch of RGB images, float ``[B, 3, H, W]``, finite, in [0, 1]."""
    checks.check_image(image, name)
    checks.check_unit_range(image, name)


def check_mask(mask: Any, target: Tensor) -> None:
    """Refuse a mask that is not ``[B, 1, H, W]`` (or one for all) like the target; its type may be any."""
    checks.check_mask(mask, target, "target", binary=False)


def widened(image: Tensor) -> Tensor:
    """At least single precision: sums over an image in half precision would be worth two digits."""
    return image.to(torch.promote_types(image.dtype, torch.float32))
