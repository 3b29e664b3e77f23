"""Train gfc's models M1 to M4 from several seeds, measure them and M5, and record every score.

    python data_scripts/gfc_models.py --steps 6000 --seeds 3 --jobs 2

M1 learns from the reconstruction loss alone; M2 adds the local discriminator, M3 the global one, M4 the
parsing loss; M5 is M4 with its completions blended in. All take the same number of generator steps, in the
same three stages, see the same faces and holes in the same order, and begin with equal weights, so that a
difference between two of them is the losses' doing. One parsing network serves all.

A run that was stopped goes on where it was when the script is started again; what is finished is not done
again. The scores, and a card that says how they came about, go to facecomp_lib/results/gfc_models.*;
faces without eyes, completed by all models of the first seed, to gfc_models_64.webp.
"""

import argparse
import hashlib
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from safetensors.torch import load_file, save_file

from data_scripts.measure_faces import auc, pair_distances
from data_scripts.models_by_seed import (
    SHOWN,
    Job,
    arguments,
    blended,
    carried_out,
    data_of,
    finished,
    gathered,
    jobs_of,
    progress,
    record,
    restored,
    save_sheet,
    score,
    show_tables,
    train,
    training_facts,
    weights_of,
)
from data_scripts.parsing import parsing_network, parsing_scores
from facecomp_lib import evaluation, faces, masks, methods, training
from facecomp_lib.faces import Augment
from facecomp_lib.papers.gfc import AUGMENT, curriculum, parsing_stage

SIZE, NETWORKS = 64, {"width": 0.25, "fc_dim": 128, "norm": True}
DISCRIMINATORS = (SIZE / 128) ** 2  # so that they weigh against a mean over pixels what they do in the paper
MODELS = {"M1": 1, "M2": 2, "M3": 3, "M4": 4}  # how many of the four losses take part
SHARES = (1 / 3, 1 / 6, 1 / 2)  # of all steps, for the stages reconstruct, locally, globally
HOLES = ("gfc_o1", "gfc_o2", "gfc_o3", "gfc_o4", "gfc_o5", "gfc_o6", "center")
MEASURES = ("psnr", "ssim", "lpips", "psnr_hole", "ssim_hole", "identity")
PRECISION = "bf16-mixed"


def main() -> int:
    given = options().parse_args()

    def work() -> None:
        jobs = jobs_of(given, MODELS)
        provide_parser(given.out, given.parser, given.parser_steps, given.faces)
        for job, seconds in finished(do, jobs, given.jobs):
            print(f"{job.model}, seed {job.seed}: {job.steps} steps in {seconds:.0f} s, scored", flush=True)
        conclude(jobs, given.results)

    return carried_out("gfc_models", work)


def options() -> argparse.ArgumentParser:
    parser = arguments(__doc__, "gfc_models", steps=6000)
    parser.add_argument("--parser", type=Path, help="run directory or .safetensors with a parsing network")
    parser.add_argument("--parser-steps", type=int, default=1500, help="if none is given (%(default)s)")
    return parser


# ------------------------------------------------------------------------------------ the parsing network


def provide_parser(
    out: Path, source: Path | None, steps: int, data: str | None, augment: Augment = AUGMENT
) -> None:
    """``out/parser.safetensors``: what is there stays; else the given network, else one that is trained now.

    Args:
        out: of the runs.
        source: a run directory or weights with a parsing network.
        steps, data, augment: of training, if there is no network.

    Raises:
        ValueError: the given network is another than the one that earlier runs in ``out`` used, or none.
        FileNotFoundError: there is no network where it was said to be.
    """
    path = out / "parser.safetensors"
    if source is None and path.exists():
        return
    if source is None:
        method = methods.build("gfc", size=SIZE, **NETWORKS)
        stages = [replace(parsing_stage(steps), augment=augment)]
        learnt = data_of(data, SIZE)
        run = training.fit(method, learnt, out / "parser", stages=stages, precision=PRECISION, callbacks=())
        weights = run.method.parser.state_dict()
    else:
        file = source / "weights-parsing.safetensors" if source.is_dir() else source
        if not file.exists():
            raise FileNotFoundError(f"There is no {file}: give a run after its stage 'parsing', or weights.")
        weights = weights_of("parser", file)
    weights = {
        f"parser.{key}": (value.float() if value.is_floating_point() else value).contiguous()
        for key, value in weights.items()
    }
    if path.exists() and not _equal(load_file(path), weights):
        raise ValueError(f"Runs in {out} use another parsing network: choose another --out.")
    out.mkdir(parents=True, exist_ok=True)
    save_file(weights, path.with_suffix(".part"))
    os.replace(path.with_suffix(".part"), path)


def _equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


# -------------------------------------------------------------------------------------- training, scoring


def stages(model: str, steps: int) -> list[methods.Stage]:
    """The curriculum of one model; all models have the same three stages, of the same lengths."""
    first, second = round(SHARES[0] * steps), round(SHARES[1] * steps)
    return curriculum(
        SIZE,
        (first, second, steps - first - second),
        losses=MODELS[model],
        lr=1e-3,
        discriminators=DISCRIMINATORS,
    )


def built(job: Job) -> methods.Method:
    """A job's model before training."""
    method = methods.build("gfc", seed=job.seed, size=SIZE, **NETWORKS)
    method.parser.load_state_dict(weights_of("parser", job.out / "parser.safetensors"))
    return method


def do(job: Job) -> float:
    """Train and score one model, as far as that is not done; seconds of training."""
    run = train(job, built(job), stages(job.model, job.steps), PRECISION)
    score(job, lambda: measured(job, run.method))
    return run.card["seconds"]


def measured(job: Job, method: methods.Method) -> evaluation.Comparison:
    """The scores of a model; M5, the completion of M4 blended in, is measured with M4."""
    fills: dict[str, Any] = {job.model: method}
    if job.model == "M4":
        fills["M5"] = blended(method)
    test = faces.embedded("test", SIZE)
    return evaluation.evaluate(fills, test, HOLES, MEASURES, job.limit, progress=progress(), by="person")


# ----------------------------------------------------------------------------------------------- records


def conclude(jobs: list[Job], path: Path) -> None:
    """Record the scores of all jobs, print their means and draw some faces."""
    runs = gathered(jobs)
    record(path, runs, card_of(jobs, len(runs[jobs[0].seed].groups)))
    draw(jobs, path.with_name(f"{path.name}_{SIZE}.webp"))
    show_tables(runs, MEASURES)


def draw(jobs: list[Job], path: Path) -> None:
    """A row per face, both eyes hidden: damaged, M1 to M5 of the first seed, truth."""
    batch = faces.embedded("test", SIZE).batch(SHOWN)
    mask = masks.make("gfc_o3", SIZE, len(batch), landmarks=batch.landmarks)
    columns = [batch.image * mask]
    for job in jobs[: len(MODELS)]:
        last = stages(job.model, job.steps)[-1].name
        method = restored(job, built(job), last)
        columns.append(method.complete(batch.image, mask).composite)
        if job.model == "M4":
            columns.append(blended(method)(batch.image, mask))
    save_sheet([*columns, batch.image], path)


def card_of(jobs: list[Job], count: int) -> dict[str, Any]:
    """How the scores of ``count`` test faces came about."""
    test = faces.embedded("test", SIZE)
    plan = stages("M4", jobs[0].steps)
    return {
        "method": "gfc",
        "config": {"size": SIZE, **NETWORKS},
        "stages": {stage.name: stage.steps for stage in plan},
        "batch_size": plan[0].batch_size,
        "critics": DISCRIMINATORS,
        "test": {"name": test.name, "version": test.version, "faces": count, "size": SIZE},
        "holes": HOLES,
        "measures": MEASURES,
        "parser": parser_facts(jobs[0].out, test),
        "identity": identity_facts(jobs[0].out),
        **training_facts(jobs),
    }


def parser_facts(out: Path, test: faces.FaceDataset) -> dict[str, Any]:
    """Which parsing network, and its F-score over all parts of undamaged test faces."""
    path = out / "parser.safetensors"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"sha256": digest, "f_score": parsing_scores(parsing_network(path), test)["overall"]}


def identity_facts(out: Path) -> dict[str, dict[str, float]]:
    """Does the face embedding still tell people apart in images this small? Beside the pack's own size."""
    path = out / "identity.json"
    if not path.exists() and "identity" in MEASURES:
        path.write_text(json.dumps({f"{size} px": separation(size) for size in (128, SIZE)}))
    return json.loads(path.read_text()) if path.exists() else {}


def separation(size: int) -> dict[str, float]:
    """Mean distances of undamaged test faces, and how often the same person is the nearer one of two."""
    test = faces.embedded("test", size)
    batches = [test[start : start + 50] for start in range(0, len(test), 50)]
    embedded = [evaluation.face_embedding(batch.image, batch.landmarks) for batch in batches]
    same, different = pair_distances(torch.cat(embedded).double().numpy(), test.column("identity"))
    found = {"same person": same.mean(), "different people": different.mean(), "auc": auc(same, different)}
    return {name: round(float(np.asarray(value)), 4) for name, value in found.items()}


if __name__ == "__main__":
    sys.exit(main())
