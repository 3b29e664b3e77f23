"""What each family of holes hides and leaves: parts of faces, shares of images, the outlines of things."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import masks as benchmark
from facecomp_lib import faces, masks
from facecomp_lib.faces.schema import LANDMARK_MIRROR, FaceBatch
from facecomp_lib.masks.base import lowest
from facecomp_lib.masks.geometry import average

PARTS = [kind for kind in masks.KINDS if kind.startswith(("gfc", "collagan"))]
THINGS = ["glasses", "scarf", "hand", "microphone"]

LEFT_BROW, RIGHT_BROW = range(17, 22), range(22, 27)  # the viewer's left and right
LEFT_EYE, RIGHT_EYE = range(36, 42), range(42, 48)
NOSE_BASE, MOUTH, CHIN = range(31, 36), range(48, 68), range(6, 11)

HIDDEN = {
    "gfc_o1": [*LEFT_BROW, *LEFT_EYE],
    "gfc_o2": [*RIGHT_BROW, *RIGHT_EYE],
    "gfc_o3": [*LEFT_BROW, *RIGHT_BROW, *LEFT_EYE, *RIGHT_EYE],
    "gfc_o4": [*LEFT_BROW, *LEFT_EYE],
    "gfc_o5": [*RIGHT_BROW, *RIGHT_EYE],
    "gfc_o6": [*NOSE_BASE, *MOUTH, *CHIN],
    "collagan_o1": LEFT_EYE,
    "collagan_o2": RIGHT_EYE,
    "collagan_o3": [*LEFT_EYE, *RIGHT_EYE],
    "collagan_o6": MOUTH,
    "glasses": [*LEFT_EYE, *RIGHT_EYE],
    "scarf": [*MOUTH, *CHIN],
    "microphone": [57, 66],
}
LEFT = {  # of faces that look ahead
    "gfc_o1": [*RIGHT_BROW, *RIGHT_EYE, *range(9, 17)],
    "gfc_o2": [*LEFT_BROW, *LEFT_EYE, *range(8)],
    "gfc_o3": [*NOSE_BASE, *MOUTH, *CHIN],
    "gfc_o4": [*RIGHT_BROW, *RIGHT_EYE, *NOSE_BASE, *MOUTH],
    "gfc_o5": [*LEFT_BROW, *LEFT_EYE, *NOSE_BASE, *MOUTH],
    "gfc_o6": [*LEFT_BROW, *RIGHT_BROW, *LEFT_EYE, *RIGHT_EYE],
    "collagan_o1": [*RIGHT_EYE, *MOUTH],
    "collagan_o2": [*LEFT_EYE, *MOUTH],
    "collagan_o3": [*NOSE_BASE, *MOUTH],
    "collagan_o4": [*LEFT_EYE, *RIGHT_EYE, *range(9, 17)],
    "collagan_o5": [*LEFT_EYE, *RIGHT_EYE, *range(8)],
    "collagan_o6": [*LEFT_EYE, *RIGHT_EYE],
    "glasses": [*NOSE_BASE, *MOUTH, *CHIN],
    "scarf": [*LEFT_EYE, *RIGHT_EYE, *LEFT_BROW, *RIGHT_BROW],
    "microphone": [*LEFT_EYE, *RIGHT_EYE, 27, 28],
}


@pytest.fixture(scope="module")
def batch():
    """Landmarks and poses of all test faces; their images would take memory and are not looked at."""
    pack = faces.embedded("test")
    landmarks, pose = (torch.from_numpy(pack.column(name)).float() for name in ("landmarks", "pose"))
    image = torch.zeros(1, 1, 1, 1).expand(len(pack), 3, 128, 128)
    return FaceBatch(image, landmarks.reshape(-1, 68, 2), pose=pose)


def known_at(mask, landmarks, numbers):
    """Whether the pixel under each landmark is known: bool [B, N]; beyond the border counts as the border."""
    places = landmarks[:, list(numbers)].round().long().clamp(0, mask.shape[-1] - 1)
    rows = torch.arange(len(mask))[:, None]
    return mask[rows, 0, places[..., 1], places[..., 0]] == 1


@pytest.mark.parametrize("kind", HIDDEN)
def test_holes_hide_the_parts_that_they_name(kind, batch):
    mask = masks.make(kind, 128, len(batch), landmarks=batch.landmarks)
    assert not known_at(mask, batch.landmarks, HIDDEN[kind]).any()


@pytest.mark.parametrize("kind", LEFT)
def test_holes_leave_the_other_parts_of_a_face_that_looks_ahead(kind, batch):
    ahead = batch[(batch.pose.abs() < torch.tensor([12.0, 12, 4])).all(1)]
    assert len(ahead) > 50
    mask = masks.make(kind, 128, len(ahead), landmarks=ahead.landmarks)
    assert known_at(mask, ahead.landmarks, LEFT[kind]).all()


@pytest.mark.parametrize(("kind", "nose", "jaw"), [("collagan_o4", 31, 3), ("collagan_o5", 35, 13)])
def test_left_and_right_face_of_collagan_are_the_cheeks(kind, nose, jaw, batch):
    cheek = batch.landmarks[:, [nose, jaw]].mean(1, keepdim=True)
    mask = masks.make(kind, 128, len(batch), landmarks=batch.landmarks)
    assert not known_at(mask, cheek, [0]).any()


def test_a_hand_hides_a_part_of_nose_mouth_and_cheeks(batch):
    mask = masks.make("hand", 128, len(batch), landmarks=batch.landmarks)
    hidden = 1 - known_at(mask, batch.landmarks, [*range(2, 15), *range(27, 68)]).float().mean(1)
    assert hidden.min() > 0.1 and hidden.max() < 0.9


def test_without_landmarks_the_face_is_where_aligned_images_have_it(batch):
    face = torch.from_numpy(average(128, 128).points)[None]
    assert (face - batch.landmarks).abs().mean() < 3
    for kind, hidden in HIDDEN.items():
        assert not known_at(masks.make(kind, 128), face, hidden).any(), kind


@pytest.mark.parametrize("kind", [*PARTS, *THINGS])
def test_holes_move_and_grow_with_the_image_of_the_face(kind, batch):
    small = masks.make(kind, 128, 8, landmarks=batch.landmarks[:8] - 12)
    moved = masks.make(kind, 128, 8, landmarks=batch.landmarks[:8] - 12 + torch.tensor([8.0, 3]))
    assert (moved[..., 3:, 8:] != small[..., :-3, :-8]).float().mean() < 1e-4  # rounding, at most
    large = masks.make(kind, 256, 8, landmarks=(batch.landmarks[:8] + 0.5) * 2 - 0.5)
    normal = masks.make(kind, 128, 8, landmarks=batch.landmarks[:8])
    torch.testing.assert_close(masks.hole_fraction(large), masks.hole_fraction(normal), atol=0.012, rtol=0)


MIRRORED = {
    "half_left": "half_right",
    "gfc_o1": "gfc_o2",
    "gfc_o3": "gfc_o3",
    "gfc_o4": "gfc_o5",
    "gfc_o6": "gfc_o6",
    "collagan_o1": "collagan_o2",
    "collagan_o3": "collagan_o3",
    "collagan_o4": "collagan_o5",
    "collagan_o6": "collagan_o6",
}


@pytest.mark.parametrize("left", MIRRORED)
@given(size=st.tuples(st.integers(16, 90), st.integers(16, 90)))
@settings(max_examples=20, deadline=None)
def test_right_is_the_mirror_image_of_left(left, size):
    assert torch.equal(masks.make(MIRRORED[left], size), masks.make(left, size).flip(-1))


@pytest.mark.parametrize("left", MIRRORED)
def test_right_is_the_mirror_image_of_left_under_mirrored_landmarks(left, batch):
    landmarks = (batch.landmarks * 64).round() / 64  # so that mirroring rounds nothing
    there = landmarks[:, LANDMARK_MIRROR] * torch.tensor([-1.0, 1]) + torch.tensor([127.0, 0])
    here = masks.make(left, 128, len(batch), landmarks=landmarks)
    assert torch.equal(masks.make(MIRRORED[left], 128, len(batch), landmarks=there), here.flip(-1))


def test_left_is_the_viewers_left():
    columns = torch.arange(128.0)
    for kind in ("half_left", "gfc_o1", "gfc_o4", "collagan_o1", "collagan_o4"):
        hole = 1 - masks.make(kind, 128)[0, 0]
        assert (hole.sum(0) * columns).sum() / hole.sum() < 60, kind


def test_boxes_of_collagan_have_about_40_x_48_pixels(batch):
    for number in range(1, 7):
        mask = masks.make(f"collagan_o{number}", 128, len(batch), landmarks=batch.landmarks)
        pixels = (mask == 0).flatten(1).sum(1).float()
        assert abs(pixels.mean() / (40 * 48) - 1) < 0.08
        assert pixels.min() > 0.7 * 40 * 48


def test_halves_of_gfc_are_the_larger_holes_as_in_the_paper(batch):
    share = {
        kind: masks.hole_fraction(masks.make(kind, 128, len(batch), landmarks=batch.landmarks)).mean()
        for kind in PARTS[:6]
    }
    eyes = max(share["gfc_o4"], share["gfc_o5"])
    assert 1.5 * eyes < share["gfc_o3"] < min(share["gfc_o1"], share["gfc_o2"], share["gfc_o6"])


@pytest.mark.parametrize("kind", [*PARTS[:6], *THINGS])
def test_parts_and_things_are_as_large_as_the_face(kind, batch):
    near, far = (
        masks.make(kind, 200, 8, landmarks=(batch.landmarks[:8] - 64) * scale + 90) for scale in (1.2, 0.6)
    )
    ratio = masks.hole_fraction(near).mean() / masks.hole_fraction(far).mean()
    if kind in ("scarf", "hand", "microphone"):  # they reach the lower border
        assert 1.8 < ratio < 4.4
    else:
        assert 3.6 < ratio < 4.4


@pytest.mark.parametrize("kind", THINGS)
def test_things_are_in_one_piece_and_differ_in_size_and_tilt(kind, batch):
    mask = masks.make(kind, 128, len(batch), landmarks=batch.landmarks)
    for hole in 1 - mask[:100, 0]:
        pieces, _ = cv2.connectedComponents(hole.numpy().astype(np.uint8))
        assert pieces == 2  # the thing and the rest
    still = masks.hole_fraction(masks.make(kind, 128, 100))
    assert still.max() > 1.2 * still.min()


@pytest.mark.parametrize("kind", [*PARTS, *THINGS])
def test_a_face_outside_the_image_is_refused(kind, batch):
    with pytest.raises(ValueError, match=f"face 1 put '{kind}' outside the image of 128 x 128 px"):
        masks.make(kind, 128, 2, landmarks=batch.landmarks[:2] + torch.tensor([0.0, 400]).view(2, 1, 1))


@given(st.integers(1, 5), st.tuples(st.integers(16, 90), st.integers(16, 90)), st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_irregular_holes_lie_inside_their_bins(tens, size, seed):
    mask = masks.make(f"irregular_{tens}0_{tens + 1}0", size, 3, seed)
    missing = (mask == 0).flatten(1).sum(1) * 10
    pixels = size[0] * size[1]
    assert ((missing > tens * pixels) & (missing < (tens + 1) * pixels)).all()


def test_irregular_holes_fill_their_bins_and_reach_every_place():
    mask = masks.make("irregular_20_30", 64, 400, seed=1)
    shares = masks.hole_fraction(mask)
    assert shares.min() < 0.205 and shares.max() > 0.295 and abs(shares.mean() - 0.25) < 0.005
    often = 1 - mask.mean((0, 1))
    assert often.min() > 0.05 and often.max() < 0.4


def test_irregular_holes_are_strokes_not_pixel_dust():
    for hole in 1 - masks.make("irregular_30_40", 128, 50)[:, 0]:
        pieces, _ = cv2.connectedComponents(hole.numpy().astype(np.uint8))
        assert pieces < 40
        rim = hole.numpy() - cv2.erode(hole.numpy(), np.ones((3, 3)))
        assert rim.sum() < 0.6 * hole.sum()


def test_the_same_strokes_get_broader_from_bin_to_bin():
    fine, broad = (masks.make(kind, 96, 20) == 0 for kind in ("irregular_10_20", "irregular_50_60"))
    assert (fine & broad).sum() > 0.8 * fine.sum()


@given(st.floats(0.01, 0.99), st.tuples(st.integers(16, 60), st.integers(16, 60)), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_pattern_and_noise_have_exactly_the_share_that_is_wanted(fraction, size, seed):
    pixels = size[0] * size[1]
    for kind in ("pattern", "noise"):
        mask = masks.make(kind, size, 2, seed, fraction=fraction)
        assert ((mask == 0).flatten(1).sum(1) == round(fraction * pixels)).all()


def test_a_quarter_of_the_pattern_and_80_percent_of_noise_are_missing():
    assert masks.hole_fraction(masks.make("pattern", 128)).item() == 0.25
    assert abs(masks.hole_fraction(masks.make("noise", 128)).item() - 0.8) < 1e-4


def neighbours_agree(mask):
    return (mask[..., 1:] == mask[..., :-1]).float().mean().item()


def test_noise_is_single_pixels_and_the_pattern_is_patches():
    assert abs(neighbours_agree(masks.make("noise", 128, 8)) - (0.8**2 + 0.2**2)) < 0.01
    fine, coarse = (neighbours_agree(masks.make("pattern", 128, 8, grain=grain)) for grain in (4, 32))
    assert 0.8 < fine < neighbours_agree(masks.make("pattern", 128, 8)) < coarse
    places = 1 - masks.make("pattern", 32, 800).mean((0, 1))
    assert places.min() > 0.17 and places.max() < 0.33, "no place is missing more often than another"


@given(st.integers(0, 3), st.integers(1, 59), st.booleans())
def test_lowest_takes_exactly_that_many_and_breaks_ties_from_the_top(levels, count, whole):
    field = np.random.default_rng(count).integers(0, levels + 1, (6, 10))
    hole = lowest(field if whole else field.astype(float), count)
    expected = np.zeros(60, bool)
    expected[np.argsort(field, axis=None, kind="stable")[:count]] = True
    assert np.array_equal(hole, expected.reshape(6, 10))


@pytest.mark.parametrize("kind", benchmark.ORDINARY)
def test_the_benchmark_compares_holes_of_one_size(kind, batch):
    landmarks = batch.landmarks[:40]
    theirs = benchmark.one_by_one(benchmark.ORDINARY[kind], 128, landmarks.numpy())
    check = masks.hole_fraction(masks.make(kind, 128, 40, landmarks=landmarks)).mean()
    assert theirs.shape == (40, 1, 128, 128) and set(theirs.unique().tolist()) == {0, 1}
    assert masks.hole_fraction(theirs).mean() == pytest.approx(check, rel=0.25)
