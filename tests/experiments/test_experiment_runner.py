"""An experiment runs to the same scores however it is interrupted or spread, and says how they came about."""

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import tiny_experiment
import tiny_faces
import torch
from PIL import Image

import facecomp_lib as fc
from facecomp_lib import experiments
from facecomp_lib.experiments import completions
from tools import experiment as command
from tools.notebooks import Trouble

EVALUATE = {"masks": ["center"], "metrics": ["psnr", "l1_hole"], "limit": 3}


def scores(folder, name="first"):
    return (folder / "tiny" / "results" / f"{name}.csv.gz").read_bytes()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The tiny experiment, run once: (experiment, folder of runs, results)."""
    folder = tmp_path_factory.mktemp("finished")
    experiment = tiny_experiment.read(
        folder,
        samples=[{"faces": [0, 2], "mask": "center"}],
        curves={"terms": ["painter.reconstruction"], "window": 3},
        export=[{"variant": "wide", "name": "sketch-wide", "networks": ["painter"]}],
    )
    return experiment, folder / "runs", experiments.run(experiment, threads=1, out=folder / "runs")


def test_every_variant_seed_face_and_metric_has_a_score(finished):
    experiment, out, results = finished
    table = results.scores
    counts = table.groupby(["variant", "seed", "metric"]).size().to_dict()
    assert counts == {
        (variant, seed, metric): 3
        for variant in ("plain", "wide", "mean") for seed in (0, 1) for metric in ("psnr", "l1_hole")
    }  # fmt: skip
    assert set(table["dataset"]) == {"tiny"} and set(table["mask"]) == {"center"}
    loaded = experiments.load("tiny/first", out).scores
    merged = loaded.merge(table, on=["variant", "seed", "index", "identity", "metric"])
    assert len(merged) == len(table) and np.allclose(merged.value_x, merged.value_y, rtol=1e-3)


def test_a_score_is_that_of_the_trained_method_on_that_face(finished):
    experiment, out, results = finished
    weights = out / "tiny" / "first" / "wide-seed1" / "weights-paint.safetensors"
    method = fc.methods.load(weights)
    row = results.scores.query("variant == 'wide' and seed == 1 and metric == 'psnr'").iloc[0]
    face = fc.faces.folder(experiment.data.test["tiny"].source, "test", 16)[int(row["index"])]
    mask = fc.masks.make("center", 16)
    psnr = fc.evaluation.score(method.complete(face.image, mask).composite, face.image, mask, "psnr")["psnr"]
    assert row["value"] == pytest.approx(float(psnr)) and row["identity"] == int(face.identity)


def test_baselines_stand_under_every_seed_with_the_same_scores(finished):
    mean = (
        finished[2]
        .scores.query("variant == 'mean' and metric == 'psnr'")
        .pivot(index="index", columns="seed", values="value")
    )
    assert list(mean.columns) == [0, 1] and mean[0].equals(mean[1].rename(0))


def test_the_card_says_what_ran_for_how_long_and_names_no_folder(finished):
    experiment, out, results = finished
    card = json.loads((out / "tiny" / "results" / "first.json").read_text())
    assert card == results.card and card["experiment"] == "tiny/first"
    assert [(run["variant"], run["seed"]) for run in card["runs"]] == [
        ("plain", 0), ("wide", 0), ("plain", 1), ("wide", 1)
    ]  # fmt: skip
    assert all(run["samples"] == 16 and 0 <= run["seconds"] < 60 for run in card["runs"])
    assert card["test"]["tiny"]["measured"] == 3 and card["test"]["tiny"]["faces"] == 6
    assert card["config"]["data"]["train"]["source"] == "faces"
    assert str(out.parent) not in json.dumps(card) and os.uname().nodename not in json.dumps(card)


def test_curves_are_means_over_windows_of_the_log(finished):
    experiment, out, results = finished
    log = pd.read_csv(out / "tiny" / "first" / "plain-seed0" / "log.csv")["painter.reconstruction"]
    (curve,) = results.card["runs"][0]["curves"].values()
    assert curve == pytest.approx([log[:3].mean(), log[3:].mean()], rel=1e-3)


def test_a_figure_has_a_row_per_face_and_a_column_per_completion(finished):
    experiment, out, results = finished
    columns = results.card["figures"]["first.webp"]
    assert columns == ["input", "plain", "wide", "target"]
    with Image.open(out / "tiny" / "results" / "first.webp") as image:
        assert image.size == (4 * 16, 2 * 16)


def test_a_checkpoint_is_the_first_seeds_and_its_card_has_the_means(finished):
    experiment, out, results = finished
    method = fc.methods.load(out / "tiny" / "results" / "sketch-wide.safetensors")
    wide = results.scores.query("variant == 'wide' and metric == 'psnr'")["value"]
    assert method.config["width"] == 6 and method.card["seed"] == 0
    assert method.card["metrics"]["tiny"]["center"]["psnr"]["wide"] == pytest.approx(wide.mean(), abs=1e-3)


def test_what_is_finished_is_not_done_again(finished):
    experiment, out, _ = finished
    files = [*out.rglob("card.json"), *out.rglob("scores-*")]
    before = {path: path.stat().st_mtime_ns for path in files}
    kept = scores(out)
    experiments.run(experiment, threads=1, out=out)
    assert len(before) == 9 and {path: path.stat().st_mtime_ns for path in files} == before
    assert scores(out) == kept


def test_other_metrics_need_no_other_training(finished):
    experiment, out, _ = finished
    before = {path: path.stat().st_mtime_ns for path in out.rglob("card.json")}
    other = experiment.model_copy(
        update={"evaluate": experiment.evaluate.model_copy(update={"metrics": ("l1",)}), "export": ()}
    )
    table = experiments.run(other, threads=1, out=out).scores
    experiments.run(experiment, threads=1, out=out)
    assert set(table["metric"]) == {"l1"}
    assert {path: path.stat().st_mtime_ns for path in out.rglob("card.json")} == before


KILLED = """
import os, sys
import tiny_experiment
from pathlib import Path
from facecomp_lib import experiments
from facecomp_lib.experiments import completions
from facecomp_lib.experiments import jobs

folder = Path(sys.argv[1])
done = []
train = jobs.training.fit

def fit(*arguments, **options):
    done.append(train(*arguments, **options))
    if len(done) == 2:
        os._exit(9)  # no clean-up of any kind, as when a process is killed
    return done[-1]

jobs.training.fit = fit
experiments.run(tiny_experiment.read(folder), threads=1, out=folder / "runs")
"""


def test_a_run_that_was_killed_goes_on_and_ends_with_the_same_scores(finished, tmp_path):
    tests = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    paths = os.pathsep.join(
        [os.path.dirname(tests), os.path.join(tests, "helpers"), os.path.join(tests, "experiments")]
    )
    environment = {**os.environ, "PYTHONPATH": paths}
    ended = subprocess.run([sys.executable, "-c", KILLED, tmp_path], env=environment, capture_output=True)
    assert ended.returncode == 9, ended.stderr.decode()
    runs = tmp_path / "runs" / "tiny" / "first"
    first = runs / "plain-seed0" / "card.json"
    before = first.stat().st_mtime_ns
    assert len(list(runs.glob("*/scores-*"))) == 1 and not (runs.parent / "results").exists()
    experiments.run(tiny_experiment.read(tmp_path), threads=1, out=tmp_path / "runs")
    assert scores(tmp_path / "runs") == scores(finished[1]) and first.stat().st_mtime_ns == before


def test_several_processes_find_what_one_finds(tmp_path):
    """With a method of a lesson: other processes know no method that a test defines."""
    changes = {
        "method": "collagan",
        "options": {"size": 32, "width": 1 / 16, "tasks": "i"},
        "stages": [{"stage": "joint", "steps": 2, "batch_size": 2}],
        "variants": {"everywhere": {"options": {"concentrated": False}}, "concentrated": {}},
        "evaluate": EVALUATE,
    }
    source = str(tiny_faces.write(tmp_path / "larger", range(18), size=32))
    data = {"train": source, "test": {"tiny": source}}
    experiment = tiny_experiment.read(tmp_path, **changes, data=data, seeds=[0])
    before = dict(os.environ)
    for jobs in (1, 2):
        experiments.run(experiment, jobs, threads=1, out=tmp_path / str(jobs))
    assert dict(os.environ) == before
    assert scores(tmp_path / "1") == scores(tmp_path / "2")


def test_shared_stages_are_trained_once_and_every_variant_starts_with_them(tmp_path):
    shared = {"first": {"networks": ["painter"], "seed": 5, "stages": [{"stage": "paint", "steps": 3}]}}
    experiment = tiny_experiment.read(
        tmp_path, shared=shared, stages=[], variants={"one": {}, "two": {}}, evaluate=EVALUATE
    )
    table = experiments.run(experiment, threads=1, out=tmp_path / "runs").scores
    assert [path.parent.name for path in (tmp_path / "runs").rglob("card.json")] == ["shared-first-seed5"]
    values = table.query("metric == 'psnr'").pivot(index="index", columns=["variant", "seed"], values="value")
    assert values.shape == (3, 4) and (values.nunique(axis=1) == 1).all()


def test_networks_may_come_from_another_run_and_the_card_tells(finished, tmp_path):
    experiment, out, results = finished
    source = out / "tiny" / "first" / "plain-seed0"
    stages = [{"stage": "paint", "steps": 1, "lr": 1e-12}]
    further = tiny_experiment.read(
        tmp_path, seeds=[0], stages=stages, init={"painter": str(source)}, variants={"further": {}},
        evaluate=EVALUATE,
    )  # fmt: skip
    table = experiments.run(further, threads=1, out=tmp_path / "runs")
    ours = table.scores.query("metric == 'psnr'")["value"].to_numpy()
    theirs = results.scores.query("variant == 'plain' and seed == 0 and metric == 'psnr'")["value"].to_numpy()
    assert np.allclose(ours, theirs, atol=1e-3)
    assert table.card["runs"][0]["init_from"]["painter"]["steps"] == 4


def test_a_training_whose_loss_is_no_number_any_more_is_a_result(tmp_path):
    variants = {"steady": {}, "wild": {"stages": {"lr": 1e30}}}
    sheet = {"faces": [0], "mask": "center", "columns": ["input", "wild", "steady"]}
    experiment = tiny_experiment.read(
        tmp_path, variants=variants, seeds=[0], evaluate=EVALUATE, samples=[sheet]
    )
    results = experiments.run(experiment, threads=1, out=tmp_path / "runs")
    assert results.card["figures"]["first.webp"] == ["input", "steady"]
    steady, wild = results.card["runs"]
    assert "stopped" not in steady and wild["stopped"].startswith("painter.reconstruction is inf at step 1")
    assert set(results.scores["variant"]) == {"steady"}


def test_one_network_may_complete_in_several_ways(tmp_path):
    evaluate = EVALUATE | {"also": {"blended": {"blended": True, "metrics": ["psnr"]}}}
    experiment = tiny_experiment.read(tmp_path, variants={"0.10": {}}, seeds=[0], evaluate=evaluate)
    table = experiments.run(experiment, threads=1, out=tmp_path / "runs").scores
    assert set(table.query("variant == 'blended'")["metric"]) == {"psnr"}
    psnr = table.query("metric == 'psnr'").pivot(index="index", columns="variant", values="value")
    assert (psnr["0.10"] != psnr["blended"]).all()


def test_some_metrics_may_be_kept_as_means_over_masks(tmp_path):
    evaluate = {
        "masks": ["center", "half_left", "noise"], "metrics": ["psnr", "l1"], "limit": 3,
        "pooled": {"name": "two", "masks": ["center", "half_left"], "metrics": ["l1"]},
    }  # fmt: skip
    experiment = tiny_experiment.read(tmp_path, variants={"plain": {}}, seeds=[0], evaluate=evaluate)
    table = experiments.run(experiment, threads=1, out=tmp_path / "runs").scores
    assert set(table.query("metric == 'l1'")["mask"]) == {"two"} and table["mask"].nunique() == 4
    plain = experiment.model_copy(
        update={"evaluate": experiment.evaluate.model_copy(update={"pooled": None})}
    )
    every = experiments.run(plain, threads=1, out=tmp_path / "runs").scores
    both = every.query("metric == 'l1' and mask in ('center', 'half_left')").groupby("index")["value"].mean()
    assert np.allclose(table.query("metric == 'l1'").set_index("index")["value"].sort_index(), both)


def test_of_photographs_only_means_are_kept(tmp_path):
    experiment = tiny_experiment.read(tmp_path, variants={"plain": {}}, seeds=[0], evaluate=EVALUATE)
    faces = experiments.run(experiment, threads=1, out=tmp_path / "runs").scores
    means = experiment.model_copy(
        update={"evaluate": experiment.evaluate.model_copy(update={"keep": "means"})}
    )
    experiments.run(means, threads=1, out=tmp_path / "runs")
    table = experiments.load("tiny/first", tmp_path / "runs").scores
    assert "index" not in table and "identity" not in table and list(table["n"]) == [3, 3]
    assert list(table["mean"]) == pytest.approx(
        list(faces.groupby("metric", sort=False)["value"].mean()), abs=1e-4
    )


def test_a_condition_is_what_the_network_is_told_instead_of_what_it_predicts():
    """With true landmarks, lafin completes as it would if its predictor made no error."""
    faces = fc.faces.embedded("test", 32)
    method = fc.methods.build("lafin", size=32, width=1 / 8, perceptual=None).eval()
    evaluate = {"limit": 4, "masks": ["center"], "metrics": ["psnr"]}
    told = fc.evaluation.evaluate(
        {"x": completions.of_method(method, False, ["landmarks"])}, faces, **evaluate
    )
    alone = fc.evaluation.evaluate({"x": completions.of_method(method, False)}, faces, **evaluate)
    true = faces.batch(told["index"]).landmarks / 32
    method.predictor.forward = lambda x: true
    oracle = fc.evaluation.evaluate({"x": completions.of_method(method, False)}, faces, **evaluate)
    assert told["value"].to_list() == pytest.approx(oracle["value"].to_list(), rel=1e-4)
    assert told["value"].to_list() != pytest.approx(alone["value"].to_list(), rel=1e-4)


def test_average_landmarks_are_the_mean_of_the_training_faces():
    faces = fc.faces.embedded("val", 32)
    complete = completions.average_landmarks(faces)
    found = complete(torch.zeros(5, 3, 32, 32), torch.ones(5, 1, 32, 32))["landmarks"]
    assert found.shape == (5, 68, 2) and torch.allclose(found[3], faces[:].landmarks.mean(0), atol=1e-4)


def test_an_experiment_without_a_method_compares_baselines(tmp_path):
    experiment = tiny_experiment.read(
        tmp_path, method=None, stages=[], variants={}, seeds=[0],
        evaluate=EVALUATE | {"baselines": ["mean", "telea"]},
    )  # fmt: skip
    table = experiments.run(experiment, threads=1, out=tmp_path / "runs").scores
    assert set(table["variant"]) == {"mean", "telea"} and len(table) == 12


def test_a_subset_of_the_faces_is_drawn_by_the_seed(tmp_path):
    data = tiny_experiment.content(tmp_path)["data"]
    few = tiny_experiment.read(tmp_path, data=data | {"train": {"source": data["train"], "subset": 2}})
    draw = {seed: experiments.open_faces(few.data.train, "train", 16, seed) for seed in range(4)}
    whole = fc.faces.folder(data["train"], "train", 16)
    names = {seed: tuple(sorted(faces.column("name"))) for seed, faces in draw.items()}
    assert all(
        len(faces) == 2 and set(faces.column("name")) <= set(whole.column("name")) for faces in draw.values()
    )
    assert len(set(names.values())) > 1
    many = few.data.train.model_copy(update={"subset": 7})
    with pytest.raises(ValueError, match="7 faces cannot be drawn from the 6"):
        experiments.open_faces(many, "train", 16)


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"data": {"train": "nowhere"}}, "nowhere"),
        ({"data": {"test": {"faces": "nowhere"}}}, "nowhere"),
        ({"init": {"painter": "nowhere"}}, "nowhere"),
    ],
)
def test_what_is_missing_is_said_before_anything_is_trained(tmp_path, changes, missing):
    data = tiny_experiment.content(tmp_path)["data"] | changes.pop("data", {})
    experiment = tiny_experiment.read(tmp_path, data=data, **changes)
    with pytest.raises(FileNotFoundError, match=missing):
        experiments.run(experiment, threads=1, out=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


# ---- recording, and the command ----------------------------------------------------------------------------


def test_results_are_recorded_where_lessons_read_them_and_never_over_others(finished, tmp_path):
    experiment, out, results = finished
    copies = experiments.record(experiment, out, tmp_path, tmp_path / "shipped")
    assert experiments.load("tiny/first", tmp_path).scores.equals(experiments.load("tiny/first", out).scores)
    assert {path.name for path in copies} == {
        "first.csv.gz", "first.json", "first.webp", "sketch-wide.json", "sketch-wide.safetensors"
    }  # fmt: skip
    experiments.record(experiment, out, tmp_path, tmp_path / "shipped")
    card = tmp_path / "tiny" / "results" / "first.json"
    card.write_text(json.dumps(results.card | {"config": {"method": "sketch"}}))
    with pytest.raises(ValueError, match="recorded with another configuration: delete first.json"):
        experiments.record(experiment, out, tmp_path, tmp_path / "shipped")


def test_the_command_lists_runs_and_says_what_is_wrong(tmp_path, monkeypatch, capsys):
    root = tiny_experiment.write(tmp_path, seeds=[0], variants={"plain": None})
    assert command.main(["--list"], root=root) == 0
    assert capsys.readouterr().out.split() == ["tiny/first", "a", "test"]
    assert (
        command.main(["tiny/first", "--set", "evaluate.limit=2", "--threads", "1"], tmp_path / "runs", root)
        == 0
    )
    said = capsys.readouterr().out
    assert "plain, seed 0: 4 steps" in said and "psnr, tiny" in said
    with pytest.raises(Trouble, match="no experiment 'tiny/second'"):
        command.main(["tiny/second"], root=root)
    with pytest.raises(Trouble, match="evaluate.limit: .*greater than 0"):
        command.main(["tiny/first", "--set", "evaluate.limit=0"], root=root)
    with pytest.raises(Trouble, match="change the file instead of --set"):
        command.main(["tiny/first", "--set", "seeds=[0]", "--record"], root=root)
