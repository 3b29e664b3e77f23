"""The scripts that train, measure and record collagan do what they say, with networks of toy size."""

import json

import numpy as np
import pytest
import torch
from photo_help import prepared
from PIL import Image
from safetensors.torch import save_file

import facecomp_lib as fc
from data_scripts import (
    collagan_models,
    collagan_photos,
    collagan_rates,
    gfc_models,
    train_collagan,
    understanding,
)
from facecomp_lib import evaluation
from facecomp_lib.papers.collagan import UNALIGNED, five_points
from facecomp_lib.training.feed import Feed

# --------------------------------------------------------------------------------------------- measures


def test_dice_of_the_hole_counts_missing_pixels_alone():
    true = torch.zeros(1, 4, 4, dtype=torch.long)
    true[0, :, 2:] = 1  # skin on the right
    true[0, 0, 0] = 6  # a pixel of nose
    found = true.clone()
    found[0, 0, 2:] = 0  # two pixels of skin are missed, both known
    found[0, 3, 3] = 7  # and one under the hole is called a lip
    mask = torch.ones(1, 1, 4, 4)
    mask[..., 2:, :] = 0
    scores = understanding.label_scores(found, true, mask)
    assert scores["dice_face_skin"].item() == pytest.approx(2 * 5 / (8 + 5))
    assert scores["dice_nose"].item() == 1 and scores["dice_upper_lip"].item() == 0
    assert scores["dice_left_eye"].isnan()  # in neither map
    assert scores["dice"].item() == pytest.approx((10 / 13 + 1 + 0) / 3)  # background and hair do not count
    assert scores["dice_hole"].item() == pytest.approx((2 * 3 / (4 + 3) + 0) / 2)
    everything = understanding.label_scores(found, true, torch.zeros_like(mask))
    assert everything["dice_hole"] == everything["dice"]
    assert understanding.label_scores(found, true, torch.ones_like(mask))["dice_hole"].isnan()


def test_distances_are_those_of_a_image_of_128_px():
    true = torch.tensor([[[10.0, 10], [20, 10], [15, 20.4], [12, 28], [31.2, 28]]])
    found = true + torch.tensor([[3.0, 4], [0, 0], [0, 1], [0, 0], [0, 2]])
    mask = torch.ones(1, 1, 32, 32)
    mask[..., 20, 15] = mask[..., 10, 20] = 0  # under the nose, and under an eye
    scores = understanding.point_scores(found, true, mask)
    assert scores["landmark_error_left_eye"].item() == pytest.approx(20)
    assert scores[understanding.ERRORS[4]].item() == pytest.approx(8)
    assert scores["landmark_error"].item() == pytest.approx(4 * (5 + 0 + 1 + 0 + 2) / 5)
    assert scores["landmark_error_hole"].item() == pytest.approx(4 * (0 + 1) / 2)
    assert understanding.point_scores(found, true, torch.ones_like(mask))["landmark_error_hole"].isnan()
    away = understanding.point_scores(found - 40, true - 40, torch.zeros_like(mask))  # outside the image
    assert away["landmark_error_hole"].isnan() and away["landmark_error"] == scores["landmark_error"]


def test_a_perfect_answer_is_perfect_in_every_measure():
    truth = fc.faces.embedded("test", 32).moved(UNALIGNED, 0).batch(range(4))
    mask = fc.masks.make("collagan_o3", 32, 4, landmarks=truth.landmarks)
    found = {
        "raw": truth.image, "parsing": truth.parsing, "landmarks": five_points(truth.landmarks)
    }  # fmt: skip
    scores = understanding.task_scores(found, truth, mask, ("ssim", "ssim_hole"))
    assert set(scores) == {
        "ssim", "ssim_hole", "dice", "dice_hole", "landmark_error", "landmark_error_hole",
        *understanding.LABELS, *understanding.ERRORS,
    }  # fmt: skip
    for name, values in scores.items():
        best = 0.0 if name.startswith("landmark") else 1.0
        assert torch.allclose(values[values.isfinite()], torch.tensor(best), atol=1e-5)


# ---------------------------------------------------------------------------------------------- models


@pytest.fixture
def tiny(monkeypatch):
    """Networks so small that a run takes a second; measures without weights from outside."""
    for module in (collagan_models, gfc_models):
        monkeypatch.setattr(module, "SIZE", 32)
        monkeypatch.setattr(module, "PRECISION", "32-true")
    monkeypatch.setattr(gfc_models, "NETWORKS", {"width": 1 / 16, "fc_dim": 8})
    monkeypatch.setattr(collagan_models, "WIDTH", 1 / 16)
    monkeypatch.setattr(collagan_models, "HOLES", ("collagan_o3", "collagan_o4"))
    monkeypatch.setattr(collagan_models, "MEASURES", ("psnr", "ssim"))


def run_models(monkeypatch, folder, *words):
    asked = ["--steps", 6, "--seeds", 2, "--threads", 1, "--limit", 4, "--parser-steps", 2]
    asked += ["--out", folder / "runs", "--results", folder / "collagan_models", *words]
    monkeypatch.setattr("sys.argv", ["collagan_models.py", *map(str, asked)])
    return collagan_models.main()


def test_all_models_but_those_of_other_holes_see_the_same_faces_and_holes():
    feed = Feed(fc.faces.embedded("train", 64), seed=3)
    plans = {name: collagan_models.stages(name, 12) for name in collagan_models.MODELS}
    assert {sum(stage.steps for stage in plan) for plan in plans.values()} == {12}
    for step in (1, 5, 11):  # one in each of gfc's stages
        samples = {}
        for name, plan in plans.items():
            ends = np.cumsum([stage.steps for stage in plan])
            stage = plan[int(np.searchsorted(ends, step, side="right"))]
            samples[name] = feed.sample(stage, step, 16 * step)
        first = samples["gfc"]
        for name, sample in samples.items():
            assert torch.equal(sample.image, first.image)
            assert torch.equal(sample.mask, first.mask) == (name not in collagan_models.ONCE)


def test_the_models_are_recorded_and_only_what_is_missing_is_done(tiny, monkeypatch, tmp_path):
    some = ["--models", "M_s", "Mstar_isd", "Mstar_isd-noise", "gfc"]
    assert run_models(monkeypatch, tmp_path, *some) == 0
    runs = evaluation.load_runs(tmp_path / "collagan_models.csv.gz")
    card = json.loads((tmp_path / "collagan_models.json").read_text())
    always = {"gfc", "M_s", "M*_isd", "M*_isd, unblended"}
    assert (
        set(runs[0].methods) == {*always, "M*_isd noise", "M*_isd noise, unblended"}
        and set(runs[1].methods) == always
    )
    assert ("M*_isd", "noise") in runs[1].pairs and ("gfc", "noise") not in runs[1].pairs
    assert len(runs[0].groups) == 4 == card["test"]["faces"] and card["test"]["moved"]["rotate"] == 25
    assert card["steps"] == 6 and card["seeds"] == [0, 1] and sum(card["gfc"]["stages"].values()) == 6
    assert not np.array_equal(*(runs[0].values("psnr", "M*_isd" + k, "pattern") for k in ("", ", unblended")))
    for name, known in {"M_s": "dice", "gfc": "psnr"}.items():
        for measure in ("psnr", "dice", "landmark_error"):
            assert np.isfinite(runs[0].values(measure, name, "pattern")).all() == (measure == known)
    apart = evaluation.load_runs(tmp_path / "runs" / "Mstar_isd-6-seed1" / "scores-4.csv.gz")[1]
    each = [apart.values("landmark_error_nose", "M*_isd", hole) for hole in collagan_models.HOLES]
    mean = runs[1].values("landmark_error_nose", "M*_isd", "six blocks")
    assert mean == pytest.approx(np.mean(each, 0), rel=0.05) and not np.allclose(*each)
    assert not np.isfinite(runs[1].values("landmark_error_nose", "M*_isd", "pattern")).any()
    drawn = {name: Image.open(tmp_path / name).size[0] // 32 for name in card["columns"]}
    assert drawn == {name: len(columns) for name, columns in card["columns"].items()}
    assert set(drawn) == {f"collagan_{name}_32.webp" for name in ("models", "understood", "noise")}

    files = sorted((tmp_path / "runs").glob("*/*.*"))
    before = {file: file.stat().st_mtime_ns for file in files if file.name != "lock"}
    (tmp_path / "runs" / "M_s-6-seed1" / "scores-4.csv.gz").unlink()
    recorded = (tmp_path / "collagan_models.csv.gz").read_bytes()
    assert run_models(monkeypatch, tmp_path, *some) == 0
    after = {file: file.stat().st_mtime_ns for file in before}
    changed = [file.relative_to(tmp_path / "runs") for file in before if before[file] != after[file]]
    assert [str(file) for file in changed] == ["M_s-6-seed1/scores-4.csv.gz"]
    assert (tmp_path / "collagan_models.csv.gz").read_bytes() == recorded


# ---------------------------------------------------------------------------------------- learning rates


def test_a_rate_that_is_too_high_is_recorded_with_the_step_at_which_it_failed(monkeypatch, tmp_path):
    for name, value in {"SIZE": 32, "WIDTH": 1 / 16, "WINDOW": 4}.items():
        monkeypatch.setattr(collagan_rates, name, value)
    words = ["--steps", 10, "--seeds", 1, "--threads", 1, "--limit", 4, "--rates", "1e-3", "1e30"]
    words += ["--out", tmp_path / "runs", "--results", tmp_path / "rates"]
    monkeypatch.setattr("sys.argv", ["collagan_rates.py", *map(str, words)])
    assert collagan_rates.main() == 0
    card = json.loads((tmp_path / "rates.json").read_text())
    good, bad = card["runs"]
    assert (good["lr"], good["steps"], good["stopped"]) == (1e-3, 10, None)
    assert set(good["scores"]) == {"psnr_hole", "dice", "landmark_error"}
    log = fc.training.Run(None, tmp_path / "runs" / "lr0.001-10-seed0").log["generator.labels"]
    means = [log[:4].mean(), log[4:8].mean(), log[8:].mean()]
    assert good["losses"]["labels"] == pytest.approx(means, rel=1e-3)
    assert bad["steps"] < 10 and f"at step {bad['steps']}" in bad["stopped"] and bad["scores"] is None
    assert [len(values) for values in bad["losses"].values()] == [-(-bad["steps"] // 4)] * 3
    kept = (tmp_path / "rates.json").read_bytes()
    monkeypatch.setattr(collagan_rates, "tried", None)  # what is finished is not done again
    assert collagan_rates.main() == 0 and (tmp_path / "rates.json").read_bytes() == kept


# ------------------------------------------------------------------------------------------- checkpoints


@pytest.fixture
def few_fills(monkeypatch):
    """Fewer holes and fills, and measures without weights from outside."""
    monkeypatch.setattr(train_collagan, "HOLES", {"random_square": ("random_square",), "six blocks": BLOCKS})
    monkeypatch.setattr(collagan_photos, "HOLES", BLOCKS)
    for module in (train_collagan, collagan_photos):
        monkeypatch.setattr(module, "MEASURES", ("psnr", "ssim"))
    monkeypatch.setattr(fc.classical, "KINDS", ("telea", "mean"))


BLOCKS = ("collagan_o1", "collagan_o6")


@pytest.mark.parametrize("variant", [None, "i"])
def test_a_checkpoint_is_trained_measured_and_loads_again(few_fills, monkeypatch, tmp_path, variant):
    def train(run_dir, steps, *more):
        words = [tmp_path / run_dir, "--size", 32, "--width", 1 / 16, "--steps", steps, "--limit", 4]
        words += ["--precision", "32-true", "--out", tmp_path, "--results", tmp_path, *more]
        words += ["--variant", variant] if variant else []
        monkeypatch.setattr("sys.argv", ["train_collagan.py", *map(str, words)])
        assert train_collagan.main() == 0

    train("first", 2, "--alone-steps", 1)
    train("run", 3, "--alone-steps", 0, "--init", tmp_path / "first" / "weights-together.safetensors")
    first = json.loads((tmp_path / "first" / "card.json").read_text(encoding="utf-8"))["stages"]
    alone, together = (
        {name: optimizer["losses"] for name, optimizer in stage["optimizers"].items()} for stage in first
    )
    assert [stage["name"] for stage in first] == ["alone", "together"] and list(alone) == ["generator"]
    terms = together["generator"].items()
    adversarial = {term: weight for term, weight in terms if term.startswith("adversarial_")}
    assert adversarial and together["generator"] == alone["generator"] | adversarial
    method = fc.methods.load(tmp_path / ("collagan-i-32" if variant else "collagan-32"))
    card = method.card
    assert (
        card["steps"] == 3
        and card["before"] == [3]
        and card["stages"] == {"together": 3}
        and card["networks"] == ["generator"]
    )
    assert method.config["tasks"] == (variant or "isd") and method.config["concentrated"] == (not variant)
    name = "collagan_i_shipped_32.csv.gz" if variant else "collagan_shipped_32.csv.gz"
    (scores,) = evaluation.load_runs(tmp_path / name).values()
    assert scores.methods == ("collagan", "collagan, blended", "telea", "mean")
    blocks = card["metrics"]["six blocks"]
    found = [scores.estimate("psnr", "telea", hole).mean for hole in BLOCKS]
    assert blocks["psnr"]["telea"] == pytest.approx(np.mean(found), rel=1e-3)
    assert ("dice_nose" in blocks) == ("landmark_error_nose" in blocks) == (variant is None)


# ------------------------------------------------------------------------------------------- photographs


def test_photographs_get_parsing_maps_once_and_numbers_are_recorded(few_fills, monkeypatch, tmp_path):
    home, other = prepared(tmp_path / "home"), prepared(tmp_path / "other", 6)
    gfc = fc.methods.build("gfc", size=32, width=1 / 16, fc_dim=8)
    weights = {f"parser.{key}": value for key, value in gfc.parser.state_dict().items()}
    save_file(weights, tmp_path / "parser.safetensors")
    words = [tmp_path / "run", home, "--also", other, "--size", 32, "--width", 1 / 16, "--steps", 3]
    words += ["--parser", tmp_path / "parser.safetensors", "--parser-size", 32, "--precision", "32-true"]
    words += ["--limit", 4, "--results", tmp_path / "photos.json"]
    monkeypatch.setattr("sys.argv", ["collagan_photos.py", *map(str, words)])
    assert collagan_photos.main() == 0
    copy = fc.faces.folder(tmp_path / "run" / "labelled" / "home")
    plain = fc.faces.folder(home)
    with torch.no_grad():
        drawn = gfc.parser.eval()(plain[:].image[:25]).argmax(1)
    assert torch.equal(copy[:].parsing, drawn) and torch.equal(copy[:].image, plain[:].image)
    assert torch.equal(copy[:].landmarks, plain[:].landmarks)

    card = json.loads((tmp_path / "photos.json").read_text())
    rows = {tuple(row[key] for key in ("faces", "hole", "fill", "measure")): row for row in card["rows"]}
    assert {row["faces"] for row in card["rows"]} == {"home", "other"}
    own = rows["other", "collagan_o6", "M*_isd", "dice_to_parser"]
    assert own["n"] == 4 and 0 <= own["low"] <= own["mean"] <= own["high"] <= 1
    assert rows["home", "collagan_o1", "telea", "psnr"]["mean"] > 5
    measures = {fill: {key[3] for key in rows if key[2] == fill} for fill in ("M_i", "M*_isd", "mean")}
    assert measures["M_i"] == measures["mean"] == {"psnr", "ssim"}
    assert measures["M*_isd"] == {"psnr", "ssim", *collagan_photos.UNDERSTOOD.values()}

    before = {file: file.read_bytes() for file in (tmp_path / "run").rglob("*.arrow")}
    monkeypatch.setattr(torch.nn.Module, "__call__", None)  # maps are there, and training is finished
    labelled = collagan_photos.labelled
    again = labelled(str(home), tmp_path / "run" / "labelled" / "home", gfc.parser.eval(), 32)
    assert {file: file.read_bytes() for file in before} == before and again.name == "home"
    with pytest.raises(ValueError, match="another parser_size"):
        labelled(str(home), tmp_path / "run" / "labelled" / "home", gfc.parser, 16)
