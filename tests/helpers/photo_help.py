"""Shared by the tests on photographs: photos made from the astronaut, and the reason for skipping."""

import io

import numpy as np
import pytest
from PIL import Image

import facecomp_lib as fc
from facecomp_lib import weights
from facecomp_lib.faces import alignment
from facecomp_lib.faces.writer import Writer


def need_dlib(*names):
    """Skip unless dlib and these weights of its are here; nothing is fetched."""
    pytest.importorskip("dlib", reason="dlib does not load here: pip install dlib-bin")
    absent = [name for name in names or ("dlib_landmarks",) if not weights.available(name)]
    if absent:
        pytest.skip(f"{absent} not in {weights.cache_dir()}: 'python3 course.py setup' brings them")


def saved(image, file_format, **options):
    """The bytes of a PIL image as a file."""
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def snapshot(seed, side=160):
    """A small photo of the astronaut, turned and shifted a little: image and landmarks."""
    import cv2

    face = fc.faces.astronaut(64)
    rng = np.random.default_rng(seed)
    angle, zoom = rng.uniform(-0.3, 0.3), side / 512 * rng.uniform(1.5, 1.9)
    c, s = zoom * np.cos(angle), zoom * np.sin(angle)
    move = np.array([[c, -s, 0], [s, c, 0]])
    middle = face.photo_landmarks.mean(axis=0)
    move[:, 2] = side / 2 + rng.uniform(-3, 3, 2) + (0, side / 12) - move[:, :2] @ middle
    image = cv2.warpAffine(face.photo, move, (side, side), borderMode=cv2.BORDER_REPLICATE)
    return image, alignment.apply(move, face.photo_landmarks)


def save_snapshots(folder, count, **options):
    """``00.png`` ... in ``folder``; returns their landmarks float64 [count, 68, 2]."""
    folder.mkdir(parents=True, exist_ok=True)
    every = []
    for i in range(count):
        image, points = snapshot(i, **options)
        Image.fromarray(image).save(folder / f"{i:02}.png")
        every.append(points)
    return np.array(every)


def prepared(folder, count=24):
    """Embedded faces as if they were photographs: without parsing maps."""
    faces = fc.faces.embedded("test", 32)
    writer = Writer(folder, folder.name, 32, image_format="png", version="1")
    batch = faces.batch(range(count))
    images = batch.image.mul(255).byte().permute(0, 2, 3, 1).numpy()
    writer.add_part(0, [
        {"name": f"{number}.jpg", "split": ("train", "val", "test")[number % 3], "identity": number,
         "image": images[number], "landmarks": batch.landmarks[number].numpy()}
        for number in range(count)
    ])  # fmt: skip
    return writer.finish()
