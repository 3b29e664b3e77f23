"""Compiled training is the same training, and a machine without a compiler trains uncompiled."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_method
import torch

from facecomp_lib.training import fit

ALONE = """
import sys
from pathlib import Path
import tiny_method
from facecomp_lib.training import fit

faces = tiny_method.data(Path(sys.argv[1]))
run = fit(tiny_method.build(), faces, sys.argv[2], "smoke", callbacks=(), compile=True)
assert run.card["steps"] == 8
"""


@pytest.mark.skipif(not any(map(shutil.which, ("g++", "clang++", "c++"))), reason="needs a C++ compiler")
def test_compiling_changes_nothing_but_rounding(tmp_path):
    faces = tiny_method.data(tmp_path / "faces")
    options = {"preset": "smoke", "callbacks": (), "accelerator": "cpu"}
    plain = fit(tiny_method.build(), faces, tmp_path / "plain", **options)
    compiled = fit(tiny_method.build(), faces, tmp_path / "compiled", compile=True, **options)
    for key, value in plain.method.state_dict().items():
        torch.testing.assert_close(compiled.method.state_dict()[key], value, rtol=0, atol=1e-5)
    for column in plain.log.keys() - {"step", "stage"}:
        assert compiled.log[column] == pytest.approx(plain.log[column], rel=1e-4, abs=1e-5, nan_ok=True)
    assert all(module._compiled_call_impl is None for module in compiled.method.modules())


def test_without_a_compiler_it_warns_and_trains(tmp_path):
    tiny_method.data(tmp_path / "faces")
    tests = Path(__file__).parents[1]
    paths = os.pathsep.join(map(str, (tests.parent, tests / "helpers")))
    environment = {**os.environ, "CXX": "no-compiler", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")}
    result = subprocess.run(
        [sys.executable, "-c", ALONE, tmp_path / "faces", tmp_path / "run"],
        env={**environment, "PYTHONPATH": paths, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("compile=True has no effect") == 1
