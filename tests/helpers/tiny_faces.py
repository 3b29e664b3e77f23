"""Small made-up data sets for tests: nothing about them looks like a face, every label is there and known."""

import numpy as np
import torch

from facecomp_lib.faces.schema import LANDMARK_MIRROR, FaceBatch
from facecomp_lib.faces.writer import Writer

SIZE = 32
ATTRIBUTES = ("male", "beard")
SCALARS = ("age",)


def own_pixels(size):
    line = np.linspace(-1, 1, size, dtype=np.float32)
    return np.stack(np.meshgrid(line, line), -1)


def record(number, size=SIZE):
    """A record as renderers and preparing scripts write it."""
    rng = np.random.default_rng(number)
    y, x = np.mgrid[:size, :size] / size
    waves = [np.sin(rng.uniform(2, 5) * x + rng.uniform(2, 5) * y + rng.uniform(0, 6)) for _ in range(3)]
    shift = np.array([rng.uniform(-3, 3), 0]) * 2 / (size - 1)
    return {
        "name": f"face {number}",
        "split": ("train", "val", "test")[number % 3],
        "identity": number,
        "image": np.uint8(127.5 + 120 * np.stack(waves, -1)),
        "landmarks": rng.uniform(0, size - 1, (68, 2)),
        "parsing": rng.integers(0, 11, (size, size)).astype(np.uint8),
        "attributes": {"male": bool(number % 2), "beard": number > 4},
        "pose": rng.normal(0, 10, 3),
        "lamps": rng.normal(0, 1, (2, 6)),
        "mirror_flow": own_pixels(size) + shift.astype(np.float32),
        "mirror_valid": rng.random((size, size)) > 0.3,
        "light_ratio": np.full((size, size, 3), rng.uniform(0.5, 2, 3), np.float32),
        "scalars": {"age": 20 + number},
    }


def write(folder, numbers=range(6), part=4, size=SIZE, **options):
    """A finished prepared data set of these records."""
    writer = Writer(folder, "tiny", size, ATTRIBUTES, SCALARS, version="1", **options)
    records = [record(number, size) for number in numbers]
    for index, first in enumerate(range(0, len(records), part)):
        writer.add_part(index, records[first : first + part])
    return writer.finish()


def symmetric_faces(size=64, axes=(30.0, 34.5, 27.0), seed=0):
    """Smooth images, mirror-symmetric about x = axis, with the flow and landmarks that follow from it."""
    rng = np.random.default_rng(seed)
    images, flows, points = [], [], []
    y, x = np.mgrid[:size, :size].astype(np.float64)
    for axis in axes:
        distance = np.abs(x - axis) / size
        images.append(
            [
                0.5 + 0.4 * np.sin(rng.uniform(4, 9) * distance**2 + rng.uniform(2, 5) * y / size)
                for _ in range(3)
            ]
        )
        target = size - 1 - (2 * axis - x)  # the partner's column, seen in the flipped image
        flows.append(np.stack([2 * target / (size - 1) - 1, 2 * y / (size - 1) - 1], -1))
        half = np.stack([rng.uniform(2, 20, 68), rng.uniform(4, size - 5, 68)], -1)
        partner = LANDMARK_MIRROR
        own = np.arange(68)
        offset = np.where(
            partner == own, 0, np.where(own < partner, -1, 1) * half[np.minimum(own, partner), 0]
        )
        points.append(np.stack([axis + offset, half[np.minimum(own, partner), 1]], -1))
    flow = torch.tensor(np.array(flows), dtype=torch.float32)
    return FaceBatch(
        image=torch.tensor(np.array(images), dtype=torch.float32),
        landmarks=torch.tensor(np.array(points), dtype=torch.float32),
        mirror_flow=flow,
        mirror_valid=(flow.abs() <= 1).all(-1),
    )
