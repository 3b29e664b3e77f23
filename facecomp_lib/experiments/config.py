"""Reading an experiment: one YAML file, checked as a whole before anything runs.

    experiment = read_experiment("lafin/ablation", ["seeds=[0]", "stages.0.steps=20"])
    experiment.plan("no attention").options

A file names a method, its options, data, seeds, stages, variants of these, and what is evaluated; it imports
no code.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch
import yaml
from pydantic import ValidationError

from facecomp_lib import methods
from facecomp_lib.evaluation import METRICS
from facecomp_lib.experiments.completions import BASELINES
from facecomp_lib.experiments.paths import ROOT
from facecomp_lib.experiments.schema import Experiment, Plan
from facecomp_lib.faces import Augment
from facecomp_lib.masks import KINDS
from facecomp_lib.methods import Method, Stage
from facecomp_lib.utils.checks import shown
from facecomp_lib.utils.yaml_files import parse_yaml, read_yaml

__all__ = ["digest", "make_stages", "names", "read_experiment", "slug"]

MASKS = (*KINDS, "none")
SCORES = [name for name, metric in METRICS.items() if metric.compute or name in ("fid", "kid")]
_LONGEST = 500  # characters of a reason: some list what there is
TRAINED = ("method", "options", "data", "precision", "shared", "init", "stages", "variants")


def names(root: Path = ROOT) -> dict[str, str]:
    """Every experiment's name and its sentence."""
    files = [path for path in sorted(root.glob("*/*.yaml")) if path.stem != "published" and path.is_file()]
    return {f"{path.parent.name}/{path.stem}": str(read_yaml(path).get("about", "")) for path in files}


def read_experiment(name: str, changes: Sequence[str] = (), root: Path = ROOT) -> Experiment:
    """Read and check an experiment.

    Args:
        name: ``paper/experiment``.
        changes: ``KEY=VALUE``, the key with dots between its parts, the value in YAML.
        root: folder of the papers' folders.

    Raises:
        FileNotFoundError: no such experiment. ValueError: a mistake; the sentence names file and key.
    """
    path = root / f"{name if isinstance(name, str) else type(name).__name__}.yaml"
    if not path.is_file() or path.stem == "published":
        raise FileNotFoundError(f"There is no experiment {shown(name)}; there are {', '.join(names(root))}.")
    raw = read_yaml(path)
    with sentences(path):
        original = digest(trained_part(raw))
    for change in changes:
        set_value(raw, change)
    with sentences(path):
        edition = digest(trained_part(raw))
        edition = "" if edition == original else edition
        experiment = Experiment.model_validate({**raw, "name": name, "edition": edition})
    for variant in experiment.variants or [""]:
        with sentences(path, variant):
            check_plan(experiment.plan(variant))
    with sentences(path):
        check_names(experiment)
    return experiment


def set_value(content: dict[str, Any], change: str) -> None:
    """Carry out ``a.b=VALUE`` in place; a number in the key is a place in a list."""
    key, equals, text = change.partition("=")
    if not key or not equals:
        raise ValueError(f"--set takes KEY=VALUE, not {shown(change)}.")
    *parents, last = key.split(".")
    here: Any = content
    try:
        for part in parents:
            here = here[int(part)] if isinstance(here, list) else here.setdefault(part, {})
        here[int(last) if isinstance(here, list) else last] = parse_yaml(text)
    except (LookupError, ValueError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise ValueError(f"--set {change[:80]}: there is no such key, or its value is no YAML.") from error


def trained_part(content: Mapping[str, Any]) -> dict[str, Any]:
    """What decides about the training: another digest of it needs other runs."""
    part = {key: content[key] for key in TRAINED if key in content}
    if isinstance(part.get("data"), dict):
        part["data"] = {key: value for key, value in part["data"].items() if key != "test"}
    if isinstance(part.get("variants"), dict):
        part["variants"] = {
            name: {key: value for key, value in (change or {}).items() if key in TRAINED}
            for name, change in part["variants"].items()
        }
    return part


def digest(content: Any) -> str:
    """Eight hexadecimal digits of what JSON can hold."""
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def slug(name: str) -> str:
    """A variant's name as part of a file's name: ``M*_isd noise`` -> ``Mstar_isd-noise``."""
    return re.sub(r"[^\w.-]+", "-", name.replace("*", "star"))


# ------------------------------------------------------------------------------------------------ checking


@contextmanager
def sentences(path: Path, variant: str = "") -> Iterator[None]:
    """Turn what is wrong into one sentence that begins with file and key."""
    where = f"{path.parent.name}/{path.name}" + (f", variant {variant!r}" if variant else "")
    try:
        yield
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        reason = first["msg"].removeprefix("Value error, ").rstrip(".")
        given = f", not {shown(first['input'])}" if first["type"] not in ("value_error", "missing") else ""
        raise ValueError(f"{where}: {key + ': ' if key else ''}{reason}{given}.") from None
    except Exception as error:  # options of a method or a stage may be anything, and do anything
        reason = " ".join(str(error).split())[:_LONGEST].rstrip(".")
        raise ValueError(f"{where}: {reason}.") from error


def check_plan(plan: Plan) -> None:
    """Refuse names that a method, its stages or the evaluation does not have.

    Raises:
        ValueError: with a sentence.
    """
    for key, given, known in (
        ("evaluate.masks", plan.evaluate.masks, MASKS),
        ("evaluate.metrics", plan.evaluate.metrics, SCORES),
        ("evaluate.baselines", plan.evaluate.baselines, BASELINES),
    ):
        check_known(key, given, known)
    for name, also in plan.evaluate.also.items():
        check_known(f"evaluate.also.{name}.metrics", also.metrics or (), SCORES)
        check_known(f"evaluate.also.{name}.baseline", [also.baseline] if also.baseline else [], BASELINES)
    if plan.method is None:
        if not plan.evaluate.baselines:
            raise ValueError("without a method there must be evaluate.baselines.")
        return
    with torch.device("meta"):  # shapes without numbers: no time, no memory
        method = methods.build(plan.method, **plan.options)
    make_stages(method, plan.stages)
    check_known("init", plan.init, method.networks)
    for name, shared in plan.shared.items():
        check_known(f"shared.{name}.networks", shared.networks, method.networks)
        make_stages(method, shared.stages)


def check_names(experiment: Experiment) -> None:
    """Refuse names that the experiment itself does not define, or that would share a file."""
    plans = experiment.plans
    completions = [name for key, plan in plans.items() for name in (key, *plan.evaluate.also)]
    if len({slug(name) for name in completions}) < len(completions):
        raise ValueError(f"two completions have one name among {', '.join(completions)}.")
    for sheet in experiment.samples:
        check_known("samples.mask", [sheet.mask], MASKS)
        check_known("samples.columns", [c.of for c in sheet.columns], ["input", "target", *completions])
        check_known("samples.data", [sheet.data] if sheet.data else [], [*experiment.data.test, "each"])
    check_known("export.variant", [export.variant for export in experiment.export], plans)


def check_known(key: str, given: Any, known: Any) -> None:
    """Every name must be known."""
    if unknown := [name for name in given if name not in known]:
        raise ValueError(f"{key}: unknown {shown(unknown[0])}, choose from {', '.join(known)}.")


def make_stages(method: Method, entries: Sequence[Mapping[str, Any]]) -> list[Stage]:
    """The stages that the entries of a plan describe, for this method.

    Raises:
        ValueError: an unknown stage, or options that neither its builder nor a stage has.
    """
    stages: list[Stage] = []
    for entry in entries:
        name = entry.get("stage")
        if not isinstance(name, str):
            raise ValueError(f"stages: each needs the key 'stage', one of {', '.join(method.STAGES)}.")
        try:
            stages += build_stages(method, name, {k: v for k, v in entry.items() if k != "stage"})
        except (TypeError, AttributeError) as error:
            raise ValueError(f"stage {shown(name)}: an option is of the wrong kind ({error}).") from error
    twice = {stage.name for stage in stages if [s.name for s in stages].count(stage.name) > 1}
    if twice:
        raise ValueError(f"stages: two are called {twice.pop()!r}, give one of them another 'name'.")
    return stages


def build_stages(method: Method, name: str, options: dict[str, Any]) -> list[Stage]:
    """The stages of one entry; options that its builder does not take replace fields of what it builds."""
    own = {field.name for field in fields(Stage)} - {"optimizers"}
    builder = method.STAGES.get(name)
    taken = inspect.signature(builder).parameters if builder else {}
    changes = {key: options.pop(key) for key in list(options) if key in own and key not in taken}
    if isinstance(changes.get("augment"), Mapping):
        changes["augment"] = Augment(**changes["augment"])
    if "masks" in changes:
        changes["masks"] = tuple(changes["masks"])
    return [replace(stage, **changes) for stage in method.make_stages(name, **options)]
