"""The batch of each step as a function of seed, step and process alone, prepared ahead by a thread."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facecomp_lib import masks
from facecomp_lib.faces.augment import Augment
from facecomp_lib.faces.dataset import FaceDataset
from facecomp_lib.faces.schema import FaceBatch
from facecomp_lib.methods import Stage, TrainBatch, sample_keys

__all__ = ["BatchLoader"]

_AHEAD = 2  # batches that wait for the trainer


class BatchLoader:
    """Batches of a training run, the same ones however the run is cut into processes and resumptions.

    A run numbers its samples from 0 on; each epoch shows every face once, in an order of its own. The random
    changes and masks of a sample depend on the seed, the step and its number (augmentation: on the face's),
    so any step can be asked for at any time, and two processes see together what one alone would see.

    Args:
        data: the faces.
        seed: of order, augmentation, masks and keys.
        rank, world: this process of how many; it gets one contiguous share of each step's samples.

    Raises:
        ValueError: no faces, or a rank that the world does not have.
    """

    def __init__(self, data: FaceDataset, seed: int, rank: int = 0, world: int = 1) -> None:
        if not len(data):
            raise ValueError(f"{data.name} has no faces to train on: choose another split.")
        if not 0 <= rank < world:
            raise ValueError(f"rank must lie in 0 ... {world - 1}, not {rank}.")
        self.data, self.seed, self.rank, self.world = data, seed, rank, world
        self._order = lru_cache(maxsize=2)(lambda epoch: data.order(seed, epoch))

    def batch(self, stage: Stage, step: int, first: int, device: torch.device | None = None) -> TrainBatch:
        """This process's share of one step.

        Args:
            stage: how many samples a step has, which masks, which augmentation.
            step: counted over all stages from 0 on.
            first: number within the run of the step's first sample, all processes counted.
            device: where the batch is needed, by default on the CPU; to a GPU it travels from pinned memory,
                without waiting.

        Raises:
            ValueError: the processes cannot share the batch evenly.
        """
        share, rest = divmod(stage.batch_size, self.world)
        if rest:
            raise ValueError(
                f"{self.world} processes cannot share the {stage.batch_size} samples per step of stage "
                f"{stage.name!r} evenly: make its batch_size a multiple of {self.world}."
            )
        numbers = first + self.rank * share + np.arange(share)
        faces = self.data.batch(self._faces(numbers), stage.augment, self.seed, step)
        keys = sample_keys(self.seed, step, torch.from_numpy(numbers))
        batch = TrainBatch(faces, self._mask(stage, step, faces, numbers, keys), keys)
        return batch if device is None else _to(batch, device)

    def batches(
        self, stage: Stage, steps: range, first: int, device: torch.device | None = None
    ) -> Generator[TrainBatch, None, None]:
        """The batches of these steps in order, prepared ahead by one background thread.

        The thread ends when the iterator does: exhausted, closed, or left and forgotten. What goes wrong in
        it is raised here.

        Args:
            stage, device: as in :meth:`batch`.
            steps: counted over all stages.
            first: number of the first sample of the first of them.
        """
        pool = ThreadPoolExecutor(1, "loader")
        ahead: deque[Future[TrainBatch]] = deque()
        try:
            for place, step in enumerate(steps):
                number = first + place * stage.batch_size
                ahead.append(pool.submit(self.batch, stage, step, number, device))
                if len(ahead) > _AHEAD:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def fixed(
        self, stage: Stage, faces: int, device: torch.device | None = None
    ) -> Generator[TrainBatch, None, None]:
        """The same batches at each call: about ``faces`` faces (whole batches of the stage, as far as there
        are faces), each under a mask of its own, not augmented but for the stage's crop."""
        crop = stage.augment.crop if stage.augment and not stage.augment.resize_crop else None
        stage = replace(stage, augment=Augment(0, 0, 0, 0, 0, 0, crop) if crop else None)
        for number in range(math.ceil(min(faces, len(self.data)) / stage.batch_size)):
            yield self.batch(stage, 0, number * stage.batch_size, device)

    def _faces(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Which face each sample shows."""
        epochs, places = np.divmod(numbers, len(self.data))
        pairs = zip(epochs.tolist(), places.tolist(), strict=True)
        return np.array([self._order(epoch)[place] for epoch, place in pairs])

    def _mask(
        self, stage: Stage, step: int, faces: FaceBatch, numbers: NDArray[np.int64], keys: Tensor
    ) -> Tensor:
        """Masks of the kinds that the samples' keys choose: ``[B, 1, H, W]``."""
        if not stage.masks:
            return torch.ones(len(faces), 1, *faces.size)
        mask = np.empty((len(faces), 1, *faces.size), np.float32)
        choices = keys.numpy() % len(stage.masks)
        for choice, kind in enumerate(stage.masks):
            if not len(chosen := np.flatnonzero(choices == choice)):
                continue
            points = None if faces.landmarks is None else faces.landmarks.numpy()[chosen]
            holes = masks.make(
                kind, faces.size, len(chosen), self.seed, points, step=step, index=numbers[chosen]
            )
            mask[chosen] = holes.numpy()
        return torch.from_numpy(mask)


def _to(batch: TrainBatch, device: torch.device) -> TrainBatch:
    faces, mask, keys = batch.faces, batch.mask, batch.keys
    if device.type == "cuda":
        faces, mask, keys = faces.pin_memory(), mask.pin_memory(), keys.pin_memory()
    return TrainBatch(
        faces.to(device, non_blocking=True),
        mask.to(device, non_blocking=True),
        keys.to(device, non_blocking=True),
    )
