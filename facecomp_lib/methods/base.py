"""What all five papers share: a method owns networks, says how they are trained, and completes faces."""

from __future__ import annotations

import copy
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from facecomp_lib import masks
from facecomp_lib.completion import Completion
from facecomp_lib.faces.schema import FaceBatch
from facecomp_lib.methods.options import check_options
from facecomp_lib.methods.stages import Stage
from facecomp_lib.nn.precision import full_precision
from facecomp_lib.utils.checks import check_count
from facecomp_lib.utils.doors import door
from facecomp_lib.utils.random import uniform

__all__ = ["Method", "TrainBatch", "loss_terms", "register"]

CLASSES: dict[str, type[Method]] = {}
"""Name -> the class that was defined last under that name in this program."""

_GIVEN = ("self", "image", "mask", "seed")  # parameters of predict that are not conditions


@dataclass(frozen=True, eq=False)
class TrainBatch:
    """What one training step sees.

    Attributes:
        faces: B faces with their labels, as augmented.
        mask: ``[B, 1, H, W]``, 1 = known; all ones in a stage without holes.
        keys: int64 ``[B]``, a number per face from (seed, step, face): all randomness hangs on it.
    """

    faces: FaceBatch
    mask: Tensor
    keys: Tensor

    @property
    def image(self) -> Tensor:
        """``[B, 3, H, W]`` in [0, 1], undamaged."""
        return self.faces.image

    def __len__(self) -> int:
        return len(self.faces)

    def uniform(self, shape: Sequence[int], salt: str = "") -> Tensor:
        """Random numbers in [0, 1), ``[B, *shape]``: other ones for another salt, the same ones however the
        batch is spread over processes."""
        return uniform(self.keys, shape, salt)


def loss_terms(stage: Stage) -> frozenset[str]:
    """The loss terms that a stage needs: what :meth:`Method.forward_train` has to prepare."""
    return frozenset(term for optimizer in stage.optimizers.values() for term in optimizer.losses)


class Method(nn.Module, ABC):
    """One paper. A subclass with a ``name`` becomes what ``fc.methods.build(name)`` builds.

    A subclass assigns its networks as attributes and has

    - :meth:`stages`: how they are trained;
    - :meth:`forward_train`: what the losses of one step share, computed once;
    - ``loss_<term>(batch, outputs)``, for each loss term that its stages name: a scalar;
    - :meth:`predict`: from a damaged image to the network's output.

    Args:
        config: everything that is needed to build the method again, as keyword arguments of its class;
            ``size``, the side of its images in px, among them.

    Raises:
        ValueError: a ``size`` or width that is no size or width at all, or an option of another kind than the
            class's annotations say.
    """

    name: ClassVar[str] = ""
    STAGES: ClassVar[Mapping[str, Callable[..., Stage | list[Stage]]]] = {}
    """Name -> the function that builds this stage, or these stages, from options such as ``steps``."""
    completes = True
    """Whether it draws the missing pixels; the trainer shows completions of those that do."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.name:
            register(cls)

    def __init__(self, *, size: int, **config: Any) -> None:
        super().__init__()
        self.size = size
        self.config: dict[str, Any] = {"size": size, **config}
        check_options(type(self), self.config)
        self.card: dict[str, Any] = {}  # of the checkpoint that was loaded, if any

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The parts that learn, by name."""
        return dict(self.named_children())

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The type of the weights."""
        return next(self.parameters()).dtype

    @property
    def conditions(self) -> list[str]:
        """What :meth:`predict` takes beside image, mask and seed, by name."""
        return [name for name in inspect.signature(self.predict).parameters if name not in _GIVEN]

    @abstractmethod
    def stages(self, preset: str) -> list[Stage]:
        """How it is trained, stage after stage, at the size of a preset."""

    def make_stages(self, name: str, **options: Any) -> list[Stage]:
        """Build the stages of one entry of :attr:`STAGES` for this method.

        Args:
            name: the entry.
            options: arguments of its function. Those that the method has, too (such as ``size``), are the
                method's unless they are given.

        Raises:
            ValueError: no such entry, an option that its function does not take, or one that it needs.
        """
        if name not in self.STAGES:
            raise ValueError(f"{self.name} has no stage {name!r}: choose one of {', '.join(self.STAGES)}.")
        parameters = inspect.signature(self.STAGES[name]).parameters
        if unknown := sorted(set(options) - set(parameters)):
            raise ValueError(
                f"Stage {name!r} of {self.name} has no option {', '.join(unknown)}; it has "
                f"{', '.join(parameters)}."
            )
        options = {key: self.config[key] for key in parameters if key in self.config} | options
        needed = [key for key, value in parameters.items() if value.default is value.empty]
        if missing := [key for key in needed if key not in options]:
            raise ValueError(f"Stage {name!r} of {self.name} needs {', '.join(missing)}.")
        stages = self.STAGES[name](**options)
        return [stages] if isinstance(stages, Stage) else stages

    @abstractmethod
    def forward_train(self, batch: TrainBatch, stage: Stage) -> Any:
        """Compute once, with gradients, what the losses of a step share.

        Returns:
            A dataclass of the paper's own; None if the stage's losses share nothing. :func:`loss_terms` says
            which losses there are.
        """

    def losses(self, batch: TrainBatch, outputs: Any, terms: Iterable[str]) -> dict[str, Tensor]:
        """The named terms as scalars, unweighted.

        Each is a mean over the faces of the batch, so that the mean over processes is the term of the whole
        batch. A discriminator's term detaches what the generator computed.

        Args:
            batch: what the step sees.
            outputs: of :meth:`forward_train`.
            terms: names of losses.

        Raises:
            ValueError: the method has no such term.
        """
        found = {}
        for term in terms:
            if (loss := getattr(self, f"loss_{term}", None)) is None:
                known = [name[5:] for name in dir(self) if name.startswith("loss_")]
                raise ValueError(f"{self.name} has no loss {term!r}; it has {', '.join(known)}.")
            found[term] = loss(batch, outputs)
        return found

    @abstractmethod
    def predict(self, image: Tensor, mask: Tensor, *, seed: int = 0) -> tuple[Tensor, dict[str, Tensor]]:
        """Run the networks on damaged images; :meth:`complete` calls this with what it has checked.

        A paper that can be told more names it as further keyword arguments, its conditions, such as
        ``landmarks: Tensor | None = None``.

        Args:
            image: ``[B, 3, S, S]`` in [0, 1], zero where missing, in the weights' type and on their device.
            mask: ``[B, 1, S, S]``, 1 = known, in the same type.
            seed: of random fills.

        Returns:
            the raw output ``[B, 3, S, S]`` in [0, 1] (NaN if the method does not draw), and what else it
            found, by name.
        """

    @door
    @torch.no_grad()
    def complete(self, image: Tensor, mask: Tensor, seed: int = 0, **conditions: Any) -> Completion:
        """Complete damaged faces.

        Runs in eval mode, whatever mode the method is in, and leaves the mode as it was. A face's completion
        does not depend on the other faces of the batch. It is computed in the type of the weights and
        returned in that of the image.

        Args:
            image: ``[B, 3, S, S]`` in [0, 1], of any floating type; what lies under the hole is ignored.
            mask: ``[B, 1, S, S]`` or ``[1, 1, S, S]``, 1 = known, 0 = missing.
            seed: of random fills, not negative; the same seed gives the same completion.
            conditions: what the method can be told beside; :attr:`conditions` lists their names.

        Raises:
            ValueError: images of another size, values out of range, a mask of another shape or one under
                which nothing is known, a seed that is none, a condition that the method does not take.
        """
        if unknown := sorted(set(conditions) - set(self.conditions)):
            takes = f"it takes {', '.join(self.conditions)}" if self.conditions else "it takes none"
            raise ValueError(f"{self.name} takes no condition {', '.join(unknown)}; {takes}.")
        check_count(seed, 0, "seed", 2**63 - 1)
        mask = masks.check(image, mask)
        if tuple(image.shape[2:]) != (self.size, self.size):
            height, width = image.shape[2:]
            raise ValueError(
                f"This {self.name} completes images of {self.size} x {self.size} px, not {height} x "
                f"{width}: resize them, or build one of that size."
            )
        image, mask = image.to(self.device), mask.to(self.device)
        damaged = torch.where(mask > 0.5, image, 0.0)
        # autocast is for float32 weights: it mixes others with types of its own
        with self.evaluating(), nullcontext() if self.dtype == torch.float32 else full_precision(image):
            raw, extras = self.predict(damaged.to(self.dtype), mask.to(self.dtype), seed=seed, **conditions)
        raw = raw.to(image.dtype)
        return Completion(masks.merge(image, raw, mask), raw, extras)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle config and weights, because PyTorch pickles no module with spectral norm."""
        modes = [module.training for module in self.modules()]
        return _rebuild, (type(self), self.config, self.state_dict(), modes, self.card)

    def __deepcopy__(self, memo: dict[int, Any]) -> Method:
        other = memo[id(self)] = type(self).__new__(type(self))
        other.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return other

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """``with method.evaluating(): ...``: eval mode; afterwards each module is in the mode it was in."""
        modes = {module: module.training for module in self.modules()}
        self.eval()
        try:
            yield
        finally:
            for module, mode in modes.items():
                module.training = mode


def _rebuild(
    cls: type[Method], config: Mapping[str, Any], weights: Mapping[str, Tensor], modes: list[bool], card: Any
) -> Method:
    """The method that :meth:`Method.__reduce__` took apart."""
    with torch.random.fork_rng(devices=[]):
        method = cls(**config)
    method.load_state_dict(weights, assign=True)  # in their type, on their device
    for module, mode in zip(method.modules(), modes, strict=True):
        module.training = mode
    method.card = card
    return method


def register(cls: type[Method]) -> None:
    """Make a class the one that its name builds.

    The last definition wins, so that an edited lesson trains what its reader wrote. Only the import of an
    exported module does not displace a class that was defined in the notebook or script itself.
    """
    known = CLASSES.get(cls.name)
    if known is None or known.__module__ != "__main__" or cls.__module__ == "__main__":
        CLASSES[cls.name] = cls
