"""Intervals hold the truth as often as they say: over faces, over people, over training runs."""

import numpy as np
import pytest
from scipy import stats

from facecomp_lib.evaluation import bootstrap, bootstrap_runs, difference


def test_the_interval_is_scipys():
    values = np.random.default_rng(0).gamma(2, 3, 80)
    ours = bootstrap(values)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=20000, method="percentile", rng=1)
    assert ours.mean == pytest.approx(values.mean())
    assert [ours.low, ours.high] == pytest.approx(
        theirs.confidence_interval, abs=0.06 * (ours.high - ours.low)
    )


def test_about_95_of_100_intervals_hold_the_truth():
    draws = np.random.default_rng(0)
    intervals = [bootstrap(draws.normal(7, 2, 50), seed=k) for k in range(300)]
    covered = np.mean([interval.low <= 7 <= interval.high for interval in intervals])
    assert 0.90 < covered < 0.98


def test_more_faces_narrow_the_interval():
    draws = np.random.default_rng(0).normal(size=400)
    few, many = bootstrap(draws[:100]), bootstrap(draws)
    assert many.high - many.low < 0.7 * (few.high - few.low)


def test_pairs_tell_apart_what_two_intervals_do_not():
    draws = np.random.default_rng(0)
    hard = draws.normal(20, 4, 40)
    better = hard + draws.normal(1, 0.3, 40)
    one, other = bootstrap(hard), bootstrap(better)
    assert one.low < other.low < one.high < other.high  # they overlap
    gap = difference(better, hard)
    assert gap.significant and gap.low > 0.8 and gap.high < 1.2 and gap.n == 40
    back = difference(hard, better)
    assert back.mean == pytest.approx(-gap.mean) and back.significant
    assert not difference(hard, draws.permutation(hard)).significant


def test_equal_seeds_give_equal_intervals():
    values = np.random.default_rng(0).normal(size=30)
    assert bootstrap(values, seed=3) == bootstrap(values, seed=3) != bootstrap(values, seed=4)


def test_what_was_not_measured_does_not_count():
    assert bootstrap([1.0, np.nan, 3.0]).n == 2 and bootstrap([1.0, np.nan, 3.0]).mean == 2
    assert np.isnan(bootstrap([]).mean) and np.isnan(bootstrap([1.0]).low)
    infinite = bootstrap([20.0, np.inf, 22.0, 21.0])  # equal images have an infinite PSNR
    assert infinite.mean == np.inf and 20 <= infinite.low < infinite.high == np.inf


def test_people_are_drawn_whole():
    people = np.repeat(np.arange(10), 6)
    values = np.random.default_rng(0).normal(size=10)[people]
    by_person, by_face = bootstrap(values, groups=people), bootstrap(values)
    assert by_person.mean == by_face.mean and by_person.n == 60
    wider = (by_person.high - by_person.low) / (by_face.high - by_face.low)
    assert wider == pytest.approx(6**0.5, rel=0.2)
    assert bootstrap(values, groups=np.arange(60)) == by_face
    assert np.isnan(bootstrap(values, groups=np.zeros(60)).low)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bootstrap([[1.0]]), r"flat list .* not \[1, 1\]"),
        (lambda: bootstrap([1.0, 2.0], groups=[1, 2, 3]), r"a group for each of 2 values, not \[3\]"),
        (lambda: difference([1.0], [1.0, 2.0]), "the same faces twice: 1 and 2"),
        (lambda: bootstrap_runs([1.0, 2.0]), r"\[runs, faces\], not \[2\]"),
    ],
)
def test_what_has_no_interval_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# -------------------------------------------------------------------------------------------- several runs


def coverage(draw, count=120):
    """How often the interval holds the truth, which is 0."""
    found = []
    for seed in range(count):
        values, *groups = draw(np.random.default_rng(seed))
        found.append(bootstrap_runs(values, seed, *groups))
    return np.mean([one.low <= 0 <= one.high for one in found])


@pytest.mark.parametrize("seeds", [3, 5])
def test_an_interval_of_95_percent_holds_the_truth_that_often_even_with_few_seeds(seeds):
    def draw(random):
        of_seed, of_face, rest = ((seeds, 1), (1, 50), (seeds, 50))
        return (random.normal(0, 0.3, of_seed) + random.normal(0, 1, of_face) + random.normal(0, 1, rest),)

    assert coverage(draw) > 0.92


def test_faces_of_one_person_are_not_as_good_as_faces_of_several():
    people = np.repeat(np.arange(15), 4)

    def draw(random):
        return random.normal(0, 1, 15)[people] + random.normal(0, 0.1, (5, 60)), people

    assert coverage(draw) > 0.88
    assert coverage(lambda random: draw(random)[:1]) < 0.75  # as if 60 faces were 60 people


def test_more_runs_narrow_the_interval():
    few, many = (
        bootstrap_runs(stats.zscore(np.arange(count))[:, None] + np.zeros((count, 40))) for count in (3, 12)
    )
    assert many.high - many.low < (few.high - few.low) / 2


def test_faces_that_one_run_lacks_count_in_none():
    values = np.array([[1.0, 2, 3, np.nan], [3, 4, 5, 100], [2, 3, np.inf, 4]])
    found = bootstrap_runs(values)
    assert found.n == 2 and found.mean == pytest.approx(2.5)
