"""The paper's learning rate, tried: M_isd with 0.01 and with smaller ones, from several seeds.

    python data_scripts/collagan_rates.py --steps 400 --seeds 3 --jobs 2

In float32; from one seed, all rates begin with the same weights and see the same faces and holes. Recorded in
facecomp_lib/results/collagan_rates.json: the three reconstruction losses on the way, whether a loss or a
gradient stopped being a number and when, and how good the trained model is on 60 test faces out of place.
A run that was stopped goes on where it was when the script is started again; what is finished is not done
again.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data_scripts.models_by_seed import Job, arguments, carried_out, finished, jobs_of, progress, train
from data_scripts.understanding import SIDE, out_of_place, test_facts, understood
from facecomp_lib import methods, training
from facecomp_lib.papers.collagan import TASKS, together

SIZE, WIDTH, TEST = 64, 0.25, 60  # TEST: faces, if --limit says nothing else
RATES = (1e-2, 2e-3, 2e-4)
EMA = 0.98  # shorter than elsewhere, as the runs are
WINDOW = 10  # steps that a recorded loss is the mean of
HOLE = "random_square"  # as in training
MEASURES = ("psnr_hole", "dice", "landmark_error")
PRECISION = "32-true"


def main() -> int:
    parser = arguments(__doc__, "collagan_rates", steps=400)
    parser.add_argument("--rates", nargs="+", type=float, default=RATES, help="(0.01, 0.002, 0.0002)")
    given = parser.parse_args()

    def work() -> None:
        jobs = jobs_of(given, [f"lr{rate:g}" for rate in given.rates])
        results = {}
        for job, result in finished(do, jobs, given.jobs):
            results[job] = result
            print(f"{job.model}, seed {job.seed}, {result['steps']} steps: {ended(result)}", flush=True)
        record(given.results, jobs, [results[job] for job in jobs])

    return carried_out("collagan_rates", work)


def do(job: Job) -> dict[str, Any]:
    """Train with one learning rate from one seed and see how it went, as far as that is not done."""
    path = job.folder / f"result-{job.limit or TEST}.json"
    if not path.exists():
        text = json.dumps(tried(job))
        path.with_suffix(".part").write_text(text, encoding="utf-8")
        path.with_suffix(".part").replace(path)
    return json.loads(path.read_text(encoding="utf-8"))


def tried(job: Job) -> dict[str, Any]:
    """Losses on the way, where it stopped if it did, and scores at the end."""
    rate = float(job.model.removeprefix("lr"))
    method = methods.build("collagan", seed=job.seed, size=SIZE, width=WIDTH, tasks="isd", concentrated=False)
    stopped, scores = None, None
    try:
        train(job, method, [together("isd", job.steps, lr=rate, ema=EMA)], PRECISION)
    except FloatingPointError as error:
        stopped = str(error).partition(". ")[0]
    log = training.Run(method, job.folder).log
    if stopped is None:
        scores = quality(method, job.limit or TEST)
    return {
        "lr": rate,
        "seed": job.seed,
        "steps": len(log["step"]),  # all those whose losses and gradients were numbers
        "stopped": stopped,
        "losses": {name: smoothed(log[f"generator.{name}"]) for name in TASKS.values()},
        "scores": scores,
    }


def smoothed(values: np.ndarray) -> list[float]:
    """Means of WINDOW steps after another; the last may be of fewer."""
    parts = np.split(values, range(WINDOW, len(values), WINDOW)) if len(values) else []
    return [float(f"{part.mean():.4g}") for part in parts]


def quality(method: methods.Method, limit: int) -> dict[str, float]:
    """Means over test faces out of place, with holes as in training."""
    test = out_of_place(SIZE)
    found = understood("M_isd", method, test, [HOLE], limit, MEASURES[:1], progress=progress())
    means = {name: np.nanmean(found.values(name, "M_isd", HOLE)) for name in MEASURES}
    return {name: round(float(mean), 4) for name, mean in means.items()}


def ended(result: dict[str, Any]) -> str:
    """How a run ended, in words."""
    if result["stopped"]:
        return result["stopped"]
    return ", ".join(f"{name} {score:.4g}" for name, score in result["scores"].items())


def record(path: Path, jobs: list[Job], results: list[dict[str, Any]]) -> None:
    """Write ``path.json``: a card, and what became of each run."""
    test = out_of_place(SIZE)
    config = json.loads((jobs[0].folder / "config.json").read_text(encoding="utf-8"))
    card = {
        "method": "collagan",
        "config": {"size": SIZE, "width": WIDTH, "tasks": "isd", "concentrated": False},
        "steps": jobs[0].steps,
        "batch_size": together("isd", jobs[0].steps).batch_size,
        "ema": EMA,
        "precision": PRECISION,
        "data": config["data"],
        "test": {**test_facts(test, min(jobs[0].limit or TEST, len(test))), "hole": HOLE},
        "landmark_error": f"px of {SIDE}",
        "window": WINDOW,
        "runs": results,
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    print(path.with_suffix(".json"))


if __name__ == "__main__":
    sys.exit(main())
