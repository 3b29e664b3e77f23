"""Masks: which pixels of a face are missing, and how a completion is put back around the known ones.

A mask is float32 ``[B, 1, H, W]`` with **1 = known pixel, 0 = missing**. 'left' and 'right' in the names of
masks are the viewer's (in landmarks and parsing they are the subject's). Lesson 01 builds and draws
every kind beside its paper. Each module holds kinds that are drawn alike; each drawing function says what it
hides.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facecomp_lib.faces.image_io import Source
from facecomp_lib.masks import face_boxes, folder, irregular, occluders, patterns, rectangles
from facecomp_lib.masks.base import MaskContext, MaskKind
from facecomp_lib.masks.compositing import check, composite, hole_fraction, merge
from facecomp_lib.utils.checks import check_count, check_landmarks, shown
from facecomp_lib.utils.files import expand

__all__ = ["KINDS", "SOURCES", "check", "check_kind", "composite", "hole_fraction", "make", "merge", "read"]

_KINDS: dict[str, MaskKind] = {
    **rectangles.KINDS,
    **face_boxes.KINDS,
    **irregular.KINDS,
    **patterns.KINDS,
    **occluders.KINDS,
}

KINDS: tuple[str, ...] = tuple(_KINDS)
SOURCES: dict[str, str] = {name: kind.source for name, kind in _KINDS.items()}
"""Kind -> which paper uses it, and where."""


def make(
    kind: str | os.PathLike[str],
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
    one. Masks that follow the face depend on its landmarks as well.

    Args:
        kind: one of :data:`KINDS`, or a folder of mask images: each mask is one of them, flipped at random.
        size: side in pixels, or (height, width); the kinds that follow the face, and the irregular ones,
            need 16 px.
        n: number of masks.
        seed: of the random kinds; not negative.
        landmarks: ``[n, 68, 2]`` in pixels, for the kinds that follow the face; without them it is where
            aligned images have it. The other kinds ignore them.
        step: number of the training step: another step gives other masks of the same seed.
        index: whole numbers ``[n]`` that name the masks, by default 0 ... n-1, so that the mask of a sample
            does not depend on the batch or the process that it is in.
        options: of the kind. ``side`` (px) of ``center`` and ``random_square``; ``sides``, the least and the
            greatest (px), of ``random_rectangle``; ``folder`` of mask images, and ``invert``, of the
            irregular kinds; ``invert`` of a folder; ``fraction`` of ``pattern`` and ``noise``; ``grain`` (px)
            of ``pattern``.

    Raises:
        ValueError: an unknown kind or option, values out of range, landmarks that put a mask outside the
            image, or a folder without a fitting mask.
        FileNotFoundError: no such folder of masks.
    """
    mask_kind = _find(kind, options)
    height, width = _size(size)
    if min(height, width) < mask_kind.smallest:
        raise ValueError(
            f"{str(kind)!r} needs at least {mask_kind.smallest} px each way, not {height} x {width}."
        )
    for value, argument in ((n, "n"), (seed, "seed"), (step, "step")):
        check_count(value, 0, argument)
    names = _names(index, n)
    points = _points(landmarks, len(names))
    masks = np.empty((len(names), 1, height, width), np.float32)
    for k, name in enumerate(names):
        # Trailing zeros do not change a key, so step 0 is the same as no step.
        context = MaskContext(height, width, (seed, name, step), None if points is None else points[k])
        hole = mask_kind.draw(context, **options)
        if mask_kind.on_face and (hole.all() or not hole.any()):
            raise ValueError(
                f"The landmarks of face {k} put {str(kind)!r} outside the image of {height} x {width} px, or "
                "around all of it: give landmarks in pixels of this image."
            )
        np.logical_not(hole, out=masks[k, 0], casting="unsafe")
    return torch.from_numpy(masks)


def read(source: Source, size: int | tuple[int, int] | None = None, invert: bool = False) -> Tensor:
    """A mask of one's own from an image: float32 ``[1, 1, H, W]``, 1 = known, 0 = missing.

    Light pixels are missing and dark ones known, as in the partial-convolution archive's test masks; of an
    image with transparent pixels, the opaque ones are missing. Grey is parted in the middle.

    Args:
        source: a file name, an open file, a file's bytes, a PIL image or an array ``[H, W]`` or
            ``[H, W, 3 or 4]``.
        size: side in pixels, or (height, width), to the nearest pixel; by default the image's own.
        invert: dark (or transparent) pixels are the missing ones instead.

    Raises:
        ValueError: not an image, damaged or far too large, or not a size.
        FileNotFoundError: no such file.
    """
    height, width = (None, None) if size is None else _size(size)
    light = folder.light_pixels(source, height, width)
    return torch.from_numpy(light if invert else ~light).float()[None, None]


def check_kind(kind: str | os.PathLike[str]) -> None:
    """Refuse what is neither one of :data:`KINDS` nor a folder."""
    named = isinstance(kind, (str, os.PathLike)) and str(kind) != ""
    if not named or (kind not in _KINDS and not expand(kind).is_dir()):
        raise ValueError(
            f"Unknown mask kind {shown(kind)}: choose one of {', '.join(KINDS)}, or name a folder of masks; "
            "masks.read takes one image."
        )


def _find(kind: str | os.PathLike[str], options: dict[str, Any]) -> MaskKind:
    """The kind of that name or folder, if it has these options."""
    check_kind(kind)
    mask_kind = _KINDS[str(kind)] if kind in _KINDS else folder.kind(kind)
    if options:
        allowed = list(inspect.signature(mask_kind.draw).parameters)[1:]
        if unknown := sorted(set(options) - set(allowed)):
            has = f"it has {', '.join(allowed)}" if allowed else "it has none"
            raise ValueError(f"Mask kind {str(kind)!r} has no option {', '.join(unknown)}: {has}.")
    return mask_kind


def _size(size: int | tuple[int, int]) -> tuple[int, int]:
    """Height and width."""
    sides = np.asarray(size)
    if sides.dtype.kind not in "iu" or sides.shape not in ((), (2,)):
        raise ValueError(f"size must be a whole number of pixels, or (height, width), not {size}.")
    height, width = np.broadcast_to(sides, 2)
    if min(height, width) < 1:
        raise ValueError(f"size must be at least 1 px each way, not {height} x {width}.")
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
    check_landmarks(points, (n, 68, 2))
    return points
