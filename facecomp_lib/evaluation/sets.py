"""Do two sets of images look alike as sets? FID and KID. Lesson 02 builds them.

Both turn images into the features of a network trained on ImageNet, and compare the two clouds of points.
Which network it was is part of the result's name, ``fid_inception`` or ``fid_vgg16``: numbers of two networks
must not be compared, and published FIDs are Inception's. Its weights are in no package archive; where they
cannot be had, VGG-16's do.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm.auto import tqdm

from facecomp_lib import weights
from facecomp_lib.evaluation._checks import check_images
from facecomp_lib.weights.torchvision_fix import ensure_torchvision

__all__ = ["NETWORKS", "Features", "SetDistance", "extract_features", "fid", "frechet", "kid", "mmd"]

Network = Callable[[Tensor], Tensor]
#: The networks whose features FID and KID can compare; "auto" takes Inception-v3 where its weights are.
NETWORKS = ("inception", "vgg16")
INCEPTION_WEIGHTS = "inception_fid"
SUBSETS = 100  # of KID
VGG_SIDE = 128  # the course's faces; ImageNet's 224 would cost three times as much


@dataclass(frozen=True, eq=False)
class Features:
    """The features of a set of images: compute those of the real ones once, compare them often.

    Attributes:
        network: whose features they are.
        values: float64 ``[N, D]`` on the CPU, a row for each image.
    """

    network: str
    values: Tensor

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        return f"Features({self.network!r}: {len(self)} images, {self.values.shape[1]} numbers each)"


@dataclass(frozen=True)
class SetDistance:
    """A distance of two sets of images; ``float(distance)`` is its value.

    Attributes:
        name: metric and network, as in ``kid_vgg16``.
        value: 0 for equal distributions; an unbiased estimate (KID) may fall below.
        spread: standard deviation over the subsets of KID, None for FID.
        real, fake: how many images were compared.
    """

    name: str
    value: float
    spread: float | None
    real: int
    fake: int

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        spread = "" if self.spread is None else f" +- {self.spread:.2g}"
        return f"{self.name} = {self.value:.4g}{spread} ({self.real} real, {self.fake} fake images)"


def fid(real: Any, fake: Any, features: str | Network = "auto") -> SetDistance:
    """Fréchet (inception) distance: between the Gaussians that have the mean and covariance of the features.

    Heusel et al., GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium, NeurIPS
    2017. It is biased: fewer images give a larger distance, so compare at equal numbers only.

    Args:
        real, fake: sets of images as for :func:`extract_features`, or :class:`Features`.
        features: "inception", "vgg16", "auto" or a network of your own; see :func:`extract_features`.

    Raises:
        ValueError: not more images than features (the covariance could not be estimated), or sets that
            cannot be compared. FileNotFoundError: the network's weights are missing.
    """
    one, other = _both(real, fake, features)
    dimensions = one.values.shape[1]
    if min(len(one), len(other)) <= dimensions:
        raise ValueError(
            f"A Fréchet distance over {dimensions} features needs more than {dimensions} images in each "
            f"set, not {len(one)} and {len(other)}: use kid(...), which is fair to small sets."
        )
    return SetDistance(f"fid_{one.network}", frechet(one.values, other.values), None, len(one), len(other))


def kid(real: Any, fake: Any, features: str | Network = "auto", seed: int = 0) -> SetDistance:
    """Kernel (inception) distance: squared maximum mean discrepancy of the features, unbiased at any number.

    Bińkowski et al., Demystifying MMD GANs, ICLR 2018: the mean over 100 pairs of random subsets of half of
    the smaller set (1000 images at most), with its spread.

    Args:
        real, fake, features: as for :func:`fid`.
        seed: of the subsets; the same call gives the same number.

    Raises:
        ValueError: fewer than 4 images, or sets that cannot be compared. FileNotFoundError: the network's
            weights are missing.
    """
    one, other = _both(real, fake, features)
    size = min(1000, len(one) // 2, len(other) // 2)
    if size < 2:
        raise ValueError(f"KID needs 4 images or more in each set, not {len(one)} and {len(other)}.")
    found = _fidelity("metric_kid").kid_features_to_metric(
        one.values, other.values, kid_subsets=SUBSETS, kid_subset_size=size, rng_seed=seed, verbose=False
    )
    mean, spread = (found[f"kernel_inception_distance_{part}"] for part in ("mean", "std"))
    return SetDistance(f"kid_{one.network}", mean, spread, len(one), len(other))


@torch.no_grad()
def extract_features(
    images: Any,
    network: str | Network = "auto",
    batch: int = 32,
    progress: bool = True,
    device: str | torch.device | None = None,
) -> Features:
    """What a network sees in each image.

    Args:
        images: float ``[N, 3, H, W]``, RGB in [0, 1]; or a data set of faces; or an iterable of such
            tensors, or of batches with an ``image``.
        network: "inception" (Inception-v3 with FID's weights: images bilinearly resized to 299 px, 2048
            numbers), "vgg16" (relu5_3 averaged over the image, resized to 128 px, 512 numbers), "auto" (the
            first where its weights are in the cache, else the second), or a function
            ``[B, 3, H, W] -> [B, D]``, which goes by its name.
        batch: images at a time.
        progress: show a bar if it takes more than two seconds.
        device: where to compute; where the images are by default.

    Raises:
        ValueError: no such network, or not such images. FileNotFoundError: its weights are missing.
    """
    name, build = _network(network)
    rows = []
    total = len(images) if isinstance(images, Tensor) or hasattr(images, "batch") else None
    with tqdm(total=total, desc=f"{name} features", delay=2, leave=False, disable=not progress) as bar:
        for some in _batches(images, batch):
            check_images(some, "images")
            some = some.float().to(device or some.device)
            with torch.autocast(some.device.type, enabled=False):
                values = build(str(some.device))(some)
            if values.ndim != 2 or len(values) != len(some):
                raise ValueError(
                    f"The network {name} must give [{len(some)}, D] features, not {list(values.shape)}."
                )
            rows.append(values.cpu().double())
            bar.update(len(some))
    if not rows:
        raise ValueError("There are no images to extract features of: give at least one.")
    return Features(name, torch.cat(rows))


def frechet(a: Tensor, b: Tensor) -> float:
    """Squared Fréchet distance of the Gaussians fitted to two clouds of points ``[N, D]`` and ``[M, D]``.

    ``|mean_a - mean_b|^2 + tr(A + B - 2 (A B)^(1/2))`` with the covariances A and B, divided by N - 1 and
    M - 1.
    """
    library = _fidelity("metric_fid")
    statistics = [library.fid_features_to_statistics(points.double().cpu()) for points in (a, b)]
    statistics = [{"mu": one["mu"], "sigma": np.atleast_2d(one["sigma"])} for one in statistics]
    return float(library.fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"])


def mmd(a: Tensor, b: Tensor) -> float:
    """Squared maximum mean discrepancy of two clouds of N points ``[N, D]``, unbiased.

    The kernel is ``(x . y / D + 1)^3``. Lemma 6 of Gretton et al., A Kernel Two-Sample Test, JMLR 2012.
    """
    points = (one.double().cpu().numpy() for one in (a, b))
    return float(_fidelity("metric_kid").kernel_mmd(*points))


def _fidelity(module: str) -> Any:
    """A module of torch-fidelity, which computes what the field publishes; imported when it is needed."""
    ensure_torchvision()
    return importlib.import_module(f"torch_fidelity.{module}")


def _both(real: Any, fake: Any, features: str | Network) -> tuple[Features, Features]:
    known = next((s.network for s in (real, fake) if isinstance(s, Features)), None)
    if features == "auto" and known in NETWORKS:
        features = known
    one = real if isinstance(real, Features) else extract_features(real, features)
    other = fake if isinstance(fake, Features) else extract_features(fake, features)
    if one.network != other.network or one.values.shape[1:] != other.values.shape[1:]:
        raise ValueError(f"Features of two networks cannot be compared: {one} and {other}.")
    return one, other


def _batches(images: Any, size: int) -> Iterator[Tensor]:
    """The images some at a time, as tensors."""
    if isinstance(images, Tensor):
        yield from images.split(size)
    elif hasattr(images, "batch"):
        for first in range(0, len(images), size):
            yield images.batch(range(first, min(first + size, len(images)))).image
    elif isinstance(images, Iterable):
        for item in images:
            some: Any = getattr(item, "image", item)
            check_images(some, "images")
            yield from some.split(size)
    else:
        check_images(images, "images")


def _network(network: str | Network) -> tuple[str, Callable[[str], Network]]:
    """A network's name, and what brings it to a device."""
    if network == "auto":
        network = "inception" if _has_inception() else "vgg16"
    if network == "inception":
        return "inception", _inception
    if network == "vgg16":
        return "vgg16", _vgg16
    if isinstance(network, str) or not callable(network):
        raise ValueError(
            f"There is no feature network {network!r}: choose one of auto, {', '.join(NETWORKS)}, or give a "
            "function."
        )
    own = network
    return getattr(own, "__name__", type(own).__name__).lower(), lambda device: own


def _has_inception() -> bool:
    return INCEPTION_WEIGHTS in weights.REGISTRY and weights.available(INCEPTION_WEIGHTS)


@cache
def _inception(device: str) -> Network:
    extractor = _fidelity("feature_extractor_inceptionv3").FeatureExtractorInceptionV3
    model = extractor("inception", ["2048"], str(weights.path(INCEPTION_WEIGHTS))).to(device)
    return lambda images: model((255 * images).round().byte())[0]  # it takes 8 bits


@cache
def _vgg16(device: str) -> Network:
    layers = weights.vgg16_features()[:30].to(device)  # up to relu5_3
    mean = torch.tensor([0.485, 0.456, 0.406], device=device).view(3, 1, 1)
    deviation = torch.tensor([0.229, 0.224, 0.225], device=device).view(3, 1, 1)

    def features(image: Tensor) -> Tensor:
        side = (VGG_SIDE, VGG_SIDE)
        image = F.interpolate(image, side, mode="bilinear", align_corners=False, antialias=True)
        return layers((image - mean) / deviation).mean((2, 3))

    return features
