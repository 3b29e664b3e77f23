"""The completions that an experiment compares: those of networks, and baselines without one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from facecomp_lib import classical
from facecomp_lib.completion import Completion
from facecomp_lib.evaluation import METRICS, average_face, nearest_face
from facecomp_lib.evaluation.protocol import completion_of
from facecomp_lib.experiments.datasets import open_faces
from facecomp_lib.experiments.schema import Plan
from facecomp_lib.faces import FaceDataset
from facecomp_lib.methods import Method

__all__ = ["BASELINES", "Completer", "of_baseline", "of_method", "of_plan", "measurable"]

Completer = Callable[..., Completion | Mapping[str, Tensor]]
"""``(image, mask, **conditions) -> Completion``, or extras alone where nothing is completed. Its attribute
``conditions`` names the labels of the true faces that it is given."""


def average_landmarks(train: FaceDataset) -> Completer:
    """Predict the mean landmarks of the training faces."""
    mean = torch.from_numpy(train.column("landmarks")).float().mean(0)  # [68, 2]
    return lambda image, mask: {"landmarks": mean.to(image.device).expand(len(image), -1, -1)}


LEARNED: dict[str, Callable[[FaceDataset], Completer]] = {
    "average_face": average_face,
    "nearest_face": nearest_face,
    "average_landmarks": average_landmarks,
}
BASELINES = (*classical.KINDS, *LEARNED)


def of_baseline(name: str, plan: Plan, size: int | None) -> Completer:
    """A classical fill, or what the plan's training faces alone suggest."""
    if name in classical.KINDS:
        return partial(classical.complete, kind=name)
    return LEARNED[name](open_faces(plan.data.train.model_copy(update={"subset": None}), "train", size))


def of_method(method: Method, blended: bool, conditions: Sequence[str] = ()) -> Completer:
    """What a network makes of masked faces.

    Args:
        method: trained.
        blended: blend its output into the known pixels by Poisson's equation.
        conditions: names of labels that it is given, such as ``landmarks``.
    """

    def complete(image: Tensor, mask: Tensor, **labels: Any) -> Any:
        out = method.complete(image, mask, **labels)
        if not method.completes:
            return out.extras
        if blended:  # on the CPU, wherever the method is
            out = replace(out, composite=classical.poisson_blend(image, out.raw.to(image.device), mask))
        return out

    complete.conditions = tuple(conditions)  # type: ignore[attr-defined]
    return complete


def of_plan(variant: str, plan: Plan, method: Method) -> dict[str, tuple[Completer, Sequence[str]]]:
    """The completions of a variant: name -> completer, and the metrics that are wanted of it."""
    evaluate = plan.evaluate
    found: dict[str, tuple[Completer, Sequence[str]]] = {}
    found[variant] = (of_method(method, evaluate.blended), evaluate.metrics)
    for name, way in evaluate.also.items():
        blended = evaluate.blended if way.blended is None else way.blended
        if way.baseline is None:
            complete = of_method(method, blended, way.conditions)
        else:
            complete = of_baseline(way.baseline, plan, method.size)
        found[name] = (complete, way.metrics or evaluate.metrics)
    return found


def measurable(complete: Completer, faces: FaceDataset, metrics: Sequence[str]) -> list[str]:
    """Those of the metrics that the completions have something for, as one of them shows."""
    if not any(METRICS[name].needs for name in metrics):
        return list(metrics)
    face = faces.batch([0])
    mask = torch.ones_like(face.image[:, :1])
    mask[..., : faces.size // 2, :] = 0
    extras = completion_of("a completion", complete, face, mask).extras
    return [name for name in metrics if METRICS[name].needs in ("", *extras)]
