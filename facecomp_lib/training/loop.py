"""The stage loop: step after step to the end of a stage, saving as it goes."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from facecomp_lib.faces.dataset import FaceDataset
from facecomp_lib.methods import Method, Stage, TrainBatch
from facecomp_lib.training.card import card_of
from facecomp_lib.training.feed import Feed
from facecomp_lib.training.interrupt import Deferred
from facecomp_lib.training.report import Report
from facecomp_lib.training.rundir import read_log, weights_path
from facecomp_lib.training.state import load_state, save_state, write_text, write_weights
from facecomp_lib.training.step import Turns, check_finite

__all__ = ["Loop"]

_METHOD = "method/"  # before the names of weights in a checkpoint


@dataclass
class Loop:
    """A run on its way.

    Attributes:
        stop: asks it to save and leave.
        facts: what the card says of what was given.
        save_every: seconds between checkpoints.
        report: process 0's.
        step: number of steps done.
        memory: what the checkpoint holds for the middle of a stage.
    """

    method: Method
    data: FaceDataset
    folder: Path
    plan: list[Stage]
    seed: int
    fabric: Fabric
    stop: Deferred
    facts: Mapping[str, Any]
    save_every: float
    report: Report | None = None
    step: int = 0
    memory: dict[str, Tensor] = field(default_factory=dict)
    _start: float = 0.0  # on the monotonic clock, as if there had been no pauses between the calls
    _saved: float = 0.0

    def __post_init__(self) -> None:
        self.feed = Feed(self.data, self.seed, self.fabric.global_rank, self.fabric.world_size)
        self._start = self._saved = time.monotonic()

    @property
    def ends(self) -> list[int]:
        """For each stage, the number of steps done when it is finished."""
        return np.cumsum([stage.steps for stage in self.plan]).tolist()

    def begin(self) -> None:
        """Load the checkpoint. A new run writes one first, so that all processes begin with equal weights."""
        method, fabric, folder = self.method, self.fabric, self.folder / "state"
        method.to(device=fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if fabric.is_global_zero and not (folder / "state.json").exists():
            self._save({})
        fabric.barrier()
        content, tensors = load_state(folder)
        fabric.barrier()  # nobody saves while somebody still reads
        self.step = content["step"]
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
        stage, end = self.plan[index], self.ends[index]
        begin = end - stage.steps
        seen = sum(before.steps * before.batch_size for before in self.plan[:index])
        seen += (self.step - begin) * stage.batch_size
        turns = Turns(self.method, stage, self.fabric)
        try:
            if self.step > begin:
                turns.restore(self.memory)
            self.memory = {}
            samples = self.feed.samples(stage, range(self.step, end), seen, self.fabric.device)
            with contextlib.closing(samples):  # type: ignore[type-var]
                self._steps(turns, begin, samples)
            if self.step == end:
                turns.finish()
        finally:
            turns.release()
        if self.step == end and self.report:  # the checkpoint last: what it ends is there
            write_weights(weights_path(self.folder, stage.name), self.method.state_dict())
            self.report.draw(self.step, stage)
            self._card(index)
            self._save({})

    def _steps(self, turns: Turns, begin: int, samples: Iterable[TrainBatch]) -> None:
        """Until the samples end, or until it is stopped."""
        stage, rank = turns.stage, self.fabric.global_rank
        for sample in samples:
            place = self.step - begin
            torch.manual_seed(_step_seed(self.seed, self.step, rank))
            row = turns.step(sample)
            check_finite(row, f"step {self.step}, the {place}-th of stage {stage.name!r}")
            if self.report:
                self.report.step(self.step, stage, row, place)
            self.step += 1
            stopped = self.stop.caught is not None
            due = time.monotonic() - self._saved >= self.save_every
            if (stopped or due) and place + 1 < stage.steps and self.report:
                self._save(turns.tensors())
            if stopped:
                return

    def _save(self, memory: Mapping[str, Tensor]) -> None:
        """A checkpoint; rows of the log reach the disk before it."""
        if self.report:
            self.report.log.sync()
        own = {_METHOD + key: value for key, value in self.method.state_dict().items()}
        save_state(
            self.folder / "state",
            {**own, **memory},
            step=self.step,
            seconds=time.monotonic() - self._start,
            precision=self.fabric.strategy.precision.state_dict(),
        )
        self._saved = time.monotonic()

    def _card(self, index: int) -> None:
        seconds = time.monotonic() - self._start
        log = read_log(self.folder)
        card = card_of(self.facts, self.method, self.plan[: index + 1], seconds, self.fabric, log)
        write_text(self.folder / "card.json", json.dumps(card, indent=2, ensure_ascii=False))


def _step_seed(seed: int, step: int, rank: int) -> int:
    """Of what a step draws from PyTorch's own generators, dropout for example."""
    return int(np.random.SeedSequence((seed, step, rank)).generate_state(1, np.uint64)[0] >> np.uint64(1))
