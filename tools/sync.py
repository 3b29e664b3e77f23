"""Rebuild what is made from lessons_src/: the notebooks, and the modules that they export.

The direction is always source -> notebook -> module. A notebook's outputs and cell ids are kept as far as its
cells are unchanged.
"""

import argparse
import json
import re
import sys
import tempfile
from pathlib import Path

import nbformat

from tools.execute import CELL_TIMEOUT, QUIET, START_TIMEOUT
from tools.notebooks import NOTEBOOKS, ROOT, SOURCES, Trouble, find

KEPT_METADATA = ("jupytext", "kernelspec")  # not `widgets`: without their state, pages show the static figure
PROGRESS = re.compile(r"[^|]*\d+%\|[^|]*\| *\d+/\d+ \[")  # of tqdm
DEFAULT_EXPORT = re.compile(r"^#\|\s*default_exp\s+(\S+)", re.M)


def pair(source: Path, notebook: Path) -> None:
    """Build a notebook from its percent script, keeping the outputs of cells that did not change."""
    from jupytext.cli import jupytext

    notebook.parent.mkdir(parents=True, exist_ok=True)
    before = nbformat.read(notebook, as_version=4).cells if notebook.exists() else []
    sources = {cell.id: cell.source for cell in before}
    jupytext(["--quiet", "--update", "--to", "ipynb", "--output", str(notebook), str(source)])
    book = nbformat.read(notebook, as_version=4)
    for cell in book.cells:  # jupytext matches cells that changed, too, and lets them keep their old outputs
        if cell.cell_type == "code" and sources.get(cell.id) != cell.source:
            cell.outputs, cell.execution_count = [], None
    clean(book)
    nbformat.write(book, notebook)


def exported_module(notebook: Path) -> str | None:
    """The module that a notebook's cells are exported to, by its `#| default_exp` line; None if to none."""
    for cell in nbformat.read(notebook, as_version=4).cells:
        if cell.cell_type == "code" and (found := DEFAULT_EXPORT.search(cell.source)):
            return found[1]
    return None


def export(notebook: Path, library: Path) -> Path | None:
    """Write the module that a notebook exports into the library folder; None if it exports nothing."""
    from nbdev.export import nb_export

    module = exported_module(notebook)
    if module is None:
        return None
    nb_export(str(notebook), lib_path=str(library))
    return library.joinpath(*module.split(".")).with_suffix(".py")


def execute_in_place(notebook: Path) -> None:
    """Execute a notebook and store its outputs in it, without times and other things that change every run.

    Raises Trouble, and leaves the file as it was, if a cell fails or prints a path of this machine.
    """
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    book = nbformat.read(notebook, as_version=4)
    client = NotebookClient(
        book, kernel_name="python3", timeout=CELL_TIMEOUT, startup_timeout=START_TIMEOUT, record_timing=False,
        extra_arguments=QUIET, resources={"metadata": {"path": str(notebook.parent)}},
    )  # fmt: skip
    try:
        client.execute()
    except CellExecutionError as failure:
        raise Trouble(f"{notebook.stem} failed and keeps its old outputs.\n{failure}") from failure
    clean(book)
    if paths := local_paths(json.dumps([cell.get("outputs", []) for cell in book.cells])):
        raise Trouble(f"{notebook.stem} shows paths of this machine ({', '.join(paths)}), not stored.")
    nbformat.write(book, notebook)


def clean(book: nbformat.NotebookNode) -> None:
    """Drop what says nothing about the lesson: metadata, and progress bars that stopped where they began."""
    book.metadata = {key: book.metadata[key] for key in KEPT_METADATA if key in book.metadata}
    for cell in book.cells:
        cell.metadata = {"tags": cell.metadata["tags"]} if cell.metadata.get("tags") else {}
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not is_progress_bar(output)]


def is_progress_bar(output: nbformat.NotebookNode) -> bool:
    """Whether an output is a progress bar, which a page without a kernel shows as it was first drawn."""
    return PROGRESS.match(output.get("data", {}).get("text/plain", "")) is not None


def local_paths(text: str) -> list[str]:
    """Absolute paths in a text that mean something on one machine only (its home, clone, temporary files)."""
    here = "|".join(re.escape(str(path)) for path in (ROOT, Path.home(), Path(tempfile.gettempdir())))
    return sorted(set(re.findall(rf"(?:{here}|/home/\w+|/Users/\w+|[A-Z]:\\+Users)[/\\][\w./\\-]*", text)))


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="course.py sync", description=__doc__)
    parser.add_argument("--execute", nargs="*", metavar="NAME", help="execute these, or all, in place")
    options = parser.parse_args(arguments)
    for source in sorted(SOURCES.glob("*.py")):
        notebook = NOTEBOOKS / f"{source.stem}.ipynb"
        pair(source, notebook)
        module = export(notebook, ROOT / "facecomp_lib")
        print(f"{source.stem}: notebook" + (f" and {module.relative_to(ROOT)}" if module else ""))
    if options.execute is not None:
        for notebook in find(options.execute):
            execute_in_place(notebook)
            print(f"{notebook.stem}: executed", flush=True)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Trouble as trouble:
        sys.exit(f"course.py sync: {trouble}")
