"""The trainer: goes through a method's stages step by step, and knows nothing of any paper.

    run = fc.training.fit(method, faces, "runs/gfc")       # again after a kill: goes on from the checkpoint
    before = run.after("reconstruct")                      # the method as it was after that stage

Everything random hangs on the seed and the number of the step, so a checkpoint needs no random state, and a
run that was killed and called again ends with the very bytes of one that was not (on a CPU, with the same
number of threads), whatever other threads of the program draw.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Sequence

import torch

from facecomp_lib.faces.dataset import FaceDataset
from facecomp_lib.methods import Method, Stage
from facecomp_lib.training.checkpoint import explain_full_disk
from facecomp_lib.training.config import (
    check_or_write_config,
    fingerprint,
    run_config,
    validate_stages,
)
from facecomp_lib.training.devices import compile_works, launch_fabric
from facecomp_lib.training.loop import Loop
from facecomp_lib.training.run import Run
from facecomp_lib.training.run_dir import check_folder, locked
from facecomp_lib.training.run_log import Callback, Callbacks, FixedFaces, ProgressBar, RunLog
from facecomp_lib.training.signals import GracefulShutdown
from facecomp_lib.utils.checks import check_count, check_path, check_range, describe, shown
from facecomp_lib.utils.renamed import renamed

__all__ = ["fit"]


@renamed(show="callbacks", watch="num_samples")
def fit(
    method: Method,
    data: FaceDataset,
    run_dir: str | os.PathLike[str],
    preset: str = "lesson",
    *,
    stages: Sequence[Stage] | None = None,
    until: str | None = None,
    seed: int = 0,
    validation: FaceDataset | None = None,
    precision: str = "32-true",
    accelerator: str = "auto",
    save_every: float = 120.0,
    callbacks: Sequence[Callback] | None = None,
    num_samples: int = 4,
    compile: bool = False,
) -> Run:
    """Train a method in place, or go on training it where ``run_dir`` stands.

    A run that is called again, after a kill or with a later ``until``, continues from its checkpoint; one
    that is finished returns at once, its weights loaded. Each stage begins with new optimizers. A stage with
    ``ema`` ends by putting the averages in the place of the last optimizer's networks.

    Several processes: start the script with ``torchrun``; each takes its share of every batch, and process 0
    alone draws, prints and saves.

    A GPU gets channels-last networks and Adam's fused kernel, and a step waits for it once, to read the
    losses (once more for each optimizer with ``skip_below``).

    Args:
        method: of ``fc.methods.build``; a new run begins with its weights.
        data: faces of the method's size.
        run_dir: of this run alone; a fresh or empty folder, or the one in which this run was begun.
        preset: ``"smoke"``, ``"lesson"`` or ``"full"``, for ``method.stages``.
        stages: instead of the method's own.
        until: last stage to train now, by default the last of all.
        seed: of everything random, 0 or more.
        validation: the faces of figures, by default ``data``, and of the validation loss that a ``Plateau``
            schedule needs.
        precision: ``"32-true"``, ``"bf16-mixed"`` or, on a GPU, ``"16-mixed"``.
        accelerator: ``"auto"``, ``"cpu"``, ``"gpu"``, ``"cuda"`` or ``"mps"``.
        save_every: seconds between checkpoints.
        callbacks: who follows the run; by default a live figure, () for nobody. Log files and the progress
            bar are always there.
        num_samples: number of faces that are completed again and again for the callbacks, if the method
            completes any.
        compile: compile the networks that complete (``torch.compile``); numbers may differ by rounding.
            Without a compiler it warns, and training goes on uncompiled.

    Raises:
        ValueError: something unknown or impossible, a ``run_dir`` that holds another run (the code of the
            method counts, comments included) or something else, or a damaged checkpoint.
        TypeError: a callback that is no ``Callback``.
        BlockingIOError: another process is training in ``run_dir``.
        OSError: ``run_dir`` cannot be written; what was saved before stays whole.
        FloatingPointError: a loss or gradient is not finite; the sentence names it and its step.
        KeyboardInterrupt: stopped by hand, after saving; call again to go on. SIGTERM and SIGHUP save, too,
            and then end the program as they always do.
    """
    folder = check_path(run_dir, "run_dir")
    plan = validate_stages(method, data, preset, stages, validation)
    names = [stage.name for stage in plan]
    if until is not None and until not in names:
        raise ValueError(f"Unknown stage until={shown(until)}: choose one of {', '.join(names)}.")
    check_count(seed, 0, "seed", 2**63 - 1)
    check_count(num_samples, 0, "num_samples")
    if save_every != math.inf:
        check_range(save_every, 0, math.inf, "save_every", " s")
    _check_callbacks(callbacks)
    last = names.index(until) if until else len(plan) - 1
    fabric = launch_fabric(plan, precision, accelerator)
    config = run_config(method, plan, data, seed, precision, validation)
    cuda = [fabric.device] if fabric.device.type == "cuda" else []
    compile = compile and compile_works(fabric.device)
    with GracefulShutdown() as stop, contextlib.ExitStack() as stack:
        stack.enter_context(explain_full_disk(folder))
        if fabric.is_global_zero:
            check_folder(folder)
            stack.enter_context(locked(folder))
            check_or_write_config(folder, config)
        if cuda or compile:  # else PyTorch's own generators are not drawn from
            stack.enter_context(torch.random.fork_rng(cuda))
        described = {
            "fingerprint": fingerprint(config),
            "preset": preset if stages is None else None,
            **config,
        }
        loop = Loop(
            method, data, folder, plan, seed, fabric, stop, described, save_every, validation, compile
        )
        loop.begin()
        if loop.step < loop.ends[last]:
            if fabric.is_global_zero:
                faces = FixedFaces(method, validation or data, num_samples)
                loop.callbacks = Callbacks(RunLog(loop.written.get("log")), _displays(callbacks), faces)
                loop.callbacks.start(folder, plan, loop.step, loop.ends[last])
                stack.callback(loop.callbacks.end)
            loop.run(last)
        elif loop.step > loop.ends[last]:
            loop.load_stage(last)
        if stop.caught is None:
            fabric.barrier()
        elif fabric.is_global_zero:
            stop.sentence = f"Training is saved in {folder} after {loop.step} steps: call fit again to go on."
    return Run(method.eval(), folder)


def _check_callbacks(callbacks: Sequence[Callback] | None) -> None:
    if not isinstance(callbacks, Sequence | None):
        raise TypeError(f"callbacks must be a list of fc.training.Callback, not {describe(callbacks)}.")
    if wrong := [callback for callback in callbacks or () if not isinstance(callback, Callback)]:
        raise TypeError(f"A callback must be a fc.training.Callback, not {describe(wrong[0])}.")


def _displays(given: Sequence[Callback] | None) -> list[Callback]:
    if given is None:
        from facecomp_lib.training.live import LiveFigure  # loads matplotlib

        given = [LiveFigure()]
    return [ProgressBar(), *given]
