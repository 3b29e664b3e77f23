"""Dice, F-scores and landmark errors by hand, and against torchmetrics'."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_help import noise, others

import facecomp_lib as fc
from facecomp_lib import evaluation
from facecomp_lib.faces.schema import PARSING

SKIN, LEFT_BROW, RIGHT_BROW, NOSE, UPPER_LIP, INNER, LOWER_LIP = 1, 2, 3, 6, 7, 8, 9


def labels(*rows):
    return torch.tensor([rows])


def random_labels(seed, batch=2, side=9, classes=11):
    return torch.from_numpy(np.random.default_rng(seed).integers(classes, size=(batch, side, side)))


def test_dice_by_hand():
    prediction = labels([SKIN, SKIN, NOSE, 0])
    target = labels([SKIN, NOSE, NOSE, NOSE])
    scores = evaluation.dice(prediction, target)[0]
    assert scores[SKIN].item() == pytest.approx(2 * 1 / (2 + 1))
    assert scores[NOSE].item() == pytest.approx(2 * 1 / (1 + 3))
    assert scores[0].item() == 0  # predicted, never there
    assert scores[[2, 3, 4, 5, 7, 8, 9, 10]].isnan().all()


@given(st.integers(0, 999))
@settings(max_examples=15, deadline=None)
def test_dice_is_symmetric_and_one_for_equal_maps(seed):
    a, b = random_labels(seed), random_labels(seed + 1)
    assert torch.equal(evaluation.dice(a, b), evaluation.dice(b, a))
    assert (evaluation.dice(a, a).nan_to_num(1) == 1).all()


def test_f_scores_are_torchmetrics():
    others()
    from torchmetrics.functional.classification import multiclass_confusion_matrix, multiclass_f1_score

    prediction, target = random_labels(0, 3), random_labels(1, 3)
    counts = evaluation.confusion(prediction, target)
    assert torch.equal(counts, multiclass_confusion_matrix(prediction, target, 11))
    scores = evaluation.f_scores(counts)
    theirs = multiclass_f1_score(prediction, target, 11, average=None)
    assert [scores[name] for name in PARSING] == pytest.approx(theirs.tolist(), abs=1e-6)


def test_dice_of_one_image_is_its_f_score():
    prediction, target = random_labels(2, 1), random_labels(3, 1)
    scores = evaluation.f_scores(evaluation.confusion(prediction, target))
    assert [scores[name] for name in PARSING] == pytest.approx(
        evaluation.dice(prediction, target)[0].tolist()
    )


def test_components_are_merged_before_they_are_counted():
    target = labels([LEFT_BROW, RIGHT_BROW, UPPER_LIP, INNER, LOWER_LIP, NOSE, SKIN, 0])
    prediction = labels([RIGHT_BROW, LEFT_BROW, INNER, INNER, INNER, SKIN, SKIN, NOSE])
    scores = evaluation.f_scores(evaluation.confusion(prediction, target))
    assert scores["left eyebrow"] == scores["right eyebrow"] == 0
    assert scores["brows"] == scores["mouth"] == 1
    assert scores["inner mouth"] == pytest.approx(2 * 1 / (3 + 1))
    assert scores["nose"] == 0
    assert np.isnan(scores["eyes"])
    # hits: 2 of brows, 3 of the mouth; marked: 2 + 2, 3 + 3, and the nose once in each map
    assert scores["overall"] == pytest.approx(2 * 5 / (4 + 6 + 2))


def test_confusions_add_up():
    maps = [(random_labels(k), random_labels(k + 9)) for k in range(3)]
    together = evaluation.confusion(*(torch.cat(side) for side in zip(*maps, strict=True)))
    assert torch.equal(sum(evaluation.confusion(a, b) for a, b in maps), together)
    assert together.sum() == 3 * 2 * 81


def test_a_parsing_map_of_faces_scores_one_against_itself_and_less_mirrored():
    faces = fc.faces.embedded("test", 64)[:4]
    perfect = evaluation.f_scores(evaluation.confusion(faces.parsing, faces.parsing))
    assert perfect["overall"] == perfect["hair"] == 1
    mirrored = evaluation.f_scores(evaluation.confusion(faces.mirror().parsing, faces.parsing))
    assert 0.1 < mirrored["overall"] < 1


def test_landmark_errors_by_hand():
    target = torch.zeros(2, 68, 2)
    target[:, 45] = torch.tensor([30.0, 40.0])  # the eyes' outer corners are 50 px apart
    prediction = target + torch.tensor([3.0, 4.0])
    prediction[1] = target[1]
    prediction[1, 0] += torch.tensor([0.0, 68.0])
    assert evaluation.landmark_error(prediction, target).tolist() == pytest.approx([5, 1])
    assert evaluation.nme(prediction, target).tolist() == pytest.approx([0.1, 0.02])


def test_the_normalised_error_does_not_know_the_size_of_the_image():
    faces = fc.faces.embedded("test", 128)[:3]
    guess = faces.landmarks + noise(3, 68, 2) - 0.5
    expected = evaluation.nme(guess, faces.landmarks)
    assert torch.allclose(evaluation.nme(2 * guess + 0.5, 2 * faces.landmarks + 0.5), expected)
    assert torch.allclose(
        evaluation.landmark_error(2 * guess, 2 * faces.landmarks),
        2 * evaluation.landmark_error(guess, faces.landmarks),
    )


MAP, POINTS = random_labels(0), noise(2, 68, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: evaluation.dice(MAP, MAP[:1]), r"one shape \[B, H, W\], not \[2, 9, 9\] and \[1, 9, 9\]"),
        (lambda: evaluation.dice(MAP[0], MAP[0]), r"prediction must be whole numbers \[B, H, W\]"),
        (lambda: evaluation.dice(MAP, MAP.float()), r"target must be whole numbers .* not torch.float32"),
        (lambda: evaluation.dice(MAP + 1, MAP), r"prediction has labels 1 \.\.\. 11"),
        (lambda: evaluation.confusion(MAP, MAP - 1), r"target has labels -1"),
        (lambda: evaluation.dice(MAP.numpy(), MAP), "not ndarray"),
        (lambda: evaluation.f_scores(torch.zeros(3, 3)), r"must be \[11, 11\]"),
        (lambda: evaluation.nme(POINTS[:1], POINTS), "prediction has 1 faces, target 2"),
        (lambda: evaluation.nme(POINTS[:, :5], POINTS), r"prediction must be \[B, 68, 2\]"),
        (lambda: evaluation.nme(POINTS, POINTS / 0), "target has NaN"),
        (lambda: evaluation.nme(POINTS, torch.zeros(2, 68, 2)), "cannot be a face's"),
        (lambda: evaluation.landmark_error(POINTS.numpy(), POINTS), "not ndarray"),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("mask", [torch.full((1, 1, 1, 4), 0.5), torch.full((1, 1, 1, 4), 255).byte()])
def test_a_mask_that_is_not_of_zeros_and_ones_is_refused(mask):
    maps, points = labels([SKIN, SKIN, NOSE, 0]), torch.zeros(1, 68, 2)
    for metric, values in ((evaluation.dice_hole, maps), (evaluation.nme_hole, points)):
        with pytest.raises(ValueError, match="mask must hold 1 .known. and 0 .missing. only"):
            metric(values, values, mask)
