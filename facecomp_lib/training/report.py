"""What process 0 tells the world while a run goes on: progress bar, log, images of fixed faces, figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor
from tqdm.auto import tqdm

from facecomp_lib import masks
from facecomp_lib.faces.dataset import FaceDataset
from facecomp_lib.methods import Method, Stage
from facecomp_lib.training.rundir import Log, write_image

__all__ = ["Report", "Watcher"]

IMAGES = 20  # of the watched faces in a stage


class Watcher(Protocol):
    """Something that follows a run, such as ``LiveFigure``."""

    def update(self, step: int, stage: str, terms: Mapping[str, float], /) -> None: ...
    def images(self, step: int, images: Tensor, /) -> None: ...
    def close(self) -> None: ...


class Report:
    """Follows a run from a step to the end of a stage.

    Args:
        folder: of the run.
        stages: all of the run's.
        step, end: where it stands, and where it will stop.
        method, data, count: the first faces of the data set are completed ever anew.

    Attributes:
        watchers: are told of everything, and closed in the end.
    """

    def __init__(
        self,
        folder: Path,
        stages: Sequence[Stage],
        step: int,
        end: int,
        method: Method,
        data: FaceDataset,
        count: int,
    ) -> None:
        self.folder, self.method = folder, method
        self.watchers: list[Watcher] = []
        fits = data.size == method.size
        self.faces = data.batch(range(min(count, len(data)))) if fits and count else None
        self.log = Log(folder, stages, step)
        # remaining time from the recent rate: later stages have more losses than the first
        self.bar = tqdm(total=end, initial=step, unit="step", smoothing=0.05, mininterval=0.5)

    def __enter__(self) -> Report:
        return self

    def __exit__(self, *_: object) -> None:
        for resource in (self.log, self.bar, *self.watchers):
            resource.close()

    def step(self, step: int, stage: Stage, row: Mapping[str, float], place: int) -> None:
        """After step number ``step``, the stage's ``place``-th, both from 0."""
        self.log.row(step, stage.name, row)
        if place == 0:
            self.bar.set_description(stage.name, refresh=False)
        self.bar.update()
        for watcher in self.watchers:
            watcher.update(step, stage.name, row)
        every = -(-stage.steps // IMAGES)
        if (place + 1) % every == 0 and place + 1 < stage.steps:
            self.draw(step + 1, stage)

    def draw(self, step: int, stage: Stage) -> None:
        """The fixed faces as the method completes them after this many steps: damaged, completed, true."""
        if self.faces is None or not stage.masks or not stage.watched:
            return
        image = self.faces.image.to(self.method.device)
        mask = fixed_holes(stage, len(image), self.method.size, self.faces.landmarks).to(image.device)
        composite = self.method.complete(image, mask).composite
        damaged = torch.where(mask > 0.5, image, 0.5)
        write_image(self.folder / "images" / f"{step:08d}.webp", [damaged, composite, image])
        for watcher in self.watchers:
            watcher.images(step, composite)


def fixed_holes(stage: Stage, count: int, size: int, landmarks: Tensor | None) -> Tensor:
    """A hole for each watched face, always the same one: ``[count, 1, size, size]``."""
    kinds = [stage.masks[k % len(stage.masks)] for k in range(count)]
    points = [None if landmarks is None else landmarks[k : k + 1] for k in range(count)]
    return torch.cat([masks.make(kinds[k], size, 1, 0, points[k], index=[k]) for k in range(count)])
