"""Finding faces: dlib on images whose landmarks are known, and which detector is used when."""

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest
from photo_help import need_dlib, snapshot
from PIL import Image

import facecomp_lib as fc
from facecomp_lib import weights
from facecomp_lib.faces import landmarks
from facecomp_lib.faces.alignment import anchors


@pytest.fixture(scope="module")
def astronaut():
    return fc.faces.astronaut(64)


@pytest.fixture
def dlib_here():
    need_dlib()


def off(found, known):
    """Mean distance of landmarks as a fraction of the distance between the eyes."""
    left, right, _ = anchors(known)
    return np.linalg.norm(found - known, axis=-1).mean() / np.linalg.norm(left - right)


def test_dlib_finds_the_landmarks_that_we_ship(astronaut, dlib_here):
    (face,) = landmarks.detect(astronaut.photo, "dlib")
    assert off(face.landmarks, astronaut.photo_landmarks) < 0.01
    assert face.detector == "dlib" and face.doubt < 0.03
    left, top, right, bottom = face.box
    inner = face.landmarks[17:]  # brows, eyes, nose, mouth
    assert left < inner[:, 0].min() < inner[:, 0].max() < right and top < inner[:, 1].max() < bottom


def test_a_mirrored_image_gives_mirrored_landmarks(astronaut, dlib_here):
    (face,) = landmarks.detect(np.ascontiguousarray(astronaut.photo[:, ::-1]), "dlib")
    mirrored = face.landmarks[fc.faces.LANDMARK_MIRROR] * (-1, 1) + (511, 0)
    assert off(mirrored, astronaut.photo_landmarks) < 0.02


@pytest.mark.parametrize("side", [70, 200, 1500, 4000])
def test_faces_are_found_and_placed_at_any_scale(side, astronaut, dlib_here):
    scale = side / 180
    around = astronaut.photo[30:210, 130:310]
    image = np.asarray(Image.fromarray(around).resize((side, side), Image.Resampling.BICUBIC))
    known = (astronaut.photo_landmarks - (130, 30) + 0.5) * scale - 0.5
    face = landmarks.detect(image, "dlib")[0]
    assert off(face.landmarks, known) < (0.05 if side < 100 else 0.025)


def test_a_face_that_fills_the_image_is_found(astronaut, dlib_here):
    tight = np.ascontiguousarray(astronaut.photo[82:182, 175:277])
    face = landmarks.detect(tight, "dlib")[0]
    assert off(face.landmarks + (175, 82), astronaut.photo_landmarks) < 0.04


def test_the_largest_face_comes_first(dlib_here):
    small, _ = snapshot(0, side=260)
    large, points = snapshot(1, side=450)
    both = np.zeros((450, 710, 3), np.uint8)
    both[:260, :260], both[:, 260:] = small, large
    faces = landmarks.detect(both, "dlib")
    assert len(faces) == 2 and faces[0].side > 1.5 * faces[1].side
    assert off(faces[0].landmarks, points + (260, 0)) < 0.04


@pytest.mark.parametrize("shape", [(1, 1, 3), (5, 400, 3), (64, 64, 3)])
def test_images_without_a_face_give_an_empty_list(shape, dlib_here):
    image = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    assert landmarks.detect(image, "dlib") == []


def test_one_persons_images_are_near_and_no_face_is_far_from_everyone(astronaut):
    need_dlib("dlib_embedding")
    one = landmarks.identity_embedding(astronaut.photo, astronaut.photo_landmarks)
    image, points = snapshot(3, side=300)
    other = landmarks.identity_embedding(image, points)
    assert one.shape == (128,) and one.dtype == np.float32
    assert 0 < np.linalg.norm(one - other) < 0.4
    upside_down = landmarks.identity_embedding(
        np.ascontiguousarray(astronaut.photo[::-1]), astronaut.photo_landmarks
    )
    assert np.linalg.norm(one - upside_down) > 0.6, "no face there: far from every person"


def test_what_is_no_image_is_refused(dlib_here):
    for wrong in (np.zeros((9, 9, 3)), np.zeros((9, 9), np.uint8), np.zeros((9, 9, 4), np.uint8), [[0]]):
        with pytest.raises(ValueError, match=r"uint8 array \[H, W, 3\]"):
            landmarks.detect(wrong, "dlib")
    with pytest.raises(ValueError, match="NaN or infinite|must be .68, 2."):
        landmarks.identity_embedding(np.zeros((9, 9, 3), np.uint8), np.zeros((5, 2)))


def test_an_unknown_detector_names_the_known_ones():
    with pytest.raises(ValueError, match="face-alignment, dlib"):
        landmarks.detect(np.zeros((9, 9, 3), np.uint8), "magic")


# ------------------------------------------------------------------------------ which detector is the best


@pytest.fixture
def choice(tmp_path, monkeypatch):
    """No network; ``choice(names)`` pretends that these weights are here and asks for the detector."""
    monkeypatch.setenv("FACECOMP_CACHE", str(tmp_path))
    monkeypatch.setenv("FACECOMP_OFFLINE", "1")
    monkeypatch.setattr(landmarks.importlib.util, "find_spec", lambda name: name)

    path = weights.path

    def choose(*names):
        monkeypatch.setattr(weights, "path", lambda name: tmp_path if name in names else path(name))
        landmarks.best_detector.cache_clear()
        return landmarks.best_detector()

    yield choose
    landmarks.best_detector.cache_clear()


def test_face_alignment_is_used_where_its_weights_are_there(choice):
    assert choice("fan_detector", "fan_landmarks", "dlib_landmarks") == "face-alignment"


def test_dlib_stands_in_where_they_are_not(choice, monkeypatch):
    assert choice("fan_detector", "dlib_landmarks") == "dlib"
    monkeypatch.setattr(landmarks.importlib.util, "find_spec", lambda name: None)
    assert choice("fan_detector", "fan_landmarks", "dlib_landmarks") == "dlib"


def test_without_any_weights_the_message_says_how_to_get_them(choice):
    with pytest.raises(FileNotFoundError, match="course.py setup"):
        choice()


def test_face_alignments_networks_are_read_from_our_cache(tmp_path):
    """With untrained networks of the real shapes: the file goes in, 68 points in the image come out."""
    pytest.importorskip("numba", reason="face-alignment's numba is not installed: course.py setup")
    if importlib.util.find_spec("face_alignment") is None:
        pytest.skip("face-alignment is not installed: course.py setup")
    # In a process of its own numba can be told from the start not to compile, which would take a minute.
    quiet = {"NUMBA_DISABLE_JIT": "1", "FACECOMP_CACHE": str(tmp_path), "FACECOMP_OFFLINE": "1"}
    program = """
import numpy as np, torch
import face_alignment.api as api
from face_alignment.detection.sfd.net_s3fd import s3fd
from facecomp_lib import weights
from facecomp_lib.faces import detectors

torch.hub.download_url_to_file = None  # nothing may be fetched behind our back
torch.save(api.FAN(4).state_dict(), weights.cache_dir() / weights.REGISTRY["fan_landmarks"].filename)
torch.save(s3fd().state_dict(), weights.cache_dir() / weights.REGISTRY["fan_detector"].filename)
weights.path = lambda name: weights.cache_dir() / weights.REGISTRY[name].filename
fit = detectors.FaceAlignment()
image = np.random.default_rng(0).integers(0, 256, (160, 160, 3), dtype=np.uint8)
points = fit.landmarks(image, np.array([40.0, 40, 120, 120]))
assert points.shape == (68, 2) and np.isfinite(points).all()
assert all(box.shape == (4,) for box in fit.boxes(image[:48, :48]))
print("read")
"""
    command = [sys.executable, "-c", program]
    run = subprocess.run(command, env=os.environ | quiet, capture_output=True, text=True, timeout=300)
    assert run.stdout.strip().endswith("read"), run.stderr
