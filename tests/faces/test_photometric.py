"""Light and camera: only the image changes, by draws of its own, and each change is what it is called."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from tiny_faces import symmetric_faces

from facecomp_lib.faces import Augment, embedded
from facecomp_lib.faces.photometric import change_tone, compress_jpeg, gaussian_blur, gaussian_noise

STILL = {"flip": 0, "shift": 0, "rotate": 0, "scale": 0, "brightness": 0, "contrast": 0}
CAMERA = {
    "gamma": 0.5,
    "white_balance": 0.2,
    "saturation": 0.4,
    "blur": 0.04,
    "noise": 0.05,
    "jpeg": 30,
}
LUMA = torch.tensor([0.299, 0.587, 0.114])[:, None, None]


def noise(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def constant(values, length):
    return np.full(length, values, np.float64)


@pytest.fixture(scope="module")
def faces():
    """Three faces with every label, 64 px."""
    batch = symmetric_faces()
    return batch.replace(
        image=0.2 + 0.6 * noise(3, 3, 64, 64, seed=1),
        parsing=torch.arange(64).remainder(11).expand(3, 64, 64).contiguous(),
        pose=noise(3, 3),
        lamps=noise(3, 2, 6),
        light_ratio=0.5 + noise(3, 3, 64, 64),
    )


@pytest.mark.parametrize("name", CAMERA)
def test_a_camera_changes_the_image_and_no_label(faces, name):
    seen = Augment(**STILL | {name: CAMERA[name]})(faces, seed=1)
    assert ((seen.image - faces.image).abs().amax((1, 2, 3)) > 0.002).sum() >= 2  # one draw may be near 0
    assert seen.image.min() >= 0 and seen.image.max() <= 1
    for label in ("landmarks", "parsing", "pose", "lamps", "mirror_flow", "mirror_valid"):
        assert getattr(seen, label) is getattr(faces, label)


@given(st.sampled_from(sorted(CAMERA)), st.integers(0, 1000))
@settings(max_examples=20)
def test_what_is_switched_on_leaves_the_draws_of_all_others(name, seed):
    plain = Augment().draw((64, 64), seed, 2, range(4))
    all_on = Augment(**CAMERA).draw((64, 64), seed, 2, range(4))
    for field in ("matrix", "gain", "slope"):
        assert np.array_equal(getattr(all_on, field), getattr(plain, field))
    one_off = Augment(**CAMERA | {name: 0}).draw((64, 64), seed, 2, range(4)).camera
    for field, of in (("gamma", "gamma"), ("saturation", "saturation"), ("blur", "blur"), ("noise", "noise")):
        assert of == name or np.array_equal(getattr(one_off, field), getattr(all_on.camera, field))
    assert name == "white_balance" or np.array_equal(one_off.white_balance, all_on.camera.white_balance)


def test_without_a_camera_nothing_is_drawn_for_it():
    assert Augment().draw((64, 64), 0, 0, range(4)).camera is None


def test_a_photograph_is_alike_in_any_company(faces):
    augment = Augment.photographic()
    together = augment(faces, seed=3, step=7, index=[10, 20, 30])
    alone = augment(faces[[2]], seed=3, step=7, index=[30])
    assert torch.equal(together.image[[2]], alone.image)
    assert not torch.equal(augment(faces[[2]], seed=3, step=8, index=[30]).image, alone.image)


def test_photographs_of_the_pack_take_the_quick_way_to_the_same_place():
    data, augment = embedded("val", 64), replace(Augment.photographic(), jpeg=0)
    quick = data.batch(range(8), augment, seed=2)
    slow = augment(data.batch(range(8)), seed=2)
    assert (quick.image - slow.image).abs().max() < 0.03
    assert quick.image.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(quick.landmarks, slow.landmarks)


def test_gamma_raises_image_and_light_ratio_to_one_power(faces):
    ratio = 0.5 + noise(3, 3, 64, 64)
    lit = faces.replace(image=faces.image / 2 * ratio.clamp(max=1.5) / 1.5, light_ratio=ratio)
    other_side = faces.replace(image=lit.image / ratio, light_ratio=1 / ratio)
    augment = Augment(**STILL | {"gamma": 0.5})
    here, there = augment(lit, seed=2), augment(other_side, seed=2)
    assert torch.allclose(here.image, there.image * here.light_ratio, atol=1e-5)
    power = here.image.log() / lit.image.log()
    assert torch.allclose(power, power.mean((1, 2, 3), keepdim=True).expand_as(power), atol=1e-3)
    assert power.min() > 1 / 1.5 - 1e-3 and power.max() < 1.5 + 1e-3


def test_white_balance_multiplies_colours_and_keeps_the_luma_of_grey_and_the_light_ratio(faces):
    grey = faces.replace(image=torch.full_like(faces.image, 0.5))
    seen = Augment(**STILL | {"white_balance": 0.2})(grey, seed=1)
    assert torch.allclose((seen.image * LUMA).sum(1), torch.tensor(0.5), atol=1e-5)
    red, green, blue = seen.image[:, :, 0, 0].T
    assert ((red / green).log().abs() + (blue / green).log().abs() > 0.01).all()
    assert ((red / blue).log().abs() <= 2 * np.log(1.2) + 1e-5).all()
    assert seen.light_ratio is grey.light_ratio


def test_saturation_moves_colours_from_grey_and_keeps_luma():
    image = 0.4 + 0.2 * noise(2, 3, 8, 8)
    half = change_tone(image, constant(1, (2, 3)), constant(1, 2), np.array([0.5, 1.5]))
    luma = (image * LUMA).sum(1, keepdim=True)
    factor = torch.tensor([0.5, 1.5]).view(2, 1, 1, 1)
    assert torch.allclose(half, luma + factor * (image - luma), atol=1e-6)
    grey = luma.expand(-1, 3, -1, -1)
    again = change_tone(grey, constant(1, (2, 3)), constant(1, 2), np.array([0.5, 1.5]))
    assert torch.allclose(again, grey, atol=1e-6)


def test_saturation_makes_the_light_ratio_unknown(faces):
    assert Augment(**STILL | {"saturation": 0.3})(faces).light_ratio is None
    assert Augment(**STILL | {"blur": 0.02, "noise": 0.1, "jpeg": 50})(faces).light_ratio is faces.light_ratio


def test_blur_is_scipys_gaussian_of_each_images_own_width():
    image, deviations = noise(3, 3, 20, 17), np.array([0.0, 0.7, 2.0])
    blurred = gaussian_blur(image, deviations, radius=6)
    for shown, original, deviation in zip(blurred, image, deviations, strict=True):
        expected = original.numpy()
        if deviation:
            sigma = (0, deviation, deviation)
            expected = gaussian_filter(expected, sigma, mode="mirror", radius=(0, 6, 6))
        assert np.allclose(shown, expected, atol=1e-6)


def test_a_kernel_wider_than_the_image_is_cut_to_it():
    assert torch.allclose(
        gaussian_blur(torch.full((1, 3, 4, 5), 0.3), np.array([9.0]), 27), torch.tensor(0.3)
    )


def test_noise_has_its_deviation_no_mean_and_no_neighbours():
    image = torch.full((2, 3, 128, 128), 0.5)
    noisy = gaussian_noise(image, np.array([0.02, 0.1]), [(0, 0, 1), (0, 0, 2)]) - image
    assert torch.allclose(noisy.std((1, 2, 3)), torch.tensor([0.02, 0.1]), rtol=0.02)
    assert noisy.mean((1, 2, 3)).abs().max() < 0.002
    shifts = [(noisy[:, :, :, 1:], noisy[:, :, :, :-1]), (noisy[:, :1], noisy[:, 1:2])]
    assert all(np.corrcoef(a.flatten(), b.flatten())[0, 1].__abs__() < 0.02 for a, b in shifts)


def test_other_keys_give_other_noise():
    image = torch.full((3, 3, 8, 8), 0.5)
    seen = gaussian_noise(image, constant(0.1, 3), [(0, 0, 1), (0, 0, 1), (0, 1, 1)])
    assert torch.equal(seen[0], seen[1]) and not torch.equal(seen[0], seen[2])


def test_jpeg_loses_more_at_a_lower_quality_and_gives_whole_levels():
    image = torch.cat([symmetric_faces().image[:1]] * 3)
    seen = compress_jpeg(image, np.array([95.0, 60.0, 10.0]))
    errors = (seen - image).square().mean((1, 2, 3))
    assert errors[0] < errors[1] < errors[2] < 0.01
    assert torch.allclose(seen * 255, (seen * 255).round(), atol=1e-4)


def test_jpeg_keeps_the_colours_apart():
    flat = torch.tensor([0.8, 0.4, 0.2]).view(1, 3, 1, 1).expand(1, 3, 16, 16)
    assert (compress_jpeg(flat, np.array([90.0])) - flat).abs().max() < 0.02


def test_photographic_settings_can_be_changed():
    assert Augment.photographic(rotate=40, jpeg=0) == replace(Augment.photographic(), rotate=40, jpeg=0)
    assert all(getattr(Augment.photographic(), name) > 0 for name in CAMERA)
