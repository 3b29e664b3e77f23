"""Where the lessons are, and how a command line names them."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
SOURCES = ROOT / "lessons_src"
RUNS = ROOT / "runs"


class Trouble(Exception):
    """Something the person at the keyboard can put right; commands print it without a traceback."""


def find(names: list[str], folder: Path = NOTEBOOKS) -> list[Path]:
    """The notebooks that these names mean, in order; all of them for no names.

    A name is a notebook's stem ("03_gfc"), the number in front of it or what follows it ("03" and "gfc": the
    lesson and its solutions). Raises Trouble with the known names if one means nothing.
    """
    known = sorted(folder.glob("*.ipynb"))
    if not known:
        raise Trouble(f"There are no notebooks in {folder}.")
    found: list[Path] = []
    for name in names:
        stem = name.removesuffix(".ipynb")
        names_of = {path: (path.stem, path.stem.partition("_")[2]) for path in known}
        matches = [path for path in known if any(f"{own}_".startswith(f"{stem}_") for own in names_of[path])]
        exact = [path for path in matches if path.stem == stem]
        if not matches:
            stems = ", ".join(path.stem for path in known)
            raise Trouble(f"There is no lesson called {name!r}; the lessons are {stems}.")
        found += [path for path in exact or matches if path not in found]
    return found or known


def find_one(name: str, folder: Path = NOTEBOOKS) -> Path:
    """The one notebook that a name means; a number alone means the lesson, not its solutions.

    A path means that notebook, a student's own copy for example.
    """
    if Path(name).suffix == ".ipynb" and Path(name).is_file():
        return Path(name).absolute()
    found = find([name], folder)
    lessons = [path for path in found if not path.stem.endswith("_solutions")]
    return (lessons or found)[0]
