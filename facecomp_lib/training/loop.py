"""The stage loop: step after step to the end of a stage, saving as it goes."""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from facecomp_lib.faces.dataset import FaceDataset
from facecomp_lib.methods import Method, Stage, TrainBatch
from facecomp_lib.training.checkpoint import load_checkpoint, save_checkpoint, write_weights
from facecomp_lib.training.loader import BatchLoader
from facecomp_lib.training.run_dir import make_card, read_log, weights_path
from facecomp_lib.training.run_log import Callbacks
from facecomp_lib.training.signals import GracefulShutdown
from facecomp_lib.training.step import StageTrainer
from facecomp_lib.utils.files import atomic_write

__all__ = ["Loop"]

_METHOD = "method/"  # before the names of weights in a checkpoint
_VALIDATION = 64  # faces that a learning rate is judged by


@dataclass
class Loop:
    """A run on its way.

    Attributes:
        stages: all of the run.
        stop: asks it to save and leave.
        config: what the card says of what was given.
        save_every: seconds between checkpoints.
        validation: faces for learning rates that wait for a plateau.
        compile: whether networks are compiled.
        callbacks: process 0's.
        step: number of steps done.
        memory, schedules: what the checkpoint holds for the middle of a stage.
    """

    method: Method
    data: FaceDataset
    folder: Path
    stages: list[Stage]
    seed: int
    fabric: Fabric
    stop: GracefulShutdown
    config: Mapping[str, Any]
    save_every: float
    validation: FaceDataset | None = None
    compile: bool = False
    callbacks: Callbacks | None = None
    step: int = 0
    memory: dict[str, Tensor] = field(default_factory=dict)
    schedules: dict[str, Any] = field(default_factory=dict)
    _start: float = 0.0  # on the monotonic clock, as if there had been no pauses between the calls
    _saved: float = 0.0

    def __post_init__(self) -> None:
        self.loader = self._loader(self.data)
        self._start = self._saved = time.monotonic()

    @property
    def ends(self) -> list[int]:
        """For each stage, the number of steps done when it is finished."""
        return np.cumsum([stage.steps for stage in self.stages]).tolist()

    def begin(self) -> None:
        """Load the checkpoint. A new run writes one first, so that all processes begin with equal weights."""
        method, fabric, folder = self.method, self.fabric, self.folder / "state"
        method.to(device=fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if fabric.is_global_zero and not (folder / "state.json").exists():
            self._save({}, {})
        fabric.barrier()
        content, tensors = load_checkpoint(folder)
        fabric.barrier()  # nobody saves while somebody still reads
        self.step, self.schedules = content["step"], content.get("schedules", {})
        self._start = time.monotonic() - content["seconds"]
        fabric.strategy.precision.load_state_dict(content["precision"])
        own = {key.removeprefix(_METHOD): v for key, v in tensors.items() if key.startswith(_METHOD)}
        method.load_state_dict(own)
        self.memory = {key: v for key, v in tensors.items() if not key.startswith(_METHOD)}

    def run(self, last: int) -> None:
        """From where it stands to the end of stage number ``last``, or until it is stopped."""
        for index, end in enumerate(self.ends[: last + 1]):
            if self.step < end and self.stop.caught is None:
                self._stage(index)

    def _stage(self, index: int) -> None:
        stage, end = self.stages[index], self.ends[index]
        begin = end - stage.steps
        seen = sum(before.steps * before.batch_size for before in self.stages[:index])
        seen += (self.step - begin) * stage.batch_size
        trainer = StageTrainer(self.method, stage, self.fabric, self._fixed_batches(stage), self.compile)
        try:
            if self.step > begin:
                trainer.restore(self.step - begin, self.memory, self.schedules)
            self.memory, self.schedules = {}, {}
            batches = self.loader.batches(stage, range(self.step, end), seen, self.fabric.device)
            with contextlib.closing(batches):  # type: ignore[type-var]
                self._steps(trainer, batches)
            if self.step == end:
                trainer.finish()
        finally:
            trainer.release()
        if self.step == end and self.callbacks:  # the checkpoint last: what it ends is there
            write_weights(weights_path(self.folder, stage.name), self.method.state_dict())
            self.callbacks.show_faces(self.step, stage)
            self._card(index)
            self._save({}, {})

    def _steps(self, trainer: StageTrainer, batches: Iterable[TrainBatch]) -> None:
        """Until the batches end, or until it is stopped."""
        stage, rank = trainer.stage, self.fabric.global_rank
        for batch in batches:
            place = trainer.done
            torch.manual_seed(_step_seed(self.seed, self.step, rank))
            row = trainer.step(batch)
            check_finite(row, f"step {self.step}, the {place}-th of stage {stage.name!r}")
            if self.callbacks:
                self.callbacks.step(self.step, stage, row, place)
            self.step += 1
            stopped = self.stop.caught is not None
            due = time.monotonic() - self._saved >= self.save_every
            if (stopped or due) and place + 1 < stage.steps and self.callbacks:
                self._save(trainer.tensors(), trainer.schedules())
            if stopped:
                return

    def _loader(self, data: FaceDataset) -> BatchLoader:
        return BatchLoader(data, self.seed, self.fabric.global_rank, self.fabric.world_size)

    def _fixed_batches(self, stage: Stage) -> Callable[[], Iterable[TrainBatch]]:
        """What gives the validation batches of a stage."""
        if self.validation is None:
            return tuple
        loader = self._loader(self.validation)
        return lambda: loader.fixed(stage, _VALIDATION, self.fabric.device)

    def _save(self, memory: Mapping[str, Tensor], schedules: Mapping[str, Any]) -> None:
        """A checkpoint; rows of the log reach the disk before it."""
        if self.callbacks:
            self.callbacks.log.sync()
        own = {_METHOD + key: value for key, value in self.method.state_dict().items()}
        save_checkpoint(
            self.folder / "state",
            {**own, **memory},
            step=self.step,
            seconds=time.monotonic() - self._start,
            precision=self.fabric.strategy.precision.state_dict(),
            schedules=schedules,
        )
        self._saved = time.monotonic()

    def _card(self, index: int) -> None:
        seconds = time.monotonic() - self._start
        log = read_log(self.folder)
        card = make_card(self.config, self.method, self.stages[: index + 1], seconds, self.fabric, log)
        text = json.dumps(card, indent=2, ensure_ascii=False)
        atomic_write(self.folder / "card.json", text + "\n")


def check_finite(row: Mapping[str, float], place: str) -> None:
    """The guard against a run that goes on with nonsense.

    Args:
        row: of :meth:`StageTrainer.step`.
        place: of the step, in words.

    Raises:
        FloatingPointError: a loss or a gradient is not finite.
    """
    for name, value in row.items():
        if not math.isfinite(value):
            raise FloatingPointError(
                f"{name} is {value} at {place}. The last checkpoint is from before that; what usually "
                "helps is a smaller lr, clip, or a smaller weight of this loss."
            )


def _step_seed(seed: int, step: int, rank: int) -> int:
    """Seed for PyTorch's own generators in a step, which dropout uses for example."""
    return int(np.random.SeedSequence((seed, step, rank)).generate_state(1, np.uint64)[0] >> np.uint64(1))
