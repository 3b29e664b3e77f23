"""Every metric by its stable name: its label, its unit, which direction is better, how it is computed.

The names stand in experiments' YAML files and in recorded results. Lesson 02 builds the metrics themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from facecomp_lib.completion import Completion
from facecomp_lib.evaluation import image, labels, recognition
from facecomp_lib.faces.schema import PARSING, FaceBatch

__all__ = ["METRICS", "Metric", "metric"]

Compute = Callable[[Completion, FaceBatch, Tensor], Tensor]
"""(prediction, target, mask ``[B, 1, H, W]``) -> one number per face, ``[B]``."""

POINTS = ("left_eye", "right_eye", "nose", "left_of_mouth", "right_of_mouth")  # collagan's five
SIDE = 128  # px of the images that distances are given for
FACIAL = slice(1, 10)  # the labels of collagan's table 2: neither background nor hair


@dataclass(frozen=True)
class Metric:
    """A metric and how it is shown.

    Attributes:
        name: stable, used in files.
        label: for readers.
        unit: of what is shown.
        better: "higher", "lower", or "" if that is not known.
        digits: that are shown.
        scale: a value is shown times this (100 for per cent).
        compute: one number per face; None for what is no property of one completion.
        needs: which of :attr:`Completion.extras` it reads, "" for none.
    """

    name: str
    label: str
    unit: str = ""
    better: Literal["higher", "lower", ""] = ""
    digits: int = 3
    scale: float = 1
    compute: Compute | None = None
    needs: str = ""

    @property
    def sign(self) -> int:
        """+1 if higher is better, -1 if lower is, 0 if that is not known."""
        return {"higher": 1, "lower": -1, "": 0}[self.better]

    @property
    def note(self) -> str:
        """Unit and direction, as in 'dB, more is better'."""
        direction = {"higher": "more is better", "lower": "less is better", "": ""}[self.better]
        return ", ".join(part for part in (self.unit, direction) if part)

    def text(self, value: float, sign: bool = False) -> str:
        """A value as it is shown, without its unit."""
        return f"{self.scale * value:{'+' if sign else ''}.{self.digits}f}"


def metric(name: str) -> Metric:
    """How to show a metric: of :data:`METRICS`, or one that begins like one of them (``kid_vgg16``,
    ``top7``); anything else goes by its own name.
    """
    if name in METRICS:
        return METRICS[name]
    if name.startswith("top") and name[3:].isdigit():
        return replace(METRICS["top1"], name=name, label=f"Top-{name[3:]}")
    known = max((one for one in METRICS if name.startswith(f"{one}_")), key=len, default=None)
    if known is None:
        return Metric(name, name)
    detail = name.removeprefix(f"{known}_").replace("_", " ")
    return replace(METRICS[known], name=name, label=f"{METRICS[known].label}, {detail}", compute=None)


# ------------------------------------------------------------------------------ from a completion's extras


def _dice(place: int) -> Compute:
    """Dice of one class, NaN where it is in neither map."""

    def compute(prediction: Completion, target: FaceBatch, mask: Tensor) -> Tensor:
        return labels.dice(*_parsing(prediction, target))[:, place]

    return compute


def _dice_mean(prediction: Completion, target: FaceBatch, mask: Tensor) -> Tensor:
    return labels.dice(*_parsing(prediction, target))[:, FACIAL].nanmean(1)


def _dice_hole(prediction: Completion, target: FaceBatch, mask: Tensor) -> Tensor:
    found, true = _parsing(prediction, target)
    return labels.dice_hole(found, true, mask)[:, FACIAL].nanmean(1)


def _f_score(component: str) -> Compute:
    def compute(prediction: Completion, target: FaceBatch, mask: Tensor) -> Tensor:
        pairs = zip(*_parsing(prediction, target), strict=True)
        scores = [labels.f_scores(labels.confusion(a[None], b[None]))[component] for a, b in pairs]
        return torch.tensor(scores)

    return compute


def _distances(prediction: Completion, target: FaceBatch, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Distances of the points ``[B, K]``, px of 128, and which of them the mask hides ``[B, K]``."""
    found, true = _landmarks(prediction, target)
    return (found - true).norm(dim=2) * SIDE / mask.shape[-1], labels.hidden_points(true, mask)


def _point_error(place: int) -> Compute:
    def compute(prediction: Completion, target: FaceBatch, mask: Tensor) -> Tensor:
        distance, _ = _distances(prediction, target, mask)
        if distance.shape[1] != len(POINTS):
            raise ValueError(f"landmark_error_{POINTS[place]} is of five points, not of {distance.shape[1]}.")
        return distance[:, place]

    return compute


def _landmark_error(prediction: Completion, target: FaceBatch, mask: Tensor) -> Tensor:
    return _distances(prediction, target, mask)[0].mean(1)


def _landmark_error_hole(prediction: Completion, target: FaceBatch, mask: Tensor) -> Tensor:
    distance, hidden = _distances(prediction, target, mask)
    return torch.where(hidden, distance, torch.nan).nanmean(1)


def _nme(prediction: Completion, target: FaceBatch, mask: Tensor) -> Tensor:
    return labels.nme(*_landmarks(prediction, target))


def _nme_hole(prediction: Completion, target: FaceBatch, mask: Tensor) -> Tensor:
    return labels.nme_hole(*_landmarks(prediction, target), mask)


# of true faces, a third of a second each
_embeddings: WeakKeyDictionary[FaceBatch, Tensor] = WeakKeyDictionary()


def _identity(prediction: Completion, target: FaceBatch, mask: Tensor) -> Tensor:
    if target not in _embeddings:
        _embeddings[target] = recognition.face_embedding(target.image, target.landmarks)
    found = recognition.face_embedding(prediction.composite, target.landmarks)
    return (found - _embeddings[target]).norm(dim=1)


def _parsing(prediction: Completion, target: FaceBatch) -> tuple[Tensor, Tensor]:
    if target.parsing is None:
        raise ValueError("Measuring labels needs parsing maps: these faces have none.")
    return prediction.extras["parsing"], target.parsing


def _landmarks(prediction: Completion, target: FaceBatch) -> tuple[Tensor, Tensor]:
    """Predicted and true points, ``[B, K, 2]`` px, of as many points as were predicted."""
    if target.landmarks is None:
        raise ValueError("Measuring landmarks needs true ones: these faces have none.")
    found, true = prediction.extras["landmarks"], target.landmarks
    if found.shape[1] == len(POINTS):
        from facecomp_lib.papers.collagan import five_points

        true = five_points(true)
    return found, true


def _image(name: str) -> Compute:
    def compute(prediction: Completion, target: FaceBatch, mask: Tensor) -> Tensor:
        return image.score(prediction.composite, target.image, mask, name)[name]

    return compute


def _all() -> list[Metric]:
    of_image = {
        "psnr": Metric("psnr", "PSNR", "dB", "higher", 2),
        "ssim": Metric("ssim", "SSIM", "", "higher", 3),
        "l1": Metric("l1", "L1", "%", "lower", 2, 100),
        "lpips": Metric("lpips", "LPIPS", "", "lower", 3),
    }
    dice = Metric("dice", "Dice", "%", "higher", 1, 100, _dice_mean, "parsing")
    f_score = Metric("f_score", "F-score", "", "higher", 3)
    error = Metric("landmark_error", "landmark error", "px", "lower", 2, 1, _landmark_error, "landmarks")
    nme = Metric("nme", "NME", "%", "lower", 2, 100, _nme, "landmarks")

    def part(whole: Metric, name: str, compute: Compute | None, words: str = "") -> Metric:
        label = f"{whole.label}, {words or name.replace('_', ' ')}"
        return replace(whole, name=f"{whole.name}_{name}", label=label, compute=compute)

    return [
        *(replace(one, compute=_image(name)) for name, one in of_image.items()),
        *(
            part(one, "hole", _image(f"{name}_hole"), "missing pixels")
            for name, one in of_image.items()
            if name != "lpips"
        ),
        Metric("identity", "identity distance", "", "lower", 3, 1, _identity),
        dice,
        part(dice, "hole", _dice_hole, "missing pixels"),
        *(part(dice, name.replace(" ", "_"), _dice(k)) for k, name in enumerate(PARSING)),
        f_score,  # over all pixels of a set; those of single faces:
        *(
            Metric(f"f_{name}", f"F-score, {name}", "", "higher", 3, 1, _f_score(name), "parsing")
            for name in (*labels.COMPONENTS, "overall")
        ),
        error,
        part(error, "hole", _landmark_error_hole, "missing pixels"),
        *(part(error, name, _point_error(k)) for k, name in enumerate(POINTS)),
        nme,
        part(nme, "hole", _nme_hole, "hidden points"),
        Metric("fid", "FID", "", "lower", 2),
        Metric("kid", "KID x 1000", "", "lower", 2, 1000),
        *(Metric(f"top{k}", f"Top-{k}", "%", "higher", 1, 100) for k in (1, 3, 5)),
    ]


#: name -> metric.
METRICS: dict[str, Metric] = {one.name: one for one in _all()}
