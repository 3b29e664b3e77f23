"""Train gfc's models M1 to M4 from several seeds, measure them and M5, and record every score.

    python data_scripts/gfc_models.py --steps 6000 --seeds 3 --jobs 2

M1 learns from the reconstruction loss alone; M2 adds the local critic, M3 the global one, M4 the parsing
loss; M5 is M4 with its completions blended in. All take the same number of generator steps, in the same three
stages, see the same faces and holes in the same order, and begin with equal weights, so that a difference
between two of them is the losses' doing. One parsing network serves all.

A run that was stopped goes on where it was when the script is started again; what is finished is not done
again. The scores, and a card that says how they came about, go to facecomp_lib/results/gfc_models.*;
faces without eyes, completed by all models of the first seed, to gfc_models_64.webp.
"""

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from safetensors.torch import load_file, save_file

from data_scripts.measure_faces import auc, pair_distances
from facecomp_lib import classical, evaluation, faces, masks, methods, training
from facecomp_lib.papers.gfc import curriculum, parsing_stage

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "facecomp_lib" / "results" / "gfc_models"
SHOWN = (3, 36, 80, 121, 255)  # test faces that are drawn
SIZE, NETWORKS = 64, {"width": 0.25, "fc_dim": 128, "norm": True}
CRITICS = (SIZE / 128) ** 2  # so that they weigh against a mean over pixels what they do in the paper
MODELS = (1, 2, 3, 4)  # how many of the four losses take part
SHARES = (1 / 3, 1 / 6, 1 / 2)  # of all steps, for the stages reconstruct, locally, globally
HOLES = ("gfc_o1", "gfc_o2", "gfc_o3", "gfc_o4", "gfc_o5", "gfc_o6", "center")
MEASURES = ("psnr", "ssim", "lpips", "psnr_hole", "ssim_hole", "identity")
PRECISION = "bf16-mixed"


@dataclass(frozen=True)
class Job:
    """One model from one seed."""

    model: int
    seed: int
    steps: int
    out: Path
    faces: str | None
    limit: int | None
    threads: int

    @property
    def folder(self) -> Path:
        return self.out / f"M{self.model}-{self.steps}-seed{self.seed}"

    @property
    def scores(self) -> Path:
        return self.folder / f"scores-{self.limit or 'all'}.csv.gz"


def main() -> int:
    given = _arguments().parse_args()
    seeds = range(given.first_seed, given.first_seed + given.seeds)
    threads = given.threads or max(1, (os.cpu_count() or 1) // given.jobs)
    try:
        if given.steps < 6 or given.seeds < 1 or given.jobs < 1:
            raise ValueError("at least 6 steps, 1 seed and 1 job are needed.")
        torch.set_num_threads(threads)
        provide_parser(given.out, given.parser, given.parser_steps, given.faces)
        jobs = [
            Job(model, seed, given.steps, given.out, given.faces, given.limit, threads)
            for seed in seeds
            for model in MODELS
        ]
        for job, seconds in finished(jobs, given.jobs):
            print(f"M{job.model}, seed {job.seed}: {job.steps} steps in {seconds:.0f} s, scored", flush=True)
        record(jobs, given.results)
    except (ValueError, OSError, ArithmeticError) as error:
        print(f"gfc_models: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("gfc_models: stopped; start it again to go on.", file=sys.stderr)
        return 130
    return 0


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=6000, help="of each model's generator (%(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="how many; three or more decide (%(default)s)")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="runs side by side (%(default)s)")
    parser.add_argument("--threads", type=int, help="of each run (the cores, shared by the jobs)")
    parser.add_argument("--faces", help="prepared data set to learn from; default: the embedded train split")
    parser.add_argument("--parser", type=Path, help="run directory or .safetensors with a parsing network")
    parser.add_argument("--parser-steps", type=int, default=1500, help="if none is given (%(default)s)")
    parser.add_argument("--limit", type=int, help="so many test faces (all)")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "gfc_models", help="where runs live")
    parser.add_argument("--results", type=Path, default=RESULTS, help="record these, without ending")
    return parser


# ------------------------------------------------------------------------------------ the parsing network


def provide_parser(out: Path, source: Path | None, steps: int, data: str | None) -> None:
    """``out/parser.safetensors``: what is there stays; else the given network, else one that is trained now.

    Raises:
        ValueError: the given network is another than the one that earlier runs in ``out`` used.
        FileNotFoundError: there is no network where it was said to be.
    """
    path = out / "parser.safetensors"
    if source is None and path.exists():
        return
    if source is None:
        method = methods.build("gfc", size=SIZE, **NETWORKS)
        stages = [parsing_stage(steps)]
        run = training.fit(method, _data(data), out / "parser", stages=stages, precision=PRECISION, show=())
        weights = {f"parser.{key}": value for key, value in run.method.parser.state_dict().items()}
    else:
        file = source / "weights-parsing.safetensors" if source.is_dir() else source
        if not file.exists():
            raise FileNotFoundError(f"There is no {file}: give a run after its stage 'parsing', or weights.")
        weights = {key: value for key, value in load_file(file).items() if key.startswith("parser.")}
    weights = {
        key: (value.float() if value.is_floating_point() else value).contiguous()
        for key, value in weights.items()
    }
    if path.exists() and not _equal(load_file(path), weights):
        raise ValueError(f"Runs in {out} use another parsing network: choose another --out.")
    out.mkdir(parents=True, exist_ok=True)
    save_file(weights, path.with_suffix(".part"))
    os.replace(path.with_suffix(".part"), path)


def _equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def _data(path: str | None) -> faces.FaceDataset:
    return faces.embedded("train", SIZE) if path is None else faces.folder(path, "train", SIZE)


# -------------------------------------------------------------------------------------- training, scoring


def stages(model: int, steps: int) -> list[methods.Stage]:
    """The curriculum of one model; all models have the same three stages, of the same lengths."""
    first, second = round(SHARES[0] * steps), round(SHARES[1] * steps)
    return curriculum(SIZE, (first, second, steps - first - second), losses=model, lr=1e-3, critics=CRITICS)


def finished(jobs: list[Job], at_once: int) -> Iterator[tuple[Job, float]]:
    """Do the jobs, several at once if wanted, and give each with its seconds of training when it is done."""
    if at_once == 1:
        yield from ((job, do(job)) for job in jobs)
        return
    os.environ["TQDM_DISABLE"] = "1"  # bars of several processes would write over each other
    with ProcessPoolExecutor(at_once, mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(do, job): job for job in jobs}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def do(job: Job) -> float:
    """Train and score one model, as far as that is not done; seconds of training."""
    torch.set_num_threads(job.threads)
    method = methods.build("gfc", seed=job.seed, size=SIZE, **NETWORKS)
    method.load_state_dict(load_file(job.out / "parser.safetensors"), strict=False)
    run = training.fit(
        method, _data(job.faces), job.folder, stages=stages(job.model, job.steps), seed=job.seed,
        validation=faces.embedded("val", SIZE), precision=PRECISION, show=(),
    )  # fmt: skip
    if not job.scores.exists():
        fills: dict[str, Any] = {f"M{job.model}": run.method}
        if job.model == 4:
            fills["M5"] = blended(run.method)
        test = faces.embedded("test", SIZE)
        quiet = "TQDM_DISABLE" in os.environ
        scores = evaluation.evaluate(fills, test, HOLES, MEASURES, job.limit, progress=not quiet, by="person")
        evaluation.save_runs(job.scores, {job.seed: scores}, digits=17)
    return run.card["seconds"]


def blended(method: methods.Method):
    """M5: the completion, blended into the known pixels by Poisson's equation."""

    def complete(image, mask):
        return classical.poisson_blend(image, method.complete(image, mask).raw, mask)

    return complete


# ----------------------------------------------------------------------------------------------- records


def record(jobs: list[Job], path: Path) -> None:
    """Write ``path.csv.gz`` and ``path.json``, and print the means over faces and seeds."""
    runs: dict[int, evaluation.Comparison] = {}
    for job in jobs:
        scores = evaluation.load_runs(job.scores)[job.seed]
        together = runs.setdefault(job.seed, evaluation.Comparison(groups=scores.groups))
        for name in scores.methods:
            for hole in scores.holes:
                values = {measure: scores.values(measure, name, hole) for measure in scores.measures}
                together.add(name, hole, values)
    path.parent.mkdir(parents=True, exist_ok=True)
    evaluation.save_runs(path.with_suffix(".csv.gz"), runs)
    card = json.dumps(card_of(jobs, len(runs[jobs[0].seed].groups)), indent=2, ensure_ascii=False)
    path.with_suffix(".json").write_text(card + "\n", encoding="utf-8")
    for measure in MEASURES:
        print("", evaluation.table_over_runs(runs, measure), sep="\n")
    draw(jobs, path.with_name(f"{path.name}_{SIZE}.webp"))
    print(f"\nevery score: {path.with_suffix('.csv.gz')}")


def draw(jobs: list[Job], path: Path) -> None:
    """A row per face, both eyes hidden: damaged, M1 to M5 of the first seed, truth."""
    batch = faces.embedded("test", SIZE).batch(SHOWN)
    mask = masks.make("gfc_o3", SIZE, len(batch), landmarks=batch.landmarks)
    columns = [batch.image * mask]
    for job in sorted((job for job in jobs if job.seed == jobs[0].seed), key=lambda job: job.model):
        method = methods.build("gfc", size=SIZE, **NETWORKS)
        last = stages(job.model, job.steps)[-1].name
        method.load_state_dict(load_file(job.folder / f"weights-{last}.safetensors"))
        columns.append(method.complete(batch.image, mask).composite)
        if job.model == 4:
            columns.append(blended(method)(batch.image, mask))
    sheet = torch.stack([*columns, batch.image], 3).flatten(3)  # [B, 3, H, 7 W]
    picture = sheet.permute(0, 2, 3, 1).flatten(0, 1).mul(255).round().byte().numpy()
    Image.fromarray(np.ascontiguousarray(picture)).save(path, quality=90)


def card_of(jobs: list[Job], count: int) -> dict[str, Any]:
    """How the scores of ``count`` test faces came about."""
    test = faces.embedded("test", SIZE)
    cards = {job: json.loads((job.folder / "card.json").read_text(encoding="utf-8")) for job in jobs}
    first = cards[jobs[0]]
    seconds: dict[str, list[float]] = {}
    for job, card in cards.items():
        seconds.setdefault(f"M{job.model}", []).append(round(card["seconds"]))
    plan = stages(4, jobs[0].steps)
    return {
        "method": "gfc",
        "config": {"size": SIZE, **NETWORKS},
        "seeds": sorted({job.seed for job in jobs}),
        "steps": jobs[0].steps,
        "stages": {stage.name: stage.steps for stage in plan},
        "batch_size": plan[0].batch_size,
        "precision": PRECISION,
        "critics": CRITICS,
        "data": first["data"],
        "test": {"name": test.name, "version": test.version, "faces": count, "size": SIZE},
        "holes": HOLES,
        "measures": MEASURES,
        "parser": parser_facts(jobs[0].out, test),
        "identity": identity_facts(jobs[0].out),
        "seconds": seconds,
        "hardware": sorted({card["hardware"] for card in cards.values()}),
        "versions": first["versions"],
    }


@torch.no_grad()
def parser_facts(out: Path, test: faces.FaceDataset) -> dict[str, Any]:
    """Which parsing network, and its F-score over all parts of undamaged test faces."""
    path = out / "parser.safetensors"
    method = methods.build("gfc", size=SIZE, **NETWORKS).eval()
    method.load_state_dict(load_file(path), strict=False)
    counts = torch.zeros(11, 11, dtype=torch.int64)
    for start in range(0, len(test), 50):
        batch = test[start : start + 50]
        counts += evaluation.confusion(method.parser(batch.image).argmax(1), batch.parsing)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"sha256": digest, "f_score": round(evaluation.f_scores(counts)["overall"], 4)}


def identity_facts(out: Path) -> dict[str, dict[str, float]]:
    """Does the face embedding still tell people apart in pictures this small? Beside the pack's own size."""
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
