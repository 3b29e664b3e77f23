"""Whose face it is: recognition by hand, distances by dlib's own example of use."""

import numpy as np
import pytest
import torch
from metric_help import noise
from photo_help import need_dlib

import facecomp_lib as fc
from facecomp_lib import evaluation, weights
from facecomp_lib.faces import landmarks as landmark_module

PEOPLE = torch.tensor([0, 0, 1, 2, 3])
GALLERY = torch.tensor([[0.0, 0], [10, 0], [1, 0], [2, 0], [3, 0]])


def test_recognition_by_hand():
    probe, people = torch.tensor([[0.9, 0.0], [0.9, 0], [0.9, 0], [0.9, 0]]), torch.tensor([1, 0, 2, 3])
    # nearest to 0.9: person 1 (0.1), 0 (0.9), 2 (1.1), 3 (2.1)
    hits = evaluation.recognition(GALLERY, PEOPLE, probe, people, top=(1, 2, 3, 4))
    assert {name: x.tolist() for name, x in hits.items()} == {
        "top1": [1, 0, 0, 0],
        "top2": [1, 1, 0, 0],
        "top3": [1, 1, 1, 0],
        "top4": [1, 1, 1, 1],
    }


def test_recognition_is_a_plain_search():
    draws = np.random.default_rng(0)
    gallery, probe = draws.normal(size=(40, 8)), draws.normal(size=(25, 8))
    own, theirs = np.arange(40) % 10, np.arange(25) % 10
    hits = evaluation.recognition(*map(torch.from_numpy, (gallery, own, probe, theirs)))
    for k in (1, 3, 5):
        expected = []
        for point, person in zip(probe, theirs, strict=True):
            nearest = sorted(range(40), key=lambda i: ((gallery[i] - point) ** 2).sum())[:k]
            expected.append(float(person in own[nearest]))
        assert hits[f"top{k}"].tolist() == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((GALLERY, PEOPLE, GALLERY, PEOPLE + 1), "no image of person 4"),
        ((GALLERY, PEOPLE, GALLERY[:, :1], PEOPLE), "not of 2 and 1 numbers"),
        ((GALLERY, PEOPLE[:4], GALLERY, PEOPLE), r"gallery_identity must be \[5\], .* not \[4\]"),
        ((GALLERY, PEOPLE, GALLERY, None), "probe_identity must be .* not NoneType"),
        ((GALLERY[0], PEOPLE, GALLERY, PEOPLE), r"gallery must hold embeddings \[N, D\]"),
        ((GALLERY, PEOPLE, GALLERY[:0], PEOPLE[:0]), "N at least 1"),
        ((GALLERY, PEOPLE, GALLERY / 0, PEOPLE), "probe has NaN"),
        ((GALLERY, PEOPLE, GALLERY, PEOPLE, (1, 6)), r"top must lie in 1 \.\.\. 5"),
        ((GALLERY, PEOPLE, GALLERY, PEOPLE, (0,)), r"top must lie in 1 \.\.\. 5"),
    ],
)
def test_what_cannot_be_recognised_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        evaluation.recognition(*arguments)


# --------------------------------------------------------------------------------------------- with dlib


def test_the_embedding_is_dlibs_of_the_face_chip_that_it_cuts():
    need_dlib("dlib_embedding")
    import dlib

    face = fc.faces.astronaut(256)
    image = np.ascontiguousarray((face.image[0].permute(1, 2, 0) * 255).round().byte().numpy())
    points = [dlib.point(round(x), round(y)) for x, y in face.landmarks[0].tolist()]
    shape = dlib.full_object_detection(dlib.rectangle(0, 0, 255, 255), points)
    chip = dlib.get_face_chip(image, shape, size=150, padding=0.25)
    network = dlib.face_recognition_model_v1(str(weights.path("dlib_embedding")))
    expected = np.array(network.compute_face_descriptor(chip))
    found = evaluation.face_embedding(face.image, face.landmarks)
    assert found.shape == (1, 128) and found.dtype == torch.float32
    assert np.allclose(found[0], expected, atol=1e-4)


def test_who_it_is_is_lost_with_the_face_and_kept_without_a_change():
    need_dlib("dlib_embedding")
    face = fc.faces.astronaut(128)
    hidden = fc.classical.complete(face.image, fc.masks.make("center", 128), "mean").composite
    brighter = (face.image * 1.1).clamp(0, 1)
    images, points = torch.cat([face.image, brighter, hidden]), face.landmarks.expand(3, -1, -1)
    distance = evaluation.identity_distance(images, face.image.expand(3, -1, -1, -1), points)
    assert distance[0] == 0
    assert distance[1] < 0.3 < distance[2]


def test_embedding_refuses_what_it_cannot_cut_out(monkeypatch, tmp_path):
    image, points = noise(1, 3, 40, 40), 40 * noise(1, 68, 2)
    with pytest.raises(ValueError, match="needs landmarks"):
        evaluation.face_embedding(image, None)
    with pytest.raises(ValueError, match=r"landmarks must be \[1, 68, 2\], not \[2, 68, 2\]"):
        evaluation.face_embedding(image, points.expand(2, -1, -1))
    with pytest.raises(ValueError, match="repeat a grey"):
        evaluation.identity_distance(image[:, :1], image[:, :1], points)
    pytest.importorskip("dlib")
    monkeypatch.setenv("FACECOMP_CACHE", str(tmp_path))
    monkeypatch.setenv("FACECOMP_OFFLINE", "1")
    landmark_module._embedder.cache_clear()
    with pytest.raises(FileNotFoundError, match="course.py setup"):
        evaluation.face_embedding(image, points)
