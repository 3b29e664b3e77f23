"""What an experiment leaves: scores, a card that says how they came about, figures, a checkpoint."""

from __future__ import annotations

import gzip
import json
import platform
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pydantic
import torch

import facecomp_lib
from facecomp_lib import methods
from facecomp_lib.experiments.datasets import open_faces
from facecomp_lib.experiments.jobs import Job, completers, restore
from facecomp_lib.experiments.paths import ROOT
from facecomp_lib.experiments.samples import draw_sheet, save_sheet
from facecomp_lib.experiments.schema import Column, Experiment
from facecomp_lib.faces import FaceDataset
from facecomp_lib.utils.files import atomic_write

__all__ = ["KEYS", "gather", "print_means", "record", "write_results"]

KEYS = ("variant", "seed", "dataset", "mask", "index", "identity")
FACTS = ("steps", "seconds", "samples", "parameters", "data", "precision", "hardware")


def write_results(
    experiment: Experiment, shared: Sequence[Job], own: Sequence[Job], baselines: Job | None, folder: Path
) -> Path:
    """Write scores, card, figures and checkpoint of finished jobs into a folder."""
    stem = experiment.name.rpartition("/")[2]
    done = [job for job in own if not job.stopped.exists()]
    table = gather(experiment, done, baselines)
    figures = {}
    for sheet in experiment.samples:
        name = "_".join(part for part in (stem, sheet.name) if part) + ".webp"
        columns = sheet.columns or default_columns(done)
        names = list(experiment.data.test)
        data = test_faces(experiment, sheet.data or names[0])
        save_sheet(draw_sheet(sheet, data, columns, finder(done)), folder / name)
        figures[name] = [label(column) for column in columns]
    card = make_card(experiment, shared, own, table) | ({"figures": figures} if figures else {})
    if experiment.export:
        export(experiment, done, table, folder)
    write_scores(table, folder / f"{stem}.csv.gz")
    text = json.dumps(card, indent=1, ensure_ascii=False) + "\n"
    atomic_write(folder / f"{stem}.json", text)  # last: results with a card are complete
    return folder


# -------------------------------------------------------------------------------------------------- scores


def gather(experiment: Experiment, jobs: Sequence[Job], baselines: Job | None) -> pd.DataFrame:
    """All scores, a row each: variant, seed, dataset, mask, index, identity, metric, value.

    Baselines are the same for every seed and stand under each, so that all comparisons are paired.
    """
    parts = [read_table(job).assign(seed=job.seed) for job in jobs]
    if baselines is not None:
        table = read_table(baselines)
        parts += [table.assign(seed=seed) for seed in sorted({job.seed for job in jobs} or {0})]
    table = pd.concat(parts, ignore_index=True).rename(columns={"method": "variant"})
    if (pooled := experiment.evaluate.pooled) is not None:
        chosen = table["metric"].isin(pooled.metrics)
        inside = table[chosen & table["mask"].isin(pooled.masks)].assign(mask=pooled.name)
        means = inside.groupby([*KEYS, "metric"], sort=False, as_index=False)["value"].mean()
        table = pd.concat([table[~chosen], means], ignore_index=True)
    return table[[*KEYS, "metric", "value"]]


def read_table(job: Job) -> pd.DataFrame:
    """The scores of a finished job, all digits."""
    return pd.read_csv(job.scores, keep_default_na=False)


def write_scores(table: pd.DataFrame, path: Path) -> None:
    """A row per face, a column per metric, four significant digits; equal scores are equal bytes."""
    wide = table.pivot(index=list(KEYS), columns="metric", values="value")
    wide = wide.reindex(index=pd.MultiIndex.from_frame(table[list(KEYS)]).unique())
    wide = wide[list(dict.fromkeys(table["metric"]))]
    wide.index = wide.index.rename({"identity": "person"})  # a metric is called identity, too
    atomic_write(path, gzip.compress(wide.to_csv(float_format="%.4g").encode(), mtime=0))


def print_means(table: pd.DataFrame) -> None:
    """Means over faces and seeds: a table per data set and metric, variants in rows, masks in columns."""
    for (dataset, metric), part in table.groupby(["dataset", "metric"], sort=False):
        means = part.pivot_table("value", "variant", "mask", "mean", sort=False)
        print(f"\n{metric}, {dataset}\n{means.to_string(float_format='{:.4g}'.format)}")


# ------------------------------------------------------------------------------------------------- figures


def finder(jobs: Sequence[Job]) -> Any:
    """Completer of a name of the first seed, as it was after a stage."""
    homes: dict[str, Job] = {}
    for job in jobs:
        for name in (job.variant, *job.plan.evaluate.also):
            homes.setdefault(name, job)
    load = lru_cache(maxsize=None)(restore)

    def find(name: str, stage: str | None) -> Any:
        job = homes[name]
        return completers(job, load(job, stage))[name][0]

    return find


def default_columns(jobs: Sequence[Job]) -> list[Column]:
    """Input, every completion of the first seed, target."""
    names = [name for job in jobs for name in (job.variant, *job.plan.evaluate.also)]
    return [Column(of=name) for name in ("input", *dict.fromkeys(names), "target")]


def label(column: Column) -> str:
    """What a column shows, in words."""
    after = f", after {column.after}" if column.after else ""
    return column.of + after + (f": {column.show}" if column.show else "")


# --------------------------------------------------------------------------------------- card, checkpoint


def make_card(
    experiment: Experiment, shared: Sequence[Job], own: Sequence[Job], table: pd.DataFrame
) -> dict[str, Any]:
    """How the scores came about; it names no folder outside of the repository."""
    config = experiment.model_dump(mode="json", exclude_defaults=True, exclude={"name", "edition"})
    counts = table.groupby("dataset", sort=False)["index"].nunique()
    card = {
        "experiment": experiment.name,
        "config": without_places(config),
        "test": {
            name: {**facts_of(test_faces(experiment, name)), "measured": int(counts[name])}
            for name in experiment.data.test
        },
        "runs": [run for job in own if (run := run_facts(job))],
        "versions": {
            "python": platform.python_version(),
            **{module.__name__: module.__version__ for module in (facecomp_lib, torch, np, pd, pydantic)},
        },
    }
    if shared:
        card["shared"] = [{"name": job.shared, **run_facts(job)} for job in shared]
    return card


def run_facts(job: Job) -> dict[str, Any]:
    """What one training was; nothing if there was none."""
    facts: dict[str, Any] = {"variant": job.variant, "seed": job.seed}
    if (job.folder / "card.json").exists():
        card = json.loads((job.folder / "card.json").read_text(encoding="utf-8"))
        facts |= {key: card[key] for key in FACTS}
        facts["stages"] = {stage["name"]: stage["steps"] for stage in card["stages"]}
    elif job.stopped.exists():
        facts["stopped"] = job.stopped.read_text(encoding="utf-8")
    else:
        return {}
    origin = job.folder / "init_from.json"
    if origin.exists():
        facts["init_from"] = json.loads(origin.read_text(encoding="utf-8"))
    if job.experiment.curves and not job.shared:
        facts["curves"] = curves(job)
    return facts


def curves(job: Job) -> dict[str, list[float]]:
    """Term -> means over windows of steps; the last window may be shorter."""
    assert job.experiment.curves is not None
    window, log = job.experiment.curves.window, pd.read_csv(job.folder / "log.csv")
    means = log.groupby(log.index // window)[list(job.experiment.curves.terms)].mean()
    return {term: [float(f"{value:.4g}") for value in means[term]] for term in means}


def test_faces(experiment: Experiment, name: str) -> FaceDataset:
    """One of an experiment's sets of test faces, at the size of its images."""
    return open_faces(experiment.data.test[name], "test", experiment.options.get("size"))


def facts_of(data: FaceDataset) -> dict[str, Any]:
    """A data set in words."""
    return {
        "name": data.name, "version": data.version, "split": data.split, "faces": len(data), "size": data.size
    }  # fmt: skip


def without_places(value: Any) -> Any:
    """The same, but of files outside of the repository only the name."""
    if isinstance(value, Mapping):
        return {key: without_places(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_places(item) for item in value]
    if isinstance(value, str) and (Path(value).is_absolute() or value.startswith(("~", ".."))):
        return Path(value).name
    return value


def export(experiment: Experiment, jobs: Sequence[Job], table: pd.DataFrame, folder: Path) -> Path:
    """Write the checkpoint; its card says how it was trained, and the means of all scores."""
    assert experiment.export is not None
    job = next(job for job in jobs if job.variant == experiment.export.variant)
    means: dict[str, Any] = {}
    keys = ["dataset", "mask", "metric", "variant"]
    for (dataset, mask, metric, name), mean in table.groupby(keys, sort=False)["value"].mean().items():
        means.setdefault(dataset, {}).setdefault(mask, {}).setdefault(metric, {})[name] = round(mean, 4)
    facts = {key: value for key, value in run_facts(job).items() if key not in ("variant", "curves")}
    shared = {name: run_facts(job.shared_job(name)) for name in job.plan.shared}
    return methods.save(
        restore(job), folder / experiment.export.name, experiment.export.networks,
        **facts, experiment=experiment.name, **({"shared": shared} if shared else {}), metrics=means,
    )  # fmt: skip


# --------------------------------------------------------------------------------------------------- record


def record(experiment: Experiment, folder: Path, root: Path = ROOT) -> list[Path]:
    """Copy results to ``experiments/<paper>/results``, and a checkpoint to where shipped ones lie.

    Raises:
        ValueError: another configuration is recorded there; the sentence says what to do.
    """
    paper, _, stem = experiment.name.partition("/")
    target = root / paper / "results"
    card, there = folder / f"{stem}.json", target / f"{stem}.json"
    if there.exists():
        configs = [json.loads(path.read_text(encoding="utf-8")).get("config") for path in (card, there)]
        if configs[0] != configs[1]:
            raise ValueError(
                f"{paper}/results/{stem}.json was recorded with another configuration: delete it and record "
                f"again, or keep these results in {folder}."
            )
    copied = []
    files = sorted(path for path in folder.iterdir() if path != card and path.suffix != ".part")
    for path in [*files, card]:
        shipped = experiment.export and path.stem == experiment.export.name
        place = (methods.checkpoints.FOLDER if shipped else target) / path.name
        copied.append(atomic_write(place, path.read_bytes()))
    return copied
