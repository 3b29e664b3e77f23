"""How a method says it is trained: stages in order, and in each stage the players that take turns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from facecomp_lib import masks
from facecomp_lib.faces.augment import Augment

__all__ = ["Player", "Stage"]

OPTIMISERS = ("adam", "rmsprop")


@dataclass(frozen=True)
class Player:
    """Networks that learn together: from which losses, and how.

    Attributes:
        networks: names among ``method.networks``.
        losses: loss term -> weight; the player's objective is their weighted sum.
        optimiser: ``"adam"`` or ``"rmsprop"``.
        lr: learning rate.
        betas: of Adam.
        clip: largest norm of the gradient, by default not limited.
        pause_below: the player sits out a step on which its objective is below this, so that a critic does
            not run away from the generator.

    Raises:
        ValueError: a value that no optimiser takes.
    """

    networks: tuple[str, ...]
    losses: Mapping[str, float]
    optimiser: str = "adam"
    lr: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    clip: float | None = None
    pause_below: float | None = None

    def __post_init__(self) -> None:
        if not self.networks or not self.losses:
            raise ValueError("A player needs a network that learns and a loss to learn from.")
        if self.optimiser not in OPTIMISERS:
            raise ValueError(f"optimiser must be one of {', '.join(OPTIMISERS)}, not {self.optimiser!r}.")
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
        players: who learns, in the order of their turns within a step. The **last** one owns what
            ``method.draw`` computes: gradients of the drawing reach its networks only.
        batch_size: samples of a step, all processes together.
        masks: kinds of holes (``fc.masks.KINDS``), each sample draws one of them; empty if the stage needs
            none.
        augment: changes made to the faces, None for none.
        ema: decay of the running average of the last player's networks, None for no average.
        watched: draw the watched faces now and then; pointless while nothing that draws is learning.

    Raises:
        ValueError: no steps, no players, an unknown kind of hole, two players that share a network.
    """

    name: str
    steps: int
    players: Mapping[str, Player]
    batch_size: int = 16
    masks: tuple[str, ...] = ("random_square",)
    augment: Augment | None = field(default_factory=Augment)
    ema: float | None = None
    watched: bool = True

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ValueError(f"A stage's name becomes part of file names: {self.name!r} cannot.")
        if self.steps < 1 or self.batch_size < 1 or not self.players:
            raise ValueError(
                f"Stage {self.name!r} needs at least 1 step, batch size 1 and a player, not {self.steps} "
                f"steps, batch size {self.batch_size} and {len(self.players)} players."
            )
        if unknown := [kind for kind in self.masks if kind not in masks.KINDS]:
            raise ValueError(f"Unknown mask kinds {unknown}: choose from {', '.join(masks.KINDS)}.")
        if self.ema is not None and not 0 < self.ema < 1:
            raise ValueError(f"ema must be None or between 0 and 1, not {self.ema}.")
        learners = [name for player in self.players.values() for name in player.networks]
        if len(set(learners)) < len(learners):
            raise ValueError(f"In stage {self.name!r} a network belongs to two players: {learners}.")
