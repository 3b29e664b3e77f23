"""How well collagan's three tasks are done, image by image: completion, labels, points.

Labels: Dice of each class (``dice_nose`` ...); ``dice`` is the mean over the nine labels of table 2, of those
that are in the image; ``dice_hole`` is the same of missing pixels alone. Points: distances in px of an
image of 128 px, whatever its size (``landmark_error_nose`` ...); ``landmark_error`` is their mean, and
``landmark_error_hole`` the mean over the points that the hole hides.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data_scripts.models_by_seed import damaged, fills_of, joined
from facecomp_lib import classical, evaluation, faces, masks, methods
from facecomp_lib.evaluation.protocol import drawn_faces, identities
from facecomp_lib.faces import PARSING, FaceBatch
from facecomp_lib.papers.collagan import POINTS, UNALIGNED, five_points

IMAGE = ("psnr", "ssim", "lpips", "psnr_hole", "ssim_hole")
LABELS = tuple(f"dice_{name.replace(' ', '_')}" for name in PARSING)
FACIAL = slice(1, 10)  # the labels of table 2: neither background nor hair
ERRORS = tuple(f"landmark_error_{name.replace(' ', '_')}" for name in POINTS)
LR = 2e-3  # ten times what full runs have: these are short
SIDE = 128  # px of the images that distances are given for


def out_of_place(size: int) -> faces.FaceDataset:
    """The embedded test faces, moved as in training, each in its own way."""
    return faces.embedded("test", size).moved(UNALIGNED, seed=0)


def test_facts(test: faces.FaceDataset, count: int) -> dict[str, Any]:
    """For a card: ``count`` faces of :func:`out_of_place`."""
    return {
        "name": test.name,
        "version": test.version,
        "faces": count,
        "size": test.size,
        "moved": asdict(UNALIGNED),
        "moved_seed": 0,
    }


@torch.no_grad()
def understood(
    name: str,
    method: methods.Method,
    test: faces.FaceDataset,
    holes: Sequence[str],
    limit: int | None = None,
    image: Sequence[str] = IMAGE,
    unblended: bool = False,
    progress: bool = True,
) -> evaluation.Comparison:
    """Damage faces, and score what a collagan makes of them, task by task, as it has them.

    Faces and holes are those of ``fc.evaluation.evaluate`` with its seed 0. Intervals count people.

    Args:
        name: of the method in the comparison.
        test: faces, with parsing maps for task s, with landmarks for task d.
        holes: kinds.
        limit: so many faces, None for all.
        image: measures of the completion, which is blended in as in the paper; () for none.
        unblended: score the completion as it is, too, as ``NAME, unblended``.
        progress: show a bar if it takes more than two seconds.
    """
    chosen = drawn_faces(len(test), limit, seed=0)
    comparison = evaluation.Comparison(groups=identities(test)[chosen])
    for kind, seen, mask in damaged(test, holes, limit, method.device, progress):
        out = method.complete(seen.image, mask)
        found = {**out.extras, **({"raw": out.raw} if method.completes else {})}
        comparison.add(name, kind, task_scores(found, seen, mask, image))
        if unblended:
            plain = masks.composite(seen.image, found["raw"], mask)
            comparison.add(f"{name}, unblended", kind, evaluation.score(plain, seen.image, mask, image))
    return comparison


def compared(
    models: Mapping[str, methods.Method],
    test: faces.FaceDataset,
    holes: Sequence[str],
    measures: Sequence[str],
    limit: int | None = None,
) -> evaluation.Comparison:
    """Completions beside every classical fill's; labels and points of the models that have these tasks."""
    found = [evaluation.evaluate(fills_of(models), test, holes, measures, limit, by="person")]
    found += [
        understood(name, method, test, holes, limit, image=())
        for name, method in models.items()
        if set(method.config["tasks"]) & set("sd")
    ]
    return joined(found)


def task_scores(
    found: Mapping[str, Tensor], true: FaceBatch, mask: Tensor, image: Sequence[str] = IMAGE
) -> dict[str, Tensor]:
    """Measure -> ``[B]``, for each task that ``found`` has an answer to."""
    scores: dict[str, Tensor] = {}
    if "raw" in found and image:
        image = classical.poisson_blend(true.image, found["raw"], mask)
        scores |= evaluation.score(image, true.image, mask, image)
    if "parsing" in found:
        scores |= label_scores(found["parsing"], true.parsing, mask)
    if "landmarks" in found:
        scores |= point_scores(found["landmarks"], five_points(true.landmarks), mask)
    return scores


def label_scores(found: Tensor, true: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """Of label maps ``[B, S, S]`` and holes ``[B, 1, S, S]``; NaN where there is no such label."""
    parts = evaluation.dice(found, true)  # [B, 11]
    other = len(PARSING)  # a class of its own for all that is known
    hidden = mask[:, 0] < 0.5
    of_hole = evaluation.dice(torch.where(hidden, found, other), torch.where(hidden, true, other), other + 1)
    return {
        **dict(zip(LABELS, parts.unbind(1), strict=True)),
        "dice": parts[:, FACIAL].nanmean(1),
        "dice_hole": of_hole[:, FACIAL].nanmean(1),
    }


def point_scores(found: Tensor, true: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """Of points ``[B, 5, 2]`` in px and holes ``[B, 1, S, S]``; NaN where the hole hides none."""
    distance = (found - true).norm(dim=2) * SIDE / mask.shape[-1]  # [B, 5]
    hidden = under_hole(true, mask)
    return {
        **dict(zip(ERRORS, distance.unbind(1), strict=True)),
        "landmark_error": distance.mean(1),
        "landmark_error_hole": torch.where(hidden, distance, torch.nan).nanmean(1),
    }


def under_hole(points: Tensor, mask: Tensor) -> Tensor:
    """Which points ``[B, K, 2]`` in px a hole ``[B, 1, S, S]`` hides: bool ``[B, K]``; not those outside."""
    size = mask.shape[-1]
    x, y = points.round().long().unbind(2)
    inside = (x >= 0) & (x < size) & (y >= 0) & (y < size)
    one = torch.arange(len(points), device=points.device)[:, None]
    return inside & (mask[one, 0, y.clamp(0, size - 1), x.clamp(0, size - 1)] < 0.5)
