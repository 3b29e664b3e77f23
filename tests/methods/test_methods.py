"""The method interface: registry, keyed random numbers, stages, completing, checkpoints."""

import copy
import hashlib
import inspect
import json
import pickle

import numpy as np
import pytest
import safetensors.torch
import torch
from mutation import mutated
from torch import nn

from facecomp_lib import faces, masks, methods
from facecomp_lib.methods import (
    Method,
    OptimizerConfig,
    Stage,
    TrainBatch,
    base,
    checkpoints,
    loss_terms,
    registry,
    sample_keys,
    uniform,
)

for paper in methods.NAMES:
    registry.find(paper)  # imported once: an import in a test would register in that test's classes only


@pytest.fixture(autouse=True)
def same_classes_afterwards(monkeypatch):
    monkeypatch.setattr(base, "CLASSES", dict(base.CLASSES))
    monkeypatch.setattr("facecomp_lib.methods.registry.CLASSES", base.CLASSES)


def define(name="dots", module=__name__):
    """A method that draws its one weight everywhere."""

    class Dots(Method):
        __module__ = module

        def __init__(self, size: int = 16, grey: float = 0.5) -> None:
            super().__init__(size=size, grey=grey)
            self.painter = nn.Conv2d(3, 3, 1)
            self.discriminator = nn.BatchNorm2d(3)
            nn.init.constant_(self.painter.bias, grey)

        def stages(self, preset):
            return [Stage("paint", 1, {"painter": OptimizerConfig(("painter",), {"paint": 1.0})})]

        def forward_train(self, batch, stage):
            return {"raw": self.painter(batch.image)}

        def loss_paint(self, batch, outputs):
            return (outputs["raw"] - batch.image).square().mean()

        def predict(self, image, mask, *, seed=0, grey: float = 0.0):
            self.was_training = self.training
            self.saw = image
            noise = uniform(torch.tensor([seed]), image.shape[1:])
            return (self.painter(image) + noise).clamp(0, 1), {"noise": noise.expand_as(image)}

    Dots.name = name
    base.register(Dots)
    return Dots


def build(**options):
    define()
    return methods.build("dots", **options)


def test_random_numbers_are_even_and_independent_of_the_batch():
    keys = sample_keys(3, 7, torch.arange(8))
    numbers = uniform(keys, (3, 40, 40), "fill")
    assert numbers.shape == (8, 3, 40, 40) and numbers.min() >= 0 and numbers.max() < 1
    counts = torch.histc(numbers, 16, 0, 1) / numbers.numel()
    assert (counts - 1 / 16).abs().max() < 0.004  # 5 standard deviations of 38,400 draws
    flat = numbers.flatten(1) - 0.5
    correlation = 12 * (flat @ flat.T) / flat.shape[1] - torch.eye(8)
    assert correlation.abs().max() < 0.08
    assert torch.equal(uniform(keys[5:6], (3, 40, 40), "fill")[0], numbers[5])
    neighbours = (numbers[..., 1:] - 0.5) * (numbers[..., :-1] - 0.5) * 12
    assert neighbours.mean().abs() < 0.03


def test_seed_step_sample_and_salt_each_change_the_numbers():
    index = torch.tensor([4])
    base_keys = sample_keys(1, 2, index)
    drawn = [
        uniform(k, (50,))
        for k in (sample_keys(2, 2, index), sample_keys(1, 3, index), sample_keys(1, 2, index + 1))
    ]
    drawn.append(uniform(base_keys, (50,), "other"))
    for numbers in drawn:
        assert not torch.isclose(numbers, uniform(base_keys, (50,))).any()


def test_known_values_of_the_generator_do_not_change_with_machine_or_version():
    # by hand: lowbias32(0) = 0, lowbias32(1) = 1753845952 (published with the mixer)
    from facecomp_lib.utils.random import _mix

    assert _mix(torch.tensor([0, 1])).tolist() == [0, 1753845952]


def test_build_gives_the_same_weights_for_the_same_seed_whatever_was_drawn_before():
    first = build(seed=1)
    torch.rand(5)
    state = torch.get_rng_state()
    second, third = methods.build("dots", seed=1), methods.build("dots", seed=2)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first.painter.weight, second.painter.weight)
    assert not torch.equal(first.painter.weight, third.painter.weight)
    assert first.config == {"size": 16, "grey": 0.5} and list(first.networks) == ["painter", "discriminator"]


def test_the_last_definition_wins_but_an_import_does_not_displace_the_notebooks():
    old, new = define(), define()
    assert type(methods.build("dots")) is new and new is not old
    own = define(module="__main__")
    define(module="facecomp_lib.papers.dots")
    assert type(methods.build("dots")) is own
    assert type(methods.build("dots")) is not new
    edited = define(module="__main__")
    assert type(methods.build("dots")) is edited


def test_unknown_methods_and_options_name_what_there_is():
    define()
    with pytest.raises(ValueError, match="Unknown method 'dotty'.*dots"):
        methods.build("dotty")
    with pytest.raises(ValueError, match="no option width.*size, grey"):
        methods.build("dots", width=2)


@pytest.mark.parametrize("name", ["gfc", "collagan"])
@pytest.mark.parametrize(
    ("option", "value"),
    [("width", -1), ("width", 0), ("width", "a"), ("width", float("inf")), ("size", "big"), ("size", 64.5)],
)
def test_what_is_no_size_or_width_is_refused_by_every_method(name, option, value):
    with pytest.raises(ValueError, match=f"{option} must be a .*, not {value!r}"):
        methods.build(name, **{option: value})


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("lafin", {"attention": "false"}, "attention must be True or False, not 'false'"),
        ("lafin", {"attention": 0}, "attention must be True or False, not 0"),
        ("lafin", {"landmarks": None}, "landmarks must be True or False, not None"),
        ("lafin", {"landmark_width": True}, "landmark_width must be a whole number, not True"),
        ("lafin", {"predictor_width": 0}, "predictor_width must be a number above 0, not 0"),
        ("lafin", {"predictor_width": float("nan")}, "predictor_width must be a number or None, not nan"),
        ("lafin", {"perceptual": 16}, "perceptual must be a text or None, not 16"),
        ("gfc", {"norm": "no"}, "norm must be True or False, not 'no'"),
        ("gfc", {"fc_dim": 2.5}, "fc_dim must be a whole number or None, not 2.5"),
        ("gfc", {"fc_dim": -1}, "gfc cannot be built with these options .*-1"),
        ("gfc", {"fc_dim": 0}, "has no weights: choose larger ones"),
        ("collagan", {"width": 1e-9}, "has no weights: choose larger ones"),
        ("collagan", {"tasks": ["i"]}, "tasks must be a text, not list"),
        ("dots", {"grey": "0.5"}, "grey must be a number, not '0.5'"),
        ("dots", {"seed": -1}, "seed must be a whole number, 0 ..."),
        ("dots", {"seed": 1.5}, "seed must be a whole number, 0 ..."),
        (["dots"], {}, "Unknown method list: choose one of collagan, dots"),
    ],
)
@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_options_are_of_the_kind_that_the_class_says(name, options, sentence):
    define()
    with pytest.raises(ValueError, match=sentence):
        methods.build(name, **{"size": 64, **options})


@pytest.mark.parametrize("name", methods.NAMES)
def test_a_method_can_be_pickled_and_copied(name):
    method = methods.build(name, size=32, width=1 / 8).double()
    method.generator.eval()
    method.card = {"steps": 3}
    for other in (pickle.loads(pickle.dumps(method)), copy.deepcopy(method)):
        assert type(other) is type(method) and other.config == method.config and other.card == method.card
        assert [one.training for one in other.modules()] == [one.training for one in method.modules()]
        state, own = other.state_dict(), method.state_dict()
        assert all(
            torch.equal(value, own[key]) and value.dtype == own[key].dtype for key, value in state.items()
        )
        next(other.parameters()).data.zero_()
        assert next(method.parameters()).any()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"steps": 0}, "at least 1 step"),
        ({"optimizers": {}}, "an optimizer"),
        ({"masks": ("square",)}, "Unknown mask kind"),
        ({"ema": 1.0}, "ema"),
        ({"name": "a/b"}, "file names"),
        (
            {"optimizers": {"a": OptimizerConfig(("x",), {"t": 1}), "b": OptimizerConfig(("x",), {"u": 1})}},
            "two optimizers",
        ),
    ],
)
def test_impossible_stages_are_refused(change, sentence):
    good = {"name": "s", "steps": 1, "optimizers": {"a": OptimizerConfig(("x",), {"t": 1.0})}}
    with pytest.raises(ValueError, match=sentence):
        Stage(**{**good, **change})


@pytest.mark.parametrize(
    "change",
    [
        {"lr": 0},
        {"betas": (1.0, 0.9)},
        {"clip": 0},
        {"optimizer": "sgd"},
        {"losses": {}},
        {"networks": ()},
    ],
)
def test_impossible_optimizers_are_refused(change):
    with pytest.raises(ValueError):
        OptimizerConfig(**{"networks": ("x",), "losses": {"t": 1.0}, **change})


def test_losses_are_found_by_name():
    method = build()
    from facecomp_lib.faces import FaceBatch

    batch = TrainBatch(FaceBatch(torch.rand(2, 3, 16, 16)), torch.ones(2, 1, 16, 16), torch.arange(2))
    (stage,) = method.stages("lesson")
    assert loss_terms(stage) == {"paint"}
    outputs = method.forward_train(batch, stage)
    assert set(method.losses(batch, outputs, ["paint"])) == {"paint"}
    with pytest.raises(ValueError, match="no loss 'pain'; it has paint"):
        method.losses(batch, outputs, ["pain"])


def test_completing_runs_in_eval_mode_without_gradients_and_leaves_the_modes_as_they_were():
    method = build().train()
    method.discriminator.eval()
    image, mask = torch.rand(2, 3, 16, 16), masks.make("center", 16)
    out = method.complete(image, mask)
    assert not method.was_training and not out.raw.requires_grad
    assert method.training and method.painter.training and not method.discriminator.training


def test_evaluating_ends_with_every_module_in_the_mode_it_was_in_even_after_an_error():
    method = build().train()
    method.discriminator.eval()
    modes = [module.training for module in method.modules()]
    with method.evaluating():
        assert not any(module.training for module in method.modules())
        assert torch.is_grad_enabled()  # a mode of the modules, and nothing else
        with method.evaluating():
            pass
        assert not any(module.training for module in method.modules())
    assert [module.training for module in method.modules()] == modes
    with pytest.raises(RuntimeError, match="boom"), method.evaluating():
        method.train()  # whatever happens in between
        raise RuntimeError("boom")
    assert [module.training for module in method.modules()] == modes


def test_known_pixels_survive_and_hidden_ones_are_not_looked_at():
    method = build()
    image, mask = torch.rand(2, 3, 16, 16), masks.make("center", 16)
    out = method.complete(image, mask)
    known = mask.bool().expand_as(image)
    assert torch.equal(out.composite[known], image[known])
    assert (method.saw[~known] == 0).all()
    poisoned = torch.where(mask > 0.5, image, torch.nan)
    assert torch.equal(method.complete(poisoned, mask).composite, out.composite)
    assert torch.equal(method.complete(image, torch.ones_like(mask)).composite, image)


def test_a_face_is_completed_alike_in_any_company_and_other_seeds_differ():
    method = build()
    image, mask = torch.rand(3, 3, 16, 16), masks.make("center", 16)
    together = method.complete(image, mask, seed=5).composite
    assert torch.equal(method.complete(image[1:2], mask, seed=5).composite[0], together[1])
    assert not torch.equal(method.complete(image, mask, seed=6).composite, together)


@pytest.mark.parametrize(
    ("image", "mask", "sentence"),
    [
        (torch.rand(1, 3, 8, 8), torch.ones(1, 1, 8, 8), "16 x 16 px, not 8 x 8"),
        (torch.rand(1, 3, 16, 16), torch.zeros(1, 1, 16, 16), "100 % hole"),
        (torch.rand(1, 1, 16, 16), torch.ones(1, 1, 16, 16), "grey"),
        (torch.rand(1, 3, 16, 16), torch.ones(1, 1, 8, 16), "shape"),
        (255 * torch.rand(1, 3, 16, 16), torch.ones(1, 1, 16, 16), "rescale"),
    ],
)
def test_what_cannot_be_completed_is_refused(image, mask, sentence):
    with pytest.raises(ValueError, match=sentence):
        build().complete(image, mask)


def test_a_checkpoint_comes_back_with_its_card(tmp_path):
    method = build(grey=0.25)
    method.discriminator.running_mean.fill_(2.0)
    path = methods.save(method, tmp_path / "dots-16", ["painter"], data="made up", steps=3)
    again = methods.load(path)
    assert again.config == method.config and not again.training
    assert torch.equal(again.painter.weight, method.painter.weight.half().float())
    assert again.discriminator.running_mean.eq(0).all()  # stayed at home
    assert again.card["data"] == "made up" and again.card["steps"] == 3
    before = path.read_bytes()
    methods.save(method, path, ["painter"], data="made up", steps=3)
    assert path.read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["dots-16.json", "dots-16.safetensors"]


def test_damaged_foreign_and_mismatched_checkpoints_are_refused(tmp_path):
    path = methods.save(build(), tmp_path / "dots-16", ["painter"])
    card = path.with_suffix(".json")
    good_weights, good_card = path.read_bytes(), card.read_text()

    path.write_bytes(good_weights[:-5])
    with pytest.raises(ValueError, match="damaged"):
        methods.load(path)
    path.write_bytes(good_weights)
    card.write_text("{}")
    with pytest.raises(ValueError, match="not a checkpoint's card"):
        methods.load(path)
    card.write_text(json.dumps({**json.loads(good_card), "networks": ["painter", "discriminator"]}))
    with pytest.raises(ValueError, match="does not fit.*discriminator"):
        methods.load(path)
    card.write_text(json.dumps({**json.loads(good_card), "config": {"size": 16, "gone": True}}))
    with pytest.raises(ValueError, match="does not fit.*no option gone.*train it again"):
        methods.load(path)
    card.unlink()
    with pytest.raises(FileNotFoundError, match="card"):
        methods.load(path)


@pytest.mark.parametrize("content", ["[]", "null", "[1", "", '{"method": "dots"', "[" * 100_000])
def test_a_card_that_is_no_json_object_is_refused(tmp_path, content):
    path = methods.save(build(), tmp_path / "dots-16", ["painter"])
    path.with_suffix(".json").write_text(content)
    with pytest.raises(
        ValueError, match="dots-16.json is (damaged|not a checkpoint's card).*: fetch it again"
    ):
        methods.load(path)


@pytest.mark.parametrize(
    "change",
    [
        {"method": None}, {"method": []}, {"method": "dotty"}, {"config": []}, {"config": None},
        {"config": {"size": "16"}}, {"config": {"size": [16]}}, {"config": {"size": 16, "grey": {}}},
        {"networks": None}, {"networks": "painter"}, {"networks": [None]}, {"networks": [{}]}, {"sha256": 3},
    ],
)  # fmt: skip
def test_a_card_with_odd_entries_is_refused_by_its_name(tmp_path, change):
    path = methods.save(build(), tmp_path / "dots-16", ["painter"])
    card = path.with_suffix(".json")
    card.write_text(json.dumps({**json.loads(card.read_text()), **change}))
    with pytest.raises(ValueError, match="dots-16.*(again|card)"):
        methods.load(path)


def rewrite(path, weights):
    """Other weights, or bytes, under the same name, and a card that knows them."""
    path.write_bytes(weights if isinstance(weights, bytes) else safetensors.torch.save(weights))
    card = path.with_suffix(".json")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    card.write_text(json.dumps({**json.loads(card.read_text()), "sha256": digest}))


def test_weights_that_are_no_numbers_are_found_before_they_are_used(tmp_path):
    path = methods.save(build(), tmp_path / "dots-16", ["painter"])
    weights = safetensors.torch.load(path.read_bytes())
    rewrite(path, {**weights, "painter.bias": torch.tensor([1.0, torch.nan, 0])})
    with pytest.raises(ValueError, match="dots-16.safetensors is damaged .*painter.bias holds NaN"):
        methods.load(path)
    rewrite(path, {**weights, "painter.bias": torch.tensor([1, 2, 3])})
    with pytest.raises(ValueError, match="does not fit.*painter.bias"):
        methods.load(path)
    rewrite(path, b"\xff" * 100)
    with pytest.raises(ValueError, match="dots-16.safetensors is damaged"):
        methods.load(path)


@pytest.mark.parametrize("of_a_run", [False, True])
def test_a_damaged_checkpoint_loads_as_it_was_or_is_refused_by_its_name(tmp_path, of_a_run):
    """200 random changes of each file: bytes replaced, dropped, put in."""
    if of_a_run:
        place = a_run(tmp_path / "run", "first", "second")
        files = [place / "config.json", place / "weights-second.safetensors"]
    else:
        place = methods.save(build(), tmp_path / "dots-16", ["painter"], steps=3)
        files = [place, place.with_suffix(".json")]
    random = np.random.default_rng(0)
    for file in files:
        whole = file.read_bytes()
        for _ in range(200):
            file.write_bytes(mutated(whole, random))
            try:
                assert methods.load(place).name == "dots"
            except (ValueError, OSError) as error:
                assert place.stem in str(error) and len(str(error)) < 600 and "\n" not in str(error)
        file.write_bytes(whole)


def a_run(folder, *finished, stages=("first", "second")):
    """What fit leaves: a config, and the weights after the finished stages."""
    folder.mkdir()
    names = [{"name": stage} for stage in stages]
    config = {"method": "dots", "config": {"size": 16, "grey": 0.5}, "stages": names}
    (folder / "config.json").write_text(json.dumps(config))
    for number, stage in enumerate(finished):
        weights = {key: torch.full_like(v, number) for key, v in build().state_dict().items()}
        safetensors.torch.save_file(weights, folder / f"weights-{stage}.safetensors")
    return folder


def test_of_a_run_the_last_finished_stage_counts_in_the_order_of_its_stages(tmp_path):
    assert methods.load(a_run(tmp_path / "one", "first")).painter.weight.eq(0).all()
    both = a_run(tmp_path / "both", "first", "second")
    assert methods.load(both).painter.weight.eq(1).all()
    assert methods.load(both / "weights-first.safetensors").painter.weight.eq(0).all()
    swapped = a_run(tmp_path / "swapped", "a", "b", stages=("b", "a"))
    assert methods.load(swapped).painter.weight.eq(0).all()


def test_what_is_no_checkpoint_and_no_run_is_refused_in_a_sentence(tmp_path):
    define()
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="empty is no run: .* has a config.json"):
        methods.load(tmp_path / "empty")
    with pytest.raises(FileNotFoundError, match="nowhere.safetensors is missing"):
        methods.load(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="finished no stage yet"):
        methods.load(a_run(tmp_path / "young"))
    run = a_run(tmp_path / "run", "first")
    (run / "weights-first.safetensors").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="weights-first.safetensors is damaged"):
        methods.load(run)
    (run / "config.json").write_text("{")
    with pytest.raises(ValueError, match="config.json is damaged"):
        methods.load(run)
    (run / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="config.json is not the config of a run"):
        methods.load(run)


def test_photographs_and_checkpoints_agree_on_the_size():
    sizes = [
        inspect.signature(function).parameters["size"].default
        for function in (methods.pretrained, faces.from_photo, faces.astronaut, masks.make)
    ]
    assert len(set(sizes)) == 1 and all(methods.pretrained(name).size == sizes[0] for name in methods.NAMES)


def test_pretrained_reads_a_checkpoint_of_ones_own_by_its_path(tmp_path):
    path = methods.save(build(grey=0.75), tmp_path / "mine")
    assert (
        methods.pretrained(path).config == methods.pretrained(str(path)).config == {"size": 16, "grey": 0.75}
    )
    with pytest.raises(FileNotFoundError, match="other.safetensors is missing"):
        methods.pretrained(tmp_path / "other.safetensors")


@pytest.mark.parametrize(
    ("card", "sentence"),
    [
        ({"sha256": "0"}, "The card says by itself what sha256 is"),
        ({"config": {}}, "The card says by itself what config is"),
        ({"score": torch.ones(1)}, "must hold plain numbers and texts"),
    ],
)
def test_a_card_that_could_not_be_read_back_is_not_written(tmp_path, card, sentence):
    with pytest.raises(ValueError, match=sentence):
        methods.save(build(), tmp_path / "x", **card)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e6])
def test_weights_that_could_not_be_read_back_are_not_written(tmp_path, value):
    method = build()
    nn.init.constant_(method.painter.weight, value)
    with pytest.raises(ValueError, match="painter.weight holds a weight that is not finite or too large"):
        methods.save(method, tmp_path / "x")
    assert not list(tmp_path.iterdir())


def test_only_existing_networks_are_saved(tmp_path):
    with pytest.raises(ValueError, match=r"no network \['brush'\]; it has painter, discriminator"):
        methods.save(build(), tmp_path / "x", ["brush"])
    assert not list(tmp_path.iterdir())


def test_a_missing_checkpoint_says_which_there_are(monkeypatch, tmp_path):
    define()
    monkeypatch.setattr(checkpoints, "FOLDER", tmp_path)
    with pytest.raises(FileNotFoundError, match="dots-wide-64.*none yet"):
        methods.pretrained("dots", "wide", 64)
    methods.save(methods.build("dots"), tmp_path / "dots-16", ["painter"])
    assert methods.pretrained("dots", size=16).card["method"] == "dots"


# --------------------------------------------------------------------------------------------- stages by name


def test_stages_by_name_take_their_options_and_what_the_method_is_built_with():
    method = methods.build("collagan", size=32, width=0.125, tasks="is", regime="noise")
    (stage,) = method.make_stages("joint", steps=3, lr=0.01)
    assert (stage.steps, stage.masks) == (3, ("noise",)) and "labels" in stage.optimizers["generator"].losses
    (alone,) = method.make_stages("joint", steps=3, adversarial=False)
    assert {name: set(optimizer.losses) for name, optimizer in alone.optimizers.items()} == {
        "generator": {"image", "labels"}
    }
    gfc = methods.build("gfc", size=32, width=0.125)
    assert [stage.steps for stage in gfc.make_stages("curriculum", steps=(1, 2, 3))] == [1, 2, 3]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("nothing", {}, "no stage 'nothing': choose one of joint"),
        ("joint", {"speed": 1}, "no option speed; it has tasks, steps"),
        ("joint", {}, "needs steps"),
    ],
)
def test_a_stage_that_cannot_be_built_says_why(name, options, message):
    with pytest.raises(ValueError, match=message):
        methods.build("collagan", size=32, width=0.125).make_stages(name, **options)
