"""Execute one lesson with other parameters: the same notebook that you read, at another size."""

import argparse
import ast
import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml

from tools.execute import execute
from tools.notebooks import NOTEBOOKS, RUNS, Trouble, find_one


def check_names(parameters: dict[str, Any], notebook: Path) -> None:
    """Raise Trouble if a parameter is not one that the notebook's cell tagged `parameters` sets.

    papermill itself only warns, and then trains for hours with a value that nothing reads.
    """
    import papermill

    known = papermill.inspect_notebook(notebook)
    unknown = [name for name in parameters if name not in known]
    if unknown:
        valid = ", ".join(known) or "none"
        raise Trouble(f"{notebook.stem} has no parameter {', '.join(unknown)}; its parameters are: {valid}.")


def value(text: str) -> Any:
    """A command line's text as a Python value (number, True, None, list, quoted string) or else as text."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return {"true": True, "false": False, "null": None}.get(text, text)


def read_file(path: Path) -> dict[str, Any]:
    """Parameters from a YAML file of `name: value` lines. Raises Trouble if it holds anything else."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Trouble(f"The parameter file {path} cannot be read: {error.strerror}.") from error
    except yaml.YAMLError as error:
        raise Trouble(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise Trouble(f"{path} must hold lines of the form 'name: value'.")
    # YAML 1.1 reads 1e-4 as text, because it lacks a point
    number = re.compile(r"[-+]?\d+[eE][-+]?\d+")
    return {k: float(v) if isinstance(v, str) and number.fullmatch(v) else v for k, v in content.items()}


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


def main(arguments: list[str], notebooks: Path = NOTEBOOKS, runs: Path = RUNS / "train") -> int:
    parser = argparse.ArgumentParser(prog="course.py train", description=__doc__)
    parser.add_argument("name", help="a lesson by number or name")
    parser.add_argument("-p", nargs=2, action="append", default=[], metavar=("KEY", "VALUE"))
    parser.add_argument("-f", type=Path, metavar="FILE.yaml", help="parameters from a file; -p comes on top")
    options = parser.parse_args(arguments)
    notebook = find_one(options.name, notebooks)
    parameters = read_file(options.f) if options.f else {}
    parameters.update({key: value(text) for key, text in options.p})
    check_names(parameters, notebook)

    output = runs / notebook.stem / folder_name(parameters) / notebook.name
    print(f"executing {notebook.stem} with {parameters or 'its own parameters'}")
    print(f"it fills as it goes: {output}", flush=True)
    outcome = execute(notebook, output, parameters, cell_timeout=None)
    print(f"{outcome.error or 'ok'}, in {outcome.seconds:.1f} s; to read: {output.with_suffix('.html')}")
    return int(outcome.error is not None)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Trouble as trouble:
        sys.exit(f"course.py train: {trouble}")
