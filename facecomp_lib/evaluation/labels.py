"""How well parsing maps and landmarks are found. Lesson 02 builds these metrics."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from facecomp_lib.evaluation._checks import check_binary
from facecomp_lib.faces.schema import PARSING
from facecomp_lib.utils.checks import check_count, check_landmarks

__all__ = [
    "COMPONENTS",
    "confusion",
    "dice",
    "dice_hole",
    "f_scores",
    "hidden_points",
    "landmark_error",
    "nme",
    "nme_hole",
]

EYE_CORNERS = (36, 45)

#: The facial components that Helen's papers score: classes that are merged first.
COMPONENTS: dict[str, tuple[int, ...]] = {"brows": (2, 3), "eyes": (4, 5), "nose": (6,), "mouth": (7, 8, 9)}


def dice(prediction: Tensor, target: Tensor, classes: int = len(PARSING)) -> Tensor:
    """Dice coefficient of every class in every image: ``2 |A and B| / (|A| + |B|)``, collagan's table 2.

    Args:
        prediction, target: whole numbers ``[B, H, W]``, 0 ... classes - 1.
        classes: 11 in the course (``fc.faces.PARSING`` names them).

    Returns:
        float ``[B, classes]``, 0 ... 1, more is better; NaN where a class is in neither map: take the mean
        over images with ``nanmean``.

    Raises:
        ValueError: other shapes, types or labels.
    """
    counts = _confusions(prediction, target, classes).double()  # [B, true, predicted]
    both = counts.diagonal(dim1=1, dim2=2)
    return (2 * both / (counts.sum(1) + counts.sum(2))).float()


def dice_hole(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """:func:`dice` of the missing pixels (mask 0) alone: ``[B, 11]``.

    Args:
        prediction, target: whole numbers ``[B, H, W]``, 0 ... 10.
        mask: ``[B, 1, H, W]``, 1 = known.
    """
    check_binary(mask)
    known = len(PARSING)  # a class of its own for all that is known
    hidden = mask[:, 0] < 0.5  # [B, H, W]
    found, true = (torch.where(hidden, labels, known) for labels in (prediction, target))
    return dice(found, true, known + 1)[:, :known]


def confusion(prediction: Tensor, target: Tensor, classes: int = len(PARSING)) -> Tensor:
    """Pixels by true class (rows) and predicted class (columns), int64 ``[classes, classes]``.

    Those of several batches may be added up. Arguments and errors as for :func:`dice`.
    """
    return _confusions(prediction, target, classes).sum(0)


def f_scores(confusion: Tensor) -> dict[str, float]:
    """F-scores over all pixels that were counted, 0 ... 1: ``2 P R / (P + R)`` of precision and recall.

    Of one class this is Dice's coefficient, over all images together instead of one by one. Papers on Helen
    merge classes before they count, so that one eyebrow taken for the other is no error: ``brows``, ``eyes``,
    ``nose``, ``mouth`` (both lips and what is between them). Their ``overall`` adds up the hits and misses of
    these four, without skin, hair and background; it is gfc's 0.851 (section 4.2).

    Args:
        confusion: ``[11, 11]`` of :func:`confusion`.

    Returns:
        Class or component -> score; NaN where it is neither there nor predicted.
    """
    if tuple(confusion.shape) != (len(PARSING), len(PARSING)):
        raise ValueError(
            f"confusion must be [{len(PARSING)}, {len(PARSING)}] as confusion() makes it, "
            f"not {list(confusion.shape)}."
        )
    groups = {name: (place,) for place, name in enumerate(PARSING)} | COMPONENTS
    counts = {name: _hits(confusion, list(members)) for name, members in groups.items()}
    counts["overall"] = torch.stack([counts[name] for name in COMPONENTS]).sum(0)
    return {name: float(2 * hits / marked) for name, (hits, marked) in counts.items()}


def landmark_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean distance of the 68 landmarks from the true ones, in pixels, ``[B]``.

    collagan's localization error (table 3).

    Args:
        prediction, target: float ``[B, 68, 2]``, (x, y) in pixels.

    Raises:
        ValueError: other shapes, or coordinates that are not finite.
    """
    for name, points in (("prediction", prediction), ("target", target)):
        check_landmarks(points, name=name, tensor=True)
    if len(prediction) != len(target):
        raise ValueError(f"prediction has {len(prediction)} faces, target {len(target)}: give as many.")
    return (prediction - target).norm(dim=2).mean(1)


def nme(prediction: Tensor, target: Tensor) -> Tensor:
    """Normalised mean error, ``[B]``: :func:`landmark_error` over the distance between the eyes.

    That is between their outer corners, landmarks 36 and 45 of the true face, as in 300W ('inter-ocular').
    Times 100 it is the papers' percentage (lafin, table 4).

    Raises:
        ValueError: as :func:`landmark_error`, or both corners in one place.
    """
    error = landmark_error(prediction, target)
    left, right = (target[:, corner] for corner in EYE_CORNERS)
    distance = (left - right).norm(dim=1)
    if bool((distance == 0).any()):
        raise ValueError("The eyes of a true face have no distance: its landmarks cannot be a face's.")
    return error / distance


def nme_hole(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """:func:`nme` of the landmarks that the mask hides, ``[B]``; NaN for a face of which it hides none."""
    hidden = hidden_points(target, mask)  # [B, 68]
    visible_right = torch.where(hidden[..., None], prediction, target)  # the others' error is 0
    return nme(visible_right, target) * hidden.shape[1] / hidden.sum(1)


def hidden_points(points: Tensor, mask: Tensor) -> Tensor:
    """Which points ``[B, K, 2]`` in px a mask ``[B, 1, S, S]`` hides: bool ``[B, K]``; not those outside."""
    check_binary(mask)
    size = mask.shape[-1]
    x, y = points.round().long().unbind(2)  # [B, K] each
    inside = (x >= 0) & (x < size) & (y >= 0) & (y < size)
    face = torch.arange(len(points), device=points.device)[:, None]
    return inside & (mask[face, 0, y.clamp(0, size - 1), x.clamp(0, size - 1)] < 0.5)


def _hits(confusion: Tensor, members: list[int]) -> Tensor:
    """Pixels of a group of classes that were found, and those marked in the one map plus in the other."""
    rows = confusion[members].double()
    return torch.stack([rows[:, members].sum(), rows.sum() + confusion[:, members].sum()])


def _confusions(prediction: Any, target: Any, classes: int) -> Tensor:
    """int64 ``[B, classes, classes]``, by true and predicted class."""
    check_count(classes, 1, "classes", most=1000)
    for name, labels in (("prediction", prediction), ("target", target)):
        if not isinstance(labels, Tensor) or labels.ndim != 3 or labels.is_floating_point():
            is_tensor = isinstance(labels, Tensor)
            what = f"{labels.dtype} {list(labels.shape)}" if is_tensor else type(labels).__name__
            raise ValueError(f"{name} must be whole numbers [B, H, W], one class per pixel, not {what}.")
        low, high = (int(value) for value in labels.aminmax()) if labels.numel() else (0, 0)
        if low < 0 or high >= classes:
            raise ValueError(f"{name} has labels {low} ... {high}: they must lie in 0 ... {classes - 1}.")
    if prediction.shape != target.shape:
        shapes = f"{list(prediction.shape)} and {list(target.shape)}"
        raise ValueError(f"prediction and target must have one shape [B, H, W], not {shapes}.")
    batch = len(target)
    cell = target.long() * classes + prediction.long()
    cell = cell + classes**2 * torch.arange(batch, device=target.device).view(-1, 1, 1)
    counts = torch.bincount(cell.flatten(), minlength=batch * classes**2)
    return counts.view(batch, classes, classes)
