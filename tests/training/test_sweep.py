"""Runs collected into a table: every card is found, what is broken is named, seeds make mean and spread."""

import csv
import json

import pytest

from facecomp_lib.training.sweep import add_metrics, collect


def card(folder, **entries):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "card.json").write_text(json.dumps({"method": "gfc", "config": {"size": 64}, **entries}))
    return folder


def record(folder, error=None, **parameters):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(json.dumps({"parameters": parameters, "error": error}))
    return folder


@pytest.fixture
def runs(tmp_path):
    """Two models, three seeds and two."""
    for model, seed, loss in [("M1", 0, 1.0), ("M1", 1, 2.0), ("M1", 2, 6.0), ("M4", 0, 0.5), ("M4", 1, 0.7)]:
        folder = record(tmp_path / f"{model}_{seed}", model=model, seed=seed)
        card(folder / "run" / "gfc", seed=seed, seconds=60.0, final={"g.l1": loss, "g.gradient": 9.0})
    return tmp_path


def cells(table):
    return {row["run"]: row for row in table.rows}


def test_a_row_has_the_parameters_and_the_cards_entries_by_dotted_names(runs):
    row = cells(collect(runs))[f"{runs.name}/M1_2/run/gfc"]
    assert (row["model"], row["seed"], row["part"]) == ("M1", 2, "gfc")
    assert (row["method"], row["config.size"], row["final.g.l1"]) == ("gfc", 64, 6.0)


def test_seeds_make_mean_and_spread_of_equal_runs(runs):
    groups = {row["model"]: row for row in collect(runs).over("seed").rows}
    m1 = groups["M1"]["final.g.l1"]
    assert set(groups) == {"M1", "M4"} and groups["M1"]["runs"] == 3
    assert (m1.mean, m1.n) == (3.0, 3) and m1.deviation == pytest.approx(7**0.5)
    assert groups["M4"]["final.g.l1"].mean == pytest.approx(0.6)
    assert "seed" not in groups["M1"] and "run" not in groups["M1"]


def test_a_single_run_has_no_spread(tmp_path):
    card(tmp_path / "a", seed=0, final={"g.l1": 2.0})
    (row,) = collect(tmp_path).over("seed").rows
    assert str(row["final.g.l1"]) == "2" and row["final.g.l1"].deviation != row["final.g.l1"].deviation


def test_runs_of_other_sizes_or_stages_are_not_put_together(tmp_path):
    def stages(rate):
        return {"stages": [{"name": "blur", "optimizers": {"painter": {"lr": rate}}}]}

    for place, entries in enumerate([{}, {"config": {"size": 128}}, stages(0.1), stages(0.2), stages(0.2)]):
        card(tmp_path / str(place), seed=place, fingerprint=f"{place}", hardware=f"{place} cores", **entries)
    assert sorted(row["runs"] for row in collect(tmp_path).over("seed").rows) == [1, 1, 1, 2]


def test_several_trainings_of_one_lesson_stay_apart(tmp_path):
    for seed in (0, 1):
        folder = record(tmp_path / str(seed), seed=seed)
        for part in ("parser", "gfc"):
            card(folder / "run" / part, seed=seed, final={"l": 1.0})
    table = collect(tmp_path).over("seed")
    assert [row["part"] for row in table.rows] == ["gfc", "parser"] and [r["runs"] for r in table.rows] == [
        2,
        2,
    ]


def test_the_printed_table_shows_what_varies_and_what_came_out(runs):
    lines = str(collect(runs)).splitlines()
    assert lines[0].split() == ["model", "seed", "seconds", "g.l1"]
    assert lines[1].split() == ["M1", "0", "60", "1"] and len(lines) == 6


def test_metrics_are_printed_instead_of_losses_where_there_are_some(runs):
    add_metrics(runs / "M1_0" / "run" / "gfc", psnr=20)
    assert str(collect(runs)).splitlines()[0].split() == ["model", "seed", "seconds", "psnr"]


def test_runs_without_a_lesson_are_told_apart_by_their_cards(tmp_path):
    for size in (64, 128):
        card(tmp_path / str(size), config={"size": size, "width": 1}, versions={"torch": str(size)})
    assert str(collect(tmp_path)).splitlines()[0].split() == ["config.size"]


def test_the_file_has_every_column_and_a_spread_in_numbers(runs):
    table = collect(runs)
    table.save(runs / "all.csv")
    table.over("seed").save(runs / "groups.csv")
    with open(runs / "all.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 5 and list(rows[0]) == table.columns
    with open(runs / "groups.csv", newline="") as file:
        m1 = next(row for row in csv.DictReader(file) if row["model"] == "M1")
    assert (m1["final.g.l1.mean"], m1["final.g.l1.n"]) == ("3.0", "3")


def test_texts_of_a_card_are_no_formulas_of_a_spreadsheet(tmp_path):
    card(tmp_path / "a", seed=-3, note="=1+1", **{"@name": "-x", "=spread": 0.5})
    collect(tmp_path).save(tmp_path / "all.csv")
    with open(tmp_path / "all.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["note"] == "'=1+1" and row["'@name"] == "'-x" and row["seed"] == "-3"
    collect(tmp_path).over("seed").save(tmp_path / "groups.csv")
    with open(tmp_path / "groups.csv", newline="") as file:
        head, _ = csv.reader(file)
    assert "'=spread.mean" in head and "'@name" not in head


@pytest.mark.parametrize("text", ["", "{", "[1]", "\0\0"])
def test_a_damaged_card_is_named_and_the_others_are_read(runs, text):
    broken = runs / "M1_1" / "run" / "gfc" / "card.json"
    broken.write_text(text)
    table = collect(runs)
    assert len(table.rows) == 4 and len(table.troubles) == 1
    assert str(broken) in table.troubles[0] and table.troubles[0] in str(table)


def test_a_failed_or_untrained_lesson_has_a_row_with_its_parameters(tmp_path):
    record(tmp_path / "failed", error="cell [3]: no face", seed=0)
    record(tmp_path / "looked_at", seed=1)
    rows = collect(tmp_path).rows
    assert [(row["seed"], row.get("error")) for row in rows] == [(0, "cell [3]: no face"), (1, None)]


def test_an_empty_folder_is_named_and_a_missing_one_refused(tmp_path):
    table = collect(tmp_path)
    assert table.rows == [] and str(tmp_path) in str(table)
    with pytest.raises(FileNotFoundError, match="no folder"):
        collect(tmp_path / "none")


def test_folders_are_collected_together(runs):
    table = collect(runs / "M1_0", runs / "M4_0")
    assert [row["model"] for row in table.rows] == ["M1", "M4"]


def test_metrics_are_added_replaced_and_collected(tmp_path):
    run = card(tmp_path / "a", seed=0)
    add_metrics(run, psnr=20, lpips=0.3)
    add_metrics(run, psnr=21.5)
    (row,) = collect(tmp_path).rows
    assert (row["metrics.psnr"], row["metrics.lpips"]) == (21.5, 0.3)
    with pytest.raises(ValueError, match="not finite: fid"):
        add_metrics(run, fid=float("nan"))


def test_odd_entries_of_a_card_do_no_harm(tmp_path):
    card(tmp_path / "a", seed=None, final=None, stages=[{"name": "blur"}, 3], extra={"deep": {"er": [True]}})
    card(tmp_path / "b", final={"g.l1": "none"}, metrics=7)
    table = collect(tmp_path)
    assert cells(table)[f"{tmp_path.name}/a"]["stages"] == "{'name': 'blur'} 3"
    assert str(table) and str(table.over("seed"))
    table.over("seed").save(tmp_path / "odd.csv")
