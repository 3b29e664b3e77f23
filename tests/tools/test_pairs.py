"""A lesson's source and its notebook are the same lesson, and the notebook was executed as it stands."""

import jupytext
import nbformat
import pytest

from tools.notebooks import NOTEBOOKS, SOURCES
from tools.sync import digest

NAMES = sorted(path.stem for path in SOURCES.glob("*.py"))


def cells(book):
    return [(cell.cell_type, cell.source.strip(), cell.metadata.get("tags", [])) for cell in book.cells]


def read(name):
    return nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)


def test_every_source_has_its_notebook_and_the_other_way_round():
    assert NAMES and sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_notebook_says_what_its_source_says(name):
    assert cells(read(name)) == cells(jupytext.read(SOURCES / f"{name}.py")), "run: python3 course.py sync"


@pytest.mark.parametrize("name", NAMES)
def test_the_notebook_names_its_kernel(name):
    assert read(name).metadata.kernelspec.name == "python3"


@pytest.mark.parametrize("name", NAMES)
def test_the_notebook_is_stored_as_jupyterlab_writes_it_and_as_sync_built_it(name):
    metadata = read(name).metadata
    assert metadata.language_info.name == "python" and "version" in metadata.language_info
    assert metadata.facecomp.built == digest(read(name)), "run: python3 course.py sync"


@pytest.mark.parametrize("name", NAMES)
def test_every_cell_was_executed_in_order(name):
    counts = [cell.execution_count for cell in read(name).cells if cell.cell_type == "code" and cell.source]
    assert counts == list(range(1, len(counts) + 1)), f"run: python3 course.py sync --execute {name}"


@pytest.mark.parametrize("name", NAMES)
def test_cells_whose_output_is_compared_have_one(name):
    """nbval passes a marked cell that has no stored output, whatever it prints."""
    marked = [cell for cell in read(name).cells if "NBVAL_CHECK_OUTPUT" in cell.source]
    assert all(cell.execution_count and cell.outputs for cell in marked)


@pytest.mark.parametrize("name", NAMES)
def test_no_stored_output_is_an_error(name):
    outputs = [output for cell in read(name).cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.output_type == "error"]
