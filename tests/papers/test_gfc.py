"""gfc follows its paper: sizes, shapes, losses, the reach of each gradient, the order of its curriculum."""

import pytest
import torch
import torch.nn.functional as F

from facecomp_lib import faces, masks, methods
from facecomp_lib.methods import TrainBatch, sample_keys
from facecomp_lib.papers import gfc


@pytest.fixture(scope="module")
def method():
    return methods.build("gfc", size=32, width=1 / 16, fc_dim=16)


@pytest.fixture(scope="module")
def sample():
    batch = faces.embedded("test", 32).batch(range(4))
    return TrainBatch(batch, masks.make("random_square", 32, 4), sample_keys(0, 0, torch.arange(4)))


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def vgg_numbers(channels):
    """Weights and biases of 3x3 convolutions."""
    return sum(9 * a * b + b for a, b in zip(channels, channels[1:], strict=False))


@pytest.mark.parametrize(
    ("variant", "encoder", "code"),
    [
        ("paper", [3, 64, 64, 128, 128, 256, 256, 256, 256, 512, 512], 512 * 8 * 8),
        ("released", [3, 32, 32, 64, 64, 128, 128, 256, 256, 256, 256], 256 * 8 * 8),
    ],
)
def test_the_generator_has_the_papers_size(variant, encoder, code):
    with torch.device("meta"):
        generator = gfc.Generator(variant=variant)
    bottleneck = 2 * code * 4096 + 4096 + code
    assert count(generator.bottleneck) == bottleneck
    decoder = [*reversed(encoder[1:]), 3]  # each convolution back, input and output exchanged
    assert count(generator) == vgg_numbers(encoder) + bottleneck + vgg_numbers(decoder)
    assert bottleneck / count(generator) > 0.95


def test_the_other_networks_have_the_papers_size():
    with torch.device("meta"):
        whole, hole, parser = gfc.Discriminator(128), gfc.Discriminator(64), gfc.Parser()
    pair = lambda a, b: 9 * a * b + b + 16 * b * b + b  # noqa: E731
    norms = lambda widths: sum(4 * c for c in widths)  # two norms per pair, weight and bias each  # noqa: E731
    last = 16 * 512 + 1
    # the very first layer has no norm
    assert (
        count(hole)
        == pair(3, 64)
        + pair(64, 128)
        + pair(128, 256)
        + pair(256, 512)
        + norms((64, 128, 256, 512))
        - 128
        + last
    )
    assert (
        count(whole)
        == pair(3, 32)
        + sum(pair(c, 2 * c) for c in (32, 64, 128, 256))
        + norms((32, 64, 128, 256, 512))
        - 64
        + last
    )
    vgg19 = [3, 64, 64, 128, 128] + 4 * [256] + 8 * [512]
    back = [512, 512, 256, 128, 64, 32]
    assert (
        count(parser)
        == vgg_numbers(vgg19) + vgg_numbers(back) + 2 * sum(vgg19[1:]) + 2 * sum(back[1:]) + 9 * 32 * 11 + 11
    )


@pytest.mark.parametrize("size", [64, 128, 256])
def test_shapes_at_every_size(size):
    with torch.device("meta"):
        method = methods.registry.find("gfc")(size=size, width=1 / 16)
        image = torch.zeros(2, 3, size, size)
        assert method.generator(image).shape == image.shape
        assert method.generator.encoder(image)[0].shape == (2, 32, size // 16, size // 16)
        assert method.global_discriminator(image).shape == (2,)
        assert method.local_discriminator(image[..., : size // 2, : size // 2]).shape == (2,)
        assert method.parser(image).shape == (2, 11, size, size)


def test_sizes_and_variants_that_do_not_exist_are_refused():
    for size in (16, 96, 100):
        with pytest.raises(ValueError, match="32, 64, 128"):
            methods.build("gfc", size=size)
    with pytest.raises(ValueError, match="paper, released"):
        methods.build("gfc", variant="mine")


def test_unpooling_puts_each_maximum_back_where_it_was():
    encoder, x = gfc.VGGEncoder([[4], [8]]), torch.rand(2, 3, 16, 16)
    _, winners = encoder(x)
    for block, places in zip((encoder.blocks[0],), winners, strict=False):
        features = block(x)
        pooled = F.max_pool2d(features, 2)
        back = F.max_unpool2d(pooled, places, [2, 2])
        assert torch.equal(F.max_pool2d(back, 2), pooled)
        assert torch.equal(back[back > 0], features[back > 0])
        assert (back.unflatten(2, (-1, 2)).unflatten(4, (-1, 2)) > 0).sum((3, 5)).max() <= 1


def test_reconstruction_counts_every_pixel(method, sample):
    outputs = gfc.GFCOutputs(sample.image + 0.1, sample.image, None, None)
    assert method.loss_reconstruction(sample, outputs).item() == pytest.approx(0.01, rel=1e-4)


def test_weights_are_the_papers_divided_by_the_number_of_values():
    last = gfc.curriculum(128, (1, 1, 1))[-1].optimizers["generator"].losses
    values = 3 * 128 * 128
    assert last["local"] * values == pytest.approx(300) and last["global"] * values == pytest.approx(300)
    assert last["parsing"] * 3 == pytest.approx(0.005) and last["reconstruction"] == 1


def test_each_stage_adds_losses_in_the_papers_order(method):
    stages = method.stages("lesson")
    assert [stage.name for stage in stages] == ["parsing", "reconstruct", "locally", "globally"]
    assert [list(stage.optimizers) for stage in stages] == [
        ["parser"],
        ["generator"],
        ["local_discriminator", "generator"],
        ["local_discriminator", "global_discriminator", "generator"],
    ]
    assert [list(stage.optimizers["generator"].losses) for stage in stages[1:]] == [
        ["reconstruction"],
        ["reconstruction", "local"],
        ["reconstruction", "local", "global", "parsing"],
    ]


@pytest.mark.parametrize(("losses", "optimizers"), [(1, 1), (2, 2), (3, 3), (4, 3)])
def test_the_models_of_the_ablation_stop_adding(losses, optimizers):
    last = gfc.curriculum(64, (1, 1, 1), losses)[-1]
    assert len(last.optimizers["generator"].losses) == losses and len(last.optimizers) == optimizers


def reach(method, sample, term):
    """Where the gradient of a loss meets the raw output: bool ``[B, H, W]``."""
    raw = torch.rand_like(sample.image).requires_grad_()
    corner = gfc.hole_corner(sample.mask, 16)
    composite = torch.where(sample.mask > 0.5, sample.image, raw)
    outputs = gfc.GFCOutputs(raw, composite, corner, gfc.crop(composite, corner, 16))
    method.losses(sample, outputs, [term])[term].backward()
    return (raw.grad != 0).any(1)


def test_the_local_gradient_stays_in_the_hole_and_the_global_one_does_not(method, sample):
    hole = sample.mask[:, 0] < 0.5
    assert torch.equal(reach(method, sample, "local"), hole)
    assert reach(method, sample, "global").float().mean() > 0.99
    assert reach(method, sample, "reconstruction").all()
    assert reach(method, sample, "parsing")[~hole].float().mean() > 0.9


def test_discriminators_learn_nothing_about_the_generator(method, sample):
    stage = method.stages("lesson")[-1]
    method.zero_grad()
    outputs = method.forward_train(sample, stage)
    sum(method.losses(sample, outputs, ["local_discriminator", "global_discriminator"]).values()).backward()
    assert all(p.grad is None for p in method.generator.parameters())
    assert all(p.grad is not None for p in method.local_discriminator.parameters())


def test_the_crop_is_the_hole_and_agrees_with_slicing(sample):
    corner = gfc.hole_corner(sample.mask, 16)
    assert gfc.crop(sample.mask, corner, 16).sum() == 0
    for number, (y, x) in enumerate(corner.tolist()):
        assert torch.equal(
            gfc.crop(sample.image, corner, 16)[number], sample.image[number, :, y : y + 16, x : x + 16]
        )


def test_the_window_of_any_hole_lies_inside():
    mask = torch.ones(3, 1, 32, 32)
    mask[0, :, :3, :3] = 0  # a corner
    mask[1, :, 10:31, 20:22] = 0  # a slit
    assert gfc.hole_corner(mask, 16).tolist() == [[0, 0], [12, 13], [8, 8]]  # the last has no hole at all


def test_the_noise_fills_the_hole_only_and_decides_nothing_else(method, sample):
    out = method.complete(sample.image, sample.mask, seed=1)
    filled = out.extras["filled"]
    known = sample.mask.bool().expand_as(filled)
    assert torch.equal(filled[known], sample.image[known])
    assert filled[~known].std() == pytest.approx(12**-0.5, abs=0.03)
    again = method.complete(sample.image, sample.mask, seed=1)
    other = method.complete(sample.image, sample.mask, seed=2)
    assert torch.equal(again.composite, out.composite) and not torch.equal(other.composite, out.composite)
    assert out.extras["parsing"].shape == (4, 32, 32) and out.extras["parsing"].dtype == torch.int64


def test_training_the_parser_needs_labels(method, sample):
    bare = TrainBatch(faces.FaceBatch(sample.image), sample.mask, sample.keys)
    with pytest.raises(ValueError, match="parsing"):
        method.loss_labels(bare, None)
