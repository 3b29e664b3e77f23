"""Fills without learning: known pixels survive, and each fill does what its name says."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.restoration import inpaint_biharmonic

from facecomp_lib import classical, masks
from facecomp_lib.classical import poisson


def ramp(height=24, width=24):
    """An image that a smooth fill can restore: colour changes linearly."""
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
    expected = classical.complete(image, mask, kind).composite
    assert torch.equal(classical.complete(spoiled, mask, kind).composite, expected)
    assert torch.equal(classical.complete(other, mask, kind).composite, expected)


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
        ("magic", {}, "Unknown fill 'magic': choose one of mean, telea, navier_stokes"),
        ("mean", {"radius": 3}, "'mean' has no option radius: it has none"),
        ("telea", {"side": 3}, "'telea' has no option side: it has radius"),
        ("telea", {"radius": 0}, "radius must lie in 1 ... 100"),
    ],
)
def test_a_bad_wish_is_refused_with_what_there_is(kind, options, message):
    with pytest.raises(ValueError, match=message):
        classical.complete(ramp(), masks.make("center", 24), kind, **options)


def test_images_and_masks_are_checked():
    with pytest.raises(ValueError, match="drop the alpha channel"):
        classical.complete(torch.rand(1, 4, 8, 8), masks.make("center", 8))
    with pytest.raises(ValueError, match="one per image, of its shape"):
        classical.complete(torch.rand(1, 3, 8, 8), masks.make("center", 9))


# ------------------------------------------------------------------------------------------ by example


def stripes(size=64, period=8):
    """A texture that repeats itself."""
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    wave = 0.5 + 0.4 * torch.sin(2 * torch.pi * (x + y) / period)
    checks = 0.5 + 0.3 * ((x // 4 + y // 4) % 2 * 2 - 1)
    return torch.stack([wave, checks, (wave + checks) / 2])[None].float()


def test_patchmatch_continues_a_texture_that_smooth_fills_blur():
    image, mask = stripes(), masks.make("center", 64, side=24)
    error = {
        kind: (classical.complete(image, mask, kind).composite - image).square().mean()
        for kind in ("patchmatch", "telea", "navier_stokes", "biharmonic")
    }
    assert all(error["patchmatch"] < 0.1 * error[kind] for kind in error if kind != "patchmatch")


def test_patchmatch_copies_known_pixels_only():
    """Every filled pixel is one of the known pixels, to the last bit."""
    image, mask = (
        torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(0)),
        masks.make("center", 24),
    )
    filled = classical.complete(image, mask, "patchmatch").composite
    colours = {tuple(colour) for colour in image[0][:, mask[0, 0] > 0.5].T.tolist()}
    assert all(tuple(colour) in colours for colour in filled[0][:, mask[0, 0] < 0.5].T.tolist())


def test_patchmatch_is_a_matter_of_its_seed():
    image, mask = stripes(32) * 0.7, masks.make("center", 32)
    image = image + 0.2 * torch.rand(image.shape, generator=torch.Generator().manual_seed(1))
    one, same, other = (
        classical.complete(image, mask, "patchmatch", seed=seed).composite for seed in (3, 3, 4)
    )
    assert torch.equal(one, same) and not torch.equal(one, other)


@pytest.mark.parametrize("options", [{"patch": 4}, {"patch": 1}, {"patch": 33}, {"seed": -1}])
def test_impossible_patches_are_refused(options):
    with pytest.raises(ValueError, match="patch must be odd"):
        classical.complete(torch.rand(1, 3, 16, 16), masks.make("center", 16), "patchmatch", **options)


@pytest.mark.parametrize("kind", classical.KINDS)
def test_a_plain_image_stays_plain(kind):
    image, mask = torch.full((1, 3, 24, 24), 0.4), masks.make("center", 24)
    assert torch.allclose(classical.complete(image, mask, kind).composite, image, atol=4 / 255)  # 8 bits


# ---------------------------------------------------------------------------------------- Poisson blending


def blend_slowly(known, guide, hole):
    """The normal equations of Poisson blending, one dense row a missing pixel."""
    height, width = hole.shape
    places = [tuple(p) for p in np.argwhere(hole)]
    matrix, right = np.zeros((len(places), len(places))), np.zeros(len(places))
    for row, (y, x) in enumerate(places):
        for q in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if 0 <= q[0] < height and 0 <= q[1] < width:
                matrix[row, row] += 1
                right[row] += guide[y, x] - guide[q]
                if hole[q]:
                    matrix[row, places.index(q)] -= 1
                else:
                    right[row] += known[q]
    filled = known.copy()
    filled[hole] = np.linalg.solve(matrix, right)
    return filled


@given(st.integers(0, 999), st.booleans())
@settings(max_examples=25, deadline=None)
def test_poisson_blending_solves_its_equations(seed, at_the_border):
    random = np.random.default_rng(seed)
    hole = np.zeros((7, 8), bool)
    hole[(0 if at_the_border else 2) : 5, 2:6] = random.random((5 if at_the_border else 3, 4)) < 0.8
    hole[3, 3] = True
    known, guide = random.random((2, 7, 8))
    found = poisson.solve(known[..., None], guide[..., None], hole)[..., 0]
    assert np.allclose(found, blend_slowly(known, guide, hole), atol=1e-9)


def test_a_drawing_in_another_light_is_brought_into_this_one():
    """The same image, 0.2 brighter: its gradients are right, so blending restores the original."""
    image, mask = ramp() * 0.7, masks.make("center", 24)
    blended = classical.poisson_blend(image, image + 0.2, mask)
    assert torch.allclose(blended, image, atol=1e-5)
    assert torch.equal(blended[mask.expand_as(image) > 0.5], image[mask.expand_as(image) > 0.5])


@pytest.mark.parametrize(("part", "holes"), [(slice(0, 12), "above"), (slice(12, 24), "below")])
def test_blending_works_up_to_the_border(part, holes):
    image, mask = ramp() * 0.7, torch.ones(1, 1, 24, 24)
    mask[..., part, :] = 0
    assert torch.allclose(classical.poisson_blend(image, image + 0.1, mask), image, atol=1e-5), holes


def test_blending_refuses_what_it_cannot_blend():
    image, mask = torch.rand(1, 3, 8, 8), masks.make("center", 8)
    with pytest.raises(ValueError, match="one shape"):
        classical.poisson_blend(image, image[..., :4], mask)
    with pytest.raises(ValueError, match="NaN or infinity"):
        classical.poisson_blend(image, torch.full_like(image, float("nan")), mask)
    with pytest.raises(ValueError, match="leaves no known pixel"):
        classical.poisson_blend(image, image, torch.zeros_like(mask))


@pytest.mark.parametrize("kind", classical.KINDS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_floating_type_is_filled_in_its_type(kind, dtype):
    image, mask = ramp().to(dtype), masks.make("center", 24)
    out = classical.complete(image, mask.to(dtype), kind)
    assert out.composite.dtype == out.raw.dtype == dtype
    assert torch.equal(out.raw, classical.complete(image.double(), mask, kind).raw.to(dtype))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(classical.complete(image, mask, kind).raw, out.raw)
