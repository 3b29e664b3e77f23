"""How close a completed face is to the true one, one number per image.

Measures ending in ``_hole`` look at missing pixels only; they are NaN for an image without any. Images are
compared as they are: clamp a raw output to [0, 1] first if it is to be judged as a picture.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["l1", "l1_hole", "psnr", "psnr_hole", "score"]


def psnr(prediction: Tensor, target: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB per image, ``[B]``: ``-10 log10(mean squared error)`` for a peak of 1.

    Infinite for equal pictures; more is better.
    """
    _check(prediction, target)
    return _decibel((prediction - target).square().flatten(1).mean(1))


def psnr_hole(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """:func:`psnr` over the missing pixels (mask 0) only."""
    _check(prediction, target, mask)
    return _decibel(_hole_mean((prediction - target).square(), mask))


def l1(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference per image, ``[B]``, in [0, 1]; times 100 it is the papers' 'L1 (%)'."""
    _check(prediction, target)
    return (prediction - target).abs().flatten(1).mean(1)


def l1_hole(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """:func:`l1` over the missing pixels (mask 0) only."""
    _check(prediction, target, mask)
    return _hole_mean((prediction - target).abs(), mask)


def score(prediction: Tensor, target: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """All measures of a batch: name -> float ``[B]``.

    Args:
        prediction, target: float ``[B, 3, H, W]``, RGB in [0, 1].
        mask: float ``[B, 1, H, W]`` (or one ``[1, 1, H, W]`` for all), 1 = known, 0 = missing; any mask will
            do.

    Returns:
        ``psnr``, ``l1`` over the whole image, ``psnr_hole``, ``l1_hole`` over the missing pixels (NaN
        without any).

    Raises:
        ValueError: shapes or types that do not fit together.
    """
    return {
        "psnr": psnr(prediction, target),
        "l1": l1(prediction, target),
        "psnr_hole": psnr_hole(prediction, target, mask),
        "l1_hole": l1_hole(prediction, target, mask),
    }


def _decibel(error: Tensor) -> Tensor:
    return -10 * torch.log10(error)


def _hole_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of ``[B, 3, H, W]`` over the pixels where the mask is 0; NaN where there are none."""
    hole = (mask < 0.5).expand(len(values), -1, -1, -1)
    total = (values * hole).flatten(1).sum(1)
    return total / (hole.flatten(1).sum(1) * values.shape[1])


def _check(prediction: Tensor, target: Tensor, mask: Tensor | None = None) -> None:
    if prediction.ndim != 4 or prediction.shape != target.shape:
        raise ValueError(
            "prediction and target must both be [B, 3, H, W], "
            f"not {list(prediction.shape)} and {list(target.shape)}."
        )
    if not (prediction.is_floating_point() and target.is_floating_point()):
        raise ValueError("prediction and target must be float in [0, 1]: divide 8-bit pictures by 255.")
    if mask is not None:
        batch, _, height, width = prediction.shape
        if mask.ndim != 4 or tuple(mask.shape[1:]) != (1, height, width) or mask.shape[0] not in (1, batch):
            raise ValueError(f"mask must be [{batch}, 1, {height}, {width}], not {list(mask.shape)}.")
