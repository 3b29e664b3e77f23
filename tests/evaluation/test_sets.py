"""FID and KID agree with scipy's, torchmetrics' and torch-fidelity's, and know what they cannot tell."""

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_help import fills, need, noise, others
from torch import nn

import facecomp_lib as fc
from facecomp_lib import evaluation, weights
from facecomp_lib.evaluation import Features, sets


def cloud(number, dimensions, seed, shift=0.0):
    """Correlated points, not around zero."""
    make = np.random.default_rng(seed)
    mixing = make.normal(size=(dimensions, dimensions)) / dimensions**0.5
    return torch.from_numpy(make.normal(size=(number, dimensions)) @ mixing + shift)


def frechet_by_scipy(a, b):
    a, b = a.numpy(), b.numpy()
    covariances = np.cov(a.T), np.cov(b.T)
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    gap = ((a.mean(0) - b.mean(0)) ** 2).sum()
    return gap + np.trace(covariances[0]) + np.trace(covariances[1]) - 2 * np.trace(root)


class Colours(nn.Module):
    """A network of few numbers that torchmetrics takes, too."""

    num_features = 6

    def forward(self, image):
        return torch.cat([image.float().mean((2, 3)), image.float().std((2, 3))], 1)


# ----------------------------------------------------------------------------------- other implementations


@given(st.integers(2, 12), st.integers(0, 999))
@settings(max_examples=20, deadline=None)
def test_the_frechet_distance_is_scipys(dimensions, seed):
    a, b = cloud(40, dimensions, seed), cloud(30, dimensions, seed + 1, shift=0.5)
    assert evaluation.frechet(a, b) == pytest.approx(frechet_by_scipy(a, b), rel=1e-6)


def test_fid_is_torchmetrics():
    others()
    from torchmetrics.image.fid import FrechetInceptionDistance

    theirs = FrechetInceptionDistance(Colours(), normalize=False)
    real, fake = noise(40, 3, 16, 16), noise(30, 3, 16, 16, seed=1) ** 1.3
    theirs.update(real, real=True)
    theirs.update(fake, real=False)
    ours = evaluation.fid(real, fake, Colours())
    assert ours.name == "fid_colours" and (ours.real, ours.fake, ours.spread) == (40, 30, None)
    assert float(ours) == pytest.approx(theirs.compute().item(), rel=1e-3)  # theirs sums in single precision


def test_kid_is_torchmetrics():
    others()
    from torchmetrics.image.kid import poly_mmd

    a, b = cloud(30, 9, 0).float(), cloud(30, 9, 1, shift=0.3).float()
    theirs = poly_mmd(a, b, degree=3, coef=1.0)
    assert evaluation.mmd(a, b) == pytest.approx(theirs.item(), rel=1e-4)
    near = evaluation.kid(Features("own", a), Features("own", b))  # subsets of half of them
    assert float(near) == pytest.approx(theirs.item(), abs=4 * near.spread / 10)


def test_inception_is_torch_fidelitys_and_gets_8_bits(tmp_path, monkeypatch):
    others()
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    torch.manual_seed(0)
    monkeypatch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
    torch.save({}, tmp_path / "weights.pth")  # random weights will do
    monkeypatch.setattr(weights, "path", lambda name: tmp_path / "weights.pth")
    network = sets._inception.__wrapped__("cpu")
    image = torch.randint(256, (2, 3, 40, 40)).float() / 255
    values = network(image)
    assert values.shape == (2, 2048) and not values.requires_grad
    assert torch.equal(network(image + 0.001), values)


# ---------------------------------------------------------------------------------------- by hand, by sense


def test_frechet_by_hand():
    a = torch.tensor([[-1.0], [1.0], [-1.0], [1.0]]).double()  # variance 4/3
    assert evaluation.frechet(a, 3 * a + 5) == pytest.approx(25 + 4 / 3 * (3 - 1) ** 2)


def test_mmd_by_hand():
    a, b = torch.tensor([[0.0], [1.0]]).double(), torch.tensor([[1.0], [2.0]]).double()
    # kernels (xy + 1)^3: among a 1; among b 27; between 1, 1, 8, 27
    assert evaluation.mmd(a, b) == pytest.approx(1 + 27 - 2 * (1 + 1 + 8 + 27) / 4)


def test_kid_of_one_distribution_is_zero_on_average_and_a_shift_is_far():
    values = [
        float(
            evaluation.kid(Features("x", cloud(40, 6, 0)[:20]), Features("x", cloud(60, 6, 0)[40:]), seed=k)
        )
        for k in range(3)
    ]
    draws = np.random.default_rng(0)
    same = [
        evaluation.mmd(*(torch.from_numpy(draws.normal(size=(15, 4))) for _ in range(2))) for _ in range(400)
    ]
    assert abs(np.mean(same)) < 4 * np.std(same) / 20  # unbiased, for as few as 15
    assert np.std(values) > 0
    near, far = (
        evaluation.kid(Features("x", cloud(40, 6, 0)), Features("x", cloud(40, 6, 0, s))) for s in (0, 2)
    )
    assert float(far) > 10 * abs(float(near))


def test_equal_sets_have_no_distance_and_more_noise_is_farther():
    real = noise(64, 3, 16, 16)
    gaps = [float(evaluation.fid(real, (real + s * noise(64, 3, 16, 16, seed=1)) / (1 + s), Colours()))
            for s in (0, 0.1, 0.5)]  # fmt: skip
    assert gaps[0] == pytest.approx(0, abs=1e-9)
    assert gaps[0] < gaps[1] < gaps[2]


def test_the_same_seed_gives_the_same_number():
    a, b = Features("x", cloud(50, 5, 0)), Features("x", cloud(60, 5, 1))
    first, again, other = (evaluation.kid(a, b, seed=seed) for seed in (3, 3, 4))
    assert first == again and first.value != other.value and first.spread > 0
    assert str(first).startswith("kid_x = ") and "50 real, 60 fake" in str(first)


# ---------------------------------------------------------------------------------------------- features


def test_vgg_features_are_named_and_tell_a_filled_hole_from_a_face():
    need("lpips_vgg")
    prediction, target, _ = fills(8)
    real = evaluation.extract_features(target, "vgg16", progress=False)
    assert real.network == "vgg16" and real.values.shape == (8, 512) and real.values.dtype == torch.float64
    filled = evaluation.kid(real, prediction)
    other = evaluation.kid(real, fc.faces.embedded("test")[8:16].image)
    assert filled.name == other.name == "kid_vgg16"
    assert float(filled) > float(other)


def test_vgg_features_do_not_depend_on_the_batch_or_on_how_the_images_come():
    need("lpips_vgg")
    faces = fc.faces.embedded("test", 32)
    whole = evaluation.extract_features(faces[:5].image, "vgg16").values
    for images in (
        faces[:5].image.split(2),
        [faces[:2], faces[2:5]],
        (faces[k].image for k in range(5)),
    ):
        assert torch.allclose(evaluation.extract_features(images, "vgg16", batch=3).values, whole, atol=1e-5)


def test_a_data_set_of_faces_is_a_set_of_images():
    faces = fc.faces.embedded("val", 16)
    features = evaluation.extract_features(faces, Colours(), batch=64, progress=False)
    assert len(features) == len(faces)
    assert torch.allclose(features.values[7, :3].float(), faces[7].image.mean((0, 2, 3)))


def test_auto_is_inception_where_its_weights_are_and_what_was_used_before(monkeypatch):
    named = {}
    monkeypatch.setattr(sets, "_inception", lambda device: named.setdefault("inception", Colours()))
    monkeypatch.setattr(sets, "_vgg16", lambda device: named.setdefault("vgg16", Colours()))
    monkeypatch.setattr(sets, "_has_inception", lambda: True)
    assert evaluation.extract_features(noise(2, 3, 8, 8)).network == "inception"
    real = Features("vgg16", cloud(9, 6, 0))
    assert evaluation.kid(real, noise(9, 3, 8, 8)).name == "kid_vgg16"  # not Inception's beside VGG's
    monkeypatch.setattr(sets, "_has_inception", lambda: False)
    assert evaluation.extract_features(noise(2, 3, 8, 8)).network == "vgg16"


# ----------------------------------------------------------------------------------------------- bad input


def test_too_few_images_for_a_frechet_distance_are_refused_with_the_way_out():
    a, b = Features("vgg16", cloud(20, 32, 0)), Features("vgg16", cloud(40, 32, 1))
    with pytest.raises(ValueError, match=r"more than 32 images .* not 20 and 40: use kid"):
        evaluation.fid(a, b)


FEW = noise(9, 3, 8, 8)


def points(network, dimensions):
    return Features(network, cloud(9, dimensions, 0))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: evaluation.kid(FEW[:3], FEW[:3], Colours()), "KID needs 4 images or more .* not 3 and 3"),
        (lambda: evaluation.kid(points("a", 3), points("b", 3)), "two networks"),
        (lambda: evaluation.kid(points("a", 3), points("a", 4)), "two networks"),
        (lambda: evaluation.fid(FEW, FEW, "resnet"), "no feature network 'resnet'"),
        (lambda: evaluation.extract_features(FEW[:, :1], Colours()), "repeat a grey"),
        (lambda: evaluation.extract_features((255 * FEW).byte(), Colours()), "divide 8-bit"),
        (lambda: evaluation.extract_features(255 * FEW, Colours()), r"must lie in \[0, 1\]"),
        (lambda: evaluation.extract_features(FEW / 0, Colours()), "NaN or infinite"),
        (lambda: evaluation.extract_features([], Colours()), "give at least one"),
        (lambda: evaluation.extract_features(["a.png"], Colours()), "not str"),
        (lambda: evaluation.extract_features(None, Colours()), "not NoneType"),
        (lambda: evaluation.extract_features(FEW, nn.Identity()), r"must give \[9, D\] features"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_refused(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_missing_weights_say_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("FACECOMP_CACHE", str(tmp_path))
    monkeypatch.setenv("FACECOMP_OFFLINE", "1")
    sets._vgg16.cache_clear()
    with pytest.raises(FileNotFoundError, match="course.py setup"):
        evaluation.extract_features(noise(2, 3, 8, 8), "vgg16")
    if sets.INCEPTION_WEIGHTS in weights.REGISTRY:
        with pytest.raises(FileNotFoundError, match="Go online"):
            evaluation.extract_features(noise(2, 3, 8, 8), "inception")
