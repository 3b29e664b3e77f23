"""The keys of an experiment's YAML file. ``docs/training.md`` shows one line by line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, field_validator
from pydantic import model_validator as validator

from facecomp_lib.faces import Augment
from facecomp_lib.utils.checks import shown

__all__ = ["Column", "Curves", "Evaluate", "Experiment", "Export", "Faces", "Plan", "Shared", "Sheet"]


class Strict(BaseModel):
    """Fields that are named here and no others."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @validator(mode="before")
    @classmethod
    def _known(cls, value: Any) -> Any:
        unknown = [key for key in value if key not in cls.model_fields] if isinstance(value, dict) else []
        if unknown:
            raise ValueError(f"unknown key {shown(unknown[0])}, choose from {', '.join(cls.model_fields)}")
        return value


class Faces(Strict):
    """Which faces of which data set; a string is short for its ``source`` alone.

    Attributes:
        source: ``embedded``, or the path of a prepared folder.
        split: of the data set, by default the one that fits the role: train, val or test.
        subset: number of faces drawn at random: in training by the run's seed, in tests by 0.
        turned: only faces whose yaw is above the first and at most the second number of degrees.
        augment: each face is moved once, in its own way, by these options of ``fc.faces.Augment``.
    """

    source: str = "embedded"
    split: Literal["train", "val", "test", "all"] | None = None
    subset: PositiveInt | None = None
    turned: tuple[float, float] | None = None
    augment: dict[str, Any] | None = None

    @validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"source": value} if isinstance(value, str) else value

    @field_validator("augment")
    @classmethod
    def _moves(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        try:
            Augment(**(value or {}))
        except TypeError:
            raise ValueError(f"augment takes {', '.join(Augment.__dataclass_fields__)}") from None
        return value


class Data(Strict):
    """Faces to learn from, faces drawn during training (by default of the former), and sets of test faces."""

    train: Faces = Faces()
    validation: Faces | None = None
    test: dict[str, Faces] = {"embedded": Faces()}

    @field_validator("test", mode="before")
    @classmethod
    def _one(cls, value: Any) -> Any:
        return {Path(value).name: value} if isinstance(value, str) else value


class Shared(Strict):
    """Stages that are trained once, and whose networks every variant then starts with.

    Attributes:
        networks: those that are handed on.
        stages, precision: of this training.
        seed: the same for all seeds; by default, each seed has its own training.
    """

    networks: tuple[str, ...] = Field(min_length=1)
    stages: tuple[dict[str, Any], ...] = Field(min_length=1)
    precision: str = "32-true"
    seed: NonNegativeInt | None = None


class Also(Strict):
    """One more completion by the same network, or one that needs none.

    Attributes:
        baseline: instead of the network, one of ``evaluate.baselines``, with this variant's faces.
        blended: into the known pixels by Poisson's equation, or not; by default as ``evaluate`` says.
        conditions: labels of the true face that ``complete`` is given, ``landmarks`` for instance.
        metrics: by default those of ``evaluate``.
    """

    baseline: str | None = None
    blended: bool | None = None
    conditions: tuple[str, ...] = ()
    metrics: tuple[str, ...] | None = None


class Pooled(Strict):
    """Metrics that are kept as each face's mean over several masks only, under the name of a mask."""

    name: str
    masks: tuple[str, ...]
    metrics: tuple[str, ...]


class Evaluate(Strict):
    """What is measured.

    Attributes:
        masks: kinds of masks; ``none`` hides nothing.
        metrics: names; a completion that lacks what a metric looks at has no such score.
        limit: number of test faces of each set, by default all.
        blended: completions are blended into the known pixels.
        also: name -> one more completion.
        baselines: completions without a network: classical fills, ``average_face``, ``nearest_face``,
            ``average_landmarks``.
        pooled: metrics to keep as means over masks.
        keep: scores of ``faces``, or, of photographs, nothing but ``means``.
    """

    masks: tuple[str, ...] = Field(min_length=1)
    metrics: tuple[str, ...] = Field(min_length=1)
    limit: PositiveInt | None = None
    blended: bool = False
    also: dict[str, Also] = {}
    baselines: tuple[str, ...] = ()
    pooled: Pooled | None = None
    keep: Literal["faces", "means"] = "faces"


class Column(Strict):
    """One column of a figure; a string is short for ``of`` alone.

    Attributes:
        of: ``input``, ``target``, or the name of a completion.
        show: a label map or an image among the target's labels or the completion's extras, by default the
            image itself.
        after: show the variant as it was after this stage.
    """

    of: str
    show: str | None = None
    after: str | None = None

    @validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"of": value} if isinstance(value, str) else value


class Sheet(Strict):
    """A figure: a row per test face, a column per completion of the first seed.

    Attributes:
        name: of the file, after the experiment's.
        faces: numbers of faces of the test set ``data``: by default the first one; columns of ``each``
            stand side by side.
        mask, seed: kind of the masks, and the seed they are drawn by.
        columns: by default input, every variant, target.
    """

    name: str = ""
    faces: tuple[NonNegativeInt, ...] = Field(min_length=1)
    data: str | None = None
    mask: str
    seed: NonNegativeInt = 0
    columns: tuple[Column, ...] = ()


class Curves(Strict):
    """Loss curves for the card: terms of the log, as means over ``window`` steps."""

    terms: tuple[str, ...] = Field(min_length=1)
    window: PositiveInt = 10


class Export(Strict):
    """A checkpoint: networks of a variant from the first seed, and a card with the means of all scores."""

    variant: str
    name: str
    networks: tuple[str, ...] = Field(min_length=1)


class Plan(Strict):
    """How one variant is trained and evaluated.

    Attributes:
        method, options: of ``fc.methods.build``; without a method only baselines are evaluated.
        data, seeds, precision: of training.
        shared: name -> stages trained beforehand.
        init: network -> where its first weights come from: a run's folder, a ``.safetensors``, or
            ``pretrained``.
        stages: each a mapping with ``stage``, a name among the method's ``STAGES``, and the options of that
            stage; fields of ``fc.methods.Stage`` (name, augment, masks ...) are replaced in what it builds.
        evaluate: what is measured.
    """

    method: str | None = None
    options: dict[str, Any] = {}
    data: Data = Data()
    seeds: tuple[NonNegativeInt, ...] = Field((0,), min_length=1)
    precision: str = "32-true"
    shared: dict[str, Shared] = {}
    init: dict[str, str] = {}
    stages: tuple[dict[str, Any], ...] = ()
    evaluate: Evaluate


class Experiment(Plan):
    """An experiment.

    Attributes:
        about: one sentence.
        name: ``paper/experiment``.
        variants: name -> what differs. Mappings are merged, lists replaced; a mapping for ``stages`` changes
            these options in all of them. A variant of another method starts without the experiment's options,
            shared stages, stages and init.
        samples: figures.
        curves, export: loss curves and checkpoints to keep.
        edition: digest of a training other than the file's; empty for the file's own.
    """

    about: str
    name: str = ""
    variants: dict[str, dict[str, Any]] = {}
    samples: tuple[Sheet, ...] = ()
    curves: Curves | None = None
    export: tuple[Export, ...] = ()
    edition: str = ""

    @field_validator("variants", mode="before")
    @classmethod
    def _empty(cls, value: Any) -> Any:
        return {key: change or {} for key, change in value.items()} if isinstance(value, dict) else value

    def plan(self, variant: str) -> Plan:
        """The plan of a variant; that of the experiment itself for ``""``."""
        base = self.model_dump(include=set(Plan.model_fields))
        change = dict(self.variants.get(variant, {}))
        if change.get("method", self.method) != self.method:
            base = {key: base[key] for key in ("data", "seeds", "precision", "evaluate")}
        if isinstance(options := change.get("stages"), Mapping):
            change["stages"] = [{**stage, **options} for stage in base.get("stages", ())]
        return Plan.model_validate(merge(base, change))

    @property
    def plans(self) -> dict[str, Plan]:
        """The plan of each variant; a method without variants is one, by its name."""
        named = list(self.variants) or ([self.method] if self.method else [])
        return {variant: self.plan(variant) for variant in named}


def merge(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with what ``change`` has; mappings are merged, everything else is replaced."""
    merged = dict(base)
    for key, value in change.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge(merged[key], value) if both else value
    return merged
