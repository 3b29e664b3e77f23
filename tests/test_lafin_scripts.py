"""The scripts that train, measure and record lafin do what they say, with networks of toy size."""

import argparse
import json

import numpy as np
import pytest
import torch
from measure_help import need
from photo_help import prepared
from PIL import Image

import facecomp_lib as fc
from data_scripts import gfc_models, lafin_detectors, lafin_models, lafin_photos, locating, train_lafin
from facecomp_lib import evaluation
from facecomp_lib.papers import lafin
from facecomp_lib.training.feed import Feed

TINY = ["--predictor-width", 1 / 8, "--perceptual", "none", "--locate-steps", 2, "--style-steps", 0,
        "--dot", 3]  # fmt: skip
ONE = ["--size", 32, "--width", 1 / 8, "--precision", "32-true", *TINY]


def run(script, monkeypatch, *words):
    monkeypatch.setattr("sys.argv", [f"{script.__name__}.py", *map(str, words)])
    return script.main()


@pytest.fixture
def few_fills(monkeypatch):
    """Fewer holes and fills, and measures without weights from outside."""
    for module in (train_lafin, lafin_photos):
        monkeypatch.setattr(module, "HOLES", ("center", "gfc_o6"))
        monkeypatch.setattr(module, "MEASURES", ("psnr", "ssim"))
    monkeypatch.setattr(fc.classical, "KINDS", ("telea", "mean"))


# ---------------------------------------------------------------------------------- measures and stages


def test_errors_are_shares_of_the_distance_between_the_eyes():
    true = torch.zeros(2, 68, 2) + 4
    true[:, 36, 0], true[:, 45, 0] = 2, 12  # 10 px apart
    found = true.clone()
    found[0, 8] += torch.tensor([3.0, 4])  # the chin of the first face
    found[0, 36] += torch.tensor([0.0, 2])
    mask = torch.ones(2, 1, 16, 16)
    mask[0, 0, 4, 2] = 0  # hides the corner of an eye
    scores = locating.nme_scores(found, true, mask)
    assert scores["nme"].tolist() == pytest.approx([(5 + 2) / 68 / 10, 0])
    assert scores["nme_hole"][0].item() == pytest.approx(2 / 10)
    assert scores["nme_hole"][1].isnan()  # nothing of it is hidden
    everything = locating.nme_scores(found, true, torch.zeros_like(mask))
    assert torch.allclose(everything["nme_hole"], everything["nme"])


def test_the_average_face_is_the_mean_of_the_faces_it_was_made_of():
    faces = fc.faces.embedded("val", 32)
    average = locating.average_face(faces)
    batch = faces[:5]
    found = average(batch.image, torch.ones(5, 1, 32, 32))
    assert found.shape == (5, 68, 2)
    assert torch.allclose(found[3], faces[:].landmarks.mean(0), atol=1e-4)
    scores = locating.located({"average": average}, faces, ["center"], limit=4)
    error = scores.values("nme", "average", "center")
    assert len(error) == 4 and (error > 0.01).all() and (error < 0.5).all()


def test_style_and_perceptual_loss_come_last_if_their_network_is_there():
    method = fc.methods.build("lafin", size=32, width=1 / 8, perceptual="vgg16")

    def given(style_steps):
        return argparse.Namespace(style_steps=style_steps, lr=1e-3, discriminator_lr=1e-4, ema=0.9)

    inpaint, refine = locating.generator_stages(method, 10, given(3))
    both = {"perceptual", "style"}
    assert (inpaint.name, inpaint.steps, refine.name, refine.steps) == ("inpaint", 7, "refine", 3)
    assert not both & set(inpaint.optimizers["generator"].losses)
    assert both <= set(refine.optimizers["generator"].losses)
    assert inpaint.optimizers["discriminator"] == refine.optimizers["discriminator"]
    assert {stage.optimizers["generator"].lr for stage in (inpaint, refine)} == {1e-3}
    assert {stage.ema for stage in (inpaint, refine)} == {0.9}
    assert [s.name for s in locating.generator_stages(method, 3, given(3))] == ["refine"]
    (all_,) = locating.generator_stages(method, 10, given(None))
    assert (all_.name, all_.steps) == ("refine", 10)
    without = fc.methods.build("lafin", size=32, width=1 / 8, perceptual=None)
    (only,) = locating.generator_stages(without, 10, given(3))
    assert (only.name, only.steps) == ("inpaint", 10)
    with pytest.raises(ValueError, match="from 0 to the generator's 10 steps, not 11"):
        locating.generator_stages(method, 10, given(11))


# ------------------------------------------------------------------------------------------- checkpoint


def test_a_checkpoint_is_trained_measured_and_loads_again(few_fills, monkeypatch, tmp_path):
    def train(folder, steps, *more):
        words = [tmp_path / folder, *ONE, "--steps", steps, "--limit", 4, "--out", tmp_path]
        assert run(train_lafin, monkeypatch, *words, "--results", tmp_path, *more) == 0
        return fc.methods.load(tmp_path / "lafin-32.safetensors")

    train("first", 2)
    before = tmp_path / "first" / "generator" / "weights-inpaint.safetensors"
    located = tmp_path / "first" / "predictor" / "weights-locate.safetensors"
    more = ["--init", before, "--predictor", located, "--lr", "1e-3"]
    method = train("run", 3, *more)
    card = method.card
    assert card["steps"] == 3 and card["before"] == [2] and card["networks"] == ["predictor", "generator"]
    assert card["predictor"]["stages"] == {"locate": 2} and not (tmp_path / "run" / "predictor").exists()
    assert card["lr"] == {"discriminator": 5e-5, "generator": 1e-3} and card["ema"] == 0.99
    assert card["config"]["dot"] == 3
    assert card["perceptual_and_style"] == {"network": None, "steps": 0}
    kept = locating.weights_of("predictor", located)
    assert all(
        torch.equal(value, kept[key].half().float() if value.is_floating_point() else kept[key])
        for key, value in method.predictor.state_dict().items()
    )
    (scores,) = evaluation.load_runs(tmp_path / "lafin_shipped_32.csv.gz").values()
    assert scores.methods == ("lafin", "lafin, blended", "telea", "mean", "average face")
    mouth = card["metrics"]["gfc_o6"]
    assert mouth["psnr"]["telea"] == pytest.approx(
        np.mean(scores.values("psnr", "telea", "gfc_o6")), rel=1e-3
    )
    assert set(mouth["nme"]) == set(mouth["nme_hole"]) == {"lafin", "average face"}
    error = np.mean(scores.values("nme", "average face", "gfc_o6"))
    assert 0.01 < mouth["nme"]["average face"] == pytest.approx(error, abs=1e-4)

    bytes_ = (tmp_path / "lafin-32.safetensors").read_bytes()
    weights = tmp_path / "run" / "generator" / "weights-inpaint.safetensors"
    written = weights.stat().st_mtime_ns
    train("run", 3, *more)  # what is finished is not done again
    assert weights.stat().st_mtime_ns == written
    assert (tmp_path / "lafin-32.safetensors").read_bytes() == bytes_

    later = train("later", 0, "--init", weights, "--predictor-init", located)  # the predictor alone learns on
    assert later.card["steps"] == 3 and later.card["before"] == [2] == later.card["predictor"]["before"]
    states = [one.generator.state_dict() for one in (method, later)]
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())
    points = [one.predictor.to_points.weight for one in (method, later)]
    assert not torch.equal(*points) and (points[0] - points[1]).abs().max() < 0.02


def test_the_card_says_for_how_long_the_perceptual_network_took_part(few_fills, monkeypatch, tmp_path):
    need("lpips_vgg")
    words = [tmp_path / "run", *ONE, "--perceptual", "vgg16", "--steps", 2, "--style-steps", 1]
    words += ["--limit", 2, "--out", tmp_path, "--results", tmp_path]
    assert run(train_lafin, monkeypatch, *words) == 0
    card = json.loads((tmp_path / "lafin-32.json").read_text())
    assert card["stages"] == {"inpaint": 1, "refine": 1}
    assert card["perceptual_and_style"] == {"network": "vgg16", "steps": 1}
    log = fc.training.Run(None, tmp_path / "run" / "generator").log["generator.style"]
    assert np.isnan(log[0]) and log[1] > 0


def test_what_cannot_work_is_said_in_a_sentence_before_training(few_fills, monkeypatch, tmp_path, capsys):
    def refused(script, *words):
        assert run(script, monkeypatch, *words) == 1
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line]
        assert not any(tmp_path.glob("run*"))
        return line

    train = [train_lafin, tmp_path / "run", *ONE, "--steps", 2]
    assert "style_steps" in refused(*train, "--style-steps", 3)
    assert "nowhere" in refused(*train, "--faces", tmp_path / "nowhere")
    (tmp_path / "no.safetensors").write_bytes(b"nothing")
    assert refused(*train, "--init", tmp_path / "no.safetensors")
    assert "say which" in refused(*train, "--steps", 0)
    assert "multiple of 32" in refused(train_lafin, tmp_path / "run", "--size", 48, *TINY)
    assert "nowhere" in refused(lafin_photos, tmp_path / "run", tmp_path / "nowhere", *ONE)
    out = ["--out", tmp_path / "runs", "--steps", 6]
    assert "nowhere" in refused(lafin_detectors, *out, "--generator", tmp_path / "nowhere.safetensors")
    assert "6 steps" in refused(lafin_models, "--out", tmp_path / "runs", "--steps", 5, *TINY)


# ---------------------------------------------------------------------------------------------- models


@pytest.fixture
def tiny(monkeypatch):
    """Networks so small that a run takes a second; measures without weights from outside."""
    for name, value in {"SIZE": 32, "WIDTH": 1 / 8, "PRECISION": "32-true"}.items():
        monkeypatch.setattr(lafin_models, name, value)
    monkeypatch.setattr(lafin_models, "HOLES", ("irregular_20_30", "center"))
    monkeypatch.setattr(lafin_models, "MEASURES", ("psnr", "ssim"))
    monkeypatch.setattr(gfc_models, "MEASURES", ())


def test_the_models_are_recorded_and_only_what_is_missing_is_done(tiny, monkeypatch, tmp_path):
    words = ["--steps", 6, "--seeds", 2, "--threads", 1, "--limit", 4, *TINY, "--style-steps", 2]
    words += ["--out", tmp_path / "runs", "--results", tmp_path / "lafin_models"]
    assert run(lafin_models, monkeypatch, *words) == 0
    runs = evaluation.load_runs(tmp_path / "lafin_models.csv.gz")
    card = json.loads((tmp_path / "lafin_models.json").read_text())
    models = {*lafin_models.MODELS, lafin_models.TRUE, "average face"}
    assert set(runs) == {0, 1} and all(set(one.methods) == models for one in runs.values())
    assert len(runs[0].groups) == 4 == card["test"]["faces"] and card["steps"] == 6
    assert card["predictor"]["stages"] == {"locate": 2} and card["stages"] == {"inpaint": 6}
    for name in models:
        known = np.isfinite(runs[1].values("nme_hole", name, "center")).all()
        assert known == (name in ("full", "joint", "average face"))
        assert np.isfinite(runs[1].values("psnr", name, "center")).all() == (name != "average face")
    assert card["columns"] == ["damaged", "full", "full, true landmarks", "no attention", "no landmarks",
                               "joint", "truth"]  # fmt: skip
    assert Image.open(tmp_path / "lafin_models_32.webp").size[0] == 7 * 32

    folders = {name: tmp_path / "runs" / f"{name}-6-seed1" for name in ("full", "no-landmarks", "joint")}
    predictor = tmp_path / "runs" / "predictor-2-seed1" / "weights-locate.safetensors"
    shared = locating.weights_of("predictor", predictor)
    for name, folder in folders.items():
        own = locating.weights_of("predictor", folder / "weights-inpaint.safetensors")
        assert all(torch.equal(own[key], shared[key]) for key in own) == (name != "joint")

    files = sorted((tmp_path / "runs").glob("*/*.*"))
    before = {file: file.stat().st_mtime_ns for file in files if file.name != "lock"}
    (folders["joint"] / "scores-4.csv.gz").unlink()
    recorded = (tmp_path / "lafin_models.csv.gz").read_bytes()
    assert run(lafin_models, monkeypatch, *words) == 0
    after = {file: file.stat().st_mtime_ns for file in before}
    changed = [str(file.relative_to(tmp_path / "runs")) for file in before if before[file] != after[file]]
    assert changed == ["joint-6-seed1/scores-4.csv.gz"]
    assert (tmp_path / "lafin_models.csv.gz").read_bytes() == recorded


def test_true_landmarks_are_what_the_generator_gets_as_true_landmarks(tiny):
    faces = fc.faces.embedded("test", 32)
    method = fc.methods.build("lafin", size=32, width=1 / 8, perceptual=None).eval()
    batch = faces.batch(evaluation.protocol.drawn_faces(len(faces), 4, 0))
    scores = lafin_models.with_true_landmarks(method, faces, 4)
    find = locating.locator(method)
    method.predictor.forward = lambda x: batch.landmarks / 32  # an oracle
    assert torch.allclose(find(batch.image, torch.ones(4, 1, 32, 32)), batch.landmarks, atol=1e-4)
    same = evaluation.evaluate({"oracle": method}, faces, ["center"], ["psnr"], 4)
    assert scores.values("psnr", lafin_models.TRUE, "center") == pytest.approx(
        same.values("psnr", "oracle", "center"), rel=1e-4
    )


def test_all_models_see_the_same_faces_and_holes(tiny):
    given = argparse.Namespace(style_steps=3, lr=1e-3, discriminator_lr=1e-4, ema=0.9)
    method = fc.methods.build("lafin", size=32, width=1 / 8, perceptual="vgg16")
    feed = Feed(fc.faces.embedded("train", 32), seed=3)
    plans = {}
    for name in lafin_models.MODELS:
        job = lafin_models.Job(name, 0, 8, None, None, None, 1)
        plans[name] = lafin_models.stages(job, method, given)
    assert {tuple(stage.steps for stage in plan) for plan in plans.values()} == {(5, 3)}
    for index, step in enumerate((2, 6)):
        samples = [feed.sample(plan[index], step, 4 * step) for plan in plans.values()]
        for sample in samples[1:]:
            assert torch.equal(sample.image, samples[0].image) and torch.equal(sample.mask, samples[0].mask)


# ------------------------------------------------------------------------------------------- detectors


def test_detectors_are_trained_from_few_and_all_faces_and_measured(monkeypatch, tmp_path):
    photos = prepared(tmp_path / "photos", 6)
    given = {}
    for seed in (0, 1):
        lafin = fc.methods.build("lafin", size=32, width=1 / 8, perceptual=None, seed=seed)
        given[seed] = fc.methods.save(
            lafin, tmp_path / f"lafin-{seed}", ("predictor", "generator"), steps=seed
        )
    words = ["--steps", 6, "--seeds", 2, "--threads", 1, "--limit", 40, "--labelled", 9, "all"]
    words += ["--also", photos]
    words += ["--predictor-width", 1 / 8, "--out", tmp_path / "runs", "--results", tmp_path / "detectors"]
    assert run(lafin_detectors, monkeypatch, *words, "--generator", given[1]) == 0
    runs = evaluation.load_runs(tmp_path / "detectors.csv.gz")
    card = json.loads((tmp_path / "detectors.json").read_text())
    assert runs[0].methods == (
        "9 faces",
        "9 faces augmented",
        "all faces",
        "all faces augmented",
        "average face",
    )
    assert runs[1].holes == ("full", "common", "challenging", "photos")
    assert card["labelled_faces"] == {"9 faces": 9, "9 faces augmented": 9, "all faces": 2000,
                                      "all faces augmented": 2000}  # fmt: skip
    assert card["stages"] == {"detect": 4, "settle": 2} and card["images_per_step"] == 8
    for name, batch_size in (("9-faces", 8), ("9-faces-augmented", 4)):  # and a completed one for each
        of_run = json.loads((tmp_path / "runs" / f"{name}-6-seed1" / "card.json").read_text())["stages"]
        assert [stage["batch_size"] for stage in of_run] == [batch_size] * 2
        rates = [stage["optimizers"]["predictor"]["lr"] for stage in of_run]
        assert rates == pytest.approx([1e-3, 1e-4])
    assert card["generator"]["steps"] == 1 and set(card["losses"]["all faces"]) == {"detect"}
    assert set(card["losses"]["9 faces augmented"]) == {"detect_augmented"}
    counts = {
        name: int(np.isfinite(runs[1].values("nme", "all faces", name)).sum()) for name in runs[1].holes
    }
    assert counts == card["test_faces"] and counts["full"] == 40 and counts["photos"] == 6
    assert counts["common"] + counts["challenging"] == 40 and counts["challenging"] > 0
    turned = np.abs(fc.faces.embedded("test", 32).column("pose")[:, 0]) > 20
    numbers = evaluation.protocol.drawn_faces(300, 40, 0)
    hard = np.isfinite(runs[0].values("nme", "9 faces", "challenging"))
    assert (hard[:40] == turned[numbers]).all() and not hard[40:].any()
    who = runs[0].groups
    assert not set(who[:40]) & set(who[40:])  # people of different sets are different people

    kept = (tmp_path / "detectors.csv.gz").read_bytes()
    monkeypatch.setattr(torch.optim.Adam, "step", None)  # training is finished
    assert run(lafin_detectors, monkeypatch, *words) == 0  # with the generator that is there
    assert (tmp_path / "detectors.csv.gz").read_bytes() == kept
    assert run(lafin_detectors, monkeypatch, *words, "--generator", given[0]) == 1  # another generator


def test_few_faces_are_drawn_by_the_seed_and_are_the_data_sets_own():
    def names(count, seed):
        return lafin_detectors.SomeFaces(None, 32, count, seed).column("name").tolist()

    whole = fc.faces.embedded("train", 32)
    some = lafin_detectors.SomeFaces(None, 32, 50, 1)
    assert names(50, 1) == names(50, 1) != names(50, 2) and len(set(names(50, 1))) == 50
    place = whole.column("name").tolist().index(names(50, 1)[7])
    assert torch.equal(some[7].image, whole[place].image)
    assert torch.equal(some[7].landmarks, whole[place].landmarks)
    with pytest.raises(ValueError, match="2001 labelled faces cannot be drawn from 2000"):
        lafin_detectors.SomeFaces(None, 32, 2001, 0)


def test_a_run_is_as_good_a_generator_as_a_checkpoint(tmp_path):
    faces = fc.faces.embedded("train", 32)
    method = fc.methods.build("lafin", size=32, width=1 / 8, perceptual=None)
    stages = [lafin.inpainting(2, perceptual=False)]
    run_dir = tmp_path / "generator"
    trained = fc.training.fit(method, faces, run_dir, stages=stages, show=(), watch=0).method
    found = lafin_detectors.generator_of(run_dir)
    own = trained.generator.state_dict()
    assert all(torch.equal(value, own[key]) for key, value in found.generator.state_dict().items())
    assert found.card["data"]["name"] == faces.name


# ------------------------------------------------------------------------------------------ photographs


def test_numbers_of_photographs_are_recorded(few_fills, monkeypatch, tmp_path):
    home, other = prepared(tmp_path / "home"), prepared(tmp_path / "other", 6)
    words = [tmp_path / "run", home, "--also", other, *ONE, "--steps", 2, "--limit", 4]
    words += ["--results", tmp_path / "photos.json"]
    assert run(lafin_photos, monkeypatch, *words) == 0
    card = json.loads((tmp_path / "photos.json").read_text())
    rows = {tuple(row[key] for key in ("faces", "hole", "fill", "measure")): row for row in card["rows"]}
    assert {row["faces"] for row in card["rows"]} == {"home", "other"}
    own = rows["other", "center", "lafin", "nme"]
    assert own["n"] == 4 and 0.01 < own["low"] <= own["mean"] <= own["high"]
    measures = {
        fill: {key[3] for key in rows if key[2] == fill} for fill in ("lafin", "telea", "average face")
    }
    assert measures["telea"] == {"psnr", "ssim"}
    assert measures["average face"] == {"nme", "nme_hole"}
    assert measures["lafin"] == measures["telea"] | measures["average face"]
    assert card["generator"]["data"]["name"] == card["predictor"]["data"]["name"] == "home"
    faces = fc.faces.folder(other, None, 32)
    average = torch.from_numpy(fc.faces.folder(home, "train", 32).column("landmarks")).mean(0)
    batch = faces.batch(evaluation.protocol.drawn_faces(6, 4, 0))
    error = evaluation.nme(average.expand(4, -1, -1), batch.landmarks).mean()
    found = rows["other", "gfc_o6", "average face", "nme"]["mean"]
    assert found == pytest.approx(error.item(), abs=2e-4)
