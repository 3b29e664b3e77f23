"""An experiment's file is read as it stands; a mistake in it is one sentence with file and key."""

import os

import pytest
import tiny_experiment

from facecomp_lib.experiments import names, read_experiment
from facecomp_lib.experiments.config import make_stages
from facecomp_lib.methods import build
from facecomp_lib.utils.yaml_files import read_yaml

EVALUATE = {"masks": ["center"], "metrics": ["psnr"]}
SHEET = {"faces": [0], "mask": "center"}


def test_a_variant_differs_in_what_it_names_and_in_nothing_else(tmp_path):
    experiment = tiny_experiment.read(tmp_path)
    plain, wide = experiment.plan("plain"), experiment.plan("wide")
    assert wide.options == {"width": 6} and plain.options == {}
    assert wide.model_copy(update={"options": {}}) == plain


def test_options_of_a_variants_stages_go_into_every_stage(tmp_path):
    stages = [{"stage": "paint", "steps": 1}, {"stage": "paint", "name": "more", "steps": 2}]
    experiment = tiny_experiment.read(tmp_path, stages=stages, variants={"slow": {"stages": {"lr": 1e-4}}})
    plan = experiment.plan("slow").stages
    assert [stage["lr"] for stage in plan] == [1e-4, 1e-4] and [stage["steps"] for stage in plan] == [1, 2]


def test_a_variant_of_another_method_starts_without_the_experiments_options_and_stages(tmp_path):
    other = {"method": "tiny", "options": {"size": 16}}
    experiment = tiny_experiment.read(tmp_path, options={"width": 5}, variants={"other": other})
    plan = experiment.plan("other")
    assert plan.options == {"size": 16} and plan.stages == () and plan.seeds == (0, 1)


def test_a_stage_takes_its_builders_options_and_any_field_of_a_stage():
    entry = {
        "stage": "paint",
        "steps": 3,
        "lr": 0.5,
        "name": "first",
        "masks": ["noise"],
        "augment": {"flip": 0},
    }
    (stage,) = make_stages(build("sketch"), [entry])
    assert (stage.name, stage.steps, stage.masks, stage.augment.flip) == ("first", 3, ("noise",), 0)
    assert [optimizer.lr for optimizer in stage.optimizers.values()] == [0.5]


def test_values_can_be_set_from_outside(tmp_path):
    sets = ["seeds=[7]", "stages.0.steps=9", "variants.wide.options.width=8", "evaluate.limit=1"]
    experiment = tiny_experiment.read(tmp_path, *sets)
    assert experiment.seeds == (7,) and experiment.evaluate.limit == 1
    assert experiment.plan("wide").options == {"width": 8} and experiment.plan("wide").stages[0]["steps"] == 9


def test_another_training_has_another_edition_and_another_evaluation_has_not(tmp_path):
    same = tiny_experiment.read(tmp_path, "seeds=[3]", "evaluate.limit=2")
    longer = tiny_experiment.read(tmp_path, "stages.0.steps=5")
    longest = tiny_experiment.read(tmp_path, "stages.0.steps=6")
    assert same.edition == "" and len({longer.edition, longest.edition, ""}) == 3


def test_numbers_may_be_written_as_1e_minus_3(tmp_path):
    assert tiny_experiment.read(tmp_path, "stages.0.lr=1e-3").stages[0]["lr"] == 0.001


def test_experiments_are_listed_with_their_sentence(tmp_path):
    root = tiny_experiment.write(tmp_path)
    (root / "tiny" / "published.yaml").write_text("tables: {}")
    assert names(root) == {"tiny/first": "a test"}
    with pytest.raises(FileNotFoundError, match=r"no experiment 'tiny/second'; there are tiny/first\."):
        read_experiment("tiny/second", root=root)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"step": 3}, r"unknown key 'step', choose from method, options"),
        ({"evaluate": EVALUATE | {"mask": "x"}}, r"evaluate: unknown key 'mask', choose from masks, metrics"),
        ({"evaluate": {"masks": ["center"]}}, r"evaluate\.metrics: Field required"),
        ({"evaluate": EVALUATE | {"masks": []}}, r"evaluate\.masks: .*at least 1 item"),
        ({"evaluate": EVALUATE | {"masks": ["centre"]}}, r"unknown 'centre', choose from center, "),
        ({"evaluate": EVALUATE | {"metrics": ["psnrr"]}}, r"metrics: unknown 'psnrr', choose from psnr"),
        ({"evaluate": EVALUATE | {"baselines": ["median"]}}, r"evaluate\.baselines: unknown 'median'"),
        ({"evaluate": EVALUATE | {"also": {"x": {"blend": 1}}}}, r"evaluate\.also\.x: unknown key 'blend'"),
        ({"evaluate": EVALUATE | {"also": {"wide": {}}}}, r"two completions have one name among plain, wide"),
        ({"seeds": []}, r"seeds: .*at least 1 item"),
        ({"seeds": [-1]}, r"seeds\.0: .*greater than or equal to 0, not -1"),
        ({"method": "sketsch"}, r"[Uu]nknown method 'sketsch'"),
        ({"method": None, "evaluate": EVALUATE}, r"without a method there must be evaluate\.baselines"),
        ({"options": {"widht": 3}}, r"no option widht; it has size, width"),
        ({"stages": [{"steps": 3}]}, r"stages: each needs the key 'stage', one of paint, contest"),
        ({"stages": [{"stage": "point", "steps": 3}]}, r"no stage 'point': choose one of paint, contest"),
        ({"stages": [{"stage": "paint", "step": 3}]}, r"Stage 'paint' of sketch has no option step"),
        ({"stages": [{"stage": "paint"}]}, r"Stage 'paint' of sketch needs steps"),
        ({"stages": [{"stage": "paint", "steps": 0}]}, r"needs at least 1 step"),
        ({"stages": 2 * [{"stage": "paint", "steps": 3}]}, r"two are called 'paint'"),
        ({"shared": {"a": {"networks": ["paintr"], "stages": [{"stage": "paint", "steps": 1}]}}},
         r"shared\.a\.networks: unknown 'paintr', choose from painter, discriminator"),
        ({"init": {"paintr": "runs"}}, r"init: unknown 'paintr', choose from painter, discriminator"),
        ({"data": {"train": {"source": "x", "subset": 0}}}, r"data\.train\.subset: .*greater than 0, not 0"),
        ({"data": {"train": {"split": "tests"}}}, r"data\.train\.split: .*'train', 'val', 'test' or 'all'"),
        ({"data": {"train": {"augment": {"flipp": 1}}}}, r"augment takes flip, shift"),
        ({"samples": [SHEET | {"columns": ["wid"]}]}, r"unknown 'wid', choose from input, target, plain"),
        ({"samples": [SHEET | {"data": "other"}]}, r"samples\.data: unknown 'other', choose from tiny, each"),
        ({"export": [{"variant": "x", "name": "y", "networks": ["a"]}]}, r"export\.variant: unknown 'x'"),
        ({"variants": {"plain": {"optoins": {}}}}, r"variant 'plain': unknown key 'optoins'"),
        ({"variants": {1: {}, "a": {}}}, "'<' not supported"),
        ({"seeds": 5000 * "x"}, r"seeds: .*tuple, not 'x{80}'"),
        ({"seeds": {"a": list(range(9000))}}, r"seeds: .*tuple, not dict"),
        ({5000 * "x": 1}, r"unknown key 'x{80}', choose from"),
        ({"evaluate": EVALUATE | {"masks": [5000 * "x"]}}, r"unknown 'x{80}', choose from center"),
        ({"stages": [{"stage": "paint", "steps": {}}]}, "Stage 'paint' needs at least 1 step"),
        ({"stages": [{"stage": [], "steps": 3}]}, "each needs the key 'stage'"),
        ({"stages": [{"stage": "paint", "steps": 3, "augment": {"flipp": 1}}]}, "stage .*'flipp'"),
        ({"stages": [{"stage": "paint", "steps": 3, "masks": 5}]}, "stage 'paint': .*iterable"),
        ({"options": {"width": "6"}}, "width must be"),
    ],
)  # fmt: skip
def test_a_mistake_is_a_sentence_that_names_file_and_key(tmp_path, changes, sentence):
    with pytest.raises(ValueError, match=sentence) as refused:
        tiny_experiment.read(tmp_path, **changes)
    said = str(refused.value)
    assert said.startswith("tiny/first.yaml") and said.endswith(".") and "\n" not in said and len(said) < 800


@pytest.mark.parametrize("change", ["seeds", "=3", "stages.5.steps=1", "about.x=1", "seeds=[1"])
def test_a_change_that_cannot_be_carried_out_is_refused(tmp_path, change):
    with pytest.raises(ValueError, match="--set"):
        tiny_experiment.read(tmp_path, change)


def test_a_file_that_is_no_yaml_is_named(tmp_path):
    root = tiny_experiment.write(tmp_path)
    (root / "tiny" / "first.yaml").write_text("seeds: [0")
    with pytest.raises(ValueError, match=r"first\.yaml, line 1: expected ',' or '\]'"):
        read_experiment("tiny/first", root=root)


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(10 * [f'*{before}'])}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (BOMB, "line 5: its aliases .* stand for more than 100,000 values"),
        ("a: &a [*a]", "line 1: its aliases"),
        ("a: " + 5000 * "[", "nested too deeply"),
        ("a: " + 5000 * "9", "is no YAML: Exceeds the limit"),
        ("a: 2020-01-99", "is no YAML: day is out of range"),
        ("a: 1\na: 2", "line 2: 'a' occurs twice"),
        ("? [a]\n: 1", "a key must be plain"),
        ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("a: '" + 1_100_000 * "x" + "'", "larger than 1 MB"),
        ("- 1", "must hold keys and values, not list"),
        ("", "must hold keys and values, not NoneType"),
    ],
)
def test_a_text_that_is_too_much_is_refused_in_one_short_sentence(tmp_path, text, sentence):
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "first.yaml").write_text(text)
    with pytest.raises(ValueError, match=f"first.yaml.*{sentence}") as refused:
        read_experiment("tiny/first", root=tmp_path)
    said = str(refused.value)
    assert said.endswith(".") and len(said) < 400 and "\n" not in said


@pytest.mark.skipif(os.name != "posix", reason="devices are POSIX's")
def test_a_file_without_end_is_not_read(tmp_path):
    root = tiny_experiment.write(tmp_path)
    (root / "tiny" / "zero.yaml").symlink_to("/dev/zero")
    with pytest.raises(FileNotFoundError, match="no experiment 'tiny/zero'"):
        read_experiment("tiny/zero", root=root)
    with pytest.raises(ValueError, match="a folder or a device"):
        read_yaml(root / "tiny" / "zero.yaml")
