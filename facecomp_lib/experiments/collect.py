"""What an experiment leaves: scores, a card that says how they came about, figures, checkpoints."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pydantic
import torch

import facecomp_lib
from facecomp_lib import methods
from facecomp_lib.evaluation import summarize
from facecomp_lib.experiments.completions import Completer, of_plan
from facecomp_lib.experiments.datasets import open_faces
from facecomp_lib.experiments.jobs import Job, restore
from facecomp_lib.experiments.paths import ROOT
from facecomp_lib.experiments.results import KEYS, MEANS, Results, load, read_table, save
from facecomp_lib.experiments.samples import draw_sheet, save_sheet
from facecomp_lib.experiments.schema import Column, Experiment, Sheet
from facecomp_lib.experiments.weights import ORIGIN
from facecomp_lib.faces import FaceDataset
from facecomp_lib.utils.files import atomic_write, read_json

__all__ = ["collect", "print_means", "record"]

FACTS = ("steps", "seconds", "samples", "parameters", "data", "precision", "hardware")


def collect(
    experiment: Experiment, shared: Sequence[Job], own: Sequence[Job], baselines: Job | None, out: Path
) -> Results:
    """Put together what finished jobs left, and write it to ``out/<paper>/results``.

    Figures and checkpoints come first, scores and card last: results with a card are complete.
    """
    name = f"{experiment.name}-{experiment.edition}" if experiment.edition else experiment.name
    done = [job for job in own if not job.stopped.exists()]
    scores = gather(experiment, done, baselines)
    stem = out / Path(name).parent / "results" / Path(name).name
    card = make_card(experiment, shared, own, scores)
    images = {}
    for sheet in experiment.samples:
        path = stem.with_name("_".join(part for part in (stem.name, sheet.name) if part) + ".webp")
        images[path.stem] = path
        card.setdefault("figures", {})[path.name] = draw(experiment, sheet, done, path)
    for export in experiment.export:
        for job in [job for job in done if job.variant == export.variant][:1]:
            write_checkpoint(job, scores, stem.with_name(export.name), export.networks)
    if experiment.evaluate.keep == "means":
        scores = summarize_all(scores)
    results = Results(name, scores, card, images)
    save(results, out)
    return results


# -------------------------------------------------------------------------------------------------- scores


def gather(experiment: Experiment, jobs: Sequence[Job], baselines: Job | None) -> pd.DataFrame:
    """All scores, a row each: variant, seed, dataset, mask, index, identity, metric, value.

    Baselines are the same for every seed and stand under each, so that all comparisons are paired.
    """
    parts = [read_scores(job).assign(seed=job.seed) for job in jobs]
    if baselines is not None:
        table = read_scores(baselines)
        parts += [table.assign(seed=seed) for seed in sorted({job.seed for job in jobs} or {0})]
    if not parts:
        return pd.DataFrame(columns=[*KEYS, "metric", "value"])
    table = pd.concat(parts, ignore_index=True).rename(columns={"method": "variant"})
    if (pooled := experiment.evaluate.pooled) is not None:
        chosen = table["metric"].isin(pooled.metrics)
        inside = table[chosen & table["mask"].isin(pooled.masks)].assign(mask=pooled.name)
        means = inside.groupby([*KEYS, "metric"], sort=False, as_index=False)["value"].mean()
        table = pd.concat([table[~chosen], means], ignore_index=True)
    return table[[*KEYS, "metric", "value"]]


def summarize_all(scores: pd.DataFrame) -> pd.DataFrame:
    """Means with intervals over people, a row each: variant, dataset, mask, metric, n, mean, low, high."""
    parts = [
        summarize(part, metric).assign(dataset=dataset, metric=metric)
        for (dataset, metric), part in scores.groupby(["dataset", "metric"], sort=False)
    ]
    return pd.concat(parts, ignore_index=True)[MEANS].round(4)


def read_scores(job: Job) -> pd.DataFrame:
    """The scores of a finished job."""
    return read_table(job.scores)


def print_means(scores: pd.DataFrame) -> None:
    """Means over faces and seeds: a table per data set and metric, variants in rows, masks in columns."""
    value = "mean" if "mean" in scores else "value"
    for (dataset, metric), part in scores.groupby(["dataset", "metric"], sort=False):
        means = part.pivot_table(value, "variant", "mask", "mean", sort=False)
        print(f"\n{metric}, {dataset}\n{means.to_string(float_format='{:.4g}'.format)}")


# ------------------------------------------------------------------------------------- figures, checkpoints


def draw(experiment: Experiment, sheet: Sheet, jobs: Sequence[Job], path: Path) -> list[str]:
    """Save a figure of what the first seed's jobs make of some faces; what its columns show, in words."""
    homes = first_jobs(jobs)
    wanted = sheet.columns or [Column(of=name) for name in ("input", *homes, "target")]
    columns = [column for column in wanted if column.of in ("input", "target", *homes)]  # others have failed
    names = list(experiment.data.test)
    chosen = names if sheet.data == "each" else [sheet.data or names[0]]
    find, drawn = finder(homes), []
    for name in chosen:
        drawn += draw_sheet(sheet, test_faces(experiment, name), columns, find)
    save_sheet(drawn, path)
    return [
        f"{label(column)}{f' ({name})' if len(chosen) > 1 else ''}" for name in chosen for column in columns
    ]


def first_jobs(jobs: Sequence[Job]) -> dict[str, Job]:
    """Name of a completion -> the first job that gives it."""
    homes: dict[str, Job] = {}
    for job in jobs:
        for name in (job.variant, *job.plan.evaluate.also):
            homes.setdefault(name, job)
    return homes


def finder(homes: Mapping[str, Job]) -> Callable[[str, str | None], Completer]:
    """What gives the completer of a name, as it was after a stage."""
    load = lru_cache(maxsize=None)(restore)

    def find(name: str, stage: str | None) -> Completer:
        job = homes[name]
        return of_plan(job.variant, job.plan, load(job, stage))[name][0]

    return find


def label(column: Column) -> str:
    """What a column shows, in words."""
    after = f", after {column.after}" if column.after else ""
    return column.of + after + (f": {column.show}" if column.show else "")


def write_checkpoint(job: Job, scores: pd.DataFrame, path: Path, networks: Sequence[str]) -> None:
    """Write networks of a job, and a card: how they were trained, and the means of all scores."""
    means: dict[str, Any] = {}
    keys = ["dataset", "mask", "metric", "variant"]
    for (dataset, mask, metric, name), mean in scores.groupby(keys, sort=False)["value"].mean().items():
        means.setdefault(dataset, {}).setdefault(mask, {}).setdefault(metric, {})[name] = round(mean, 4)
    facts = {key: value for key, value in describe_run(job).items() if key not in ("variant", "curves")}
    if job.plan.shared:
        facts["shared"] = {name: describe_run(job.shared_job(name)) for name in job.plan.shared}
    methods.save(restore(job), path, networks, experiment=job.experiment.name, **facts, metrics=means)


# ---------------------------------------------------------------------------------------------------- card


def make_card(
    experiment: Experiment, shared: Sequence[Job], own: Sequence[Job], scores: pd.DataFrame
) -> dict[str, Any]:
    """How the scores came about; it names no folder outside of the repository."""
    counts = scores.groupby("dataset")["index"].nunique()
    modules = (facecomp_lib, torch, np, pd, pydantic)
    card = {
        "experiment": experiment.name,
        "config": describe_config(experiment),
        "test": {
            name: describe_faces(test_faces(experiment, name)) | {"measured": int(counts.get(name, 0))}
            for name in experiment.data.test
        },
        "runs": [describe_run(job) for job in own],
        "versions": {"python": platform.python_version()} | {m.__name__: m.__version__ for m in modules},
    }
    if shared:
        card["shared"] = [{"name": job.shared, **describe_run(job)} for job in shared]
    return card


def describe_config(experiment: Experiment) -> dict[str, Any]:
    """What the file says, and what was changed; of files outside of the repository, the name alone."""
    config = experiment.model_dump(mode="json", exclude_defaults=True, exclude={"name", "edition"})
    return without_places(config)


def without_places(value: Any) -> Any:
    """The same, without folders outside of the repository."""
    if isinstance(value, Mapping):
        return {key: without_places(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_places(item) for item in value]
    if isinstance(value, str) and (Path(value).is_absolute() or value.startswith(("~", ".."))):
        return Path(value).name
    return value


def describe_run(job: Job) -> dict[str, Any]:
    """One training: its length, its speed, what it began with, or why it stopped."""
    facts: dict[str, Any] = {"variant": job.variant, "seed": job.seed}
    run, origin = job.folder / "card.json", job.folder / ORIGIN
    if job.stopped.exists():
        facts["stopped"] = job.stopped.read_text(encoding="utf-8")
    elif run.exists():
        card = read_json(run, "train again")
        facts |= {key: card[key] for key in FACTS}
        facts["stages"] = {stage["name"]: stage["steps"] for stage in card["stages"]}
    if origin.exists():
        facts["init_from"] = read_json(origin, "train again")
    if job.experiment.curves and (job.folder / "log.csv").exists() and not job.shared:
        facts["curves"] = read_curves(job)
    return facts


def read_curves(job: Job) -> dict[str, list[float]]:
    """Term of the log -> means over windows of steps; the last window may be shorter."""
    assert job.experiment.curves is not None
    log = pd.read_csv(job.folder / "log.csv")
    windows = log.groupby(log.index // job.experiment.curves.window)
    means = windows[list(job.experiment.curves.terms)].mean()
    return {str(term): [float(f"{value:.4g}") for value in means[term]] for term in means}


def test_faces(experiment: Experiment, name: str) -> FaceDataset:
    """One of an experiment's sets of test faces, at the size of its images."""
    return open_faces(experiment.data.test[name], "test", experiment.options.get("size"))


def describe_faces(data: FaceDataset) -> dict[str, Any]:
    """A data set's name, version and size."""
    return {
        "name": data.name, "version": data.version, "split": data.split, "faces": len(data), "size": data.size
    }  # fmt: skip


# --------------------------------------------------------------------------------------------------- record


def record(experiment: Experiment, out: Path, root: Path = ROOT, shipped: Path | None = None) -> list[Path]:
    """Copy results to where lessons read them.

    Args:
        experiment: as its file says.
        out: folder of all experiments' runs.
        root: results go to ``<paper>/results`` there.
        shipped: checkpoints go there, by default to those that travel with the course.

    Raises:
        ValueError: changed from outside, or another configuration is recorded there.
    """
    paper, _, name = experiment.name.partition("/")
    source, target = out / paper / "results", root / paper / "results"
    there = target / f"{name}.json"
    if experiment.edition:
        raise ValueError(
            f"{experiment.name} was changed by --set: change its file, and record what that gives."
        )
    if there.exists():
        recorded = load(experiment.name, root).card
        if recorded.get("config") != describe_config(experiment):
            raise ValueError(
                f"{experiment.name} is recorded with another configuration: delete {there.name} and what "
                f"belongs to it there, then record again."
            )
    files = [*source.glob(f"{name}*.webp"), source / f"{name}.csv.gz", source / f"{name}.json"]
    copies = [(path, target / path.name) for path in files]
    for export in experiment.export:
        home = shipped or methods.checkpoints.FOLDER
        copies += [(path, home / path.name) for path in sorted(source.glob(f"{export.name}.*"))]
    return [atomic_write(copy, path.read_bytes()) for path, copy in copies]
