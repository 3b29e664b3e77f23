"""Other expressions for 68 landmarks: smile, open the mouth, raise the brows, copy those of another face.

All lengths are fractions of the face's own size and follow its tilt. They were read off the training faces:
the mean smile of the rendered people is about 0.75 of `smile=1`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from facecomp_lib.faces.schema import LANDMARK_MIRROR

# Point (of the person's right half and the middle; the other half mirrors it) -> how far it moves, as a
# fraction of the face's size: x away from the middle where negative, y down.
_Way = dict[int, tuple[float, float]]
SMILE: _Way = {48: (-0.090, -0.160), 49: (-0.025, -0.085), 50: (-0.005, -0.050), 51: (0, -0.035),
               57: (0, -0.055), 58: (-0.015, -0.065), 59: (-0.035, -0.090), 60: (-0.062, -0.130),
               61: (-0.022, -0.075), 62: (0, -0.050), 66: (0, -0.040), 67: (-0.022, -0.055)}  # fmt: skip
# for a mouth that opens by 1: the upper lip goes up by a quarter of it, lower lip and chin go down
OPEN: _Way = {48: (0.10, 0.18), 49: (0.02, -0.08), 50: (0, -0.20), 51: (0, -0.24), 57: (0, 0.70),
              58: (0, 0.62), 59: (0.03, 0.45), 60: (0.09, 0.14), 61: (0, -0.17), 62: (0, -0.25),
              66: (0, 0.75), 67: (0, 0.60), 4: (0, 0.08), 5: (0, 0.25), 6: (0, 0.45), 7: (0, 0.57),
              8: (0, 0.60)}  # fmt: skip
BROWS: _Way = {17: (0, -0.10), 18: (0, -0.14), 19: (0, -0.16), 20: (0, -0.16), 21: (0, -0.15)}

WIDEST = 0.38  # how far a mouth opens at mouth_open=1, as a fraction of the face's size
HALF_MOUTH = 0.384  # of the size, from the middle to a corner, in the mean face
EYES_TO_MOUTH = 1.13  # of the distance between the eyes, in the mean face
# what an expression moves, the points that it leaves in place beside that, and whether it moves it sideways
CARRIED: list[tuple[list[int], list[int], bool]] = [
    ([*range(17, 22), *range(36, 42)], [36, 39], False),
    ([*range(22, 27), *range(42, 48)], [42, 45], False),
    ([*range(48, 68)], [31, 33, 35], True),
]


def edit_landmarks(
    landmarks: Tensor, smile: float = 0, mouth_open: float = 0, brow_raise: float = 0
) -> Tensor:
    """The same face with another expression; all three at 0 change nothing, bit for bit.

    Args:
        landmarks: [..., 68, 2], (x, y) in pixels.
        smile: -1 (corners of the mouth down) ... 1 (a broad smile). Moves the mouth.
        mouth_open: -1 (closed) ... 1 (wide open). Moves the mouth and the lower jaw.
        brow_raise: -1 (lowered) ... 1 (raised). Moves the brows.

    Raises:
        ValueError: no landmarks, or an amount out of range.
    """
    _check(landmarks)
    for name, amount in (("smile", smile), ("mouth_open", mouth_open), ("brow_raise", brow_raise)):
        if not -1 <= amount <= 1:
            raise ValueError(f"{name} goes from -1 to 1, not to {amount}.")
    size = face_size(landmarks)
    opening = WIDEST * mouth_open * size if mouth_open > 0 else mouth_open * _gap(landmarks).clamp_min(0)
    # sideways in proportion to the face's own half mouth, which is short on the far side of a turned face
    return (
        landmarks
        + _moved(landmarks, SMILE, smile * size, smile * _half_mouth(landmarks) / HALF_MOUTH)
        + _moved(landmarks, OPEN, opening, opening[..., None])
        + _moved(landmarks, BROWS, brow_raise * size, brow_raise * size[..., None])
    )


def expression_from(landmarks: Tensor, other: Tensor) -> Tensor:
    """This face with the expression of another one: brows, eyes and mouth in the other's shape.

    The other face is laid over this one by a similarity of eye corners and nose, which expressions leave in
    place. Brows and eyes take over the other's heights above the corners of the eye; the mouth takes over its
    shape and its distance from the nose, and the lower jaw follows. Both faces should look the same way.

    Args:
        landmarks, other: [..., 68, 2], (x, y) in pixels of whatever image.

    Raises:
        ValueError: no landmarks.
    """
    _check(landmarks)
    _check(other)
    model, axes = _aligned(other.to(landmarks), landmarks), _axes(landmarks)
    steps = torch.zeros_like(landmarks)
    for part, anchors, sideways in CARRIED:
        here, there = (face[..., part, :] - _mean(face, anchors) for face in (landmarks, model))
        step = (there - here) @ axes.mT  # along the eyes, down the face
        steps[..., part, :] = step * torch.tensor([float(sideways), 1.0]).to(step) @ axes
    opened = _gap(landmarks + steps) - _gap(landmarks)
    jaw = {point: way for point, way in OPEN.items() if point < 17}
    return landmarks + steps + _moved(landmarks, jaw, opened, opened[..., None])


def face_size(landmarks: Tensor) -> Tensor:
    """[...]: the distance between the eyes in pixels, or what that from eyes to mouth says, if it is more.

    So a face that is turned, which brings the eyes nearer to each other, does not count as small.
    """
    right, left = _eyes(landmarks)
    mouth = landmarks[..., [48, 54], :].mean(-2)
    tall = (mouth - (right + left) / 2).norm(dim=-1) / EYES_TO_MOUTH
    return torch.maximum((left - right).norm(dim=-1), tall)


def _eyes(landmarks: Tensor) -> tuple[Tensor, Tensor]:
    """Middle of the person's right and left eye, [..., 2]: image left and right."""
    return landmarks[..., 36:42, :].mean(-2), landmarks[..., 42:48, :].mean(-2)


def _mean(landmarks: Tensor, points: list[int]) -> Tensor:
    """Middle of some points, [..., 1, 2]."""
    return landmarks[..., points, :].mean(-2, keepdim=True)


def _axes(landmarks: Tensor) -> Tensor:
    """[..., 2, 2]: unit vectors along the eyes (towards image right) and down the face, as rows."""
    right, left = _eyes(landmarks)
    along = left - right
    along = along / along.norm(dim=-1, keepdim=True).clamp_min(1e-6)
    return torch.stack([along, torch.stack([-along[..., 1], along[..., 0]], -1)], -2)


def _gap(landmarks: Tensor) -> Tensor:
    """[...]: how far the mouth is open, between the middles of the inner lips, down the face; px."""
    return ((landmarks[..., 66, :] - landmarks[..., 62, :]) * _axes(landmarks)[..., 1, :]).sum(-1)


def _half_mouth(landmarks: Tensor) -> Tensor:
    """[..., 68]: for each point, the width of its half of the mouth in px."""
    along = _axes(landmarks)[..., 0, :]
    middle = landmarks[..., [51, 57, 62, 66], :].mean(-2)
    right, left = (
        ((landmarks[..., corner, :] - middle) * along).sum(-1).abs()[..., None] for corner in (48, 54)
    )
    on_right = _table(SMILE)[:, 0] < 0
    return torch.where(on_right, right, left)


def _table(way: _Way) -> Tensor:
    """[68, 2] for both halves of the face, x towards image right."""
    table = torch.zeros(68, 2)
    for point, (x, y) in way.items():
        table[int(LANDMARK_MIRROR[point])] = torch.tensor([-x, y])
        table[point] = torch.tensor([x, y])
    return table


def _moved(landmarks: Tensor, way: _Way, down: Tensor, along: Tensor) -> Tensor:
    """A table's ways times `along` [..., 68 or 1] and `down` [...], as the face tilts; px [..., 68, 2]."""
    table = _table(way).to(landmarks)
    steps = torch.stack([table[:, 0] * along, table[:, 1] * down[..., None]], -1)  # [..., 68, 2]
    return steps @ _axes(landmarks)


def _aligned(other: Tensor, landmarks: Tensor) -> Tensor:
    """The other face, moved, turned and scaled so that eye corners and nose lie on these; least squares."""
    rigid = [36, 39, 42, 45, *range(27, 36)]
    source, target = other[..., rigid, :], landmarks[..., rigid, :]
    centre, goal = _mean(other, rigid), _mean(landmarks, rigid)
    (x, y), (u, v) = (points.unbind(-1) for points in (source - centre, target - goal))
    size = (x * x + y * y).sum(-1).clamp_min(1e-12)
    turn, skew = (x * u + y * v).sum(-1) / size, (x * v - y * u).sum(-1) / size
    matrix = torch.stack(
        [torch.stack([turn, skew], -1), torch.stack([-skew, turn], -1)], -2
    )  # on row vectors
    return (other - centre) @ matrix + goal


def _check(landmarks: Tensor) -> None:
    if not isinstance(landmarks, Tensor) or tuple(landmarks.shape[-2:]) != (68, 2):
        found = list(landmarks.shape) if isinstance(landmarks, Tensor) else type(landmarks).__name__
        raise ValueError(f"Landmarks are a tensor [..., 68, 2] in pixels; this is {found}.")
    if not landmarks.is_floating_point() or not bool(torch.isfinite(landmarks).all()):
        raise ValueError("Landmarks must be finite floating-point numbers.")
