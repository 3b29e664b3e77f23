"""Intervals cover what they should, tables say what was added, and files bring it back."""

import os

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.text import Text
from scipy import stats

from facecomp_lib import evaluation
from facecomp_lib.evaluation import Comparison, SetDistance
from facecomp_lib.evaluation.plot import STYLES, dots
from facecomp_lib.evaluation.table import display


def filled(images=40, **options):
    """Two fills on two holes; biharmonic is 1 dB better, image by image, and equally perceptual."""
    draws = np.random.default_rng(0)
    comparison = Comparison(**options)
    for hole, level in (("center", 20), ("half_left", 15)):
        hard = draws.normal(level, 4, images)
        comparison.add("telea", hole, {"psnr": torch.from_numpy(hard), "lpips": hard / 100})
        gain = draws.normal(1, 0.3, images)
        comparison.add("biharmonic", hole, {"psnr": hard + gain, "lpips": draws.permutation(hard) / 100})
    return comparison


# --------------------------------------------------------------------------------------------- bootstrap


def test_the_interval_is_scipys():
    values = np.random.default_rng(0).gamma(2, 3, 80)
    ours = evaluation.bootstrap(values, resamples=20000)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=20000, method="percentile", rng=1)
    assert ours.mean == pytest.approx(values.mean())
    width = ours.high - ours.low
    assert [ours.low, ours.high] == pytest.approx(theirs.confidence_interval, abs=0.03 * width)


def test_about_95_of_100_intervals_hold_the_truth():
    draws = np.random.default_rng(0)
    intervals = [evaluation.bootstrap(draws.normal(7, 2, 50), resamples=400, seed=k) for k in range(400)]
    covered = np.mean([interval.low <= 7 <= interval.high for interval in intervals])
    assert 0.90 < covered < 0.98


def test_a_wider_level_is_a_wider_interval_and_more_images_a_narrower_one():
    draws = np.random.default_rng(0).normal(size=400)
    half, most = (evaluation.bootstrap(draws[:100], level) for level in (0.5, 0.99))
    assert most.low < half.low < half.mean < half.high < most.high
    all_ = evaluation.bootstrap(draws, 0.5)
    assert all_.high - all_.low < 0.7 * (half.high - half.low)


def test_pairs_tell_apart_what_two_intervals_do_not():
    comparison = filled()
    one, other = (comparison.estimate("psnr", name, "center") for name in ("telea", "biharmonic"))
    assert one.low < other.low < one.high < other.high  # they overlap
    gap = comparison.difference("psnr", "biharmonic", "telea", "center")
    assert gap.clear and gap.low > 0.8 and gap.high < 1.2 and gap.n == 40
    back = comparison.difference("psnr", "telea", "biharmonic", "center")
    assert back.mean == pytest.approx(-gap.mean) and back.clear
    assert not comparison.difference("lpips", "telea", "biharmonic", "center").clear


def test_equal_seeds_give_equal_intervals():
    assert str(filled(seed=1)) == str(filled(seed=1))
    one, other = (filled(seed=s).estimate("psnr", "telea", "center") for s in (1, 2))
    assert one != other and one.mean == other.mean


def test_what_was_not_measured_does_not_count_and_infinity_does():
    some = evaluation.bootstrap([1.0, np.nan, 3.0, np.nan])
    assert (some.mean, some.n) == (2, 2) and 1 <= some.low <= some.high <= 3
    assert evaluation.bootstrap([np.nan]).n == 0 and np.isnan(evaluation.bootstrap([]).mean)
    one = evaluation.bootstrap([4.0])
    assert one.mean == 4 and np.isnan(one.low) and str(one) == "4"
    equal_images = evaluation.bootstrap([np.inf, 20.0, 30.0])
    assert equal_images.mean == np.inf and equal_images.high == np.inf and not np.isnan(equal_images.low)
    assert evaluation.difference([np.inf, 2.0, 4.0], [np.inf, 1.0, 2.0]).n == 2  # no difference of infinities


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: evaluation.bootstrap([[1.0]]), r"flat list .* not \[1, 1\]"),
        (lambda: evaluation.bootstrap([1.0], level=95), "0 < level < 1"),
        (lambda: evaluation.bootstrap([1.0], resamples=0), "resamples >= 1"),
        (lambda: Comparison(level=0), "0 < level < 1"),
        (lambda: evaluation.difference([1.0], [1.0, 2.0]), "same images twice: 1 and 2"),
    ],
)
def test_senseless_intervals_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# ------------------------------------------------------------------------------------------------ tables


def test_a_table_holds_what_was_added():
    comparison = filled()
    assert comparison.methods == ("telea", "biharmonic")
    assert comparison.holes == ("center", "half_left")
    assert comparison.measures == ("psnr", "lpips")
    table = comparison.table("psnr")
    for method in comparison.methods:
        for hole in comparison.holes:
            assert table[method, hole].mean == pytest.approx(comparison.values("psnr", method, hole).mean())
    assert table.best == {("biharmonic", "center"), ("biharmonic", "half_left")}
    assert len(comparison.table("lpips").best) == 4  # nobody can tell
    with pytest.raises(KeyError, match="nobody"):
        table["nobody", "center"]


def test_batches_add_up_to_the_whole():
    whole, parts = Comparison(), Comparison()
    scores = {"psnr": torch.arange(7.0), "ssim": torch.arange(7.0) / 7}
    whole.add("m", "center", scores)
    for some in (slice(0, 3), slice(3, 7)):
        parts.add("m", "center", {name: value[some] for name, value in scores.items()})
    assert str(whole) == str(parts)


def test_a_measure_that_some_batches_lack_stays_with_its_images():
    comparison = Comparison()
    comparison.add("m", "h", {"psnr": [1.0, 2.0]})
    comparison.add("m", "h", {"psnr": [3.0], "psnr_hole": [30.0]})
    comparison.add("m", "h", {"psnr_hole": [40.0]})
    assert np.array_equal(comparison.values("psnr", "m", "h"), [1, 2, 3, np.nan], equal_nan=True)
    assert np.array_equal(comparison.values("psnr_hole", "m", "h"), [np.nan] * 2 + [30, 40], equal_nan=True)
    assert comparison.estimate("psnr_hole", "m", "h").n == 2


def test_a_number_of_the_whole_set_has_no_interval():
    comparison = filled()
    comparison.add("telea", "center", {"kid_vgg16": SetDistance("kid_vgg16", 0.0123, 0.001, 40, 40)})
    comparison.add("biharmonic", "center", {"kid_vgg16": 0.0456})
    table = comparison.table("kid_vgg16")
    assert table["telea", "center"].mean == 0.0123 and table["telea", "center"].n == 1
    assert table.best == {("telea", "center")}
    assert str(table).splitlines()[0] == "KID x 1000, vgg16 (less is better)"
    assert str(table).splitlines()[2].split() == ["center", "12.30", "*", "45.60"]
    assert str(table).splitlines()[3].split() == ["half_left", "-", "-"]


def test_printed_tables_say_unit_direction_interval_and_number():
    text = str(filled().table("psnr"))
    assert "PSNR (dB, more is better), mean [95 % interval]; 40 images" in text
    rows = text.splitlines()
    assert rows[1].split() == ["telea", "biharmonic"]
    assert rows[2].startswith("center") and rows[2].endswith("*")
    assert rows[1].index("biharmonic") == rows[3].index(rows[3].split("]")[1].strip()[:5])  # aligned
    percent = Comparison().add("m", "h", {"l1_hole": [0.01, 0.03]}).table("l1_hole")
    assert "L1, missing pixels (%, less is better)" in str(percent) and "2.00 [1.00, 3.00]" in str(percent)


def test_differences_carry_their_sign():
    table = filled().differences("psnr", "telea")
    assert table.methods == ("biharmonic",) and table.baseline == "telea" and not table.best
    assert "difference from telea" in str(table) and "+1.0" in str(table)


def test_a_method_may_lack_measures_and_holes():
    part = Comparison().add("a", "eye", {"psnr": [20.0, 22.0]}).add("b", "mouth", {"psnr": [np.nan, 1.0]})
    part.add("a", "mouth", {"dice": [0.5, 0.7], "psnr": [np.nan, np.nan]})
    assert part.pairs == (("a", "eye"), ("a", "mouth"), ("b", "mouth"))
    text = str(part.table("psnr"))
    assert "1 to 2 images" in text  # none at all is no number of images
    assert text.splitlines()[2].split()[-1] == "-" and "60.0" in str(part.table("dice"))


def test_html_is_a_table_and_names_cannot_break_out():
    comparison = filled().add("<b>&", "center", {"psnr": [1.0]})
    page = comparison.table("psnr")._repr_html_()
    assert page.count("<tr>") == 3 and page.count("<td") == 6
    assert "&lt;b&gt;&amp;" in page and "<b>&" not in page
    assert "<b>" in page  # the best is bold
    assert comparison._repr_html_().count("<table") == 2
    titled = comparison.table("psnr").titled("The <paper>")
    assert "<b>The &lt;paper&gt;</b>" in titled._repr_html_() and str(titled).startswith("The <paper>\nPSNR")


def test_measures_know_how_they_are_shown():
    assert display("psnr_hole").label == "PSNR, missing pixels"
    assert (display("top5").label, display("top5").unit) == ("Top-5", "%")
    assert display("fid_vgg16_p64").label == "FID, vgg16 p64"
    assert display("landmark_error").unit == "px"
    hidden = display("landmark_error_hole")
    assert (hidden.label, hidden.better) == ("landmark error, missing pixels", -1)
    assert display("dice_left_eye").note == "%, more is better"
    assert (display("my_own").label, display("my_own").better) == ("my_own", 0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: c.add("m", "h", {"psnr": [1.0, 2.0], "ssim": [1.0]}), r"not psnr \[2\], ssim \[1\]"),
        (lambda c: c.add("m", "h", {"psnr": torch.zeros(2, 2)}), r"one number per image .* psnr \[2, 2\]"),
        (lambda c: c.add("", "h", {"psnr": [1.0]}), "need a method's name"),
        (lambda c: c.add("m", "h", {}), "at least one measure"),
        (lambda c: c.table("fid"), "no measure 'fid' here, only psnr, lpips"),
        (lambda c: c.values("psnr", "nobody", "center"), "Nothing was added for 'nobody' on 'center'"),
        (lambda c: c.differences("psnr", "nobody"), "no method 'nobody': choose one of telea, biharmonic"),
        (lambda c: Comparison().table("psnr"), "only none yet"),
    ],
)
def test_what_cannot_be_added_or_shown_is_refused(call, message):
    comparison = filled()
    before = str(comparison)
    with pytest.raises(ValueError, match=message):
        call(comparison)
    assert str(comparison) == before  # nothing half-added


# ----------------------------------------------------------------------------------------------- figures


def points(axes, colour):
    """x of the dots and ends of the bars of one colour, in data coordinates."""
    lines = [
        line for line in axes.lines if line.get_color() == colour and line.get_transform() == axes.transData
    ]
    dots = [line.get_xdata()[0] for line in lines if len(line.get_xdata()) == 1]
    bars = [tuple(line.get_xdata()) for line in lines if len(line.get_xdata()) == 2]
    return dots, bars


def test_dots_and_bars_are_the_tables():
    comparison = filled()
    sheet, table = comparison.figure("psnr"), comparison.table("psnr")
    (axes,) = sheet.axes
    for (colour, _), method in zip(STYLES, comparison.methods, strict=False):
        found, bars = points(axes, colour)
        cells = [table[method, hole] for hole in comparison.holes]
        assert found == [cell.mean for cell in cells]
        assert bars == [(cell.low, cell.high) for cell in cells]
    words = " ".join(text.get_text() for text in sheet.findobj(Text))
    for word in ("PSNR", "dB, more is better", "95 % interval", "telea", "biharmonic", "center", "half_left"):
        assert word in words


def test_a_method_keeps_its_colour():
    table = filled().differences("psnr", "telea")
    found, _ = points(dots(table).axes[0], STYLES[1][0])
    assert found == [table["biharmonic", hole].mean for hole in table.holes]


def many():
    """More methods than fit beside one hole, with long names."""
    comparison = Comparison()
    for name in ("mean", "navier_stokes", "biharmonic", "patchmatch", "telea", "lafin (128 px)", "one more"):
        comparison.add(name, "random_rectangle", {"lpips": [0.1, 0.2]})
    return comparison


@pytest.mark.parametrize("table", [filled().differences("psnr", "telea"), many().table("lpips")])
def test_no_text_leaves_the_sheet_and_equal_tables_are_equal_bytes(table):
    sheet = dots(table)
    sheet.draw_without_rendering()
    width, height = sheet.bbox.size
    texts = [text for text in sheet.findobj(Text) if text.get_text().strip() and text.get_visible()]
    assert len(texts) > len(table.methods) + len(table.holes)
    for text in texts:
        box = text.get_window_extent()
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height, text
    assert sheet.png() == dots(table).png()


def test_percentages_are_drawn_as_printed():
    sheet = Comparison().add("m", "h", {"l1": [0.01, 0.03]}).figure("l1")
    found, bars = points(sheet.axes[0], STYLES[0][0])
    assert found == [2] and bars == [(1, 3)]


def test_nothing_finite_cannot_be_drawn():
    with pytest.raises(ValueError, match="psnr has no finite mean"):
        Comparison().add("m", "h", {"psnr": [np.inf, np.inf]}).figure("psnr")


# ------------------------------------------------------------------------------------------------- files

numbers = st.one_of(st.floats(-1e6, 1e6), st.just(float("inf")), st.just(float("nan")))


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=6), st.floats(0, 1))
@settings(max_examples=30, deadline=None)
def test_a_file_brings_everything_back(tmp_path_factory, rows, of_set):
    path = tmp_path_factory.mktemp("csv") / "scores.csv"
    comparison = Comparison().add("only a set", "center", {"kid_vgg16": of_set})
    comparison.add('comma, "quote"\nline', "center", {"psnr": [1.5, 2.5]})
    columns = np.array(rows).T
    comparison.add("telea", "half", {"psnr": columns[0], "ssim": columns[1]}).add(
        "telea", "half", {"fid": of_set}
    )
    comparison.to_csv(path)
    again = Comparison.from_csv(path)
    assert (again.methods, again.holes) == (comparison.methods, comparison.holes)
    for method, hole in (("telea", "half"), ('comma, "quote"\nline', "center"), ("only a set", "center")):
        for measure in again.measures:
            before = comparison.values(measure, method, hole)
            after = again.values(measure, method, hole)
            assert np.array_equal(before, after, equal_nan=True) or (
                np.isnan(before).all() and not len(after)
            )


def test_reading_back_changes_no_table(tmp_path):
    comparison = filled().add("telea", "center", {"kid_vgg16": 0.1})
    comparison.to_csv(tmp_path / "scores.csv")
    assert str(Comparison.from_csv(tmp_path / "scores.csv")) == str(comparison)


def test_the_file_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "scores.csv"
    filled(3).to_csv(path)
    before = path.read_bytes()

    def stop(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", stop)
    with pytest.raises(OSError, match="no space"):
        filled(9).to_csv(path)
    assert path.read_bytes() == before and [file.name for file in tmp_path.iterdir()] == ["scores.csv"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no comparison: it must begin method,hole,picture"),
        ("name,age\nx,1\n", "holds no comparison"),
        ("method,hole,picture\n", "holds no comparison"),
        ("method,hole,picture,psnr\ntelea,center,0,1\ntelea,center,1,good\n", "line 3 is damaged"),
        ("method,hole,picture,psnr\ntelea,center,0\n", "line 2 is damaged"),
        ("method,hole,picture,psnr\ntelea,center,0,1,2\n", "line 2 is damaged"),
        ("method,hole,picture,psnr\n,center,0,1\n", "line 2 is damaged"),
        ("\0\xff\xfe", "no comparison|no CSV"),
    ],
)
def test_other_files_are_refused(tmp_path, text, message):
    path = tmp_path / "scores.csv"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=message):
        Comparison.from_csv(path)
    with pytest.raises(FileNotFoundError):
        Comparison.from_csv(tmp_path / "nowhere.csv")
