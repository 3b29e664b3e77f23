"""What course.py runs: lessons are executed, failures are told, parameters are checked, outputs are kept."""

import csv
import errno
import json
import os
import re
import time
from pathlib import Path

import nbformat
import pytest

from tools import lessons, parameters, sweep, sync, train
from tools.execute import Outcome, execute
from tools.lab import arguments, copy_lessons
from tools.notebooks import ROOT, Trouble, find, find_one

HEADER = """# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 90 A tiny lesson

# %% tags=["parameters"]
steps = 3
preset = "lesson"
"""


def write(path, *sources, title="A tiny lesson"):
    cells = [nbformat.v4.new_markdown_cell(f"# {title}")]
    cells += [nbformat.v4.new_code_cell(source) for source in sources]
    cells[1].metadata = {"tags": ["parameters"]}
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    return path


@pytest.fixture
def books(tmp_path):
    """A folder with two lessons that work, one of them with solutions, and one that fails."""
    folder = tmp_path / "notebooks"
    write(folder / "00_start.ipynb", "steps = 3", "print('steps', steps)", title="Start <here>")
    write(folder / "01_next.ipynb", "steps = 1\npreset = 'lesson'", "print(preset)")
    write(folder / "01_next_solutions.ipynb", "1 + 1")
    write(folder / "02_broken.ipynb", "steps = 1", "raise ValueError('no face found\\nanywhere')")
    return folder


def stems(paths):
    return [path.stem for path in paths]


# ---- names -------------------------------------------------------------------------------------------------


def test_a_number_means_the_lesson_and_its_solutions_a_full_name_one_of_them(books):
    assert stems(find([], books)) == ["00_start", "01_next", "01_next_solutions", "02_broken"]
    assert stems(find(["01"], books)) == ["01_next", "01_next_solutions"]
    assert stems(find(["01_next", "00"], books)) == ["01_next", "00_start"]
    assert find_one("01", books).stem == "01_next"


def test_the_number_may_be_left_out(books):
    assert stems(find(["next"], books)) == ["01_next", "01_next_solutions"]
    assert find_one("next", books).stem == "01_next"


@pytest.mark.parametrize("name", ["7", "0", "nex", "solutions", "01_nex"])
def test_an_unknown_name_is_told_with_the_known_ones(books, name):
    with pytest.raises(Trouble, match="the lessons are 00_start, 01_next"):
        find([name], books)


def test_an_empty_folder_is_told(tmp_path):
    with pytest.raises(Trouble, match="no notebooks"):
        find([], tmp_path)


# ---- course.py lessons -------------------------------------------------------------------------------------


def test_lessons_are_executed_listed_and_a_failure_is_told_by_its_cell(books, tmp_path, capsys):
    runs = tmp_path / "runs"
    assert lessons.main([], books, runs) == 1
    shown = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if " s  " in line}
    assert set(shown) == set(stems(find([], books)))
    assert shown["00_start"].endswith(" s  ok")
    assert shown["02_broken"].endswith(" s  cell [2]: ValueError: no face found")
    index = (runs / "index.html").read_text(encoding="utf-8")
    assert "Start &lt;here&gt;" in index and "no face found" in index
    for name in shown:
        assert f'href="{name}.html"' in index and (runs / f"{name}.html").exists()
        assert (runs / f"{name}.ipynb").exists()

    assert lessons.main(["01_next"], books, runs) == 0
    assert "no face found" in (runs / "index.html").read_text(encoding="utf-8")
    (books / "02_broken.ipynb").unlink()
    assert lessons.main(["00"], books, runs) == 0
    assert "no face found" not in (runs / "index.html").read_text(encoding="utf-8")


def test_a_cell_that_takes_too_long_is_stopped(tmp_path):
    notebook = write(tmp_path / "slow.ipynb", "import time; time.sleep(60)")
    start = time.perf_counter()
    outcome = execute(notebook, tmp_path / "runs" / "slow.ipynb", cell_timeout=1)
    assert "Timeout" in outcome.error and time.perf_counter() - start < 30


def test_a_kernel_that_dies_is_told(tmp_path):
    outcome = execute(write(tmp_path / "a.ipynb", "import os; os._exit(9)"), tmp_path / "runs" / "a.ipynb")
    assert "DeadKernelError" in outcome.error and "memory may have run out" in outcome.error


@pytest.mark.parametrize(("stillborn", "error"), [(0, None), (2, None), (3, "RuntimeError: Kernel died")])
def test_a_kernel_whose_port_was_taken_is_started_again(tmp_path, monkeypatch, stillborn, error):
    started = []

    def execute_notebook(*_, **__):
        started.append(1)
        if len(started) <= stillborn:
            raise RuntimeError("Kernel died before replying to kernel_info")

    monkeypatch.setattr("papermill.execute_notebook", execute_notebook)
    outcome = execute(write(tmp_path / "a.ipynb", "1 + 1"), tmp_path / "runs" / "a.ipynb")
    assert (outcome.error or "").startswith(error or "") and bool(outcome.error) == bool(error)
    assert len(started) == min(stillborn + 1, 3)


def test_a_worker_that_is_killed_is_told_and_the_index_is_written(tmp_path):
    notebook = write(
        tmp_path / "books" / "a.ipynb", "import os, signal; os.kill(os.getppid(), signal.SIGKILL)"
    )
    assert lessons.main([], notebook.parent, tmp_path / "runs") == 1
    assert "its process was killed" in (tmp_path / "runs" / "index.html").read_text()


def test_a_full_disk_is_told_in_a_sentence_and_nothing_is_half_written(tmp_path, monkeypatch):
    def execute_notebook(_, output, *__, **___):
        Path(output).write_text('{"cells": [')
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("papermill.execute_notebook", execute_notebook)
    outcome = execute(write(tmp_path / "a.ipynb", "1 + 1"), tmp_path / "runs" / "a.ipynb")
    assert outcome.error == "the disk is full: free some space, then call the same command again."
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_page_that_finds_no_room_is_told_and_leaves_no_part_of_it(tmp_path, monkeypatch):
    def fsync(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    notebook = write(tmp_path / "a.ipynb", "1 + 1")
    monkeypatch.setattr(os, "fsync", fsync)
    outcome = execute(notebook, tmp_path / "runs" / "a.ipynb")
    assert outcome.error.startswith("the disk is full")
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["a.ipynb"]


def test_a_file_in_the_place_of_a_folder_is_told(tmp_path):
    (tmp_path / "runs").touch()
    outcome = execute(write(tmp_path / "a.ipynb", "1 + 1"), tmp_path / "runs" / "deeper" / "a.ipynb")
    assert outcome.error.startswith(f"{tmp_path / 'runs'} is a file and not a folder")


def test_a_notebook_whose_kernel_dies_keeps_its_outputs(tmp_path):
    notebook = write(tmp_path / "a.ipynb", "import os; os._exit(9)")
    before = notebook.read_bytes()
    with pytest.raises(Trouble, match="a failed and keeps its old outputs"):
        sync.execute_in_place(notebook)
    assert notebook.read_bytes() == before


def test_a_bare_assertion_is_told_by_its_line(tmp_path):
    notebook = write(tmp_path / "a.ipynb", "steps = 3\nassert steps == 4")
    outcome = execute(notebook, tmp_path / "runs" / "a.ipynb")
    assert outcome.error == "cell [1]: AssertionError: assert steps == 4"


def test_notebooks_are_left_as_they_are(books, tmp_path):
    before = (books / "00_start.ipynb").read_bytes()
    execute(books / "00_start.ipynb", tmp_path / "runs" / "00_start.ipynb")
    assert (books / "00_start.ipynb").read_bytes() == before


# ---- course.py train ---------------------------------------------------------------------------------------


def test_a_lesson_runs_with_other_parameters(books, tmp_path, capsys):
    settings = tmp_path / "full.yaml"
    settings.write_text("preset: full\nsteps: 5\n")
    assert train.main(["01", "-f", str(settings), "-p", "steps", "7"], books, tmp_path) == 0
    made = tmp_path / "01_next" / "preset-full_steps-7" / "01_next.ipynb"
    book = nbformat.read(made, as_version=4)
    assert book.cells[-1].outputs[0].text == "full\n" and str(made) in capsys.readouterr().out


def test_an_unknown_parameter_is_refused_with_the_valid_ones(books, tmp_path):
    with pytest.raises(
        Trouble, match="01_next has no parameter stepz.\n.*:\n +steps = 1\n +preset = 'lesson'"
    ):
        train.main(["01", "-p", "stepz", "7"], books, tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


@pytest.fixture
def typed(tmp_path):
    """A lesson with a parameter of every kind."""
    source = """steps = 300  # of each stage
width = 0.25
blend = True
model = 'M4'
sizes = [16, 32]
data = None
number = len('abc')
preset = fc.preset('lesson')"""
    return write(tmp_path / "typed" / "05_typed.ipynb", source, "1")


@pytest.mark.parametrize(
    "name, text, value",
    [
        ("steps", "7", 7),
        ("steps", "5e3", 5000),
        ("width", "1", 1),
        ("width", "1e-4", 1e-4),
        ("blend", "false", False),
        ("model", "1", "1"),
        ("model", "'M1'", "M1"),
        ("sizes", "[8]", [8]),
        ("data", "/faces", "/faces"),
        ("data", "/3", "/3"),
        ("data", "None", None),
        ("number", "[]", []),
        ("preset", "full", "full"),
    ],
)
def test_a_value_of_the_defaults_type_fits(typed, name, text, value):
    given = parameters.given_by([[name, text]], None, typed)
    assert given == {name: value} and type(given[name]) is type(value)


@pytest.mark.parametrize(
    "name, text, sentence",
    [
        ("steps", "abc", "steps to be a whole number, not 'abc'"),
        ("steps", "2.5", "steps to be a whole number, not 2.5"),
        ("steps", "True", "steps to be a whole number, not True"),
        ("steps", "1e999", "steps to be a whole number, not inf"),
        ("steps", "None", "steps to be a whole number, not None"),
        ("width", "wide", "width to be a number, not 'wide'"),
        ("blend", "1", "blend to be True or False, not 1"),
        ("sizes", "16", "sizes to be a list, not 16"),
        ("preset", "huge", "preset to be one of smoke, lesson, full, not 'huge'"),
    ],
)
def test_a_value_of_another_type_is_refused_with_the_valid_parameters(typed, name, text, sentence):
    with pytest.raises(Trouble) as caught:
        parameters.given_by([[name, text]], None, typed)
    first, *lines = str(caught.value).splitlines()
    assert first == f"05_typed needs {sentence}."
    assert "    steps = 300    # of each stage" in lines and "    preset = fc.preset('lesson')" in lines


def test_values_from_a_file_are_checked_too_and_all_that_is_wrong_is_told(typed, tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("width: wide\nmodel: 3\nstepz: 1\n")
    with pytest.raises(
        Trouble, match="no parameter stepz and needs width to be .* and needs model to be text"
    ):
        parameters.given_by([], file, typed)


@pytest.fixture
def described(tmp_path):
    """A lesson whose parameters say in their comments what they take."""
    source = """size = None  # a whole number of px
width = None  # a number
steps = None  # a list of 4, one of each stage
mask_folder = None  # a folder of masks
network = None  # one of "vgg16", "vgg19" (the paper's): of the loss
model = 'M4'  # one of "M1" (plain) or "M4"
note = None  # anything"""
    return write(tmp_path / "described" / "06_described.ipynb", source, "1")


@pytest.mark.parametrize(
    ("name", "text", "right"),
    [
        ("size", "abc", "a whole number, not 'abc'"),
        ("size", "True", "a whole number, not True"),
        ("width", "[1]", "a number, not a list"),
        ("steps", "200", "a list of 4, not 200"),
        ("steps", "[1, 2, 3]", "a list of 4, not a list"),
        ("network", "vgg", "one of vgg16, vgg19, not 'vgg'"),
        ("model", "M2", "one of M1, M4, not 'M2'"),
        ("mask_folder", "", "a folder, not ''"),
    ],
)
def test_a_comment_says_what_a_parameter_takes(described, name, text, right):
    with pytest.raises(Trouble, match=re.escape(f"06_described needs {name} to be {right}.")):
        parameters.given_by([[name, text]], None, described)


def test_what_fits_the_comment_is_taken_and_none_always(described):
    pairs = [["size", "64"], ["width", "1"], ["steps", "[1, 2, 3, 4]"], ["network", "vgg19"], ["note", "x"]]
    given = parameters.given_by(pairs, None, described)
    assert given == {"size": 64, "width": 1, "steps": [1, 2, 3, 4], "network": "vgg19", "note": "x"}
    names = ("size", "width", "steps", "mask_folder", "note")
    assert set(parameters.given_by([[name, "None"] for name in names], None, described).values()) == {None}


def test_folders_count_from_where_the_command_is_given(described, typed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "a.yaml").write_text("data: sets/mine\n")
    assert parameters.given_by([], Path("a.yaml"), typed) == {"data": str(tmp_path / "sets" / "mine")}
    given = parameters.given_by([["mask_folder", "~/masks"]], None, described)
    assert given == {"mask_folder": str(tmp_path / "home" / "masks")}


def test_a_notebook_of_ones_own_is_named_by_its_path(books, monkeypatch):
    monkeypatch.chdir(books)
    assert find_one("01_next.ipynb", books / "elsewhere") == books / "01_next.ipynb"


def test_a_lesson_that_asks_where_to_train_is_told_a_folder_beside_its_copy(tmp_path):
    book = write(tmp_path / "books" / "06_where.ipynb", "run_dir = None", "print(run_dir)")
    assert train.main(["06"], book.parent, tmp_path / "runs") == 0
    folder = tmp_path / "runs" / "06_where" / "as_written"
    shown = nbformat.read(folder / "06_where.ipynb", as_version=4).cells[-1].outputs[0].text
    assert shown == f"{folder / 'run'}\n"
    record = json.loads((folder / "run.json").read_text())
    assert (record["lesson"], record["parameters"], record["error"]) == ("06_where", {}, None)


def test_a_failing_run_says_so_by_its_exit_code(books, tmp_path):
    assert train.main(["02"], books, tmp_path) == 1


@pytest.mark.parametrize(
    "text, value",
    [("3", 3), ("1e-4", 1e-4), ("True", True), ("true", True), ("[1]", [1]), ("full", "full")],
)
def test_command_line_values_are_python_values(text, value):
    assert parameters.value(text) == value


def test_yaml_numbers_without_a_point_are_numbers(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("rate: 1e-4\nname: e4\n")
    assert parameters.read_file(file) == {"rate": 1e-4, "name": "e4"}


LAUGHS = "\n".join([f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9) if n else 1}]" for n in range(12)])


@pytest.mark.parametrize(
    "text",
    ["- a\n- b", "a: [1", "just words", "a: 1\na: 2", LAUGHS, "a: " + "[" * 5000, "a: b" + " " * 1_000_001],
    ids=["list", "open", "words", "twice", "bomb", "deep", "long"],
)
def test_a_parameter_file_of_another_form_is_refused(tmp_path, text):
    file = tmp_path / "a.yaml"
    file.write_text(text)
    with pytest.raises(Trouble, match="a.yaml"):
        parameters.read_file(file)


@pytest.mark.parametrize("name", ["/dev/zero", "a_fifo", "."])
def test_a_parameter_file_that_is_no_file_is_refused_at_once(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("a_fifo")
    with pytest.raises(Trouble, match="name an ordinary file"):
        parameters.read_file(Path(name))


def test_a_value_without_end_is_shown_in_short(typed, tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text(f"steps: [{'1, ' * 1000}]\nwidth: {'w' * 1000}\n")
    with pytest.raises(Trouble) as caught:
        parameters.given_by([], file, typed)
    assert "not a list and needs width" in str(caught.value) and len(str(caught.value)) < 600


def test_a_missing_parameter_file_is_told(tmp_path):
    with pytest.raises(Trouble, match="There is no file"):
        parameters.read_file(tmp_path / "none.yaml")


def test_equal_parameters_share_a_folder_and_different_ones_do_not():
    assert train.folder_name({"b": 1, "a": 2}) == train.folder_name({"a": 2, "b": 1}) == "a-2_b-1"
    names = [train.folder_name({"data": data}) for data in ("../x y", "../x/y", "../x:y", "n" * 200)]
    assert len(set(names)) == 4 and all("/" not in name and len(name) < 100 for name in names)


# ---- course.py sweep ---------------------------------------------------------------------------------------

TRAIN = """import json, pathlib
if model == 'M2' and seed == 1:
    raise ValueError('the loss is not finite')
folder = pathlib.Path(run_dir)
folder.mkdir(exist_ok=True)
card = {'method': 'tiny', 'config': {'size': 8}, 'seed': seed, 'final': {'g.l1': len(model) + seed}}
(folder / 'card.json').write_text(json.dumps(card))"""


@pytest.fixture
def swept(tmp_path):
    """A lesson that trains in no time, and fails for one pair of parameters."""
    write(tmp_path / "books" / "07_tiny.ipynb", "model = 'M1'\nseed = 0\nrun_dir = None", TRAIN)
    return tmp_path / "books"


def test_a_sweep_runs_all_goes_on_after_a_failure_and_tabulates_what_there_is(swept, tmp_path, capsys):
    assert sweep.main(["07", "-o", "seed", "1,0,2", "-p", "model", "M2", "--jobs", "2"], swept, tmp_path) == 1
    shown = capsys.readouterr().out
    assert "model-M2_seed-1: cell [3]: ValueError: the loss is not finite" in shown
    assert "1 of 3 runs failed: model-M2_seed-1" in shown and "3 ± 1.4" in shown
    (table,) = (tmp_path / "07_tiny").glob("sweep_*.csv")
    with open(table, encoding="utf-8", newline="") as file:
        rows = {row["run"]: row for row in csv.DictReader(file)}
    assert rows["model-M2_seed-2/run"]["final.g.l1"] == "4" and len(rows) == 3
    assert "not finite" in rows["model-M2_seed-1"]["error"]


def test_a_sweep_repeats_what_failed_and_what_the_lesson_changed(swept, tmp_path, monkeypatch):
    ran, fails = [], {"seed-1"}

    def execute(notebook, output, given, **_):
        ran.append(output.parent.name)
        output.parent.mkdir(parents=True, exist_ok=True)
        return Outcome(notebook.stem, 1.0, "cell [1]: no" if output.parent.name in fails else None)

    def again():
        ran.clear()
        code = sweep.main(["07", "-o", "seed", "0,1,1"], swept, tmp_path / "runs")
        return code, list(ran)

    monkeypatch.setattr("tools.train.execute", execute)
    assert again() == (1, ["seed-0", "seed-1"])
    fails.clear()
    assert again() == (0, ["seed-1"])
    assert again() == (0, [])
    book = swept / "07_tiny.ipynb"
    book.write_text(book.read_text().replace("not finite", "odd"))
    assert again() == (0, ["seed-0", "seed-1"])
    (tmp_path / "runs" / "07_tiny" / "seed-0" / "run.json").write_text("{")
    assert again() == (0, ["seed-0"])


def test_a_run_that_cannot_even_begin_does_not_stop_the_others(swept, tmp_path, monkeypatch, capsys):
    def run(notebook, folder, given):
        if given["seed"] == 0:
            raise OSError(28, "No space left on device")
        folder.mkdir(parents=True)
        return Outcome(notebook.stem, 1.0, None)

    monkeypatch.setattr("tools.train.run", run)
    assert sweep.main(["07", "-o", "seed", "0,1"], swept, tmp_path / "runs") == 1
    shown = capsys.readouterr().out
    assert "seed-0: OSError: [Errno 28] No space left on device" in shown and "seed-1: ok" in shown


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["-o", "sead", "0,1"], "no parameter sead"),
        (["-o", "seed", "0,x"], "seed to be a whole number, not 'x'"),
        (["-o", "seed", "0,1", "-p", "seed", "2"], "seed is given twice"),
        (["-o", "seed", "0,1", "-p", "run_dir", "here"], "run_dir of its own"),
    ],
)
def test_a_sweep_that_cannot_work_is_refused_before_anything_runs(swept, tmp_path, arguments, sentence):
    with pytest.raises(Trouble, match=sentence):
        sweep.main(["07", *arguments], swept, tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "name, text, values",
    [
        ("seed", "0, 1,2", [0, 1, 2]),
        ("seed", "3", [3]),
        ("model", "M1,2", ["M1", "2"]),
        ("run_dir", "[1,2],[3]", [[1, 2], [3]]),
    ],
)
def test_values_are_separated_by_commas(swept, name, text, values):
    assert sweep.values(text, parameters.of(swept / "07_tiny.ipynb")[name]) == values


# ---- course.py sync ----------------------------------------------------------------------------------------


@pytest.fixture
def lesson(tmp_path):
    """A source and its executed notebook."""
    source, notebook = tmp_path / "lessons_src" / "90_tiny.py", tmp_path / "notebooks" / "90_tiny.ipynb"
    source.parent.mkdir()
    source.write_text(HEADER + "\n# %%\nprint(steps)\n\n# %%\ndef twice(x):\n    return 2 * x\n")
    sync.pair(source, notebook)
    sync.execute_in_place(notebook)
    return source, notebook


def read(notebook):
    return nbformat.read(notebook, as_version=4)


def test_an_edit_in_a_notebook_is_never_thrown_away(lesson):
    source, notebook = lesson
    book = read(notebook)
    book.cells.append(nbformat.v4.new_code_cell("answer = 42"))
    nbformat.write(book, notebook)
    before = notebook.read_bytes()
    for text in (source.read_text(), source.read_text().replace("2 * x", "x + x")):
        source.write_text(text)
        with pytest.raises(Trouble, match=f"{notebook} was edited, and {source} does not have these edits"):
            sync.pair(source, notebook)
        assert notebook.read_bytes() == before
    source.write_text(source.read_text().replace("x + x", "2 * x") + "\n# %%\nanswer = 42\n")
    sync.pair(source, notebook)  # both have the edit now
    source.write_text(source.read_text().replace("42", "43"))
    sync.pair(source, notebook)
    assert read(notebook).cells[-1].source == "answer = 43"


def test_outputs_stay_when_only_a_comment_changes(lesson):
    source, notebook = lesson
    source.write_text(source.read_text().replace("print(steps)", "print(steps)  # three"))
    sync.pair(source, notebook)
    cell = read(notebook).cells[2]
    assert cell.source.endswith("# three") and cell.outputs[0].text == "3\n" and cell.execution_count


def test_pairing_again_changes_nothing(lesson):
    source, notebook = lesson
    before = notebook.read_bytes()
    sync.pair(source, notebook)
    assert notebook.read_bytes() == before


def test_a_changed_cell_loses_its_output_and_the_others_keep_theirs_and_all_ids(lesson):
    source, notebook = lesson
    before = read(notebook)
    source.write_text(source.read_text().replace("2 * x", "x + x"))
    sync.pair(source, notebook)
    after = read(notebook)
    assert after.cells[2].outputs[0].text == "3\n"
    assert after.cells[3].execution_count is None and "x + x" in after.cells[3].source
    assert [cell.id for cell in after.cells[:3]] == [cell.id for cell in before.cells[:3]]


def test_executing_in_place_gives_the_same_bytes_again_and_stores_no_times(lesson):
    _, notebook = lesson
    before = notebook.read_bytes()
    sync.execute_in_place(notebook)
    assert notebook.read_bytes() == before
    assert all(set(cell.metadata) <= {"tags"} for cell in read(notebook).cells)


@pytest.mark.parametrize("line", ["1 / 0", f"print({str(ROOT / 'runs')!r})"])
def test_a_failing_or_telltale_cell_leaves_the_notebook_as_it_was(lesson, line):
    source, notebook = lesson
    source.write_text(source.read_text().replace("print(steps)", line))
    sync.pair(source, notebook)
    before = notebook.read_bytes()
    with pytest.raises(Trouble, match="90_tiny"):
        sync.execute_in_place(notebook)
    assert notebook.read_bytes() == before


def test_the_page_shows_what_the_notebook_shows(lesson, tmp_path):
    outcome = execute(lesson[1], tmp_path / "runs" / "90_tiny.ipynb", {"steps": 41})
    assert outcome.error is None and "41" in (tmp_path / "runs" / "90_tiny.html").read_text(encoding="utf-8")


# ---- course.py lab -----------------------------------------------------------------------------------------


def test_lab_opens_the_lesson_on_this_machine_only_with_the_repository_as_its_root(monkeypatch, books):
    monkeypatch.setattr("tools.lab.find_one", lambda name: find_one(name, books))
    given = arguments(["01", "--no-browser"])
    assert "--ip=127.0.0.1" in given and f"--ServerApp.root_dir={ROOT}" in given
    assert "--LabApp.default_url=/lab/tree/work/01_next.ipynb" in given and given[-1] == "--no-browser"
    assert "--LabApp.default_url=/lab/tree/work/00_start.ipynb" in arguments(["--port=9999"])


@pytest.mark.parametrize("given", [["--ip=0.0.0.0"], ["--ip", "0.0.0.0"], ["--ServerApp.ip=0.0.0.0"]])
def test_an_option_that_is_given_takes_the_place_of_ours(given):
    made = arguments(["00", *given, "--allow-root"])
    assert made[-len(given) - 1 :] == [*given, "--allow-root"] and "--ip=127.0.0.1" not in made
    assert f"--ServerApp.root_dir={ROOT}" in made


def test_lessons_are_copied_once_and_an_update_keeps_what_the_student_made(books, tmp_path):
    work = tmp_path / "work"
    assert copy_lessons(books, work) == []
    ours, theirs = books / "00_start.ipynb", work / "00_start.ipynb"
    assert theirs.read_bytes() == ours.read_bytes() and (work / "01_next_solutions.ipynb").exists()
    write(theirs, "steps = 4")
    mine = theirs.read_bytes()
    assert copy_lessons(books, work) == [] and theirs.read_bytes() == mine

    for name in ("00_start", "01_next"):  # the course is updated; only the first was opened
        write(books / f"{name}.ipynb", "steps = 5")
    (told,) = copy_lessons(books, work)
    assert "00_start was updated" in told and (work / "00_start_old1.ipynb").read_bytes() == mine
    assert all((work / path.name).read_bytes() == path.read_bytes() for path in books.glob("*.ipynb"))
    assert sorted(path.stem for path in work.glob("*_old*")) == ["00_start_old1"]


@pytest.mark.parametrize("memory", ["", "[]", "{", "3"])
def test_what_lab_remembers_may_be_damaged(books, tmp_path, memory):
    copy_lessons(books, tmp_path / "work")
    write(tmp_path / "work" / "00_start.ipynb", "steps = 4")
    mine = (tmp_path / "work" / "00_start.ipynb").read_bytes()
    (tmp_path / "work" / ".copied.json").write_text(memory)
    copy_lessons(books, tmp_path / "work")
    assert (tmp_path / "work" / "00_start_old1.ipynb").read_bytes() == mine


@pytest.mark.parametrize("memory", ["", "[]", "{", "3", '{"a": 1}', '{"a": {"name": "00_start"}}', "folder"])
def test_outcomes_that_cannot_be_read_count_as_none(tmp_path, memory):
    file = tmp_path / "outcomes.json"
    if memory == "folder":
        file.mkdir()
    else:
        file.write_text(memory)
    assert lessons.read_outcomes(file) == []


def test_a_name_with_odd_signs_is_linked(books, tmp_path):
    write(books / 'a" onclick="b#?%.ipynb', "1")
    lessons.write_index(tmp_path, books, [Outcome('a" onclick="b#?%', 1.0, None)])
    text = (tmp_path / "index.html").read_text()
    assert 'href="a%22%20onclick%3D%22b%23%3F%25.html"' in text


def test_outcomes_remember_only_what_is_still_there(books, tmp_path):
    runs = tmp_path / "runs"
    runs.mkdir()
    gone = [lessons.Outcome("99_gone", 1.0, None), lessons.Outcome("00_start", 1.0, None)]
    lessons.write_index(runs, books, gone)
    assert list(json.loads((runs / "outcomes.json").read_text())) == ["00_start"]
