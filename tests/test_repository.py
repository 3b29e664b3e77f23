"""The repository stays small, self-contained and free of traces of one machine."""

import json
import re
import subprocess
from pathlib import Path

import nbformat
import pytest

from tools.notebooks import NOTEBOOKS, ROOT
from tools.sync import is_progress_bar, local_paths

MB = 1e6
TREE, CHECKPOINT, NOTEBOOK = 45 * MB, 5 * MB, 1.2 * MB
NAMES = sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))
TEXT = {".py", ".md", ".ipynb", ".yml", ".toml", ".cff", ".cfg", ".json", ".js", ".css", ""}


def tracked() -> list[Path]:
    try:
        listing = subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git clone")
    return [path for name in listing.split("\0") if name and (path := ROOT / name).is_file()]


def test_the_checked_out_tree_keeps_its_budget():
    sizes = {path: path.stat().st_size for path in tracked()}
    largest = [f"{path.name} {size / MB:.1f} MB" for path, size in sorted(sizes.items(), key=lambda x: -x[1])]
    assert len(sizes) > 100 and sum(sizes.values()) < TREE, f"the largest files are {', '.join(largest[:8])}"


def test_a_checkpoint_keeps_its_budget():
    sizes = {path.name: path.stat().st_size for path in tracked() if path.suffix == ".safetensors"}
    assert sizes and {name: size for name, size in sizes.items() if size > CHECKPOINT} == {}


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_with_its_outputs_keeps_its_budget(name):
    assert (NOTEBOOKS / f"{name}.ipynb").stat().st_size < NOTEBOOK


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_valid_and_shows_no_path_of_one_machine(name):
    book = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    nbformat.validate(book)
    assert local_paths(json.dumps(book)) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_stores_no_progress_bar(name):
    cells = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4).cells
    assert [output for cell in cells for output in cell.get("outputs", []) if is_progress_bar(output)] == []


def test_progress_bars_are_recognised():
    texts = {"  26%|##6       | 250/950 [00:00<?, ?step/s]": True, "26% of 950 | more": False, "": False}
    for text, bar in texts.items():
        output = nbformat.v4.new_output("display_data", {"text/plain": text})
        assert is_progress_bar(output) is bar


def test_no_text_names_a_path_of_one_machine():
    here = Path(__file__)
    texts = [path for path in tracked() if path.suffix in TEXT and path != here]
    found = {path.name: local_paths(path.read_text(encoding="utf-8")) for path in texts}
    assert {name: paths for name, paths in found.items() if paths} == {}


def test_local_paths_are_recognised():
    shown = local_paths(f"in {Path.home()}/faces/a.png and {ROOT}/runs/x, not runs/y or https://a.org/home/b")
    assert shown == sorted([f"{Path.home()}/faces/a.png", f"{ROOT}/runs/x"])


def test_links_between_our_pages_lead_somewhere():
    pages = [path for path in tracked() if path.suffix == ".md"]
    target = re.compile(r"""(?:\]\(|src=")([^)#"\s]+)""")
    links = [(page, link) for page in pages for link in target.findall(page.read_text(encoding="utf-8"))]
    ours = [(page, link) for page, link in links if "://" not in link]
    assert ours and [f"{page.name}: {link}" for page, link in ours if not (page.parent / link).exists()] == []


def test_the_readme_names_the_two_commands():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "python3 course.py lessons" in readme and "python3 course.py test" in readme


def test_ci_runs_the_readmes_test_command():
    assert "python3 course.py test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
