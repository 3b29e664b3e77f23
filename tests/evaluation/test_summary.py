"""Means of a data frame of scores: which rows belong together, and which method is the best."""

import numpy as np
import pandas as pd
import pytest

from facecomp_lib.evaluation import METRICS, bootstrap, bootstrap_runs, metric, summarize


def scores_of(values, **columns):
    """A row per face; the k-th face shows person k // 2."""
    faces = np.arange(len(values))
    return pd.DataFrame({**columns, "index": faces, "identity": faces // 2, "value": values})


def two_fills(faces=40):
    """Biharmonic is 1 dB better on the same faces, and perceptually alike."""
    draws = np.random.default_rng(0)
    parts = []
    for mask, level in (("center", 20), ("half_left", 15)):
        hard = draws.normal(level, 4, faces)
        parts += [
            scores_of(hard, method="telea", mask=mask, metric="psnr"),
            scores_of(hard / 100, method="telea", mask=mask, metric="lpips"),
            scores_of(hard + draws.normal(1, 0.3, faces), method="biharmonic", mask=mask, metric="psnr"),
            scores_of(draws.permutation(hard) / 100, method="biharmonic", mask=mask, metric="lpips"),
        ]
    return pd.concat(parts, ignore_index=True)


def row(summary, name, column):
    return summary[(summary.iloc[:, 0] == name) & (summary.iloc[:, 1] == column)].iloc[0]


def test_a_mean_counts_people_or_faces():
    scores = two_fills()
    values = scores.query("method == 'telea' and mask == 'center' and metric == 'psnr'")
    people, faces = (row(summarize(scores, "psnr", by=by), "telea", "center") for by in ("identity", "index"))
    expected = bootstrap(values["value"], groups=values["identity"])
    assert (people["mean"], people["low"], people["high"]) == (expected.mean, expected.low, expected.high)
    assert faces["low"] == bootstrap(values["value"]).low != people["low"]
    assert people["n"] == faces["n"] == 40


def test_unknown_people_are_people_of_their_own():
    scores = two_fills()
    nobody = scores.assign(identity=-1)
    pd.testing.assert_frame_equal(summarize(nobody, "psnr"), summarize(scores, "psnr", by="index"))


def test_the_order_of_rows_is_of_no_meaning_for_numbers():
    scores = two_fills()
    mixed = scores.sample(frac=1, random_state=0)
    first, again = (summarize(one, "psnr", ["telea", "biharmonic"], ["center"]) for one in (scores, mixed))
    pd.testing.assert_frame_equal(first, again)


def test_the_best_are_the_best_and_what_cannot_be_told_from_it():
    by_psnr, by_lpips = (summarize(two_fills(), name) for name in ("psnr", "lpips"))
    assert set(by_psnr[by_psnr["best"]]["method"]) == {"biharmonic"}
    assert by_lpips["best"].all()  # nobody can tell
    alone = summarize(two_fills(), "psnr", ["telea"])
    assert not alone["best"].any()  # no contest


def test_differences_from_a_baseline_are_paired():
    gaps = summarize(two_fills(), "psnr", baseline="telea")
    assert set(gaps["method"]) == {"biharmonic"} and not gaps["best"].any()
    assert ((gaps["low"] > 0.8) & (gaps["high"] < 1.2)).all()


def test_several_seeds_widen_the_interval():
    runs = pd.concat(
        [two_fills().assign(seed=seed, value=lambda d, s=seed: d["value"] + s) for seed in range(3)]
    )
    runs = runs.rename(columns={"method": "variant"})
    found = row(summarize(runs, "psnr"), "telea", "center")
    part = runs.query("variant == 'telea' and mask == 'center' and metric == 'psnr'")
    table = part.pivot(index=["index", "identity"], columns="seed", values="value")
    expected = bootstrap_runs(table.to_numpy().T, groups=table.index.get_level_values("identity"))
    assert (found["mean"], found["low"]) == (pytest.approx(expected.mean), pytest.approx(expected.low))
    one_more = runs.query("seed == 0 and variant == 'telea'").assign(variant="once")
    lonely = row(summarize(pd.concat([runs, one_more]), "psnr"), "once", "center")
    assert np.isnan(lonely["low"]) and np.isfinite(lonely["mean"])  # the others' intervals say more


def test_recorded_and_printed_means_are_taken_as_they_are():
    recorded = pd.DataFrame(
        [("a", "eye", "psnr", 9, 1.0, 0.5, 2.0), ("b", "eye", "psnr", 9, 3.0, 2.5, 4.0)],
        columns=["variant", "mask", "metric", "n", "mean", "low", "high"],
    )
    assert summarize(recorded, "psnr", ["b", "a"])["mean"].tolist() == [3.0, 1.0]
    printed = recorded.rename(columns={"variant": "method", "mean": "value"})[
        ["method", "mask", "metric", "value"]
    ]
    found = summarize(printed, "psnr")
    assert found["mean"].tolist() == [1.0, 3.0] and found["low"].isna().all()
    assert found["best"].tolist() == [False, True]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metric": "fid"}, "There is no fid in these scores"),
        ({"methods": ["telea", "mean"]}, "There is no psnr of mean; there is telea, biharmonic"),
        ({"columns": ["eye"]}, "There is no psnr of eye; there is center, half_left"),
        ({"baseline": "nobody"}, "There is no psnr of nobody"),
        ({"by": "hour"}, "by must be 'identity' or 'index'"),
    ],
)
def test_what_is_not_there_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        summarize(**{"scores": two_fills(), "metric": "psnr"} | options)


def test_metrics_know_how_they_are_shown():
    assert metric("psnr_hole").label == "PSNR, missing pixels"
    assert (metric("top7").label, metric("top7").unit) == ("Top-7", "%")
    assert metric("fid_vgg16").label == "FID, vgg16"
    hidden = metric("landmark_error_hole")
    assert (hidden.label, hidden.unit, hidden.better) == ("landmark error, missing pixels", "px", "lower")
    assert metric("dice_left_eye").note == "%, more is better"
    assert metric("nme").text(0.0512) == "5.12" and metric("psnr").text(1, sign=True) == "+1.00"
    assert (metric("my_own").label, metric("my_own").better) == ("my_own", "")
    assert all(name == one.name for name, one in METRICS.items())
