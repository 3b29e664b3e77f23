"""Features of a network that has seen ImageNet: the right layers, Gram matrices and losses by hand; and where
half precision is not enough."""

import numpy as np
import pytest
import torch
from metric_help import need

from facecomp_lib import weights
from facecomp_lib.nn import (
    best_vgg,
    full_precision,
    gram,
    perceptual,
    perceptual_loss,
    style_loss,
    vgg_features,
)
from facecomp_lib.weights.vgg import vgg_layers

DEPTHS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}  # convolutions of each block
CHANNELS = (64, 128, 256, 512, 512)


def noise(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def untrained(name):
    """All layers of a VGG, with random weights that keep the size of what passes."""
    made, state, index, inputs = torch.Generator().manual_seed(1), {}, 0, 3
    for depth, outputs in zip(DEPTHS[name], CHANNELS, strict=True):
        for _ in range(depth):
            weight = torch.randn(outputs, inputs, 3, 3, generator=made) * (2 / (9 * inputs)) ** 0.5
            state |= {f"{index}.weight": weight, f"{index}.bias": 0.1 * torch.randn(outputs, generator=made)}
            index, inputs = index + 2, outputs
        index += 1
    return vgg_layers(DEPTHS[name], state)


@pytest.fixture(scope="module")
def networks():
    return {name: untrained(name) for name in DEPTHS}


@pytest.fixture(params=["vgg16", "vgg19"])
def name(request, networks, monkeypatch):
    """The name of a network, which has random weights as long as the test runs."""
    perceptual._layers.cache_clear()
    for key, network in networks.items():
        monkeypatch.setattr(weights, f"{key}_features", lambda network=network: network)
    yield request.param
    perceptual._layers.cache_clear()


def by_hand(image, network, depths):
    """The output of the first ReLU of each block, counted from the list of layers."""
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).view(2, 1, 3, 1, 1)
    x, found, layers = (image - mean) / std, [], iter(network)
    for depth in depths:
        for k in range(depth):
            convolution, relu = next(layers), next(layers)
            assert isinstance(convolution, torch.nn.Conv2d) and isinstance(relu, torch.nn.ReLU)
            x = torch.nn.functional.conv2d(x, convolution.weight, convolution.bias, padding=1).clamp(min=0)
            if k == 0:
                found.append(x)
        assert isinstance(next(layers), torch.nn.MaxPool2d)
        x = torch.nn.functional.max_pool2d(x, 2)
    return found


def check_layers(name, network):
    image = noise(2, 3, 48, 32)
    found, expected = vgg_features(image, name), by_hand(image, network, DEPTHS[name])
    assert [tuple(f.shape) for f in found] == [
        (2, c, 48 >> k, 32 >> k) for k, c in enumerate(CHANNELS)
    ]  # 64 at full size ... 512 at a sixteenth
    for ours, theirs in zip(found, expected, strict=True):
        assert theirs.std() > 1e-3 and torch.allclose(ours, theirs, rtol=1e-3, atol=1e-4 * theirs.max())


def test_layers_are_relu1_1_to_relu5_1(name, networks):
    check_layers(name, networks[name])


def test_layers_are_relu1_1_to_relu5_1_with_the_weights_themselves():
    need("vgg16" if weights.available("vgg16") else "lpips_vgg")
    perceptual._layers.cache_clear()
    check_layers("vgg16", weights.vgg16_features())


def test_vgg19_with_the_weights_themselves():
    need("vgg19")
    perceptual._layers.cache_clear()
    check_layers("vgg19", weights.vgg19_features())


def test_gradients_reach_the_image_and_no_weight(name):
    image = noise(1, 3, 32, 32).requires_grad_()
    features = vgg_features(image, name)
    for one in features:
        (gradient,) = torch.autograd.grad(one.square().sum(), image, retain_graph=True)
        assert gradient.isfinite().all() and gradient.abs().sum() > 0
    layers = perceptual._layers(name, "cpu")
    assert not any(weight.requires_grad for weight in layers.parameters())
    assert not any(module.training for module in layers.modules())
    with torch.no_grad():
        again = vgg_features(image, name)
    assert all(torch.equal(a, b) for a, b in zip(features, again, strict=True)), "overwritten"


def test_the_image_itself_is_left_alone(name):
    image = noise(1, 3, 32, 32)
    before = image.clone()
    vgg_features(image, name)
    assert torch.equal(image, before)


def test_channels_may_come_last(name):
    image = noise(2, 3, 32, 32)
    last = image.to(memory_format=torch.channels_last)
    assert not last.is_contiguous()
    for a, b in zip(vgg_features(image, name), vgg_features(last, name), strict=True):
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-5)
        assert torch.allclose(gram(a), gram(b), rtol=1e-3, atol=1e-6)


def test_images_do_not_mix(name):
    images = noise(3, 3, 32, 32)
    together, alone = vgg_features(images, name), vgg_features(images[1:2], name)
    for a, b in zip(together, alone, strict=True):
        assert torch.allclose(a[1:2], b, rtol=1e-4, atol=1e-5)


def test_weights_are_read_once(name, networks, monkeypatch):
    calls = []
    monkeypatch.setattr(weights, f"{name}_features", lambda: calls.append(1) or networks[name])
    for _ in range(3):
        vgg_features(noise(1, 3, 16, 16), name)
    assert calls == [1]


@pytest.mark.parametrize("wrong", ["vgg", "VGG16", "alex", "", None])
def test_other_networks_are_refused(wrong):
    with pytest.raises(ValueError, match=f"vgg16, vgg19, not {wrong!r}"):
        vgg_features(noise(1, 3, 16, 16), wrong)


@pytest.mark.parametrize("expected", ["vgg16", "vgg19"])
def test_missing_weights_are_named_with_what_to_do(expected, tmp_path, monkeypatch):
    monkeypatch.setenv("FACECOMP_CACHE", str(tmp_path))
    monkeypatch.setenv("FACECOMP_OFFLINE", "1")
    perceptual._layers.cache_clear()
    with pytest.raises(FileNotFoundError, match="vgg.*course.py setup|vgg.*put"):
        vgg_features(noise(1, 3, 16, 16), expected)


@pytest.mark.parametrize(
    ("there", "best"),
    [
        ((), None),
        (("lpips_vgg",), "vgg16"),
        (("vgg16",), "vgg16"),
        (("vgg19",), "vgg19"),
        (("lpips_vgg", "vgg16"), "vgg16"),
        (("lpips_vgg", "vgg19"), "vgg19"),
        (("vgg16", "vgg19"), "vgg19"),
        (("lpips_vgg", "vgg16", "vgg19"), "vgg19"),
    ],
)
def test_the_best_network_is_the_papers_if_it_is_there(there, best, monkeypatch):
    monkeypatch.setattr(weights, "available", lambda name: name in there)
    assert best_vgg() == best


# Losses


def test_the_gram_matrix_by_loop():
    features = noise(2, 3, 4, 5) - 0.3
    found = gram(features)
    assert found.shape == (2, 3, 3)
    for face in range(2):
        for a in range(3):
            for b in range(3):
                total = sum(
                    features[face, a, y, x].item() * features[face, b, y, x].item()
                    for y in range(4)
                    for x in range(5)
                )
                assert found[face, a, b].item() == pytest.approx(total / (3 * 4 * 5), rel=1e-5, abs=1e-7)


def test_the_gram_matrix_does_not_care_where_things_are():
    features = noise(1, 6, 8, 8)
    shuffled = features.flatten(2)[:, :, torch.randperm(64, generator=torch.Generator().manual_seed(0))]
    assert torch.allclose(gram(features), gram(shuffled.view_as(features)), atol=1e-6)
    assert torch.allclose(gram(features), gram(features).mT, atol=1e-6)


def test_a_gram_matrix_is_exact_when_features_are_half_precision():
    features = (100 * noise(1, 4, 64, 64)).half()  # sums of squares, far above what float16 holds
    expected = torch.einsum("bchw,bdhw->bcd", features.double(), features.double()) / (4 * 64 * 64)
    for dtype in (torch.bfloat16, torch.float16):
        with torch.autocast("cpu", dtype):
            found = gram(features)
        assert found.dtype == torch.float32
        assert torch.allclose(found.double(), expected, rtol=1e-4)


def features_by_hand():
    drawn = [
        torch.tensor([[[[1.0, 2.0]], [[0.0, 1.0]]]]),
        torch.tensor([[[[3.0]]]]),
    ]  # [1, 2, 1, 2], [1, 1, 1, 1]
    true = [torch.tensor([[[[0.0, 2.0]], [[0.0, -1.0]]]]), torch.tensor([[[[1.0]]]])]
    return drawn, true


def test_the_perceptual_loss_by_hand():
    drawn, true = features_by_hand()
    assert perceptual_loss(drawn, true).item() == pytest.approx((1 + 0 + 0 + 2) / 4 + 2 / 1)
    assert perceptual_loss(drawn, drawn).item() == 0


def test_the_style_loss_by_hand():
    drawn, true = features_by_hand()
    # Gram matrices: [[1+4, 2], [2, 1]] / 4 and [[4, -2], [-2, 1]] / 4; [[9]] and [[1]]
    first = (abs(5 - 4) + 2 * abs(2 + 2) + abs(1 - 1)) / 4 / 4
    assert style_loss(drawn, true).item() == pytest.approx(first + 8)
    assert style_loss(drawn, drawn).item() == 0


def test_losses_are_means_over_images_and_sums_over_layers():
    rng = np.random.default_rng(0)
    drawn, true = (
        [torch.from_numpy(rng.random((3, c, s, s), dtype=np.float32)) for c, s in ((4, 8), (6, 4), (8, 2))]
        for _ in range(2)
    )
    for loss in (perceptual_loss, style_loss):
        each = [loss([a[[k]] for a in drawn], [b[[k]] for b in true]).item() for k in range(3)]
        assert loss(drawn, true).item() == pytest.approx(np.mean(each), rel=1e-5)
        layers = [loss([a], [b]).item() for a, b in zip(drawn, true, strict=True)]
        assert loss(drawn, true).item() == pytest.approx(np.sum(layers), rel=1e-5)
        assert loss(drawn, true).shape == ()
    with pytest.raises(ValueError):
        perceptual_loss(drawn, true[:2])
    with pytest.raises(ValueError):
        style_loss(drawn[:1], true)


def test_moving_a_face_changes_its_features_more_than_its_style(name):
    image = noise(1, 3, 64, 64)
    moved, blurred = image.roll((8, 16), (2, 3)), torch.nn.functional.avg_pool2d(image, 9, 1, 4)
    with torch.no_grad():
        base, shift, blur = (vgg_features(p, name) for p in (image, moved, blurred))
    ratio = [loss(shift, base) / loss(blur, base) for loss in (perceptual_loss, style_loss)]
    assert ratio[1] < 0.5 * ratio[0]


def test_losses_pull_a_image_towards_the_truth(name):
    truth, start = noise(1, 3, 32, 32), noise(1, 3, 32, 32, seed=1)
    with torch.no_grad():
        expected = vgg_features(truth, name)
    for loss in (perceptual_loss, style_loss):
        image = start.clone().requires_grad_()
        before = loss(vgg_features(image, name), expected)
        (gradient,) = torch.autograd.grad(before, image)
        step = 0.01 * gradient / gradient.norm()
        with torch.no_grad():
            assert loss(vgg_features(start - step, name), expected) < before
            assert loss(vgg_features(start + step, name), expected) > before


def test_full_precision_keeps_float32_under_autocast_on_every_device():
    a = torch.randn(8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        assert (a @ a).dtype == torch.bfloat16
        with full_precision(a):
            assert (a @ a).dtype == torch.float32
        with full_precision(a.to("meta")):
            assert (a @ a).dtype == torch.float32


# Full precision


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_products_are_exact_where_full_precision_is_asked_for(dtype):
    a, b = noise(8, 16), noise(16, 8, seed=1)
    with torch.autocast("cpu", dtype):
        assert (a @ b).dtype == dtype
        with full_precision(a):
            found = a @ b
        assert found.dtype == torch.float32
        assert torch.allclose(found.double(), a.double() @ b.double(), rtol=1e-5)
        assert (a @ b).dtype == dtype
    with full_precision(a):  # without autocast it changes nothing
        inside = a @ b
    assert torch.equal(inside, a @ b)


def test_shapes_without_numbers_need_no_precision():
    x = torch.zeros(3, 4, device="meta")
    with full_precision(x):
        assert (x @ x.mT).shape == (3, 3)
