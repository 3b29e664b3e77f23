"""Execute one lesson for every combination of some parameters' values, and collect the runs into one table.

    python3 course.py sweep 03 -o seed 0,1,2 -o model M1,M4 -p steps "[150, 200, 100, 100]"

Each run has its own folder under runs/train/, the one that `course.py train` would use. A run that is
finished is not repeated; one that failed or was interrupted is, and its training goes on from its checkpoint.
"""

import argparse
import ast
import functools
import itertools
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import as_completed
from pathlib import Path
from typing import Any

from tools import parameters, train
from tools.command import run_command, workers
from tools.execute import Outcome, share_cores
from tools.notebooks import NOTEBOOKS, RUNS, Trouble, find_one


def values(text: str, parameter: parameters.Parameter) -> list[Any]:
    """The values of `-o KEY V1,V2,...`; lists among them are written [1,2],[3,4]."""
    if "[" in text or "(" in text:
        try:
            return list(ast.literal_eval(f"[{text}]"))
        except (ValueError, SyntaxError) as error:
            raise Trouble(
                f"-o {parameter.name} {text} is no list of values: separate them by commas."
            ) from error
    return [parameter.read(part.strip()) for part in text.split(",")]


def grid(over: list[list[str]], fixed: dict[str, Any], notebook: Path) -> list[dict[str, Any]]:
    """The parameters of every run, all of them checked. Raises Trouble."""
    known = parameters.of(notebook)
    parameters.check({name: None for name, _ in over if name not in known}, notebook)
    names = [name for name, _ in over]
    if twice := {name for name in names if names.count(name) > 1 or name in fixed}:
        raise Trouble(f"{', '.join(sorted(twice))} is given twice.")
    axes = [values(text, known[name]) for name, text in over]
    points = [fixed | dict(zip(names, point, strict=True)) for point in itertools.product(*axes)]
    checked = [parameters.check(point, notebook) for point in points]
    return [point for place, point in enumerate(checked) if point not in checked[:place]]


def execute(notebook: Path, folders: dict[Path, dict[str, Any]], jobs: int) -> list[str]:
    """Run what is not finished and print a line for each run. Returns the names of those that failed."""
    failed = []
    todo = {folder: given for folder, given in folders.items() if not train.finished(notebook, folder)}
    for folder in folders:
        if folder not in todo:
            print(f"{folder.name}: finished before", flush=True)
    for folder, result in outcomes(notebook, todo, min(jobs, len(todo))):
        try:
            outcome = result()
            error, took = outcome.error, f" in {outcome.seconds:.1f} s"
        except Exception as crash:  # a full disk, a killed worker: the others may still do
            error, took = f"{type(crash).__name__}: {crash}", ""
        if error:
            failed.append(folder.name)
        print(f"{folder.name}: {error or 'ok'}{took}", flush=True)
    return sorted(failed)


def outcomes(
    notebook: Path, todo: dict[Path, dict[str, Any]], jobs: int
) -> Iterator[tuple[Path, Callable[[], Outcome]]]:
    """Each run's folder and what gives its outcome, as they end; several jobs in processes of their own."""
    if jobs <= 1:
        for folder, given in todo.items():
            yield folder, functools.partial(train.run, notebook, folder, given)
        return
    with workers(jobs, share_cores, jobs) as pool:
        futures = {pool.submit(train.run, notebook, folder, given): folder for folder, given in todo.items()}
        for future in as_completed(futures):
            yield futures[future], future.result


def main(arguments: list[str], notebooks: Path = NOTEBOOKS, runs: Path = RUNS / "train") -> int:
    parser = argparse.ArgumentParser(prog="course.py sweep", description=__doc__.splitlines()[0])
    parser.add_argument("name", help="a lesson by number or name")
    parser.add_argument(
        "-o", nargs=2, action="append", required=True, metavar=("KEY", "V1,V2,..."), help="try each value"
    )
    parser.add_argument(
        "-p", nargs=2, action="append", default=[], metavar=("KEY", "VALUE"), help="in all runs"
    )
    parser.add_argument("-f", type=Path, metavar="FILE.yaml", help="parameters of all runs; -p comes on top")
    parser.add_argument("--jobs", type=int, default=1, help="how many runs at a time")
    options = parser.parse_args(arguments)
    notebook = find_one(options.name, notebooks)
    fixed = parameters.given_by(options.p, options.f, notebook)
    points = grid(options.o, fixed, notebook)
    if train.RUN_DIR in fixed and len(points) > 1:
        raise Trouble(f"Each run needs a {train.RUN_DIR} of its own: leave the parameter out.")

    home = runs / notebook.stem
    folders = {home / train.folder_name(point): point for point in points}
    print(f"{len(folders)} runs of {notebook.stem} in {home}", flush=True)
    failed = execute(notebook, folders, options.jobs)

    from facecomp_lib.training.sweep import collect  # not above: every worker would load PyTorch

    table = collect(*(folder for folder in folders if folder.is_dir()))
    file = home / f"sweep_{train.folder_name(fixed | dict(options.o))}.csv"
    print(f"\n{table}\n")
    groups = table.over("seed")
    if len(groups.rows) < len(table.rows):
        print(f"over seeds, mean ± standard deviation:\n{groups}\n")
    table.save(file)
    print(f"all columns: {file}")
    if failed:
        print(f"{len(failed)} of {len(folders)} runs failed: {', '.join(failed)}")
    return int(bool(failed))


if __name__ == "__main__":
    again = "what was trained is saved, and the same command goes on from there"
    sys.exit(run_command("sweep", main, again, where_called=True))
