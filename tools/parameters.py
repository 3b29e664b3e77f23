"""A lesson's parameters: what its notebook offers, and whether values that somebody gives fit."""

import ast
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from facecomp_lib.presets import PRESETS
from tools.notebooks import Trouble

UNKNOWN = object()  # a default that is computed


@dataclass(frozen=True)
class Parameter:
    """One line of the cell tagged `parameters`: `name = source  # help`."""

    name: str
    source: str
    help: str

    @property
    def default(self) -> Any:
        """The default as a value, UNKNOWN if it is computed; a preset's is text."""
        try:
            return ast.literal_eval(self.source)
        except (ValueError, SyntaxError):
            return "lesson" if self.name == "preset" else UNKNOWN

    def read(self, text: str) -> Any:
        """A command line's text as a value of the right kind where that is possible, else as what it is."""
        return text.strip("'\"") if isinstance(self.default, str) else value(text)

    def fitted(self, given: Any) -> Any:
        """The value, as the default's type where nothing is lost (5e3 as 5000).

        Raises:
            ValueError: it is of another type, or no preset; the message completes 'steps must be ...'.
        """
        default = self.default
        if self.name == "preset" and given not in PRESETS:
            raise ValueError(f"one of {', '.join(PRESETS)}, not {given!r}")
        if default is None or default is UNKNOWN:
            return given
        kind = list if isinstance(default, (list, tuple)) else type(default)
        accepted = {int: (int, float), float: (int, float), list: (list, tuple)}.get(kind, (kind,))
        fits = isinstance(given, accepted) and isinstance(given, bool) == (kind is bool)
        if not fits or (kind is int and not float(given).is_integer()):
            raise ValueError(f"{WORDS.get(kind, kind.__name__)}, not {given!r}")
        return int(given) if kind is int else given


WORDS = {int: "a whole number", float: "a number", bool: "True or False", str: "text", list: "a list"}


def of(notebook: Path) -> dict[str, Parameter]:
    """The notebook's parameters by name, in its order."""
    import papermill

    found = papermill.inspect_notebook(notebook)
    return {name: Parameter(name, it["default"], it["help"].strip()) for name, it in found.items()}


def check(given: dict[str, Any], notebook: Path) -> dict[str, Any]:
    """The given parameters, each with a value of its default's type.

    papermill itself only warns of an unknown name, and then trains for hours with a value that nothing reads.

    Raises:
        Trouble: a name that the notebook lacks or a value of another type; the valid ones are listed.
    """
    known, fitted, wrong = of(notebook), {}, []
    if unknown := [str(name) for name in given if name not in known]:
        wrong.append(f"has no parameter {', '.join(unknown)}")
    for name in [name for name in given if name in known]:
        try:
            fitted[name] = known[name].fitted(given[name])
        except ValueError as error:
            wrong.append(f"needs {name} to be {error}")
    if wrong:
        raise Trouble(f"{notebook.stem} {' and '.join(wrong)}.\n{listed(known)}")
    return {name: fitted[name] for name in given}


def listed(known: dict[str, Parameter]) -> str:
    """The valid parameters, a line each: name, default, what it means."""
    if not known:
        return "It has no parameters."
    lines = [
        f"    {it.name} = {it.source}" + (f"    # {it.help}" if it.help else "") for it in known.values()
    ]
    return "\n".join(["Its parameters and their defaults:", *lines])


def value(text: str) -> Any:
    """A command line's text as a Python value (number, True, None, list, quoted string) or else as text."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return {"true": True, "false": False, "null": None}.get(text, text)


def given_by(pairs: list[list[str]], file: Path | None, notebook: Path) -> dict[str, Any]:
    """What a command line gives: a file's parameters, and `-p KEY VALUE` pairs on top. Raises Trouble."""
    known, given = of(notebook), read_file(file) if file else {}
    for name, text in pairs:
        given[name] = known[name].read(text) if name in known else value(text)
    return check(given, notebook)


def read_file(path: Path) -> dict[str, Any]:
    """Parameters from a YAML file of `name: value` lines. Raises Trouble if it holds anything else."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Trouble(f"The parameter file {path} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Trouble(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise Trouble(f"{path} must hold lines of the form 'name: value'.")
    # YAML 1.1 reads 1e-4 as text, because it lacks a point
    number = re.compile(r"[-+]?\d+[eE][-+]?\d+")
    return {k: float(v) if isinstance(v, str) and number.fullmatch(v) else v for k, v in content.items()}
