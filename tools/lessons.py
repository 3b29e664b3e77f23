"""Execute the lessons headless, one line each; executed copies and an index page go to runs/lessons/."""

import argparse
import html
import json
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from urllib.parse import quote

import nbformat

from facecomp_lib.utils.files import atomic_write
from tools.command import run_command, workers
from tools.execute import NO_REASON, Outcome, execute, share_cores
from tools.notebooks import NOTEBOOKS, RUNS, find

PAGE = """<!doctype html>
<meta charset="utf-8">
<title>Executed lessons</title>
<style>
  body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem }}
  table {{ border-collapse: collapse; width: 100% }}
  td, th {{ text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #ddd }}
  .seconds {{ text-align: right }}
  .failed {{ color: #b00020 }}
</style>
<h1>Executed lessons</h1>
<table>
<tr><th>Lesson</th><th class="seconds">Seconds</th><th>Result</th></tr>
{rows}
</table>
"""


def run(notebooks: list[Path], folder: Path, jobs: int) -> Iterator[Outcome]:
    """Execute notebooks, `jobs` at a time in processes of their own; give each outcome as it ends."""
    with workers(jobs, share_cores, jobs) as pool:
        futures = {pool.submit(execute, path, folder / path.name): path for path in notebooks}
        for future in as_completed(futures):
            try:
                yield future.result()
            except BrokenExecutor:
                yield Outcome(futures[future].stem, 0.0, f"its process was killed: {NO_REASON}")


def write_index(folder: Path, notebooks: Path, outcomes: list[Outcome]) -> Path:
    """Write index.html over all that was executed so far: what was left out keeps its last outcome."""
    memory = folder / "outcomes.json"
    known = {outcome.name: outcome for outcome in [*read_outcomes(memory), *outcomes]}
    kept = [known[name] for name in sorted(known) if (notebooks / f"{name}.ipynb").exists()]
    atomic_write(memory, json.dumps({outcome.name: asdict(outcome) for outcome in kept}, indent=1))
    rows = "\n".join(_row(outcome, notebooks) for outcome in kept)
    return atomic_write(folder / "index.html", PAGE.format(rows=rows))


def read_outcomes(memory: Path) -> list[Outcome]:
    """The outcomes that write_index remembered, without those that cannot be read."""
    try:
        entries = json.loads(memory.read_text(encoding="utf-8")).values()
        outcomes = [Outcome(it["name"], float(it["seconds"]), it["error"]) for it in entries]
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return []
    return [it for it in outcomes if isinstance(it.name, str) and isinstance(it.error, (str, type(None)))]


def _row(outcome: Outcome, notebooks: Path) -> str:
    title = html.escape(_title(notebooks / f"{outcome.name}.ipynb"))
    result = f'<span class="failed">{html.escape(outcome.error)}</span>' if outcome.error else "ok"
    return (
        f'<tr><td><a href="{quote(outcome.name)}.html">{title}</a></td>'
        f'<td class="seconds">{outcome.seconds:.1f}</td><td>{result}</td></tr>'
    )


def _title(notebook: Path) -> str:
    """A notebook's first heading, or its name."""
    for cell in nbformat.read(notebook, as_version=4).cells:
        for line in cell.source.splitlines() if cell.cell_type == "markdown" else []:
            if line.startswith("# "):
                return line[2:].strip()
    return notebook.stem


def main(arguments: list[str], notebooks: Path = NOTEBOOKS, folder: Path = RUNS / "lessons") -> int:
    parser = argparse.ArgumentParser(prog="course.py lessons", description=__doc__)
    parser.add_argument("names", nargs="*", help="lessons by number or name; all of them if none is given")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="how many at a time")
    options = parser.parse_args(arguments)
    chosen = find(options.names, notebooks)
    jobs = max(1, min(options.jobs, len(chosen)))
    print(f"executing {len(chosen)} notebook{'s' * (len(chosen) > 1)}, {jobs} at a time", flush=True)
    start = time.perf_counter()
    outcomes = []
    width = max(len(path.stem) for path in chosen)
    try:
        for outcome in run(chosen, folder, jobs):
            outcomes.append(outcome)
            print(f"{outcome.name:{width}}  {outcome.seconds:6.1f} s  {outcome.error or 'ok'}", flush=True)
    finally:  # even if this is stopped or nobody reads its output
        index = write_index(folder, notebooks, outcomes)
    failed = sum(outcome.error is not None for outcome in outcomes)
    print(f"{len(outcomes) - failed} ok, {failed} failed, in {time.perf_counter() - start:.1f} s")
    print(f"to read: {index}")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(run_command("lessons", main, "what was executed so far is in runs/lessons/index.html"))
