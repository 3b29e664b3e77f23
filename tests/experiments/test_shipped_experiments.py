"""Every experiment of the repository can be run as its file says: what it names exists."""

from pathlib import Path

import pytest

from facecomp_lib import methods
from facecomp_lib.experiments import make_stages, names, read_experiment

ROOT = Path(__file__).parents[2]
NAMES = list(names())


def test_every_paper_that_a_lesson_builds_has_experiments():
    assert {
        f"{method}/{name}" for method in methods.NAMES for name in ("ablation", "checkpoint", "photos")
    } <= {*NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_an_experiments_file_is_valid_and_says_what_it_is(name):
    experiment = read_experiment(name)
    assert experiment.about and not experiment.about.endswith(".")


def test_the_file_that_the_documentation_explains_is_valid(tmp_path):
    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    (tmp_path / "paper").mkdir()
    explained = "about:" + text.partition("```yaml\nabout:")[2].partition("```")[0]
    (tmp_path / "paper" / "name.yaml").write_text(explained, encoding="utf-8")
    experiment = read_experiment("paper/name", root=tmp_path)
    assert set(experiment.model_fields_set) >= set(type(experiment).model_fields) - {"edition", "name"}


def steps_of_a_generator(plan):
    method = methods.build(plan.method, **plan.options)
    stages = make_stages(method, plan.stages)
    return sum(stage.steps for stage in stages), {(stage.masks, stage.augment) for stage in stages}


@pytest.mark.parametrize("name", ["gfc/ablation", "lafin/ablation"])
def test_an_ablations_variants_take_as_many_steps_and_see_the_same_faces_and_masks(name):
    plans = read_experiment(name).plans.values()
    (first, *others) = [steps_of_a_generator(plan) for plan in plans]
    assert all(other == first for other in others)


def test_collagans_variants_take_as_many_steps_of_the_same_faces():
    plans = read_experiment("collagan/ablation").plans
    seen = {name: steps_of_a_generator(plan) for name, plan in plans.items() if plan.seeds == (0, 1, 2)}
    assert len(seen) == 8 and all(steps == 3000 and len(kinds) == 1 for steps, kinds in seen.values())
    assert len(set().union(*(kinds for _, kinds in seen.values()))) == 1


def test_each_of_gfcs_models_adds_a_loss():
    plans = read_experiment("gfc/ablation").plans
    losses = []
    for plan in plans.values():
        last = make_stages(methods.build("gfc", **plan.options), plan.stages)[-1]
        losses.append(set(list(last.optimizers.values())[-1].losses))
    assert [len(terms) for terms in losses] == [1, 2, 3, 4]
    assert all(fewer < more for fewer, more in zip(losses, losses[1:], strict=False))


def test_detectors_see_as_many_images_with_completed_faces_as_without():
    images = set()
    for name, plan in read_experiment("lafin/detector").plans.items():
        for stage in make_stages(methods.build("lafin", **plan.options), plan.stages):
            images.add((stage.name, stage.steps * stage.batch_size * (2 if "augmented" in name else 1)))
    assert len(images) == 2
