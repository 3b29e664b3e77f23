"""Execute one lesson with other parameters: the same notebook that you read, at another size."""

import argparse
import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any

import nbformat

from facecomp_lib.utils.files import atomic_write
from tools import parameters
from tools.command import Deferred, run_command
from tools.execute import Outcome, execute
from tools.notebooks import NOTEBOOKS, RUNS, find_one

RUN_DIR = "run_dir"  # the parameter that says where a lesson trains; a folder beside the executed notebook
RECORD = "run.json"


def folder_name(parameters: dict[str, Any]) -> str:
    """A folder name for a set of parameters: readable, and the same again for the same set."""
    if not parameters:
        return "as_written"
    readable = "_".join(f"{key}-{parameters[key]}" for key in sorted(parameters))
    plain = re.sub(r"[^\w.-]+", "-", readable)
    if plain == readable and len(plain) <= 80:
        return plain
    digest = hashlib.sha256(json.dumps(parameters, sort_keys=True, default=str).encode()).hexdigest()
    return f"{plain[:70]}_{digest[:8]}"


def run(notebook: Path, folder: Path, given: dict[str, Any]) -> Outcome:
    """Execute a lesson into a folder, with a record of its parameters and of how it went beside it.

    A lesson with a parameter `run_dir` trains into the folder's `run`, unless the caller says where: calling
    again goes on from there.
    """
    passed = dict(given)
    if RUN_DIR in parameters.of(notebook):
        passed.setdefault(RUN_DIR, str((folder / "run").resolve()))
    with Deferred():  # a signal does its work when the record is written
        outcome = execute(notebook, folder / notebook.name, passed, cell_timeout=None)
        record = {
            "lesson": notebook.stem,
            "code": code(notebook),
            "parameters": given,
            "seconds": round(outcome.seconds, 1),
            "error": outcome.error,
        }
        atomic_write(folder / RECORD, json.dumps(record, indent=1, default=str) + "\n")
    return outcome


def finished(notebook: Path, folder: Path) -> bool:
    """Whether the folder holds a run of this notebook, as its code is now, that went well."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        return record["error"] is None and record["code"] == code(notebook)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def code(notebook: Path) -> str:
    """A digest of all code of a notebook."""
    cells = nbformat.read(notebook, as_version=4).cells
    text = "\0".join(cell.source for cell in cells if cell.cell_type == "code")
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def main(arguments: list[str], notebooks: Path = NOTEBOOKS, runs: Path = RUNS / "train") -> int:
    parser = argparse.ArgumentParser(prog="course.py train", description=__doc__)
    parser.add_argument("name", help="a lesson by number or name")
    parser.add_argument("-p", nargs=2, action="append", default=[], metavar=("KEY", "VALUE"))
    parser.add_argument("-f", type=Path, metavar="FILE.yaml", help="parameters from a file; -p comes on top")
    options = parser.parse_args(arguments)
    notebook = find_one(options.name, notebooks)
    given = parameters.given_by(options.p, options.f, notebook)

    folder = runs / notebook.stem / folder_name(given)
    output = folder / notebook.name
    print(f"executing {notebook.stem} with {given or 'its own parameters'}")
    print(f"it fills as it goes: {output}", flush=True)
    outcome = run(notebook, folder, given)
    print(f"{outcome.seconds:.1f} s: {outcome.error or 'ok'}")
    if output.with_suffix(".html").exists():
        print(f"to read: {output.with_suffix('.html')}")
    return int(outcome.error is not None)


if __name__ == "__main__":
    again = "what was trained is saved, and the same command goes on from there"
    sys.exit(run_command("train", main, again, where_called=True))
