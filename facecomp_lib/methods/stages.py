"""How a method says it is trained: stages in order, and in each stage the optimizers that take turns."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from numbers import Integral, Real
from typing import Any

from facecomp_lib import masks
from facecomp_lib.faces.augment import Augment
from facecomp_lib.utils.checks import check_choice, check_count, check_range, describe, shown

__all__ = ["Constant", "Cosine", "Loss", "Plateau", "OptimizerConfig", "Stage"]

OPTIMIZERS = ("adam", "rmsprop")
_LARGEST_BATCH = 65_536


@dataclass(frozen=True)
class Loss:
    """A loss term that is too expensive for every step.

    Attributes:
        weight: in the optimizer's objective.
        every: evaluate the term in each ``every``-th step in which the optimizer learns, with ``every`` times
            its weight, so that its share of the gradient stays the same on average.

    Raises:
        ValueError: a weight that is not finite, or ``every`` below 1.
    """

    weight: float
    every: int = 1

    def __post_init__(self) -> None:
        if not _is_number(self.weight):
            raise ValueError(f"The weight of a loss must be a finite number, not {shown(self.weight)}.")
        check_count(self.every, 1, "every")


@dataclass(frozen=True)
class Constant:
    """The learning rate stays as it is."""


@dataclass(frozen=True)
class Cosine:
    """The learning rate rises in ``warmup`` steps, then falls along half a cosine until the stage ends.

    Attributes:
        warmup: number of steps of the linear rise.
        final: share of the learning rate that is left at the end, 0 to 1.

    Raises:
        ValueError: a value out of range.
    """

    warmup: int = 0
    final: float = 0.0

    def __post_init__(self) -> None:
        check_count(self.warmup, 0, "warmup")
        check_range(self.final, 0, 1, "final")

    def factor(self, step: int, steps: int) -> float:
        """Multiplier of the learning rate in step number ``step``, from 0, of a stage of ``steps`` steps."""
        if step < self.warmup:
            return (step + 1) / (self.warmup + 1)
        progress = (step - self.warmup) / (steps - self.warmup)
        return self.final + (1 - self.final) * (1 + math.cos(math.pi * progress)) / 2


@dataclass(frozen=True)
class Plateau:
    """The learning rate falls when the validation loss stalls (``torch``'s ``ReduceLROnPlateau``).

    The validation loss is the optimizer's objective on the same validation faces under the same masks each
    time; ``fit`` needs ``validation`` faces for it.

    Attributes:
        factor: multiplier of the learning rate, above 0 and below 1.
        patience: number of evaluations without a new minimum that are still accepted.
        every: steps between two evaluations.

    Raises:
        ValueError: a value out of range.
    """

    factor: float = 0.1
    patience: int = 10
    every: int = 1000

    def __post_init__(self) -> None:
        if not _is_number(self.factor) or not 0 < self.factor < 1:
            raise ValueError(f"factor must lie between 0 and 1, not {shown(self.factor)}.")
        check_count(self.patience, 0, "patience")
        check_count(self.every, 1, "every")


Schedule = Constant | Cosine | Plateau


@dataclass(frozen=True)
class OptimizerConfig:
    """Networks that learn together: from which losses, and how.

    Attributes:
        networks: names among ``method.networks``.
        losses: loss term -> weight, a number or a :class:`Loss`; the optimizer's objective is their weighted
            sum. At least one term is evaluated each time.
        optimizer: ``"adam"`` or ``"rmsprop"``.
        lr: learning rate.
        betas: of Adam.
        clip: largest norm of the gradient, by default not limited.
        skip_below: skip the update in a step in which the objective is below this, so that a discriminator
            does not run away from the generator. Costs one more wait for the device per step.
        every: learn in each ``every``-th step only: 5 for a generator whose discriminators take five steps
            for each of its own.
        schedule: of the learning rate.

    Raises:
        ValueError: a value that no optimizer takes.
    """

    networks: tuple[str, ...]
    losses: Mapping[str, float | Loss]
    optimizer: str = "adam"
    lr: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    clip: float | None = None
    skip_below: float | None = None
    every: int = 1
    schedule: Schedule = field(default_factory=Constant)

    def __post_init__(self) -> None:
        if not _is_names(self.networks) or not isinstance(self.losses, Mapping):
            raise ValueError(
                "networks must be a tuple of names and losses name -> weight, not "
                f"{shown(self.networks)} and {describe(self.losses)}."
            )
        if not self.networks or not self.losses:
            raise ValueError("An optimizer needs a network that learns and a loss to learn from.")
        check_choice(self.optimizer, OPTIMIZERS, "optimizer")
        if not _is_number(self.lr) or not self.lr > 0:
            raise ValueError(f"lr must be above 0 and finite, not {shown(self.lr)}.")
        _check_betas(self.betas)
        if self.clip is not None and (not _is_number(self.clip) or not self.clip > 0):
            raise ValueError(f"clip must be None or above 0, not {shown(self.clip)}.")
        if self.skip_below is not None and not _is_number(self.skip_below):
            raise ValueError(f"skip_below must be None or a finite number, not {shown(self.skip_below)}.")
        check_count(self.every, 1, "every")
        if not isinstance(self.schedule, Schedule):
            raise ValueError(
                f"schedule must be Constant(), Cosine() or Plateau(), not {shown(self.schedule)}."
            )
        if all(loss.every > 1 for loss in self.terms.values()):
            raise ValueError(
                f"One of the losses {', '.join(self.losses)} must be evaluated each time: give one of them "
                "every=1, or give every to the optimizer."
            )

    @property
    def terms(self) -> dict[str, Loss]:
        """:attr:`losses`, plain numbers as :class:`Loss` objects."""
        return {term: w if isinstance(w, Loss) else Loss(w) for term, w in self.losses.items()}

    def due(self, step: int) -> dict[str, float]:
        """Terms of a step and their weights; empty in a step in which the optimizer does not learn.

        Args:
            step: of the stage, from 0.
        """
        turn, rest = divmod(step + 1, self.every)
        if rest:
            return {}
        return {term: x.weight * x.every for term, x in self.terms.items() if turn % x.every == 0}


@dataclass(frozen=True)
class Stage:
    """A stretch of training with fixed roles.

    Attributes:
        name: unique within a run.
        steps: how many.
        optimizers: who learns, in the order of their turns within a step. The **last** one owns what
            ``method.forward_train`` computes: its gradients reach the last one's networks only. One of them
            learns in every step.
        batch_size: samples of a step, all processes together.
        masks: kinds of masks (``fc.masks.KINDS``) or folders of mask images, each sample draws one of them;
            empty if the stage needs none.
        augment: changes made to the faces, None for none.
        ema: decay of the running average of the last optimizer's networks, once per step in which it learns;
            None for no average.
        watched: draw the watched faces now and then; pointless while nothing that draws is learning.

    Raises:
        ValueError: a field of another kind or out of range, an unknown kind of mask, two optimizers that
            share a network, an optimizer that would never learn.
    """

    name: str
    steps: int
    optimizers: Mapping[str, OptimizerConfig]
    batch_size: int = 16
    masks: tuple[str, ...] = ("random_square",)
    augment: Augment | None = field(default_factory=Augment)
    ema: float | None = None
    watched: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.isidentifier():
            raise ValueError(f"A stage's name becomes part of file names: {shown(self.name)} cannot.")
        self._check_fields()
        learners = [name for optimizer in self.optimizers.values() for name in optimizer.networks]
        if len(set(learners)) < len(learners):
            raise ValueError(f"In stage {self.name!r} a network belongs to two optimizers: {learners}.")
        self._check_turns()

    def at(self, step: int) -> Stage:
        """The stage with the optimizers and loss terms of one step, so that nothing else is prepared.

        Args:
            step: of the stage, from 0.
        """
        due = {name: config.due(step) for name, config in self.optimizers.items()}
        if all(len(due[name]) == len(config.losses) for name, config in self.optimizers.items()):
            return self
        learning = {
            name: replace(config, losses={term: config.losses[term] for term in due[name]})
            for name, config in self.optimizers.items()
            if due[name]
        }
        return replace(self, optimizers=learning)

    def _check_fields(self) -> None:
        of_it = f"of stage {self.name!r}"
        counts = _is_count(self.steps) and _is_count(self.batch_size) and self.batch_size <= _LARGEST_BATCH
        if not counts or not _all_optimizers(self.optimizers):
            raise ValueError(
                f"Stage {self.name!r} needs at least 1 step, a batch size of 1 ... {_LARGEST_BATCH} and an "
                f"optimizer (name -> OptimizerConfig), not {shown(self.steps)} steps, batch size "
                f"{shown(self.batch_size)} and {shown(self.optimizers)}."
            )
        if not _is_names(self.masks):
            raise ValueError(f"masks {of_it} must be a tuple of kinds or folders, not {shown(self.masks)}.")
        for kind in self.masks:
            masks.check_kind(kind)
        if not isinstance(self.augment, Augment | None):
            raise ValueError(f"augment {of_it} must be an Augment or None, not {shown(self.augment)}.")
        if self.ema is not None and (not _is_number(self.ema) or not 0 < self.ema < 1):
            raise ValueError(f"ema must be None or between 0 and 1, not {shown(self.ema)}.")

    def _check_turns(self) -> None:
        for name, optimizer in self.optimizers.items():
            if optimizer.every > self.steps:
                raise ValueError(
                    f"Optimizer {name!r} of stage {self.name!r} would never learn: the stage has "
                    f"{self.steps} steps, and every={optimizer.every}."
                )
            if isinstance(optimizer.schedule, Cosine) and optimizer.schedule.warmup >= self.steps:
                raise ValueError(
                    f"Optimizer {name!r} of stage {self.name!r} would only warm up: the stage has "
                    f"{self.steps} steps, and warmup={optimizer.schedule.warmup}."
                )
        if all(optimizer.every > 1 for optimizer in self.optimizers.values()):
            raise ValueError(
                f"In stage {self.name!r} nobody learns in every step: give an optimizer every=1."
            )


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 1


def _all_optimizers(value: Any) -> bool:
    configs = value.values() if isinstance(value, Mapping) else [None]
    return len(configs) > 0 and all(isinstance(config, OptimizerConfig) for config in configs)


def _is_names(value: Any) -> bool:
    """Whether it is a tuple or list of texts or paths, and no text itself."""
    return isinstance(value, tuple | list) and all(isinstance(name, str | os.PathLike) for name in value)


def _check_betas(betas: Any) -> None:
    pair = isinstance(betas, tuple | list) and len(betas) == 2
    if not pair or not all(_is_number(beta) and 0 <= beta < 1 for beta in betas):
        raise ValueError(f"betas must be two numbers in [0, 1), not {shown(betas)}.")
