"""Methods are treated alike: the same faces, the same holes, nothing seen that is missing."""

import numpy as np
import pytest
import tiny_faces
import torch
from measure_help import need
from photo_help import need_dlib
from torch import nn

import facecomp_lib as fc
from data_scripts import compare_fills
from facecomp_lib import evaluation, masks
from facecomp_lib.completion import Completion

FAST = ("psnr", "psnr_hole", "l1_hole")


@pytest.fixture(scope="module")
def faces():
    return fc.faces.embedded("test", 32)


class Grey(nn.Module):
    """A method that completes by a constant, and tells what it was shown."""

    def __init__(self, level=0.5):
        super().__init__()
        self.level, self.seen = nn.Parameter(torch.tensor(level)), []

    def complete(self, image, mask):
        self.seen.append((image.clone(), mask.clone()))
        assert not torch.is_grad_enabled()
        raw = torch.ones_like(image) * self.level
        return Completion(composite=masks.composite(image, raw, mask), raw=raw)


def test_every_method_gets_every_hole_of_every_face(faces):
    comparison = evaluation.evaluate(
        ["mean", "telea"], faces, ["center", "random_square"], FAST, limit=7, batch=3
    )
    assert comparison.methods == ("mean", "telea")
    assert comparison.holes == ("center", "random_square")
    assert comparison.measures == FAST
    for hole in comparison.holes:
        assert len(comparison.values("psnr", "telea", hole)) == 7
        assert comparison.difference("psnr", "telea", "mean", hole).n == 7


def test_the_numbers_are_scores_of_composites(faces):
    comparison = evaluation.evaluate("telea", faces, "center", FAST)
    image = faces[:].image
    mask = masks.make("center", 32, len(faces))
    expected = evaluation.score(fc.classical.complete(image, mask, "telea").composite, image, mask)
    for name in FAST:
        assert np.allclose(comparison.values(name, "telea", "center"), expected[name], atol=1e-5)


def test_batches_other_faces_and_other_methods_change_nothing(faces):
    def run(*methods, **options):
        return evaluation.evaluate(list(methods), faces, ["random_square"], FAST, **options)

    expected = run("telea", limit=6, batch=6).values("psnr_hole", "telea", "random_square")
    for again in (run("telea", limit=6, batch=1), run("mean", "telea", limit=6, batch=4)):
        assert np.allclose(again.values("psnr_hole", "telea", "random_square"), expected, atol=1e-5)
    more = run("telea", limit=12).values("psnr_hole", "telea", "random_square")
    assert all(
        np.isclose(more, value, atol=1e-5).any() for value in expected
    )  # a longer draw holds the shorter
    other = run("telea", limit=6, seed=1).values("psnr_hole", "telea", "random_square")
    assert not np.allclose(other, expected, atol=1e-3)


def test_nothing_under_the_hole_is_shown_and_known_pixels_are(faces):
    method = Grey()
    evaluation.evaluate(method, faces, "center", FAST, limit=4)
    ((image, mask),) = method.seen
    assert (image[(mask < 0.5).expand_as(image)] == 0).all()
    chosen = [k for k in range(len(faces)) if any(_same_known(faces[k].image, x, mask[:1]) for x in image)]
    assert len(chosen) == 4


def _same_known(true, shown, mask):
    return torch.equal(torch.where(mask > 0.5, true, 0), shown[None])


def test_methods_functions_and_names_may_be_mixed(faces):
    methods = {
        "telea": "telea",
        "grey": Grey(),
        "function": lambda image, mask: torch.full_like(image, 0.5),  # an image, not a completion
        "too bright": lambda image, mask: torch.full_like(image, 7.0),
        "white": lambda image, mask: torch.ones_like(image),
    }
    comparison = evaluation.evaluate(methods, faces, "center", FAST, limit=3)
    assert comparison.methods == tuple(methods)

    def values(name):
        return comparison.values("psnr", name, "center")

    assert np.array_equal(values("grey"), values("function"))
    assert np.array_equal(values("too bright"), values("white"))  # images end at 1
    assert evaluation.evaluate(Grey(), faces, "center", "psnr", limit=1).methods == ("Grey",)


def test_identity_and_kid_are_measures_too():
    need_dlib("dlib_embedding")
    need("lpips_vgg")
    faces = fc.faces.embedded("test", 64)
    comparison = evaluation.evaluate(
        ["mean", "telea"], faces, "center", ("l1", "identity", "kid"), limit=4, batch=2
    )
    assert comparison.measures == ("l1", "identity", "kid_vgg16")
    assert len(comparison.values("identity", "telea", "center")) == 4
    assert len(comparison.values("kid_vgg16", "telea", "center")) == 1
    assert comparison.estimate("identity", "telea", "center").mean > 0.1


def test_a_folder_of_photographs_without_labels_will_do_but_not_for_identity(tmp_path):
    tiny_faces.write(tmp_path)
    faces = fc.faces.folder(tmp_path)
    comparison = evaluation.evaluate("mean", faces, "center", FAST, limit=100)
    assert comparison.estimate("psnr", "mean", "center").n == len(faces) == 6


class NoLandmarks:
    """Faces whose landmarks nobody knows."""

    def __len__(self):
        return 3

    def batch(self, numbers):
        return fc.faces.FaceBatch(image=torch.rand(len(numbers), 3, 32, 32))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"methods": "nonsense"}, "Unknown fill 'nonsense': choose one of mean, telea"),
        ({"methods": 3}, "A method is a fill's name"),
        ({"methods": ["telea", "telea"]}, "Two methods have one name"),
        ({"methods": lambda image, mask: image[..., 1:]}, r"must give images .* not \[1, 3, 32, 31\]"),
        ({"methods": {"broken": lambda image, mask: image / 0}}, "'broken' gives images with NaN"),
        ({"methods": {"none": lambda image, mask: None}}, "'none' must give images .* not NoneType"),
        ({"mask_kinds": "hexagon"}, r"Unknown mask kinds \['hexagon'\]: choose from center"),
        ({"mask_kinds": []}, "Unknown mask kinds"),
        ({"measures": ("psnr", "fid")}, r"Unknown measures \['fid'\]"),
        ({"measures": ()}, "Unknown measures"),
        ({"measures": ("kid",), "limit": 3}, "KID needs 4 faces or more, not 3"),
        ({"limit": 0}, "the limit is 0"),
        ({"batch": 0}, "0 at a time"),
        ({"dataset": NoLandmarks(), "measures": ("identity",)}, "needs landmarks"),
    ],
)  # fmt: skip
def test_what_cannot_be_measured_is_refused(faces, options, message):
    asked = {"methods": "mean", "dataset": faces, "measures": FAST, "limit": 1, "progress": False} | options
    with pytest.raises(ValueError, match=message) as caught:
        evaluation.evaluate(**asked)
    assert "\n" not in str(caught.value)


# ------------------------------------------------------------------------------------------- the script


def script(monkeypatch, *words):
    monkeypatch.setattr("sys.argv", ["compare_fills.py", *map(str, words)])
    return compare_fills.main()


def test_the_script_prints_the_tables_that_it_saves(monkeypatch, capsys, tmp_path):
    path = tmp_path / "new" / "fills.csv"
    words = ("--size", 32, "--limit", 3, "--fills", "mean", "telea", "--holes", "center", "half_left")
    assert script(monkeypatch, *words, "--measures", "psnr", "l1", "--baseline", "mean", "--csv", path) == 0
    said = capsys.readouterr().out
    saved = evaluation.Comparison.from_csv(path)
    assert str(saved) in said and str(saved.differences("l1", "mean")) in said
    assert "test: 300 faces of 32 px" in said
    tiny_faces.write(tmp_path / "photos")
    assert script(monkeypatch, "--faces", tmp_path / "photos", "--split", "all", *words[4:]) == 0
    assert "all: 6 faces" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--split", "nope"], "Unknown split 'nope'"),
        (["--fills", "nope"], "Unknown fill 'nope'"),
        (["--holes", "nope"], "Unknown mask kinds"),
        (["--faces", "/nowhere"], "No prepared data set at /nowhere"),
        (["--baseline", "nope"], "nope is not among the fills"),
    ],
)
def test_the_script_says_in_one_line_what_is_wrong(monkeypatch, capsys, words, message):
    assert script(monkeypatch, *words) == 1
    said = capsys.readouterr().err.strip()
    assert said.startswith("compare_fills: ") and message in said and "\n" not in said
