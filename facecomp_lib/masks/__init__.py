"""Holes: which pixels of a face are missing, and putting a completion back around the known ones.

A mask is float32 ``[B, 1, H, W]`` with **1 = known pixel, 0 = missing**. 'left' and 'right' in the names of
masks are the viewer's (in landmarks and parsing they are the subject's). Lesson 01 builds and draws
every kind beside its paper. One file per family of holes; each function there says what it hides.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facecomp_lib.masks import irregular, occluders, parts, patterns, rectangles
from facecomp_lib.masks.canvas import Canvas, Family
from facecomp_lib.masks.compositing import check, composite, hole_fraction

__all__ = ["KINDS", "SOURCES", "check", "composite", "hole_fraction", "make"]

_FAMILIES: dict[str, Family] = {
    **rectangles.FAMILIES,
    **parts.FAMILIES,
    **irregular.FAMILIES,
    **patterns.FAMILIES,
    **occluders.FAMILIES,
}

KINDS: tuple[str, ...] = tuple(_FAMILIES)
SOURCES: dict[str, str] = {kind: family.source for kind, family in _FAMILIES.items()}
"""Kind -> which paper uses it, and where."""


def make(
    kind: str,
    size: int | tuple[int, int] = 128,
    n: int = 1,
    seed: int = 0,
    landmarks: Tensor | NDArray[Any] | None = None,
    *,
    step: int = 0,
    index: Sequence[int] | Tensor | NDArray[Any] | None = None,
    **options: Any,
) -> Tensor:
    """Masks of one kind: float32 ``[n, 1, H, W]``, 1 = known, 0 = missing.

    Mask ``k`` depends on (seed, k) alone, the same on every machine: a longer batch begins with the shorter
    one. Holes that follow the face depend on its landmarks as well.

    Args:
        kind: one of :data:`KINDS`.
        size: side in pixels, or (height, width); the kinds that follow the face, and the irregular ones,
            need 16 px.
        n: number of masks.
        seed: of the random kinds; not negative.
        landmarks: ``[n, 68, 2]`` in pixels, for the kinds that follow the face; without them it is where
            aligned images have it. The other kinds ignore them.
        step: of a training run: another step gives other masks of the same seed.
        index: whole numbers ``[n]`` that name the masks, by default 0 ... n-1, so that the mask of a sample
            does not depend on the batch or the process that it is in.
        options: of the kind. ``side`` (px) of ``center`` and ``random_square``; ``sides``, the least and the
            greatest (px), of ``random_rectangle``; ``folder`` of mask images, and ``invert``, of the
            irregular kinds; ``fraction`` of ``pattern`` and ``noise``; ``grain`` (px) of ``pattern``.

    Raises:
        ValueError: an unknown kind or option, values out of range, landmarks that put a hole outside the
            image, or a folder without a fitting mask.
        FileNotFoundError: no such folder of masks.
    """
    family = _family(kind, options)
    height, width = _size(size)
    if min(height, width) < family.smallest:
        raise ValueError(f"{kind!r} needs at least {family.smallest} px each way, not {height} x {width}.")
    if n < 0 or seed < 0 or step < 0:
        raise ValueError(f"n, seed and step must be 0 or more, not {n}, {seed} and {step}.")
    names = _names(index, n)
    points = _points(landmarks, len(names))
    masks = np.empty((len(names), 1, height, width), np.float32)
    for k, name in enumerate(names):
        # Trailing zeros do not change a key, so step 0 is the same as no step.
        canvas = Canvas(height, width, (seed, name, step), None if points is None else points[k])
        hole = family.draw(canvas, **options)
        if family.on_face and (hole.all() or not hole.any()):
            raise ValueError(
                f"The landmarks of face {k} put {kind!r} outside the image of {height} x {width} px, or "
                "around all of it: give landmarks in pixels of this image."
            )
        np.logical_not(hole, out=masks[k, 0], casting="unsafe")
    return torch.from_numpy(masks)


def _family(kind: str, options: dict[str, Any]) -> Family:
    """The family of that name, if it has these options."""
    if kind not in _FAMILIES:
        raise ValueError(f"Unknown mask kind {kind!r}: choose one of {', '.join(KINDS)}.")
    if not options:
        return _FAMILIES[kind]
    allowed = list(inspect.signature(_FAMILIES[kind].draw).parameters)[1:]
    unknown = sorted(set(options) - set(allowed))
    if unknown:
        has = f"it has {', '.join(allowed)}" if allowed else "it has none"
        raise ValueError(f"Mask kind {kind!r} has no option {', '.join(unknown)}: {has}.")
    return _FAMILIES[kind]


def _size(size: int | tuple[int, int]) -> tuple[int, int]:
    """Height and width."""
    sides = np.asarray(size)
    if sides.dtype.kind not in "iu" or sides.shape not in ((), (2,)):
        raise ValueError(f"size must be a whole number of pixels, or (height, width), not {size}.")
    height, width = np.broadcast_to(sides, 2)
    return int(height), int(width)


def _names(index: Sequence[int] | Tensor | NDArray[Any] | None, n: int) -> list[int]:
    if index is None:
        return list(range(n))
    names = np.asarray(index)
    whole = names.ndim == 1 and (names.dtype.kind in "iu" or not names.size)
    if not whole or (names < 0).any() or n not in (1, len(names)):
        raise ValueError(
            f"index must hold n whole numbers from 0 up, not {names.dtype} {list(names.shape)} for n = {n}."
        )
    return [int(name) for name in names]


def _points(landmarks: Tensor | NDArray[Any] | None, n: int) -> NDArray[np.float64] | None:
    if landmarks is None:
        return None
    points = np.asarray(landmarks.detach().cpu() if isinstance(landmarks, Tensor) else landmarks, np.float64)
    if points.shape != (n, 68, 2):
        raise ValueError(f"landmarks must be [{n}, 68, 2], one set per mask, not {list(points.shape)}.")
    if not np.isfinite(points).all():
        raise ValueError("landmarks must be finite pixel positions: some are NaN or infinite.")
    return points
