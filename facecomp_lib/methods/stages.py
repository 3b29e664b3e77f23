"""How a method says it is trained: stages in order, and in each stage the optimizers that take turns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from facecomp_lib import masks
from facecomp_lib.faces.augment import Augment

__all__ = ["OptimizerConfig", "Stage"]

OPTIMIZERS = ("adam", "rmsprop")


@dataclass(frozen=True)
class OptimizerConfig:
    """Networks that learn together: from which losses, and how.

    Attributes:
        networks: names among ``method.networks``.
        losses: loss term -> weight; the optimizer's objective is their weighted sum.
        optimizer: ``"adam"`` or ``"rmsprop"``.
        lr: learning rate.
        betas: of Adam.
        clip: largest norm of the gradient, by default not limited.
        skip_below: the optimizer sits out a step on which its objective is below this, so that a
            discriminator does not run away from the generator.

    Raises:
        ValueError: a value that no optimizer takes.
    """

    networks: tuple[str, ...]
    losses: Mapping[str, float]
    optimizer: str = "adam"
    lr: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    clip: float | None = None
    skip_below: float | None = None

    def __post_init__(self) -> None:
        if not self.networks or not self.losses:
            raise ValueError("An optimizer needs a network that learns and a loss to learn from.")
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"optimizer must be one of {', '.join(OPTIMIZERS)}, not {self.optimizer!r}.")
        if not self.lr > 0 or not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"lr must be above 0 and betas in [0, 1), not {self.lr} and {self.betas}.")
        if self.clip is not None and not self.clip > 0:
            raise ValueError(f"clip must be None or above 0, not {self.clip}.")


@dataclass(frozen=True)
class Stage:
    """A stretch of training with fixed roles.

    Attributes:
        name: unique within a run.
        steps: how many.
        optimizers: who learns, in the order of their turns within a step. The **last** one owns what
            ``method.draw`` computes: gradients of the drawing reach its networks only.
        batch_size: samples of a step, all processes together.
        masks: kinds of masks (``fc.masks.KINDS``) or folders of mask images, each sample draws one of them;
            empty if the stage needs none.
        augment: changes made to the faces, None for none.
        ema: decay of the running average of the last optimizer's networks, None for no average.
        watched: draw the watched faces now and then; pointless while nothing that draws is learning.

    Raises:
        ValueError: no steps, no optimizers, an unknown kind of hole, two optimizers that share a network.
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
        if not self.name.isidentifier():
            raise ValueError(f"A stage's name becomes part of file names: {self.name!r} cannot.")
        if self.steps < 1 or self.batch_size < 1 or not self.optimizers:
            raise ValueError(
                f"Stage {self.name!r} needs at least 1 step, batch size 1 and an optimizer, not {self.steps} "
                f"steps, batch size {self.batch_size} and {len(self.optimizers)} optimizers."
            )
        for kind in self.masks:
            masks.check_kind(kind)
        if self.ema is not None and not 0 < self.ema < 1:
            raise ValueError(f"ema must be None or between 0 and 1, not {self.ema}.")
        learners = [name for optimizer in self.optimizers.values() for name in optimizer.networks]
        if len(set(learners)) < len(learners):
            raise ValueError(f"In stage {self.name!r} a network belongs to two optimizers: {learners}.")
