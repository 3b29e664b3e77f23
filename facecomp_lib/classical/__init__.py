"""Completion without learning: fills that know nothing of faces. The yardstick that lesson 02 measures."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facecomp_lib import masks
from facecomp_lib.classical.poisson import poisson_blend
from facecomp_lib.completion import Completion
from facecomp_lib.nn.precision import full_precision
from facecomp_lib.utils.doors import doors

__all__ = ["KINDS", "complete", "poisson_blend"]

ImageArray = NDArray[Any]  # float64 [H, W, 3] in [0, 1], missing pixels 0
Hole = NDArray[np.bool_]  # [H, W], True = missing


def _mean(image: ImageArray, hole: Hole) -> ImageArray:
    """The mean colour of the known pixels."""
    return np.broadcast_to(image[~hole].mean(0), image.shape)


def _telea(image: ImageArray, hole: Hole, radius: float = 3.0) -> ImageArray:
    """Fast marching inwards from the rim (Telea 2004), by OpenCV, in 8 bits: the fill has 256 levels.

    ``radius``: pixels around a missing one that it averages over.
    """
    return _opencv(image, hole, radius, "INPAINT_TELEA")


def _navier_stokes(image: ImageArray, hole: Hole, radius: float = 3.0) -> ImageArray:
    """Lines of equal brightness flow on into the hole (Bertalmio and others 2001), by OpenCV, in 8 bits.

    ``radius``: pixels around a missing one that it looks at.
    """
    return _opencv(image, hole, radius, "INPAINT_NS")


def _opencv(image: ImageArray, hole: Hole, radius: float, method: str) -> ImageArray:
    import cv2

    if not 1 <= radius <= 100:
        raise ValueError(f"radius must lie in 1 ... 100 px, not {radius}.")
    levels = np.round(image * 255).astype(np.uint8)
    return cv2.inpaint(levels, hole.astype(np.uint8), radius, getattr(cv2, method)) / 255.0


def _patchmatch(image: ImageArray, hole: Hole, patch: int = 7, seed: int = 0) -> ImageArray:
    """Pixels copied from known places whose surroundings look alike (Barnes and others 2009): sharp, and
    wrong wherever nothing like the missing part is known.

    ``patch``: side of the compared squares, odd pixels. ``seed``: of the random search.
    """
    from facecomp_lib.classical.patchmatch import copy_map

    source = copy_map(image, hole, patch, seed)
    return image[source[..., 0], source[..., 1]]


def _biharmonic(image: ImageArray, hole: Hole) -> ImageArray:
    """The smoothest surface through the known pixels (squared Laplacian 0 in the hole), by scikit-image.

    One sparse linear system with an unknown per missing pixel; holes of more than about 256 x 256 px take
    seconds.
    """
    from skimage.restoration import inpaint_biharmonic

    return inpaint_biharmonic(image, hole, channel_axis=-1)


_FILLS: dict[str, Callable[..., ImageArray]] = {
    "mean": _mean,
    "telea": _telea,
    "navier_stokes": _navier_stokes,
    "biharmonic": _biharmonic,
    "patchmatch": _patchmatch,
}
KINDS: tuple[str, ...] = tuple(_FILLS)


def complete(image: Tensor, mask: Tensor, kind: str = "telea", **options: Any) -> Completion:
    """Fill the missing pixels; deterministic, on the CPU whatever the tensors' device.

    Args:
        image: float ``[B, 3, H, W]``, RGB in [0, 1]; what lies under the hole is never looked at.
        mask: float ``[B, 1, H, W]`` (or one ``[1, 1, H, W]`` for all), 1 = known, 0 = missing. Without a
            missing pixel the input comes back.
        kind: one of :data:`KINDS`.
        options: ``radius=`` in pixels for ``telea`` and ``navier_stokes``; ``patch=`` and ``seed=`` for
            ``patchmatch``.

    Raises:
        ValueError: unknown kind or option, or an image or mask that cannot be completed
            (:func:`masks.check`).
    """
    if kind not in _FILLS:
        raise ValueError(f"Unknown fill {kind!r}: choose one of {', '.join(KINDS)}.")
    allowed = list(inspect.signature(_FILLS[kind]).parameters)[2:]
    unknown = sorted(set(options) - set(allowed))
    if unknown:
        has = f"it has {', '.join(allowed)}" if allowed else "it has none"
        raise ValueError(f"The fill {kind!r} has no option {', '.join(unknown)}: {has}.")
    mask = masks.check(image, mask)
    fills = [_filled(one, known, kind, options) for one, known in zip(image, mask, strict=True)]
    with full_precision(image):
        raw = torch.stack(fills) if fills else image
    return Completion(composite=masks.merge(image, raw, mask), raw=raw)


def _filled(image: Tensor, known: Tensor, kind: str, options: dict[str, Any]) -> Tensor:
    """One image ``[3, H, W]`` with mask ``[1, H, W]``."""
    hole = (known[0] < 0.5).cpu().numpy()
    if not hole.any():
        return image
    array = image.detach().permute(1, 2, 0).double().cpu().numpy()  # [H, W, 3]
    array = np.where(hole[..., None], 0.0, array)
    filled = np.clip(_FILLS[kind](array, hole, **options), 0, 1)
    return torch.from_numpy(np.ascontiguousarray(filled.transpose(2, 0, 1))).to(image)


doors(globals(), __all__)
