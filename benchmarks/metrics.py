"""How fast each metric is, against the independent implementation that it is tested with.

    python benchmarks/metrics.py [--faces 16] [--size 128] [--repeats 5] [--only ssim lpips]

Both take the same images or features, in turns, in this one process and on one thread, and must agree
before they are timed. Times are CPU times, so that a busy machine disturbs them less: the median over the
repeats, in milliseconds per image.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch

import facecomp_lib as fc
from facecomp_lib import evaluation, weights
from facecomp_lib.evaluation.ssim import inner_mean
from facecomp_lib.weights.torchvision_fix import ensure_torchvision


@dataclass(frozen=True)
class Duel:
    """One metric, twice: each side is a call that gives numbers; ``per`` images or calls are measured."""

    name: str
    other: str
    ours: Callable[[], Any]
    theirs: Callable[[], Any]
    per: int
    tolerance: float


def duels(faces: int, size: int) -> list[Duel]:
    """All that can be measured here; what lacks its weights is left out."""
    batch = fc.faces.embedded("test", size)[:faces]
    mask = fc.masks.make("center", size, faces)
    prediction, target = fc.classical.complete(batch.image, mask, "telea").composite, batch.image
    found = [*_of_images(prediction, target, faces), *_of_labels(batch)]
    if weights.available("lpips_alex"):
        found.append(_lpips(prediction, target, faces))
    if weights.available("dlib_embedding"):
        found.append(_identity(prediction, batch, faces))
    return found


def _of_images(prediction: torch.Tensor, target: torch.Tensor, faces: int) -> list[Duel]:
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity
    from torchmetrics.functional.image import structural_similarity_index_measure

    pairs = [
        [image.permute(1, 2, 0).contiguous().numpy() for image in pair]
        for pair in zip(prediction, target, strict=True)
    ]
    window = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1}

    def torchmetrics_ssim() -> torch.Tensor:
        _, image = structural_similarity_index_measure(
            prediction, target, data_range=1.0, reduction="none", return_full_image=True
        )
        return inner_mean(image.mean(1))

    def ours() -> torch.Tensor:
        return evaluation.ssim(prediction, target)

    return [
        Duel(
            "psnr",
            "scikit-image",
            lambda: evaluation.psnr(prediction, target),
            lambda: [peak_signal_noise_ratio(b, a, data_range=1) for a, b in pairs],
            faces,
            1e-3,
        ),
        Duel(
            "ssim",
            "scikit-image",
            ours,
            lambda: [structural_similarity(a, b, channel_axis=2, **window) for a, b in pairs],
            faces,
            1e-4,
        ),
        Duel("ssim", "torchmetrics", ours, torchmetrics_ssim, faces, 1e-3),
    ]


def _lpips(prediction: torch.Tensor, target: torch.Tensor, faces: int) -> Duel:
    from safetensors.torch import load_file
    from torchmetrics.functional.image.lpips import _LPIPS

    theirs = _LPIPS(net="alex", pnet_rand=True)
    theirs.load_state_dict(load_file(weights.path("lpips_alex")), strict=False)

    def run() -> torch.Tensor:
        with torch.no_grad():
            return theirs(prediction, target, normalize=True).flatten()

    return Duel("lpips", "torchmetrics", lambda: evaluation.lpips(prediction, target), run, faces, 1e-4)


def _identity(prediction: torch.Tensor, batch: Any, faces: int) -> Duel:
    import dlib

    network = dlib.face_recognition_model_v1(str(weights.path("dlib_embedding")))
    images = (prediction * 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy()
    shapes = [
        dlib.full_object_detection(
            dlib.rectangle(0, 0, 1, 1), [dlib.point(round(x), round(y)) for x, y in points]
        )
        for points in batch.landmarks.tolist()
    ]
    return Duel(
        "identity embedding",
        "dlib, one by one",
        lambda: evaluation.face_embedding(prediction, batch.landmarks),
        lambda: [
            np.array(network.compute_face_descriptor(p, s)) for p, s in zip(images, shapes, strict=True)
        ],
        faces,
        1e-4,
    )


def _of_labels(batch: Any) -> list[Duel]:
    from torchmetrics.functional.classification import multiclass_f1_score

    prediction, target = batch.mirror().parsing, batch.parsing
    return [
        Duel(
            "f-score",
            "torchmetrics",
            lambda: list(evaluation.f_scores(evaluation.confusion(prediction, target)).values())[:11],
            lambda: multiclass_f1_score(prediction, target, 11, average=None),
            len(target),
            1e-5,
        )
    ]


def measure(
    duel: Duel, repeats: int, clock: Callable[[], float] = time.process_time
) -> tuple[float, float, float]:
    """Largest difference of the two, and milliseconds of ours and theirs.

    Raises:
        RuntimeError: they disagree by more than the tolerance, so that their times say nothing.
    """
    ours, theirs = (np.asarray(side(), np.float64) for side in (duel.ours, duel.theirs))  # and warms up
    same = ours.shape == theirs.shape and np.array_equal(np.isnan(ours), np.isnan(theirs))
    gap = float(np.nanmax(np.abs(ours - theirs))) if same else np.inf
    if gap > duel.tolerance:
        raise RuntimeError(f"{duel.name} and {duel.other} disagree by {gap:.2g}: no times to compare.")
    spent: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(repeats):
        for name, side in (("ours", duel.ours), ("theirs", duel.theirs)):
            start = clock()
            side()
            spent[name].append(1000 * (clock() - start) / duel.per)
    return gap, statistics.median(spent["ours"]), statistics.median(spent["theirs"])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faces", type=int, default=16)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", nargs="+", default=[""], help="metrics whose names begin so")
    wish = parser.parse_args()
    torch.set_num_threads(1)
    ensure_torchvision()  # torchmetrics imports it
    print(f"{wish.faces} faces of {wish.size} px, one thread, median of {wish.repeats}")
    print(f"{'metric':22s}{'against':18s}{'difference':>11s}{'ours':>11s}{'theirs':>11s}{'ratio':>9s}")
    for duel in duels(wish.faces, wish.size):
        if duel.name.startswith(tuple(wish.only)):
            gap, ours, theirs = measure(duel, wish.repeats)
            times = f"{ours:8.3f} ms{theirs:8.3f} ms{theirs / ours:7.1f} x"
            print(f"{duel.name:22s}{duel.other:18s}{gap:11.1e}{times}")


if __name__ == "__main__":
    main()
