"""Holes: which pixels of a face are missing, and putting a completion back around the known ones.

A mask is float32 ``[B, 1, H, W]`` with **1 = known pixel, 0 = missing**. 'left' and 'right' in the names of
masks are the viewer's (in landmarks and parsing they are the subject's). Built in lesson 01.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["KINDS", "check", "composite", "hole_fraction", "make"]

Hole = NDArray[np.bool_]  # [H, W], True = missing


@dataclass(frozen=True)
class Canvas:
    """What a family of holes may use to draw one hole."""

    height: int
    width: int
    random: np.random.Generator
    landmarks: NDArray[np.float64] | None = None  # [68, 2] in pixels

    def box(self, top: int, left: int, height: int, width: int) -> Hole:
        """A rectangular hole."""
        hole = np.zeros((self.height, self.width), bool)
        hole[top : top + height, left : left + width] = True
        return hole


Family = Callable[..., Hole]
_FAMILIES: dict[str, Family] = {}


def _family(name: str) -> Callable[[Family], Family]:
    """Register a function ``(canvas, **options) -> hole`` under a name for :func:`make`."""

    def register(function: Family) -> Family:
        _FAMILIES[name] = function
        return function

    return register


@_family("center")
def _center(canvas: Canvas, side: int | None = None) -> Hole:
    """A square of half the shorter side in the middle (64 of 128 px in gfc, section 4), or of ``side`` px."""
    side = _side(canvas, side)
    return canvas.box((canvas.height - side) // 2, (canvas.width - side) // 2, side, side)


@_family("random_square")
def _random_square(canvas: Canvas, side: int | None = None) -> Hole:
    """A square of half the shorter side, or of ``side`` px, anywhere inside, all places equally likely."""
    side = _side(canvas, side)
    top = canvas.random.integers(canvas.height - side + 1)
    left = canvas.random.integers(canvas.width - side + 1)
    return canvas.box(int(top), int(left), side, side)


@_family("half_left")
def _half_left(canvas: Canvas) -> Hole:
    """The half on the viewer's left is missing; of an odd width, the smaller half."""
    return canvas.box(0, 0, canvas.height, canvas.width // 2)


@_family("half_right")
def _half_right(canvas: Canvas) -> Hole:
    """The half on the viewer's right is missing; the mirror image of ``half_left``."""
    return _half_left(canvas)[:, ::-1]


KINDS: tuple[str, ...] = tuple(_FAMILIES)


def make(
    kind: str,
    size: int | tuple[int, int] = 128,
    n: int = 1,
    seed: int = 0,
    landmarks: Tensor | NDArray[Any] | None = None,
    **options: Any,
) -> Tensor:
    """Masks of one kind: float32 ``[n, 1, H, W]``, 1 = known, 0 = missing.

    Mask ``k`` depends on (seed, k) alone: a longer batch begins with the shorter one.

    Args:
        kind: one of :data:`KINDS`.
        size: side in pixels, or (height, width).
        n: number of masks.
        seed: of the random kinds; not negative.
        landmarks: ``[n, 68, 2]`` in pixels, for the kinds that follow the face.
        options: of the kind, such as ``side=32`` (pixels) for ``center`` and ``random_square``.

    Raises:
        ValueError: an unknown kind or option, or values out of range.
    """
    if kind not in _FAMILIES:
        raise ValueError(f"Unknown mask kind {kind!r}: choose one of {', '.join(KINDS)}.")
    height, width = (size, size) if isinstance(size, int) else size
    if min(height, width) < 2 or n < 0 or seed < 0:
        raise ValueError(f"A mask needs size >= 2, n >= 0 and seed >= 0, not {size}, {n} and {seed}.")
    _check_options(kind, options)
    points = _points(landmarks, n)
    masks = np.empty((n, 1, height, width), np.float32)
    for k in range(n):
        canvas = Canvas(
            height, width, np.random.default_rng([seed, k]), None if points is None else points[k]
        )
        masks[k, 0] = ~_FAMILIES[kind](canvas, **options)
    return torch.from_numpy(masks)


def composite(image: Tensor, raw: Tensor, mask: Tensor) -> Tensor:
    """The completed picture: known pixels of ``image``, bit for bit, and ``raw`` where the mask is 0.

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
        raise ValueError(f"image must be float in [0, 1], not {_type(image)}: divide 8-bit pictures by 255.")
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


def _check_options(kind: str, options: dict[str, Any]) -> None:
    allowed = list(inspect.signature(_FAMILIES[kind]).parameters)[1:]
    unknown = sorted(set(options) - set(allowed))
    if unknown:
        has = f"it has {', '.join(allowed)}" if allowed else "it has none"
        raise ValueError(f"Mask kind {kind!r} has no option {', '.join(unknown)}: {has}.")


def _points(landmarks: Tensor | NDArray[Any] | None, n: int) -> NDArray[np.float64] | None:
    if landmarks is None:
        return None
    points = np.asarray(landmarks.cpu() if isinstance(landmarks, Tensor) else landmarks, np.float64)
    if points.shape != (n, 68, 2):
        raise ValueError(f"landmarks must be [{n}, 68, 2], one set per mask, not {list(points.shape)}.")
    return points


def _side(canvas: Canvas, side: int | None) -> int:
    most = min(canvas.height, canvas.width)
    if side is None:
        return most // 2
    if not 1 <= side <= most:
        raise ValueError(f"side must lie in 1 ... {most} px, not {side}.")
    return int(side)


def _type(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
