"""Ctrl-C, SIGTERM and SIGHUP: the run is saved, one sentence is said, and the program ends as usual."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny_method

from facecomp_lib.training import fit
from facecomp_lib.training.checkpoint import load_checkpoint

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs signals")

PATHS = [str(Path(tiny_method.__file__).parents[n]) for n in (0, 2)]
SCRIPT = """
import os, signal, sys
from pathlib import Path
import tiny_method
from facecomp_lib.training import Callback, fit

number = getattr(signal, sys.argv[1])
signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

class Stop(Callback):
    def on_step(self, step, stage, row):
        if step == 5:
            os.kill(os.getpid(), number)

fit(tiny_method.build(), tiny_method.data(Path("faces")), "run", "smoke", callbacks=[Stop()], num_samples=0)
print("went on")
"""
CELLS = [
    f"import sys; sys.path[:0] = {PATHS!r}; sys.argv = ['', 'SIGTERM']",
    SCRIPT,
]


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_script_that_is_stopped_saves_says_so_and_ends_by_the_signal(tmp_path, name):
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, name],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(PATHS), "TQDM_DISABLE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == -getattr(signal, name)
    assert result.stderr.strip() == "Training is saved in run after 6 steps: call fit again to go on."
    assert result.stdout == ""
    assert load_checkpoint(tmp_path / "run" / "state")[0]["step"] == 6


def test_sigterm_to_a_notebooks_kernel_saves(tmp_path):
    from jupyter_client.manager import KernelManager

    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(cwd=str(tmp_path))
    client = manager.client()
    try:
        client.start_channels()
        client.wait_for_ready(timeout=60)
        for cell in CELLS:
            client.execute(cell)
        last = time.monotonic() + 60
        while manager.is_alive() and time.monotonic() < last:
            time.sleep(0.1)
        assert not manager.is_alive()
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert load_checkpoint(tmp_path / "run" / "state")[0]["step"] == 6
    faces = tiny_method.data(tmp_path / "faces")
    run = fit(tiny_method.build(), faces, tmp_path / "run", "smoke", callbacks=(), num_samples=0)
    assert run.log["step"].tolist() == list(range(8))
