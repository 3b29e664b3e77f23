"""A lesson's parameters: what its notebook offers, and whether values that somebody gives fit."""

import ast
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facecomp_lib.presets import PRESETS
from facecomp_lib.utils.files import expand
from facecomp_lib.utils.yaml_files import read_yaml
from tools.notebooks import Trouble

UNKNOWN = object()  # a default that is computed
NUMBER, WHOLE, FOLDER, LIST = "a number", "a whole number", "a folder", "a list"
KINDS = {int: WHOLE, float: NUMBER, bool: "True or False", str: "text", list: LIST, tuple: LIST}
# what the comment of a parameter may begin with
DECLARED = re.compile(rf"(?P<kind>{WHOLE}|{NUMBER}|{FOLDER}|{LIST}(?: of (?P<length>\d+))?)\b")
CHOICES = re.compile(r'one of ((?:"[^"]*"(?: \([^)]*\))?(?:, | or )?)+)')
FOLDERS = ("data", "run_dir")  # are folders without a comment, too
LONGEST = 80  # characters of a wrong value that a message shows


@dataclass(frozen=True)
class Parameter:
    """One line of the cell tagged `parameters`: `name = source  # help`.

    The default says what kind of value it takes. Where the default is None, the help does: it begins with
    `a number`, `a whole number`, `a folder`, `a list`, `a list of 4`, or with `one of "x", "y"`.
    """

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

    @property
    def choices(self) -> list[str]:
        """The values that it may have; empty if there is no list of them."""
        if self.name == "preset":
            return list(PRESETS)
        named = CHOICES.match(self.help)
        return re.findall(r'"([^"]*)"', named[1]) if named else []

    @property
    def kind(self) -> str | None:
        """In words, what it takes; None if anything."""
        declared = DECLARED.match(self.help)
        if self.default is None or self.default is UNKNOWN:
            return declared[0] if declared else FOLDER if self.name in FOLDERS else None
        return FOLDER if declared and declared["kind"] == FOLDER else KINDS.get(type(self.default))

    def read(self, text: str) -> Any:
        """A command line's text as a value of the right kind where that is possible, else as what it is."""
        plain = isinstance(self.default, str) or self.choices or (self.kind == FOLDER and text != "None")
        return text.strip("'\"") if plain else value(text)

    def fitted(self, given: Any) -> Any:
        """The value, as the parameter's kind where nothing is lost: 5e3 as 5000, a folder as a whole path.

        Raises:
            ValueError: it is of another kind; the message completes 'steps must be ...'.
        """
        if given is None and self.default is None:
            return None
        if self.choices:
            if given not in self.choices:
                raise ValueError(f"one of {', '.join(self.choices)}, not {shown(given)}")
            return given
        if self.kind is None:
            return given
        if not fits(given, self.kind):
            raise ValueError(f"{self.kind}, not {shown(given)}")
        if self.kind == FOLDER:
            return str(expand(given).absolute())
        return int(given) if self.kind == WHOLE else given


def fits(given: Any, kind: str) -> bool:
    """Whether a value is of a kind that is named in words."""
    if kind in (FOLDER, KINDS[str]):
        return isinstance(given, str) and (given != "" or kind != FOLDER)
    if kind == KINDS[bool] or isinstance(given, bool):
        return isinstance(given, bool) and kind == KINDS[bool]
    if kind == NUMBER:
        return isinstance(given, (int, float))
    if kind == WHOLE:
        return isinstance(given, (int, float)) and float(given).is_integer()
    length = kind.removeprefix(f"{LIST} of ")
    return isinstance(given, (list, tuple)) and (length == kind or len(given) == int(length))


def shown(given: Any) -> str:
    """A wrong value for a message, cut where it is long."""
    text = repr(given) if not isinstance(given, (list, dict)) else f"a {type(given).__name__}"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


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
    except (ValueError, SyntaxError, MemoryError, RecursionError):  # the last two: ever so many brackets
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
        return read_yaml(path)
    except (OSError, ValueError) as error:
        raise Trouble(str(error)) from error
