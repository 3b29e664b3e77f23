"""The papers' tables: typed in as they are printed, and read with a sentence for every mistake."""

import math

import pandas as pd
import pytest

from facecomp_lib.experiments import load_published, published
from facecomp_lib.experiments.published import METRICS

PAPERS = ("gfc", "collagan", "lafin", "oracle", "symmfc")
FRACTIONS = ("ssim", "dice", "l1", "nme", "f_score", "accuracy", "accuracy_gain", "vote_share", "prefilled")


def cell(paper, table, row, column, metric):
    """One number of a paper."""
    frame = published(paper, table).set_index(["row", "column", "metric"])["value"]
    return frame.loc[row, column, metric]


def wide(paper, table, metric):
    """A table of one metric: methods as rows, places as columns."""
    frame = published(paper, table).query("metric == @metric")
    return frame.pivot(index="row", columns="column", values="value")


# ---- what is there


@pytest.mark.parametrize(
    ("paper", "cells"),
    [
        ("gfc", {"1": 36, "2": 36, "3": 36, "parsing": 2}),
        ("collagan", {"1": 2 * 8 * 6, "2": 40, "3": 24}),
        ("lafin", {"1": 3 * 6 * 4, "2": 12, "3": 27, "4": 4, "5": 6}),
        ("oracle", {"1": 20, "2": 8, "3": 10, "4": 6, "5": 16, "layer time": 2, "training time": 2}),
        (
            "symmfc",
            {"II": 90, "III": 15, "IV": 49, "occluded attributes": 12, "identity distance": 3,
             "pre-filling": 2, "run time": 6, "parameters": 5},
        ),
    ],
)  # fmt: skip
def test_every_table_is_there_with_all_its_cells(paper, cells):
    frame = published(paper)
    assert list(frame.columns) == ["paper", "table", "row", "column", "metric", "value"]
    assert set(frame["paper"]) == {paper}
    assert frame.groupby("table").size().to_dict() == cells
    assert not frame.duplicated(["table", "row", "column", "metric"]).any()


@pytest.mark.parametrize(
    ("paper", "numbers"),
    [
        ("gfc", "1 2 3"),
        ("collagan", "1 2 3"),
        ("lafin", "1 2 3 4 5 6 7 8"),
        ("oracle", "1 2 3 4 5 6 7 8 9"),
        ("symmfc", "I II III IV V VI"),
    ],
)
def test_a_printed_table_that_is_not_typed_in_is_named(paper, numbers):
    tables = load_published(paper)
    typed = {name for name, table in tables.tables.items() if table.source == "table"}
    assert typed | set(tables.other_tables) == set(numbers.split())
    assert not typed & set(tables.other_tables)


@pytest.mark.parametrize("paper", PAPERS)
def test_percent_becomes_a_fraction(paper):
    values = published(paper).query("metric in @FRACTIONS")["value"].dropna()
    assert values.between(0, 1).all()


def test_a_metric_has_the_same_direction_in_every_paper():
    directions = {
        (name, metric.better)
        for paper in PAPERS
        for table in load_published(paper).tables.values()
        for name, metric in table.metrics.items()
    }
    assert len(directions) == len({name for name, _ in directions}) == len(METRICS)


def test_a_table_is_found_by_number_and_by_text():
    pd.testing.assert_frame_equal(published("gfc", 2), published("gfc", "2"))


# ---- numbers, read once more from the pages: first, middle and last cells


@pytest.mark.parametrize(
    ("paper", "table", "row", "column", "metric", "value"),
    [
        ("gfc", 1, "M1", "O1", "ssim", 0.798),
        ("gfc", 1, "M3", "O4", "ssim", 0.741),
        ("gfc", 1, "M5", "O6", "ssim", 0.841),
        ("gfc", 2, "M1", "O1", "psnr", 18.9),
        ("gfc", 2, "CE", "O5", "psnr", 19.1),
        ("gfc", 2, "M5", "O1", "psnr", 20.0),
        ("gfc", 2, "M5", "O6", "psnr", 20.2),
        ("gfc", 3, "M1", "O2", "identity", 1.05),
        ("gfc", 3, "CE", "O3", "identity", 0.561),
        ("gfc", 3, "M5", "O6", "identity", 0.541),
        ("gfc", "parsing", "Ours", "overall", "f_score", 0.851),
        ("gfc", "parsing", "multi-objective [14]", "overall", "f_score", 0.854),
        ("collagan", 1, "CE", "O1", "ssim", 0.905),
        ("collagan", 1, "CE", "O6", "psnr", 27.11),
        ("collagan", 1, "SII", "O4", "psnr", 28.94),
        ("collagan", 1, "M_is", "O3", "ssim", 0.943),
        ("collagan", 1, "M*_isd", "O1", "psnr", 27.76),
        ("collagan", 1, "M*_isd", "O6", "ssim", 0.917),
        ("collagan", 1, "M*_isd", "O6", "psnr", 27.81),
        ("collagan", 2, "M_s", "Face", "dice", 0.937),
        ("collagan", 2, "M_is", "Upper lip", "dice", 0.672),
        ("collagan", 2, "M*_isd", "Face", "dice", 0.941),
        ("collagan", 2, "M*_isd", "Average", "dice", 0.772),
        ("collagan", 3, "M_d", "Left eye", "landmark_error", 2.12),
        ("collagan", 3, "M_isd", "Nose", "landmark_error", 1.92),
        ("collagan", 3, "M*_isd", "Average", "landmark_error", 1.72),
        ("lafin", 1, "CA", "10-20%", "psnr", 27.51),
        ("lafin", 1, "LaFIn", "Center", "psnr", 25.92),
        ("lafin", 1, "EC", "30-40%", "ssim", 0.907),
        ("lafin", 1, "CA", "50%+", "fid", 51.21),
        ("lafin", 1, "PIC", "Center", "fid", 4.98),
        ("lafin", 1, "LaFIn", "Center", "fid", 6.63),
        ("lafin", 2, "CE", "Center", "psnr", 25.46),
        ("lafin", 2, "GFC", "Center", "fid", 14.958),
        ("lafin", 2, "LaFIn", "Center", "fid", 3.512),
        ("lafin", 3, "w/o LSTA", "10-20%", "psnr", 31.02),
        ("lafin", 3, "LaFIn", "10-20%", "ssim", 0.9754),
        ("lafin", 3, "w/o LMK", "40-50%", "fid", 7.72),
        ("lafin", 3, "LaFIn", "Center", "fid", 6.63),
        ("lafin", 4, "LAB", "WFLW", "nme", 0.0566),
        ("lafin", 4, "LaFIn_aug", "WFLW", "nme", 0.0592),
        ("lafin", 5, "LaFIn", "Common", "nme", 0.0469),
        ("lafin", 5, "LaFIn_aug", "Full", "nme", 0.0521),
        ("oracle", 1, "PM", "random rectangle", "l1", 0.0582),
        ("oracle", 1, "PIC", "random rectangle", "psnr", 25.31),
        ("oracle", 1, "Ours", "random rectangle", "lpips", 0.0706),
        ("oracle", 2, "PEN-Net", "center", "l1", 0.0287),
        ("oracle", 2, "Ours", "center", "lpips", 0.1355),
        ("oracle", 3, "CA", "random rectangle", "l1", 0.0164),
        ("oracle", 3, "CA", "layer 14", "time", 12.9),
        ("oracle", 3, "DSA", "layer 14", "time", 6.4),
        ("oracle", 4, "DSA without supervision", "random rectangle", "psnr", 26.23),
        ("oracle", 4, "DSA with supervision", "random rectangle", "lpips", 0.0706),
        ("oracle", 5, "CA", "random rectangle", "l1", 0.0196),
        ("oracle", 5, "GConv", "random rectangle", "ssim", 0.8879),
        ("oracle", 5, "Ours", "random rectangle", "lpips", 0.0693),
        ("oracle", "layer time", "CSA", "layer 14", "time", 31.3),
        ("oracle", "training time", "Ours", "Flickr-Faces-HQ", "training_time", 8),
        ("symmfc", "II", "Yeh et al.", "Image Size", "image_size", 64),
        ("symmfc", "II", "Yeh et al.", "Irregular Mask", "psnr", 18.37),
        ("symmfc", "II", "DFNet", "Center Mask", "psnr", 22.69),
        ("symmfc", "II", "GMCNN", "Irregular Mask", "lpips", 0.141),
        ("symmfc", "II", "SymmFCNet", "Center Mask", "lpips", 0.056),
        ("symmfc", "II", "GFCNet", "Real Image", "vote_share", 0.0096),
        ("symmfc", "II", "SymmFCNet", "Real Image", "vote_share", 0.256),
        ("symmfc", "III", "Plain RecNet", "Irregular Mask", "psnr", 24.84),
        ("symmfc", "III", "SymmFCNet (-L)", "Irregular Mask", "ssim", 0.933),
        ("symmfc", "III", "SymmFCNet (Full)", "Irregular Mask", "lpips", 0.076),
        ("symmfc", "IV", "GFCNet", "Recognition", "accuracy", 0.773),
        ("symmfc", "IV", "EdgeConnect", "Male", "accuracy", 0.942),
        ("symmfc", "IV", "SymmFCNet", "Young", "accuracy", 0.949),
        ("symmfc", "occluded attributes", "occluded", "Makeup", "accuracy", 0.495),
        ("symmfc", "identity distance", "threshold", "irregular", "identity", 0.99),
        ("symmfc", "pre-filling", "SymmFCNet", "Irregular Mask", "prefilled", 0.2145),
        ("symmfc", "run time", "SymmFCNet", "one image", "time", 33.1),
        ("symmfc", "run time", "PICNet", "one image", "time", 308.5),
        ("symmfc", "parameters", "SymmFCNet", "RecNet", "parameters", 32.6),
    ],
)
def test_a_number_is_the_printed_one(paper, table, row, column, metric, value):
    assert cell(paper, table, row, column, metric) == value


def test_cells_that_the_paper_leaves_empty_are_missing_values():
    empty = published("symmfc").query("value.isna()")
    assert set(empty.query("metric != 'vote_share'")["row"]) == {"PConv"}
    assert set(empty.query("metric == 'vote_share'")["row"]) == {"Yeh et al.", "SymmFCNet128"}
    assert len(empty) == 3 * 2 + 2 * 2
    assert not any(published(paper)["value"].isna().any() for paper in PAPERS if paper != "symmfc")


# ---- numbers that follow from others in the same paper


@pytest.mark.parametrize(("table", "metric", "half"), [(2, "dice", 0.0005), (3, "landmark_error", 0.005)])
def test_collagan_prints_the_mean_of_the_parts(table, metric, half):
    values = wide("collagan", table, metric)
    means = values.drop(columns="Average").mean(axis=1)
    assert (means - values["Average"]).abs().max() <= half + 1e-9


def test_collagan_reduces_the_landmark_error_by_27_7_percent():
    average = wide("collagan", 3, "landmark_error")["Average"]
    assert round(1 - average["M*_isd"] / average["M_d"], 3) == 0.277


@pytest.mark.parametrize("metric", ["ssim", "psnr"])
def test_collagan_prints_its_last_model_in_bold(metric):
    assert set(wide("collagan", 1, metric).idxmax()) == {"M*_isd"}


def test_gfc_is_best_when_blended():
    assert set(wide("gfc", 1, "ssim").idxmax()) == set(wide("gfc", 2, "psnr").idxmax()) == {"M5"}
    assert set(wide("gfc", 3, "identity").idxmin()) == {"M5"}


@pytest.mark.parametrize(("metric", "digits"), [("psnr", 2), ("ssim", 3), ("fid", 2)])
def test_lafin_prints_its_model_alike_in_tables_1_and_3(metric, digits):
    ablation = wide("lafin", 3, metric).loc["LaFIn"]
    assert ablation.round(digits).to_dict() == wide("lafin", 1, metric).loc["LaFIn", ablation.index].to_dict()


def test_lafin_is_best_but_for_one_fid():
    assert set(wide("lafin", 1, "psnr").idxmax()) == set(wide("lafin", 1, "ssim").idxmax()) == {"LaFIn"}
    fid = wide("lafin", 1, "fid").idxmin()
    assert fid.pop("Center") == "PIC"
    assert set(fid) == {"LaFIn"}


def test_lafin_prints_full_sets_with_17_percent_of_challenging_faces():
    """300W's usual full set has 135 of 689, 19.6 %; the two printed rows agree on less."""
    nme = wide("lafin", 5, "nme")
    share = (nme["Full"] - nme["Common"]) / (nme["Challenging"] - nme["Common"])
    assert share.round(2).to_list() == [0.17, 0.17]


@pytest.mark.parametrize("metric", ["l1", "psnr", "ssim", "lpips"])
def test_oracle_prints_the_whole_method_alike_everywhere(metric):
    place = "random rectangle"
    ours = cell("oracle", 1, "Ours", place, metric)
    assert cell("oracle", 3, "DSA", place, metric) == ours
    if metric != "l1":
        assert cell("oracle", 4, "DSA with supervision", place, metric) == ours


@pytest.mark.parametrize("metric", ["psnr", "ssim", "lpips"])
def test_symmfc_prints_the_whole_method_alike_in_tables_ii_and_iii(metric):
    ours = cell("symmfc", "II", "SymmFCNet", "Irregular Mask", metric)
    assert cell("symmfc", "III", "SymmFCNet (Full)", "Irregular Mask", metric) == ours


def test_symmfc_counts_all_votes():
    votes = wide("symmfc", "II", "vote_share").sum()
    assert votes.to_dict() == pytest.approx({"Random Mask": 1, "Real Image": 1}, abs=1e-9)


def test_symmfc_gains_what_its_tables_say():
    accuracy = wide("symmfc", "IV", "accuracy").loc["SymmFCNet"].drop("Recognition")
    occluded = wide("symmfc", "occluded attributes", "accuracy").loc["occluded"]
    gains = wide("symmfc", "occluded attributes", "accuracy_gain").loc["SymmFCNet"]
    assert (accuracy - occluded).to_dict() == pytest.approx(gains.to_dict(), abs=1e-9)


def test_symmfc_leads_by_one_percent_except_where_it_does_not():
    """The text says 'at least 1 %' of all attributes; for Male, table IV says .9."""
    accuracy = wide("symmfc", "IV", "accuracy")
    leads = accuracy.loc["SymmFCNet"] - accuracy.drop(index="SymmFCNet").max()
    assert leads["Recognition"] == pytest.approx(0.044)
    assert leads[leads < 0.0099].round(3).to_dict() == {"Male": 0.009}


def test_symmfc_adds_up_its_parameters():
    parameters = wide("symmfc", "parameters", "parameters").loc["SymmFCNet"]
    assert parameters.drop("Total").sum() == pytest.approx(parameters["Total"])


# ---- files with mistakes

SMALL = """\
paper: gfc
title: A paper
tables:
  "1":
    page: 7
    section: "4"
    caption: Two models under two masks
    data: ten faces
    images: 10
    methods_in: columns
    rows: [left, right]
    columns: [A, B, C]
    metrics:
      psnr: {unit: dB, better: higher, values: [[1, 2.5, 3], [4, null, 6]]}
      l1: {unit: "%", better: lower, rows: [all], values: [[94.1, 2, 3]]}
"""


@pytest.fixture
def load(tmp_path):
    def load_text(text):
        (tmp_path / "gfc").mkdir()
        (tmp_path / "gfc" / "published.yaml").write_text(text, "utf-8")
        return load_published("gfc", tmp_path)

    return load_text


def test_methods_are_rows_however_the_table_was_printed(load):
    lines = list(load(SMALL).tables["1"].tidy().itertuples(index=False, name=None))
    assert lines[:2] == [("A", "left", "psnr", 1.0), ("A", "right", "psnr", 4.0)]
    assert lines[2] == ("B", "left", "psnr", 2.5)
    assert math.isnan(lines[3][-1])
    assert lines[6:] == [("A", "all", "l1", 0.941), ("B", "all", "l1", 0.02), ("C", "all", "l1", 0.03)]


@pytest.mark.parametrize(
    ("before", "after", "place", "mistake"),
    [
        ("[1, 2.5, 3]", "[1, 2.5]", "tables.1:", "row 'left' of 'psnr' has 2 values for 3 columns."),
        ("[[94.1, 2, 3]]", "[[9, 2, 3], [1, 2, 3]]", "tables.1:", "'l1' has 2 rows of values for 1 labels."),
        ("psnr:", "psnrr:", "tables.1:", f"unknown metric 'psnrr'; known are {', '.join(METRICS)}."),
        ("[left, right]", "[left, left]", "tables.1:", "row 'left' occurs 2 times in 'psnr'."),
        ("[A, B, C]", "[A, B, B]", "tables.1:", "column 'B' occurs 2 times in 'psnr'."),
        ("l1:", "psnr:", "line 15:", "'psnr' occurs twice."),
        ("rows: [left, right]", "rows: [left, right", "line 12:", "expected ',' or ']', but got ':'."),
        ("    page: 7\n", "", "tables.1.page:", "this field is missing."),
        ("page: 7", "page: seven", "tables.1.page:", "input should be a valid integer, unable to parse"),
        ("title: A paper", "title: A paper\nyear: 2017", "year:", "this field is unknown."),
        (
            "higher",
            "more",
            "tables.1.metrics.psnr.better:",
            "input should be 'higher' or 'lower', not 'more'.",
        ),
        ("2.5", "'2.5'", "tables.1.metrics.psnr.values.0.1:", "input should be a valid number, not '2.5'."),
        ("2.5", ".nan", "tables.1.metrics.psnr.values.0.1:", "input should be a finite number, not nan."),
        ("2.5", "yes", "tables.1.metrics.psnr.values.0.1:", "input should be a valid number, not True."),
        ('"1":', "1:", "tables.1.[key]:", "input should be a valid string, not 1."),
        ("paper: gfc", "paper: lafin", "paper:", "it says 'lafin', but the folder is called 'gfc'."),
        ("tables:", "tables: {}\nother_tables:", "tables:", "dictionary should have at least 1 item"),
    ],
)
def test_a_mistake_in_a_file_is_told_with_file_and_place(load, tmp_path, before, after, place, mistake):
    assert before in SMALL
    with pytest.raises(ValueError) as caught:
        load(SMALL.replace(before, after, 1))
    assert str(caught.value).startswith(f"{tmp_path / 'gfc' / 'published.yaml'}, {place} {mistake}")


def test_a_paper_that_is_not_there_is_told_with_those_that_are():
    with pytest.raises(
        FileNotFoundError, match="of 'pconv'; there are: collagan, gfc, lafin, oracle, symmfc"
    ):
        published("pconv")


def test_a_table_that_is_not_there_is_told_with_those_that_are():
    with pytest.raises(ValueError, match=r"'gfc' has no table '4'; there are 1, 2, 3, parsing\."):
        published("gfc", 4)


def test_without_the_repository_a_sentence_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="comes with the course's repository, not with the installed"):
        load_published("gfc", tmp_path / "experiments")
