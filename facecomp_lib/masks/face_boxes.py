"""Upright boxes over parts of the face: the six test masks of gfc and the six of collagan.

The two papers number them differently, and print no coordinates: gfc shows images and names the parts,
collagan names them and says 'on average 40 x 48' of 128 px. So each box here is built from the landmarks of
the part that it names; collagan's stand upright on one side of the face and lie across it. 'Left' is the
viewer's left, and the boxes of the right are the mirror image of those of the left.
"""

from __future__ import annotations

import numpy as np

from facecomp_lib.masks.base import Draw, Hole, MaskContext, MaskKind, mirrored
from facecomp_lib.masks.geometry import FaceGeometry

Box = tuple[float, float, float, float]  # left, top, right, bottom, px

EYES, BROWS, NOSE, MOUTH = range(36, 48), range(17, 27), range(30, 36), range(48, 68)  # NOSE: tip and base
LEFT_EYE, LEFT_BROW = range(36, 42), range(17, 22)  # of the viewer
MIDDLE = (27, 33, 51, 57, 8)  # bridge and base of the nose, lips, chin
SHORT, LONG = 40 / 128, 48 / 128  # collagan's box as shares of the image's side, whatever the face's


def _rectangle(context: MaskContext, box: Box) -> Hole:
    """The pixels whose centres lie in a box; at least one row and one column."""
    # The nudge makes a border that lies on a pixel's centre take it in, on both sides alike.
    left, top = (int(np.ceil(value - 1e-6)) for value in box[:2])
    right, bottom = (int(np.floor(value + 1e-6)) for value in box[2:])
    return context.box(top, left, max(bottom - top, 0) + 1, max(right - left, 0) + 1)


def _face(face: FaceGeometry) -> Box:
    """From above the brows to the chin, from cheek to cheek."""
    left, top, right, bottom = face.bounds(range(68), margin=0.02)
    return left, top - 0.08 * face.side, right, bottom


def left_half(context: MaskContext) -> Hole:
    """The face from its middle, by nose, lips and chin, to its outline, and from above the brow to the chin.

    In a head that is turned far, where an eye crosses the middle, it includes that eye.
    """
    left, top, _, bottom = _face(context.face)
    middle = context.face.mean(*MIDDLE)[0]
    return _rectangle(
        context, _cover((left, top, middle, bottom), context.face.bounds([*LEFT_EYE, *LEFT_BROW]))
    )


def two_eyes(context: MaskContext) -> Hole:
    """One box over both eyes with their brows: what glasses hide."""
    return _rectangle(context, _wide(context.face, [*EYES, *BROWS]))


def left_eye(context: MaskContext) -> Hole:
    """One eye with its brow."""
    return _rectangle(context, _wide(context.face, [*LEFT_EYE, *LEFT_BROW]))


def lower_half(context: MaskContext) -> Hole:
    """The face from the nose's tip and base to the chin: what a scarf hides."""
    left, _, right, bottom = _face(context.face)
    return _rectangle(context, (left, context.face.bounds(NOSE, margin=0.01)[1], right, bottom))


def block_left_eye(context: MaskContext) -> Hole:
    """40 x 48 px of 128, on the eye."""
    return _block(context, LEFT_EYE, SHORT, LONG)


def block_upper_face(context: MaskContext) -> Hole:
    """48 x 40 px of 128, from the forehead to under the eyes."""
    face = context.face
    left, _, right, bottom = face.bounds(EYES, margin=0.02)
    middle, half = (left + right) / 2, LONG / 2 * context.side
    box = (middle - half, bottom - SHORT * context.side, middle + half, bottom)
    return _rectangle(context, _cover(box, face.bounds(EYES)))


def block_left_face(context: MaskContext) -> Hole:
    """40 x 48 px of 128, on the cheek: from under the eye down, from the middle of the face outwards."""
    top = context.face.bounds(LEFT_EYE, margin=0.01)[3]
    right = context.face.mean(*MIDDLE)[0]
    return _rectangle(context, (right - SHORT * context.side, top, right, top + LONG * context.side))


def block_lower_face(context: MaskContext) -> Hole:
    """48 x 40 px of 128, on the mouth."""
    return _block(context, MOUTH, LONG, SHORT)


def _wide(face: FaceGeometry, part: list[int]) -> Box:
    """The bounds of eyes and brows with a rim; more of it below, where lids and lashes end softly."""
    left, top, right, bottom = face.bounds(part, margin=0.03)
    return left, top, right, bottom + 0.03 * face.side


def _block(context: MaskContext, part: range, width: float, height: float) -> Hole:
    """A box of fixed size about the middle of a part; larger only where the part is."""
    face = context.face
    x, y = face.mean(*part)
    wide, tall = width / 2 * context.side, height / 2 * context.side
    return _rectangle(context, _cover((x - wide, y - tall, x + wide, y + tall), face.bounds(part)))


def _cover(box: Box, part: Box) -> Box:
    """The box, enlarged where it does not hold the pixels in which a part ends."""
    (left, top, right, bottom), rim = part, 0.5
    return (
        min(box[0], left - rim),
        min(box[1], top - rim),
        max(box[2], right + rim),
        max(box[3], bottom + rim),
    )


def _kinds(name: str, source: str, draws: dict[str, Draw]) -> dict[str, MaskKind]:
    return {
        f"{name}_o{number}": MaskKind(draw, f"{source}: {part}", smallest=16, on_face=True)
        for number, (part, draw) in enumerate(draws.items(), 1)
    }


KINDS = _kinds(
    "gfc",
    "gfc fig. 8, tables 1-3",
    {
        "left half": left_half,
        "right half": mirrored(left_half),
        "two eyes": two_eyes,
        "left eye": left_eye,
        "right eye": mirrored(left_eye),
        "lower half": lower_half,
    },
) | _kinds(
    "collagan",
    "collagan table 1",
    {
        "left eye": block_left_eye,
        "right eye": mirrored(block_left_eye),
        "upper face": block_upper_face,
        "left face": block_left_face,
        "right face": mirrored(block_left_face),
        "lower face": block_lower_face,
    },
)
