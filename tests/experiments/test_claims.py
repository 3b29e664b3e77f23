"""A claim is judged by what happens again and again: over faces, over people, over training runs."""

import numpy as np
import pandas as pd
import pytest

from facecomp_lib.experiments import claim

FACES = 60


def scores_of(gaps, metric="psnr", masks=("eye", "mouth"), spread=0.1, people=None):
    """Made-up scores of two models from several seeds: B's are a gap above A's; faces differ a lot."""
    hard = 5 * np.random.default_rng(99).normal(size=FACES)  # the same faces in every run
    parts = []
    for seed, gap in enumerate(gaps):
        random = np.random.default_rng(seed)
        for mask in masks:
            for name, value in (("A", hard), ("B", hard + gap + spread * random.normal(size=FACES))):
                faces = np.arange(FACES)
                keys = {"variant": name, "seed": seed, "mask": mask, "index": faces, "metric": metric}
                identity = faces if people is None else people
                parts.append(pd.DataFrame({**keys, "identity": identity, "value": 20 + value}))
    return pd.concat(parts, ignore_index=True)


def test_a_difference_that_every_run_shows_holds_and_its_opposite_does_not():
    scores = scores_of([1.0, 1.1, 0.9])
    found = claim("B is nearer", scores, "psnr", "B", "A")
    assert found.verdict == "holds" and np.isnan(found.seeds_needed)
    assert found.mean == pytest.approx(1.0, abs=0.02) and found.n == FACES and found.seeds == 3
    assert found.by_seed == pytest.approx((1.0, 1.1, 0.9), abs=0.05)
    assert claim("A is nearer", scores, "psnr", "A", "B").verdict == "the opposite holds"


@pytest.mark.parametrize("metric", ["lpips", "identity", "l1_hole"])
def test_of_a_distance_less_is_better(metric):
    below = scores_of([-0.2, -0.21, -0.19], metric)
    assert claim("", below, metric, "B", "A").verdict == "holds"
    assert claim("", below, metric, "A", "B").verdict == "the opposite holds"


def test_runs_that_disagree_leave_it_undecided_and_say_how_many_would_decide():
    found = claim("", scores_of([2.0, -0.5, 0.6], spread=0.01), "psnr", "B", "A")
    assert found.verdict == "undecided"
    assert 10 < found.seeds_needed < 30  # a mean of 0.7, a deviation of 1.25: about 15
    hopeless = claim("", scores_of([2.0, -2.0, 0.001], spread=0.01), "psnr", "B", "A")
    assert np.isnan(hopeless.seeds_needed)


def test_disagreeing_seeds_widen_the_interval_and_the_mean_stays():
    widths = []
    for apart in (0.0, 0.1, 0.4):
        found = claim("", scores_of([1 - apart, 1.0, 1 + apart], spread=0.01), "psnr", "B", "A")
        assert found.mean == pytest.approx(1, abs=0.01)
        widths.append(found.high - found.low)
    assert widths[0] < widths[1] / 5 and widths[1] < widths[2] / 3


def test_one_run_cannot_tell_luck_from_method():
    found = claim("", scores_of([3.0]), "psnr", "B", "A")
    assert found.verdict == "undecided" and np.isnan(found.low) and found.seeds == 1


def test_only_the_masks_that_are_named_count():
    both = pd.concat([scores_of([1.0] * 3, masks=["eye"]), scores_of([-5.0] * 3, masks=["mouth"])])
    assert claim("", both, "psnr", "B", "A", "eye").verdict == "holds"
    assert claim("", both, "psnr", "B", "A", ["mouth"]).verdict == "the opposite holds"
    assert claim("", both, "psnr", "B", "A").mean == pytest.approx((1 - 5) / 2, abs=0.05)
    between = claim("B finds eyes easier than mouths", both, "psnr", ("B", "eye"), ("B", "mouth"))
    assert between.verdict == "holds" and between.mean == pytest.approx(6, abs=0.05)
    sets = both.rename(columns={"mask": "dataset"})
    assert claim("", sets, "psnr", "B", "A", "eye", across="dataset").verdict == "holds"


def test_people_are_drawn_whole():
    by_face, by_person = (
        claim("", scores_of([0.1] * 3, spread=1, people=people), "psnr", "B", "A")
        for people in (None, np.repeat(np.arange(6), 10))
    )
    assert by_face.mean == by_person.mean and by_face.low != by_person.low


def test_claims_are_rows_of_a_data_frame():
    scores = scores_of([1.0, 1.1, 0.9])
    frame = pd.DataFrame(
        [claim("one", scores, "psnr", "B", "A", paper=1.5), claim("two", scores, "psnr", "A", "B")]
    )
    assert list(frame["verdict"]) == ["holds", "the opposite holds"]
    assert frame["paper"][0] == 1.5 and np.isnan(frame["paper"][1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metric": "colour"}, "Whether a higher or lower 'colour' is better is not known"),
        ({"metric": "lpips", "masks": "eye"}, "There is no lpips of 'B' on 'eye'"),
        ({"better": "C"}, "There is no psnr of 'C' on 'eye'; there is A, B on eye, mouth"),
        ({"masks": "nose"}, "There is no psnr of 'B' on 'nose'"),
        ({"masks": []}, "at least one kind of mask"),
    ],
)
def test_what_cannot_be_judged_is_refused(options, message):
    asked = {"text": "", "scores": scores_of([1, 2]), "metric": "psnr", "better": "B", "worse": "A"} | options
    with pytest.raises(ValueError, match=message):
        claim(**asked)


def test_two_models_need_the_same_seeds():
    scores = scores_of([1, 2])
    lacking = scores[(scores["variant"] == "A") | (scores["seed"] == 0)]
    with pytest.raises(ValueError, match=r"need the same seeds, not \[0\] and \[0, 1\]"):
        claim("", lacking, "psnr", "B", "A")
