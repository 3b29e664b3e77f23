"""Rectangular masks: squares, rectangles and halves of the image."""

from __future__ import annotations

import numpy as np

from facecomp_lib.masks.base import Hole, MaskContext, MaskKind, mirrored
from facecomp_lib.utils.checks import check_range


def center(context: MaskContext, side: int | None = None) -> Hole:
    """A square of half the shorter side in the middle, or of ``side`` px."""
    side = _side(context, side)
    return context.box((context.height - side) // 2, (context.width - side) // 2, side, side)


def random_square(context: MaskContext, side: int | None = None) -> Hole:
    """A square of half the shorter side, or of ``side`` px, anywhere inside, all places equally likely."""
    side = _side(context, side)
    return _anywhere(context, side, side)


def random_rectangle(context: MaskContext, sides: tuple[int, int] | None = None) -> Hole:
    """A rectangle anywhere inside, whose height and width are drawn on their own, all lengths equally likely.

    ``sides``: least and greatest length of a side, px. By default 94/256 and 1/2 of the image's own height
    and width (94 and 128 px of 256 in oracle, section 4.1): it covers 13.5 to 25 %.
    """
    if sides is None:
        lengths = [(round(94 / 256 * length), length // 2) for length in (context.height, context.width)]
    else:
        least, most = sides if np.shape(sides) == (2,) else (0, 0)
        if not 1 <= least <= most <= context.side:
            raise ValueError(
                f"sides must be two lengths in px with 1 <= least <= greatest <= {context.side}, not {sides}."
            )
        lengths = [(least, most)] * 2
    height, width = (int(context.random.integers(least, most + 1)) for least, most in lengths)
    return _anywhere(context, height, width)


def random_block(context: MaskContext) -> Hole:
    """A block of half the image's height and half its width, anywhere inside (a quarter is missing)."""
    return _anywhere(context, context.height // 2, context.width // 2)


def half_left(context: MaskContext) -> Hole:
    """The image's half on the viewer's left is missing; of an odd width, the smaller half."""
    return context.box(0, 0, context.height, context.width // 2)


def _anywhere(context: MaskContext, height: int, width: int) -> Hole:
    top = context.random.integers(context.height - height + 1)
    left = context.random.integers(context.width - width + 1)
    return context.box(int(top), int(left), height, width)


def _side(context: MaskContext, side: int | None) -> int:
    if side is None:
        return context.side // 2
    check_range(side, 1, context.side, "side", " px")
    return int(side)


KINDS = {
    "center": MaskKind(center, "lafin tab. 1-2, oracle 2, symmfc II"),
    "random_square": MaskKind(random_square, "gfc 4.1 and fig. 9, collagan 4.1"),
    "random_rectangle": MaskKind(random_rectangle, "oracle 4.1, tables 1, 3-5"),
    "random_block": MaskKind(random_block, "lafin 3 (training)"),
    "half_left": MaskKind(half_left, "what symmfc fills from the mirror"),
    "half_right": MaskKind(mirrored(half_left), "what symmfc fills from the mirror"),
}
