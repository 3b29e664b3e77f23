"""Execute one notebook and tell how it went."""

import os
import re
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from facecomp_lib.utils.files import atomic_write
from tools.command import AT_ONCE, Deferred, explain

CELL_TIMEOUT = 1800  # seconds; a lesson's own training takes two minutes on two cores
START_TIMEOUT = 120
# Kernels choose their ports before they take them: of several that start at once, one may come too late.
STARTS, STILLBORN = 3, "Kernel died before replying to kernel_info"
# a kernel that talks to its own machine need not warn that it does so without encryption
QUIET = ["--IPKernelApp.log_level=CRITICAL"]
STOPPED = "stopped"
NO_REASON = "it gave no reason; the machine's memory may have run out"


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

    SIGINT and SIGTERM interrupt the cell that runs, so that a training saves; the cell is waited for, and the
    signal sent again when the page is written. Whatever fails is told in the outcome.

    Args:
        notebook: the notebook to execute, left as it is.
        output: where the executed copy goes; the page is beside it with the ending .html.
        parameters: new values for names in the cell tagged `parameters`.
        cell_timeout: seconds that one cell may take, None for no limit.
    """
    start = time.perf_counter()
    kernel = _Kernel()
    with Deferred(kernel.interrupt):
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
            output.with_suffix(".html").unlink(missing_ok=True)
            for _ in range(STARTS):
                error = _papermill(notebook, output, parameters, cell_timeout, kernel)
                if error is None or STILLBORN not in error or kernel.stopped:
                    break
        except OSError as failure:
            error = explain(failure)
        page_error = _show(output)
    error = STOPPED if kernel.stopped else error or page_error
    return Outcome(notebook.stem, time.perf_counter() - start, error)


class _Kernel:
    """The kernel that executes a notebook, for the one who has to stop it."""

    def __init__(self) -> None:
        self.stopped = False
        self.manager: Any = None
        self._last = -AT_ONCE

    def interrupt(self) -> None:
        """Interrupt the cell that runs, and let none begin."""
        self.stopped = True
        if not hasattr(os, "killpg"):  # Windows: give the notebook up
            raise KeyboardInterrupt
        if time.monotonic() - self._last >= AT_ONCE and self.manager is not None and self.manager.has_kernel:
            os.killpg(self.manager.provisioner.pid, signal.SIGINT)
        self._last = time.monotonic()

    def check(self, **_: Any) -> None:
        """Called before each cell."""
        if self.stopped:
            raise RuntimeError(STOPPED)

    def manager_class(self) -> type:
        """A class of kernel managers that make themselves known here."""
        from jupyter_client import AsyncKernelManager

        kernel = self

        class Manager(AsyncKernelManager):
            def __init__(self, **options: Any) -> None:
                super().__init__(**options)
                kernel.manager = self

        return Manager


def _papermill(
    notebook: Path, output: Path, parameters: dict[str, Any] | None, cell_timeout: int | None, kernel: _Kernel
) -> str | None:
    """One attempt at an execution: None, or a line about what went wrong."""
    import papermill

    try:
        papermill.execute_notebook(
            notebook, output, parameters, kernel_name="python3", cwd=notebook.parent, progress_bar=False,
            execution_timeout=cell_timeout, start_timeout=START_TIMEOUT, extra_arguments=QUIET,
            kernel_manager_class=kernel.manager_class(), on_cell_start=kernel.check,
        )  # fmt: skip
    except papermill.PapermillExecutionError as failure:
        what = _first_line(failure.evalue) or _failing_line(failure.traceback) or NO_REASON
        return f"cell [{failure.exec_count}]: {failure.ename}: {what}"
    except Exception as failure:  # a cell ran out of time, a kernel died: papermill lets these through
        if isinstance(failure, OSError) and failure.errno:  # not a timeout
            return explain(failure)
        hint = f" ({NO_REASON})" if type(failure).__name__ == "DeadKernelError" else ""
        return f"{type(failure).__name__}: {_first_line(str(failure))}{hint}"
    return None


def _show(output: Path) -> str | None:
    """Write the page of an executed copy: None, or why there is none. A copy that was cut off is removed."""
    try:
        if output.exists():
            write_page(output)
    except OSError as failure:
        return explain(failure)
    except Exception as failure:  # papermill could not write the copy to its end
        output.unlink(missing_ok=True)
        return f"the executed copy is damaged: {type(failure).__name__}"
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
    return atomic_write(notebook.with_suffix(".html"), body)


def _failing_line(traceback: list[str]) -> str:
    """The line of code that raised: all there is to show for `assert x` without a message."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(traceback))
    lines = re.findall(r"^-+> \d+ (.*)$", plain, re.M)
    return lines[-1].strip() if lines else ""


def _first_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[0] if lines else ""
