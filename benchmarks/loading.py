"""How fast batches of faces load: the course's data set against a data set that opens one file per item.

    python benchmarks/loading.py [--split train] [--batch 64] [--repeats 10]

Both deliver the same images, parsing maps and landmarks as one batch, on one thread, in this one process;
the files of the per-item data set hold the very same bytes, on the same disk. The course's data set brings
all its other labels too (the test split: mirror flow and light ratio). Times are CPU times, so that a busy
machine does not disturb them: the median over the repeats, in milliseconds per batch.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from facecomp_lib.faces import Augment, dataset
from facecomp_lib.faces.dataset import FaceDataset
from facecomp_lib.faces.store import Store


class OneFilePerItem(Dataset):
    """The ordinary way: a folder of images and maps, opened with Pillow item by item, collated by torch."""

    def __init__(self, folder: Path, landmarks: np.ndarray) -> None:
        self.images = sorted(folder.glob("*.webp"))
        self.maps = sorted(folder.glob("*.png"))
        self.landmarks = torch.from_numpy(landmarks)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        with Image.open(self.images[index]) as file:
            image = torch.from_numpy(np.array(file.convert("RGB"))).permute(2, 0, 1).float() / 255
        with Image.open(self.maps[index]) as labels:
            parsing = torch.from_numpy(np.array(labels)).long()
        return image, self.landmarks[index], parsing


def write_files(store: Store, rows: np.ndarray, folder: Path) -> np.ndarray:
    """The same bytes as single files; returns the landmarks ``[N, 68, 2]``."""
    for place, row in enumerate(rows):
        for column, suffix in (("image", "webp"), ("parsing", "png")):
            (folder / f"{place:06d}.{suffix}").write_bytes(store.encoded(column, int(row)))
    return store.column("landmarks")[rows].reshape(-1, 68, 2)


def milliseconds(load: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.process_time()
        load()
        times.append(1000 * (time.process_time() - start))
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--split", default="train", choices=("train", "val", "test"))
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=10)
    wish = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)

    store = Store(dataset.PACK)
    rows = np.flatnonzero(store.column("split") == wish.split)
    indices = np.arange(wish.batch) % len(rows)
    cold = FaceDataset(store, wish.split, keep_bytes=0)
    warm = FaceDataset(store, wish.split)
    warm.batch(indices)
    augment, photographic = Augment(), Augment.photographic()
    fields = [name for name, value in vars(warm[0]).items() if value is not None]
    print(f"{warm}; a batch of {wish.batch} holds {', '.join(fields)}")

    with tempfile.TemporaryDirectory() as folder:
        ordinary = OneFilePerItem(Path(folder), write_files(store, rows, Path(folder)))
        loader = DataLoader(ordinary, batch_size=wish.batch, sampler=indices.tolist())
        image, landmarks, parsing = next(iter(loader))
        batch = cold.batch(indices)
        assert batch.parsing is not None and batch.landmarks is not None
        assert torch.equal(parsing, batch.parsing) and torch.equal(landmarks, batch.landmarks)
        assert (image - batch.image).abs().max() <= 1 / 255, "the two do not load the same images"
        figures = {
            "one file per item (Pillow, DataLoader)": milliseconds(lambda: next(iter(loader)), wish.repeats),
            "cold: every image decoded": milliseconds(lambda: cold.batch(indices), wish.repeats),
            "warm: decoded before": milliseconds(lambda: warm.batch(indices), wish.repeats),
            "warm and augmented": milliseconds(lambda: warm.batch(indices, augment=augment), wish.repeats),
            "the same, all of it by PyTorch": milliseconds(
                lambda: augment(warm.batch(indices), index=indices), wish.repeats
            ),
            "warm and Augment.photographic()": milliseconds(
                lambda: warm.batch(indices, augment=photographic), wish.repeats
            ),
        }
    reference = next(iter(figures.values()))
    for name, figure in figures.items():
        print(f"{name:42s} {figure:7.1f} ms   {reference / figure:5.1f} x")


if __name__ == "__main__":
    main()
