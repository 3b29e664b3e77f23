"""A claim is judged by what happens again and again: over faces, over people, over training runs."""

import gzip
import itertools
import json

import numpy as np
import pytest
from scipy import stats

from facecomp_lib import evaluation
from facecomp_lib.evaluation import Claims, Comparison, Estimate, bootstrap, claim, over_runs, table_over_runs

FACES = 60


def run(gap, seed=0, measure="psnr", holes=("eye", "mouth"), spread=0.1, **options):
    """Made-up scores of two models: B's are ``gap`` above A's, give or take; faces differ a lot."""
    random = np.random.default_rng(seed)
    hard = 5 * np.random.default_rng(99).normal(size=FACES)  # the same faces in every run
    comparison = Comparison(**options)
    for hole in holes:
        comparison.add("A", hole, {measure: 20 + hard})
        comparison.add("B", hole, {measure: 20 + hard + gap + spread * random.normal(size=FACES)})
    return comparison


def runs(gaps, **options):
    return {seed: run(gap, seed, **options) for seed, gap in enumerate(gaps)}


# ---------------------------------------------------------------------------------------------- verdicts


def test_a_difference_that_every_run_shows_holds_and_its_opposite_does_not():
    found = claim("B is nearer", runs([1.0, 1.1, 0.9]), "psnr", "B", "A")
    assert found.verdict == "holds"
    assert found.ours.mean == pytest.approx(1.0, abs=0.02) and found.ours.n == FACES
    assert found.by_run == pytest.approx((1.0, 1.1, 0.9), abs=0.05)
    assert claim("A is nearer", runs([1.0, 1.1, 0.9]), "psnr", "A", "B").verdict.startswith("does not hold")


@pytest.mark.parametrize("measure", ["lpips", "identity", "l1_hole"])
def test_of_a_distance_less_is_better(measure):
    below = runs([-0.2, -0.21, -0.19], measure=measure)
    assert claim("", below, measure, "B", "A").verdict == "holds"
    assert claim("", below, measure, "A", "B").verdict == "does not hold (the opposite does)"


def test_runs_that_disagree_leave_it_undecided_however_sure_each_is_of_itself():
    found = claim("", runs([2.0, -0.5, 0.6], spread=0.01), "psnr", "B", "A")
    assert found.verdict == "undecided at this budget"
    assert all(run.difference("psnr", "B", "A", "eye").clear for run in runs([2.0, -0.5, 0.6]).values())


def test_disagreeing_seeds_widen_the_interval_and_the_mean_stays():
    widths = []
    for apart in (0.0, 0.1, 0.4):
        found = claim("", runs([1 - apart, 1.0, 1 + apart], spread=0.01), "psnr", "B", "A").ours
        assert found.mean == pytest.approx(1, abs=0.01)
        widths.append(found.high - found.low)
    assert widths[0] < widths[1] / 5 and widths[1] < widths[2] / 3


def test_more_runs_narrow_the_interval():
    few, many = (
        over_runs(stats.zscore(np.arange(count))[:, None] + np.zeros((count, 40))) for count in (3, 12)
    )
    assert many.high - many.low < (few.high - few.low) / 2


def test_one_run_cannot_tell_luck_from_method():
    found = claim("", run(3.0), "psnr", "B", "A")
    assert found.verdict == "undecided at this budget" and np.isnan(found.ours.low)
    assert "one run cannot tell" in str(found)


def test_only_the_holes_that_are_named_count():
    both = [run(1.0, seed, holes=["eye"]) for seed in range(3)]
    for seed, one in enumerate(both):
        other = run(-5.0, seed, holes=["mouth"])
        for name in "AB":
            one.add(name, "mouth", {"psnr": other.values("psnr", name, "mouth")})
    assert claim("", both, "psnr", "B", "A", "eye").verdict == "holds"
    assert claim("", both, "psnr", "B", "A", ["mouth"]).verdict.startswith("does not")
    assert claim("", both, "psnr", "B", "A").ours.mean == pytest.approx((1 - 5) / 2, abs=0.05)
    hole_to_hole = claim("B finds eyes easier than mouths", both, "psnr", ("B", "eye"), ("B", "mouth"))
    assert hole_to_hole.verdict == "holds" and hole_to_hole.ours.mean == pytest.approx(6, abs=0.05)


def test_images_that_one_run_lacks_count_in_none():
    values = np.array([[1.0, 2, 3, np.nan], [3, 4, 5, 100], [2, 3, np.inf, 4]])
    found = over_runs(values)
    assert found.n == 2 and found.mean == pytest.approx(2.5)


# --------------------------------------------------------------------------------------------- intervals


def coverage(draw, count=150):
    """How often the interval holds the truth, which is 0."""
    found = [over_runs(*draw(np.random.default_rng(seed)), resamples=400, seed=seed) for seed in range(count)]
    return np.mean([one.low <= 0 <= one.high for one in found])


@pytest.mark.parametrize("seeds", [3, 5])
def test_an_interval_of_95_percent_holds_the_truth_that_often_even_with_few_seeds(seeds):
    def draw(random):
        of_seed, of_face, rest = ((seeds, 1), (1, 50), (seeds, 50))
        return (random.normal(0, 0.3, of_seed) + random.normal(0, 1, of_face) + random.normal(0, 1, rest),)

    assert coverage(draw) > 0.92


def test_images_of_one_person_are_not_as_good_as_images_of_several():
    people = np.repeat(np.arange(15), 4)

    def draw(random):
        return random.normal(0, 1, 15)[people] + random.normal(0, 0.1, (5, 60)), people

    assert coverage(draw) > 0.88
    assert coverage(lambda random: draw(random)[:1]) < 0.75  # as if 60 images were 60 people


def test_the_plain_bootstrap_can_count_people_too():
    people = np.repeat(np.arange(10), 6)
    values = np.random.default_rng(0).normal(size=10)[people]
    by_person, by_image = bootstrap(values, groups=people), bootstrap(values)
    assert by_person.mean == by_image.mean and by_person.n == 60
    assert (by_person.high - by_person.low) == pytest.approx(6**0.5 * (by_image.high - by_image.low), rel=0.2)
    assert bootstrap(values, groups=np.arange(60)) == by_image
    assert np.isnan(bootstrap(values, groups=np.zeros(60)).low)
    counted = Comparison(groups=people).add("A", "eye", {"psnr": values}).add("A", "eye", {"kid": 0.1})
    assert counted.estimate("psnr", "A", "eye") == by_person
    assert counted.estimate("kid", "A", "eye").mean == 0.1
    with pytest.raises(ValueError, match=r"a group for each of 60 values, not \[3\]"):
        bootstrap(values, groups=[1, 2, 3])


def test_claims_count_people_if_the_comparisons_know_them():
    people = np.repeat(np.arange(6), 10)
    several = runs([0.1, 0.1, 0.1])
    plain = claim("", several, "psnr", "B", "A").ours
    grouped = claim("", several, "psnr", "B", "A", groups=people).ours
    known = claim("", runs([0.1, 0.1, 0.1], groups=people), "psnr", "B", "A").ours
    assert grouped == known != plain


def test_a_table_over_runs_holds_the_means_of_all_of_them():
    several = runs([1.0, 1.4, 1.2], spread=0.0)
    table = table_over_runs(several, "psnr")
    by_face = several[1].values("psnr", "A", "eye").mean()
    assert table["A", "eye"].mean == pytest.approx(by_face)
    assert table["B", "mouth"].mean == pytest.approx(by_face + 1.2)
    assert table["B", "eye"].high - table["B", "eye"].low > table["A", "eye"].high - table["A", "eye"].low


def test_a_table_over_runs_leaves_out_what_a_run_lacks():
    several = runs([1.0, 1.4])
    several[0].add("C", "eye", {"psnr": np.ones(FACES)})
    for one in several.values():
        one.add("B", "noise", {"psnr": np.ones(FACES)}).add("A", "noise", {"dice": np.ones(FACES)})
    table = table_over_runs(several, "psnr")
    assert table.methods == ("A", "B", "C") and table.holes == ("eye", "mouth", "noise")
    whole = {(name, hole) for name in "AB" for hole in ("eye", "mouth")} | {("B", "noise")}
    assert set(table.cells) == whole
    assert set(table_over_runs(several[0], "psnr", ["C"], ["eye"]).cells) == {("C", "eye")}
    with pytest.raises(ValueError, match="Nothing was added for D"):
        table_over_runs(several, "psnr", ["D"])


# --------------------------------------------------------------------------------------------- printing


def test_a_claim_is_a_row_with_the_papers_number_ours_and_the_verdict():
    found = claim("B is nearer", runs([1.0, 1.1, 0.9]), "psnr", "B", "A", paper=1.5)
    row = str(found)
    assert row.startswith("B is nearer | PSNR ↑ | paper +1.50 dB | ours +1.0")
    assert row.endswith("| holds") and "[+0.7" in row
    table = Claims([found, claim("A is", runs([1.0, 1.1, 0.9]), "psnr", "A", "B")])
    head, first, second = str(table).splitlines()
    assert head.split("  ")[0] == "claim" and "[95 % interval, 3 runs]" in head
    assert first.index("holds") == second.index("does not hold") == head.index("verdict")
    assert "does not hold (the opposite does)" in table._repr_html_()
    assert "&lt;b&gt;" in claim("<b>", runs([1.0, 1.1]), "psnr", "B", "A")._repr_html_()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"runs": []}, "at least one run"),
        ({"measure": "colour"}, "Whether more or less 'colour' is better is not known"),
        ({"measure": "lpips"}, "no measure 'lpips'"),
        ({"better": "C"}, "Nothing was added for 'C'"),
        ({"holes": "nose"}, "Nothing was added for 'B' on 'nose'"),
        ({"holes": []}, "at least one kind of hole"),
        ({"groups": [1, 2]}, "a group for each of 60"),
        ({"level": 1.0}, "0 < level < 1"),
    ],
)
def test_what_cannot_be_judged_is_refused(options, message):
    asked = {"text": "", "runs": runs([1, 2]), "measure": "psnr", "better": "B", "worse": "A"} | options
    with pytest.raises(ValueError, match=message):
        claim(**asked)


def test_runs_of_different_faces_are_refused():
    shorter = Comparison().add("A", "eye", {"psnr": [1.0]}).add("B", "eye", {"psnr": [2.0]})
    with pytest.raises(ValueError, match="same faces"):
        claim("", [run(1.0), shorter], "psnr", "B", "A", "eye")


# --------------------------------------------------------------------------------------------- recorded


def test_recorded_runs_come_back_and_equal_scores_are_equal_bytes(tmp_path):
    people = np.repeat(np.arange(20), 3)
    several = runs([1.0, 1.2], groups=people)
    several[0].add("B", "eye", {"kid": 0.5})
    for name in ("a.csv.gz", "b.csv.gz"):
        evaluation.save_runs(tmp_path / name, several)
    assert (tmp_path / "a.csv.gz").read_bytes() == (tmp_path / "b.csv.gz").read_bytes()
    back = evaluation.load_runs(tmp_path / "a.csv.gz")
    assert list(back) == [0, 1] and back[0].measures == ("psnr",)
    assert back[1].methods == ("A", "B") and back[1].holes == ("eye", "mouth")
    assert np.array_equal(back[0].groups, people)
    expected = several[1].values("psnr", "B", "mouth")
    assert np.allclose(back[1].values("psnr", "B", "mouth"), expected, rtol=1e-3)


def test_recorded_runs_keep_the_gaps_and_as_many_digits_as_wanted(tmp_path):
    one = run(1.0, holes=["eye"])
    one.add("B", "noise", {"psnr": np.full(FACES, 12.345), "dice": np.full(FACES, 0.98765)})
    evaluation.save_runs(tmp_path / "runs.csv.gz", {3: one}, digits={"dice": 2})
    (back,) = evaluation.load_runs(tmp_path / "runs.csv.gz").values()
    assert back.pairs == (("A", "eye"), ("B", "eye"), ("B", "noise"))
    assert back.values("dice", "B", "noise") == pytest.approx(0.99)
    assert back.values("psnr", "B", "noise") == pytest.approx(12.35, abs=0.011)
    assert np.isnan(back.values("dice", "A", "eye")).all() and len(back.values("dice", "A", "eye")) == FACES


def test_other_files_are_no_recorded_runs(tmp_path):
    other = tmp_path / "other.csv.gz"
    for content in (b"no gzip", gzip.compress(b"a,b\n1,2\n"), gzip.compress(b"")):
        other.write_bytes(content)
        with pytest.raises(ValueError, match="holds no recorded runs"):
            evaluation.load_runs(other)
    for read, there in ((evaluation.recorded, "gfc_models"), (evaluation.recorded_means, "gfc_photos_64")):
        with pytest.raises(FileNotFoundError, match=f"Nothing recorded as 'nonsense'.*there are: .*{there}"):
            read("nonsense")
    with pytest.raises(FileNotFoundError, match="'gfc_models' travels.*: collagan_photos_64, "):
        evaluation.recorded_means("gfc_models")


def test_recorded_means_are_tables_of_fills_by_holes(monkeypatch, tmp_path):
    monkeypatch.setattr(evaluation.records, "FOLDER", tmp_path)
    named = itertools.product(("lfw", "utk"), ("psnr", "nme_hole"), ("A", "B"), ("eye", "mouth", "all"))
    rows = [
        dict(
            zip(("faces", "measure", "fill", "hole"), names, strict=True),
            mean=k,
            low=k - 0.5,
            high=k + 1,
            n=9,
        )
        for k, names in enumerate(named)
    ]
    (tmp_path / "photos.json").write_text(json.dumps({"limit": 9, "rows": rows}))
    tables, card = evaluation.recorded_means("photos")
    assert card == {"limit": 9} and list(tables) == ["lfw", "utk"]
    assert list(tables["utk"]) == ["psnr", "nme_hole"]
    table = tables["utk"]["psnr"]
    assert (table.methods, table.holes) == (("A", "B"), ("eye", "mouth", "all"))
    assert table["B", "mouth"] == Estimate(16, 15.5, 17, 9)
    assert [line.split()[0] for line in str(table).splitlines()[1:]] == ["eye", "A", "B"]
    tables, _ = evaluation.recorded_means("photos", ["all", "eye"])
    table = tables["lfw"]["nme_hole"]
    assert table.holes == ("all", "eye") and table["A", "eye"].mean == 6 and ("A", "mouth") not in table.cells
    assert "NME, hidden points (%, less is better)" in str(table) and "600.00 [550.00, 700.00]" in str(table)
