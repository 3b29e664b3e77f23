"""Checks of arguments: what is right passes, what is wrong gets one sentence that says what to do."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from facecomp_lib.utils import checks

IMAGE = torch.linspace(0, 1, 2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
POINTS = torch.arange(2 * 68 * 2.0).reshape(2, 68, 2)


def refused(sentence, check, *arguments, **options):
    with pytest.raises(ValueError, match=sentence) as caught:
        check(*arguments, **options)
    text = str(caught.value)
    assert "\n" not in text and text.endswith(".") and len(text) < 250


def test_what_is_right_passes():
    checks.check_image(IMAGE)
    checks.check_image(IMAGE.half(), smallest=4)
    checks.check_unit_range(IMAGE + 5e-4)  # by rounding
    checks.check_unit_range(IMAGE[:0])
    checks.check_images_match(1.8 * IMAGE - 0.4, IMAGE)
    for count in (1, 2):
        checks.check_mask(torch.ones(count, 1, 4, 5), IMAGE)
    checks.check_mask(torch.ones(2, 1, 4, 5, dtype=torch.bool), IMAGE, binary=False)
    for points in (POINTS, POINTS.numpy()):
        checks.check_landmarks(points)
        checks.check_landmarks(points, (2, 68, 2))
        checks.check_landmarks(points[0], ("...", 68, 2))
    checks.check_range(np.float32(0.5), 0, 1, "x")
    checks.check_range(7, 0, math.inf, "x")
    checks.check_count(np.int64(3), 3, "n", 3)
    checks.check_choice("b", ("a", "b"), "letter")


@pytest.mark.parametrize(
    ("image", "sentence"),
    [
        (IMAGE[:, :1], "face must be RGB, .* not .2, 1, 4, 5.: repeat a grey image three times"),
        (torch.rand(1, 4, 2, 2), "drop the alpha channel"),
        (IMAGE[0], r"not \[3, 4, 5\]"),
        (IMAGE.numpy(), "must be a float tensor .* not ndarray"),
        (None, "not NoneType"),
        ((255 * IMAGE).byte(), "must be float in .0, 1., not uint8: divide 8-bit images by 255"),
        (IMAGE[..., :1], "at least 2x2 px, not 4x1"),
    ],
)
def test_what_is_no_image_is_refused(image, sentence):
    refused(sentence, checks.check_image, image, "face", smallest=2)


def test_values_out_of_range_are_refused():
    refused(
        r"face must lie in \[0, 1\], not -1 \.\.\. 1: rescale", checks.check_unit_range, 2 * IMAGE - 1, "face"
    )
    for wrong in (math.nan, math.inf):
        refused("NaN or infinite", checks.check_unit_range, IMAGE.masked_fill(IMAGE > 0.9, wrong), "face")
        refused("raw has NaN or infinite", checks.check_finite, np.array([0, wrong]), "raw")


def test_images_that_cannot_be_compared_are_refused():
    refused("one shape", checks.check_images_match, IMAGE, IMAGE[:1])
    refused("prediction is on cpu, target on meta: move", checks.check_images_match, IMAGE, IMAGE.to("meta"))
    refused("target must lie in", checks.check_images_match, IMAGE, 2 * IMAGE)
    refused("prediction has NaN", checks.check_images_match, IMAGE / 0, IMAGE)
    refused("divide 8-bit images by 255", checks.check_images_match, 255 * torch.ones_like(IMAGE), IMAGE)
    refused(r"by \(image \+ 1\) / 2", checks.check_images_match, -torch.ones_like(IMAGE), IMAGE)


@pytest.mark.parametrize(
    ("mask", "sentence"),
    [
        (torch.ones(3, 1, 4, 5), r"mask must be \[2, 1, 4, 5\], not \[3, 1, 4, 5\]: one per image"),
        (torch.ones(2, 3, 4, 5), r"mask must be \[2, 1, 4, 5\], not \[2, 3, 4, 5\]"),
        (torch.ones(2, 1, 4, 5).bool(), "use mask.float"),
        (np.ones((2, 1, 4, 5)), r"mask must be \[2, 1, 4, 5\], not ndarray: make one with fc.masks.make"),
        (torch.full((2, 1, 4, 5), 0.5), "1 .known. and 0 .missing. only"),
        (torch.ones(2, 1, 4, 5, device="meta"), "image is on cpu, mask on meta"),
    ],
)
def test_what_is_no_mask_is_refused(mask, sentence):
    refused(sentence, checks.check_mask, mask, IMAGE)


def test_what_are_no_landmarks_is_refused():
    refused(r"landmarks must be \[B, 68, 2\], not \[68, 2\]", checks.check_landmarks, POINTS[0])
    refused(r"must be \[3, 68, 2\], not \[2, 68, 2\]", checks.check_landmarks, POINTS, (3, 68, 2))
    refused(r"must be \[..., 68, 2\], not \[2\]", checks.check_landmarks, POINTS[0, 0], ("...", 68, 2))
    refused("eyes has NaN or infinite values", checks.check_landmarks, POINTS * math.nan, name="eyes")
    refused(r"must be a tensor \[B, 68, 2\], not list", checks.check_landmarks, [[0, 0]] * 68)
    refused("must be a tensor .* not ndarray", checks.check_landmarks, POINTS.numpy(), tensor=True)
    checks.check_landmarks(POINTS * math.nan, finite=False)


def test_a_letter_means_one_length_in_all_fields():
    lengths = {}
    checks.check_shape(IMAGE, ("B", 3, "H", "W"), "image", lengths)
    assert lengths == {"B": 2, "H": 4, "W": 5}
    refused(r"depth must be \[2, 4, 5\], not \[2, 5, 4\]", checks.check_shape, IMAGE[:, 0].mT, ("B", "H", "W"), "depth", lengths)  # fmt: skip  # noqa: E501
    refused(r"square must be \[N, N\], not \[4, 5\]", checks.check_shape, IMAGE[0, 0], ("N", "N"), "square")


@pytest.mark.parametrize("wrong", [-0.1, 1.1, math.nan, "a", None, True, [1], torch.ones(3)])
def test_what_is_no_number_of_the_range_is_refused(wrong):
    refused(r"share must lie in 0 \.\.\. 1 px, not ", checks.check_range, wrong, 0, 1, "share", " px")


def test_a_range_without_end_has_no_infinity():
    refused("width must be 0 or more px, not inf", checks.check_range, math.inf, 0, math.inf, "width", " px")


@pytest.mark.parametrize("wrong", [0, 1.5, 3.0, math.nan, "3", None, True])
def test_what_is_no_count_is_refused(wrong):
    refused("steps must be a whole number, 1 or more, not ", checks.check_count, wrong, 1, "steps")


def test_choices_and_paths():
    refused(
        "Unknown split 'all': choose one of train, test",
        checks.check_choice,
        "all",
        ("train", "test"),
        "split",
    )
    refused("Unknown split None", checks.check_choice, None, ("train",), "split")
    refused("folder must be a path, not int", checks.check_path, 3, "folder")
    assert checks.check_path("~/faces", "folder") == Path.home() / "faces"


def test_a_message_shows_a_wrong_value_only_as_far_as_it_is_short():
    assert len(checks.shown("x" * 10**6)) < 100
    assert checks.shown(torch.zeros(1000, 1000)) == "float32 [1000, 1000]"
    assert checks.shown({"a": 1}) == "dict"
