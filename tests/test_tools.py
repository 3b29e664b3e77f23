"""What course.py runs: lessons are executed, failures are told, parameters are checked, outputs are kept."""

import json
import time

import nbformat
import pytest

from tools import lessons, sync, train
from tools.execute import execute
from tools.lab import arguments
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


@pytest.mark.parametrize("name", ["7", "0", "next", "01_nex"])
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
    assert "DeadKernelError" in outcome.error


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
    with pytest.raises(Trouble, match="01_next has no parameter stepz; its parameters are: steps, preset"):
        train.main(["01", "-p", "stepz", "7"], books, tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_failing_run_says_so_by_its_exit_code(books, tmp_path):
    assert train.main(["02"], books, tmp_path) == 1


@pytest.mark.parametrize(
    "text, value",
    [("3", 3), ("1e-4", 1e-4), ("True", True), ("true", True), ("[1]", [1]), ("full", "full")],
)
def test_command_line_values_are_python_values(text, value):
    assert train.value(text) == value


def test_yaml_numbers_without_a_point_are_numbers(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("rate: 1e-4\nname: e4\n")
    assert train.read_file(file) == {"rate": 1e-4, "name": "e4"}


@pytest.mark.parametrize("text", ["- a\n- b", "a: [1", "just words"])
def test_a_parameter_file_of_another_form_is_refused(tmp_path, text):
    file = tmp_path / "a.yaml"
    file.write_text(text)
    with pytest.raises(Trouble, match="a.yaml"):
        train.read_file(file)


def test_a_missing_parameter_file_is_told(tmp_path):
    with pytest.raises(Trouble, match="cannot be read: No such file"):
        train.read_file(tmp_path / "none.yaml")


def test_equal_parameters_share_a_folder_and_different_ones_do_not():
    assert train.folder_name({"b": 1, "a": 2}) == train.folder_name({"a": 2, "b": 1}) == "a-2_b-1"
    names = [train.folder_name({"data": data}) for data in ("../x y", "../x/y", "../x:y", "n" * 200)]
    assert len(set(names)) == 4 and all("/" not in name and len(name) < 100 for name in names)


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
    assert "--LabApp.default_url=/lab/tree/notebooks/01_next.ipynb" in given and given[-1] == "--no-browser"
    assert "--LabApp.default_url=/lab/tree/notebooks/00_start.ipynb" in arguments(["--port=9999"])


def test_outcomes_remember_only_what_is_still_there(books, tmp_path):
    runs = tmp_path / "runs"
    runs.mkdir()
    gone = [lessons.Outcome("99_gone", 1.0, None), lessons.Outcome("00_start", 1.0, None)]
    lessons.write_index(runs, books, gone)
    assert list(json.loads((runs / "outcomes.json").read_text())) == ["00_start"]
