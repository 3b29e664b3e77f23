"""A lesson that trains, run as a cluster runs it: papermill with other parameters, cards collected."""

import json

import facecomp_lib as fc
from tools import train
from tools.notebooks import find_one


def test_the_gfc_lesson_trains_under_papermill_with_the_given_parameters(tmp_path, monkeypatch):
    monkeypatch.delenv("FACECOMP_PRESET", raising=False)
    given = {"preset": "smoke", "model": "M2", "seed": 5, "steps": [2, 3, 2, 2]}
    outcome = train.run(find_one("gfc"), tmp_path, given)
    assert outcome.error is None
    card = json.loads((tmp_path / "run" / "card.json").read_text())
    assert card["seed"] == 5 and card["steps"] == 9
    assert card["finished"] == ["parsing", "reconstruct", "locally", "globally"]
    assert list(card["stages"][-1]["optimizers"]["generator"]["losses"]) == ["reconstruction", "local"]
    (row,) = fc.training.collect(tmp_path).rows
    assert row["model"] == "M2" and row["seed"] == 5
    assert (tmp_path / "03_gfc.html").exists()


def test_the_collagan_lesson_trains_under_papermill_with_the_given_parameters(tmp_path, monkeypatch):
    monkeypatch.delenv("FACECOMP_PRESET", raising=False)
    given = {
        "preset": "smoke",
        "tasks": "is",
        "concentrated": False,
        "regime": "noise",
        "seed": 5,
        "steps": 3,
    }
    outcome = train.run(find_one("collagan"), tmp_path, given)
    assert outcome.error is None
    card = json.loads((tmp_path / "run" / "card.json").read_text())
    assert card["seed"] == 5 and card["steps"] == 3 and card["finished"] == ["joint"]
    (stage,) = card["stages"]
    assert list(stage["optimizers"]) == ["image_discriminator", "labels_discriminator", "generator"]
    assert stage["optimizers"]["generator"]["losses"] == {
        "image": 100,
        "adversarial_image": 0.8,
        "labels": 200,
        "adversarial_labels": 0.2,
    }
    assert stage["masks"] == ["noise"] and card["config"]["concentrated"] is False
    (row,) = fc.training.collect(tmp_path).rows
    assert row["tasks"] == "is" and row["seed"] == 5
    assert (tmp_path / "04_collagan.html").exists()
