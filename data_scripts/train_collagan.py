"""Train the collagan checkpoints that travel with the course, measure them, and write them with their cards.

    python data_scripts/render_faces.py more128 --train 10000 --val 0 --test 0 --per-person 2 --seed 1 \\
        --flow none
    python data_scripts/train_collagan.py runs/collagan-128 --faces more128
    python data_scripts/train_collagan.py runs/collagan-i-128 --faces more128 --variant i

The first is the paper's M*_isd: three tasks, concentrated on the hole. Variant i is M_i, which completes and
does nothing else. As training is short, both begin with --alone-steps without discriminators. A run that was
stopped goes on where it was when started again. The embedded test split measures the result, out of place as
in training; its people are in neither training set. Means go to the card, every score to
facecomp_lib/results/collagan_shipped_128.csv.gz, those of variant i to collagan_i_shipped_128.csv.gz.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load_file

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data_scripts.models_by_seed import RESULTS, data_of, history
from data_scripts.understanding import ERRORS, IMAGE, LABELS, LR, SIDE, compared, out_of_place, test_facts
from facecomp_lib import evaluation, faces, methods, training
from facecomp_lib.methods import checkpoints
from facecomp_lib.papers.collagan import together

VARIANTS: dict[str | None, dict[str, Any]] = {
    None: {"tasks": "isd"},
    "i": {"tasks": "i", "concentrated": False},
}
BLOCKS = tuple(f"collagan_o{number}" for number in range(1, 7))
HOLES = {"random_square": ("random_square",), "six blocks": BLOCKS}  # name -> kinds that are averaged
MEASURES = IMAGE


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--variant", choices=[name for name in VARIANTS if name], help="default: M*_isd")
    parser.add_argument("--faces", help="prepared data set to learn from; default: the embedded train split")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--width", type=float, default=0.25)
    parser.add_argument("--steps", type=int, default=3000, help="with discriminators (%(default)s)")
    parser.add_argument("--alone-steps", type=int, default=6000, help="before, without (%(default)s)")
    parser.add_argument("--init", type=Path, help="weights of an earlier run, which this one begins with")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--precision", default="bf16-mixed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, help="so many test faces (all)")
    parser.add_argument("--out", type=Path, default=checkpoints.FOLDER, help="where the checkpoint goes")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where every score goes")
    given = parser.parse_args()

    options = VARIANTS[given.variant]
    method = methods.build("collagan", seed=given.seed, size=given.size, width=given.width, **options)
    if given.init:
        method.load_state_dict(load_file(given.init))
    stages = plan(options["tasks"], given)
    run = training.fit(
        method, data_of(given.faces, given.size), given.run_dir, stages=stages, seed=given.seed,
        validation=faces.embedded("val", given.size), precision=given.precision,
    )  # fmt: skip
    test = out_of_place(given.size)
    kinds = [kind for group in HOLES.values() for kind in group]
    comparison = compared({"collagan": run.method}, test, kinds, MEASURES, given.limit)
    name = "_".join(part for part in ("collagan", given.variant, "shipped", str(given.size)) if part)
    given.results.mkdir(parents=True, exist_ok=True)
    evaluation.save_runs(given.results / f"{name}.csv.gz", {given.seed: comparison})
    trained = {key: run.card[key] for key in ("data", "steps", "seed", "precision", "seconds", "hardware")}
    stem = "-".join(part for part in ("collagan", given.variant, str(given.size)) if part)
    path = methods.save(
        run.method, given.out / stem, ("generator",),
        **trained, stages={stage.name: stage.steps for stage in stages}, batch_size=given.batch_size,
        lr={stage.name: stage.optimizers["generator"].lr for stage in stages},
        before=history(given.run_dir, given.init), test=test_facts(test, len(comparison.groups)),
        metrics=means(comparison),
    )  # fmt: skip
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
    return 0


def plan(tasks: str, given: argparse.Namespace) -> list[methods.Stage]:
    """First the generator alone, near to the truth; then together with its discriminators, more slowly."""
    stages = [together(tasks, given.steps, batch_size=given.batch_size, lr=LR / 4)] if given.steps else []
    if given.alone_steps:
        stage = together(tasks, given.alone_steps, batch_size=given.batch_size, lr=LR, adversarial=False)
        stages.insert(0, replace(stage, name="alone"))
    return stages


def means(comparison: evaluation.Comparison) -> dict[str, Any]:
    """For the card: group of holes -> measure -> fill -> mean; labels and points one by one."""

    def mean(measure: str, name: str, kinds: Sequence[str]) -> float:
        values = [np.nanmean(comparison.values(measure, name, kind)) for kind in kinds]
        return round(float(np.mean(values)), 4)

    card: dict[str, Any] = {"landmark_error": f"px of {SIDE}"}
    for group, kinds in HOLES.items():
        card[group] = {
            measure: {name: mean(measure, name, kinds) for name in comparison.methods} for measure in MEASURES
        }
        own = [*LABELS, "dice", "dice_hole", *ERRORS, "landmark_error", "landmark_error_hole"]
        card[group] |= {name: mean(name, "collagan", kinds) for name in own if name in comparison.measures}
    return card


if __name__ == "__main__":
    sys.exit(main())
