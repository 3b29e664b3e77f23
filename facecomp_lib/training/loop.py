"""The stage loop: step after step to the end of a stage, saving as it goes."""

from __future__ import annotations

import contextlib
import json
import math
import time
import warnings
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
from facecomp_lib.training.checkpoint import load_checkpoint, read_weights, save_checkpoint, write_weights
from facecomp_lib.training.loader import BatchLoader
from facecomp_lib.training.manifest import PATH, digest
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
        written: what the manifest says of the run's files: ``files``, the digests of stage weights, ``card``,
            the text of the card, and ``log``.
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
    written: dict[str, Any] = field(default_factory=dict)
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
        """Load the checkpoint. A new run writes one first, so that all processes begin with equal weights.

        Raises:
            ValueError: a damaged checkpoint, or none where there was one.
        """
        method, fabric, folder = self.method, self.fabric, self.folder / PATH.parent
        method.to(device=fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if fabric.is_global_zero and not (self.folder / PATH).exists():
            self._check_new()
            self._save({}, {})
        fabric.barrier()
        content, tensors = load_checkpoint(folder)
        fabric.barrier()  # nobody saves while somebody still reads
        self.step, self.schedules = content["step"], content.get("schedules", {})
        self.written = {key: content[key] for key in ("files", "card", "log") if key in content}
        self.written.setdefault("files", self._digests())  # an earlier edition kept none
        self._start = time.monotonic() - content["seconds"]
        fabric.strategy.precision.load_state_dict(content["precision"])
        own = {key.removeprefix(_METHOD): v for key, v in tensors.items() if key.startswith(_METHOD)}
        method.load_state_dict(own)
        self.memory = {key: v for key, v in tensors.items() if not key.startswith(_METHOD)}
        if fabric.is_global_zero:
            self._mend()

    def load_stage(self, index: int) -> None:
        """Give the method the weights after an earlier stage.

        Raises:
            ValueError: they are missing or damaged.
        """
        path = weights_path(self.folder, self.stages[index].name)
        self.method.load_state_dict(read_weights(path, self.written["files"].get(path.name)))

    def _digests(self) -> dict[str, str]:
        """Of the weights after finished stages."""
        paths = [
            weights_path(self.folder, stage.name)
            for stage, end in zip(self.stages, self.ends, strict=True)
            if end <= self.step
        ]
        return {path.name: found for path in paths if (found := digest(path))}

    def _check_new(self) -> None:
        there = [self.folder / "log.csv", *(weights_path(self.folder, stage.name) for stage in self.stages)]
        if there := [path for path in there if path.exists()]:
            raise ValueError(
                f"{self.folder} holds {there[0].name} of a run, but its checkpoint {PATH} is gone: put it "
                "back, choose a fresh run_dir, or delete this one to train from the beginning."
            )

    def _mend(self) -> None:
        """Say which files of finished stages are not as they were written; write those that can be again."""
        found = self._digests()
        for stage, end in zip(self.stages, self.ends, strict=True):
            path = weights_path(self.folder, stage.name)
            recorded = self.written["files"].get(path.name)
            if end > self.step or (path.name in found and found[path.name] == recorded):
                continue
            if end == self.step:
                write_weights(path, self.method.state_dict())
                _warn(path, "it is written anew from the checkpoint")
            else:
                _warn(path, f"the method after stage {stage.name!r} is lost; the run itself is not affected")
        card = self.folder / "card.json"
        text = self.written.get("card")
        if text is not None and (not card.exists() or card.read_bytes() != text.encode()):
            atomic_write(card, text)
            _warn(card, "it is written anew")

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
            path = weights_path(self.folder, stage.name)
            write_weights(path, self.method.state_dict())
            self.written["files"][path.name] = digest(path)
            self.callbacks.show_faces(self.step, stage)
            self.written["card"] = self._card(index)
            self._save({}, {})
            atomic_write(self.folder / "card.json", self.written["card"])

    def _steps(self, trainer: StageTrainer, batches: Iterable[TrainBatch]) -> None:
        """Until the batches end, or until it is stopped."""
        stage, rank = trainer.stage, self.fabric.global_rank
        for batch in batches:
            place = trainer.done
            row = trainer.step(batch, _step_seed(self.seed, self.step, rank))
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
            self.written["log"] = self.callbacks.log.recorded
        own = {_METHOD + key: value for key, value in self.method.state_dict().items()}
        save_checkpoint(
            self.folder / PATH.parent,
            {**own, **memory},
            step=self.step,
            seconds=time.monotonic() - self._start,
            precision=self.fabric.strategy.precision.state_dict(),
            schedules=schedules,
            config=self.config["fingerprint"],
            **self.written,
        )
        self._saved = time.monotonic()

    def _card(self, index: int) -> str:
        seconds = time.monotonic() - self._start
        log = read_log(self.folder)
        card = make_card(self.config, self.method, self.stages[: index + 1], seconds, self.fabric, log)
        return json.dumps(card, indent=2, ensure_ascii=False) + "\n"


def _warn(path: Path, therefore: str) -> None:
    warnings.warn(f"{path} is missing, damaged or was changed: {therefore}.", stacklevel=4)


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
    """Seed of what networks draw by themselves in a step, as dropout does."""
    return int(np.random.SeedSequence((seed, step, rank)).generate_state(1, np.uint64)[0] >> np.uint64(1))
