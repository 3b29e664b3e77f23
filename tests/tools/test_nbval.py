"""What we rely on in nbval, under the flags of `course.py test`; a release that changes it fails here."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

import course

ROOT = Path(__file__).parents[2]
CELLS = [  # source, stored output, whether the cell is to pass
    ("import os\nassert os.environ['FACECOMP_PRESET'] == 'smoke'", "", True),
    ("raise ValueError('no face')", "", False),
    ("assert 1 == 2", "", False),
    ("1 +", "", False),
    ("# NBVAL_CHECK_OUTPUT\nprint(3)", "3\n", True),
    ("# NBVAL_CHECK_OUTPUT\nprint(3)", "4\n", False),
    ("print(3)  # not compared", "4\n", True),
]


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """`course.py test` over a notebook of these cells."""
    cells = [nbformat.v4.new_code_cell(source, execution_count=1) for source, *_ in CELLS]
    for cell, (_, text, _) in zip(cells, CELLS, strict=True):
        cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=text)] if text else []
    book = nbformat.v4.new_notebook(cells=cells)
    book.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = tmp_path_factory.mktemp("nbval") / "tiny.ipynb"
    nbformat.write(book, notebook)
    flags, variables = course.command_line("test", [str(notebook), "-rA", "-n", "0"])
    command = [sys.executable, *flags, "-p", "no:cacheprovider"]
    return subprocess.run(command, cwd=ROOT, env=os.environ | variables, capture_output=True, text=True)


def test_a_notebook_with_a_failing_cell_fails(ran):
    assert ran.returncode == 1, ran.stdout + ran.stderr


@pytest.mark.parametrize("number", range(len(CELLS)))
def test_a_cell_passes_or_fails_as_it_should(ran, number):
    passed = re.findall(r"^(PASSED|FAILED) \S*tiny\.ipynb::Cell (\d+)", ran.stdout, re.M)
    assert {int(place): word for word, place in passed}[number] == (
        "PASSED" if CELLS[number][2] else "FAILED"
    ), ran.stdout
