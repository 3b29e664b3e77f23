"""Masks with the outline of things that cover faces: glasses, a scarf, a hand, a microphone.

Shapes are drawn in the face's own axes: x to its right in the image, y down, as shares of the face's
`side`. So they tilt and grow with the face.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from facecomp_lib.masks.base import Hole, MaskContext, MaskKind
from facecomp_lib.masks.geometry import Points


def _arc(start: float, end: float, number: int) -> Points:
    """Points ``[number, 2]`` on the unit circle between two angles in degrees."""
    angles = np.radians(np.linspace(start, end, number))
    return np.stack([np.cos(angles), np.sin(angles)], 1)


_CIRCLE = _arc(0, 360, 41)[:-1]
_CAP = _arc(-90, 90, 9)  # the round end of a line that runs to the right

# The back of a right hand, fingers up: hundredths of its length, about the middle of the palm.
_PALM = [(-16, 30), (-23, 5), (-22, -20), (-5, -26), (12, -24), (22, -14), (22, 8), (16, 30)]
_FINGERS = (
    # base, degrees from straight up, length, width
    ((-17, -18), -11, 36, 10.5),
    ((-5, -22), -3, 41, 11),
    ((6, -20), 5, 37, 10.5),
    ((17, -14), 14, 28, 9),
    ((-16, 12), -48, 33, 12.5),
)
_FOREARM = [(0, 30), (10, 250)]

# An upright microphone, hundredths of the face's side about the middle of its head.
_HEAD = _CIRCLE * [8.5, 9.5]
_COLLAR = [(-6.8, 6.5), (6.8, 6.5), (6.8, 10), (-6.8, 10)]
_HANDLE = [(-5, 9), (5, 9), (3.2, 150), (-3.2, 150)]


class Drawing:
    """Shapes in an image; positions in px."""

    def __init__(self, context: MaskContext) -> None:
        self.context = context
        self.shapes: list[Points] = []  # each [N + 1, 2], ending where it began

    def polygon(self, corners: Points) -> None:
        """A filled polygon with corners ``[N, 2]``."""
        closed = np.concatenate([corners, corners[:1]])
        (x, y), (x_end, y_end) = closed[:-1].T, closed[1:].T
        self.shapes.append(closed if x @ y_end > x_end @ y else closed[::-1])  # clockwise

    def line(self, start: Points, end: Points, width: float) -> None:
        """A line with round ends; ``width`` is a share of the face's side, one pixel at least."""
        radius = max(width * self.context.face.side, 1) / 2
        x, y = end - start
        cap = radius / max(float(np.hypot(x, y)), 1e-9) * _CAP @ np.array([[x, y], [-y, x]])
        self.polygon(np.concatenate([end + cap, start - cap]))

    @property
    def hole(self) -> Hole:
        """The pixels whose centres lie in one shape or more.

        Walking along a row, one is outside after crossing as many edges that go down as edges that go up; all
        shapes run clockwise, so that overlaps do not cancel. Our own few lines instead of a drawing library,
        whose versions differ along the edges.
        """
        height, width = self.context.height, self.context.width
        start = np.concatenate([closed[:-1] for closed in self.shapes])
        end = np.concatenate([closed[1:] for closed in self.shapes])
        rows = np.arange(height)[:, None]
        row, edge = np.nonzero((start[:, 1] <= rows) != (end[:, 1] <= rows))
        (x, y), (x_end, y_end) = start[edge].T, end[edge].T
        column = np.ceil(x + (row - y) * (x_end - x) / (y_end - y)).clip(0, width).astype(int)
        crossings = np.bincount(
            row * (width + 1) + column, np.where(y_end > y, 1, -1), minlength=height * (width + 1)
        )
        return (crossings.reshape(height, width + 1).cumsum(1) != 0)[:, :width]


def glasses(context: MaskContext) -> Hole:
    """Dark glasses on the eyes: two lenses between round and square, a bridge, and arms to the ears."""
    face, random, drawing = context.face, context.random, Drawing(context)
    tilt, height, width, square, taper = random.uniform([-4, 0.068, 0.39, 2, -0.12], [4, 0.1, 0.45, 5, 0.25])
    eyes = np.stack([face.mean(*range(36, 42)), face.mean(*range(42, 48))])
    reach = width * np.linalg.norm(eyes[1] - eyes[0]) / face.side  # from the middle of a lens to its rim
    # From the unit circle to a rounded square: the larger the exponent, the squarer.
    lens = np.sign(_CIRCLE) * np.abs(_CIRCLE) ** (2 / square)
    lens[:, 0] *= 1 - taper * lens[:, 1]
    bridge = eyes.mean(0) - 0.02 * face.side * face.down
    for eye, ear, outwards in zip(eyes, face.points[[0, 16]], (-1, 1), strict=True):
        drawing.polygon(face.at(eye, lens * [reach, height] + [0, 0.012], tilt))
        rims = np.array([[0.92, -0.025], [-1, -0.012]]) * [outwards * reach, 1]
        outer, inner = face.at(eye, rims, tilt)
        drawing.line(outer, ear, 0.026)
        drawing.line(inner, bridge, 0.024)
    return drawing.hole


def scarf(context: MaskContext) -> Hole:
    """A scarf wound twice around mouth, chin and neck; one end hangs down."""
    face, random, drawing = context.face, context.random, Drawing(context)
    height, thick, wide, tilt = random.uniform([-0.3, 0.2, 0.03, -5], [0.6, 0.25, 0.07, 5])
    end = random.choice([-1, 1]) * random.uniform(0.06, 0.16)
    nose = face.points[33]
    local = face.local(nose)
    height *= local[50:53, 1].min()  # from above the nose's base to the upper lip
    left, right = local[:, 0].min(), local[:, 0].max()
    for top, tall, more in ((height, thick, wide), (height + 0.7 * thick, 1.5 * thick, wide + 0.05)):
        drawing.polygon(face.at(nose, _roll(left - more, right + more, top, tall), tilt))
    strip = np.array([[-0.1, 0.3], [0.1, 0.3], [0.12, 0.85], [-0.08, 0.85]]) + [end, height]
    drawing.polygon(face.at(nose, strip, tilt))
    return drawing.hole


def hand(context: MaskContext) -> Hole:
    """A raised hand before mouth or cheek: five spread fingers, and the forearm out of the image."""
    face, random, drawing = context.face, context.random, Drawing(context)
    length, lean, spread, bend = random.uniform([0.5, -40, 0.7, -8], [0.62, 10, 1.3, 8])
    thumb = random.choice([-1, 1])  # -1: towards the viewer's left
    # The middle of the palm lies on the lower face, rather on the side that the arm comes from.
    palm = face.at(face.mean(33, 57), random.uniform(-0.08, 0.08, 2) + [0.06 * thumb, 0.03])

    def put(shape: ArrayLike) -> Points:
        return face.at(palm, np.asarray(shape) * [thumb * length / 100, length / 100], thumb * lean)

    drawing.polygon(put(_PALM))
    for base, angle, reach, width in _FINGERS:
        turn = np.radians(spread * angle + bend)
        bone = base + np.array([[0.0, 0.0], [reach * np.sin(turn), -reach * np.cos(turn)]])
        base, tip = put(bone)
        drawing.line(base, tip, width / 100 * length)
    wrist, elbow = put(_FOREARM)
    drawing.line(wrist, elbow, 0.36 * length)
    return drawing.hole


def microphone(context: MaskContext) -> Hole:
    """A microphone held to the mouth: a round head, a collar, and a handle that leaves the image below."""
    face, random, drawing = context.face, context.random, Drawing(context)
    size, lean = random.uniform([1.1, 12], [1.6, 45])
    lean *= random.choice([-1, 1])
    head = face.at(face.mean(51, 57), random.uniform([-0.02, 0.02], [0.02, 0.05]))
    for shape in (_HEAD, _COLLAR, _HANDLE):
        drawing.polygon(face.at(head, np.asarray(shape) * size / 100, lean))
    return drawing.hole


def _roll(left: float, right: float, top: float, thick: float, slack: float = 0.08) -> Points:
    """A soft roll of cloth that hangs through between two ends; ``top`` is its upper edge in the middle."""
    x = np.sin(np.linspace(-np.pi / 2, np.pi / 2, 25))  # close together where the ends are round
    middle = top + thick / 2 - slack * x**2
    half = thick / 2 * np.sqrt(1 - x**4)
    upper, lower = (np.stack([x, y], 1) for y in (middle - half, middle + half))
    return np.concatenate([upper, lower[::-1]]) * [(right - left) / 2, 1] + [(right + left) / 2, 0]


KINDS = {
    name: MaskKind(draw, source, smallest=16, on_face=True)
    for name, draw, source in (
        ("glasses", glasses, "real occlusions: gfc 4.3-4.4"),
        ("scarf", scarf, "real occlusions: gfc 4.4"),
        ("hand", hand, "real occlusions, as symmfc IV-C"),
        ("microphone", microphone, "real occlusions: gfc fig. 1"),
    )
}
