"""What every family of holes shares: a canvas to draw one hole on, and how a family is described."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facecomp_lib.masks.face import Face, average, mirror

Hole = NDArray[np.bool_]  # [H, W], True = missing
Draw = Callable[..., Hole]  # (canvas, **options) -> hole


@dataclass(frozen=True)
class Canvas:
    """What a family may use to draw one hole.

    Attributes:
        height, width: of the image, px.
        key: numbers that name this hole: seed, its index, step.
        landmarks: [68, 2] px, or None: then the face stands where aligned images have it.
    """

    height: int
    width: int
    key: tuple[int, ...] = (0,)
    landmarks: NDArray[np.float64] | None = None

    @cached_property
    def random(self) -> np.random.Generator:
        """Random numbers of this hole alone; made when first used, because many families need none."""
        small = max(self.key) < 2**32  # as an array such a key gives the same numbers, a third sooner
        return np.random.default_rng(np.array(self.key, np.uint32) if small else self.key)

    @cached_property
    def face(self) -> Face:
        """Where the face is."""
        return average(self.height, self.width) if self.landmarks is None else Face(self.landmarks)

    @property
    def side(self) -> int:
        """The shorter side, px."""
        return min(self.height, self.width)

    def box(self, top: int, left: int, height: int, width: int) -> Hole:
        """A rectangular hole; what lies outside the image is cut off."""
        hole = np.zeros((self.height, self.width), bool)
        hole[max(top, 0) : max(top + height, 0), max(left, 0) : max(left + width, 0)] = True
        return hole

    def mirrored(self) -> Canvas:
        """The canvas of the mirrored image; without landmarks the face is symmetric and stays."""
        if self.landmarks is None:
            return self
        return replace(self, landmarks=mirror(self.landmarks, self.width))


@dataclass(frozen=True)
class Family:
    """A kind of hole.

    Attributes:
        draw: ``(canvas, **options) -> hole``; its keyword arguments are the options of the kind.
        source: the paper that uses it, and where.
        smallest: least side of an image, px.
        on_face: it follows the face, so landmarks that are far off can put it outside the image.
    """

    draw: Draw
    source: str
    smallest: int = 2
    on_face: bool = False


def mirrored(draw: Draw) -> Draw:
    """The same hole on the other side of the face: right from left."""
    return lambda canvas: draw(canvas.mirrored())[:, ::-1]


def lowest(field: NDArray[Any], count: int) -> Hole:
    """The ``count`` pixels of smallest value, exactly; of equal ones those further up, then further left.

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


def between(value: float, least: float, most: float, name: str, unit: str = "") -> None:
    """Refuse an option outside its range with a sentence that names the range."""
    if not least <= value <= most:
        raise ValueError(f"{name} must lie in {least:g} ... {most:g}{unit}, not {value}.")
