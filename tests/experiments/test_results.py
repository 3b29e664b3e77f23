"""Recorded results come back as they were, and say what there is."""

import functools
import gzip

import numpy as np
import pandas as pd
import pytest
from mutation import mutated

from facecomp_lib import experiments
from facecomp_lib.evaluation import METRICS, metric
from facecomp_lib.experiments import Results, load, save
from facecomp_lib.experiments.paths import ROOT

RECORDED = sorted(
    f"{path.parts[-3]}/{path.name.removesuffix('.csv.gz')}" for path in ROOT.glob("*/results/*.csv.gz")
)


def results(name="lafin/tiny"):
    """Two models, two seeds, three faces; one metric that only one of them has; identity is a metric, too."""
    rows = [
        (name, variant, seed, "embedded", "center", face, 10 + face // 2, key, value + face + seed / 7)
        for variant in ("b", "a, blended")
        for seed in (1, 0)
        for key, value in (("psnr", 20.12345), ("identity", 0.5), ("nme", 0.1))
        for face in (4, 9, 11)
        if (variant, key) != ("b", "nme")
    ]
    columns = ["experiment", "variant", "seed", "dataset", "mask", "index", "identity", "metric", "value"]
    return Results(name, pd.DataFrame(rows, columns=columns), {"steps": 6})


def test_what_is_saved_is_loaded_and_equal_scores_are_equal_bytes(tmp_path):
    before = results()
    path = save(before, tmp_path, digits={"psnr": 17, "identity": 17})
    content = path.read_bytes()
    assert save(before, tmp_path, digits={"psnr": 17, "identity": 17}).read_bytes() == content
    after = load("lafin/tiny", tmp_path)
    keys = list(before.scores.columns[:-1])
    joined = before.scores.merge(after.scores, on=keys, suffixes=("", "_again"))
    assert len(joined) == len(before.scores) == len(after.scores)
    exact = joined["metric"] != "nme"
    assert (joined["value"] == joined["value_again"])[exact].all()
    assert np.allclose(joined["value"], joined["value_again"], rtol=1e-3)  # four digits
    assert list(after.scores["variant"].unique()) == ["b", "a, blended"] and after.card == {"steps": 6}
    assert list(after.scores.columns) == list(before.scores.columns)


def test_means_of_photographs_are_means(tmp_path):
    means = pd.DataFrame(
        [("lafin", "utk", "center", "psnr", 50, 23.3857, 22.7489, 24.0185)],
        columns=["variant", "dataset", "mask", "metric", "n", "mean", "low", "high"],
    )
    save(Results("lafin/photos", means, {}), tmp_path)
    back = load("lafin/photos", tmp_path).scores
    pd.testing.assert_frame_equal(back.drop(columns="experiment"), means)


def test_figures_belong_to_their_experiment(tmp_path):
    save(results(), tmp_path)
    for name in ("tiny.webp", "tiny_noise.webp", "tinyish.webp"):
        (tmp_path / "lafin" / "results" / name).touch()
    assert list(load("lafin/tiny", tmp_path).images) == ["tiny", "tiny_noise"]


packed = functools.partial(gzip.compress, mtime=0)  # equal bytes, and equal names of tests, in every process

HEAD = b"variant,seed,dataset,mask,index,person,psnr\n"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"no gzip", "is damaged"),
        (packed(b""), "is damaged"),
        (packed(HEAD)[:-9], "is damaged"),
        (packed(HEAD + b"a,0,\xff\xfe,center,1,1,20\n"), "is damaged"),
        (
            packed(bytes(201_000_000), 1),
            "is damaged or cut off .it unpacks to more than 200 MB",
        ),
        (packed(b"a,b\n1,2\n"), "holds no results: its columns must begin variant, seed"),
        (packed(HEAD + b"a,0,x,center,1,1,high\n"), "holds no results: there are texts"),
        (
            packed(HEAD + b"a,zero,x,center,1,1,20\n"),
            "holds no results: .* numbers of 'seed'",
        ),
    ],
)
def test_other_files_are_no_results(tmp_path, content, sentence):
    folder = tmp_path / "lafin" / "results"
    folder.mkdir(parents=True)
    (folder / "other.csv.gz").write_bytes(content)
    with pytest.raises(ValueError, match=f"other.csv.gz {sentence}"):
        load("lafin/other", tmp_path)
    with pytest.raises(FileNotFoundError, match="no results 'gfc/none' in .* there are: lafin/other"):
        load("gfc/none", tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "null", "{", "[" * 100_000])
def test_a_card_that_is_none_is_named(tmp_path, content):
    save(results(), tmp_path)
    (tmp_path / "lafin" / "results" / "tiny.json").write_text(content)
    with pytest.raises(ValueError, match="tiny.json is (damaged|no card)"):
        load("lafin/tiny", tmp_path)


@pytest.mark.parametrize("ending", [".csv.gz", ".json"])
def test_damaged_results_are_refused_by_their_name_or_are_results(tmp_path, ending):
    """80 random changes: bytes replaced, dropped, put in."""
    save(results(), tmp_path)
    file = tmp_path / "lafin" / "results" / f"tiny{ending}"
    whole, random = file.read_bytes(), np.random.default_rng(0)
    for _ in range(80):
        file.write_bytes(mutated(whole, random))
        try:
            assert len(load("lafin/tiny", tmp_path).scores) == len(results().scores)
        except (ValueError, OSError) as error:
            assert f"tiny{ending}" in str(error) and len(str(error)) < 500 and "\n" not in str(error)


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_results_are_whole(name):
    recorded = load(name)
    scores = recorded.scores
    assert len(scores) and (scores["experiment"] == name).all()
    names = set(scores["metric"])
    assert all(one in METRICS or metric(one).sign for one in names)
    if "value" in scores:
        keys = ["variant", "seed", "dataset", "mask", "index", "metric"]
        assert not scores.duplicated(keys).any() and scores["value"].notna().all()
    else:
        assert ((scores["low"] <= scores["mean"]) & (scores["mean"] <= scores["high"])).all()
    assert all(path.stat().st_size for path in recorded.images.values())


def test_the_papers_ablations_are_there_from_three_seeds():
    for paper in ("gfc", "collagan", "lafin"):
        assert load(f"{paper}/ablation").scores["seed"].nunique() == 3
    assert repr(experiments.load("gfc/ablation")).startswith("Results('gfc/ablation': ")


@pytest.mark.parametrize("kind", ["ablation", "photos", "checkpoint"])
@pytest.mark.parametrize("paper", ["gfc", "collagan", "lafin"])
def test_the_average_and_the_nearest_face_stand_in_every_table_of_completions(paper, kind):
    scores = load(f"{paper}/{kind}").scores
    images = scores[scores["metric"].isin(["psnr", "ssim", "lpips", "psnr_hole"])]
    keys = ["dataset", "mask", "metric", *(["n"] if "mean" in scores else ["seed", "index", "identity"])]

    def measured(variant):
        return set(images.loc[images["variant"] == variant, keys].itertuples(index=False, name=None))

    method = {"ablation": {"gfc": "M1", "collagan": "M_i", "lafin": "full"}[paper]}.get(kind)
    method = method or {"gfc": "gfc", "collagan": "M_i", "lafin": "lafin"}[paper]
    assert measured("average_face") == measured("nearest_face") == measured(method) != set()
