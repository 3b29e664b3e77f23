"""Structural similarity. Lesson 02 builds it.

Wang et al., Image Quality Assessment: From Error Visibility to Structural Similarity, IEEE TIP 2004. Choices,
all of them that paper's or its reference code's: Gaussian window of 11 x 11 px with sigma 1.5, constants
K1 = 0.01 and K2 = 0.03 for images in [0, 1], weighted (biased) variances, and the mean over those windows
that lie inside the image. The paper is about grey images; ours is the mean over R, G and B.
scikit-image gives the same with ``gaussian_weights=True, sigma=1.5, use_sample_covariance=False``. On a
CPU, torchmetrics takes 2.5 to 3.7 times as long for the same (benchmarks/metrics.py): that is why this is
here, for every evaluation calls it for each face.
Libraries that pad the image and average over the made-up border as well give other numbers, for faces some
0.02 higher: ask which one a published number comes from.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from facecomp_lib.evaluation._checks import check_mask, check_pair

__all__ = ["inner_mean", "map_mean", "ssim", "ssim_hole", "ssim_map"]

WINDOW, SIGMA = 11, 1.5
C1, C2 = 0.01**2, 0.03**2


@torch.no_grad()
def ssim(prediction: Tensor, target: Tensor) -> Tensor:
    """Structural similarity per image, ``[B]``, in [-1, 1]; 1 for equal images, more is better.

    The mean of :func:`ssim_map` over the pixels at least 5 px from the border. In an image with a side
    below 11 px there are none: then over all pixels.

    Args:
        prediction, target: float ``[B, 3, H, W]``, RGB in [0, 1].

    Raises:
        ValueError: shapes, types or values that cannot be compared.
    """
    return inner_mean(ssim_map(prediction, target))


@torch.no_grad()
def ssim_hole(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """The mean of :func:`ssim_map` over the missing pixels (mask 0), ``[B]``; NaN where there are none.

    A window around a missing pixel reaches 5 px into the known ones, so that a good seam counts, too.
    """
    similarity = ssim_map(prediction, target)
    check_mask(mask, target)
    return map_mean(similarity, mask)


@torch.no_grad()
def ssim_map(prediction: Tensor, target: Tensor) -> Tensor:
    """The similarity of the windows around each pixel, ``[B, H, W]``, averaged over the colours (Eq. 13).

    The image goes on beyond its border as in a mirror, the border pixel repeated.
    """
    check_pair(prediction, target)
    at_once = 1 if target.device.type == "cpu" else max(1, len(target))  # one image's numbers fit the cache
    pairs = zip(prediction.split(at_once), target.split(at_once), strict=True)
    with torch.autocast(target.device.type, enabled=False):
        return torch.cat([_similarity(one, other) for one, other in pairs])


def _similarity(prediction: Tensor, target: Tensor) -> Tensor:
    """Equation 13 around each pixel: ``[B, H, W]``."""
    # Variances are small differences of large numbers. Centred colours keep them precise in single precision;
    # on NVIDIA GPUs the user may have traded its digits for speed, so there it is double.
    kind = torch.float64 if target.device.type == "cuda" else torch.float32
    a, b = prediction.to(kind), target.to(kind)
    middle = (a.mean((1, 2, 3), keepdim=True) + b.mean((1, 2, 3), keepdim=True)) / 2
    a, b = a - middle, b - middle
    rows = _blur(a.shape[2], kind, str(a.device))
    columns = _blur(a.shape[3], kind, str(a.device)).T
    centred_a, centred_b, squares, product = rows @ torch.stack([a, b, a * a + b * b, a * b]) @ columns
    variances = squares - centred_a**2 - centred_b**2
    covariance = product - centred_a * centred_b
    mean_a, mean_b = centred_a + middle, centred_b + middle
    luminance = (2 * mean_a * mean_b + C1) / (mean_a**2 + mean_b**2 + C1)
    structure = (2 * covariance + C2) / (variances + C2)
    return (luminance * structure).mean(1).float()


def inner_mean(similarity: Tensor) -> Tensor:
    """``[B, H, W] -> [B]``, over the windows that lie inside the image (all, if none does)."""
    rim = WINDOW // 2
    if min(similarity.shape[1:]) >= WINDOW:
        similarity = similarity[:, rim:-rim, rim:-rim]
    return similarity.flatten(1).mean(1)


def map_mean(similarity: Tensor, mask: Tensor) -> Tensor:
    """``[B, H, W] -> [B]``, over the missing pixels; NaN where there are none."""
    hole = (mask[:, 0] < 0.5).expand_as(similarity)
    return (similarity * hole).flatten(1).sum(1) / hole.flatten(1).sum(1)


@lru_cache(maxsize=16)
def _blur(side: int, kind: torch.dtype, device: str) -> Tensor:
    """The Gaussian window as a matrix ``[side, side]``: ``rows @ image @ columns.T`` blurs.

    For faces of some hundred pixels that is quicker than a convolution, and the mirror at the border is part
    of it: weights beyond it are added to the pixels that they mirror.
    """
    rim = WINDOW // 2
    weights = torch.exp(-(torch.arange(-rim, rim + 1, dtype=torch.float64) ** 2) / (2 * SIGMA**2))
    weights /= weights.sum()
    reach = torch.arange(side)[:, None] + torch.arange(-rim, rim + 1)  # [side, 11]
    reach = reach % (2 * side)  # mirrored images repeat after two sides
    reach = torch.minimum(reach, 2 * side - 1 - reach)
    matrix = torch.zeros(side, side, dtype=torch.float64)
    matrix.scatter_add_(1, reach, weights.expand(side, -1))
    return matrix.to(device, kind)
