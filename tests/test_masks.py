"""Holes: where they are, that they are reproducible, and that known pixels survive."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from facecomp_lib import masks

sizes = st.one_of(st.integers(2, 40), st.tuples(st.integers(2, 40), st.integers(2, 40)))


@given(st.sampled_from(masks.KINDS), sizes, st.integers(0, 4), st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_masks_are_zero_one_maps_that_leave_something_known(kind, size, n, seed):
    height, width = (size, size) if isinstance(size, int) else size
    mask = masks.make(kind, size, n, seed)
    assert mask.shape == (n, 1, height, width) and mask.dtype == torch.float32
    assert ((mask == 0) | (mask == 1)).all()
    fraction = masks.hole_fraction(mask)
    assert ((fraction > 0) & (fraction < 1)).all()


@given(st.sampled_from(masks.KINDS), st.integers(1, 5), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_a_longer_batch_begins_with_the_shorter_one(kind, n, seed):
    assert torch.equal(masks.make(kind, 24, 7, seed)[:n], masks.make(kind, 24, n, seed))


def test_center_is_the_square_of_half_the_side():
    mask = masks.make("center", size=128)
    assert mask[0, 0, 32:96, 32:96].sum() == 0
    assert (mask == 0).sum() == 64 * 64
    small = masks.make("center", size=(20, 30), side=4)
    assert (small == 0).nonzero()[:, 2:].amin(0).tolist() == [8, 13]
    assert (small == 0).sum() == 16


def test_random_squares_reach_every_place_equally():
    mask = masks.make("random_square", size=8, n=2000, seed=1, side=5)
    places = [(m == 0).nonzero()[0, 1:].tolist() for m in mask]
    assert all((m == 0).sum() == 25 for m in mask)
    counts = torch.zeros(4, 4)
    for top, left in places:
        counts[top, left] += 1
    assert counts.min() > 80 and counts.max() < 175  # 125 expected, a deviation of about 11
    assert all(mask[k, 0, t : t + 5, j : j + 5].sum() == 0 for k, (t, j) in enumerate(places))


def test_left_is_the_viewers_left():
    left, right = masks.make("half_left", 10), masks.make("half_right", 10)
    assert left[..., :5].sum() == 0 and left[..., 5:].min() == 1
    assert torch.equal(right, left.flip(-1))
    assert masks.make("half_left", 11)[..., 5].min() == 1  # the smaller half of an odd width


def test_seeds_differ():
    assert not torch.equal(masks.make("random_square", 64, 4, 0), masks.make("random_square", 64, 4, 1))


@given(st.integers(1, 4), st.integers(1, 12), st.integers(1, 12), st.integers(0, 999), st.booleans())
@settings(max_examples=40, deadline=None)
def test_known_pixels_survive_bit_for_bit(batch, height, width, seed, one_mask):
    make = torch.Generator().manual_seed(seed)
    image = torch.rand(batch, 3, height, width, generator=make)
    raw = torch.full_like(image, float("nan"))  # the worst that a method can draw
    mask = (torch.rand(1 if one_mask else batch, 1, height, width, generator=make) > 0.5).float()
    shown = masks.composite(image, raw, mask)
    known = (mask > 0.5).expand_as(image)
    assert torch.equal(shown[known], image[known])
    assert shown[~known].isnan().all()


def test_what_lies_under_the_hole_is_ignored():
    image = torch.rand(1, 3, 8, 8)
    mask = masks.make("center", 8)
    spoiled = torch.where(mask > 0.5, image, torch.tensor(float("nan")))
    assert torch.equal(masks.composite(spoiled, image, mask), image)
    assert torch.equal(masks.check(spoiled, mask), mask)


def image(channels=3, **kind):
    return torch.rand(2, channels, 8, 8, **kind)


@pytest.mark.parametrize(
    ("picture", "mask", "message"),
    [
        (image(1), None, r"RGB \[B, 3, H, W\], not \[2, 1, 8, 8\]: repeat a grey image"),
        (image(4), None, "drop the alpha channel"),
        (image()[0], None, r"not \[3, 8, 8\]"),
        (image().numpy(), None, "not ndarray"),
        ((image() * 255).byte(), None, "divide 8-bit pictures by 255"),
        (image()[:, :, :1], None, "at least 2x2 px, not 1x8"),
        (image() * 2, None, r"values outside \[0, 1\]"),
        (image() * float("nan"), None, "NaN"),
        (image(), torch.ones(2, 1, 8, 9), r"shape \[2, 1, 8, 8\] like the image, not \[2, 1, 8, 9\]"),
        (image(), torch.ones(3, 1, 8, 8), "like the image"),
        (image(), torch.ones(2, 3, 8, 8), "like the image"),
        (image(), torch.ones(2, 1, 8, 8) * 0.5, "1 .known. and 0 .missing. only"),
        (image(), torch.ones(2, 1, 8, 8, dtype=torch.bool), "use mask.float"),
        (image(), torch.ones(2, 1, 8, 8) * 255, "1 .known. and 0 .missing. only"),
        (image(), torch.ones(2, 1, 8, 8) * float("nan"), "1 .known. and 0 .missing. only"),
        (
            image(),
            torch.tensor([1.0, 0]).view(2, 1, 1, 1).expand(2, 1, 8, 8),
            "image 1 leaves no known pixel",
        ),
    ],
)
def test_what_cannot_be_completed_is_refused(picture, mask, message):
    with pytest.raises(ValueError, match=message):
        masks.check(picture, masks.make("center", 8, 2) if mask is None else mask)


def test_composite_refuses_pictures_that_do_not_fit():
    with pytest.raises(ValueError, match="one shape and type"):
        masks.composite(image(), image()[..., :7], masks.make("center", 8))
    with pytest.raises(ValueError, match="float64"):
        masks.composite(image(), image().double(), masks.make("center", 8))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"kind": "centre"}, "Unknown mask kind 'centre': choose one of center, random_square"),
        ({"kind": "half_left", "side": 3}, "'half_left' has no option side: it has none"),
        ({"kind": "center", "radius": 3}, "'center' has no option radius: it has side"),
        ({"kind": "center", "side": 129}, "side must lie in 1 ... 128"),
        ({"kind": "center", "size": 1}, "size >= 2"),
        ({"kind": "center", "seed": -1}, "seed >= 0"),
        ({"kind": "center", "landmarks": torch.zeros(2, 68, 2)}, r"landmarks must be \[1, 68, 2\]"),
    ],
)
def test_a_bad_wish_is_refused_with_what_there_is(call, message):
    with pytest.raises(ValueError, match=message):
        masks.make(**call)
