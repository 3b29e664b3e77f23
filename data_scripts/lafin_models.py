"""Train lafin's models of the ablation from several seeds, measure them and record every score.

    python data_scripts/lafin_models.py --steps 1500 --seeds 3 --faces more128 --limit 100
    python data_scripts/lafin_models.py --models full no-landmarks --steps 500 --results runs/short

full is the paper's model; two others do without attention, or without landmarks. One predictor, trained
before, serves all models of a seed. joint is full, but its predictor goes on learning beside the generator,
from the same batches, and the generator sees what it predicts. All take the same number of generator steps,
and see the same faces and holes in the same order.

Completions of full with true landmarks are measured as well: what the predictor's errors cost. A run that was
stopped goes on where it was when the script is started again; what is finished is not done again. Scores, and
a card that says how they came about, go to facecomp_lib/results/lafin_models.*; what the first seed's models
make of some faces to lafin_models_64.webp.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data_scripts import gfc_models
from data_scripts.locating import (
    AVERAGE,
    EXACT,
    IRREGULAR,
    MEASURES,
    average_face,
    built,
    generator_stages,
    located,
    locator,
    plan_facts,
    plan_options,
    style_facts,
    take,
)
from data_scripts.models_by_seed import (
    SHOWN,
    Job,
    arguments,
    carried_out,
    damaged,
    data_of,
    finished,
    gathered,
    jobs_of,
    joined,
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
from facecomp_lib import evaluation, faces, masks, methods
from facecomp_lib.papers.lafin import locating

SIZE, WIDTH = 64, 0.25
FULL, JOINT, PREDICTOR = "full", "joint", "predictor"
TRUE = f"{FULL}, true landmarks"
MODELS: dict[str, dict[str, Any]] = {  # name -> options of lafin
    FULL: {},
    "no attention": {"attention": False},
    "no landmarks": {"landmarks": False},
    JOINT: {},
}
HOLES = (*IRREGULAR, "center")
PRECISION = "bf16-mixed"


def main() -> int:
    parser = arguments(__doc__, "lafin_models", steps=1500)
    parser.add_argument(
        "--models", nargs="+", choices=[short(name) for name in MODELS], help="some of them (all)"
    )
    plan_options(parser, locate_steps=6000, dot=3)
    given = parser.parse_args()

    def work() -> None:
        names = [name for name in MODELS if not given.models or short(name) in given.models]
        jobs = jobs_of(given, names)
        shared = [predictor_of(job, given) for job in jobs]
        for todo in (list(dict.fromkeys(shared)), jobs):
            for job, seconds in finished(partial(do, given=given), todo, given.jobs):
                print(f"{job.model}, seed {job.seed}: {job.steps} steps in {seconds:.0f} s", flush=True)
        conclude(jobs, given)

    return carried_out("lafin_models", work)


# -------------------------------------------------------------------------------------- training, scoring


def predictor_of(job: Job, given: argparse.Namespace) -> Job:
    """The job that trains the predictor of a job's model."""
    return replace(job, model=PREDICTOR, steps=given.locate_steps)


def new(job: Job, given: argparse.Namespace) -> methods.Method:
    """A job's model before its training."""
    method = built(job.seed, given, size=SIZE, width=WIDTH, **MODELS.get(job.model, {}))
    if job.model != PREDICTOR:
        weights = predictor_of(job, given).folder / "weights-locate.safetensors"
        take(method, {"predictor": weights})
    return method


def stages(job: Job, method: methods.Method, given: argparse.Namespace) -> list[methods.Stage]:
    """The plan of a job; generators' plans have as many steps, and show the same faces and holes."""
    if job.model == PREDICTOR:
        return [locating(job.steps, lr=given.locate_lr, ema=given.ema)]
    return generator_stages(method, job.steps, given, joint=job.model == JOINT)


def do(job: Job, given: argparse.Namespace) -> float:
    """Train and score one model, as far as that is not done; seconds of training."""
    method = new(job, given)
    precision = EXACT if job.model == PREDICTOR else PRECISION
    run = train(job, method, stages(job, method, given), precision)
    if job.model != PREDICTOR:
        score(job, lambda: measured(job, run.method))
    return run.card["seconds"]


def measured(job: Job, method: methods.Method) -> evaluation.Comparison:
    """The scores of a model; the landmarks of models with a predictor of their own, beside the average."""
    test, limit = faces.embedded("test", SIZE), job.limit
    fills = {job.model: method}
    found = [evaluation.evaluate(fills, test, HOLES, MEASURES, limit, progress=progress(), by="person")]
    if job.model in (FULL, JOINT):
        found.append(located({job.model: locator(method)}, test, HOLES, limit, method.device, progress()))
    if job.model == FULL:
        average = average_face(data_of(job.faces, SIZE))
        found.append(located({AVERAGE: average}, test, HOLES, limit, method.device, progress()))
        found.append(with_true_landmarks(method, test, limit))
    return joined(found)


@torch.no_grad()
def with_true_landmarks(
    method: methods.Method, test: faces.FaceDataset, limit: int | None
) -> evaluation.Comparison:
    """The completions' scores if the predictor made no error."""
    comparison = evaluation.Comparison()
    plain = [name for name in MEASURES if name != "identity"]
    for kind, seen, mask in damaged(test, HOLES, limit, method.device, progress()):
        drawn = method.complete(seen.image, mask, landmarks=seen.landmarks).composite
        scores = evaluation.score(drawn, seen.image, mask, plain)
        if "identity" in MEASURES:
            scores["identity"] = evaluation.identity_distance(drawn, seen.image, seen.landmarks)
        comparison.add(TRUE, kind, scores)
    return comparison


# ----------------------------------------------------------------------------------------------- records


def conclude(jobs: Sequence[Job], given: argparse.Namespace) -> None:
    """Record the scores of all jobs, draw some faces and print the means."""
    runs = gathered(jobs)
    card = card_of(jobs, given, len(runs[jobs[0].seed].groups))
    columns = draw(jobs, given)
    record(given.results, runs, card | {"columns": columns})
    measures = [name for name in (*MEASURES, "nme", "nme_hole") if name in runs[jobs[0].seed].measures]
    show_tables(runs, measures)


def draw(jobs: Sequence[Job], given: argparse.Namespace) -> list[str]:
    """A row per face: what the first seed's models make of a hole in the middle; what the columns show."""
    batch = faces.embedded("test", SIZE).batch(SHOWN)
    mask = masks.make("center", SIZE, len(batch))
    columns: dict[str, Tensor] = {"damaged": batch.image * mask}
    for job in jobs:
        if job.seed == jobs[0].seed:
            method = new(job, given)
            method = restored(job, method, stages(job, method, given)[-1].name)
            columns[job.model] = method.complete(batch.image, mask).composite
            if job.model == FULL:
                columns[TRUE] = method.complete(batch.image, mask, landmarks=batch.landmarks).composite
    columns["truth"] = batch.image
    save_sheet([*columns.values()], given.results.with_name(f"{given.results.name}_{SIZE}.webp"))
    return [*columns]


def card_of(jobs: Sequence[Job], given: argparse.Namespace, count: int) -> dict[str, Any]:
    """How the scores of ``count`` test faces came about."""
    test = faces.embedded("test", SIZE)
    first = jobs[0].card
    predictors = {job.seed: predictor_of(job, given).card for job in jobs}
    return {
        "method": "lafin",
        "config": {"size": SIZE, "width": WIDTH}
        | {key: vars(given)[key] for key in ("predictor_width", "dot")},
        "models": {name: MODELS[name] for name in dict.fromkeys(job.model for job in jobs)},
        **plan_facts(first),
        "perceptual_and_style": style_facts(first),
        "test": {"name": test.name, "version": test.version, "faces": count, "size": SIZE},
        "holes": HOLES,
        "measures": MEASURES,
        "nme": "share of the distance between the outer corners of the eyes",
        "parameters": {job.model: job.card["parameters"] for job in jobs},
        "identity": gfc_models.identity_facts(jobs[0].out),
        **training_facts(jobs),
        "predictor": {
            **plan_facts(next(iter(predictors.values()))),
            "seconds": [round(card["seconds"]) for card in predictors.values()],
        },
    }


if __name__ == "__main__":
    sys.exit(main())
