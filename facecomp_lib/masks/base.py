"""What all kinds of masks share: what a drawing function is given, and how a kind is described."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facecomp_lib.masks.geometry import FaceGeometry, average, mirror
from facecomp_lib.utils.random import keyed_generator

Hole = NDArray[np.bool_]  # [H, W], True = missing: the hole region of one mask
Draw = Callable[..., Hole]  # (context, **options) -> hole


@dataclass(frozen=True)
class MaskContext:
    """What a drawing function may use for one mask.

    Attributes:
        height, width: of the image, px.
        key: numbers that name this mask: seed, its index, step.
        landmarks: [68, 2] px, or None: then the face stands where aligned images have it.
    """

    height: int
    width: int
    key: tuple[int, ...] = (0,)
    landmarks: NDArray[np.float64] | None = None

    @cached_property
    def random(self) -> np.random.Generator:
        """Random numbers of this mask alone; made when first used, because many kinds need none."""
        return keyed_generator(*self.key)

    @cached_property
    def face(self) -> FaceGeometry:
        """Where the face is."""
        return average(self.height, self.width) if self.landmarks is None else FaceGeometry(self.landmarks)

    @property
    def side(self) -> int:
        """The shorter side, px."""
        return min(self.height, self.width)

    def box(self, top: int, left: int, height: int, width: int) -> Hole:
        """A rectangular hole region, clipped to the image."""
        hole = np.zeros((self.height, self.width), bool)
        hole[max(top, 0) : max(top + height, 0), max(left, 0) : max(left + width, 0)] = True
        return hole

    def mirrored(self) -> MaskContext:
        """The same for the mirrored image; without landmarks the face is symmetric and stays."""
        if self.landmarks is None:
            return self
        return replace(self, landmarks=mirror(self.landmarks, self.width))


@dataclass(frozen=True)
class MaskKind:
    """A kind of mask.

    Attributes:
        draw: ``(context, **options) -> hole``; its keyword arguments are the options of the kind.
        source: the paper that uses it, and where.
        smallest: least side of an image, px.
        on_face: it follows the face, so landmarks that are far off can put it outside the image.
    """

    draw: Draw
    source: str
    smallest: int = 2
    on_face: bool = False


def mirrored(draw: Draw) -> Draw:
    """The same hole region on the other side of the face: right from left."""
    return lambda context: draw(context.mirrored())[:, ::-1]


def lowest(field: NDArray[Any], count: int) -> Hole:
    """Choose exactly ``count`` pixels, those of smallest value; ties go to the upper, then the left one.

    Args:
        field: [H, W], float without NaN, or whole numbers from 0 up that are not large.
        count: 0 < count < H * W.
    """
    if field.dtype.kind == "f":
        edge = np.partition(field, count, axis=None)[count]
    else:  # counting beats partition, which is slow where many values are equal
        edge = np.searchsorted(np.bincount(field.ravel()).cumsum(), count, side="right")
    hole = field < edge
    lacking = count - np.count_nonzero(hole)
    if lacking:
        hole.flat[np.flatnonzero(field == edge)[:lacking]] = True
    return hole
