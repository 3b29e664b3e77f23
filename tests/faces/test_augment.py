"""Augmentation: image and labels stay together, and a face's draw is its own."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_faces import symmetric_faces

from facecomp_lib.faces import Augment, FaceBatch
from facecomp_lib.faces.augment_uint8 import augment_uint8
from facecomp_lib.faces.schema import LANDMARK_MIRROR

GEOMETRY = {"brightness": 0, "contrast": 0}
STILL = {"flip": 0, "shift": 0, "rotate": 0, "scale": 0, "brightness": 0, "contrast": 0}

changes = st.builds(
    Augment,
    flip=st.sampled_from([0, 0.5, 1]),
    shift=st.sampled_from([0, 0.1]),
    rotate=st.sampled_from([0, 15, 40]),
    scale=st.sampled_from([0, 0.2]),
    brightness=st.just(0),
    contrast=st.just(0),
    crop=st.sampled_from([None, 40, 63]),
    resize_crop=st.booleans(),
)


def painted(size=64, count=3, seed=0):
    """A round spot at 68 places; landmark k is the place of spot k, its class is k % 10 + 1."""
    rng = np.random.default_rng(seed)
    cells = np.stack(np.meshgrid(np.arange(9), np.arange(9)), -1).reshape(
        -1, 2
    )  # 7 px apart: spots stay apart
    points = np.stack(
        [rng.permutation(cells)[:68] * 7.0 + 4 + rng.uniform(-1, 1, (68, 2)) for _ in range(count)]
    )
    y, x = np.mgrid[:size, :size]
    distance = np.hypot(x - points[..., 0, None, None], y - points[..., 1, None, None])  # [B, 68, S, S]
    nearest = distance.argmin(1)
    spots = np.exp(-(distance.min(1) ** 2) / 3)
    image = spots[:, None].repeat(3, 1)
    parsing = np.where(distance.min(1) < 2.5, nearest % 10 + 1, 0)
    return FaceBatch(
        image=torch.tensor(image, dtype=torch.float32),
        landmarks=torch.tensor(points, dtype=torch.float32),
        parsing=torch.tensor(parsing),
        pose=torch.tensor(rng.normal(0, 10, (count, 3)), dtype=torch.float32),
        lamps=torch.tensor(rng.normal(0, 1, (count, 2, 6)), dtype=torch.float32),
    )


def at(values, points):
    """Values ``[C, H, W]`` at pixel positions ``[N, 2]``, bilinear."""
    half = torch.tensor([values.shape[2] - 1, values.shape[1] - 1]) / 2
    return F.grid_sample(values[None], (points / half - 1)[None, None], align_corners=True)[0, :, 0]


@given(changes, st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_spots_painted_at_the_landmarks_are_found_at_the_moved_landmarks(augment, seed):
    moved = augment(painted(), seed=seed)
    height, width = moved.size
    seen = 0
    for face in (moved[i] for i in range(3)):
        points = face.landmarks[0]
        inside = ((points >= 4) & (points <= torch.tensor([width - 5, height - 5]))).all(-1)
        seen += int(inside.sum())
        spots = at(face.image[0], points[inside])[0]
        assert (spots > 0.6).all()  # 1 in the middle of a spot, 0.6 at most 1.2 px off
        names = torch.arange(68)[inside]
        x, y = points[inside].round().long().T
        labels = face.parsing[0, y, x]
        # the class of landmark k: brows and eyes change sides when mirrored, like the landmarks themselves
        mirrored = torch.tensor(LANDMARK_MIRROR)[names] % 10 + 1
        swap = torch.tensor([0, 1, 3, 2, 5, 4, 6, 7, 8, 9, 10])
        assert torch.equal(labels, names % 10 + 1) or torch.equal(labels, swap[mirrored])
    assert seen > 10


@given(changes, st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_the_moved_flow_still_puts_the_mirrored_side_over_this_side(augment, seed):
    moved = augment(symmetric_faces(), seed=seed)
    shown = F.grid_sample(moved.image.flip(-1), moved.mirror_flow, align_corners=True)
    gap = (shown - moved.image).abs().amax(1)[moved.mirror_valid]
    assert gap.numel() > 500
    assert gap.max() < 0.03


@given(changes, st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_the_moved_flow_leads_each_landmark_to_its_partner(augment, seed):
    """Phi(x_k) = (W - 1 - x_m(k), y_m(k)): landmarks and flow of symmetric faces agree before and after."""
    moved = augment(symmetric_faces(), seed=seed)
    height, width = moved.size
    for face in (moved[i] for i in range(3)):
        valid = at(face.mirror_valid.float(), face.landmarks[0])[0] > 0.999
        inside = (
            (face.landmarks[0] >= 0) & (face.landmarks[0] <= torch.tensor([width - 1, height - 1]))
        ).all(-1)
        flow = at(face.mirror_flow[0].permute(2, 0, 1), face.landmarks[0]).T
        led = (flow + 1) * torch.tensor([width - 1, height - 1]) / 2
        partner = face.landmarks[0][torch.tensor(LANDMARK_MIRROR)]
        expected = torch.stack([width - 1 - partner[:, 0], partner[:, 1]], -1)
        assert ((led - expected).abs()[valid & inside] < 0.05).all()  # a crop may leave none


def test_a_face_is_changed_alike_in_any_company():
    batch, augment = painted(count=5), Augment()
    together = augment(batch, seed=3, step=7, index=[10, 20, 30, 40, 50])
    alone = augment(batch[[3, 1]], seed=3, step=7, index=[40, 20])
    assert torch.equal(together.image[[3, 1]], alone.image)
    assert torch.equal(together.landmarks[[3, 1]], alone.landmarks)


def test_other_seed_step_or_index_is_another_draw():
    batch, augment = painted(count=1), Augment()
    shown = [
        augment(batch, seed=seed, step=step, index=[index]).image
        for seed, step, index in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1))
    ]
    assert all(not torch.equal(shown[0], other) for other in shown[1:])
    assert torch.equal(shown[0], augment(batch).image)


def test_only_the_flipped_faces_are_flipped():
    batch = painted(count=12)
    flipped = Augment(**STILL | {"flip": 0.5})(batch, seed=1)
    mirrored = batch.mirror()
    which = [torch.equal(flipped.image[i], mirrored.image[i]) for i in range(12)]
    assert 0 < sum(which) < 12
    for i, changed in enumerate(which):
        expected = mirrored if changed else batch
        assert torch.equal(flipped.image[i], expected.image[i])
        assert torch.equal(flipped.landmarks[i], expected.landmarks[i])
        assert torch.equal(flipped.parsing[i], expected.parsing[i])


def test_switching_one_change_off_leaves_the_other_draws():
    batch = painted()
    one = Augment(**STILL | {"rotate": 15})(batch, seed=5)
    both = Augment(**STILL | {"rotate": 15, "brightness": 0.2})(batch, seed=5)
    assert torch.equal(one.landmarks, both.landmarks)


def test_nothing_switched_on_changes_nothing():
    batch = painted()
    assert Augment(**STILL)(batch) is batch


def test_rotation_turns_pose_and_lamps_like_the_image():
    batch = painted()
    turned = Augment(**STILL | {"rotate": 40})(batch, seed=2)
    for i in range(3):
        before = batch.landmarks[i, 1] - batch.landmarks[i, 0]
        after = turned.landmarks[i, 1] - turned.landmarks[i, 0]
        angle = torch.atan2(after[1], after[0]) - torch.atan2(
            before[1], before[0]
        )  # clockwise: y points down
        angle = torch.atan2(angle.sin(), angle.cos())
        assert torch.allclose(turned.pose[i, 2] - batch.pose[i, 2], angle.rad2deg(), atol=1e-3)
        assert torch.equal(turned.pose[i, :2], batch.pose[i, :2])
        lamp = batch.lamps[i, 0, :2] * torch.tensor([1.0, -1])  # as a direction in the image
        cos, sin = angle.cos(), angle.sin()
        expected = torch.stack([cos * lamp[0] - sin * lamp[1], sin * lamp[0] + cos * lamp[1]])
        assert torch.allclose(turned.lamps[i, 0, :2] * torch.tensor([1.0, -1]), expected, atol=1e-5)
    assert torch.equal(turned.lamps[..., 2:], batch.lamps[..., 2:])


def test_a_crop_is_a_window_of_the_image():
    batch = painted()
    cropped = Augment(**STILL | {"crop": 40})(batch, seed=4)
    assert cropped.size == (40, 40)
    for i in range(3):
        left, top = (batch.landmarks[i, 0] - cropped.landmarks[i, 0]).round().long().tolist()
        window = batch.image[i, :, top : top + 40, left : left + 40]
        assert torch.allclose(cropped.image[i], window, atol=1e-4)
        assert torch.equal(cropped.parsing[i], batch.parsing[i, top : top + 40, left : left + 40])
    assert Augment(**STILL | {"crop": 40, "resize_crop": True})(batch, seed=4).size == (64, 64)


def test_brightness_and_contrast_touch_the_image_only():
    faces = symmetric_faces()
    faces = faces.replace(
        image=0.8 * faces.image, light_ratio=torch.rand(3, 3, 64, 64) + 0.5
    )  # nothing clips
    brighter = Augment(**STILL | {"brightness": 0.2})(faces, seed=1)
    factor = (brighter.image / faces.image).flatten(1)
    assert (factor.amax(1) - factor.amin(1)).max() < 1e-5 and factor.std() > 0.01
    assert brighter.light_ratio is faces.light_ratio and brighter.landmarks is faces.landmarks
    contrast = Augment(**STILL | {"contrast": 0.2})(faces, seed=1)
    assert torch.allclose(contrast.image.mean((1, 2, 3)), faces.image.mean((1, 2, 3)), atol=1e-5)
    assert contrast.light_ratio is None  # (a I + b) / (a I' + b) is another ratio


def test_images_stay_in_range():
    image = Augment(brightness=1, contrast=1)(painted(count=8), seed=0).image
    assert image.min() >= 0 and image.max() <= 1


def test_the_light_ratio_moves_with_the_image():
    faces = symmetric_faces()
    faces = faces.replace(light_ratio=faces.image.clone())
    moved = Augment(**GEOMETRY)(faces, seed=3)
    assert torch.equal(moved.light_ratio, moved.image)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"flip": 1.5}, "flip must lie in 0 ... 1"),
        ({"rotate": -1}, "rotate must lie in 0 ... 180"),
        ({"gamma": "much"}, "gamma must lie in 0 ... 2, not 'much'"),
        ({"noise": float("nan")}, "noise must lie in 0 ... 0.5, not nan"),
        ({"jpeg": 96}, "jpeg must be a whole number, 0 ... 95, not 96"),
        ({"jpeg": 60.5}, "jpeg must be a whole number"),
        ({"crop": 1}, "crop must be a whole number, 2 or more, not 1"),
    ],
)
def test_a_setting_out_of_range_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Augment(**options)


def test_a_bad_call_is_refused():
    with pytest.raises(ValueError, match="crop=65 does not fit into faces of 64x64"):
        Augment(crop=65)(painted())
    with pytest.raises(ValueError, match="name the 3 faces"):
        Augment()(painted(), index=[1])
    with pytest.raises(ValueError, match="must not be negative"):
        Augment()(painted(), seed=-1)


@given(changes, st.sampled_from([0, 0.3]), st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_bytes_are_augmented_like_floats(augment, light, seed):
    augment = replace(augment, brightness=light, contrast=light)
    images = np.uint8(255 * symmetric_faces().image.permute(0, 2, 3, 1))
    labels = painted().parsing
    change = augment.draw((64, 64), seed, 0, [0, 1, 2])
    faces = change(FaceBatch(torch.from_numpy(images).permute(0, 3, 1, 2) / 255, parsing=labels))
    image, parsing = augment_uint8(list(images), list(labels.byte().numpy()), change)
    assert image.is_contiguous(memory_format=torch.channels_last)
    assert (image - faces.image).abs().max() < 0.01
    assert (parsing != faces.parsing).float().mean() < 0.002  # pixels that come from between two


def test_bytes_beyond_the_border_are_the_reflection_however_far_it_is():
    images = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), np.uint8)
    augment = Augment(**STILL | {"shift": 1})
    change = augment.draw((16, 16), 0, 0, range(4))
    change.matrix[:, :, 2] = np.round(3 * change.matrix[:, :, 2])  # whole pixels, up to three images away
    image, _ = augment_uint8(list(images), [], change)
    expected = change(FaceBatch(torch.from_numpy(images).permute(0, 3, 1, 2) / 255))
    assert np.abs(change.matrix[:, :, 2]).max() > 20
    assert torch.allclose(image, expected.image, atol=1e-4)


def test_mirrored_bytes_are_the_mirrored_bytes():
    batch = symmetric_faces()
    images = np.uint8(255 * batch.image.permute(0, 2, 3, 1))
    labels = painted().parsing.byte().numpy()
    change = Augment(**STILL | {"flip": 1}).draw((64, 64), 0, 0, range(3))
    image, parsing = augment_uint8(list(images), list(labels), change)
    faces = FaceBatch(
        torch.from_numpy(images).permute(0, 3, 1, 2) / 255, parsing=torch.from_numpy(labels).long()
    )
    assert torch.equal((255 * image).round(), (255 * faces.mirror().image).round())
    assert torch.equal(parsing, faces.mirror().parsing)
