"""Photographs: any image in, an aligned face, and back without touching the photograph's known pixels."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from photo_help import need_dlib, saved
from PIL import Image

import facecomp_lib as fc
from facecomp_lib.faces import alignment, landmarks
from facecomp_lib.faces import photo as photo_module
from facecomp_lib.faces.prepare import Options, prepare

skimage_data = pytest.importorskip("skimage.data")


@pytest.fixture(scope="module")
def portrait():
    return skimage_data.astronaut()


@pytest.fixture(scope="module")
def points():
    file = Path(photo_module.__file__).parent / "data" / "astronaut_landmarks.json"
    return np.array(json.loads(file.read_text())["landmarks"])


def center_hole(size):
    return fc.masks.make("center", size=size)


def colour_off(a, b):
    return (a.float() - b.float()).abs().mean().item()


# ------------------------------------------------------------------------------------------------ alignment


@pytest.mark.parametrize("size", [64, 128, 256, 512])
def test_the_astronaut_lies_in_the_frame_at_any_size(size):
    face = fc.faces.astronaut(size)
    assert face.image.shape == (1, 3, size, size) and face.image.dtype == torch.float32
    assert face.image.min() >= 0 and face.image.max() <= 1
    off = (alignment.anchors(face.landmarks[0].numpy()) - alignment.template(size)) / size
    assert np.abs(off).max() < 0.02, "one similarity cannot meet three points exactly, but nearly"
    assert face.detector == "given" and face.inside.min() == 1


@settings(max_examples=12, deadline=None)
@given(degrees=st.floats(-60, 60), zoom=st.floats(0.8, 2.5))
def test_rotating_and_enlarging_the_photograph_changes_nothing_in_the_crop(degrees, zoom):
    import cv2

    image, known = skimage_data.astronaut(), fc.faces.astronaut(128)
    c, s = zoom * np.cos(np.radians(degrees)), zoom * np.sin(np.radians(degrees))
    move = np.array([[c, -s, 0], [s, c, 0]])
    move[:, 2] = np.array([400, 400]) - move[:, :2] @ known.photo_landmarks.mean(axis=0)
    moved = cv2.warpAffine(image, move, (800, 800), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    face = fc.faces.from_photo(moved, 128, landmarks=alignment.apply(move, known.photo_landmarks))
    torch.testing.assert_close(face.landmarks, known.landmarks, atol=1e-3, rtol=0)
    reached = (face.inside * known.inside).bool().expand_as(face.image)
    assert colour_off(face.image[reached], known.image[reached]) < 0.02


def test_shrinking_is_antialiased(points):
    stripes = np.zeros((512, 512, 3), np.uint8)
    stripes[:, ::2] = 255  # far finer than the crop's pixels: only grey may be left
    face = fc.faces.from_photo(stripes, 32, landmarks=points)
    assert (face.image - 0.5).abs().max() < 0.12


def test_a_crop_that_leaves_the_image_says_where(portrait, points):
    cut = portrait[90:170, 185:260]
    with pytest.warns(UserWarning, match="% of the aligned image lie beyond the photograph's edge"):
        face = fc.faces.from_photo(cut, 128, landmarks=points - (185, 90))
    whole = fc.faces.astronaut(128)
    assert 0.1 < face.inside.mean() < 0.6
    deep = torch.nn.functional.avg_pool2d(face.inside, 5, 1, 2) == 1  # away from the edge
    assert colour_off(face.image[deep.expand(1, 3, -1, -1)], whole.image[deep.expand(1, 3, -1, -1)]) < 0.01
    outside_colours = face.image[:, :, 0, :]
    assert torch.isfinite(outside_colours).all()
    assert np.array_equal(face.paste(face.image, torch.ones(1, 1, 128, 128)), cut)


# ------------------------------------------------------------------------------------------------- pasting


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 99), size=st.sampled_from([64, 128, 300]), feather=st.floats(0, 12))
def test_known_pixels_of_the_photograph_survive_bit_for_bit(seed, size, feather):
    face = fc.faces.astronaut(size)
    rng = np.random.default_rng(seed)
    mask = np.ones((size, size), np.float32)
    y, x = rng.integers(0, size * 3 // 4, 2)
    mask[y : y + rng.integers(1, size), x : x + rng.integers(1, size)] = 0
    result = face.paste(torch.rand(1, 3, size, size), torch.from_numpy(mask)[None, None], feather=feather)
    changed = (result != face.photo).any(axis=-1)
    ys, xs = np.nonzero(changed)
    landed = alignment.apply(face.matrix, np.stack([xs, ys], axis=-1))
    # every changed pixel falls into the hole; pixels exactly on its edge may be counted to either side
    edge = 0.05
    near = [
        np.rint(np.clip(landed + (dx, dy), 0, size - 1)).astype(int)
        for dx in (-edge, edge)
        for dy in (-edge, edge)
    ]
    assert np.all(np.min([mask[p[:, 1], p[:, 0]] for p in near], axis=0) == 0)
    assert result.dtype == np.uint8 and result.shape == face.photo.shape


def test_the_hole_is_filled_with_the_completed_crop(portrait):
    face = fc.faces.astronaut(128)
    mask = center_hole(128)
    result = face.paste(torch.full_like(face.image, 0.25), mask, feather=0)
    changed = (result != portrait).any(axis=-1)
    assert np.abs(result[changed].astype(int) - 64).max() <= 1
    area = (1 - mask).sum().item() / np.linalg.det(face.matrix[:, :2])
    assert changed.sum() == pytest.approx(area, rel=0.03)


def test_pasting_the_untouched_crop_gives_nearly_the_photograph():
    face = fc.faces.astronaut(512)  # twice finer than the photograph, so that the way back loses little
    result = face.paste(face.image, center_hole(512), feather=0)
    off = np.abs(result.astype(int) - face.photo)
    changed = off.any(axis=-1)
    assert off[changed].mean() < 3


def test_what_was_under_the_hole_has_no_influence(portrait, points):
    face = fc.faces.astronaut(128)
    mask = center_hole(128)
    completed = torch.rand(1, 3, 128, 128)
    pasted = face.paste(completed, mask, feather=5)
    black, white = (face.paste(torch.full_like(face.image, v), mask, feather=0) for v in (0, 1))
    hidden = (black != white).any(axis=-1)
    other = np.where(hidden[..., None], np.uint8(7), portrait)
    other_face = fc.faces.from_photo(other, 128, landmarks=points)
    under = (other_face.paste(completed, mask, feather=5) != pasted).any(axis=-1)
    assert hidden.sum() > 1000 and not under.any()


def test_a_feathered_seam_is_softer_than_a_hard_one(portrait):
    face = fc.faces.astronaut(128)
    mask = center_hole(128)
    completed = torch.zeros_like(face.image)

    def jump(feather):
        result = face.paste(completed, mask, feather=feather).astype(int)
        hole = (face.paste(completed, mask, feather=0) != portrait).any(axis=-1)
        rim = hole[:, 1:] != hole[:, :-1]
        return np.abs(np.diff(result, axis=1)).mean(axis=-1)[rim].mean()

    assert jump(6) < 0.4 * jump(0)


def test_without_a_mask_the_whole_crop_is_put_back(portrait):
    face = fc.faces.astronaut(128)
    result = face.paste(torch.zeros_like(face.image), feather=0)
    changed = (result != portrait).any(axis=-1)
    assert changed.sum() == pytest.approx(128**2 / np.linalg.det(face.matrix[:, :2]), rel=0.02)


def test_no_hole_gives_the_photograph_back(portrait):
    face = fc.faces.astronaut(64)
    result = face.paste(torch.rand(1, 3, 64, 64), torch.ones(1, 1, 64, 64))
    assert np.array_equal(result, portrait) and result is not face.photo


@pytest.mark.parametrize(
    ("completed", "mask", "feather", "says"),
    [
        (torch.zeros(1, 3, 32, 32), None, 1, r"completed must be \[1, 3, 64, 64\]"),
        (np.zeros((1, 3, 64, 64)), None, 1, "completed must be a float tensor"),
        (torch.full((1, 3, 64, 64), float("nan")), None, 1, "NaN or infinite"),
        (torch.zeros(1, 3, 64, 64), torch.ones(1, 3, 64, 64), 1, r"mask must be \[1, 1, 64, 64\]"),
        (torch.zeros(1, 3, 64, 64), torch.full((1, 1, 64, 64), 0.5), 1, "1 .known. and 0 .missing."),
        (torch.zeros(1, 3, 64, 64), None, -1, "feather"),
    ],
)
def test_what_cannot_be_pasted_is_refused_in_a_sentence(completed, mask, feather, says):
    with pytest.raises(ValueError, match=says):
        fc.faces.astronaut(64).paste(completed, mask, feather=feather)


def test_a_rotated_photograph_pastes_back_upright(portrait, points, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    file = tmp_path / "turned.png"
    file.write_bytes(saved(Image.fromarray(portrait).transpose(Image.Transpose.ROTATE_90), "PNG", exif=exif))
    face = fc.faces.from_photo(file, 64, landmarks=points)
    assert np.array_equal(face.paste(face.image, torch.ones(1, 1, 64, 64)), portrait)


# ------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("landmarks", "says"),
    [
        (np.zeros((5, 2)), r"landmarks must be \[68, 2\], not \[5, 2\]"),
        (np.full((68, 2), np.nan), "landmarks has NaN or infinite values"),
        (np.zeros((68, 2)), "coincide"),
        (np.random.default_rng(0).random((68, 2)) * 50 + 5000, "outside the photograph"),
    ],
)
def test_unusable_landmarks_are_refused(portrait, landmarks, says):
    with pytest.raises(ValueError, match=says):
        fc.faces.from_photo(portrait, landmarks=landmarks)


@pytest.mark.parametrize("size", [0, 7, 10000, 12.5, "big"])
def test_sizes_out_of_range_are_refused(portrait, points, size):
    with pytest.raises(ValueError, match="px. must be a whole number, 8 ... 4096"):
        fc.faces.from_photo(portrait, size, landmarks=points)


def test_a_crop_that_is_unlike_other_faces_is_said_to_be_so(portrait, points):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fc.faces.from_photo(portrait, landmarks=torch.from_numpy(points).requires_grad_())
    nose_at_the_cheek, eyes_at_the_mouth = points.copy(), points.copy()
    nose_at_the_cheek[30] = points[16]
    eyes_at_the_mouth[36:48, 1] += 25
    with pytest.warns(UserWarning, match="turned far to one side"):
        fc.faces.from_photo(portrait, landmarks=nose_at_the_cheek)
    with pytest.warns(UserWarning, match="do not lie as in a face"):
        fc.faces.from_photo(portrait, landmarks=eyes_at_the_mouth)


# ----------------------------------------------------------------------------------- with dlib's detector


@pytest.fixture
def dlib(monkeypatch):
    need_dlib()
    monkeypatch.setattr(landmarks, "best_detector", lambda: "dlib")


def enlarged(image, side):
    return np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.LANCZOS))


def covered(image, points, half=40):
    """The image with a white square over the face."""
    x, y = points.mean(axis=0).round().astype(int)
    image = image.copy()
    image[y - half : y + half, x - half : x + half] = 255
    return image


def test_no_face_shows_what_to_try(dlib):
    noise = np.random.default_rng(0).integers(0, 255, (200, 300, 3), dtype=np.uint8)
    with pytest.raises(
        ValueError,
        match=r"No face found in the photograph .300 x 200 px, searched by dlib.*40 px wide .13.3% of",
    ):
        fc.faces.from_photo(noise)


def test_the_largest_face_is_taken_and_the_others_are_had_by_their_landmarks(dlib, portrait):
    both = np.full((512, 1000, 3), 128, np.uint8)
    both[:480, :480], both[:, 488:] = enlarged(portrait, 480), portrait
    face = fc.faces.from_photo(both, 128)
    assert face.detector == "dlib" and 0 < face.doubt < 0.03
    assert colour_off(face.image, fc.faces.astronaut(128).image) < 0.01
    second = fc.faces.from_photo(both, 128, landmarks=landmarks.detect(both)[1].landmarks)
    assert second.photo_landmarks.max() < 480 and second.doubt == 0
    assert colour_off(second.image, face.image) < 0.05


@pytest.mark.parametrize("side", [700, 800])
def test_a_find_that_is_no_face_never_wins(dlib, portrait, points, side):
    """dlib takes the patch on the sleeve for a face, too, and at these sizes for the larger one."""
    face = fc.faces.from_photo(enlarged(portrait, side))
    known = (points + 0.5) * side / 512 - 0.5
    assert np.linalg.norm(face.photo_landmarks - known, axis=1).mean() < 0.005 * side


def test_preparing_takes_the_same_face(dlib, portrait, tmp_path):
    (tmp_path / "in").mkdir()
    Image.fromarray(enlarged(portrait, 700)).save(tmp_path / "in" / "a.png")
    options = Options(size=64, detector="dlib")
    assert prepare(tmp_path / "in", tmp_path / "out", options, progress=False) == {"kept": 1}


def test_a_covered_face_is_refused_and_the_sentence_says_what_to_give(dlib, portrait, points):
    image = covered(portrait, points)
    with pytest.raises(ValueError, match=r"No face found .* is too doubtful \(0.\d\d; .* landmarks=points"):
        fc.faces.from_photo(image)
    face = fc.faces.from_photo(image, landmarks=points)
    assert np.array_equal(face.photo_landmarks, points)
