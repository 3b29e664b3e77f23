"""Open JupyterLab at a lesson, on this machine only."""

import sys

from tools.notebooks import ROOT, Trouble, find_one


def arguments(given: list[str]) -> list[str]:
    """JupyterLab's arguments for `course.py lab [NAME] [--jupyter-option ...]`.

    The server is rooted at the repository, not at notebooks/: else saving a notebook leaves its pair in
    lessons_src/ behind.
    """
    name = given[0] if given and not given[0].startswith("-") else "00"
    options = given[1:] if given and given[0] == name else given
    page = f"/lab/tree/notebooks/{find_one(name).name}"
    return ["--ip=127.0.0.1", f"--ServerApp.root_dir={ROOT}", f"--LabApp.default_url={page}", *options]


if __name__ == "__main__":
    from jupyterlab.labapp import main

    try:
        sys.exit(main(arguments(sys.argv[1:])))
    except Trouble as trouble:
        sys.exit(f"course.py lab: {trouble}")
