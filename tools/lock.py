"""Write requirements.lock: one version of every package that `course.py setup render test` installs.

    python -m tools.lock

The versions are those of the environment that runs it, so lock what was tested: make a fresh environment, let
pip resolve pyproject.toml there without the lock, run the tests, then this. Packages that exist on one system
only (CUDA libraries, Windows terminals) are left out; pip takes the versions that their users name.
"""

import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from facecomp_lib.utils.files import atomic_write
from tools.notebooks import ROOT, Trouble

LOCK = ROOT / "requirements.lock"
ONE_SYSTEM_ONLY = ("cuda-", "nvidia-", "triton")
HEAD = """# One version of every package that `course.py setup render test` installs; see tools/lock.py.
# course.py gives it to pip as constraints: pip install -c requirements.lock -e ".[render,test]"
"""


def requirements(pyproject: Path = ROOT / "pyproject.toml") -> tuple[list[Requirement], list[Requirement]]:
    """Return what pyproject.toml asks for with all extras, and what goes in without its dependencies."""
    content: dict[str, Any] = tomllib.loads(pyproject.read_text(encoding="utf-8"))
    project = content["project"]
    lines = [*project["dependencies"], *sum(project["optional-dependencies"].values(), [])]
    alone = content["tool"]["facecomp"]["without-dependencies"]
    return list(map(Requirement, lines)), list(map(Requirement, alone))


def installed(asked: Iterable[Requirement]) -> dict[str, Version]:
    """Return the installed version of these packages and of everything that they need here.

    Raises:
        Trouble: one of them is not installed.
    """
    found: dict[str, Version] = {}
    waiting = [(each.name, extra) for each in asked for extra in ("", *each.extras)]
    done = set()
    while waiting:
        name, extra = waiting.pop()
        name = canonicalize_name(name)
        if (name, extra) in done or name.startswith(ONE_SYSTEM_ONLY):
            continue
        done.add((name, extra))
        found[name] = version(name)
        for needed in map(Requirement, distribution(name).requires or []):
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                waiting += [(needed.name, wanted) for wanted in ("", *needed.extras)]
    return found


def version(name: str) -> Version:
    """Return the installed version of a package. Raises Trouble if there is none."""
    try:
        return Version(distribution(name).version)
    except PackageNotFoundError as error:
        raise Trouble(f"{name} is not installed here: run 'python3 course.py setup render test'.") from error


def text(versions: dict[str, Version]) -> str:
    """Return the lock's text; a build's mark (2.13.0+cpu) is left out: each system has its own."""
    lines = [f"{name}=={version.public}" for name, version in sorted(versions.items())]
    return HEAD + "\n".join(lines) + "\n"


def read(lock: Path = LOCK) -> dict[str, Version]:
    """Return the locked versions by name."""
    lines = lock.read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {name: Version(version) for name, version in pairs}


def main() -> int:
    asked, alone = requirements()
    found = installed(asked) | {canonicalize_name(each.name): version(each.name) for each in alone}
    atomic_write(LOCK, text(found))
    print(f"{LOCK.name}: {len(found)} packages")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Trouble as trouble:
        sys.exit(f"tools.lock: {trouble}")
