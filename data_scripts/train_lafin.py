"""Train the lafin checkpoint that travels with the course, measure it, and write it with its card.

    python data_scripts/render_faces.py more128 --train 10000 --val 0 --test 0 --per-person 2 --seed 1 \\
        --flow none
    python data_scripts/train_lafin.py runs/lafin-128 --faces more128 --steps 2400
    python data_scripts/train_lafin.py runs/lafin-128b --faces more128 --steps 1400 --lr 3e-4 \\
        --discriminator-lr 3e-5 --ema 0.995 --init runs/lafin-128/generator/weights-refine.safetensors \\
        --predictor runs/lafin-128/predictor/weights-locate.safetensors
    python data_scripts/train_lafin.py runs/lafin-128c --faces more128 --steps 0 --limit 60 \\
        --init runs/lafin-128b/generator/weights-refine.safetensors --locate-steps 3000 --locate-lr 1e-4 \\
        --predictor-init runs/lafin-128/predictor/weights-locate.safetensors

First the landmark predictor, then, with true landmarks, the generator; both begin with large steps and end
with smaller ones. With --steps 0 the generator of --init stays as it is. A run that was stopped goes on where
it was when started again. The embedded test split measures the result; its people are in neither training
set. Means go to the card, every score to facecomp_lib/results/lafin_shipped_128.csv.gz. (The predictor that
travels with the course was averaged with 0.999 in the first run.)
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data_scripts.locating import (
    HOLES,
    MEASURES,
    average_face,
    compared,
    plan_facts,
    run_options,
    style_facts,
    trained,
)
from data_scripts.models_by_seed import RESULTS, carried_out, data_of
from facecomp_lib import evaluation, faces, methods
from facecomp_lib.methods import checkpoints


def main() -> int:
    given = options().parse_args()
    return carried_out("train_lafin", lambda: work(given))


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--faces", help="prepared data set to learn from; default: the embedded train split")
    run_options(parser, size=128, steps=2400, locate_steps=7000, dot=5)
    parser.add_argument(
        "--init",
        type=Path,
        help="weights of an earlier run, with whose generator and discriminator this one begins",
    )
    parser.add_argument("--limit", type=int, help="so many test faces (all)")
    parser.add_argument("--out", type=Path, default=checkpoints.FOLDER, help="where the checkpoint goes")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where every score goes")
    return parser


def work(given: argparse.Namespace) -> None:
    """Train, measure, write."""
    data, validation = data_of(given.faces, given.size), faces.embedded("val", given.size)
    run = trained(given.run_dir, data, validation, given, given.init)
    test = faces.embedded("test", given.size)
    comparison = compared(run.method, test, HOLES, MEASURES, given.limit, average_face(data))
    given.results.mkdir(parents=True, exist_ok=True)
    evaluation.save_runs(given.results / f"lafin_shipped_{given.size}.csv.gz", {given.seed: comparison})
    facts = ("data", "steps", "seed", "precision", "seconds", "hardware")
    path = methods.save(
        run.method, given.out / f"lafin-{given.size}", ("predictor", "generator"),
        **{key: run.generator[key] for key in facts},
        **plan_facts(run.generator),
        perceptual_and_style=style_facts(run.generator),
        before=run.generator_before,
        predictor={key: run.predictor[key] for key in facts} | plan_facts(run.predictor)
        | {"before": run.predictor_before},
        test={"name": test.name, "version": test.version, "faces": len(comparison.groups)},
        nme="share of the distance between the outer corners of the eyes",
        metrics=mean_scores(comparison),
    )  # fmt: skip
    for measure in comparison.measures:
        print("", comparison.table(measure), sep="\n")
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


def mean_scores(comparison: evaluation.Comparison) -> dict[str, Any]:
    """For the card: hole -> measure -> fill -> mean."""
    card: dict[str, Any] = {}
    for measure in comparison.measures:
        for fill, hole in comparison.pairs:
            if np.isfinite(values := comparison.values(measure, fill, hole)).any():  # not all have landmarks
                means = card.setdefault(hole, {}).setdefault(measure, {})
                means[fill] = round(float(np.nanmean(values)), 4)
    return card


if __name__ == "__main__":
    sys.exit(main())
