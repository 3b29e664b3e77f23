"""collagan follows its paper: sizes, three answers and the way back, losses, the reach of each gradient."""

import math
from dataclasses import replace
from itertools import combinations

import pytest
import torch
from torch import nn

from facecomp_lib import faces, masks, methods, training
from facecomp_lib.methods import TrainBatch, sample_keys, uniform
from facecomp_lib.papers import collagan

SUBSETS = ["".join(some) for n in (1, 2, 3) for some in combinations("isd", n)]
NAMES = {"i": "image", "s": "labels", "d": "points"}
OUTPUTS = {"i": 3, "s": 11, "d": 5}


def build(size=32, width=1 / 16, **options):
    return methods.build("collagan", size=size, width=width, **options)


def sampled(kind="random_square", size=32, count=4):
    batch = faces.embedded("test", size).batch(range(count))
    mask = masks.make(kind, size, count, landmarks=batch.landmarks)
    return TrainBatch(batch, mask, sample_keys(0, 0, torch.arange(count)))


def seen_something(method, size=32):
    """The same method, its batch norms no longer as they were built."""
    method.train()
    for _ in range(3):
        method.forward_train(sampled(size=size, count=8), None)
    return method


@pytest.fixture(scope="module")
def method():
    return seen_something(build())


@pytest.fixture(scope="module")
def sample():
    return sampled()


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def numbers(pairs, normed):
    """Weights and biases of 4x4 convolutions (inputs, outputs), and of the batch norms after some of them."""
    return sum(16 * a * b + b + 2 * b * n for (a, b), n in zip(pairs, normed, strict=True))


# Networks


def test_the_generator_has_the_size_that_follows_from_its_layers():
    with torch.device("meta"):
        method = methods.registry.find("collagan")()
    down = [(3, 64), (64, 128), (128, 256), (256, 512), (512, 512), (512, 512), (512, 512)]
    # upwards each layer but the first is also given what the encoder has at that size
    up = [(512, 512), (1024, 512), (1024, 512), (1024, 256), (512, 128), (256, 64), (128, 3 + 11 + 5)]
    assert count(method.generator) == numbers(down + up, 13 * [1] + [0]) == 41_867_411


@pytest.mark.parametrize(("task", "size"), [("i", 2_769_601), ("s", 2_777_793), ("d", 2_771_649)])
def test_the_discriminators_have_the_size_that_follows_from_their_layers(task, size):
    with torch.device("meta"):
        discriminator = methods.registry.find("collagan")(tasks=task).networks[f"{NAMES[task]}_discriminator"]
    pairs = [(3 + OUTPUTS[task], 64), (64, 128), (128, 256), (256, 512), (512, 1)]
    assert count(discriminator) == numbers(pairs, [0, 1, 1, 1, 0]) == size


def test_seven_halvings_lead_to_one_pixel_and_seven_doublings_back():
    found = []
    with torch.device("meta"):
        generator = collagan.Generator()
        for layer in (*generator.encoder, *generator.decoder, generator.to_outputs):
            layer.register_forward_hook(lambda _, x, y: found.append((*x[0].shape[1:3], *y.shape[1:3])))
        assert generator(torch.zeros(2, 3, 128, 128)).shape == (2, 19, 128, 128)
    assert found == [  # channels and side before, channels and side after
        (3, 128, 64, 64),
        (64, 64, 128, 32),
        (128, 32, 256, 16),
        (256, 16, 512, 8),
        (512, 8, 512, 4),
        (512, 4, 512, 2),
        (512, 2, 512, 1),
        (512, 1, 512, 2),
        (512 + 512, 2, 512, 4),
        (512 + 512, 4, 512, 8),
        (512 + 512, 8, 256, 16),
        (256 + 256, 16, 128, 32),
        (128 + 128, 32, 64, 64),
        (64 + 64, 64, 19, 128),
    ]


def test_each_layer_upwards_is_given_the_encoders_features_of_its_size():
    generator = collagan.Generator(64, 1 / 16).eval()
    kept, given = [], []
    for layer in generator.encoder:
        layer.register_forward_hook(lambda _, x, y: kept.append(y))
    for layer in (*generator.decoder, generator.to_outputs):
        layer.register_forward_hook(lambda _, x, y: given.append(x[0]))
    image = torch.rand(2, 3, 64, 64)
    generator(image)
    last = given[-1]
    assert torch.equal(given[0], kept[-1])
    for features, skip in zip(given[1:], kept[-2::-1], strict=True):
        assert torch.equal(features[:, -skip.shape[1] :], skip) and features.shape[1] == 2 * skip.shape[1]
    assert torch.equal(generator.trunk(image), last)


def test_answers_lie_between_minus_one_and_one_however_strong_the_features():
    generator = collagan.Generator(32, 1 / 16).eval()
    nn.init.normal_(generator.to_outputs.weight, std=100)
    with torch.no_grad():
        answer = generator(torch.rand(2, 3, 32, 32))
    assert answer.min() < -0.99 and answer.max() > 0.99 and answer.abs().max() <= 1


@pytest.mark.parametrize("size", [32, 64, 128, 256])
def test_shapes_at_every_size(size):
    with torch.device("meta"):
        method = methods.registry.find("collagan")(size=size, width=1 / 16)
        image = torch.zeros(2, 3, size, size)
        assert method.generator(image).shape == (2, 19, size, size)
        inner = nn.Sequential(*method.generator.encoder)(image)
        assert inner.shape == (2, 32, 1, 1) and len(method.generator.encoder) == math.log2(size)
        for task, name in NAMES.items():
            answer = torch.zeros(2, OUTPUTS[task], size, size)
            logits = method.networks[f"{name}_discriminator"](image, answer)
            assert logits.shape == (2, 1, size // 32, size // 32)
            assert logits.dtype == torch.float32


# Tasks


@pytest.mark.parametrize("tasks", SUBSETS)
def test_tasks_decide_which_networks_losses_and_channels_there_are(tasks, sample):
    method = build(tasks=tasks)
    names = [NAMES[task] for task in tasks]
    assert list(method.networks) == ["generator", *(f"{name}_discriminator" for name in names)]
    assert method.generator.to_outputs.out_channels == sum(OUTPUTS[task] for task in tasks)
    (stage,) = method.stages("lesson")
    assert list(stage.optimizers) == [*(f"{name}_discriminator" for name in names), "generator"]
    for name in names:
        discriminator = stage.optimizers[f"{name}_discriminator"]
        assert discriminator.networks == (f"{name}_discriminator",) and dict(discriminator.losses) == {
            f"{name}_discriminator": 1.0
        }
    generator = stage.optimizers["generator"]
    assert generator.networks == ("generator",)
    assert set(generator.losses) == {*names, *(f"adversarial_{name}" for name in names)}
    outputs = method.forward_train(sample, stage)
    for maps in (outputs.predicted, outputs.judged, outputs.target):
        assert set(maps) - {"image"} == set(names) - {"image"}
        for task, name in zip(tasks, names, strict=True):
            assert maps[name].shape == (4, OUTPUTS[task], 32, 32) and maps[name].abs().max() <= 1


def test_the_order_in_which_tasks_are_named_does_not_matter():
    one, other = build(tasks="dsi"), build(tasks="isd")
    assert one.tasks == other.tasks == ("i", "s", "d") and list(one.networks) == list(other.networks)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("tasks", ["", "x", "isx", "ii", "image", 5])
def test_tasks_that_do_not_exist_are_refused(tasks):
    with pytest.raises(ValueError, match=f"tasks must be (some of i, s and d.*|a text, )not {tasks!r}"):
        build(tasks=tasks)


@pytest.mark.parametrize("size", [16, 33, 48, 96, 0, -32])
def test_sizes_that_do_not_halve_to_one_pixel_are_refused(size):
    with pytest.raises(ValueError, match=f"32, 64, 128.*not {size}"):
        build(size=size)


def test_a_regime_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="'blocks': choose one of block, pattern, noise"):
        build(regime="blocks")


def check_a_step(method, folder, **options):
    """Everybody learns, and the log has a number above 0 for each loss and gradient."""
    stage = replace(method.stages("smoke")[0], steps=1, batch_size=4)
    data = faces.embedded("train", method.size)
    before = {key: value.clone() for key, value in method.named_parameters()}
    run = training.fit(method, data, folder, stages=[stage], accelerator="cpu", callbacks=(), **options)
    for key, value in run.method.named_parameters():
        assert value.isfinite().all()
        assert value.ndim < 4 or not torch.isclose(value, before[key], rtol=0, atol=1e-6).all(), key
    terms = [f"{name}.{term}" for name, optimizer in stage.optimizers.items() for term in optimizer.losses]
    assert set(run.log) == {"step", "stage", *terms, *(f"{name}.gradient" for name in stage.optimizers)}
    assert all(values > 0 for name, values in run.log.items() if "." in name)


@pytest.mark.parametrize("tasks", SUBSETS)
def test_every_model_trains_and_is_watched_if_it_completes(tasks, tmp_path):
    method = build(tasks=tasks)
    assert method.completes == ("i" in tasks)
    check_a_step(method, tmp_path)
    assert (tmp_path / "images").exists() == ("i" in tasks)


@pytest.mark.parametrize(
    ("regime", "kind"), [("block", "random_square"), ("pattern", "pattern"), ("noise", "noise")]
)
def test_every_regime_trains_on_its_own_holes(regime, kind, tmp_path):
    method = build(regime=regime, concentrated=False)
    assert all(
        stage.masks == (kind,) for preset in ("smoke", "lesson", "full") for stage in method.stages(preset)
    )
    check_a_step(method, tmp_path)


def test_it_trains_in_half_precision(tmp_path):
    check_a_step(build(), tmp_path, precision="bf16-mixed")


# Three answers in one language


def test_a_heat_map_by_hand():
    # sigma 2, so that 2 sigma^2 = 8; the point is at column 3, row 1
    heat = collagan.heat_maps(torch.tensor([[[3.0, 1.0]]]), 6, 2.0)
    assert heat.shape == (1, 1, 6, 6)
    assert heat[0, 0, 1, 3] == 1
    assert heat[0, 0, 1, 4].item() == pytest.approx(2 * math.exp(-1 / 8) - 1)
    assert heat[0, 0, 1, 1].item() == pytest.approx(2 * math.exp(-4 / 8) - 1)
    assert heat[0, 0, 4, 3].item() == pytest.approx(2 * math.exp(-9 / 8) - 1)
    assert heat[0, 0, 5, 0].item() == pytest.approx(2 * math.exp(-(16 + 9) / 8) - 1)


def test_heat_maps_by_loop():
    points = torch.tensor([[[2.5, 7.0], [0.0, 0.25]], [[9.0, 9.0], [-3.0, 20.0]]])
    heat = collagan.heat_maps(points, 10, 1.3)
    assert heat.shape == (2, 2, 10, 10)
    for face in range(2):
        for point in range(2):
            px, py = points[face, point].tolist()
            for y in range(10):
                for x in range(10):
                    expected = 2 * math.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * 1.3**2)) - 1
                    assert heat[face, point, y, x].item() == pytest.approx(expected, abs=1e-6)


def anywhere(size, count=100):
    return torch.rand(count, 5, 2, generator=torch.Generator().manual_seed(size)) * (size - 1)


@pytest.mark.parametrize(("size", "sigma"), [(32, 0.75), (64, 1.0), (64, 1.5), (64, 3.0), (128, 6.0)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_decoding_inverts_heat_maps(size, sigma, dtype):
    points = anywhere(size)
    found = collagan.decode(collagan.heat_maps(points, size, sigma).to(dtype), sigma)
    assert found.shape == points.shape and found.dtype == torch.float32
    # the whole bump, down to a tenth of its height, lies in the image
    inside = (points.minimum(size - 1 - points) > 2.2 * sigma + 0.5).all(2)
    assert inside.float().mean() > 0.3
    assert (found - points)[inside].norm(dim=1).max() < 0.05
    # at the border it looks as far as there is room on both sides: at worst, it takes the hottest pixel
    assert (found - points).abs().max() < 0.55


def test_points_of_faces_that_are_moved_as_in_training_come_back():
    for size in (32, 64, 128):
        batch = faces.embedded("test", size).with_augmentation(collagan.UNALIGNED, 1).batch(range(60))
        points, sigma = collagan.five_points(batch.landmarks), build(size).sigma
        assert sigma == 6 * size / 128
        found = collagan.decode(collagan.heat_maps(points, size, sigma), sigma)
        away = (found - points).norm(dim=2)
        assert away.median() < 0.05 and away.max() < 0.71


def test_decoding_by_loop():
    heat = 2 * torch.rand(1, 3, 14, 14, generator=torch.Generator().manual_seed(0)) - 1
    heat[0, 0, 0, 13] = heat[0, 1, 6, 7] = heat[0, 2, 13, 5] = 1  # a corner, the middle, a border
    found = collagan.decode(heat, 1.0)
    for point, (top, left) in enumerate([(0, 13), (6, 7), (13, 5)]):
        total = across = along = 0.0
        tall, wide = min(3, top, 13 - top), min(3, left, 13 - left)
        for y in range(top - tall, top + tall + 1):
            for x in range(left - wide, left + wide + 1):
                mass = max((heat[0, point, y, x].item() + 1) / 2 - 0.1, 0)
                total, across, along = total + mass, across + mass * x, along + mass * y
        assert found[0, point].tolist() == pytest.approx([across / total, along / total], abs=1e-5)


def test_a_faint_bump_and_another_one_far_away_change_nothing_and_no_bump_gives_a_number():
    points = torch.tensor([[[20.3, 30.8]]])
    heat = (collagan.heat_maps(points, 64, 1.5) + 1) / 2
    other = (collagan.heat_maps(torch.tensor([[[50.0, 8.0]]]), 64, 1.5) + 1) / 2
    found = collagan.decode(2 * (0.3 * heat + 0.2 * other) - 1, 1.5)
    assert torch.allclose(found, points, atol=0.05)
    assert collagan.decode(torch.full((1, 1, 64, 64), -1.0), 1.5).isfinite().all()


def test_label_maps_by_hand():
    found = collagan.one_hot(torch.tensor([[[0, 10], [6, 6]]]))
    assert found.shape == (1, 11, 2, 2) and found.dtype == torch.float32
    expected = -torch.ones(11, 2, 2)
    expected[0, 0, 0] = expected[10, 0, 1] = expected[6, 1, 0] = expected[6, 1, 1] = 1
    assert torch.equal(found[0], expected)


def test_label_maps_lead_back_to_labels(sample):
    assert torch.equal(collagan.one_hot(sample.faces.parsing).argmax(1), sample.faces.parsing)


def test_five_points_by_hand():
    landmarks = torch.arange(68.0)[None, :, None] * torch.tensor([1.0, -2.0])  # point k at (k, -2k)
    found = collagan.five_points(landmarks)[0]
    expected = [38.5, 44.5, 30, 48, 54]  # mean of 36 ... 41, mean of 42 ... 47, tip of the nose, mouth
    assert found.tolist() == [[x, -2 * x] for x in expected]
    assert len(collagan.POINTS) == collagan.CHANNELS["d"] == 5


def test_left_stays_left_as_one_sees_it_in_the_mirror():
    batch = faces.embedded("test", 64).batch(range(40))
    points, mirrored = (collagan.five_points(b.landmarks) for b in (batch, batch.mirror()))
    for found in (points, mirrored):
        assert (found[:, 0, 0] < found[:, 1, 0]).all() and (found[:, 3, 0] < found[:, 4, 0]).all()
    swapped = points[:, [1, 0, 2, 4, 3]]
    assert torch.allclose(mirrored[..., 0], 63 - swapped[..., 0], atol=1e-4)
    assert torch.allclose(mirrored[..., 1], swapped[..., 1], atol=1e-4)


# Losses by hand


def tiny(mask=((1.0, 0.0), (1.0, 0.0))):
    image = torch.zeros(1, 3, 2, 2)
    return TrainBatch(faces.FaceBatch(image), torch.tensor([[mask]]), torch.zeros(1, dtype=torch.int64))


TRUE = torch.tensor([[0.5, -0.25], [0.0, 1.0]]).expand(1, 3, 2, 2)
DRAWN = torch.stack(
    [
        torch.tensor([[0.0, 0.25], [0.25, 0.5]]),  # off by 0.5, 0.5, 0.25, 0.5
        torch.tensor([[0.5, -0.25], [0.0, 1.0]]),  # right
        torch.tensor([[-0.5, -1.0], [1.0, 0.0]]),  # off by 1, 0.75, 1, 1
    ]
)[None]


def said(name):
    """What a step's losses share if the generator says DRAWN."""
    return collagan.CollaGANOutputs(TRUE, {name: DRAWN}, {name: DRAWN}, {name: TRUE})


def test_the_plain_image_loss_is_the_mean_distance_of_all_pixels():
    outputs = said("image")
    by_hand = (0.5 + 0.5 + 0.25 + 0.5 + 1 + 0.75 + 1 + 1) / 12
    assert build(concentrated=False).loss_image(tiny(), outputs).item() == pytest.approx(by_hand)


def test_the_concentrated_image_loss_counts_the_hole_and_divides_by_all_pixels():
    outputs = said("image")
    by_hand = (0.5 + 0.5 + 0.75 + 1) / 12  # the right column is missing
    assert build(concentrated=True).loss_image(tiny(), outputs).item() == pytest.approx(by_hand)
    everything = tiny(((0.0, 0.0), (0.0, 0.0)))
    plain = build(concentrated=False).loss_image(everything, outputs)
    assert torch.equal(build().loss_image(everything, outputs), plain)
    assert build().loss_image(tiny(((1.0, 1.0), (1.0, 1.0))), outputs) == 0


@pytest.mark.parametrize("concentrated", [True, False])
@pytest.mark.parametrize("name", ["labels", "points"])
def test_the_losses_of_labels_and_points_are_mean_squares_over_everything(name, concentrated):
    outputs = said(name)
    by_hand = (3 * 0.25 + 0.0625 + 3 * 1 + 0.5625) / 12
    loss = getattr(build(concentrated=concentrated), f"loss_{name}")
    assert loss(tiny(), outputs).item() == pytest.approx(by_hand)


class Says(nn.Module):
    """A discriminator whose logits for the true answer and for any other one are given; it notes what it
    judges."""

    def __init__(self, truth, real=(0.0,), fake=(0.0,)):
        super().__init__()
        self.truth, self.real, self.fake, self.judged = truth, torch.tensor(real), torch.tensor(fake), []

    def forward(self, x, y):
        self.judged.append(y)
        return self.real if torch.equal(y, self.truth) else self.fake


@pytest.mark.parametrize("name", ["image", "labels", "points"])
def test_adversarial_losses_by_hand(name):
    method = build()
    # D = 1/4, 3/4 for the true answers and 1/2, 1/10 for the drawn ones
    setattr(method, f"{name}_discriminator", Says(TRUE, (-math.log(3), math.log(3)), (0.0, -math.log(9))))
    outputs = said(name)
    discriminator = -(math.log(1 / 4) + math.log(3 / 4)) / 2 - (math.log(1 / 2) + math.log(9 / 10)) / 2
    adversarial = -(math.log(1 / 2) + math.log(1 / 10)) / 2
    found = method.losses(tiny(), outputs, [f"{name}_discriminator", f"adversarial_{name}"])
    assert found[f"{name}_discriminator"].item() == pytest.approx(discriminator)
    assert found[f"adversarial_{name}"].item() == pytest.approx(adversarial)


SECTION_4_2 = {  # adversarial, reconstruction
    1: {"i": (1, 100), "s": (1, 1000), "d": (1, 1000)},
    2: {"i": (0.8, 100), "s": (0.2, 200), "d": (0.2, 200)},
    3: {"i": (0.8, 100), "s": (0.1, 200), "d": (0.1, 200)},
}


@pytest.mark.parametrize("tasks", SUBSETS)
@pytest.mark.parametrize("preset", ["smoke", "lesson", "full"])
def test_the_weights_of_section_4_2_reach_the_generator(tasks, preset):
    (stage,) = build(tasks=tasks).stages(preset)
    expected = {}
    for task in tasks:
        adversarial, reconstruction = SECTION_4_2[len(tasks)][task]
        expected |= {f"adversarial_{NAMES[task]}": adversarial, NAMES[task]: reconstruction}
    assert stage.optimizers["generator"].losses == expected
    assert collagan.joint_stage(tasks, 1).optimizers["generator"].losses == expected
    assert collagan.joint_stage(tuple(tasks[::-1]), 1).optimizers["generator"].losses == expected


def test_a_stage_takes_what_it_is_told():
    stage = collagan.joint_stage("is", 7, "noise", batch_size=3, lr=0.01, ema=None)
    assert (stage.steps, stage.batch_size, stage.masks, stage.ema) == (7, 3, ("noise",), None)
    assert {optimizer.lr for optimizer in stage.optimizers.values()} == {0.01}
    assert {(optimizer.optimizer, optimizer.betas) for optimizer in stage.optimizers.values()} == {
        ("adam", (0.5, 0.999))
    }


def test_short_runs_learn_ten_times_as_fast_as_full_ones():
    rates = {
        preset: {optimizer.lr for stage in build().stages(preset) for optimizer in stage.optimizers.values()}
        for preset in ("smoke", "lesson", "full")
    }
    assert rates == {"smoke": {2e-3}, "lesson": {2e-3}, "full": {2e-4}}


def test_faces_are_moved_but_not_recoloured():
    (stage,) = build().stages("full")
    change = stage.augment
    assert min(change.flip, change.shift, change.rotate, change.scale) > 0
    assert change.brightness == change.contrast == 0


# What reaches what


def reach(method, sample, term, of):
    """Where the gradient of a loss meets what the generator drew: bool ``[B, H, W]``."""
    method.train()
    outputs = method.forward_train(sample, None)
    loss = method.losses(sample, outputs, [term])[term]
    (gradient,) = torch.autograd.grad(loss, outputs.predicted[of])
    return (gradient != 0).any(1)


IRREGULAR = ["irregular_10_20", "irregular_50_60", "pattern", "noise", "glasses"]


@pytest.mark.parametrize("kind", ["random_square", "half_left", "random_rectangle", *IRREGULAR])
def test_concentrated_nothing_outside_the_hole_reaches_the_image(kind):
    method, sample = build(), sampled(kind)
    hole = sample.mask[:, 0] < 0.5
    assert hole.any() and not hole.all()
    assert torch.equal(reach(method, sample, "image", "image"), hole)
    fooled = reach(method, sample, "adversarial_image", "image")
    assert not fooled[~hole].any() and fooled[hole].float().mean() > 0.99


@pytest.mark.parametrize("kind", ["random_square", "irregular_10_20", "noise"])
def test_plain_the_whole_image_is_reached(kind):
    method, sample = build(concentrated=False), sampled(kind)
    for term in ("image", "adversarial_image"):
        assert reach(method, sample, term, "image").float().mean() > 0.99


@pytest.mark.parametrize("concentrated", [True, False])
@pytest.mark.parametrize("name", ["labels", "points"])
def test_labels_and_points_are_learned_everywhere(name, concentrated, sample):
    method = build(concentrated=concentrated)
    for term in (name, f"adversarial_{name}"):
        assert reach(method, sample, term, name).float().mean() > 0.99


def test_the_concentrated_losses_do_not_even_look_at_the_truth_outside_the_hole(sample):
    method, known = build(), sample.mask > 0.5
    outputs = method.train().forward_train(sample, None)
    truth = torch.where(known, -outputs.target["image"], outputs.target["image"])
    other = replace(outputs, target={**outputs.target, "image": truth})
    assert torch.equal(method.loss_image(sample, outputs), method.loss_image(sample, other))


def test_each_loss_teaches_the_channels_of_its_task_and_all_teach_the_trunk(sample):
    method = build()
    outputs, first = method.train().forward_train(sample, None), 0
    head, trunk = method.generator.to_outputs.weight, method.generator.encoder[0][0].weight
    for task, name in NAMES.items():
        for term in (name, f"adversarial_{name}"):
            loss = method.losses(sample, outputs, [term])[term]
            own, shared = torch.autograd.grad(loss, [head, trunk], retain_graph=True)
            touched = (own != 0).any(0).flatten(1).any(1)  # [19]
            assert touched.nonzero().flatten().tolist() == list(range(first, first + OUTPUTS[task]))
            assert shared.abs().sum() > 0
        first += OUTPUTS[task]


def test_truths_are_the_undamaged_face_in_each_language(method, sample):
    outputs = method.forward_train(sample, None)
    batch = sample.faces
    assert torch.equal(outputs.target["image"], 2 * batch.image - 1)
    assert torch.equal(outputs.target["labels"], collagan.one_hot(batch.parsing))
    points = collagan.five_points(batch.landmarks)
    assert torch.equal(outputs.target["points"], collagan.heat_maps(points, 32, 1.5))


def test_discriminators_judge_the_answer_to_this_question(method, sample):
    method.eval()
    outputs = method.forward_train(sample, None)
    other = method.network_input(1 - sample.image, sample.mask, sample.keys)
    for name in NAMES.values():
        discriminator, answer = method.networks[f"{name}_discriminator"], outputs.target[name]
        assert not torch.isclose(discriminator(outputs.x, answer), discriminator(other, answer)).any()
        swapped = method.losses(
            sample, replace(outputs, x=other), [f"adversarial_{name}", f"{name}_discriminator"]
        )
        here = method.losses(sample, outputs, [f"adversarial_{name}", f"{name}_discriminator"])
        assert all(here[term] != swapped[term] for term in here)


def test_discriminators_learn_nothing_about_the_generator(sample):
    method = build().train()
    outputs = method.forward_train(sample, None)
    for name in NAMES.values():
        method.zero_grad()
        method.losses(sample, outputs, [f"{name}_discriminator"])[f"{name}_discriminator"].backward()
        assert all(p.grad is None for p in method.generator.parameters())
        for other in NAMES.values():
            parameters = method.networks[f"{other}_discriminator"].parameters()
            assert all((p.grad is not None) == (other == name) for p in parameters)


@pytest.mark.parametrize("kind", ["random_square", "irregular_30_40", "noise"])
@pytest.mark.parametrize("concentrated", [True, False])
def test_the_discriminator_of_images_judges_the_composite_or_the_raw_output(kind, concentrated):
    method, sample = build(concentrated=concentrated).eval(), sampled(kind)
    outputs = method.forward_train(sample, None)
    raw, truth = method.task_maps(outputs.x)["image"], 2 * sample.image - 1
    composite = torch.where(sample.mask > 0.5, truth, raw)
    method.image_discriminator = Says(truth)
    method.losses(sample, outputs, ["adversarial_image", "image_discriminator"])
    fooled, real, fake = method.image_discriminator.judged
    assert torch.equal(real, truth) and torch.equal(fooled, fake)
    assert torch.equal(fake, composite if concentrated else raw)
    for name in ("labels", "points"):
        assert torch.equal(outputs.judged[name], outputs.predicted[name])


# What the networks see


@pytest.mark.parametrize("regime", ["block", "pattern", "noise"])
def test_holes_are_filled_with_noise_or_for_patterns_with_black(regime, sample):
    method = build(regime=regime)
    x = method.network_input(sample.image, sample.mask, sample.keys)
    known = sample.mask.bool().expand_as(x)
    assert torch.equal(x[known], (2 * sample.image - 1)[known])
    if regime == "pattern":
        assert (x[~known] == -1).all()
    else:  # evenly from -1 to 1
        assert x[~known].std() == pytest.approx(3**-0.5, abs=0.03) and abs(x[~known].mean()) < 0.05
        assert x.min() >= -1 and x.max() < 1
    poisoned = torch.where(known, sample.image, torch.nan)
    assert torch.equal(method.network_input(poisoned, sample.mask, sample.keys), x)


def test_the_noise_belongs_to_the_sample_and_not_to_its_place_in_the_batch(sample):
    method = build()
    x = method.network_input(sample.image, sample.mask, sample.keys)
    some = ([0], [1, 2], [3])
    parts = [method.network_input(sample.image[k], sample.mask[k], sample.keys[k]) for k in some]
    assert torch.equal(torch.cat(parts), x)
    hole = torch.zeros_like(sample.mask)
    noise = method.network_input(sample.image, hole, sample.keys)
    assert torch.equal((noise + 1) / 2, uniform(sample.keys, (3, 32, 32), "fill"))
    assert not torch.isclose(noise[0], noise[1]).all(0).any()


def test_training_sees_the_damaged_image(method, sample):
    x = method.network_input(sample.image, sample.mask, sample.keys)
    assert torch.equal(method.forward_train(sample, None).x, x)


@pytest.mark.parametrize(("tasks", "missing"), [("is", "parsing"), ("s", "parsing"), ("id", "landmarks")])
def test_labels_that_the_faces_lack_are_named(tasks, missing, sample):
    both = {"parsing": sample.faces.parsing, "landmarks": sample.faces.landmarks}
    bare = replace(sample, faces=faces.FaceBatch(sample.image, **{**both, missing: None}))
    task = {"parsing": "s", "landmarks": "d"}[missing]
    with pytest.raises(ValueError, match=f"no {missing}.*without task {task}"):
        build(tasks=tasks).forward_train(bare, None)
    other = build(tasks={"parsing": "id", "landmarks": "is"}[missing])
    assert "image" in other.forward_train(bare, None).target


def test_completing_alone_needs_no_labels(sample):
    bare = replace(sample, faces=faces.FaceBatch(sample.image))
    outputs = build(tasks="i").forward_train(bare, None)
    assert set(outputs.predicted) == set(outputs.judged) == set(outputs.target) == {"image"}


# Completing: what every method keeps is in test_method_contract


@pytest.mark.parametrize("tasks", SUBSETS)
def test_every_model_says_what_its_tasks_are(tasks, sample):
    method = seen_something(build(tasks=tasks))
    out = method.complete(sample.image, sample.mask)
    keys = {"i": set(), "s": {"parsing"}, "d": {"landmarks", "heat"}}
    assert set(out.extras) == {"filled"}.union(*(keys[task] for task in tasks))
    shapes = {"parsing": (32, 32), "landmarks": (5, 2), "heat": (5, 32, 32)}
    for key, value in out.extras.items():
        assert value.shape == (4, *shapes.get(key, (3, 32, 32))) and not value.requires_grad
        most = {"landmarks": 31.001, "parsing": 10}.get(key, 1)
        assert value.min() >= 0 and value.max() <= most
    x = method.network_input(sample.image, sample.mask, torch.tensor([0]))
    maps = method.eval().task_maps(x)
    if "i" in tasks:
        assert torch.equal(out.raw, (maps["image"] + 1) / 2)
    if "s" in tasks:
        assert torch.equal(out.extras["parsing"], maps["labels"].argmax(1))
        assert out.extras["parsing"].dtype == torch.int64
    if "d" in tasks:
        assert torch.equal(out.extras["heat"], (maps["points"] + 1) / 2)
        assert torch.equal(out.extras["landmarks"], collagan.decode(maps["points"], 1.5))


@pytest.mark.parametrize("tasks", ["s", "d", "sd"])
def test_a_model_that_does_not_draw_leaves_the_missing_pixels_undefined(tasks, sample):
    out = build(tasks=tasks).complete(sample.image, sample.mask)
    known = sample.mask.bool().expand_as(sample.image)
    assert torch.equal(out.composite[known], sample.image[known])
    assert out.composite[~known].isnan().all() and out.raw.isnan().all()


@pytest.mark.parametrize("regime", ["block", "pattern", "noise"])
def test_a_seed_decides_the_noise_and_nothing_else(regime, sample):
    method = seen_something(build(regime=regime))
    one, other = (method.complete(sample.image, sample.mask, seed) for seed in (1, 2))
    assert torch.equal(one.composite, other.composite) == (regime == "pattern")  # black has no seed
    known = sample.mask.bool().expand_as(sample.image)
    assert torch.allclose(one.extras["filled"][known], sample.image[known], atol=1e-6)


@pytest.mark.parametrize("options", [{"tasks": "sd"}, {"concentrated": False, "regime": "pattern"}])
def test_a_checkpoint_needs_the_generator_alone(options, sample, tmp_path):
    method = seen_something(build(**options))
    again = methods.load(methods.save(method, tmp_path / "collagan-32", ["generator"]))
    assert again.config == method.config and again.tasks == method.tasks
    for value in method.state_dict().values():
        value.copy_(value.half())  # as checkpoints are
    one, other = (m.complete(sample.image, sample.mask, 2) for m in (method, again))
    assert torch.equal(one.raw, other.raw) or one.raw.isnan().all()
    assert all(torch.equal(one.extras[key], other.extras[key]) for key in one.extras)
