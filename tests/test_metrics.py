"""Measures agree with scikit-image's and with what one works out by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio

from facecomp_lib import evaluation, masks


@given(st.integers(1, 3), st.integers(1, 16), st.integers(1, 16), st.integers(0, 999))
@settings(max_examples=30, deadline=None)
def test_psnr_is_scikit_images(batch, height, width, seed):
    make = torch.Generator().manual_seed(seed)
    prediction = torch.rand(batch, 3, height, width, generator=make)
    target = torch.rand(batch, 3, height, width, generator=make)
    ours = evaluation.psnr(prediction, target)
    theirs = [
        peak_signal_noise_ratio(t.numpy(), p.numpy(), data_range=1)
        for p, t in zip(prediction, target, strict=True)
    ]
    assert np.allclose(ours, theirs, atol=1e-3)


def test_one_wrong_tenth():
    target = torch.full((1, 3, 4, 4), 0.5)
    prediction = target + 0.1
    assert evaluation.psnr(prediction, target).item() == pytest.approx(20, abs=1e-4)
    assert evaluation.l1(prediction, target).item() == pytest.approx(0.1, abs=1e-6)


def test_hole_measures_count_missing_pixels_only():
    target = torch.rand(2, 3, 8, 8) * 0.5
    mask = masks.make("center", 8, 2)
    prediction = torch.where(mask > 0.5, target, target + 0.2)
    measures = evaluation.score(prediction, target, mask)
    assert torch.allclose(measures["l1_hole"], torch.tensor(0.2))
    assert torch.allclose(measures["l1"], torch.tensor(0.05))  # a quarter is missing
    assert torch.allclose(measures["psnr_hole"], torch.tensor(-20 * math.log10(0.2)))
    # the whole image's error is the hole's, times the share of the hole
    assert torch.allclose(measures["psnr"], measures["psnr_hole"] - 10 * math.log10(0.25))


def test_hole_measures_of_an_all_hole_are_the_whole_images():
    prediction, target = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8)
    measures = evaluation.score(prediction, target, torch.zeros(1, 1, 8, 8))
    assert torch.allclose(measures["psnr"], measures["psnr_hole"])
    assert torch.allclose(measures["l1"], measures["l1_hole"])


def test_equal_pictures_are_infinitely_good_and_without_a_hole_there_is_nothing_to_measure():
    picture = torch.rand(2, 3, 8, 8)
    mask = torch.cat([torch.ones(1, 1, 8, 8), masks.make("center", 8)])
    measures = evaluation.score(picture, picture, mask)
    assert measures["psnr"].isinf().all() and (measures["psnr"] > 0).all()
    assert (measures["l1"] == 0).all()
    assert measures["psnr_hole"].isnan().tolist() == [True, False]
    assert measures["l1_hole"].isnan().tolist() == [True, False]
    assert {value.shape for value in measures.values()} == {(2,)}


@pytest.mark.parametrize(
    ("prediction", "target", "mask", "message"),
    [
        (
            torch.rand(1, 3, 8, 8),
            torch.rand(1, 3, 8, 9),
            torch.ones(1, 1, 8, 8),
            r"not \[1, 3, 8, 8\] and \[1, 3, 8, 9\]",
        ),
        (torch.rand(3, 8, 8), torch.rand(3, 8, 8), torch.ones(1, 1, 8, 8), r"must both be \[B, 3, H, W\]"),
        (torch.zeros(1, 3, 8, 8).byte(), torch.rand(1, 3, 8, 8), torch.ones(1, 1, 8, 8), "divide 8-bit"),
        (
            torch.rand(2, 3, 8, 8),
            torch.rand(2, 3, 8, 8),
            torch.ones(3, 1, 8, 8),
            r"mask must be \[2, 1, 8, 8\]",
        ),
    ],
)
def test_what_does_not_fit_is_refused(prediction, target, mask, message):
    with pytest.raises(ValueError, match=message):
        evaluation.score(prediction, target, mask)
