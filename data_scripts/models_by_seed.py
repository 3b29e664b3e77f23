"""What the scripts share that train a paper's models, measure them and record the scores.

A job is one model from one seed, with a folder of its own. What is finished is not done again, and a run that
was stopped goes on where it was when the script is started again.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from tqdm.auto import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from facecomp_lib import classical, evaluation, faces, methods, training
from facecomp_lib.evaluation.protocol import drawn_faces, named_holes

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "facecomp_lib" / "results"
SHOWN = (3, 36, 80, 121, 255)  # test faces that are drawn
BEFORE = "before.json"  # in a run's folder: steps of the runs that it began with
Result = TypeVar("Result")


@dataclass(frozen=True)
class Job:
    """One model from one seed.

    Attributes:
        model: its name in tables.
        seed, steps: of its training.
        out: where the folders of all jobs lie.
        faces: prepared data set to learn from; None is the embedded train split.
        limit: so many test faces; None is all.
        threads: of the run.
    """

    model: str
    seed: int
    steps: int
    out: Path
    faces: str | None
    limit: int | None
    threads: int

    @property
    def folder(self) -> Path:
        return self.out / f"{short(self.model)}-{self.steps}-seed{self.seed}"

    @property
    def scores(self) -> Path:
        return self.folder / f"scores-{self.limit or 'all'}.csv.gz"

    @property
    def card(self) -> dict[str, Any]:
        """Of the finished run."""
        return json.loads((self.folder / "card.json").read_text(encoding="utf-8"))


def short(name: str) -> str:
    """A model's name as part of a file's name and of a command: ``M*_i noise`` -> ``Mstar_i-noise``."""
    return name.replace("*", "star").replace(" ", "-")


# ------------------------------------------------------------------------------------- the command line


def arguments(doc: str | None, name: str, steps: int) -> argparse.ArgumentParser:
    """The options that all such scripts have.

    Args:
        doc: the script's docstring.
        name: of the script, of its folder below ``runs`` and of its results.
        steps: default.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=steps, help="of each model's generator (%(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="how many; three or more decide (%(default)s)")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="runs side by side (%(default)s)")
    parser.add_argument("--threads", type=int, help="of each run (the cores, shared by the jobs)")
    parser.add_argument("--faces", help="prepared data set to learn from; default: the embedded train split")
    parser.add_argument("--limit", type=int, help="so many test faces (all)")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / name, help="where runs live")
    parser.add_argument("--results", type=Path, default=RESULTS / name, help="record these, without ending")
    return parser


def jobs_of(given: argparse.Namespace, models: Iterable[str]) -> list[Job]:
    """Every model from every seed, seed after seed."""
    if given.steps < 6 or given.seeds < 1 or given.jobs < 1:
        raise ValueError("at least 6 steps, 1 seed and 1 job are needed.")
    threads = given.threads or max(1, (os.cpu_count() or 1) // given.jobs)
    torch.set_num_threads(threads)
    models = list(models)
    return [
        Job(model, seed, given.steps, given.out, given.faces, given.limit, threads)
        for seed in range(given.first_seed, given.first_seed + given.seeds)
        for model in models
    ]


def carried_out(name: str, work: Callable[[], None]) -> int:
    """Do a script's work; the exit code, and a sentence about what went wrong."""
    try:
        work()
    except (ValueError, OSError, ArithmeticError, SafetensorError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{name}: stopped; start it again to go on.", file=sys.stderr)
        return 130
    return 0


# -------------------------------------------------------------------------------------- training, scoring


def finished(do: Callable[[Job], Result], jobs: Sequence[Job], at_once: int) -> Iterator[tuple[Job, Result]]:
    """Do the jobs, several at once if wanted, and give each with what ``do`` returns when it is done."""
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


def data_of(path: str | None, size: int) -> faces.FaceDataset:
    """A prepared data set's faces to learn from, by default the embedded ones."""
    return faces.embedded("train", size) if path is None else faces.folder(path, "train", size)


def train(
    job: Job,
    method: methods.Method,
    stages: Sequence[methods.Stage],
    precision: str,
    data: faces.FaceDataset | None = None,
) -> training.Run:
    """Train a job's method, as far as that is not done; ``data`` instead of all of the job's faces."""
    torch.set_num_threads(job.threads)
    return training.fit(
        method, data or data_of(job.faces, method.size), job.folder, stages=stages, seed=job.seed,
        validation=faces.embedded("val", method.size), precision=precision, callbacks=(),
    )  # fmt: skip


def history(run_dir: Path, weights: Path | None) -> list[int]:
    """Steps of each run that this one began with, first run first; ``weights`` are the earlier run's."""
    path = run_dir / BEFORE
    if not path.exists():
        chain: list[int] = []
        if weights is not None:
            earlier = weights.parent / BEFORE
            chain = json.loads(earlier.read_text(encoding="utf-8")) if earlier.exists() else []
            chain.append(json.loads((weights.parent / "card.json").read_text(encoding="utf-8"))["steps"])
        path.write_text(json.dumps(chain), encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8"))


def score(job: Job, measure: Callable[[], evaluation.Comparison]) -> None:
    """Keep a job's scores, all digits of them, if that is not done."""
    if not job.scores.exists():
        evaluation.save_runs(job.scores, {job.seed: measure()}, digits=17)


def progress() -> bool:
    """Whether a job may show its progress."""
    return "TQDM_DISABLE" not in os.environ


def blended(method: methods.Method) -> Callable[[Tensor, Tensor], Tensor]:
    """The method's completion, blended into the known pixels by Poisson's equation."""

    def complete(image: Tensor, mask: Tensor) -> Tensor:
        return classical.poisson_blend(image, method.complete(image, mask).raw, mask)

    return complete


def fills_of(models: Mapping[str, methods.Method]) -> dict[str, Any]:
    """For ``evaluate``: each model's completion as it is and blended, and every classical fill."""
    fills: dict[str, Any] = {}
    for name, method in models.items():
        fills |= {name: method, f"{name}, blended": blended(method)}
    return fills | {kind: kind for kind in classical.KINDS}


def damaged(
    test: faces.FaceDataset,
    holes: Sequence[str],
    limit: int | None = None,
    device: torch.device | str = "cpu",
    progress: bool = True,
) -> Iterator[tuple[str, faces.FaceBatch, Tensor]]:
    """Kind of hole, some faces, their holes ``[B, 1, S, S]``: those of ``evaluate`` with its seed 0.

    Args:
        test: faces.
        holes: kinds.
        limit: so many faces, None for all.
        device: where faces and holes are wanted.
        progress: show a bar if it takes more than two seconds.
    """
    chosen = drawn_faces(len(test), limit, seed=0)
    with tqdm(total=len(chosen) * len(holes), desc="faces", delay=2, disable=not progress) as bar:
        for numbers in np.split(chosen, range(25, len(chosen), 25)):
            seen = test.batch(numbers).to(device)
            for kind, hole in named_holes(holes).items():
                yield kind, seen, hole(seen, numbers, 0)
                bar.update(len(numbers))


# ----------------------------------------------------------------------------------------------- records


def gathered(jobs: Sequence[Job]) -> dict[int, evaluation.Comparison]:
    """Seed -> the scores of all its models."""
    seeds = dict.fromkeys(job.seed for job in jobs)
    return {
        seed: joined([evaluation.load_runs(job.scores)[seed] for job in jobs if job.seed == seed])
        for seed in seeds
    }


def joined(parts: Sequence[evaluation.Comparison]) -> evaluation.Comparison:
    """One comparison with all that several have measured on the same faces."""
    cells: dict[tuple[str, str], dict[str, np.ndarray]] = {}
    for part in parts:
        for pair in part.pairs:
            found = {measure: part.values(measure, *pair) for measure in part.measures}
            cells.setdefault(pair, {}).update({name: values for name, values in found.items() if len(values)})
    together = evaluation.Comparison(groups=parts[0].groups)
    for pair, scores in cells.items():
        together.add(*pair, scores)
    return together


def training_facts(jobs: Sequence[Job]) -> dict[str, Any]:
    """What a card of recorded scores says about the runs."""
    cards = {job: job.card for job in jobs}
    first = cards[jobs[0]]
    seconds: dict[str, list[float]] = {}
    for job, card in cards.items():
        seconds.setdefault(job.model, []).append(round(card["seconds"]))
    return {
        "seeds": sorted({job.seed for job in jobs}),
        "steps": jobs[0].steps,
        "precision": first["precision"],
        "data": first["data"],
        "seconds": seconds,
        "hardware": sorted({card["hardware"] for card in cards.values()}),
        "versions": first["versions"],
    }


def record(path: Path, runs: dict[int, evaluation.Comparison], card: dict[str, Any], **options: Any) -> None:
    """Write ``path.csv.gz`` and ``path.json``; options are those of ``save_runs``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    evaluation.save_runs(path.with_suffix(".csv.gz"), runs, **options)
    text = json.dumps(card, indent=2, ensure_ascii=False)
    path.with_suffix(".json").write_text(text + "\n", encoding="utf-8")
    print(f"every score: {path.with_suffix('.csv.gz')}")


def show_tables(runs: Any, measures: Sequence[str], *which: Sequence[str]) -> None:
    """Print the means over faces and seeds; ``which`` methods and holes, by default all."""
    for measure in measures:
        print("", evaluation.table_over_runs(runs, measure, *which), sep="\n")


def rows_of(
    name: str, comparison: evaluation.Comparison, measures: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """A row per fill, hole and measure: mean and 95 % interval.

    Args:
        name: of the faces.
        measures: as measured -> as recorded.
    """
    for fill, hole in comparison.pairs:
        for measure, recorded in measures.items():
            if np.isfinite(comparison.values(measure, fill, hole)).any():
                found = comparison.estimate(measure, fill, hole)
                mean, low, high = (round(value, 4) for value in (found.mean, found.low, found.high))
                yield {"faces": name, "hole": hole, "fill": fill, "measure": recorded, "n": found.n,
                       "mean": mean, "low": low, "high": high}  # fmt: skip


def write_card(path: Path, card: dict[str, Any]) -> None:
    """Write a JSON file of results, and say where it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    print(path)


def weights_of(network: str, path: Path) -> dict[str, Tensor]:
    """One network's part of a method's weights, under its own names.

    Raises:
        ValueError: the file has none.
    """
    whole, prefix = load_file(path), f"{network}."
    own = {key.removeprefix(prefix): value for key, value in whole.items() if key.startswith(prefix)}
    if not own:
        raise ValueError(f"{path} holds no {network}: give weights of a method that has trained one.")
    return own


def restored(job: Job, method: methods.Method, stage: str) -> methods.Method:
    """``method`` with the weights of a finished job after a stage."""
    method.load_state_dict(load_file(job.folder / f"weights-{stage}.safetensors"))
    return method.eval()


def save_sheet(columns: Sequence[Tensor], path: Path) -> None:
    """An image with a row per face, from columns of images ``[B, 3, H, W]`` in [0, 1]."""
    sheet = torch.stack([column.clamp(0, 1) for column in columns], 3).flatten(3)  # [B, 3, H, columns * W]
    image = sheet.permute(0, 2, 3, 1).flatten(0, 1).mul(255).round().byte().numpy()
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(image)).save(path, quality=90)
