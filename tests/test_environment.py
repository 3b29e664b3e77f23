"""environment.yml, pyproject.toml and what is imported say the same."""

import importlib
import re
import subprocess
import sys
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools import lock
from tools.notebooks import Trouble

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
CONDA_NAMES = {"matplotlib-base": "matplotlib"}
LOCKED = lock.read()
FROM_PIP = next(entry["pip"] for entry in CONDA["dependencies"] if isinstance(entry, dict))
FROM_CONDA = dict((entry.split() + [""])[:2] for entry in CONDA["dependencies"] if isinstance(entry, str))


def expected() -> dict[str, str]:
    requirements = map(Requirement, PROJECT["dependencies"])
    return {canonicalize_name(each.name): str(each.specifier) for each in requirements}


def test_conda_gets_the_same_python():
    assert FROM_CONDA["python"] == PROJECT["requires-python"]


def test_every_conda_package_has_the_bounds_of_pyproject():
    asked = {CONDA_NAMES.get(name, name): bounds for name, bounds in FROM_CONDA.items()}
    shared = {name: bounds for name, bounds in asked.items() if name not in ("python", "pip")}
    assert shared == {name: expected().get(name) for name in shared}


def test_conda_gets_the_locked_torch_and_torchvision():
    pins = [Requirement(line) for line in FROM_PIP if not line.startswith("-")]
    assert {each.name for each in pins} == {"torch", "torchvision", "lpips"}
    assert {each.name: str(each.specifier) for each in pins} == {
        each.name: f"=={LOCKED[each.name]}" for each in pins
    }


def test_conda_takes_the_rest_from_pyproject():
    editable = [re.fullmatch(r"-e \.\[(.+)\]", line) for line in FROM_PIP if line.startswith("-")]
    assert len(editable) == 1 and editable[0]
    assert set(editable[0][1].split(",")) <= set(PROJECT["optional-dependencies"])


def test_the_lock_holds_every_dependency_in_a_version_that_pyproject_allows():
    asked, alone = lock.requirements()
    assert len(asked) > 30 and len(alone) == 1
    outside = [
        str(each) for each in asked + alone if LOCKED.get(canonicalize_name(each.name)) not in each.specifier
    ]
    assert outside == []


def test_the_lock_is_sorted_names_each_package_once_and_leaves_one_systems_packages_out():
    lines = [line for line in lock.LOCK.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    names = [line.split("==")[0] for line in lines]
    assert names == sorted(set(names)) and names == list(map(canonicalize_name, names))
    assert not any(name.startswith(lock.ONE_SYSTEM_ONLY) for name in names)
    assert lock.text(LOCKED) == lock.LOCK.read_text(encoding="utf-8"), "write it with tools/lock.py"


def test_the_lock_follows_what_packages_need():
    found = lock.installed([Requirement("lpips")])
    assert {"lpips", "torch", "torchvision", "numpy", "scipy", "tqdm", "sympy"} <= found.keys()
    assert "pytest" not in found
    with pytest.raises(Trouble, match="no-such-package is not installed here"):
        lock.installed([Requirement("no-such-package")])


def test_the_readme_tells_pip_users_what_is_installed_without_dependencies():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    pins = PYPROJECT["tool"]["facecomp"]["without-dependencies"]
    assert pins and all(f"pip install --no-deps {pin}" in readme for pin in pins)


def test_the_installed_package_has_the_version_of_pyproject():
    import facecomp_lib

    assert facecomp_lib.__version__ == PROJECT["version"]


def test_importing_the_library_loads_nothing_heavy():
    heavy = ["torch", "numpy", "cv2", "matplotlib", "PIL", "pyarrow", "lpips", "dlib"]
    code = f"import sys, facecomp_lib; print([name for name in {heavy} if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert shown.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["faces", "masks", "classical", "evaluation", "show", "weights"])
def test_submodules_are_there_when_asked_for(name):
    import facecomp_lib

    assert getattr(facecomp_lib, name) is importlib.import_module(f"facecomp_lib.{name}")
    assert name in dir(facecomp_lib)


def test_an_unknown_submodule_is_an_attribute_error():
    import facecomp_lib

    with pytest.raises(AttributeError, match="landmark_wizard"):
        _ = facecomp_lib.landmark_wizard


def test_face_alignment_works_beside_the_headless_opencv():
    names = {canonicalize_name(each.metadata["Name"]) for each in distributions()}
    assert "opencv-python-headless" in names and "opencv-python" not in names
    import face_alignment

    assert face_alignment.LandmarksType.TWO_D


def test_preset_from_the_environment_wins(monkeypatch):
    import facecomp_lib as fc

    monkeypatch.delenv("FACECOMP_PRESET", raising=False)
    assert fc.preset("full") == "full" and fc.preset() == "lesson"
    monkeypatch.setenv("FACECOMP_PRESET", "smoke")
    assert fc.preset("full") == "smoke"


@pytest.mark.parametrize("variable, argument", [(None, "fast"), ("fast", "lesson"), ("smoke", "fast")])
def test_an_unknown_preset_is_refused_with_the_known_ones(monkeypatch, variable, argument):
    import facecomp_lib as fc

    monkeypatch.delenv("FACECOMP_PRESET", raising=False)
    if variable:
        monkeypatch.setenv("FACECOMP_PRESET", variable)
    with pytest.raises(ValueError, match="'fast'; choose one of smoke, lesson, full"):
        fc.preset(argument)
