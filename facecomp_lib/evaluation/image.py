"""How close a completed face is to the true one, one number per image. Lesson 02 builds the metrics.

Metrics ending in ``_hole`` look at missing pixels only; they are NaN for an image without any. Predictions
are compared as they are: clamp a raw output to [0, 1] first if it is to be judged as an image. All metrics
stay on the images' device and keep no gradients.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from facecomp_lib import weights
from facecomp_lib.evaluation import ssim as similarity
from facecomp_lib.evaluation._checks import check_mask, check_pair, widened

__all__ = ["IMAGE_METRICS", "l1", "l1_hole", "lpips", "psnr", "psnr_hole", "score"]

#: What :func:`score` can measure.
IMAGE_METRICS = ("psnr", "ssim", "l1", "lpips", "psnr_hole", "ssim_hole", "l1_hole")

_LPIPS_SIDE = 31  # below, AlexNet's second pooling has nothing to pool


@torch.no_grad()
def psnr(prediction: Tensor, target: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB per image, ``[B]``: ``-10 log10(mean squared error)``.

    The peak is 1. Infinite for equal images; more is better.

    Args:
        prediction, target: float ``[B, 3, H, W]``, RGB in [0, 1].

    Raises:
        ValueError: shapes, types or values that cannot be compared.
    """
    check_pair(prediction, target)
    return _decibel(_mean(_squares(prediction, target)))


@torch.no_grad()
def psnr_hole(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """:func:`psnr` over the missing pixels (mask 0) only."""
    check_pair(prediction, target)
    check_mask(mask, target)
    return _decibel(_hole_mean(_squares(prediction, target), mask))


@torch.no_grad()
def l1(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference per image, ``[B]``, 0 ... 1; times 100 it is the papers' 'L1 (%)'."""
    check_pair(prediction, target)
    return _mean(_distances(prediction, target))


@torch.no_grad()
def l1_hole(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """:func:`l1` over the missing pixels (mask 0) only."""
    check_pair(prediction, target)
    check_mask(mask, target)
    return _hole_mean(_distances(prediction, target), mask)


@torch.no_grad()
def lpips(prediction: Tensor, target: Tensor, net: str = "alex") -> Tensor:
    """Learned perceptual distance per image, ``[B]``: 0 for equal images, about 0.7 for unrelated ones.

    Zhang et al., The Unreasonable Effectiveness of Deep Features as a Perceptual Metric, CVPR 2018.

    Args:
        prediction, target: float ``[B, 3, H, W]``, RGB in [0, 1] (the network's [-1, 1] is made inside), at
            least 31 px in height and width.
        net: "alex" as in most papers, or "vgg".

    Raises:
        ValueError: images that cannot be compared. FileNotFoundError: the weights are missing; the message
            says what to do.
    """
    check_pair(prediction, target)
    if min(target.shape[2:]) < _LPIPS_SIDE:
        raise ValueError(
            f"LPIPS needs images of at least {_LPIPS_SIDE} x {_LPIPS_SIDE} px, "
            f"not {target.shape[2]} x {target.shape[3]}: enlarge them first."
        )
    model = _lpips_model(net, str(target.device))
    with torch.autocast(target.device.type, enabled=False):
        return model(prediction.float(), target.float(), normalize=True).flatten()


@torch.no_grad()
def score(
    prediction: Tensor, target: Tensor, mask: Tensor, metrics: str | Sequence[str] = IMAGE_METRICS
) -> dict[str, Tensor]:
    """The image metrics of a batch of completions: name -> float ``[B]``.

    Args:
        prediction, target: float ``[B, 3, H, W]``, RGB in [0, 1].
        mask: ``[B, 1, H, W]`` (or one ``[1, 1, H, W]`` for all), 1 = known, 0 = missing; of any type.
        metrics: those wanted, of :data:`IMAGE_METRICS`; all by default.

    Returns:
        ``psnr``, ``ssim``, ``l1`` over the whole image; ``psnr_hole``, ``ssim_hole``, ``l1_hole`` over the
        missing pixels, NaN for an image without any, absent if no image has any; ``lpips`` (AlexNet) over
        the whole image, absent with a warning where its weights are, and for images below 31 px.

    A prediction that equals the target exactly wherever the mask says 'missing', and not elsewhere, gives a
    warning: the mask is probably inverted.

    Raises:
        ValueError: shapes, types or values that cannot be compared, or an unknown metric.
    """
    metrics = [metrics] if isinstance(metrics, str) else metrics
    unknown = [name for name in metrics if name not in IMAGE_METRICS]
    if unknown:
        raise ValueError(f"Unknown metric {unknown[0]!r}: choose from {', '.join(IMAGE_METRICS)}.")
    check_pair(prediction, target)
    check_mask(mask, target)
    wanted = [name for name in IMAGE_METRICS if name in metrics]
    if not bool((mask < 0.5).any()):
        wanted = [name for name in wanted if not name.endswith("_hole")]
    elif _seems_inverted(prediction, target, mask):
        warnings.warn(
            "The prediction is wrong only where the mask says 'known': is the mask inverted? It must hold "
            "1 where pixels are known and 0 where they are missing.",
            UserWarning,
            stacklevel=2,
        )
    if "lpips" in wanted and not _lpips_possible(target):
        wanted.remove("lpips")
    results: dict[str, Tensor] = {}
    if {"ssim", "ssim_hole"} & set(wanted):
        map_ = similarity.ssim_map(prediction, target)
    for name in wanted:
        match name:
            case "psnr":
                results[name] = _decibel(_mean(_squares(prediction, target)))
            case "psnr_hole":
                results[name] = _decibel(_hole_mean(_squares(prediction, target), mask))
            case "ssim":
                results[name] = similarity.inner_mean(map_)
            case "ssim_hole":
                results[name] = similarity.map_mean(map_, mask)
            case "l1":
                results[name] = _mean(_distances(prediction, target))
            case "l1_hole":
                results[name] = _hole_mean(_distances(prediction, target), mask)
            case "lpips":
                results[name] = lpips(prediction, target)
    return results


def _seems_inverted(prediction: Tensor, target: Tensor, mask: Tensor) -> bool:
    wrong = (prediction != target).any(1, keepdim=True)  # [B, 1, H, W]
    return bool(wrong.any()) and not bool((wrong & (mask < 0.5)).any())


def _squares(prediction: Tensor, target: Tensor) -> Tensor:
    return (widened(prediction) - widened(target)).square_()  # in place: memory is what takes time here


def _distances(prediction: Tensor, target: Tensor) -> Tensor:
    return (widened(prediction) - widened(target)).abs_()


def _decibel(error: Tensor) -> Tensor:
    return -10 * torch.log10(error)


def _mean(values: Tensor) -> Tensor:
    return values.mean((1, 2, 3))


def _hole_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of ``[B, 3, H, W]`` over the pixels where the mask is 0; NaN where there are none."""
    hole = (mask < 0.5).expand(len(values), -1, -1, -1)
    total = (values * hole).flatten(1).sum(1)
    return total / (hole.flatten(1).sum(1) * values.shape[1])


def _lpips_possible(target: Tensor) -> bool:
    if min(target.shape[2:]) < _LPIPS_SIDE:
        return False
    if not weights.available("lpips_alex"):  # a metric does not start a download
        _warn_once(
            "LPIPS is left out: its weights are not on this machine; 'python3 course.py setup' brings them."
        )
        return False
    return True


@cache
def _warn_once(sentence: str) -> None:
    warnings.warn(sentence, UserWarning, stacklevel=4)


@cache
def _lpips_model(net: str, device: str) -> torch.nn.Module:
    return weights.lpips_model(net).to(device)
