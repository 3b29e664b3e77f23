"""Two processes under torchrun train like one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny_method
import torch
from safetensors.torch import load_file

from facecomp_lib.training import fit
from facecomp_lib.training.run_dir import read_log

SCRIPT = """
import os
import sys
from pathlib import Path
import tiny_method
from facecomp_lib.training import fit

faces = tiny_method.data(Path(sys.argv[1]))
for name, precision in (("full", "32-true"), ("half", "bf16-mixed"), ("demanding", "32-true")):
    # other weights in the second process: those of process 0 count
    method = tiny_method.build(seed=int(os.environ["RANK"]))
    stages = tiny_method.demanding(method, 8) if name == "demanding" else None
    for until in ("alone", None):
        run = fit(method, faces, Path(sys.argv[2]) / name, "smoke", stages=stages, until=until,
                  validation=faces, callbacks=(), num_samples=1, accelerator="cpu", precision=precision)
        assert run.card["steps"] == (4 if until else 8) * (2 if stages else 1)
"""


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """The folder in which two processes trained."""
    folder = tmp_path_factory.mktemp("together")
    tiny_method.data(folder / "faces")
    (folder / "script.py").write_text(SCRIPT)
    tests = Path(__file__).parents[1]
    paths = os.pathsep.join(map(str, (tests.parent, tests / "helpers")))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    result = subprocess.run(
        [*command, "script.py", "faces", "runs"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("step/s") > 0
    return folder


@pytest.mark.parametrize(
    ("name", "precision", "near"),
    [("full", "32-true", 1e-5), ("half", "bf16-mixed", 2e-2), ("demanding", "32-true", 1e-4)],
)
def test_two_processes_follow_the_loss_curve_of_one(together, tmp_path, name, precision, near):
    method, faces = tiny_method.build(), tiny_method.data(together / "faces")
    alone = fit(
        method,
        faces,
        tmp_path,
        "smoke",
        stages=tiny_method.demanding(method, 8) if name == "demanding" else None,
        validation=faces,
        callbacks=(),
        num_samples=0,
        accelerator="cpu",
        precision=precision,
    )
    log = read_log(together / "runs" / name)
    assert log.keys() == alone.log.keys() and log["step"].tolist() == alone.log["step"].tolist()
    for column in log.keys() - {"step", "stage"}:
        np.testing.assert_allclose(log[column], alone.log[column], rtol=near, atol=near, err_msg=column)
    if (
        name == "full"
    ):  # with fewer digits a gradient near zero can have either sign, and Adam takes a whole step
        shared = load_file(together / "runs" / name / "weights-against.safetensors")
        for key, value in alone.method.state_dict().items():
            torch.testing.assert_close(shared[key], value, rtol=0, atol=1e-4)


def test_one_process_alone_writes_and_the_card_names_both(together):
    run_dir = together / "runs" / "full"
    assert json.loads((run_dir / "card.json").read_text())["hardware"].startswith("2 processes, each on ")
    assert (run_dir / "log.csv").read_text().count("step,stage") == 1
    assert len(list((run_dir / "tensorboard").iterdir())) == 2  # one for each call of fit
