"""What every method keeps, whatever its paper: one contract, asked of all of ``fc.methods.NAMES``."""

import copy
import warnings

import pytest
import torch

from facecomp_lib import faces, masks, methods, training
from facecomp_lib.methods import TrainBatch, sample_keys

SIZE = 32
TINY = {  # options of a small network of each method
    "gfc": {"width": 1 / 16, "fc_dim": 16},
    "collagan": {"width": 1 / 16},
    "lafin": {"width": 1 / 8, "perceptual": None},
}
CONDITIONS = {"lafin": {"landmarks": lambda batch: batch.landmarks}}
STAGES = {  # arguments of each entry of the class's STAGES
    "gfc": {"parsing": {"steps": 1}, "curriculum": {"steps": (1, 1, 1)}},
    "collagan": {"joint": {"steps": 1}},
    "lafin": {"landmarks": {"steps": 1}, "inpaint": {"steps": 1}, "detect": {"steps": 1, "augmented": True}},
}


def build(name, size=SIZE, **options):
    return methods.build(name, size=size, **{**TINY[name], **options})


def learned(method):
    """The same method after it has seen faces: no norm is as it was built, no zero switches anything off."""
    with torch.no_grad():
        for parameter in method.parameters():
            if not parameter.any():
                parameter.fill_(0.1)
        method.train()
        for stage in 2 * method.stages("smoke"):
            batch = sampled(size=method.size, count=8)
            terms = [term for optimizer in stage.optimizers.values() for term in optimizer.losses]
            method.losses(batch, method.forward_train(batch, stage), terms)
    return method.eval()


def sampled(kind="random_square", size=SIZE, count=4):
    batch = faces.embedded("test", size).batch(range(count))
    mask = masks.make(kind, size, count, landmarks=batch.landmarks)
    return TrainBatch(batch, mask, sample_keys(0, 0, torch.arange(count)))


@pytest.fixture(scope="module", params=methods.NAMES)
def method(request):
    return learned(build(request.param))


@pytest.fixture(scope="module")
def batch():
    return sampled()


def tensors(out):
    return {"composite": out.composite, "raw": out.raw, **out.extras}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def alike(one, other, atol=1e-4):
    """Nearly all numbers equal up to rounding, which may also decide who wins a max-pooling or an argmax."""
    return ((one - other).abs() <= atol).float().mean() > 0.95


def check(method, image, mask):
    """What holds for each completion."""
    out = method.complete(image, mask)
    known = mask.bool().expand_as(image)
    assert torch.equal(out.composite[known], image[known])
    assert torch.equal(out.composite[~known], out.raw[~known])
    assert out.raw.shape == image.shape and out.raw.min() >= 0 and out.raw.max() <= 1
    for key, value in tensors(out).items():
        assert len(value) == len(image) and not value.requires_grad and value.isfinite().all(), key
    return out


def test_every_method_is_asked():
    assert set(TINY) == set(STAGES) == set(methods.NAMES)


# ------------------------------------------------------------------------------------------------ completing


@pytest.mark.parametrize("kind", masks.KINDS)
def test_every_kind_of_hole_is_completed(method, kind):
    batch = sampled(kind)
    check(method, batch.image, batch.mask)


@pytest.mark.parametrize("name", methods.NAMES)
@pytest.mark.parametrize("size", [64, 128])
def test_every_size_is_completed_and_shapes_follow(name, size):
    image = faces.embedded("test", size).batch(range(2)).image
    check(build(name, size), image, masks.make("irregular_20_30", size, 2))


@pytest.mark.parametrize("size", [16, 64])
def test_images_of_another_size_are_refused(method, size):
    with pytest.raises(ValueError, match=f"{SIZE} x {SIZE} px, not {size} x {size}"):
        method.complete(torch.rand(1, 3, size, size), torch.ones(1, 1, size, size))


def test_a_face_is_completed_alike_in_any_company(method, batch):
    method = copy.deepcopy(method).train()  # complete must not care: batch norm would mix the faces
    together = tensors(method.complete(batch.image, batch.mask, seed=5))
    for k in range(len(batch)):
        for key, value in tensors(method.complete(batch.image[[k]], batch.mask[[k]], seed=5)).items():
            assert alike(value[0], together[key][k]), key
    assert (together["raw"][0] - together["raw"][1]).abs().max() > 1e-3  # the faces do count


def test_one_mask_serves_all(method, batch):
    mask = masks.make("center", SIZE)
    one, other = (
        tensors(method.complete(batch.image, m)) for m in (mask, mask.expand(len(batch), -1, -1, -1))
    )
    assert same(one, other)


@pytest.mark.parametrize("hidden", [torch.nan, 0.5, 7.0])
def test_nothing_under_the_hole_is_looked_at(method, batch, hidden):
    poisoned = torch.where(batch.mask > 0.5, batch.image, hidden)
    for conditions in ({}, {k: f(batch.faces) for k, f in CONDITIONS.get(method.name, {}).items()}):
        one, other = (
            tensors(method.complete(image, batch.mask, 3, **conditions)) for image in (batch.image, poisoned)
        )
        assert same(one, other)
    missing = (batch.mask < 0.5).expand_as(batch.image)
    assert one["raw"][missing].std() > 0.001  # or what was asked could not fail


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_a_black_or_white_image_is_completed(method, level):
    check(method, torch.full((2, 3, SIZE, SIZE), level), masks.make("center", SIZE, 2))


def test_a_hole_of_0_percent_returns_the_input(method, batch):
    out = method.complete(batch.image, torch.ones_like(batch.mask))
    assert torch.equal(out.composite, batch.image)


@pytest.mark.parametrize(
    ("image", "mask", "sentence"),
    [
        (torch.rand(1, 3, SIZE, SIZE), torch.zeros(1, 1, SIZE, SIZE), "100 % hole"),
        (torch.rand(1, 1, SIZE, SIZE), torch.ones(1, 1, SIZE, SIZE), "grey"),
        (torch.rand(1, 3, SIZE, SIZE), torch.ones(1, 1, 8, SIZE), "shape"),
        (torch.rand(1, 3, SIZE, SIZE), torch.full((1, 1, SIZE, SIZE), 0.5), "0 .missing. only"),
        (255 * torch.rand(1, 3, SIZE, SIZE), torch.ones(1, 1, SIZE, SIZE), "rescale"),
        (torch.ones(1, 3, SIZE, SIZE, dtype=torch.uint8), torch.ones(1, 1, SIZE, SIZE), "divide 8-bit"),
    ],
)
def test_what_cannot_be_completed_is_refused_in_a_sentence(method, image, mask, sentence):
    with pytest.raises(ValueError, match=sentence):
        method.complete(image, mask)


# --------------------------------------------------------------------------------------------------- types


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_any_floating_type_of_image_comes_back_in_its_type(method, batch, dtype):
    image = batch.image.to(dtype)
    out = check(method, image, batch.mask)
    assert out.composite.dtype == out.raw.dtype == dtype
    exact = method.complete(image.float(), batch.mask)
    assert torch.equal(out.raw, exact.raw.to(dtype))
    assert torch.equal(method.complete(image, batch.mask.to(dtype)).raw, out.raw)


@pytest.mark.parametrize(
    ("dtype", "near"), [(torch.float64, 1e-4), (torch.float16, 0.1), (torch.bfloat16, 0.2)]
)
def test_weights_of_another_type_complete_as_well(method, batch, dtype, near):
    other = copy.deepcopy(method).to(dtype)
    out = check(other, batch.image, batch.mask)
    assert out.raw.dtype == torch.float32
    assert (out.raw - method.complete(batch.image, batch.mask).raw).abs().mean() < near


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_under_autocast_known_pixels_survive(method, batch, dtype):
    with torch.autocast("cpu", dtype):
        assert check(method, batch.image, batch.mask).composite.dtype == torch.float32
        for other in (torch.float64, torch.float16, torch.bfloat16):
            assert check(copy.deepcopy(method).to(other), batch.image.to(other), batch.mask)


@pytest.mark.parametrize("seed", [-1, 1.5, None, "0", 2**64])
def test_what_is_no_seed_is_refused(method, batch, seed):
    with pytest.raises(ValueError, match="seed must be a whole number, 0 ..."):
        method.complete(batch.image, batch.mask, seed)


# ------------------------------------------------------------------------------------- seeds, modes, devices


def test_a_seed_decides_and_no_other_random_numbers_are_used(method, batch):
    state = torch.get_rng_state()
    one, again = (tensors(method.complete(batch.image, batch.mask, seed=1)) for _ in range(2))
    assert same(one, again) and torch.equal(torch.get_rng_state(), state)


def test_completing_leaves_modes_buffers_and_gradients_as_they_were(batch, method):
    own = copy.deepcopy(method).train()
    for module in list(own.modules())[::3]:
        module.training = False
    before = [module.training for module in own.modules()]
    buffers = [buffer.clone() for buffer in own.buffers()]
    own.complete(batch.image, batch.mask)
    with pytest.raises(ValueError):
        own.complete(batch.image, 0 * batch.mask)
    assert [module.training for module in own.modules()] == before
    assert all(torch.equal(a, b) for a, b in zip(buffers, own.buffers(), strict=True))
    assert all(p.grad is None and p.requires_grad for p in own.parameters())


@pytest.mark.parametrize("name", methods.NAMES)
def test_it_can_be_built_and_asked_without_memory_on_the_meta_device(name, batch):
    with torch.device("meta"):
        method = build(name)
    assert method.device.type == "meta"
    out = method.complete(batch.image, batch.mask)  # the images travel to where the networks are
    assert {value.device.type for value in tensors(out).values()} == {"meta"}
    assert out.composite.shape == batch.image.shape


@pytest.mark.parametrize("name", methods.NAMES)
def test_the_same_seed_builds_the_same_network(name):
    first = build(name, seed=1).state_dict()
    assert same(first, build(name, seed=1).state_dict())
    assert not same(first, build(name, seed=2).state_dict())


# ------------------------------------------------------------------------------------------------ conditions


def test_conditions_are_those_that_predict_names_and_others_are_refused(method, batch):
    known = CONDITIONS.get(method.name, {})
    assert method.conditions == list(known)
    says = f"it takes {', '.join(known)}" if known else "it takes none"
    with pytest.raises(ValueError, match=f"{method.name} takes no condition colour; {says}"):
        method.complete(batch.image, batch.mask, colour=3)
    for key, value in known.items():
        assert method.complete(batch.image, batch.mask, **{key: value(batch.faces)}).raw.isfinite().all()


# -------------------------------------------------------------------------------------------- save and load


def test_what_was_saved_comes_back_by_its_weights_its_card_or_its_name(method, batch, tmp_path):
    kept = copy.deepcopy(method)
    path = methods.save(kept, tmp_path / "mine v1.5", data="made up")
    assert path.name == "mine v1.5.safetensors"
    for value in kept.state_dict().values():
        value.copy_(value.half() if value.is_floating_point() else value)  # as checkpoints are
    want = tensors(kept.complete(batch.image, batch.mask, 2))
    for place in (path, path.with_suffix(".json"), str(tmp_path / "mine v1.5")):
        again = methods.load(place)
        assert again.config == kept.config and again.card["data"] == "made up" and not again.training
        assert same(tensors(again.complete(batch.image, batch.mask, 2)), want)
    first = path.read_bytes()
    assert methods.save(method, path, data="made up").read_bytes() == first


def test_the_home_folder_has_a_short_name(method, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert methods.save(method, "~/mine") == tmp_path / "mine.safetensors"
    assert methods.load("~/mine.json").config == method.config


@pytest.mark.parametrize("name", methods.NAMES)
def test_a_run_comes_back_with_the_weights_of_its_last_finished_stage(name, batch, tmp_path):
    method, data = build(name), faces.embedded("train", SIZE)
    stages = method.stages("smoke")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run = training.fit(method, data, tmp_path / "run", stages=stages, accelerator="cpu")
    again = methods.load(tmp_path / "run")
    assert same(again.state_dict(), run.method.state_dict()) and not again.training
    assert again.card == run.card and again.config == run.method.config
    first = methods.load(tmp_path / "run" / f"weights-{stages[0].name}.safetensors")
    assert same(first.state_dict(), run.after(stages[0].name).state_dict())
    for stage in stages[1:]:
        (tmp_path / "run" / f"weights-{stage.name}.safetensors").unlink()
    assert same(methods.load(tmp_path / "run").state_dict(), first.state_dict())


# ------------------------------------------------------------------------------------------------- training


def plans(method):
    named = [stage for name, options in STAGES[method.name].items() for stage in
             method.make_stages(name, **options)]  # fmt: skip
    return [*method.stages("smoke"), *method.stages("full"), *named]


def test_every_entry_of_the_stages_builds(method):
    assert set(STAGES[method.name]) == set(method.STAGES)
    assert all(set(stage.masks) <= set(masks.KINDS) for stage in plans(method))


def test_in_each_stage_every_optimizer_has_losses_that_teach_its_networks(method, batch):
    for stage in plans(method):
        if any("perceptual" in optimizer.losses for optimizer in stage.optimizers.values()):
            continue  # needs weights of another network
        own = copy.deepcopy(method).train()
        outputs = own.forward_train(batch, stage)
        for optimizer in stage.optimizers.values():
            terms = own.losses(batch, outputs, optimizer.losses)
            assert list(terms) == list(optimizer.losses)
            assert all(value.ndim == 0 and value.isfinite() for value in terms.values())
            own.zero_grad()
            sum(terms.values()).backward(retain_graph=True)
            for network in optimizer.networks:
                gradients = [p.grad for p in own.networks[network].parameters() if p.requires_grad]
                assert any(g is not None and g.any() for g in gradients), (stage.name, network)


def test_a_loss_is_a_mean_over_faces_so_that_processes_can_share_a_batch(method, batch):
    for stage in method.stages("smoke"):
        terms = [term for optimizer in stage.optimizers.values() for term in optimizer.losses]
        if "perceptual" in terms:
            continue
        with torch.no_grad():
            whole = method.losses(batch, method.forward_train(batch, stage), terms)
            parts = []
            for k in ([0, 1], [2, 3]):
                half = TrainBatch(batch.faces[k], batch.mask[k], batch.keys[k])
                parts.append(method.losses(half, method.forward_train(half, stage), terms))
        for term in terms:
            assert torch.isclose(whole[term], (parts[0][term] + parts[1][term]) / 2, rtol=1e-3), term
