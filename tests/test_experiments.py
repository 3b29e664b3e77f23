"""Holes that grow around one place of a face, and people who are looked for among many."""

import json

import numpy as np
import pytest
import torch
from photo_help import need_dlib
from safetensors.torch import save_file
from scipy.spatial import ConvexHull, Delaunay

import facecomp_lib as fc
from data_scripts import gfc_models
from facecomp_lib import evaluation
from facecomp_lib.evaluation import experiments
from facecomp_lib.faces import FaceBatch

# ---------------------------------------------------------------------------------------- holes that grow


@pytest.fixture(scope="module")
def faces():
    return fc.faces.embedded("test", 32)


class Watch:
    """A completion that keeps the masks that it was shown."""

    def __init__(self):
        self.masks = []

    def __call__(self, image, mask):
        self.masks.append(mask)
        return torch.full_like(image, 0.5)


def test_a_larger_hole_hides_all_that_a_smaller_one_hid(faces):
    watch = Watch()
    sides = (16, 32, 48, 80)
    found = evaluation.hole_sizes(watch, faces, sides, "psnr", limit=6, batch=6)
    assert found.holes == ("16 px", "32 px", "48 px", "80 px")
    for side, mask in zip(sides, watch.masks, strict=True):
        assert (mask == 0).sum((1, 2, 3)).tolist() == [(side // 4) ** 2] * 6  # 32 px faces, sides of 128
    for smaller, larger in zip(watch.masks, watch.masks[1:], strict=False):
        assert bool((larger <= smaller).all())
    assert len(torch.unique(watch.masks[0], dim=0)) > 1  # each face has its own place


def test_places_are_the_same_for_any_batch_and_for_every_method(faces):
    one, other = Watch(), Watch()
    evaluation.hole_sizes({"a": one, "b": one}, faces, [24], "psnr", limit=5, batch=1)
    evaluation.hole_sizes(other, faces, [24], "psnr", limit=5, batch=5)
    assert torch.equal(torch.cat(one.masks[::2]), torch.cat(one.masks[1::2]))
    assert torch.equal(torch.cat(one.masks[::2]), torch.cat(other.masks))
    more = Watch()
    evaluation.hole_sizes(more, faces, [24], "psnr", limit=5, batch=5, seed=1)
    assert not torch.equal(torch.cat(more.masks), torch.cat(other.masks))


def test_places_cover_the_face_evenly_and_nothing_else():
    points = fc.faces.embedded("test", 128)[0].landmarks[0].double().numpy()
    random = np.random.default_rng(0)
    drawn = np.stack([experiments._point_on_face(points, random) for _ in range(400)])
    assert (Delaunay(points).find_simplex(drawn) >= 0).all()
    eye = ConvexHull(points[[36, 39, 48, 57]])  # a piece of the face, from the image-left eye to the mouth
    share = (Delaunay(eye.points).find_simplex(drawn) >= 0).mean()
    assert share == pytest.approx(eye.volume / ConvexHull(points).volume, abs=0.06)


def test_faces_without_landmarks_have_their_holes_where_aligned_faces_are():
    batch = FaceBatch(image=torch.rand(3, 3, 64, 64))
    mask = experiments._squares(0.25, batch, np.arange(3), 0)
    assert ((mask == 0).sum((1, 2, 3)) == 16 * 16).all()


@pytest.mark.parametrize("sides", [[], [0], [128], [16, 16]])
def test_sides_that_are_no_part_of_a_image_are_refused(faces, sides):
    with pytest.raises(ValueError, match="sides must be different numbers from 1 to 127"):
        evaluation.hole_sizes("mean", faces, sides)


def test_intervals_by_person_need_people(faces):
    by_person = evaluation.evaluate("mean", faces, "center", "psnr", by="person")
    assert np.array_equal(by_person.groups, faces.column("identity"))
    assert evaluation.evaluate("mean", faces, "center", "psnr", limit=3).groups is None
    with pytest.raises(ValueError, match="by must be 'image' or 'person'"):
        evaluation.evaluate("mean", faces, "center", "psnr", by="hour")


# -------------------------------------------------------------------------------------- who is recognised


class People:
    """Six people, three grey images of each; who it is shows in the images' brightness."""

    name = "people"

    def __init__(self, identity=None):
        self.identity = np.repeat(np.arange(6), 3) if identity is None else np.asarray(identity)
        level = self.identity / 10 + 0.01 * (np.arange(len(self.identity)) % 3)
        self.image = torch.tensor(level).float()[:, None, None, None].expand(-1, 3, 32, 32).contiguous()

    def __len__(self):
        return len(self.identity)

    def column(self, name):
        return {"identity": self.identity}[name]

    def batch(self, numbers):
        return FaceBatch(
            image=self.image[torch.as_tensor(numbers)], landmarks=torch.zeros(len(numbers), 68, 2)
        )


@pytest.fixture
def bright(monkeypatch):
    """An embedding that sees the mean brightness of the image."""
    monkeypatch.setattr(
        experiments, "face_embedding", lambda image, landmarks: image.mean((1, 2, 3))[:, None]
    )


def test_a_perfect_completion_is_recognised_like_the_original_and_a_constant_is_not(bright):
    people = People()
    levels = people.image.mean((1, 2, 3))

    def perfect(image, mask):
        known = (image[:, 0] * mask[:, 0]).sum((1, 2)) / mask[:, 0].sum((1, 2))
        return known[:, None, None, None].expand_as(image)

    def darkest(image, mask):
        return torch.zeros_like(image) - 9  # clamped to black

    found = evaluation.recognise([perfect, darkest], people, ["half_left", "center"], top=(1, 5))
    assert found.methods == ("original", "noise", "perfect", "darkest")
    assert found.holes == ("half_left", "center") and found.measures == ("top1", "top5")
    assert len(levels) == 18
    for hole in found.holes:
        assert len(found.values("top1", "original", hole)) == 12  # the first image of each is the gallery
        assert found.estimate("top1", "original", hole).mean == 1
        assert found.estimate("top1", "perfect", hole).mean == 1
        assert found.estimate("top1", "noise", hole).mean < 1
    # half of the brightness is lost: person 1 looks like 0.5, 2 like 1, 4 like 2, only 0 like themselves
    assert found.estimate("top1", "darkest", "half_left").mean < 0.5


def test_intervals_are_by_person_and_the_table_has_the_papers_layout(bright):
    found = evaluation.recognise("mean", People(), ["center", "half_left"], top=(1,))
    assert np.array_equal(found.groups, np.repeat(np.arange(6), 2))
    lines = str(found.table("top1")).splitlines()
    assert lines[1].split() == ["center", "half_left"]
    assert [line.split()[0] for line in lines[2:5]] == ["original", "noise", "mean"]
    html = found.table("top1")._repr_html_()
    assert html.index("<th style='text-align:right;padding:2px 12px'>center") < html.index(">original<")


def test_a_larger_gallery_leaves_fewer_probes_and_lonely_people_are_only_in_the_gallery(bright):
    found = evaluation.recognise("mean", People(), "center", top=(1,), gallery=2)
    assert len(found.values("top1", "original", "center")) == 6
    found = evaluation.recognise("mean", People([0, 1, 1, 2]), "center", top=(1, 3))
    assert len(found.values("top1", "original", "center")) == 1
    found = evaluation.recognise("mean", People(), "center", top=(1,), limit=2)
    assert len(np.unique(found.groups)) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"methods": {"noise": "mean"}}, "recognise itself adds noise"),
        ({"mask_kinds": "hexagon"}, "Unknown mask kinds"),
        ({"gallery": 3}, "Nobody has more than 3 images"),
        ({"gallery": 0}, "gallery and limit must be 1 or more"),
        ({"top": (7,)}, "top must lie in 1 ... 6"),
        ({"dataset": People([-1, 0, 0])}, "people does not know who its faces are"),
    ],
)
def test_what_cannot_be_recognised_is_refused(bright, options, message):
    asked = {"methods": "mean", "dataset": People(), "mask_kinds": "center"} | options
    with pytest.raises(ValueError, match=message):
        evaluation.recognise(**asked)


def test_rendered_people_are_found_again():
    need_dlib("dlib_embedding")
    found = evaluation.recognise("mean", fc.faces.embedded("test", 64), "gfc_o3", top=(1,), limit=4)
    assert found.estimate("top1", "original", "gfc_o3").mean > 0.8
    assert found.difference("top1", "mean", "original", "gfc_o3").mean <= 0


# -------------------------------------------------------------------------------- gfc's models, recorded


@pytest.fixture
def tiny(monkeypatch):
    """Networks so small that a run takes a second; measures without weights from outside."""
    monkeypatch.setattr(gfc_models, "SIZE", 32)
    monkeypatch.setattr(gfc_models, "NETWORKS", {"width": 1 / 16, "fc_dim": 8})
    monkeypatch.setattr(gfc_models, "HOLES", ("gfc_o4", "center"))
    monkeypatch.setattr(gfc_models, "MEASURES", ("psnr", "ssim"))
    monkeypatch.setattr(gfc_models, "PRECISION", "32-true")


def run_models(monkeypatch, folder, *words):
    asked = [
        "--steps",
        6,
        "--seeds",
        1,
        "--threads",
        1,
        "--limit",
        3,
        "--parser-steps",
        2,
        "--out",
        folder / "runs",
    ]
    words = [*asked, "--results", folder / "models", *words]
    monkeypatch.setattr("sys.argv", ["gfc_models.py", *map(str, words)])
    return gfc_models.main()


def test_all_models_take_as_many_steps_and_each_adds_a_loss():
    plans = {model: gfc_models.stages(model, 100) for model in gfc_models.MODELS}
    for plan in plans.values():
        assert [stage.steps for stage in plan] == [33, 17, 50]
    terms = {model: set(plan[-1].optimizers["generator"].losses) for model, plan in plans.items()}
    assert [len(terms[model]) for model in ("M1", "M2", "M3", "M4")] == [1, 2, 3, 4]
    assert terms["M1"] < terms["M2"] < terms["M3"] < terms["M4"]


def test_the_models_are_recorded_and_an_interrupted_run_goes_on(tiny, monkeypatch, tmp_path, capsys):
    assert run_models(monkeypatch, tmp_path) == 0
    runs = evaluation.load_runs(tmp_path / "models.csv.gz")
    card = json.loads((tmp_path / "models.json").read_text())
    assert runs[0].methods == ("M1", "M2", "M3", "M4", "M5") and runs[0].holes == ("gfc_o4", "center")
    assert len(runs[0].groups) == 3 == card["test"]["faces"]
    assert card["steps"] == 6 and card["stages"] == {"reconstruct": 2, "locally": 1, "globally": 3}
    assert not np.array_equal(*(runs[0].values("psnr", name, "center") for name in ("M4", "M5")))
    other, done = tmp_path / "other", []

    def stopped(job):
        done.append(job)
        if len(done) == 3:
            raise KeyboardInterrupt
        return do(job)

    do = gfc_models.do
    monkeypatch.setattr(gfc_models, "do", stopped)
    assert run_models(monkeypatch, other) == 130
    assert "start it again to go on" in capsys.readouterr().err and not (other / "models.json").exists()
    monkeypatch.setattr(gfc_models, "do", do)
    scored = sorted((other / "runs").glob("*/scores-3.csv.gz"))
    before = [file.stat().st_mtime_ns for file in scored]
    assert run_models(monkeypatch, other) == 0
    assert len(scored) == 2 and [file.stat().st_mtime_ns for file in scored] == before
    assert (other / "models.csv.gz").read_bytes() == (tmp_path / "models.csv.gz").read_bytes()


def test_one_parsing_network_serves_all_runs(tiny, monkeypatch, tmp_path):
    out = tmp_path / "runs"
    gfc_models.provide_parser(out, None, 1, None)
    kept = (out / "parser.safetensors").read_bytes()
    gfc_models.provide_parser(out, out / "parser", 1, None)
    assert (out / "parser.safetensors").read_bytes() == kept
    other = tmp_path / "other"
    gfc_models.provide_parser(other, None, 2, None)
    with pytest.raises(ValueError, match="use another parsing network: choose another --out"):
        gfc_models.provide_parser(out, other / "parser.safetensors", 1, None)
    with pytest.raises(FileNotFoundError, match="give a run after its stage 'parsing'"):
        gfc_models.provide_parser(out, tmp_path, 1, None)
    save_file({"generator.weight": torch.zeros(1)}, tmp_path / "no-parser.safetensors")
    with pytest.raises(ValueError, match="holds no parser"):
        gfc_models.provide_parser(out, tmp_path / "no-parser.safetensors", 1, None)
    assert run_models(monkeypatch, tmp_path, "--steps", 5) == 1
