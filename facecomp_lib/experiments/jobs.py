"""One job of an experiment: a training with a folder of its own, and its evaluation."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from facecomp_lib import methods, training
from facecomp_lib.evaluation import evaluate
from facecomp_lib.experiments.completions import Completer, measurable, of_baseline, of_plan
from facecomp_lib.experiments.config import digest, make_stages, slug
from facecomp_lib.experiments.datasets import open_faces
from facecomp_lib.experiments.schema import Experiment, Plan
from facecomp_lib.experiments.weights import ORIGIN, load_networks
from facecomp_lib.methods import Method
from facecomp_lib.utils.files import atomic_write, read_json

__all__ = ["Job", "do", "evaluate_baselines", "folder_of", "restore"]


@dataclass(frozen=True, eq=False)
class Job:
    """One training and its evaluation.

    Attributes:
        experiment: what it belongs to.
        variant: its name; "" if it belongs to none.
        seed: of weights, faces and masks.
        out: folder of all experiments' runs.
        shared: name of the shared stages that it trains, if any; they are not evaluated.
    """

    experiment: Experiment
    variant: str
    seed: int
    out: Path
    shared: str = ""

    @property
    def plan(self) -> Plan:
        return self.experiment.plan(self.variant)

    @property
    def folder(self) -> Path:
        kind = f"shared-{self.shared}" if self.shared else ""
        parts = (
            (kind, slug(self.variant), f"seed{self.seed}") if self.shared or self.variant else ("baselines",)
        )
        return folder_of(self.experiment, self.out) / "-".join(part for part in parts if part)

    @property
    def scores(self) -> Path:
        """Another plan, other test faces or metrics for instance, has another file."""
        return self.folder / f"scores-{digest(self.plan.model_dump(exclude={'seeds'}))}.csv.gz"

    @property
    def stopped(self) -> Path:
        """Says why the training failed, if it did."""
        return self.scores.with_suffix("").with_suffix(".stopped")

    def shared_job(self, name: str) -> Job:
        """The training of the shared stages ``name`` that this variant starts with."""
        plan, experiment = self.plan, self.experiment
        common = plan.method == experiment.method and plan.shared[name] == experiment.shared.get(name)
        seed = plan.shared[name].seed
        variant, seed = "" if common else self.variant, self.seed if seed is None else seed
        return Job(experiment, variant, seed, self.out, name)

    def __str__(self) -> str:
        return f"{self.shared or self.variant or 'baselines'}, seed {self.seed}"


def folder_of(experiment: Experiment, out: Path) -> Path:
    """Where an experiment's runs lie; training that differs from the file's has a folder of its own."""
    return out / "-".join(part for part in (experiment.name, experiment.edition) if part)


def do(job: Job, threads: int) -> str:
    """Train and evaluate, as far as that is not done; a sentence about it."""
    torch.set_num_threads(threads)
    method = train(job)
    if job.stopped.exists():
        return job.stopped.read_text(encoding="utf-8")
    if not job.shared and not job.scores.exists():
        score(job, of_plan(job.variant, job.plan, method), method.size)
    if not job.plan.stages and not job.shared:
        return "evaluated"
    card = read_json(job.folder / "card.json", "train again")
    return f"{card['steps']} steps in {card['seconds']:.0f} s"


def build(job: Job) -> tuple[Method, dict[str, Any]]:
    """A job's method before its training, and where the networks come from that it starts with."""
    plan = job.plan
    assert plan.method is not None
    method = methods.build(plan.method, seed=job.seed, **plan.options)
    if job.shared:
        return method, {}
    for name, shared in plan.shared.items():
        load_networks(method, dict.fromkeys(shared.networks, str(job.shared_job(name).folder)))
    return method, load_networks(method, plan.init)


def train(job: Job) -> Method:
    """Train a job's method, as far as that is not done.

    A loss that is no number any more ends the training, and is a result: its sentence is kept.
    """
    plan, (method, origins) = job.plan, build(job)
    entries = plan.shared[job.shared].stages if job.shared else plan.stages
    if not entries or job.stopped.exists():
        return method.eval()
    if origins and not (job.folder / ORIGIN).exists():
        atomic_write(job.folder / ORIGIN, json.dumps(origins))
    seen = plan.data.validation
    try:
        training.fit(
            method,
            open_faces(plan.data.train, "train", method.size, job.seed),
            job.folder,
            stages=make_stages(method, entries),
            seed=job.seed,
            validation=None if seen is None else open_faces(seen, "val", method.size),
            precision=plan.shared[job.shared].precision if job.shared else plan.precision,
            callbacks=(),
        )
    except FloatingPointError as error:
        atomic_write(job.stopped, str(error).partition(". ")[0])
    return method.eval()


def restore(job: Job, stage: str | None = None) -> Method:
    """The method of a finished job, by default after its last stage."""
    if not job.plan.stages:
        return build(job)[0].eval()
    return methods.load(job.folder / f"weights-{stage}.safetensors" if stage else job.folder)


def score(job: Job, found: Mapping[str, tuple[Completer, Sequence[str]]], size: int | None) -> None:
    """Score completions on all test faces, each by the metrics that it can have; keep all digits."""
    plan, tables = job.plan, []
    for name, spec in plan.data.test.items():
        data = open_faces(spec, "test", size)
        for completion, (complete, metrics) in found.items():
            table = evaluate(
                {completion: complete}, data, plan.evaluate.masks, measurable(complete, data, metrics),
                plan.evaluate.limit, progress="TQDM_DISABLE" not in os.environ,
            )  # fmt: skip
            tables.append(table.assign(dataset=name))
    table = pd.concat(tables, ignore_index=True)
    atomic_write(job.scores, gzip.compress(table.to_csv(index=False).encode(), mtime=0))


def evaluate_baselines(job: Job) -> None:
    """Score the completions that need no network, if that is not done."""
    if not job.scores.exists():
        plan = job.plan
        size = plan.options.get("size")
        found = {
            name: (of_baseline(name, plan, size), plan.evaluate.metrics) for name in plan.evaluate.baselines
        }
        score(job, found, size)
