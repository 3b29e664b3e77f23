"""The modules in facecomp_lib/papers are exactly what the lessons export."""

import shutil

import nbformat

from tools.notebooks import NOTEBOOKS, ROOT
from tools.sync import export, exported_module

EXPORTING = [path for path in sorted(NOTEBOOKS.glob("*.ipynb")) if exported_module(path)]
PAPERS = ROOT / "facecomp_lib" / "papers"


def export_copy(notebook, folder):
    """Export a copy that lies in `folder` as the original lies in the repository."""
    copy = folder / "notebooks" / notebook.name
    copy.parent.mkdir(parents=True)
    shutil.copy(notebook, copy)
    return export(copy, folder / "facecomp_lib")


def test_each_module_is_what_its_lesson_exports(tmp_path):
    for notebook in EXPORTING:
        made = export_copy(notebook, tmp_path / notebook.stem)
        kept = ROOT / made.relative_to(tmp_path / notebook.stem)
        same = kept.read_text(encoding="utf-8") == made.read_text(encoding="utf-8")
        assert same, f"{kept.name} differs from {notebook.name}: run python3 course.py sync"


def test_every_paper_module_comes_from_a_lesson():
    modules = {f"papers.{path.stem}" for path in PAPERS.glob("*.py") if path.stem != "__init__"}
    assert modules == {exported_module(path) for path in EXPORTING}


def test_only_marked_cells_are_exported(tmp_path):
    book = nbformat.v4.new_notebook()
    sources = ["#| default_exp papers.tiny", "#| export\ndef twice(x):\n    return 2 * x", "print(twice(2))"]
    book.cells = [nbformat.v4.new_code_cell(source) for source in sources]
    notebook = tmp_path / "90_tiny.ipynb"
    nbformat.write(book, notebook)
    text = export_copy(notebook, tmp_path / "repository_copy").read_text(encoding="utf-8")
    assert "def twice" in text and "print" not in text


def test_a_notebook_without_a_module_exports_nothing(tmp_path):
    notebook = tmp_path / "plain.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 + 1")]), notebook)
    assert exported_module(notebook) is None and export(notebook, tmp_path) is None
