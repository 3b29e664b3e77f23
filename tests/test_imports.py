"""Imports point one way: each part of the library uses only what stands before it."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ORDER = (  # parts that stand together do not use each other
    ("utils", "presets", "exercises"),
    ("weights",),
    ("faces", "completion"),
    ("masks", "nn"),
    ("classical", "methods"),
    ("papers",),
    ("evaluation",),
    ("show",),
    ("training",),
    ("experiments",),
    ("tools",),
)
RANK = {part: rank for rank, parts in enumerate(ORDER) for part in parts}
EXCEPTIONS = {  # module, and the part that it may use although it stands behind
    ("facecomp_lib.methods.registry", "papers"),  # build("gfc") imports the module of that name
    ("facecomp_lib.evaluation.comparison", "show"),  # tables show themselves
    ("facecomp_lib.evaluation.plot", "show"),
}
FILES = sorted(
    file for folder in ("facecomp_lib", "tools") for file in (ROOT / folder).rglob("*.py")
    if file != ROOT / "facecomp_lib" / "__init__.py"  # the face of the package shows all parts
)  # fmt: skip


def part_of(module):
    """``facecomp_lib.faces.photo`` -> ``faces``; None for what is not ours."""
    names = module.split(".")
    if names[0] == "tools":
        return "tools"
    if names[0] != "facecomp_lib" or len(names) == 1:
        return None
    return "weights" if names[1].startswith("_") else names[1]  # _fetch and the like are for weights alone


def imported(source, module):
    """Every module that a source imports, at its top or anywhere inside, by statement or by name."""
    package = module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*start, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and "import_module" in ast.unparse(node.func) and node.args:
            name = node.args[0]
            if isinstance(name, ast.JoinedStr):  # as far as it is written out
                name = name.values[0]
            if isinstance(name, ast.Constant):
                yield str(name.value)


def module_of(file):
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts)


def backward(source, module):
    """Imports of a module that point against the order."""
    here = part_of(module)
    for name in imported(source, module):
        there = part_of(name)
        if there in (None, here) or (module, there) in EXCEPTIONS:
            continue
        if RANK[there] >= RANK[here]:
            yield name


def test_every_part_has_its_place():
    assert {part_of(module_of(file)) for file in FILES} <= set(RANK)


@pytest.mark.parametrize("file", FILES, ids=module_of)
def test_no_import_points_backwards(file):
    assert list(backward(file.read_text(encoding="utf-8"), module_of(file))) == []


@pytest.mark.parametrize(
    "line",
    [
        "import facecomp_lib.training.fit",
        "from facecomp_lib import show",
        "from facecomp_lib.methods import Method",
        "def f():\n    from facecomp_lib.evaluation import psnr",
        "from ..papers import gfc",
        "import_module('facecomp_lib.papers.gfc')",
        "importlib.import_module(f'facecomp_lib.papers.{name}')",
        "from tools import sync",
    ],
)
def test_an_import_that_points_backwards_is_seen(line):
    assert len(list(backward(line, "facecomp_lib.masks.base"))) == 1
