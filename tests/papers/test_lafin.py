"""lafin follows its paper: layers, attention, landmark maps, losses, who learns from what, editing."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from metric_help import need
from torch import nn
from torch.nn.utils import parametrize

from facecomp_lib import faces, masks, methods, training, weights
from facecomp_lib.methods import TrainBatch, sample_keys
from facecomp_lib.papers import lafin

TERMS = ("pixel", "perceptual", "style", "tv", "adversarial")  # of the generator


def build(size=32, width=1 / 8, **options):
    return methods.build("lafin", size=size, width=width, **{"perceptual": None, **options})


def sampled(kind="random_square", size=32, count=4):
    batch = faces.embedded("test", size).batch(range(count))
    mask = masks.make(kind, size, count, landmarks=batch.landmarks)
    return TrainBatch(batch, mask, sample_keys(0, 0, torch.arange(count)))


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def looking(method):
    """The same method; its attention has learned to look, its batch norms and spectral norms have seen
    faces, and its landmarks lie on the face."""
    method.train()
    sample = sampled(size=method.size, count=8)
    stages = [lafin.landmark_stage(1), lafin.inpainting_stage(1, False)]
    with torch.no_grad():
        for name, value in method.named_parameters():
            if name.endswith(("gamma", "alpha")):
                value.fill_(0.7)
        for module in method.predictor.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 0.9
        method.predictor.to_points.weight.mul_(0.3)
        method.predictor.to_points.bias.copy_((sample.faces.landmarks.mean(0) / method.size).flatten())
        for _ in range(3):
            for stage in stages:
                terms = [term for optimizer in stage.optimizers.values() for term in optimizer.losses]
                method.losses(sample, method.forward_train(sample, stage), terms)
    return method


@pytest.fixture(scope="module")
def method():
    return looking(build())


@pytest.fixture(scope="module")
def sample():
    return sampled()


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def convolution(inputs, outputs, kernel, bias=True):
    return kernel * kernel * inputs * outputs + bias * outputs


# The predictor


MOBILENET = [  # channels and side before, widened to, channels and side after; of 256 px
    (32, 128, 32, 16, 128),
    (16, 128, 96, 24, 64),
    (24, 64, 144, 24, 64),
    (24, 64, 144, 32, 32),
    *2 * [(32, 32, 192, 32, 32)],
    (32, 32, 192, 64, 16),
    *3 * [(64, 16, 384, 64, 16)],
    (64, 16, 384, 96, 16),
    *2 * [(96, 16, 576, 96, 16)],
    (96, 16, 576, 160, 8),
    *2 * [(160, 8, 960, 160, 8)],
    (160, 8, 960, 320, 8),
]


def test_the_predictor_has_the_size_that_follows_from_its_layers():
    with torch.device("meta"):
        predictor = lafin.Predictor()
    expected = 27 * 32 + 2 * 32
    for inputs, _, inner, outputs, _ in MOBILENET:
        if inner > inputs:
            expected += inputs * inner + 2 * inner
        expected += 9 * inner + 2 * inner + inner * outputs + 2 * outputs
    expected += 320 * 1280 + 2 * 1280
    expected += convolution(320, 128, 1) + convolution(1280, 128, 1) + convolution(1280, 64, 1)
    assert count(predictor) == expected + 320 * 136 + 136 == 2_554_568


def test_the_predictors_trunk_is_mobilenet_v2():
    found = []
    with torch.device("meta"):
        predictor = lafin.Predictor()
        first, _, _, *blocks = predictor.trunk
        for block in blocks:
            inner = block.layers[-2].in_channels
            block.register_forward_hook(
                lambda _, x, y, inner=inner: found.append((*x[0].shape[1:3], inner, *y.shape[1:3]))
            )
        deep = predictor.trunk(torch.zeros(2, 3, 256, 256))
        assert predictor(torch.zeros(2, 3, 256, 256)).shape == (2, 68, 2)
    assert found[: len(MOBILENET)] == MOBILENET and deep.shape == (2, 320, 8, 8)
    assert (first.in_channels, first.out_channels, first.kernel_size, first.stride) == (3, 32, (3, 3), (2, 2))


def test_bottlenecks_widen_look_around_one_channel_at_a_time_and_narrow_without_an_activation():
    with torch.device("meta"):
        _, _, _, *blocks = lafin.Predictor().trunk
    for block, (inputs, side, inner, outputs, less) in zip(blocks, MOBILENET, strict=True):
        *widen, around, _, _, narrow, _ = block.layers
        assert (around.groups, around.kernel_size, around.stride) == (inner, (3, 3), 2 * (side // less,))
        assert (narrow.kernel_size, narrow.out_channels) == ((1, 1), outputs)
        kinds = [nn.Conv2d, nn.BatchNorm2d, nn.ReLU6]
        assert [type(part) for part in block.layers] == (kinds if inner > inputs else []) + kinds + kinds[:2]
        if inner > inputs:
            assert (widen[0].kernel_size, widen[0].stride, widen[0].groups) == ((1, 1), (1, 1), 1)


@pytest.mark.parametrize(
    ("inputs", "outputs", "stride", "adds"), [(8, 8, 1, True), (8, 8, 2, False), (8, 12, 1, False)]
)
def test_a_bottleneck_adds_its_input_if_nothing_changed_size(inputs, outputs, stride, adds):
    block, x = lafin.Bottleneck(inputs, outputs, 6, stride).eval(), noise(2, inputs, 8, 8)
    y = block.layers(x)
    assert y.shape == (2, outputs, 8 // stride, 8 // stride)
    assert torch.equal(block(x), x + y if adds else y)


def test_three_stages_of_features_lead_to_the_points():
    predictor, x = looking(build(64)).predictor.eval(), noise(2, 3, 64, 64)
    first = predictor.trunk(x)
    second = predictor.deeper(first)
    assert first.shape == (2, 40, 2, 2) and second.shape == (2, 160, 2, 2) and second.max() <= 6
    parts = []
    for features, stage in zip(
        (first, second, second), (predictor.stage1, predictor.stage2, predictor.stage3), strict=True
    ):
        means = features.mean((2, 3))  # a mean and a 1x1 convolution may change places
        parts.append(means @ stage.weight.flatten(1).T + stage.bias)
    flat = torch.cat(parts, 1) @ predictor.to_points.weight.T + predictor.to_points.bias
    found = predictor(x)
    assert [part.shape[1] for part in parts] == [16, 16, 8] and all(part.std() > 0.01 for part in parts)
    for point in range(68):
        assert torch.allclose(found[:, point], flat[:, 2 * point : 2 * point + 2], atol=1e-5)


def test_in_half_precision_points_are_finer_than_half_precision(method, sample):
    given = method.eval().network_input(sample.image, sample.mask)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        found = method.predictor(given)
    assert found.dtype == torch.float32
    assert (found == found.bfloat16()).float().mean() < 0.1  # its next number is a px of 256 further


# Landmark maps


def test_a_landmark_map_by_loop():
    points = 40 * torch.rand(3, 68, 2, generator=torch.Generator().manual_seed(0)) - 4  # some outside
    found = lafin.landmark_map(points, 32)
    expected = torch.zeros(3, 1, 32, 32)
    for face in range(3):
        for x, y in points[face].tolist():
            column, row = round(x), round(y)
            if 0 <= column <= 31 and 0 <= row <= 31:
                expected[face, 0, row, column] = 1
    assert found.dtype == torch.float32 and torch.equal(found, expected)


def pixels(*points, size=8):
    """(row, column) of the pixels that are 1; all others are 0."""
    found = lafin.landmark_map(torch.tensor([points]), size)
    assert found.shape == (1, 1, size, size) and ((found == 0) | (found == 1)).all()
    return [tuple(place) for place in found[0, 0].nonzero().tolist()]


def test_points_go_to_the_nearest_pixel():
    assert pixels((3.4, 5.6)) == [(6, 3)]
    assert pixels((2.0, 1.0), (-0.4, 7.4)) == [(1, 2), (7, 0)]


def test_points_outside_are_left_out():
    assert pixels((-0.6, 3.0), (3.0, -2.0), (7.6, 1.0), (1.0, 8.0), (-100.0, 500.0)) == []


def test_a_point_outside_does_not_wipe_out_one_at_the_border():
    assert pixels((0.0, 0.0), (-5.0, -5.0)) == [(0, 0)]
    assert pixels((-5.0, -5.0), (0.0, 0.0)) == [(0, 0)]
    assert pixels((7.0, 3.0), (20.0, 3.0)) == [(3, 7)]


def test_two_points_in_one_pixel_are_one():
    assert pixels((2.2, 2.0), (1.8, 2.1), (5.0, 5.0)) == [(2, 2), (5, 5)]


def test_landmarks_on_the_map_are_as_wide_as_they_are_told_to_be():
    points = torch.full((1, 68, 2), 20.0)
    points[0, 0] = torch.tensor([0.0, 31.0])
    wide = build(landmark_width=3).draw_landmarks(points)
    assert torch.equal(build().draw_landmarks(points), lafin.landmark_map(points, 32))
    expected = {(y, x) for y in (19, 20, 21) for x in (19, 20, 21)} | {(30, 0), (30, 1), (31, 0), (31, 1)}
    assert {tuple(place) for place in wide[0, 0].nonzero().tolist()} == expected
    for width in (0, 2, -1):
        with pytest.raises(ValueError, match="landmark_width must be"):
            build(landmark_width=width)


def test_no_gradient_leads_from_a_map_to_its_points():
    points = torch.full((1, 68, 2), 3.3, requires_grad=True)
    assert not lafin.landmark_map(points, 8).requires_grad


# Attention


def by_loop(query, values):
    """Of one face: ``[D, N]``, ``[V, N]`` -> where each place looks ``[N, N]``, what it gets ``[V, N]``."""
    places = query.shape[1]
    matrix, found = torch.zeros(places, places), torch.zeros_like(values)
    for i in range(places):
        alike = [(query[:, i] * query[:, j]).sum().exp() for j in range(places)]
        for j in range(places):
            matrix[i, j] = alike[j] / sum(alike)
            found[:, i] += matrix[i, j] * values[:, j]
    return matrix, found


def layer_and_features(long=True):
    layer = lafin.LongShortAttention(16, long).eval()
    deep, early = noise(2, 16, 5, 6), noise(2, 16, 5, 6, seed=1)
    mask = (noise(2, 1, 5, 6, seed=2) > 0).float()
    return layer, deep, early, mask


def by_hand_query(layer, deep):
    """Of one face: features ``[C, H, W]`` -> ``[C / 4, H * W]``."""
    return layer.to_query.weight.flatten(1) @ deep.flatten(1) + layer.to_query.bias[:, None]


def test_in_the_beginning_nothing_is_looked_at():
    layer, deep, early, mask = layer_and_features()
    assert layer.gamma.item() == layer.alpha.item() == 0
    assert torch.equal(layer(deep, early, mask), layer.fuse(torch.cat([deep, mask * early], 1)))
    short = lafin.LongShortAttention(16, long=False)
    assert short.gamma.item() == 0 and torch.equal(short(deep), deep)


def test_short_and_long_term_by_loop():
    layer, deep, early, mask = layer_and_features()
    with torch.no_grad():
        layer.gamma.fill_(0.5)
        layer.alpha.fill_(-2.0)
        layer.to_query.bias.normal_(0, 0.1)
        found = layer(deep, early, mask)
        for face in range(2):
            query = by_hand_query(layer, deep[face])  # one matrix, from the deep ones
            short = 0.5 * by_loop(query, deep[face].flatten(1))[1].view(16, 5, 6) + deep[face]
            looked = by_loop(query, early[face].flatten(1))[1].view(16, 5, 6)
            long = torch.where(mask[face] > 0.5, early[face], -2 * looked)
            expected = layer.fuse(torch.cat([short, long])[None])[0]
            assert torch.allclose(found[face], expected, atol=1e-4)


def test_the_discriminators_attention_is_the_short_term_alone():
    layer, deep, _, _ = layer_and_features(long=False)
    assert [name for name, _ in layer.named_parameters() if "query" not in name] == ["gamma"]
    with torch.no_grad():
        layer.gamma.fill_(0.5)
        seen = [by_loop(by_hand_query(layer, face), face.flatten(1))[1] for face in deep]
        expected = deep + 0.5 * torch.stack(seen).view_as(deep)
        assert torch.allclose(layer(deep), expected, atol=1e-5)


def test_the_fusing_block_by_hand():
    block, x = lafin.FusedResidual(8, 4).eval(), noise(2, 8, 5, 5)
    _, first, _, second = block.layers
    y = F.conv2d(F.leaky_relu(x, 0.01), first.weight, first.bias, padding=1)
    y = F.conv2d(F.leaky_relu(y, 0.01), second.weight, second.bias, padding=1)
    assert block.shortcut.kernel_size == (1, 1) and first.kernel_size == second.kernel_size == (3, 3)
    assert torch.allclose(block(x), y + F.conv2d(x, block.shortcut.weight, block.shortcut.bias), atol=1e-5)


def convolutions(network):
    return [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]


def test_spectral_norm_is_on_the_discriminator_and_on_what_fuses_but_on_no_query():
    method = build()
    queries = [method.generator.attention.to_query, method.discriminator.layers[4].to_query]
    normed = [layer for layer in convolutions(method.discriminator) if layer is not queries[1]]
    normed += convolutions(method.generator.attention.fuse)
    assert len(normed) == 5 + 3 and all(query.bias is not None for query in queries)
    for layer in convolutions(method):
        assert parametrize.is_parametrized(layer, "weight") == any(layer is one for one in normed)
    with torch.no_grad():
        for layer in normed:
            layer.parametrizations.weight.original.mul_(3)
            for _ in range(200):  # in training mode each use is a step of power iteration
                weight = layer.weight
            assert torch.linalg.matrix_norm(weight.flatten(1), 2).item() == pytest.approx(1, abs=0.02)


def test_layers_without_spectral_norm_begin_with_small_normal_weights_and_no_bias():
    torch.manual_seed(0)
    for network in (lafin.Generator(0.5), lafin.Discriminator(0.5)):
        plain = [layer for layer in convolutions(network) if not parametrize.is_parametrized(layer)]
        assert plain
        for layer in plain:
            weights = layer.weight.detach().flatten()
            assert abs(weights.mean().item()) < 4 * 0.02 / len(weights) ** 0.5
            assert weights.std().item() == pytest.approx(0.02, rel=4 / len(weights) ** 0.5)
            assert weights.abs().max() > 0.04  # a uniform draw of that spread ends at 0.035
            assert layer.bias is None or not layer.bias.any()


# The generator


def test_the_generator_has_the_size_that_follows_from_its_layers():
    with torch.device("meta"):
        generator, plain = lafin.Generator(), lafin.Generator(attention=False)
    down = convolution(4, 64, 7) + convolution(64, 128, 4) + convolution(128, 256, 4)
    middle = 7 * 2 * convolution(256, 256, 3)
    up = convolution(256, 128, 4) + convolution(256, 256, 1) + convolution(256, 64, 4)
    up += convolution(128, 128, 1) + convolution(128, 3, 7)
    attention = convolution(256, 64, 1) + 2
    attention += convolution(512, 256, 3) + convolution(256, 256, 3) + convolution(512, 256, 1)
    assert count(plain) == down + middle + up
    assert count(generator) == down + middle + attention + up == 11_734_981


def test_reflections_are_in_the_first_and_the_last_layer_alone():
    method = build()
    modes = {id(layer): layer.padding_mode for layer in convolutions(method)}
    ends = {id(method.generator.e1[0]), id(method.generator.to_image)}
    assert {key for key, mode in modes.items() if mode == "reflect"} == ends
    assert set(modes.values()) == {"reflect", "zeros"}


def test_residual_blocks_have_holes_in_their_first_convolution():
    block, x = lafin.Residual(6), noise(2, 6, 12, 12)
    first, norm, relu, second, last = block.layers
    y = F.relu(F.instance_norm(F.conv2d(x, first.weight, first.bias, padding=2, dilation=2)))
    y = F.instance_norm(F.conv2d(y, second.weight, second.bias, padding=1))
    assert first.kernel_size == second.kernel_size == (3, 3)
    assert torch.allclose(block(x), x + y, atol=1e-5)
    assert all(type(block) is lafin.Residual for block in build().generator.middle)


def test_instance_norms_have_no_weights_and_no_memory():
    norms = [m for m in build().modules() if isinstance(m, nn.InstanceNorm2d)]
    assert len(norms) == 7 + 2 * 7
    assert not any(norm.affine or norm.track_running_stats for norm in norms)


def test_no_norm_takes_the_colours_away_before_the_tanh(sample):
    generator = lafin.Generator(1 / 8)
    colours = torch.tensor([0.9, -0.4, 2.0])
    nn.init.zeros_(generator.to_image.weight)
    with torch.no_grad():
        generator.to_image.bias.copy_(colours)
        found = generator(2 * sample.image - 1, torch.zeros_like(sample.mask), sample.mask)
    assert torch.allclose(found, colours.tanh().view(1, 3, 1, 1).expand_as(found))


@pytest.mark.parametrize("name", ["e1", "e2"])
@pytest.mark.parametrize("attention", [True, False])
def test_skips_carry_known_places_only(name, attention, sample):
    x, points = (2 * sample.image - 1) * sample.mask, lafin.landmark_map(sample.faces.landmarks, 32)
    for mask_skips in (True, False):
        generator = lafin.Generator(1 / 8, attention, mask_skips).eval()
        layer, next_layer = getattr(generator, name), {"e1": generator.e2, "e2": generator.e3}[name]
        clean, change = [], [0.0]
        layer.register_forward_hook(lambda _, x, y, c=clean, d=change: c.append(y) or y + d[0])
        next_layer.register_forward_pre_hook(lambda _, x, c=clean: (c[-1],))  # the skip alone is changed
        with torch.no_grad():
            before = generator(x, points, sample.mask)
            known = F.interpolate(sample.mask, clean[0].shape[2:])
            change[0] = 5 * (1 - known)
            assert torch.equal(generator(x, points, sample.mask), before) == mask_skips
            change[0] = 5 * known
            assert not torch.isclose(generator(x, points, sample.mask), before).all()


def test_shapes_at_every_size():
    for size in (32, 64, 96, 256):
        method = build(size).to("meta")
        image, points = torch.zeros(2, 3, size, size).to("meta"), torch.zeros(2, 1, size, size).to("meta")
        assert method.predictor(image).shape == (2, 68, 2)
        assert method.generator(image, points, points).shape == image.shape
        assert method.discriminator(image, points).shape == (2, 1, size // 8 - 2, size // 8 - 2)


# The discriminator


def test_the_discriminator_has_the_size_that_follows_from_its_layers():
    with torch.device("meta"):
        discriminator, plain = lafin.Discriminator(), lafin.Discriminator(attention=False)
        answers = discriminator(torch.zeros(2, 3, 256, 256), torch.zeros(2, 1, 256, 256))
    pairs = [(4, 64), (64, 128), (128, 256), (256, 512), (512, 1)]
    assert count(plain) == sum(convolution(*pair, 4, bias=False) for pair in pairs)
    assert count(discriminator) == count(plain) + convolution(128, 32, 1) + 1 == 2_768_929
    assert answers.shape == (2, 1, 30, 30) and answers.dtype == torch.float32


def test_the_discriminators_layers_are_the_papers():
    layers = [m for m in lafin.Discriminator(1 / 8).layers if not isinstance(m, lafin.LongShortAttention)]
    assert [isinstance(m, nn.Conv2d) for m in layers] == 4 * [True, False] + [True]
    assert [m.stride for m in layers[::2]] == [(2, 2), (2, 2), (2, 2), (1, 1), (1, 1)]
    assert all(m.kernel_size == (4, 4) and m.padding == (1, 1) for m in layers[::2])
    assert all(type(m) is nn.LeakyReLU and m.negative_slope == 0.2 for m in layers[1::2])
    attention = lafin.Discriminator(1 / 8).layers[4]  # after the second convolution
    assert type(attention) is lafin.LongShortAttention and attention.to_query.in_channels == 16


@pytest.mark.parametrize("attention", [True, False])
def test_an_answer_of_the_discriminator_sees_70_px_and_looks_further_once_attention_has_learned(attention):
    discriminator = lafin.Discriminator(1 / 16, attention).double().eval()
    image = noise(1, 3, 128, 128).double().requires_grad_()
    points = torch.zeros(1, 1, 128, 128).double()

    def seen():
        (gradient,) = torch.autograd.grad(discriminator(image, points)[0, 0, 7, 7].double(), image)
        rows = (gradient[0] != 0).any(0).any(1).nonzero()
        return (rows.max() - rows.min() + 1).item()

    assert seen() == 70
    if attention:
        nn.init.ones_(discriminator.layers[4].gamma)
        assert seen() == 128


def test_answers_of_the_discriminator_lie_between_0_and_1_and_depend_on_the_landmarks(method, sample):
    points = lafin.landmark_map(sample.faces.landmarks, 32)
    method.eval()
    with torch.no_grad():
        one = method.discriminator(2 * sample.image - 1, points)
        other = method.discriminator(2 * sample.image - 1, points.flip(3))
        logits = method.discriminator.layers(torch.cat([2 * sample.image - 1, points], 1))
    assert torch.allclose(one, 1 / (1 + (-logits).exp()), atol=1e-6)
    assert one.min() > 0 and one.max() < 1 and not torch.isclose(one, other).all()


# Options


@pytest.mark.parametrize("size", [16, 31, 33, 48, 0, -32])
def test_sizes_that_do_not_halve_five_times_are_refused(size):
    with pytest.raises(ValueError, match=f"multiple of 32, not {size}"):
        build(size=size)


@pytest.mark.parametrize("perceptual", ["alex", "VGG16", "vgg", "", 16])
def test_perceptual_networks_that_do_not_exist_are_refused(perceptual):
    with pytest.raises(ValueError, match=f"perceptual must be .* or None, not {perceptual!r}"):
        build(perceptual=perceptual)


@pytest.mark.parametrize("best", ["vgg19", "vgg16", None])
def test_the_card_says_which_perceptual_network_is_the_best_here(best, monkeypatch):
    monkeypatch.setattr(lafin, "best_vgg", lambda: best)
    assert methods.build("lafin", size=32, width=1 / 8).config["perceptual"] == best
    assert build(perceptual="vgg16").config["perceptual"] == "vgg16"
    assert build(perceptual=None).config["perceptual"] is None


def test_without_attention_there_is_none():
    method = build(attention=False)
    assert not any(isinstance(m, lafin.LongShortAttention) for m in method.modules())
    whole = build()
    assert count(whole.predictor) == count(method.predictor)
    assert count(whole.generator) > count(method.generator) and count(whole.discriminator) > count(
        method.discriminator
    )


def test_the_predictor_may_have_a_width_of_its_own():
    assert count(build(predictor_width=0.5).predictor) == count(lafin.Predictor(0.5))
    assert count(build().predictor) == count(lafin.Predictor(1 / 8))
    assert count(build(predictor_width=0.5).generator) == count(build().generator)


# Landmarks in, or not


def test_networks_see_the_damaged_face_from_minus_one_to_one_and_0_in_the_hole(method, sample):
    given = method.network_input(sample.image, sample.mask)
    known = sample.mask.bool().expand_as(given)
    assert torch.equal(given[known], (2 * sample.image - 1)[known])
    assert (given[~known] == 0).all()


def test_without_landmarks_generator_and_discriminator_see_a_black_map(sample):
    told, blind = build(), build(landmarks=False)
    stage = lafin.inpainting_stage(1, False)
    for method in (told, blind):
        outputs, maps = method.forward_train(sample, stage), []
        method.generator.register_forward_hook(lambda _, x, y, maps=maps: maps.append(x[1]))
        method.discriminator.register_forward_hook(lambda _, x, y, maps=maps: maps.append(x[1]))
        method.losses(sample, outputs, ["adversarial", "discriminator"])
        method.complete(sample.image, sample.mask)
        assert len(maps) == 4 and all(m.shape == (4, 1, 32, 32) for m in maps)
        assert all(m.any() == (method is told) for m in maps[:3])
        if method is blind:
            assert not maps[3].any() and not outputs.map.any()
        here, there = (
            method.complete(sample.image, sample.mask, landmarks=points).raw
            for points in (sample.faces.landmarks, sample.faces.landmarks.flip(0))
        )
        assert torch.equal(here, there) == (method is blind)


def test_faces_without_landmarks_are_refused(method, sample):
    bare = replace(sample, faces=faces.FaceBatch(sample.image))
    with pytest.raises(ValueError, match="no landmarks.*prepare"):
        method.forward_train(bare, lafin.landmark_stage(1))
    method.complete(sample.image, sample.mask)  # needs none


# Losses by hand


def tiny(image, mask):
    batch = faces.FaceBatch(image)
    return TrainBatch(batch, torch.tensor([[mask]]), torch.zeros(1, dtype=torch.int64))


class Points(nn.Module):
    """A predictor that says what it is told; it notes what it sees."""

    def __init__(self, points):
        super().__init__()
        self.points, self.seen = points, []

    def forward(self, x):
        self.seen.append(x)
        return self.points.repeat(len(x) // len(self.points), 1, 1)


@pytest.mark.parametrize("term", ["landmarks", "detect", "detect_augmented"])
def test_landmarks_cost_their_squared_distance_in_px_summed_over_points(term, sample):
    method, points = build(), sample.faces.landmarks.clone()
    points[0, 5] += torch.tensor([3.0, -4.0])  # 25
    points[0, 67] += torch.tensor([0.0, 1.0])  # 1
    points[2, 0] += torch.tensor([2.0, 0.0])  # 4
    method.predictor = Points(points / 32)
    method.inpaint = lambda image, mask, landmarks: image.flip(3)  # in the hole
    loss = method.losses(sample, None, [term])[term]
    assert loss.item() == pytest.approx((25 + 1 + 4) / 4, rel=1e-3)
    (seen,) = method.predictor.seen
    truth = 2 * sample.image - 1
    completed = torch.where(sample.mask > 0.5, truth, truth.flip(3))
    both = torch.cat([truth, completed])  # in one batch, for batch norm's sake
    damaged = (sample.uniform((1, 1, 1), "damaged") < 0.5).expand_as(truth)
    expected = {
        "landmarks": torch.where(damaged, sample.mask * truth, truth),
        "detect": truth,
        "detect_augmented": both,
    }
    assert torch.allclose(seen, expected[term], atol=1e-6)


def test_half_of_the_predictors_faces_are_undamaged():
    method, count = build(), 400
    batch = faces.FaceBatch(torch.ones(count, 3, 32, 32), landmarks=torch.zeros(count, 68, 2))
    sample = TrainBatch(batch, masks.make("center", 32, count), sample_keys(0, 0, torch.arange(count)))
    method.predictor = Points(batch.landmarks)
    method.loss_landmarks(sample, None)
    (seen,) = method.predictor.seen
    undamaged = (seen == 1).flatten(1).all(1)
    assert 160 < undamaged.sum() < 240  # five standard deviations would be 50
    assert torch.equal(seen[~undamaged], sample.mask[~undamaged].expand(-1, 3, -1, -1))


def test_the_pixel_loss_by_hand():
    truth = torch.zeros(2, 3, 2, 2)
    drawn = truth.clone()
    drawn[0, 0, 0, 0], drawn[0, 2, 0, 1], drawn[1, 1, 1, 1] = 0.5, -0.25, 1.0
    mask = torch.tensor([[[[1.0, 0.0], [1.0, 0.0]]], [[[1.0, 1.0], [1.0, 0.0]]]])  # 2 and 1 px missing
    # known pixels count as well; 2 and 1 divide
    assert lafin.pixel_loss(drawn, truth, mask).item() == pytest.approx(((0.5 + 0.25) / 2 + 1.0 / 1) / 2)
    assert lafin.pixel_loss(drawn, truth, torch.ones_like(mask)).isfinite()


def test_a_hole_of_twice_the_size_with_the_same_error_per_pixel_costs_the_same():
    truth, small, large = torch.zeros(1, 3, 8, 8), torch.ones(1, 1, 8, 8), torch.ones(1, 1, 8, 8)
    small[..., 2:4, 2:6] = 0
    large[..., 2:6, 2:6] = 0
    one, other = (lafin.pixel_loss((1 - mask) * 0.3 + truth, truth, mask) for mask in (small, large))
    assert one.item() == pytest.approx(3 * 0.3) and other.item() == pytest.approx(one.item())


def test_the_pixel_term_compares_the_raw_output_with_the_truth(method):
    sample = tiny(torch.full((1, 3, 2, 2), 0.75), ((1.0, 0.0), (1.0, 0.0)))  # 0.5 from -1 to 1
    raw, wrong = torch.full((1, 3, 2, 2), 0.1), torch.full((1, 3, 2, 2), torch.nan)
    outputs = lafin.LaFInOutputs(wrong, raw, wrong)
    assert method.loss_pixel(sample, outputs).item() == pytest.approx(12 * 0.4 / 2)


def test_total_variation_by_hand(method):
    image = torch.tensor([[1.0, 3.0, 0.0], [1.0, 2.0, 2.0]]).expand(1, 3, 2, 3)
    expected = (2 + 3 + 1 + 0) / 4 + (0 + 1 + 2) / 3
    assert lafin.total_variation(image).item() == pytest.approx(expected)
    wrong = torch.full_like(image, torch.nan)
    assert method.loss_tv(None, lafin.LaFInOutputs(wrong, wrong, image)).item() == pytest.approx(expected)


class Says(nn.Module):
    """A discriminator whose answers to the true image and to any other one are given; it notes what it
    judges."""

    def __init__(self, truth, real=(0.0,), fake=(0.0,)):
        super().__init__()
        self.truth, self.real, self.fake, self.judged = truth, torch.tensor(real), torch.tensor(fake), []

    def forward(self, image, points):
        self.judged.append((image, points))
        return self.real if torch.equal(image, self.truth) else self.fake


def test_adversarial_losses_are_least_squares(sample):
    method = build()
    truth = 2 * sample.image - 1
    method.discriminator = Says(truth, (0.9, 0.5), (0.2, 0.4))
    outputs = lafin.LaFInOutputs(sample.mask, truth, -truth)
    found = method.losses(sample, outputs, ["adversarial", "discriminator"])
    assert found["adversarial"].item() == pytest.approx((0.8**2 + 0.6**2) / 2)
    assert found["discriminator"].item() == pytest.approx((0.1**2 + 0.5**2) / 2 + (0.2**2 + 0.4**2) / 2)
    assert [torch.equal(image, truth) for image, _ in method.discriminator.judged] == [False, True, False]
    assert all(points is outputs.map for _, points in method.discriminator.judged)


def pooled(image, network):
    """In the place of a perceptual network: five smaller and smaller copies, stronger and stronger."""
    assert network == "vgg16" and image.shape[1] == 3
    return [(k + 1) * F.avg_pool2d(image, 2**k) for k in range(5)]


@pytest.fixture
def seeing(monkeypatch):
    """A method with a made-up perceptual network."""
    monkeypatch.setattr(lafin, "vgg_features", pooled)
    return build(perceptual="vgg16")


def products(features):
    _, channels, height, width = features.shape
    return torch.einsum("bchw,bdhw->bcd", features, features) / (channels * height * width)


@pytest.mark.parametrize("kind", ["random_square", "irregular_30_40"])
def test_perceptual_and_style_losses_by_hand(kind, seeing):
    sample = sampled(kind)
    outputs = seeing.forward_train(sample, lafin.inpainting_stage(1))
    found = seeing.losses(sample, outputs, ["perceptual", "style"])
    completed = torch.where(sample.mask > 0.5, sample.image, (outputs.raw + 1) / 2)
    hole, perceptual, style = 1 - sample.mask, 0.0, 0.0
    for k in range(5):
        ours, theirs = (pooled(image, "vgg16")[k] for image in (completed, sample.image))
        perceptual += (ours - theirs).abs().mean()
        ours, theirs = (products(pooled(hole * p, "vgg16")[k]) for p in (completed, sample.image))
        style += (ours - theirs).abs().mean()
    assert found["perceptual"].item() == pytest.approx(perceptual.item(), rel=1e-4)
    assert found["style"].item() == pytest.approx(style.item(), rel=1e-4)
    assert perceptual > 0 and style > 0


def test_style_looks_at_the_hole_alone(seeing, sample):
    outputs = seeing.forward_train(sample, lafin.inpainting_stage(1))
    composite = outputs.composite.detach().requires_grad_()

    def features_of(batch, composite):
        found = seeing.perceptual_features(batch, composite, style=True)
        return lafin.LaFInOutputs(None, None, composite, *found)

    features = features_of(sample, composite)
    (gradient,) = torch.autograd.grad(seeing.loss_style(sample, features), composite)
    known = sample.mask.bool().expand_as(composite)
    assert (gradient[known] == 0).all() and (gradient[~known] != 0).float().mean() > 0.9
    other = replace(sample, faces=replace(sample.faces, image=torch.where(known, 0.5, sample.image)))
    changed = features_of(other, torch.where(known, -0.3, composite))
    assert torch.equal(seeing.loss_style(sample, features), seeing.loss_style(other, changed))
    assert seeing.loss_perceptual(sample, features) != seeing.loss_perceptual(other, changed)


def test_what_the_network_sees_is_from_0_to_1(sample, monkeypatch):
    seen = []
    monkeypatch.setattr(lafin, "vgg_features", lambda x, name: seen.append(x) or pooled(x, name))
    method = build(perceptual="vgg16")
    outputs = method.forward_train(sample, lafin.inpainting_stage(1))
    ours, theirs = seen
    assert torch.allclose(ours[:4], (outputs.composite + 1) / 2) and torch.equal(theirs[:4], sample.image)
    assert ours.min() >= 0 and ours.max() <= 1 and len(ours) == len(theirs) == 8
    assert ours.requires_grad and not theirs.requires_grad


# Who plays, with which weights


def test_equation_7():
    optimizers = lafin.inpainting_stage(1).optimizers
    expected = {"pixel": 1, "perceptual": 0.1, "style": 250, "tv": 0.1, "adversarial": 0.01}
    assert optimizers["generator"].losses == expected and optimizers["discriminator"].losses == {
        "discriminator": 1
    }
    assert list(optimizers) == ["discriminator", "generator"]


def test_full_training_is_the_papers():
    locate, inpaint = build(perceptual="vgg16").stages("full")
    assert (locate.name, locate.batch_size, inpaint.name, inpaint.batch_size) == ("locate", 16, "inpaint", 4)
    (learner,) = locate.optimizers.values()
    assert learner.networks == ("predictor",) and learner.losses == {"landmarks": 1}
    discriminator, generator = inpaint.optimizers.values()
    assert discriminator.networks == ("discriminator",) and generator.networks == ("generator",)
    assert (learner.lr, generator.lr, discriminator.lr) == (1e-4, 1e-4, 1e-5)
    for optimizer in (learner, discriminator, generator):
        assert (optimizer.optimizer, optimizer.betas) == ("adam", (0, 0.9))
        assert optimizer.clip is optimizer.skip_below is None
    assert set(generator.losses) == set(TERMS)
    _, without = build(perceptual=None).stages("full")
    assert set(without.optimizers["generator"].losses) == set(TERMS) - {"perceptual", "style"}
    assert without.optimizers["generator"].losses.items() < generator.losses.items()


@pytest.mark.parametrize("preset", ["smoke", "lesson"])
@pytest.mark.parametrize("perceptual", ["vgg16", None])
def test_shorter_training_has_the_papers_optimizers_and_ends_with_all_losses(preset, perceptual):
    stages = build(perceptual=perceptual).stages(preset)
    first, last = (build(perceptual=perceptual).stages("full")[k] for k in (0, -1))
    assert len({stage.name for stage in stages}) == len(stages) and stages[0].name == "locate"
    for stage, like in [(stages[0], first), (stages[-1], last), *((stage, last) for stage in stages[1:])]:
        assert (stage.batch_size, stage.masks) == (like.batch_size, like.masks)
        assert list(stage.optimizers) == list(like.optimizers)
        for name, optimizer in stage.optimizers.items():
            other = like.optimizers[name]
            assert (optimizer.networks, optimizer.betas) == (other.networks, other.betas)
            assert optimizer.losses.items() <= other.losses.items()
    assert stages[-1].optimizers["generator"].losses == last.optimizers["generator"].losses


def test_half_of_the_holes_are_blocks_of_half_the_side_and_half_irregular():
    stages = [*build().stages("full"), lafin.inpainting_stage(1, joint=True), lafin.detection_stage(1, True)]
    for stage in stages:
        blocks = [kind for kind in stage.masks if kind == "random_square"]
        others = [kind for kind in stage.masks if kind != "random_square"]
        assert len(blocks) == len(others) and all(kind.startswith("irregular_") for kind in others)
        assert len(set(others)) == 5  # every bin
    block = masks.make("random_square", 256, 3)
    assert (block.flatten(1).sum(1) == 256**2 - 128**2).all()


def test_faces_are_moved_but_not_recoloured():
    for stage in build().stages("full"):
        change = stage.augment
        assert min(change.flip, change.shift, change.rotate, change.scale) > 0
        assert change.brightness == change.contrast == 0


def test_stages_take_what_they_are_told():
    locate = lafin.landmark_stage(7, batch_size=3, lr=0.01, ema=None)
    assert (locate.steps, locate.batch_size, locate.ema) == (7, 3, None)
    assert locate.optimizers["predictor"].lr == 0.01
    inpaint = lafin.inpainting_stage(8, batch_size=2, lr=0.01, discriminator_lr=0.02, ema=0.5)
    assert (inpaint.steps, inpaint.batch_size, inpaint.ema) == (8, 2, 0.5)
    assert {name: p.lr for name, p in inpaint.optimizers.items()} == {
        "discriminator": 0.02,
        "generator": 0.01,
    }
    detect = lafin.detection_stage(9, True, batch_size=5, lr=0.03, ema=None)
    assert (detect.name, detect.steps, detect.batch_size, detect.ema) == ("detect", 9, 5, None)
    (learner,) = detect.optimizers.values()
    assert learner.lr == 0.03 and learner.betas == (0, 0.9)


@pytest.mark.parametrize("augmented", [True, False])
def test_a_detector_learns_from_one_term(augmented):
    (learner,) = lafin.detection_stage(1, augmented).optimizers.values()
    assert learner.networks == ("predictor",)
    assert learner.losses == {"detect_augmented" if augmented else "detect": 1}


def test_jointly_is_inpainting_with_the_predictor_as_well():
    before = lafin.inpainting_stage(5, False, batch_size=3, ema=0.9)
    stage = lafin.inpainting_stage(5, False, batch_size=3, ema=0.9, joint=True)
    assert (stage.name, stage.steps, stage.batch_size, stage.ema) == ("inpaint", 5, 3, 0.9)
    terms = {term: w for optimizer in stage.optimizers.values() for term, w in optimizer.losses.items()}
    assert terms == {"landmarks": 1, "discriminator": 1, "pixel": 1, "tv": 0.1, "adversarial": 0.01}
    last = [*stage.optimizers.values()][-1]  # of whose networks the average is kept
    assert set(last.networks) == {"predictor", "generator"} and "landmarks" in last.losses
    assert (last.betas, last.lr) == ((0, 0.9), before.optimizers["generator"].lr)
    assert [*stage.optimizers] == [*before.optimizers]
    assert stage.optimizers["discriminator"] == before.optimizers["discriminator"]


# What is drawn, and what reaches what


def reached(loss, network):
    """Whether the gradient of a loss reaches a network's weights."""
    weights = [p for p in network.parameters() if p.requires_grad]
    found = torch.autograd.grad(loss, weights, allow_unused=True, retain_graph=True)
    return any(g is not None and g.abs().sum() > 0 for g in found)


def test_locating_teaches_the_predictor_alone(method, sample):
    outputs = method.eval().forward_train(sample, lafin.landmark_stage(1))
    loss = method.loss_landmarks(sample, outputs)
    assert [reached(loss, network) for network in method.networks.values()] == [True, False, False]


def test_inpainting_draws_with_the_true_landmarks(method, sample):
    method.eval()
    outputs = method.forward_train(sample, lafin.inpainting_stage(1, False))
    assert not any((outputs.features, outputs.target_features, outputs.hole_features))
    assert torch.equal(outputs.map, lafin.landmark_map(sample.faces.landmarks, 32))
    given, truth = method.network_input(sample.image, sample.mask), 2 * sample.image - 1
    assert torch.equal(outputs.raw, method.generator(given, outputs.map, sample.mask))
    assert torch.equal(outputs.composite, torch.where(sample.mask > 0.5, truth, outputs.raw))


@pytest.mark.parametrize("joint", [False, True])
def test_no_loss_of_the_generator_reaches_the_predictor(joint, seeing, sample):
    outputs = seeing.train().forward_train(sample, lafin.inpainting_stage(1, joint=joint))
    for term in TERMS:
        loss = seeing.losses(sample, outputs, [term])[term]
        assert reached(loss, seeing.generator) and not reached(loss, seeing.predictor), term
        assert reached(loss, seeing.discriminator) == (term == "adversarial")  # which the trainer freezes


def test_the_discriminators_loss_reaches_nobody_else(seeing, sample):
    outputs = seeing.train().forward_train(sample, lafin.inpainting_stage(1, joint=True))
    loss = seeing.loss_discriminator(sample, outputs)
    assert [reached(loss, network) for network in seeing.networks.values()] == [False, False, True]


def test_jointly_the_generator_sees_what_the_predictor_says_and_the_predictor_learns(method, sample):
    outputs = method.eval().forward_train(sample, lafin.inpainting_stage(1, False, joint=True))
    points = 32 * method.predictor(method.network_input(sample.image, sample.mask))
    assert torch.equal(outputs.map, lafin.landmark_map(points, 32))
    assert not torch.equal(outputs.map, lafin.landmark_map(sample.faces.landmarks, 32))
    assert outputs.map.any()
    loss = method.loss_landmarks(sample, outputs)
    assert [reached(loss, network) for network in method.networks.values()] == [True, False, False]


IRREGULAR = ["irregular_10_20", "irregular_50_60"]


@pytest.mark.parametrize("kind", ["random_square", *IRREGULAR])
def test_outside_the_hole_the_pixel_loss_alone_reaches_the_output(kind, seeing):
    sample = sampled(kind)
    hole = sample.mask[:, 0] < 0.5
    outputs = seeing.train().forward_train(sample, lafin.inpainting_stage(1))
    for term in TERMS:
        loss = seeing.losses(sample, outputs, [term])[term]
        (gradient,) = torch.autograd.grad(loss, outputs.raw, retain_graph=True)
        touched = (gradient != 0).any(1)
        assert touched[hole].float().mean() > 0.9, term
        assert touched[~hole].float().mean() > 0.99 if term == "pixel" else not touched[~hole].any(), term


def test_undamaged_faces_teach_the_predictor_alone(method, sample):
    outputs = method.eval().forward_train(sample, lafin.detection_stage(1, augmented=False))
    assert outputs is None
    loss = method.loss_detect(sample, outputs)
    assert [reached(loss, network) for network in method.networks.values()] == [True, False, False]


def test_completed_faces_teach_the_predictor_alone(sample):
    method, maps = looking(build()).eval(), []
    method.generator.register_forward_hook(lambda _, x, y: maps.append(x[1]))
    seen = []
    method.predictor.register_forward_pre_hook(lambda _, x: seen.append(x[0]))
    outputs = method.forward_train(sample, lafin.detection_stage(1, augmented=True))
    method.losses(sample, outputs, ["detect_augmented"])
    given = method.network_input(sample.image, sample.mask)
    points = lafin.landmark_map(sample.faces.landmarks, 32)
    assert len(maps) == 1 and torch.equal(maps[0], points)  # the true ones: they are what is to be found
    with torch.no_grad():
        raw = (method.generator(given, points, sample.mask) + 1) / 2
    completed = torch.where(sample.mask > 0.5, sample.image, raw)
    assert torch.equal(seen[0], 2 * torch.cat([sample.image, completed]) - 1) and not seen[0].requires_grad
    for term in ("detect", "detect_augmented"):
        loss = method.losses(sample, outputs, [term])[term]
        assert [reached(loss, network) for network in method.networks.values()] == [True, False, False]


def test_terms_that_nobody_wants_cost_nothing(sample, monkeypatch):
    def never(*_):
        raise AssertionError("called for nothing")

    monkeypatch.setattr(lafin, "vgg_features", never)
    method = build(perceptual="vgg16")
    method.forward_train(sample, lafin.inpainting_stage(1, perceptual=False))
    monkeypatch.setattr(method.generator, "forward", never)
    method.forward_train(sample, lafin.landmark_stage(1))
    method.forward_train(sample, lafin.detection_stage(1, augmented=False))


# Training


STAGES = {
    "landmarks": lambda: lafin.landmark_stage(2, ema=0.5),
    "inpainting": lambda: lafin.inpainting_stage(2, False, ema=0.5),
    "jointly": lambda: lafin.inpainting_stage(2, False, ema=0.5, joint=True),
    "detection": lambda: lafin.detection_stage(2, augmented=False, ema=0.5),
    "detection augmented": lambda: lafin.detection_stage(2, augmented=True, ema=0.5),
}


def train(folder, stages, method=None, **options):
    stages = [replace(stage, batch_size=4) for stage in stages]
    method = method or build()
    data = faces.embedded("train", method.size)
    return training.fit(method, data, folder, stages=stages, accelerator="cpu", callbacks=(), **options)


def check_training(folder, stage, method, **options):
    """Who plays learns, who does not stays as it was, and the log has a number above 0 for each loss."""
    before = {key: value.clone() for key, value in method.state_dict().items()}
    run = train(folder, [stage], method, num_samples=1, **options)
    learners = {name for optimizer in stage.optimizers.values() for name in optimizer.networks}
    for key, value in run.method.state_dict().items():
        assert value.isfinite().all()
        if key.split(".")[0] not in learners:
            assert torch.equal(value, before[key]), key
    for key, value in run.method.named_parameters():
        if key.split(".")[0] in learners and value.ndim > 1:
            # queries learn little as long as gamma is near 0
            least = 0 if "to_query" in key else 1e-6
            assert (value - before[key]).abs().max() > least, key
    terms = [f"{name}.{term}" for name, optimizer in stage.optimizers.items() for term in optimizer.losses]
    assert set(run.log) == {"step", "stage", *terms, *(f"{name}.gradient" for name in stage.optimizers)}
    assert all((values > 0).all() for name, values in run.log.items() if "." in name)
    assert any(folder.glob("images/*")) == stage.watched
    return run


@pytest.mark.parametrize("name", STAGES)
def test_every_stage_trains(name, tmp_path):
    run = check_training(tmp_path, STAGES[name](), build())
    if name in ("inpainting", "jointly"):
        generator = run.method.generator
        assert generator.attention.gamma.item() != 0 and generator.attention.alpha.item() != 0


@pytest.mark.parametrize("options", [{"attention": False}, {"landmarks": False}])
def test_ablations_train(options, tmp_path):
    check_training(tmp_path, STAGES["inpainting"](), build(**options))


@pytest.mark.parametrize("name", ["landmarks", "jointly"])
def test_it_trains_in_half_precision(name, tmp_path):
    check_training(tmp_path, STAGES[name](), build(), precision="bf16-mixed")


def test_it_trains_with_a_perceptual_network(tmp_path):
    need("vgg16" if weights.available("vgg16") else "lpips_vgg")
    method = build(perceptual="vgg16")
    check_training(tmp_path, lafin.inpainting_stage(2, ema=0.5), method)
    assert not any("vgg" in key for key in method.state_dict())


def test_a_run_goes_on_where_it_stood(tmp_path):
    stages = [STAGES["landmarks"](), STAGES["inpainting"]()]
    once = train(tmp_path / "once", stages, num_samples=0).method.state_dict()
    first = train(tmp_path / "parts", stages, until="locate", num_samples=0)
    assert len(first.log["step"]) == 2
    again = train(tmp_path / "parts", stages, build(seed=1), num_samples=0)
    assert again.log["stage"].tolist() == 2 * ["locate"] + 2 * ["inpaint"]
    parts = again.method.state_dict()
    assert parts.keys() == once.keys() and all(torch.equal(parts[key], once[key]) for key in once)


def test_the_predictor_comes_nearer_to_the_landmarks(tmp_path):
    stage = lafin.landmark_stage(20, lr=3e-3, ema=None)
    loss = train(tmp_path, [stage], num_samples=0).log["predictor.landmarks"]
    assert loss[-3:].mean() < 0.7 * loss[:3].mean()


# Completing, editing, looking


def test_completing_is_locating_and_completing_with_what_was_located(method, sample):
    method.eval()
    with torch.no_grad():
        given = method.network_input(sample.image, sample.mask)
        points = 32 * method.predictor(given)
        raw = method.generator(given, lafin.landmark_map(points, 32), sample.mask)
    method.train()
    for out in (
        method.complete(sample.image, sample.mask),
        method.complete(sample.image, sample.mask, landmarks=points),
    ):
        assert torch.equal(out.extras["landmarks"], points)
        assert torch.allclose(out.raw, (raw + 1) / 2, atol=1e-6)


def test_different_faces_have_different_landmarks(method, sample):
    points = method.complete(sample.image, sample.mask).extras["landmarks"]
    assert (points[1:] - points[:-1]).abs().mean() > 0.3  # px; or what follows could not fail


def answers(method, image, mask, points):
    """What a method says about damaged faces with landmarks of their own, by name."""
    return {
        "edited": method.complete(image, mask, landmarks=points).composite,
        **method.attention_maps(image, mask),
        **{f"{key} edited": x for key, x in method.attention_maps(image, mask, landmarks=points).items()},
    }


def test_nothing_under_the_hole_is_looked_at(method, sample):
    mask = masks.make("center", 32)
    poisoned = torch.where(mask > 0.5, sample.image, torch.nan)
    points = sample.faces.landmarks
    one = answers(method, sample.image, mask, points)
    other = answers(method, poisoned, mask.expand(4, -1, -1, -1), points)
    for key, value in one.items():
        assert value.isfinite().all() and torch.equal(value, other[key]), key


def test_a_face_is_answered_alike_in_any_company(method, sample):
    method.train()  # which no answer may care about: batch norm would mix the faces
    together = answers(method, sample.image, sample.mask, sample.faces.landmarks)
    for k in range(4):
        one = (t[[k]] for t in (sample.image, sample.mask, sample.faces.landmarks))
        for key, value in answers(method, *one).items():
            assert torch.allclose(value[0], together[key][k], atol=1e-4), key


def test_the_seed_changes_nothing(method, sample):
    one, other = (method.complete(sample.image, sample.mask, seed) for seed in (1, 2))
    assert torch.equal(one.raw, other.raw)


def test_moving_the_mouth_changes_the_completion(method, sample):
    mask = masks.make("center", 32)
    moved = sample.faces.landmarks.clone()
    moved[:, 48:] += torch.tensor([0.0, 2.0])
    points = sample.faces.landmarks.clone()
    one, other = (method.complete(sample.image, mask, landmarks=p) for p in (points, moved))
    assert torch.equal(points, sample.faces.landmarks) and torch.equal(one.extras["landmarks"], points)
    assert torch.equal(other.extras["landmarks"], moved)
    change = (one.composite - other.composite).abs().amax(1)  # [4, 32, 32]
    assert (change.flatten(1).amax(1) > 1e-4).all() and not change[mask[:, 0].expand(4, -1, -1) > 0.5].any()
    assert torch.equal(one.raw, method.complete(sample.image, mask, landmarks=points.double()).raw)


@pytest.mark.parametrize("shape", [(1, 68, 2), (4, 68, 3), (4, 5, 2), (4, 136), (68, 2)])
def test_landmarks_of_another_shape_are_refused(shape, method, sample):
    with pytest.raises(ValueError, match=r"landmarks must be \[4, 68, 2\], not \["):
        method.complete(sample.image, sample.mask, landmarks=torch.zeros(shape))


def test_attention_maps_leave_every_module_in_its_mode_and_no_hook_behind(sample):
    method = build().train()
    method.discriminator.eval()
    method.generator.middle[1].eval()
    before = [module.training for module in method.modules()]
    buffers = [buffer.clone() for buffer in method.buffers()]
    method.attention_maps(sample.image, sample.mask)
    assert [module.training for module in method.modules()] == before
    assert all(torch.equal(a, b) for a, b in zip(buffers, method.buffers(), strict=True))
    assert not method.generator.attention._forward_hooks
    with pytest.raises(ValueError):
        method.attention_maps(sample.image, sample.mask, landmarks=torch.zeros(7, 68, 2))
    assert not method.generator.attention._forward_hooks
    assert [module.training for module in method.modules()] == before


@pytest.mark.parametrize("kind", ["random_square", "irregular_30_40"])
@pytest.mark.parametrize("edited", [False, True])
def test_looks_are_the_weights_that_the_layer_used(kind, edited, monkeypatch):
    method, sample = looking(build()), sampled(kind)
    layer, used, passes = method.generator.attention, [], []
    matrix = lafin.attention_matrix
    monkeypatch.setattr(lafin, "attention_matrix", lambda query: used.append(matrix(query)) or used[-1])
    handle = layer.register_forward_hook(lambda _, x, y: passes.append((*x, y)))
    conditions = {"landmarks": sample.faces.landmarks} if edited else {}
    found = method.attention_maps(sample.image, sample.mask, **conditions)
    handle.remove()
    assert len(passes) == 1 and all(torch.equal(found["short"], one) for one in used)
    deep, early, mask, output = passes[0]
    assert found["short"].shape == found["long"].shape == (4, 64, 64)
    for looks in found.values():
        assert torch.allclose(looks.sum(2), torch.ones(4, 64), atol=1e-5) and looks.min() >= 0
    method.eval()
    with torch.no_grad():
        short = deep + layer.gamma * (deep.flatten(2) @ found["short"].mT).view_as(deep)
        long = (early.flatten(2) @ found["long"].mT).view_as(early)
        long = torch.where(mask > 0.5, long, layer.alpha * long)
        assert torch.allclose(layer.fuse(torch.cat([short, long], 1)), output, atol=1e-4)
    # and this is the pass that completes
    again = []
    handle = layer.register_forward_hook(lambda _, x, y: again.append(y))
    method.complete(sample.image, sample.mask, **conditions)
    handle.remove()
    assert torch.equal(again[0], output)


def test_in_the_long_term_known_places_look_at_themselves(method):
    sample = sampled("irregular_30_40")
    found = method.attention_maps(sample.image, sample.mask)
    known = sample.mask[:, 0, ::4, ::4].flatten(1) > 0.5  # a place is 4 px wide
    itself = torch.eye(64).expand(4, -1, -1)
    assert known.any() and not known.all()
    assert torch.equal(found["long"][known], itself[known])
    assert torch.equal(found["long"][~known], found["short"][~known])
    assert not torch.isclose(found["short"][known], itself[known]).all(1).all()


def test_landmarks_change_where_a_face_looks(method, sample):
    one, other = (
        method.attention_maps(sample.image, sample.mask, landmarks=p)["short"]
        for p in (sample.faces.landmarks, sample.faces.landmarks.flip(0))
    )
    assert not torch.isclose(one, other, atol=1e-5).all()


def test_without_attention_it_looks_nowhere(sample):
    method = build(attention=False)
    with pytest.raises(ValueError, match="attention=False"):
        method.attention_maps(sample.image, sample.mask)
    assert method.complete(sample.image, sample.mask).raw.isfinite().all()


@pytest.mark.parametrize("options", [{"attention": False}, {"landmarks": False, "predictor_width": 0.25}])
def test_a_checkpoint_needs_predictor_and_generator_alone(options, sample, tmp_path):
    method = looking(build(**options))
    again = methods.load(methods.save(method, tmp_path / "lafin-32", ["predictor", "generator"]))
    assert again.config == method.config
    for value in method.state_dict().values():
        value.copy_(value.half() if value.is_floating_point() else value)  # as checkpoints are
    one, other = (m.complete(sample.image, sample.mask) for m in (method, again))
    assert torch.equal(one.raw, other.raw)
    assert torch.equal(one.extras["landmarks"], other.extras["landmarks"])


def test_a_checkpoint_whose_card_says_dot_is_read(tmp_path):
    path = methods.save(build(landmark_width=3), tmp_path / "lafin-32", ["predictor", "generator"])
    card = path.with_suffix(".json")
    card.write_text(card.read_text().replace("landmark_width", "dot"))
    assert methods.load(path).config["landmark_width"] == 3


def test_a_checkpoint_remembers_its_perceptual_network_and_needs_no_weights_of_it(
    sample, tmp_path, monkeypatch
):
    method = build(perceptual="vgg19")
    path = methods.save(method, tmp_path / "lafin-32", ["predictor", "generator"])
    monkeypatch.setenv("FACECOMP_CACHE", str(tmp_path))
    monkeypatch.setenv("FACECOMP_OFFLINE", "1")
    again = methods.load(path)
    assert again.config["perceptual"] == "vgg19"
    assert again.complete(sample.image, sample.mask).raw.isfinite().all()
