"""Execute one notebook and tell how it went."""

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

CELL_TIMEOUT = 1800  # seconds; a lesson's own training takes two minutes on two cores
START_TIMEOUT = 120
# Kernels choose their ports before they take them: of several that start at once, one may come too late.
STARTS, STILLBORN = 3, "Kernel died before replying to kernel_info"
# a kernel that talks to its own machine need not warn that it does so without encryption
QUIET = ["--IPKernelApp.log_level=CRITICAL"]


@dataclass
class Outcome:
    """How one execution went; `error` is None or one line about the cell that failed."""

    name: str
    seconds: float
    error: str | None


def execute(
    notebook: Path,
    output: Path,
    parameters: dict[str, Any] | None = None,
    cell_timeout: int | None = CELL_TIMEOUT,
) -> Outcome:
    """Execute a notebook from its own folder with papermill, leaving the executed copy and an HTML page.

    Args:
        notebook: the notebook to execute, left as it is.
        output: where the executed copy goes; the page is beside it with the ending .html.
        parameters: new values for names in the cell tagged `parameters`.
        cell_timeout: seconds that one cell may take, None for no limit.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    output.with_suffix(".html").unlink(missing_ok=True)
    start = time.perf_counter()
    for _ in range(STARTS):
        error = _papermill(notebook, output, parameters, cell_timeout)
        if error is None or STILLBORN not in error:
            break
    seconds = time.perf_counter() - start
    if output.exists():
        write_page(output)
    return Outcome(notebook.stem, seconds, error)


def _papermill(
    notebook: Path, output: Path, parameters: dict[str, Any] | None, cell_timeout: int | None
) -> str | None:
    """One attempt at an execution: None, or a line about what went wrong."""
    import papermill

    try:
        papermill.execute_notebook(
            notebook, output, parameters, kernel_name="python3", cwd=notebook.parent, progress_bar=False,
            execution_timeout=cell_timeout, start_timeout=START_TIMEOUT, extra_arguments=QUIET,
        )  # fmt: skip
    except papermill.PapermillExecutionError as failure:
        what = _first_line(failure.evalue) or _failing_line(failure.traceback)
        return f"cell [{failure.exec_count}]: {failure.ename}: {what}"
    except Exception as failure:  # a cell ran out of time, a kernel died: papermill lets these through
        return f"{type(failure).__name__}: {_first_line(str(failure))}"
    return None


def share_cores(jobs: int) -> None:
    """Several kernels at once are fastest when each keeps to its own cores."""
    if jobs > 1:
        os.environ["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // jobs))


def write_page(notebook: Path) -> Path:
    """Write a notebook as a static HTML page beside it."""
    from nbconvert import HTMLExporter

    book = nbformat.read(notebook, as_version=4)
    book.metadata.pop("widgets", None)  # without their state, the page shows each widget's static figure
    body, _ = HTMLExporter().from_notebook_node(book)
    page = notebook.with_suffix(".html")
    page.write_text(body, encoding="utf-8")
    return page


def _failing_line(traceback: list[str]) -> str:
    """The line of code that raised: all there is to show for `assert x` without a message."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(traceback))
    lines = re.findall(r"^-+> \d+ (.*)$", plain, re.M)
    return lines[-1].strip() if lines else ""


def _first_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[0] if lines else ""
