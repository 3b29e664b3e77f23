"""The benchmark of feeding compares like with like; no timing is asserted."""

import numpy as np
import pytest
import torch

from benchmarks.feeding import ItemByItem
from benchmarks.loading import write_files
from facecomp_lib.faces import Augment, dataset
from facecomp_lib.faces.dataset import FaceDataset
from facecomp_lib.faces.store import Store

STILL = {"flip": 0, "shift": 0, "rotate": 0, "scale": 0, "brightness": 0, "contrast": 0}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder, store = tmp_path_factory.mktemp("files"), Store(dataset.PACK)
    return folder, write_files(store, np.flatnonzero(store.column("split") == "train")[:6], folder)


@pytest.mark.parametrize("size", [64, 128])
@pytest.mark.parametrize("flip", [0, 1])
def test_the_ordinary_way_sees_the_same_faces(files, size, flip):
    items = ItemByItem(*files, size, Augment(**STILL | {"flip": flip}))
    batch = FaceDataset(Store(dataset.PACK), "train", size).batch(range(6))
    for face, (image, points, labels, mask) in zip((batch[i] for i in range(6)), items, strict=False):
        face = face.mirror() if flip else face
        assert (image - face.image[0]).abs().max() < 0.02
        assert torch.allclose(points, face.landmarks[0], atol=1e-4)
        assert (labels != face.parsing[0]).float().mean() < (0.05 if size < 128 else 1e-9)
        assert mask.mean() == 0.75


def test_the_ordinary_way_moves_image_and_landmarks_alike(files):
    still, moving = (ItemByItem(*files, 128, augment) for augment in (Augment(**STILL), Augment()))
    for index in range(6):
        forth, back = moving.motion(np.random.default_rng(index))
        points = still.landmarks[index] @ forth[:, :2].T + forth[:, 2]
        again = (points + 0.5) @ np.reshape(back, (2, 3))[:, :2].T + np.reshape(back, (2, 3))[:, 2] - 0.5
        assert np.allclose(again, still.landmarks[index], atol=1e-3)
