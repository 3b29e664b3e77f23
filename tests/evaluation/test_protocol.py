"""Methods are treated alike: the same faces, the same masks, nothing seen that is missing."""

import numpy as np
import pytest
import tiny_faces
import torch
from metric_help import need
from photo_help import need_dlib
from torch import nn

import facecomp_lib as fc
from facecomp_lib import evaluation, masks
from facecomp_lib.completion import Completion
from facecomp_lib.papers.collagan import five_points

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


def values(scores, metric, method, mask):
    """One number per face, in the faces' order."""
    rows = scores.query("metric == @metric and method == @method and mask == @mask")
    return rows.sort_values("index")["value"].to_numpy()


def test_every_method_gets_every_mask_of_every_face(faces):
    scores = evaluation.evaluate(
        ["mean", "telea"], faces, ["center", "random_square"], FAST, limit=7, batch_size=3
    )
    assert list(scores.columns) == ["method", "mask", "index", "identity", "metric", "value"]
    assert len(scores) == 2 * 2 * len(FAST) * 7 and not scores.duplicated(list(scores.columns[:-1])).any()
    people = faces.column("identity")
    assert (scores["identity"] == people[scores["index"]]).all()
    assert tuple(scores["metric"].unique()) == FAST and scores["index"].nunique() == 7


def test_the_numbers_are_scores_of_composites(faces):
    scores = evaluation.evaluate("telea", faces, "center", FAST)
    image = faces[:].image
    mask = masks.make("center", 32, len(faces))
    expected = evaluation.score(fc.classical.complete(image, mask, "telea").composite, image, mask)
    for name in FAST:
        assert np.allclose(values(scores, name, "telea", "center"), expected[name], atol=1e-5)


def test_batches_other_faces_and_other_methods_change_nothing(faces):
    def run(*methods, **options):
        scores = evaluation.evaluate(list(methods), faces, ["random_square"], FAST, **options)
        return values(scores, "psnr_hole", "telea", "random_square")

    expected = run("telea", limit=6, batch_size=6)
    for again in (run("telea", limit=6, batch_size=1), run("mean", "telea", limit=6, batch_size=4)):
        assert np.allclose(again, expected, atol=1e-5)
    more = run("telea", limit=12)
    assert all(np.isclose(more, one, atol=1e-5).any() for one in expected)  # a longer draw holds the shorter
    assert not np.allclose(run("telea", limit=6, seed=1), expected, atol=1e-3)


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
        "too bright": lambda image, mask: torch.full_like(image, 1.2),
        "white": lambda image, mask: torch.ones_like(image),
    }
    scores = evaluation.evaluate(methods, faces, "center", FAST, limit=3)
    assert list(scores["method"].unique()) == list(methods)
    grey, function, bright, white = (
        values(scores, "psnr", name, "center") for name in ("grey", "function", "too bright", "white")
    )
    assert np.array_equal(grey, function)
    assert np.array_equal(bright, white)  # images end at 1
    alone = evaluation.evaluate(Grey(), faces, "center", "psnr", limit=1)
    assert list(alone["method"]) == ["Grey"]


def test_identity_and_kid_are_metrics_too():
    need_dlib("dlib_embedding")
    need("lpips_vgg")
    faces = fc.faces.embedded("test", 64)
    scores = evaluation.evaluate(
        ["mean", "telea"], faces, "center", ("l1", "identity", "kid"), limit=4, batch_size=2
    )
    assert set(scores["metric"]) == {"l1", "identity", "kid_vgg16"}
    assert values(scores, "identity", "telea", "center").mean() > 0.1
    of_set = scores[scores["metric"] == "kid_vgg16"]
    assert list(of_set["index"]) == [-1, -1] and list(of_set["method"]) == ["mean", "telea"]


def test_labels_and_landmarks_of_the_extras_are_measured_for_methods_that_give_them():
    faces = fc.faces.embedded("test", 64)
    shown = faces.batch(range(2))

    def knows(image, mask):  # the true labels and points, the latter 2 px too far right
        extras = {"parsing": shown.parsing, "landmarks": shown.landmarks + torch.tensor([2.0, 0.0])}
        return Completion(image, image, extras)

    def points_only(image, mask):
        return {"landmarks": five_points(shown.landmarks) + 3}

    class Two:
        def __len__(self):
            return 2

        def batch(self, numbers):
            return shown

    asked = ("psnr", "dice", "dice_hole", "dice_nose", "f_eyes", "nme", "nme_hole", "landmark_error")
    scores = evaluation.evaluate({"knows": knows, "mean": "mean"}, Two(), "center", asked)
    found = scores[scores["method"] == "knows"].groupby("metric")["value"].mean()
    assert found[["dice", "dice_hole", "dice_nose", "f_eyes"]].tolist() == [1, 1, 1, 1]
    assert found["landmark_error"] == pytest.approx(4)  # px of 128
    assert found["nme_hole"] == pytest.approx(found["nme"])
    assert set(scores[scores["method"] == "mean"]["metric"]) == {"psnr"}
    alone = evaluation.evaluate(points_only, Two(), "none", ("psnr", "landmark_error", "landmark_error_nose"))
    assert alone["value"].to_numpy() == pytest.approx([2 * 18**0.5] * 4)


def test_a_completer_is_told_the_conditions_that_it_names(faces):
    told = []

    def complete(image, mask, landmarks):
        told.append(landmarks)
        return image

    complete.conditions = ("landmarks",)
    evaluation.evaluate({"told": complete}, faces, "center", "psnr", limit=2)
    numbers = evaluation.evaluate("mean", faces, "center", "psnr", limit=2)["index"]
    assert torch.equal(told[0], faces.batch(numbers.to_numpy()).landmarks)


def test_metrics_of_extras_that_nobody_gives_are_refused(faces):
    with pytest.raises(ValueError, match="No method gives 'landmarks' in its extras, which nme needs"):
        evaluation.evaluate("mean", faces, "center", ("psnr", "nme"), limit=1)


def test_a_face_without_a_missing_pixel_has_no_number_for_missing_pixels(faces):
    scores = evaluation.evaluate("mean", faces, "none", FAST, limit=2)
    assert set(scores["metric"]) == {"psnr"} and np.isinf(scores["value"]).all()


def test_a_folder_of_photographs_without_labels_will_do_but_not_for_identity(tmp_path):
    tiny_faces.write(tmp_path)
    faces = fc.faces.folder(tmp_path)
    scores = evaluation.evaluate("mean", faces, "center", "psnr", limit=100)
    assert len(scores) == len(faces) == 6


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
        ({"masks": "hexagon"}, r"Unknown mask kinds \['hexagon'\]: choose from center"),
        ({"masks": []}, "Unknown mask kinds"),
        ({"metrics": ("psnr", "top1")}, r"Unknown metrics \['top1'\]: choose from psnr, "),
        ({"metrics": ()}, "Unknown metrics"),
        ({"metrics": ("kid",), "limit": 3}, "KID needs 4 faces or more, not 3"),
        ({"limit": 0}, "the limit is 0"),
        ({"batch_size": 0}, "0 at a time"),
        ({"faces": NoLandmarks(), "metrics": ("identity",)}, "needs landmarks"),
    ],
)  # fmt: skip
def test_what_cannot_be_measured_is_refused(faces, options, message):
    asked = {"methods": "mean", "faces": faces, "metrics": FAST, "limit": 1, "progress": False} | options
    with pytest.raises(ValueError, match=message) as caught:
        evaluation.evaluate(**asked)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("scaled", [lambda x: 255 * x, lambda x: 2 * x - 1, lambda x: (255 * x).byte()])
def test_a_method_of_another_range_is_refused_by_its_name(faces, scaled):
    methods = {"odd": lambda image, mask: scaled(1 - image * mask)}
    with pytest.raises(ValueError, match=r"the method 'odd' gives .*255"):
        evaluation.evaluate(methods, faces, limit=2)
