"""A lesson that trains, run as a cluster runs it: papermill with other parameters, cards collected.

Each runs without weights of others and without a network, as the README promises.
"""

import json

import nbformat
import pytest

import facecomp_lib as fc
from tools import train
from tools.notebooks import find_one


@pytest.fixture(autouse=True)
def no_weights(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("FACECOMP_CACHE", str(tmp_path_factory.mktemp("empty")))
    monkeypatch.setenv("FACECOMP_OFFLINE", "1")


def printed(notebook):
    """What an executed notebook's cells printed."""
    cells = nbformat.read(notebook, as_version=4).cells
    return "".join(out.get("text", "") for cell in cells for out in cell.get("outputs", []))


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
    assert "[--] recognition is left out: dlib's weights" in printed(tmp_path / "03_gfc.ipynb")


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


@pytest.mark.parametrize(
    ("lesson", "sentences"),
    [
        (
            "02",
            [
                "[--] LPIPS is left out here and below: its weights come with python3 course.py setup",
                "[--] KID on faces is left out: the weights come with python3 course.py setup",
                "[--] recognition is left out: dlib's weights come with python3 course.py setup",
            ],
        ),
        (
            "05",
            [
                "perceptual network: none here: both losses are left out",
                "[--] LPIPS is left out: its weights come with python3 course.py setup",
            ],
        ),
    ],
)
def test_what_needs_weights_that_are_not_here_is_left_out_and_said(tmp_path, monkeypatch, lesson, sentences):
    monkeypatch.delenv("FACECOMP_PRESET", raising=False)
    notebook = find_one(lesson)
    assert train.run(notebook, tmp_path, {"preset": "smoke"}).error is None
    said = printed(tmp_path / notebook.name)
    assert not [sentence for sentence in sentences if sentence not in said]
