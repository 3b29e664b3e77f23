"""A run that is killed, at any moment and again and again, ends with the bytes of one that was left alone."""

import hashlib
import multiprocessing
import os
import random
import signal
import sys
import time

import pytest
import tiny_method

from facecomp_lib.training import fit
from facecomp_lib.training.run_dir import locked

NAMES = ("weights-alone.safetensors", "weights-against.safetensors", "log.csv")
pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")


def train(faces, run_dir, steps=15, save_every=0.0, replacements=None):
    """A run; ``replacements`` of files end with the process killing itself right before the last of them."""
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115 (the process ends with it)
    method = tiny_method.build(dropout=0.2)  # dropout draws from PyTorch's own generator
    stages = tiny_method.demanding(method, steps)
    if replacements is not None:
        count, real = 0, os.replace

        def replace_or_die(source, target):
            nonlocal count
            count += 1
            if count == replacements:
                os.kill(os.getpid(), signal.SIGKILL)
            real(source, target)

        os.replace = replace_or_die
    data = tiny_method.data(faces)
    fit(
        method,
        data,
        run_dir,
        stages=stages,
        validation=data,
        save_every=save_every,
        callbacks=(),
        num_samples=1,
    )


@pytest.fixture(scope="module")
def start():
    """Starts ``train`` in a process of its own, a quick copy of one that has imported everything."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["facecomp_lib.training.fit", "pyarrow", "torch.utils.tensorboard"])

    def start(*args, **options):
        process = context.Process(target=train, args=args, kwargs=options)
        process.start()
        return process

    return start


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faces")
    tiny_method.data(folder)
    return folder


@pytest.fixture(scope="module")
def whole(start, faces, tmp_path_factory):
    """Hashes of a run that nobody disturbed, and that saved only between its stages."""
    run_dir = tmp_path_factory.mktemp("whole") / "run"
    process = start(faces, run_dir, save_every=1e9)
    process.join()
    assert process.exitcode == 0
    return hashes(run_dir)


def hashes(run_dir):
    return {name: hashlib.sha256((run_dir / name).read_bytes()).hexdigest() for name in NAMES}


def rows(run_dir):
    log = run_dir / "log.csv"
    return log.read_bytes().count(b"\n") if log.exists() else 0


def finish(start, faces, run_dir):
    process = start(faces, run_dir, save_every=1e9)
    process.join()
    assert process.exitcode == 0
    assert not list((run_dir / "state").glob("*.part"))
    return hashes(run_dir)


def test_three_kills_at_random_moments_change_nothing(start, faces, whole, tmp_path):
    chance = random.Random(0)
    for kill in range(3):
        process = start(faces, tmp_path)
        while rows(tmp_path) < 4 + 9 * kill and process.is_alive():
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.05))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    assert finish(start, faces, tmp_path) == whole


@pytest.mark.parametrize("moment", ["the tensors", "their description", "weights of a stage"])
def test_a_kill_while_files_are_written_changes_nothing(start, faces, whole, tmp_path, moment):
    # config, two for the first checkpoint, the log's head, two for each step within a stage
    before = 4 + 2 * 8
    fatal = {"the tensors": before + 1, "their description": before + 2, "weights of a stage": 4 + 2 * 14 + 1}
    process = start(faces, tmp_path, replacements=fatal[moment])
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert list(tmp_path.rglob("*.part"))
    assert finish(start, faces, tmp_path) == whole


def test_a_killed_process_leaves_no_lock_and_a_living_one_keeps_others_out(start, faces, tmp_path):
    process = start(faces, tmp_path, steps=10_000)
    while rows(tmp_path) < 2 and process.is_alive():
        time.sleep(0.002)
    with pytest.raises(BlockingIOError, match="Another process"), locked(tmp_path):
        pass
    process.kill()
    process.join()
    with locked(tmp_path):
        pass
