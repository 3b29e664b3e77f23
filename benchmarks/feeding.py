"""How fast a training run is fed: against a data set that works item by item, and against training.

    python -m benchmarks.feeding [--batch 64] [--batches 15]

The ordinary way is a data set as one writes it first: for each item it opens an image and a map of classes
with Pillow, resizes them if the run wants less than the files hold, mirrors, turns, scales and shifts them,
changes brightness and contrast, draws a square hole, makes tensors; torch's DataLoader stacks them. Ours
makes the same of the same bytes: `cold` decodes each image, as a first epoch does, `warm` has them decoded.

The second table sets feeding beside the steps that it feeds: those of each stage of gfc at its lesson's size.
Both tables: one thread, CPU time of this process, so that a busy machine does not disturb it much; the median
over the batches.
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from lightning_fabric import Fabric
from PIL import Image, ImageDraw, ImageEnhance, ImageOps
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

import facecomp_lib as fc
from benchmarks.loading import write_files
from facecomp_lib.faces import Augment, dataset
from facecomp_lib.faces.dataset import FaceDataset
from facecomp_lib.faces.schema import LANDMARK_MIRROR, PARSING_MIRROR
from facecomp_lib.faces.store import Store
from facecomp_lib.methods import OptimizerConfig, Stage
from facecomp_lib.training.loader import BatchLoader
from facecomp_lib.training.step import StageTrainer

SWAP = [*PARSING_MIRROR.tolist(), *range(len(PARSING_MIRROR), 256)]


class ItemByItem(Dataset):
    """Image, landmarks, classes, mask: changed by an :class:`Augment`, hidden by a square, item by item."""

    def __init__(self, folder: Path, landmarks: np.ndarray, size: int, augment: Augment) -> None:
        self.images = sorted(folder.glob("*.webp"))
        self.maps = sorted(folder.glob("*.png"))
        self.landmarks, self.size, self.augment = landmarks, size, augment

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        random, size, points = np.random.default_rng(index), self.size, self.landmarks[index]
        with Image.open(self.images[index]) as file:
            image = file.convert("RGB")
        with Image.open(self.maps[index]) as file:
            labels = file.copy()
        if image.width != size:
            points = (points + 0.5) * (size / image.width) - 0.5
            image = image.resize((size, size), Image.Resampling.BOX)
            labels = labels.resize((size, size), Image.Resampling.NEAREST)
        if random.random() < self.augment.flip:
            image, labels = ImageOps.mirror(image), ImageOps.mirror(labels).point(SWAP)
            points = points[LANDMARK_MIRROR] * [-1, 1] + [size - 1, 0]
        forth, back = self.motion(random)
        how = (size, size), Image.Transform.AFFINE, back
        image = image.transform(*how, Image.Resampling.BILINEAR)
        labels = labels.transform(*how, Image.Resampling.NEAREST)
        points = points @ forth[:, :2].T + forth[:, 2]
        for change, most in (
            (ImageEnhance.Brightness, self.augment.brightness),
            (ImageEnhance.Contrast, self.augment.contrast),
        ):
            if most:
                image = change(image).enhance(random.uniform(1 - most, 1 + most))
        return floats(image), torch.from_numpy(points).float(), whole(labels), floats(self.hole(random))

    def motion(self, random: np.random.Generator) -> tuple[np.ndarray, tuple[float, ...]]:
        """An affine transform ``[2, 3]``, and the six numbers of its inverse that Pillow wants."""
        angle = math.radians(random.uniform(-self.augment.rotate, self.augment.rotate))
        most = math.log1p(self.augment.scale)
        scale = math.exp(random.uniform(-most, most))
        turn = scale * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        centre = np.full(2, (self.size - 1) / 2)
        shift = random.uniform(-self.augment.shift, self.augment.shift, 2) * self.size
        move = centre + shift - turn @ centre
        inner = np.linalg.inv(turn)
        offset = inner @ (-move - 0.5) + 0.5  # Pillow counts from the corner of a pixel
        return np.column_stack([turn, move]), tuple(np.column_stack([inner, offset]).ravel())

    def hole(self, random: np.random.Generator) -> Image.Image:
        side = self.size // 2
        left, top = random.integers(0, self.size - side + 1, 2).tolist()
        mask = Image.new("L", (self.size, self.size), 255)
        ImageDraw.Draw(mask).rectangle((left, top, left + side - 1, top + side - 1), fill=0)
        return mask


def floats(image: Image.Image) -> Tensor:
    values = torch.from_numpy(np.array(image)).float() / 255
    return values[None] if values.ndim == 2 else values.permute(2, 0, 1)


def whole(labels: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(labels)).long()


def milliseconds(work: Callable[[int], object], times: int) -> float:
    """Median CPU time of ``work(0)``, ``work(1)``, ..., after one that does not count."""
    found = []
    for number in range(times + 1):
        start = time.process_time()
        work(number)
        found.append(1000 * (time.process_time() - start))
    return statistics.median(found[1:])


def against_items(size: int, batch: int, batches: int) -> None:
    store = Store(dataset.PACK)
    stage = Stage(
        "any", 1, {"nobody": OptimizerConfig(("nothing",), {"none": 1.0})}, batch, masks=("random_square",)
    )
    assert stage.augment is not None
    rows = np.flatnonzero(store.column("split") == "train")[: batch * (batches + 1)]
    cold, warm = (FaceDataset(store, "train", size, keep) for keep in (0, 2**30))
    warm.batch(range(len(warm)))
    with tempfile.TemporaryDirectory() as folder:
        items = ItemByItem(Path(folder), write_files(store, rows, Path(folder)), size, stage.augment)
        batches_of_items = iter(DataLoader(items, batch))
        found = {"item by item": milliseconds(lambda _: next(batches_of_items), batches)}
    for name, data in (("cold", cold), ("warm", warm)):
        loader = BatchLoader(data, 0)
        found[name] = milliseconds(lambda k, loader=loader: loader.batch(stage, k, k * batch), batches)
    for name, figure in found.items():
        ratio = found["item by item"] / figure
        print(f"{size:4d} px  {name:14s} {1000 * figure / batch:7.0f} us per sample {ratio:6.1f} x")


def against_steps(size: int, width: float, steps: int) -> None:
    data = fc.faces.embedded("train", size)
    data.batch(range(len(data)))
    method = fc.methods.build("gfc", size=size, width=width)
    method.to(memory_format=torch.channels_last)
    fabric, loader = Fabric(accelerator="cpu", devices=1), BatchLoader(data, 0)
    for stage in method.stages("lesson"):
        trainer = StageTrainer(method, stage, fabric)
        fed: list[float] = []

        def step(number: int, stage: Stage = stage, trainer: StageTrainer = trainer, fed: list = fed) -> None:
            start = time.process_time()
            sample = loader.batch(stage, number, number * stage.batch_size)
            fed.append(1000 * (time.process_time() - start))
            trainer.step(sample)

        both, alone = milliseconds(step, steps), statistics.median(fed[1:])
        trainer.release()
        print(
            f"{size:4d} px  {stage.name:14s} {alone:7.2f} ms of feeding for {both - alone:6.0f} ms of "
            f"training a batch of {stage.batch_size}: {alone / (both - alone):6.2%}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--batches", type=int, default=15)
    wish = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    torch.zeros(2**22)  # after a first large one, as in training, the allocator keeps what is given back
    print("augmented faces with a square hole, parsing and landmarks:")
    for size in (64, 128):
        against_items(size, wish.batch, wish.batches)
    print("gfc at a quarter of its width, as in its lesson:")
    against_steps(size=64, width=0.25, steps=5)


if __name__ == "__main__":
    main()
