"""Open JupyterLab at a lesson, on this machine only.

Students work in copies: work/ is theirs, and git does not look at it. So opening, running and saving a lesson
changes nothing that `git pull` would stumble over.
"""

import hashlib
import itertools
import json
import sys
from pathlib import Path

from facecomp_lib.utils.files import atomic_write
from tools.command import run_command
from tools.notebooks import NOTEBOOKS, ROOT, find_one

WORK = ROOT / "work"
COPIED = ".copied.json"  # the digests of the lessons that were copied
# what we set, and the names by which somebody may set it otherwise
OURS = {
    "--ip=127.0.0.1": ("--ip", "--ServerApp.ip"),
    f"--ServerApp.root_dir={ROOT}": ("--ServerApp.root_dir", "--ServerApp.notebook_dir", "--notebook-dir"),
    "--LabApp.default_url={page}": ("--LabApp.default_url", "--ServerApp.default_url"),
}


def copy_lessons(notebooks: Path = NOTEBOOKS, work: Path = WORK) -> list[str]:
    """Copy the lessons into the student's folder, as far as they are new; nothing of the student's is lost.

    A lesson that was updated takes its name; a copy that was opened and saved before is kept beside it.

    Returns:
        A sentence for every copy that was renamed.
    """
    try:
        copied = dict(json.loads((work / COPIED).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        copied = {}
    told = []
    for lesson in sorted(notebooks.glob("*.ipynb")):
        copy, new, before = work / lesson.name, digest(lesson), copied.get(lesson.name)
        if copy.exists() and new == before:
            continue
        if copy.exists() and digest(copy) not in (new, before):
            old = free_name(copy)
            copy.rename(old)
            told.append(f"{lesson.stem} was updated: your copy is now {old.relative_to(work.parent)}")
        atomic_write(copy, lesson.read_bytes())
        copied[lesson.name] = new
    atomic_write(work / COPIED, json.dumps(copied, indent=1))
    return told


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def free_name(file: Path) -> Path:
    """The first of NAME_old1.ipynb, NAME_old2.ipynb ... that is not taken."""
    names = (file.with_stem(f"{file.stem}_old{number}") for number in itertools.count(1))
    return next(name for name in names if not name.exists())


def arguments(given: list[str]) -> list[str]:
    """JupyterLab's arguments for `course.py lab [NAME] [--jupyter-option ...]`; the given ones come first."""
    name = given[0] if given and not given[0].startswith("-") else "00"
    options = given[1:] if given and given[0] == name else given
    page = f"/lab/tree/{WORK.name}/{find_one(name).name}"
    named = {option.partition("=")[0] for option in options}
    return [*(ours.format(page=page) for ours, names in OURS.items() if not named & set(names)), *options]


def main(given: list[str]) -> int:
    from jupyterlab.labapp import main

    options = arguments(given)
    for sentence in copy_lessons():
        print(sentence, flush=True)
    main(options)
    return 0


if __name__ == "__main__":
    sys.exit(run_command("lab", main))
