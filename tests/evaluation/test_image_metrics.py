"""Metrics of images agree with scikit-image's and torchmetrics', and with what one works out by hand."""

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_help import fills, need, noise, others
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from facecomp_lib import evaluation, masks, weights
from facecomp_lib.evaluation import image as metrics


def channels_last(images):
    return [image.permute(1, 2, 0).double().numpy() for image in images]


def their_ssim(prediction, target):
    """scikit-image's similarity with the window of Wang et al.: means [B] and maps [B, H, W]."""
    choices = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1}
    pairs = zip(channels_last(prediction), channels_last(target), strict=True)
    results = [structural_similarity(a, b, channel_axis=2, full=True, **choices) for a, b in pairs]
    return np.array([mean for mean, _ in results]), np.array([image.mean(2) for _, image in results])


# ----------------------------------------------------------------------------------- other implementations


@given(st.integers(1, 3), st.integers(1, 16), st.integers(1, 16), st.integers(0, 999))
@settings(max_examples=30, deadline=None)
def test_psnr_is_scikit_images(batch, height, width, seed):
    prediction, target = (
        noise(batch, 3, height, width, seed=seed),
        noise(batch, 3, height, width, seed=seed + 1),
    )
    pairs = zip(channels_last(prediction), channels_last(target), strict=True)
    theirs = [peak_signal_noise_ratio(b, a, data_range=1) for a, b in pairs]
    assert np.allclose(evaluation.psnr(prediction, target), theirs, atol=1e-4)


@pytest.mark.parametrize("scale", [1, 0.02])  # in the dark, variances are as small as the constants
@pytest.mark.parametrize("size", [(11, 11), (40, 23), (64, 64)])
def test_ssim_is_scikit_images_for_noise(size, scale):
    target = scale * noise(2, 3, *size)
    prediction = (target + 0.1 * scale * noise(2, 3, *size, seed=1)).clamp(0, 1)
    means, maps = their_ssim(prediction, target)
    assert np.allclose(evaluation.ssim(prediction, target), means, atol=1e-5)
    assert np.allclose(evaluation.ssim_map(prediction, target), maps, atol=5e-4)


def test_ssim_is_scikit_images_for_faces():
    prediction, target, mask = fills()
    means, maps = their_ssim(prediction, target)
    assert np.allclose(evaluation.ssim(prediction, target), means, atol=1e-5)
    hole = mask[:, 0].numpy() < 0.5
    in_hole = [image[missing].mean() for image, missing in zip(maps, hole, strict=True)]
    assert np.allclose(evaluation.ssim_hole(prediction, target, mask), in_hole, atol=1e-5)


def test_ssim_is_torchmetrics_too_inside_the_border_that_it_makes_up():
    others()
    from torchmetrics.functional.image import structural_similarity_index_measure

    prediction, target, _ = fills(3)
    _, theirs = structural_similarity_index_measure(
        prediction.double(), target.double(), data_range=1.0, reduction="none", return_full_image=True
    )
    inner = theirs[:, :, 5:-5, 5:-5].mean((1, 2, 3)).float()
    assert torch.allclose(evaluation.ssim(prediction, target), inner, atol=1e-5)


def test_lpips_is_torchmetrics_with_the_heads_that_it_carries():
    need("lpips_alex")
    others()
    from safetensors.torch import load_file
    from torchmetrics.functional.image.lpips import _LPIPS

    theirs = _LPIPS(net="alex", pnet_rand=True)  # heads from the package, the trunk random ...
    trunk = {name: x for name, x in load_file(weights.path("lpips_alex")).items() if name.startswith("net.")}
    assert len(trunk) == 10
    assert not theirs.load_state_dict(trunk, strict=False).unexpected_keys  # ... and now AlexNet
    prediction, target, _ = fills(3)
    with torch.no_grad():
        expected = theirs(2 * prediction - 1, 2 * target - 1).flatten()
    assert expected.min() > 0.05
    assert torch.allclose(evaluation.lpips(prediction, target), expected, atol=1e-5)


# ---------------------------------------------------------------------------------------- by hand, by sense


def test_one_wrong_tenth():
    target = torch.full((1, 3, 4, 4), 0.5)
    prediction = target + 0.1
    assert evaluation.psnr(prediction, target).item() == pytest.approx(20, abs=1e-4)
    assert evaluation.l1(prediction, target).item() == pytest.approx(0.1, abs=1e-6)


def test_ssim_of_flat_images_is_the_luminance_term():
    a, b = torch.full((1, 3, 16, 16), 0.4), torch.full((1, 3, 16, 16), 0.6)
    expected = (2 * 0.4 * 0.6 + 1e-4) / (0.4**2 + 0.6**2 + 1e-4)
    assert evaluation.ssim(a, b).item() == pytest.approx(expected, abs=1e-5)


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_ssim_is_symmetric_at_most_one_and_one_for_equal_images(height, width, seed):
    a, b = noise(2, 3, height, width, seed=seed), noise(2, 3, height, width, seed=seed + 1)
    assert torch.allclose(evaluation.ssim(a, a), torch.ones(2), atol=1e-4)
    assert torch.allclose(evaluation.ssim(a, b), evaluation.ssim(b, a), atol=1e-6)
    assert (evaluation.ssim_map(a, b) <= 1 + 1e-4).all()


def test_psnr_prefers_blur_to_a_shift_that_eyes_hardly_see_and_ssim_and_lpips_do_not():
    need("lpips_alex")
    _, target, _ = fills(4)
    shifted = target.roll(2, dims=3)
    blurred = torch.nn.functional.avg_pool2d(target, 7, 1, 3, count_include_pad=False)
    assert (evaluation.psnr(blurred, target) > evaluation.psnr(shifted, target)).all()
    assert (evaluation.lpips(blurred, target) > evaluation.lpips(shifted, target)).all()


def test_lpips_of_equal_images_is_zero_and_batches_change_nothing():
    need("lpips_alex")
    prediction, target, _ = fills(4)
    assert (evaluation.lpips(target, target) == 0).all()
    one_by_one = [evaluation.lpips(prediction[k : k + 1], target[k : k + 1]) for k in range(4)]
    assert torch.allclose(evaluation.lpips(prediction, target), torch.cat(one_by_one), atol=1e-6)


# --------------------------------------------------------------------------------------------------- score


def test_hole_measures_count_missing_pixels_only():
    target = noise(2, 3, 8, 8) * 0.5
    mask = masks.make("center", 8, 2)
    prediction = torch.where(mask > 0.5, target, target + 0.2)
    measures = evaluation.score(prediction, target, mask)
    assert torch.allclose(measures["l1_hole"], torch.tensor(0.2))
    assert torch.allclose(measures["l1"], torch.tensor(0.05))  # a quarter is missing
    assert torch.allclose(measures["psnr_hole"], torch.tensor(-20 * math.log10(0.2)))
    # the whole image's error is the hole's, times the share of the hole
    assert torch.allclose(measures["psnr"], measures["psnr_hole"] - 10 * math.log10(0.25))


def test_hole_measures_of_an_all_hole_are_the_whole_images():
    prediction, target = noise(2, 3, 8, 8), noise(2, 3, 8, 8, seed=1)
    measures = evaluation.score(prediction, target, torch.zeros(1, 1, 8, 8))
    assert torch.allclose(measures["psnr"], measures["psnr_hole"])
    assert torch.allclose(measures["l1"], measures["l1_hole"])
    assert torch.allclose(measures["ssim"], measures["ssim_hole"])  # below 11 px: no rim is left out


def test_equal_images_are_infinitely_good_and_without_a_hole_there_is_nothing_to_measure():
    image = noise(2, 3, 8, 8)
    mask = torch.cat([torch.ones(1, 1, 8, 8), masks.make("center", 8)])
    measures = evaluation.score(image, image, mask)
    assert measures["psnr"].isinf().all() and (measures["psnr"] > 0).all()
    assert (measures["l1"] == 0).all()
    for name in ("psnr_hole", "ssim_hole", "l1_hole"):
        assert measures[name].isnan().tolist() == [True, False]
    assert {value.shape for value in measures.values()} == {(2,)}
    assert {value.dtype for value in measures.values()} == {torch.float32}


def test_without_any_missing_pixel_there_are_no_hole_measures():
    image = noise(1, 3, 12, 12)
    assert set(evaluation.score(image, image, torch.ones(1, 1, 12, 12))) == {"psnr", "ssim", "l1"}


def test_score_gives_what_its_measures_give():
    need("lpips_alex")
    prediction, target, mask = fills(2, 64)
    measures = evaluation.score(prediction, target, mask)
    assert tuple(measures) == evaluation.IMAGE_METRICS
    for name in ("psnr", "ssim", "l1", "lpips"):
        assert torch.equal(measures[name], getattr(evaluation, name)(prediction, target))
    for name in ("psnr_hole", "ssim_hole", "l1_hole"):
        assert torch.equal(measures[name], getattr(evaluation, name)(prediction, target, mask))
    assert tuple(evaluation.score(prediction, target, mask, ["l1", "psnr"])) == ("psnr", "l1")
    assert tuple(evaluation.score(prediction, target, mask, "l1_hole")) == ("l1_hole",)


@pytest.mark.parametrize("kind", [torch.bool, torch.uint8, torch.float64, torch.bfloat16])
def test_any_type_of_mask_will_do(kind):
    prediction, target, mask = fills(2, 32)
    expected = evaluation.score(prediction, target, mask)
    measures = evaluation.score(prediction, target, mask.to(kind))
    assert all(torch.equal(measures[name], expected[name]) for name in expected)


def test_half_precision_images_are_measured_in_single_precision():
    prediction, target, mask = (x.bfloat16() for x in fills(2, 64))
    measures = evaluation.score(prediction, target, mask)
    expected = evaluation.score(prediction.float(), target.float(), mask)
    for name in expected:
        assert measures[name].dtype == torch.float32
        assert torch.allclose(measures[name], expected[name], atol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):  # nor does automatic precision reach in
        again = evaluation.score(prediction.float(), target.float(), mask)
    assert all(torch.allclose(again[name], expected[name], atol=1e-5) for name in expected)


def test_measures_keep_no_gradients_and_an_empty_batch_is_empty():
    prediction, target, mask = fills(1, 32)
    measures = evaluation.score(prediction.requires_grad_(), target, mask)
    assert not any(value.requires_grad for value in measures.values())
    nobody = torch.zeros(0, 3, 32, 32)
    assert all(len(x) == 0 for x in evaluation.score(nobody, nobody, torch.ones(1, 1, 32, 32)).values())


def test_without_its_weights_lpips_is_left_out_with_one_warning(monkeypatch, tmp_path):
    monkeypatch.setenv("FACECOMP_CACHE", str(tmp_path))
    monkeypatch.setenv("FACECOMP_OFFLINE", "1")
    metrics._warn_once.cache_clear()
    metrics._lpips_model.cache_clear()
    prediction, target, mask = fills(1, 64)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        first, second = (evaluation.score(prediction, target, mask) for _ in range(2))
    assert "lpips" not in first and set(first) == set(second) and "ssim" in first
    assert len(said) == 1
    assert "course.py setup" in str(said[0].message) and "\n" not in str(said[0].message)
    with pytest.raises(FileNotFoundError, match="course.py setup"):
        evaluation.lpips(prediction, target)


# ----------------------------------------------------------------------------------------------- bad input

GOOD, ONES = noise(2, 3, 40, 40), torch.ones(2, 1, 40, 40)


@pytest.mark.parametrize(
    ("prediction", "target", "mask", "message"),
    [
        (GOOD, noise(2, 3, 40, 41), ONES, r"not \[2, 3, 40, 40\] and \[2, 3, 40, 41\]"),
        (GOOD[:1], GOOD, ONES, r"not \[1, 3, 40, 40\] and \[2, 3, 40, 40\]"),
        (GOOD[0], GOOD[0], ONES, r"prediction must be RGB, \[B, 3, H, W\], not \[3, 40, 40\]"),
        (GOOD[:, :1], GOOD[:, :1], ONES, r"repeat a grey image three times"),
        (GOOD, torch.cat([GOOD, GOOD[:, :1]], 1), ONES, r"target must be RGB.*drop the alpha"),
        ((255 * GOOD).byte(), GOOD, ONES, "divide 8-bit"),
        (GOOD, (255 * GOOD).byte(), ONES, "divide 8-bit"),
        (GOOD, 255 * GOOD, ONES, r"target must lie in \[0, 1\], not .* rescale"),
        (GOOD, 2 * GOOD - 1, ONES, r"target must lie in \[0, 1\]"),
        (GOOD / 0, GOOD, ONES, "prediction has NaN or infinite"),
        (GOOD, GOOD.masked_fill(GOOD < 0.1, torch.nan), ONES, "target has NaN"),
        (GOOD.numpy(), GOOD, ONES, "prediction must be a float tensor .* not ndarray"),
        (GOOD, GOOD, ONES[:1].expand(3, -1, -1, -1), r"mask must be \[2, 1, 40, 40\], not \[3, 1, 40, 40\]"),
        (GOOD, GOOD, ONES[:, 0], r"mask must be \[2, 1, 40, 40\], not \[2, 40, 40\]"),
        (GOOD, GOOD, None, r"mask must be \[2, 1, 40, 40\], not NoneType"),
        (GOOD, GOOD, (255 * ONES).byte(), "mask must hold 1 .known. and 0 .missing. only, not .* 255 to 255"),
        (GOOD, GOOD, ONES / 2, "mask must hold 1 .* mask > 0.5 of a soft one"),
        (GOOD, GOOD, ONES * torch.nan, "mask must hold 1 .* not values from nan"),
        (GOOD, GOOD.to("meta"), ONES, "prediction is on cpu, target on meta: move"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(prediction, target, mask, message):
    with pytest.raises(ValueError, match=message) as caught:
        evaluation.score(prediction, target, mask)
    assert "\n" not in str(caught.value)


def test_lpips_of_tiny_images_and_unknown_measures_are_refused():
    with pytest.raises(ValueError, match="at least 31 x 31 px, not 30 x 40"):
        evaluation.lpips(noise(1, 3, 30, 40), noise(1, 3, 30, 40))
    with pytest.raises(ValueError, match="Unknown metric 'fid': choose from psnr, ssim"):
        evaluation.score(GOOD, GOOD, ONES, ["psnr", "fid"])


def test_the_least_size_of_lpips_is_no_guess():
    need("lpips_alex")
    small = noise(1, 3, 31, 31)
    assert evaluation.lpips(small, small).item() == 0
    with pytest.raises(RuntimeError):
        weights.lpips_model("alex")(small[..., :30], small[..., :30])


def test_a_mask_upside_down_is_noticed():
    prediction, target, mask = fills(2, 64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evaluation.score(prediction, target, mask, "psnr_hole")
        evaluation.score(target, target, mask, "psnr_hole")
    with pytest.warns(UserWarning, match="is the mask inverted"):
        evaluation.score(prediction, target, 1 - mask, "psnr_hole")
