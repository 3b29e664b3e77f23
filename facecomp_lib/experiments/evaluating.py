"""Scores of completions, face by face, as a table: image, label and landmark metrics in one pass.

Faces and masks are those of ``fc.evaluation.evaluate`` with its seed 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm.auto import tqdm

from facecomp_lib import evaluation
from facecomp_lib.evaluation.protocol import drawn_faces, named_holes
from facecomp_lib.faces import PARSING, FaceBatch
from facecomp_lib.papers.collagan import POINTS, five_points

__all__ = ["METRICS", "evaluate"]

LABELS = tuple(f"dice_{name.replace(' ', '_')}" for name in PARSING)
ERRORS = tuple(f"landmark_error_{name.replace(' ', '_')}" for name in POINTS)
NEEDS = dict.fromkeys(("dice", "dice_hole", *LABELS), "parsing") | dict.fromkeys(
    ("landmark_error", "landmark_error_hole", *ERRORS, "nme", "nme_hole"), "landmarks"
)


@dataclass
class Metric:
    needs: str = ""


METRICS = {
    name: Metric(NEEDS.get(name, ""))
    for name in (
        *evaluation.MEASURES,
        "identity",
        *NEEDS,
        "f_overall",
        "f_brows",
        "f_eyes",
        "f_nose",
        "f_mouth",
    )
}
FACIAL = slice(1, 10)  # labels of collagan's table 2: neither background nor hair
SIDE = 128  # px of the images that landmark errors are given for


@torch.no_grad()
def evaluate(methods, faces, masks, metrics, limit=None, batch_size=16, progress=True):
    """As ``evaluate`` of the results branch."""
    data, chosen = faces, drawn_faces(len(faces), limit, seed=0)
    people = data.column("identity")
    holes = {kind: undamaged if kind == "none" else named_holes(kind)[kind] for kind in masks}
    tables = []
    with tqdm(total=len(chosen) * len(masks), desc="faces", delay=2, disable=not progress) as bar:
        for numbers in np.split(chosen, range(batch_size, len(chosen), batch_size)):
            batch = data.batch(numbers)
            for kind, hole in holes.items():
                mask = hole(batch, numbers, 0)
                for name, complete in methods.items():
                    given = {key: getattr(batch, key) for key in getattr(complete, "conditions", ())}
                    out = complete(torch.where(mask > 0.5, batch.image, 0.0), mask, **given)
                    composite, extras = (
                        (None, out) if isinstance(out, Mapping) else (out.composite, out.extras)
                    )
                    scores = score(composite, extras, batch, mask, metrics)
                    columns = {key: value.double().cpu().numpy() for key, value in scores.items()}
                    table = pd.DataFrame(columns, numbers).melt(var_name="metric", ignore_index=False)
                    table = table.assign(method=name, mask=kind, identity=people[table.index])
                    tables.append(table.reset_index(names="index"))
                bar.update(len(numbers))
    return pd.concat(tables, ignore_index=True).dropna(subset="value")


def undamaged(faces: FaceBatch, numbers: object, seed: int) -> Tensor:
    """A mask that hides nothing: ``[B, 1, S, S]``."""
    return torch.ones_like(faces.image[:, :1])


def score(
    composite: Tensor | None,
    extras: Mapping[str, Tensor],
    faces: FaceBatch,
    mask: Tensor,
    metrics: Sequence[str],
) -> dict[str, Tensor]:
    """Those of the metrics that the completion has something for, each ``[B]``."""
    scores: dict[str, Tensor] = {}
    if composite is not None:
        plain = [name for name in metrics if name in evaluation.MEASURES]
        scores |= evaluation.score(composite.clamp(0, 1), faces.image, mask, plain)
        if "identity" in metrics:
            scores["identity"] = evaluation.identity_distance(composite, faces.image, faces.landmarks)
    if "parsing" in extras and faces.parsing is not None:
        scores |= label_scores(extras["parsing"], faces.parsing, mask)
    if "landmarks" in extras and extras["landmarks"].shape[1] == 68:
        scores |= landmark_scores(extras["landmarks"], faces.landmarks, mask)
    elif "landmarks" in extras:
        scores |= point_scores(extras["landmarks"], five_points(faces.landmarks), mask)
    return {name: scores[name] for name in metrics if name in scores}


def label_scores(found: Tensor, true: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """Of label maps ``[B, S, S]``; NaN where there is no such label."""
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
    """Of points ``[B, 5, 2]`` in px; NaN where the mask hides none."""
    distance = (found - true).norm(dim=2) * SIDE / mask.shape[-1]  # [B, 5]
    hidden = under_mask(true, mask)
    return {
        **dict(zip(ERRORS, distance.unbind(1), strict=True)),
        "landmark_error": distance.mean(1),
        "landmark_error_hole": torch.where(hidden, distance, torch.nan).nanmean(1),
    }


def landmark_scores(found: Tensor, true: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """Of landmarks ``[B, 68, 2]`` in px; NaN where the mask hides none."""
    hidden = under_mask(true, mask)
    of_hidden = evaluation.nme(torch.where(hidden[..., None], found, true), true)  # the others' error is 0
    return {"nme": evaluation.nme(found, true), "nme_hole": of_hidden * hidden.shape[1] / hidden.sum(1)}


def under_mask(points: Tensor, mask: Tensor) -> Tensor:
    """Which points ``[B, K, 2]`` in px a mask hides: bool ``[B, K]``; not those outside the image."""
    size = mask.shape[-1]
    x, y = points.round().long().unbind(2)
    inside = (x >= 0) & (x < size) & (y >= 0) & (y < size)
    one = torch.arange(len(points), device=points.device)[:, None]
    return inside & (mask[one, 0, y.clamp(0, size - 1), x.clamp(0, size - 1)] < 0.5)
