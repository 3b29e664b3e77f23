"""Rectangular holes: squares, rectangles and halves of the image."""

from __future__ import annotations

import numpy as np

from facecomp_lib.masks.canvas import Canvas, Family, Hole, between, mirrored


def center(canvas: Canvas, side: int | None = None) -> Hole:
    """A square of half the shorter side in the middle, or of ``side`` px."""
    side = _side(canvas, side)
    return canvas.box((canvas.height - side) // 2, (canvas.width - side) // 2, side, side)


def random_square(canvas: Canvas, side: int | None = None) -> Hole:
    """A square of half the shorter side, or of ``side`` px, anywhere inside, all places equally likely."""
    side = _side(canvas, side)
    return _anywhere(canvas, side, side)


def random_rectangle(canvas: Canvas, sides: tuple[int, int] | None = None) -> Hole:
    """A rectangle anywhere inside, whose height and width are drawn on their own, all lengths equally likely.

    ``sides``: least and greatest length of a side, px. By default 94/256 and 1/2 of the image's own height
    and width (94 and 128 px of 256 in oracle, section 4.1): it covers 13.5 to 25 %.
    """
    if sides is None:
        lengths = [(round(94 / 256 * length), length // 2) for length in (canvas.height, canvas.width)]
    else:
        least, most = sides if np.shape(sides) == (2,) else (0, 0)
        if not 1 <= least <= most <= canvas.side:
            raise ValueError(
                f"sides must be two lengths in px with 1 <= least <= greatest <= {canvas.side}, not {sides}."
            )
        lengths = [(least, most)] * 2
    height, width = (int(canvas.random.integers(least, most + 1)) for least, most in lengths)
    return _anywhere(canvas, height, width)


def random_block(canvas: Canvas) -> Hole:
    """A block of half the image's height and half its width, anywhere inside (a quarter is missing)."""
    return _anywhere(canvas, canvas.height // 2, canvas.width // 2)


def half_left(canvas: Canvas) -> Hole:
    """The image's half on the viewer's left is missing; of an odd width, the smaller half."""
    return canvas.box(0, 0, canvas.height, canvas.width // 2)


def _anywhere(canvas: Canvas, height: int, width: int) -> Hole:
    top = canvas.random.integers(canvas.height - height + 1)
    left = canvas.random.integers(canvas.width - width + 1)
    return canvas.box(int(top), int(left), height, width)


def _side(canvas: Canvas, side: int | None) -> int:
    if side is None:
        return canvas.side // 2
    between(side, 1, canvas.side, "side", " px")
    return int(side)


FAMILIES = {
    "center": Family(center, "lafin tab. 1-2, oracle 2, symmfc II"),
    "random_square": Family(random_square, "gfc 4.1 and fig. 9, collagan 4.1"),
    "random_rectangle": Family(random_rectangle, "oracle 4.1, tables 1, 3-5"),
    "random_block": Family(random_block, "lafin 3 (training)"),
    "half_left": Family(half_left, "what symmfc fills from the mirror"),
    "half_right": Family(mirrored(half_left), "what symmfc fills from the mirror"),
}
