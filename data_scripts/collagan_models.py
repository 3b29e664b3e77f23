"""Train collagan's models from several seeds, and gfc beside them, measure all and record every score.

    python data_scripts/collagan_models.py --steps 6000 --seeds 3 --jobs 2 --parser runs/gfc/parser
    python data_scripts/collagan_models.py --models M_i Mstar_isd --steps 6000

M_i completes, M_s segments, M_d finds points; M_id and M_is do two of these, M_isd all three; M*_isd
concentrates on the hole. gfc is its fourth model, of as many steps of the generator. All see the same faces,
out of place, and the same holes in the same order. Two more learn from the first seed only: M*_isd with
patterns and M*_isd with noise instead of blocks.

All are measured on test faces out of place, completions after Poisson blending. A run that was stopped goes
on where it was when the script is started again; what is finished is not done again. Scores, and a card that
says how they came about, go to facecomp_lib/results/collagan_models.*; what the first seed's models make of
some faces to collagan_models_64.webp and its like (_understood_, _pattern_, _noise_) beside them.

gfc needs a parsing network. Without --parser one is trained first, on faces out of place.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data_scripts import gfc_models
from data_scripts.models_by_seed import (
    SHOWN,
    Job,
    arguments,
    blended,
    carried_out,
    finished,
    gathered,
    jobs_of,
    progress,
    record,
    restored,
    save_sheet,
    score,
    short,
    show_tables,
    train,
    training_facts,
)
from data_scripts.parsing import coloured
from data_scripts.understanding import ERRORS, IMAGE, LABELS, LR, SIDE, out_of_place, test_facts, understood
from facecomp_lib import evaluation, masks, methods
from facecomp_lib.papers.collagan import UNALIGNED, together

SIZE, WIDTH = 64, 0.25
STAR = "M*_isd"
MODELS: dict[str, dict[str, Any]] = {  # name -> options of collagan; gfc has its own
    "gfc": {},
    "M_i": {"tasks": "i", "concentrated": False},
    "M_s": {"tasks": "s", "concentrated": False},
    "M_d": {"tasks": "d", "concentrated": False},
    "M_id": {"tasks": "id", "concentrated": False},
    "M_is": {"tasks": "is", "concentrated": False},
    "M_isd": {"tasks": "isd", "concentrated": False},
    STAR: {"tasks": "isd"},
    f"{STAR} pattern": {"tasks": "isd", "regime": "pattern"},
    f"{STAR} noise": {"tasks": "isd", "regime": "noise"},
}
ONCE = (f"{STAR} pattern", f"{STAR} noise")  # from the first seed only
UNBLENDED = ("M_isd", STAR, *ONCE)  # scored without blending, too
HOLES = tuple(f"collagan_o{number}" for number in range(1, 7))
MEASURES = IMAGE
PRECISION = "bf16-mixed"
TOGETHER = ("dice", "dice_hole", "landmark_error", "landmark_error_hole")
DETAILS = (*LABELS, *ERRORS)  # each label and each point by itself: recorded as means over ...
ALL_BLOCKS = "six blocks"  # ... all of HOLES
DIGITS = dict.fromkeys((*IMAGE, *TOGETHER), 3) | dict.fromkeys(DETAILS, 2)


def main() -> int:
    parser = options()
    given = parser.parse_args()

    def work() -> None:
        names = [name for name in MODELS if not given.models or short(name) in given.models]
        jobs = [job for job in jobs_of(given, names) if job.model not in ONCE or job.seed == given.first_seed]
        if "gfc" in names:
            gfc_models.provide_parser(given.out, given.parser, given.parser_steps, given.faces, UNALIGNED)
        for job, seconds in finished(do, jobs, given.jobs):
            print(f"{job.model}, seed {job.seed}: {job.steps} steps in {seconds:.0f} s, scored", flush=True)
        conclude(jobs, given.results)

    return carried_out("collagan_models", work)


def options() -> argparse.ArgumentParser:
    parser = arguments(__doc__, "collagan_models", steps=6000)
    parser.add_argument(
        "--models", nargs="+", choices=[short(name) for name in MODELS], help="some of them (all)"
    )
    parser.add_argument(
        "--parser", type=Path, help="run directory or .safetensors with a parsing network, for gfc"
    )
    parser.add_argument("--parser-steps", type=int, default=1500, help="if none is given (%(default)s)")
    return parser


# -------------------------------------------------------------------------------------- training, scoring


def built(job: Job) -> methods.Method:
    """A job's model before training."""
    if job.model == "gfc":
        return gfc_models.built(job)
    return methods.build("collagan", seed=job.seed, size=SIZE, width=WIDTH, **MODELS[job.model])


def stages(model: str, steps: int) -> list[methods.Stage]:
    """The plan of a model; all plans have as many steps, and show the same faces and holes (but for ONCE)."""
    if model == "gfc":
        return [replace(stage, augment=UNALIGNED) for stage in gfc_models.stages("M4", steps)]
    return [together(MODELS[model]["tasks"], steps, MODELS[model].get("regime", "block"), lr=LR)]


def do(job: Job) -> float:
    """Train and score one model, as far as that is not done; seconds of training."""
    run = train(job, built(job), stages(job.model, job.steps), PRECISION)
    score(job, lambda: measured(job, run.method))
    return run.card["seconds"]


def measured(job: Job, method: methods.Method) -> evaluation.Comparison:
    """The scores of a model on test faces out of place."""
    holes = holes_of(job.model)
    if job.model == "gfc":
        fills = {"gfc": blended(method)}
        return evaluation.evaluate(
            fills, out_of_place(SIZE), holes, MEASURES, job.limit, progress=progress(), by="person"
        )
    return understood(
        job.model, method, out_of_place(SIZE), holes, job.limit, MEASURES, job.model in UNBLENDED, progress()
    )


def holes_of(model: str) -> tuple[str, ...]:
    """Kinds of holes that a model is measured on: blocks and patterns, or what it has learned."""
    if model == STAR:
        return (*HOLES, "pattern", "noise")
    return ("noise",) if model == f"{STAR} noise" else (*HOLES, "pattern")


# ----------------------------------------------------------------------------------------------- records


def conclude(jobs: list[Job], path: Path) -> None:
    """Record the scores of all jobs, draw some faces and print the means."""
    runs = {seed: condensed(run) for seed, run in gathered(jobs).items()}
    columns = draw(jobs, path)
    record(path, runs, card_of(jobs, len(runs[jobs[0].seed].groups)) | {"columns": columns}, digits=DIGITS)
    first = runs[jobs[0].seed]
    measures = [measure for measure in (*MEASURES, *TOGETHER) if measure in first.measures]
    once = [name for name in first.methods if name.removesuffix(", unblended") in ONCE]
    if often := [name for name in first.methods if name not in once]:
        show_tables(
            runs, [name for name in measures if all(name in run.measures for run in runs.values())], often
        )
    if once:
        once += [name for name in (STAR, f"{STAR}, unblended") if name in first.methods]
        show_tables(first, measures, once, [hole for hole in ("pattern", "noise") if hole in first.holes])


def condensed(run: evaluation.Comparison) -> evaluation.Comparison:
    """The same scores, but each label and each point only as an image's mean over all blocks."""
    less = evaluation.Comparison(groups=run.groups)
    for name, hole in run.pairs:
        whole = [measure for measure in run.measures if measure not in DETAILS]
        found = {measure: run.values(measure, name, hole) for measure in whole}
        less.add(name, hole, {measure: values for measure, values in found.items() if len(values)})
    for name in run.methods:
        if (name, HOLES[0]) in run.pairs:
            known = [measure for measure in run.measures if measure in DETAILS]
            tables = {measure: [run.values(measure, name, hole) for hole in HOLES] for measure in known}
            if means := {measure: nanmean(table) for measure, table in tables.items() if len(table[0])}:
                less.add(name, ALL_BLOCKS, means)
    return less


def nanmean(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Element by element; NaN where all are, without a warning."""
    return torch.from_numpy(np.stack(arrays)).nanmean(0).numpy()


def draw(jobs: list[Job], path: Path) -> dict[str, list[str]]:
    """Images of what the first seed's models make of some test faces: file -> what its columns show."""
    first = {job.model: job for job in jobs if job.seed == jobs[0].seed}
    batch = out_of_place(SIZE).batch(SHOWN)
    image = batch.image
    drawn = {}

    def holes(kind: str) -> Tensor:
        return masks.make(kind, SIZE, len(batch), landmarks=batch.landmarks)

    def model(name: str) -> methods.Method:
        return restored(first[name], built(first[name]), stages(name, first[name].steps)[-1].name)

    def save(name: str, columns: dict[str, Tensor]) -> None:
        save_sheet([*columns.values()], path.with_name(f"{name}_{SIZE}.webp"))
        drawn[f"{name}_{SIZE}.webp"] = [*columns]

    eyes = holes("collagan_o3")
    named = [name for name in first if name not in ONCE and "i" in MODELS[name].get("tasks", "i")]
    completions = {name: blended(model(name))(image, eyes) for name in named}
    if completions:
        save(path.name, {"damaged": image * eyes, **completions, "truth": image})
    if STAR in first:
        labels = model(STAR).complete(image, eyes).extras["parsing"]
        save(
            "collagan_understood",
            {
                "damaged": image * eyes, "completed": completions[STAR], "labels": coloured(labels),
                "true labels": coloured(batch.parsing), "truth": image,
            },
        )  # fmt: skip
    if {STAR, f"{STAR} pattern"} <= first.keys():
        cloudy = holes("pattern")
        both: dict[str, Tensor] = {}
        for name in (STAR, f"{STAR} pattern"):
            learned = model(name)
            both[f"{name}, unblended"] = learned.complete(image, cloudy).composite
            both[name] = blended(learned)(image, cloudy)
        save("collagan_pattern", {"damaged": image * cloudy, **both, "truth": image})
    if f"{STAR} noise" in first:
        grains, last = holes("noise"), model(f"{STAR} noise")
        filled = last.complete(image, grains).extras["filled"]
        completed = blended(last)(image, grains)
        save("collagan_noise", {"damaged": filled, f"{STAR} noise": completed, "truth": image})
    return drawn


def card_of(jobs: list[Job], count: int) -> dict[str, Any]:
    """How the scores of ``count`` test faces came about."""
    test = out_of_place(SIZE)
    names = list(dict.fromkeys(job.model for job in jobs))
    stage = together("isd", jobs[0].steps, lr=LR)
    card = {
        "method": "collagan",
        "config": {"size": SIZE, "width": WIDTH},
        "models": {name: MODELS[name] for name in names if name != "gfc"},
        "first_seed_only": [name for name in ONCE if name in names],
        "batch_size": stage.batch_size,
        "lr": stage.optimizers["generator"].lr,
        "ema": stage.ema,
        "test": test_facts(test, count),
        "holes": {name: holes_of(name) for name in names},
        ALL_BLOCKS: "each label and each point, as an image's mean over " + ", ".join(HOLES),
        "blended": True,
        "landmark_error": f"px of {SIDE}",
        "parameters": {job.model: job.card["parameters"]["generator"] for job in jobs},
        **training_facts(jobs),
    }  # fmt: skip
    if "gfc" in names:
        card["gfc"] = {
            "config": gfc_models.NETWORKS,
            "stages": {stage.name: stage.steps for stage in stages("gfc", jobs[0].steps)},
            "critics": gfc_models.DISCRIMINATORS,
            "parser": gfc_models.parser_facts(jobs[0].out, test),
        }
    return card


if __name__ == "__main__":
    sys.exit(main())
