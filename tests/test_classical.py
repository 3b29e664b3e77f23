"""Fills without learning: known pixels survive, and each fill does what its name says."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.restoration import inpaint_biharmonic

from facecomp_lib import classical, masks


def ramp(height=24, width=24):
    """A picture that a smooth fill can restore: colour changes linearly."""
    y, x = torch.meshgrid(torch.linspace(0.1, 0.8, height), torch.linspace(0.2, 0.9, width), indexing="ij")
    return torch.stack([x, y, (x + y) / 2])[None]


@given(
    st.sampled_from(classical.KINDS),
    st.integers(1, 3),
    st.integers(2, 20),
    st.integers(2, 20),
    st.floats(0, 0.95),
    st.integers(0, 999),
)
@settings(max_examples=60, deadline=None)
def test_known_pixels_survive_whatever_mask_size_batch(kind, batch, height, width, share, seed):
    make = torch.Generator().manual_seed(seed)
    image = torch.rand(batch, 3, height, width, generator=make)
    mask = (torch.rand(batch, 1, height, width, generator=make) >= share).float()
    mask[:, :, 0, 0] = 1
    done = classical.complete(image, mask, kind)
    known = (mask > 0.5).expand_as(image)
    assert torch.equal(done.composite[known], image[known])
    assert done.composite.shape == done.raw.shape == image.shape and done.composite.dtype == image.dtype
    assert ((done.composite >= 0) & (done.composite <= 1)).all()  # also: no NaN
    assert torch.equal(done.composite[~known], done.raw[~known])
    again = classical.complete(image, mask, kind)
    assert torch.equal(again.composite, done.composite)


@pytest.mark.parametrize("kind", classical.KINDS)
def test_what_lies_under_the_hole_does_not_matter(kind):
    image, mask = ramp(), masks.make("center", 24)
    spoiled = torch.where(mask > 0.5, image, torch.tensor(float("nan")))
    other = torch.where(mask > 0.5, image, torch.rand(1, 3, 24, 24))
    wanted = classical.complete(image, mask, kind).composite
    assert torch.equal(classical.complete(spoiled, mask, kind).composite, wanted)
    assert torch.equal(classical.complete(other, mask, kind).composite, wanted)


@pytest.mark.parametrize("kind", classical.KINDS)
def test_a_face_is_filled_alike_in_any_company(kind):
    image, mask = torch.rand(3, 3, 16, 16), masks.make("random_square", 16, 3)
    together = classical.complete(image, mask, kind).composite
    assert torch.equal(together[1:2], classical.complete(image[1:2], mask[1:2], kind).composite)
    shared = classical.complete(image, mask[:1], kind).composite
    assert torch.equal(shared[:1], together[:1])


@pytest.mark.parametrize("kind", classical.KINDS)
def test_without_a_hole_the_input_comes_back(kind):
    image, mask = torch.rand(2, 3, 9, 9), torch.ones(2, 1, 9, 9)
    mask[1] = masks.make("center", 9)[0]
    done = classical.complete(image, mask, kind)
    assert torch.equal(done.composite[0], image[0]) and torch.equal(done.raw[0], image[0])


@pytest.mark.parametrize("kind", classical.KINDS)
def test_nothing_known_is_refused(kind):
    mask = torch.ones(2, 1, 9, 9)
    mask[1] = 0
    with pytest.raises(ValueError, match="image 1 leaves no known pixel"):
        classical.complete(torch.rand(2, 3, 9, 9), mask, kind)


def test_mean_fill_is_the_mean_of_known_pixels_of_each_image():
    image, mask = torch.rand(3, 3, 12, 12), masks.make("random_square", 12, 3)
    done = classical.complete(image, mask, "mean")
    for one, known, filled in zip(image, mask, done.raw, strict=True):
        colour = one[:, known[0] > 0.5].mean(1)
        assert torch.allclose(filled, colour[:, None, None].expand(3, 12, 12), atol=1e-6)


def test_smooth_fills_restore_a_ramp():
    image, mask = ramp(), masks.make("center", 24, side=8)
    worst = {
        kind: (classical.complete(image, mask, kind).composite - image).abs().max()
        for kind in classical.KINDS
    }
    assert worst["biharmonic"] < 1e-4  # a plane is biharmonic
    assert worst["telea"] < 0.1  # the ramp rises by 0.24 across the hole
    assert worst["telea"] < worst["mean"]


def test_biharmonic_is_scikit_images():
    image, mask = (
        torch.rand(1, 3, 20, 26, dtype=torch.float64),
        masks.make("random_square", (20, 26)).double(),
    )
    expected = inpaint_biharmonic(
        image[0].permute(1, 2, 0).numpy(), mask[0, 0].numpy() < 0.5, channel_axis=-1
    )
    done = classical.complete(image, mask, "biharmonic")
    assert np.allclose(done.raw[0].permute(1, 2, 0), expected, atol=1e-6)


def test_telea_has_256_levels_in_the_hole_only():
    image, mask = torch.rand(1, 3, 32, 32), masks.make("center", 32)
    done = classical.complete(image, mask, "telea")
    hole = (mask < 0.5).expand_as(image)
    levels = done.composite[hole] * 255
    assert (levels - levels.round()).abs().max() < 1e-4
    assert torch.equal(done.composite[~hole], image[~hole])
    wide = classical.complete(image, mask, "telea", radius=9).composite
    assert not torch.equal(wide, done.composite)


def test_half_a_face_can_be_missing():
    for kind in classical.KINDS:
        for half in ("half_left", "half_right"):
            error = (classical.complete(ramp(), masks.make(half, 24), kind).composite - ramp()).abs().mean()
            assert error < 0.25, (kind, half)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("magic", {}, "Unknown fill 'magic': choose one of mean, telea, biharmonic"),
        ("mean", {"radius": 3}, "'mean' has no option radius: it has none"),
        ("telea", {"side": 3}, "'telea' has no option side: it has radius"),
        ("telea", {"radius": 0}, "radius must lie in 1 ... 100"),
    ],
)
def test_a_bad_wish_is_refused_with_what_there_is(kind, options, message):
    with pytest.raises(ValueError, match=message):
        classical.complete(ramp(), masks.make("center", 24), kind, **options)


def test_pictures_and_masks_are_checked():
    with pytest.raises(ValueError, match="drop the alpha channel"):
        classical.complete(torch.rand(1, 4, 8, 8), masks.make("center", 8))
    with pytest.raises(ValueError, match="like the image"):
        classical.complete(torch.rand(1, 3, 8, 8), masks.make("center", 9))
