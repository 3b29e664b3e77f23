"""Rebuild what is made from lessons_src/: the notebooks, and the modules that they export.

The direction is always source -> notebook -> module. A notebook's outputs and cell ids are kept as far as its
cells are unchanged.
"""

import argparse
import ast
import hashlib
import json
import re
import sys
import tempfile
from pathlib import Path

import nbformat

from tools.command import run_command
from tools.execute import CELL_TIMEOUT, QUIET, START_TIMEOUT
from tools.notebooks import NOTEBOOKS, ROOT, SOURCES, Trouble, find

# `language_info` is what JupyterLab adds when it opens a notebook; not `widgets`: without their state, pages
# show the static figure
KEPT_METADATA = ("facecomp", "jupytext", "kernelspec", "language_info")
PROGRESS = re.compile(r"[^|]*\d+%\|[^|]*\| *\d+/\d+ \[")  # of tqdm
DEFAULT_EXPORT = re.compile(r"^#\|\s*default_exp\s+(\S+)", re.M)


def pair(source: Path, notebook: Path) -> None:
    """Build a notebook from its percent script, keeping the outputs of cells whose code did not change.

    Raises Trouble if the notebook was edited since it was built, and the script does not have these edits.
    """
    from jupytext.cli import jupytext

    check_unedited(source, notebook)
    notebook.parent.mkdir(parents=True, exist_ok=True)
    before = nbformat.read(notebook, as_version=4) if notebook.exists() else nbformat.v4.new_notebook()
    sources = {cell.id: cell.source for cell in before.cells}
    jupytext(["--quiet", "--update", "--to", "ipynb", "--output", str(notebook), str(source)])
    book = nbformat.read(notebook, as_version=4)
    for cell in book.cells:  # jupytext matches cells that changed, too, and lets them keep their old outputs
        if cell.cell_type == "code" and not same_code(sources.get(cell.id), cell.source):
            cell.outputs, cell.execution_count = [], None
    if "language_info" in before.metadata:
        book.metadata.language_info = before.metadata.language_info
    book.metadata.facecomp = {"built": digest(book)}
    clean(book)
    nbformat.write(book, notebook)


def check_unedited(source: Path, notebook: Path) -> None:
    """Raise Trouble if building the notebook would throw away what somebody wrote into it."""
    import jupytext

    if not notebook.exists():
        return
    book = nbformat.read(notebook, as_version=4)
    built = book.metadata.get("facecomp", {}).get("built")
    if digest(book) not in (built, digest(jupytext.read(source))):
        raise Trouble(
            f"{notebook} was edited, and {source} does not have these edits. Copy what is to stay into the "
            "script, move the notebook away or undo its edits with git checkout, and call sync again."
        )


def digest(book: nbformat.NotebookNode) -> str:
    """A digest of what is written in a notebook's cells."""
    cells = [[cell.cell_type, cell.source.strip(), cell.metadata.get("tags", [])] for cell in book.cells]
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()[:16]


def same_code(before: str | None, now: str) -> bool:
    """Whether two cells compute the same: they differ in comments and blank lines at most."""
    if before is None or before == now:
        return before == now
    try:
        return ast.dump(ast.parse(before)) == ast.dump(ast.parse(now))
    except SyntaxError:  # a magic command
        return False


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
    from nbclient.exceptions import CellExecutionError, DeadKernelError

    book = nbformat.read(notebook, as_version=4)
    client = NotebookClient(
        book, kernel_name="python3", timeout=CELL_TIMEOUT, startup_timeout=START_TIMEOUT, record_timing=False,
        extra_arguments=QUIET, resources={"metadata": {"path": str(notebook.parent)}},
    )  # fmt: skip
    try:
        client.execute()
    except (CellExecutionError, DeadKernelError) as failure:
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
    sources = sorted(SOURCES.glob("*.py"))
    for source in sources:  # all of them, before anything is written
        check_unedited(source, NOTEBOOKS / f"{source.stem}.ipynb")
    for source in sources:
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
    sys.exit(run_command("sync", main, "the same command does the rest"))
