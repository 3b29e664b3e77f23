"""Holes of every kind: what a mask is, that it is reproducible, and that known pixels survive."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from facecomp_lib import masks

RECTANGLES = ("center", "random_square", "random_rectangle", "random_block", "half_left", "half_right")
RANDOM = [kind for kind in masks.KINDS if not kind.startswith(("center", "half", "gfc", "collagan"))]

sides = st.integers(16, 72)
sizes = st.one_of(sides, st.tuples(sides, sides))


def check_masks(mask, size, n):
    height, width = (size, size) if isinstance(size, int) else size
    assert mask.shape == (n, 1, height, width) and mask.dtype == torch.float32
    assert ((mask == 0) | (mask == 1)).all()
    fraction = masks.hole_fraction(mask)
    assert ((fraction > 0) & (fraction < 1)).all()


def test_every_kind_of_the_papers_is_there():
    bins = {f"irregular_{low}_{low + 10}" for low in (10, 20, 30, 40, 50)}
    parts = {f"{paper}_o{number}" for paper in ("gfc", "collagan") for number in range(1, 7)}
    others = {"pattern", "noise", "glasses", "scarf", "hand", "microphone"}
    assert set(masks.KINDS) == {*RECTANGLES, *bins, *parts, *others}
    assert tuple(masks.SOURCES) == masks.KINDS
    papers = ("gfc", "collagan", "lafin", "oracle", "symmfc")
    assert all(any(paper in source for paper in papers) for source in masks.SOURCES.values())
    assert all(any(paper in source for source in masks.SOURCES.values()) for paper in papers)


@pytest.mark.parametrize("kind", masks.KINDS)
@given(size=sizes, n=st.integers(0, 3), seed=st.integers(0, 2**40))
@settings(max_examples=12, deadline=None)
def test_masks_are_zero_one_maps_that_leave_something_known(kind, size, n, seed):
    check_masks(masks.make(kind, size, n, seed), size, n)


@pytest.mark.parametrize("kind", RECTANGLES)
@given(size=st.tuples(st.integers(2, 15), st.integers(2, 15)), seed=st.integers(0, 99))
@settings(max_examples=10, deadline=None)
def test_rectangles_fit_the_smallest_images(kind, size, seed):
    check_masks(masks.make(kind, size, 2, seed), size, 2)


@pytest.mark.parametrize("kind", masks.KINDS)
def test_mask_k_depends_on_seed_and_k_alone(kind):
    seven = masks.make(kind, 32, 7, seed=5)
    assert torch.equal(seven[:3], masks.make(kind, 32, 3, seed=5))
    assert torch.equal(seven[[6, 2]], masks.make(kind, 32, seed=5, index=[6, 2]))
    assert torch.equal(seven[[4, 4]], masks.make(kind, 32, 2, seed=5, index=torch.tensor([4, 4])))


@pytest.mark.parametrize("kind", RANDOM)
def test_seeds_steps_and_places_give_other_masks(kind):
    def four(**wish):
        return masks.make(kind, 64, 4, **wish)

    first = four(seed=0)
    assert torch.equal(first, four(seed=0, step=0))
    assert len(first.flatten(1).unique(dim=0)) == 4
    for other in (four(seed=1), four(seed=0, step=1), masks.make(kind, 64, index=[4, 5, 6, 7])):
        assert len(torch.cat([first, other]).flatten(1).unique(dim=0)) > 4


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


def spans(mask):
    """Top, left, height and width of each rectangular hole: int [n, 4]."""
    boxes = []
    for hole in mask[:, 0] == 0:
        rows, columns = (hole.any(axis).nonzero().flatten() for axis in (1, 0))
        box = [rows[0], columns[0], len(rows), len(columns)]
        assert hole.sum() == box[2] * box[3], "not a rectangle"
        boxes.append([int(value) for value in box])
    return np.array(boxes)


def test_random_rectangles_have_the_sides_of_oracle():
    boxes = spans(masks.make("random_rectangle", 256, 600, seed=2))
    heights, widths = boxes[:, 2], boxes[:, 3]
    for lengths in (heights, widths):
        assert lengths.min() == 94 and lengths.max() == 128
    assert abs(np.corrcoef(heights, widths)[0, 1]) < 0.15, "height and width are drawn on their own"
    assert set(spans(masks.make("random_rectangle", (40, 60), 99, sides=(3, 5)))[:, 2:].flat) == {3, 4, 5}


def test_a_random_block_has_half_of_each_side():
    boxes = spans(masks.make("random_block", (20, 30), 200))
    assert (boxes[:, 2:] == [10, 15]).all()
    assert boxes[:, :2].min() == 0 and boxes[:, :2].max(0).tolist() == [10, 15]


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
    ("image", "mask", "message"),
    [
        (image(1), None, r"RGB, \[B, 3, H, W\], not \[2, 1, 8, 8\]: repeat a grey image"),
        (image(4), None, "drop the alpha channel"),
        (image()[0], None, r"not \[3, 8, 8\]"),
        (image().numpy(), None, "not ndarray"),
        ((image() * 255).byte(), None, "divide 8-bit images by 255"),
        (image()[:, :, :1], None, "at least 2x2 px, not 1x8"),
        (image() * 2, None, r"values outside \[0, 1\]"),
        (image() * float("nan"), None, "NaN"),
        (image(), torch.ones(2, 1, 8, 9), r"mask must be \[2, 1, 8, 8\], not \[2, 1, 8, 9\]"),
        (image(), torch.ones(3, 1, 8, 8), "one per image, of its shape"),
        (image(), torch.ones(2, 3, 8, 8), "one per image, of its shape"),
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
def test_what_cannot_be_completed_is_refused(image, mask, message):
    with pytest.raises(ValueError, match=message):
        masks.check(image, masks.make("center", 8, 2) if mask is None else mask)


def test_composite_refuses_images_that_do_not_fit():
    with pytest.raises(ValueError, match="one shape and type"):
        masks.composite(image(), image()[..., :7], masks.make("center", 8))
    with pytest.raises(ValueError, match="float64"):
        masks.composite(image(), image().double(), masks.make("center", 8))


def somewhere(value):
    return torch.full((1, 68, 2), float(value))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"kind": "centre"}, "Unknown mask kind 'centre': choose one of center, random_square"),
        ({"kind": "half_left", "side": 3}, "'half_left' has no option side: it has none"),
        ({"kind": "half_right", "side": 3}, "'half_right' has no option side: it has none"),
        ({"kind": "center", "radius": 3}, "'center' has no option radius: it has side"),
        ({"kind": "irregular_10_20", "side": 3}, "no option side: it has folder, invert"),
        ({"kind": "center", "side": 129}, "side must lie in 1 ... 128 px, not 129"),
        ({"kind": "random_rectangle", "sides": (9, 8)}, "1 <= least <= greatest <= 128, not .9, 8."),
        ({"kind": "random_rectangle", "sides": 9}, "sides must be two lengths"),
        ({"kind": "pattern", "fraction": 25}, "fraction must lie in 0.01 ... 0.99, not 25"),
        ({"kind": "pattern", "grain": 0.5}, "grain must lie in 1 ... 128 px"),
        ({"kind": "noise", "fraction": 1}, "fraction must lie in 0.01 ... 0.99, not 1"),
        ({"kind": "center", "size": 1}, "'center' needs at least 2 px each way, not 1 x 1"),
        ({"kind": "gfc_o3", "size": (15, 40)}, "'gfc_o3' needs at least 16 px each way, not 15 x 40"),
        ({"kind": "center", "size": 128.5}, "whole number of pixels, or .height, width., not 128.5"),
        ({"kind": "center", "size": (3, 64, 64)}, "whole number of pixels"),
        ({"kind": "center", "seed": -1}, "seed must be a whole number, 0 or more, not -1"),
        ({"kind": "center", "n": -1}, "n must be a whole number, 0 or more"),
        ({"kind": "center", "index": [0.5]}, "index must hold n whole numbers from 0 up, not float64"),
        ({"kind": "center", "index": [0, -1]}, "index must hold n whole numbers"),
        ({"kind": "center", "index": [0, 1], "n": 3}, r"not int64 \[2\] for n = 3"),
        ({"kind": "center", "landmarks": torch.zeros(2, 68, 2)}, r"landmarks must be \[1, 68, 2\]"),
        ({"kind": "glasses", "landmarks": somewhere(float("nan"))}, "finite"),
        ({"kind": "glasses", "landmarks": somewhere(0.5)}, "must be in pixels: these span"),
    ],
)
def test_a_bad_wish_is_refused_with_what_there_is(call, message):
    with pytest.raises(ValueError, match=message):
        masks.make(**call)
