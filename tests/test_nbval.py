"""What we rely on in nbval, under the flags of `course.py test`; a release that changes it fails here."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

import course

ROOT = Path(__file__).parents[1]


def check(folder, *sources, output="", executed=True):
    """Run `course.py test` over a notebook of these cells; the last one's stored output is `output`."""
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    if output:
        cells[-1].outputs = [nbformat.v4.new_output("stream", name="stdout", text=output)]
    cells[-1].execution_count = 1 if executed else None
    book = nbformat.v4.new_notebook(cells=cells)
    book.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(book, folder / "tiny.ipynb")
    flags, variables = course.command_line("test", [])
    flags = [flag for flag in flags if flag not in ("tests", "notebooks")]
    command = [sys.executable, *flags, "-p", "no:cacheprovider", "-n", "0", str(folder / "tiny.ipynb")]
    ran = subprocess.run(command, cwd=ROOT, env=os.environ | variables, capture_output=True, text=True)
    assert ran.returncode in (0, 1), ran.stdout + ran.stderr  # 2 and more: pytest did not even run
    return ran.returncode, ran.stdout


def test_a_notebook_that_works_passes_and_its_preset_is_small(tmp_path):
    code, shown = check(tmp_path, "import os", "assert os.environ['FACECOMP_PRESET'] == 'smoke'")
    assert code == 0 and "2 passed" in shown


@pytest.mark.parametrize("cell", ["raise ValueError('no face')", "assert 1 == 2", "1 +"])
def test_a_cell_that_fails_fails_the_notebook_and_is_shown(tmp_path, cell):
    code, shown = check(tmp_path, "x = 1", cell)
    assert code == 1 and "1 failed" in shown and "1 passed" in shown


def test_a_kernel_that_dies_fails_the_notebook(tmp_path):
    code, _ = check(tmp_path, "import os; os._exit(3)")
    assert code == 1


@pytest.mark.parametrize("stored, code", [("3\n", 0), ("4\n", 1)])
def test_outputs_are_compared_where_a_cell_asks_for_it_and_nowhere_else(tmp_path, stored, code):
    assert check(tmp_path, "# NBVAL_CHECK_OUTPUT\nprint(3)", output=stored)[0] == code
    assert check(tmp_path, "print(3)", output=stored)[0] == 0
