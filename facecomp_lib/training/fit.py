"""The trainer: goes through a method's stages step by step, and knows nothing of any paper.

    run = fc.training.fit(method, faces, "runs/gfc")       # again after a kill: goes on from the checkpoint
    before = run.after("reconstruct")                      # the method as it was after that stage

Everything random hangs on the seed and the number of the step, so a checkpoint needs no random state, and a
run that was killed and called again ends with the very bytes of one that was not (on a CPU, with the same
number of threads).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

import torch

from facecomp_lib.faces.dataset import FaceDataset
from facecomp_lib.methods import Method, Stage
from facecomp_lib.training import rundir, state
from facecomp_lib.training.facts import facts_of, fingerprint
from facecomp_lib.training.interrupt import Deferred
from facecomp_lib.training.loop import Loop
from facecomp_lib.training.plan import launched, planned
from facecomp_lib.training.report import Report, Watcher
from facecomp_lib.training.run import Run

__all__ = ["fit"]


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
    devices: int | str = "auto",
    save_every: float = 120.0,
    watch: int = 4,
    show: Sequence[Watcher] | None = None,
) -> Run:
    """Train a method in place, or go on training it where ``run_dir`` stands.

    A run that is called again, after a kill or with a later ``until``, continues from its checkpoint; one
    that is finished returns at once, its weights loaded. Each stage begins with new optimizers. A stage with
    ``ema`` ends by putting the averages in the place of the last optimizer's networks.

    Several processes: start the script with ``torchrun``; each takes its share of every batch, and process 0
    alone draws, prints and saves.

    Args:
        method: of ``fc.methods.build``; a new run begins with its weights.
        data: faces of the method's size.
        run_dir: of this run alone.
        preset: ``"smoke"``, ``"lesson"`` or ``"full"``, for ``method.stages``.
        stages: instead of the method's own.
        until: last stage to train now, by default the last of all.
        seed: of everything random, 0 or more.
        validation: where the watched faces come from, by default ``data``.
        precision: ``"32-true"``, ``"bf16-mixed"`` or ``"16-mixed"``.
        accelerator, devices: as Lightning Fabric has them; ``devices`` per machine.
        save_every: seconds between checkpoints.
        watch: number of faces whose completion is drawn again and again, if the method completes any.
        show: who follows the run; by default a live figure, () for nobody.

    Raises:
        ValueError: something unknown or impossible, a ``run_dir`` that holds another run, or a damaged
            checkpoint.
        BlockingIOError: another process is training in ``run_dir``.
        OSError: ``run_dir`` cannot be written; what was saved before stays whole.
        FloatingPointError: a loss or gradient is not finite; the sentence names it and its step.
        KeyboardInterrupt: stopped by hand, after saving; call again to go on.
    """
    plan = planned(method, data, preset, stages)
    names = [stage.name for stage in plan]
    if until is not None and until not in names:
        raise ValueError(f"Unknown stage until={until!r}: choose one of {', '.join(names)}.")
    if seed < 0 or watch < 0:
        raise ValueError(f"seed and watch must be 0 or more, not {seed} and {watch}.")
    last = names.index(until) if until else len(plan) - 1
    fabric = launched(plan, precision, accelerator, devices)
    facts = facts_of(method, plan, data, seed, precision)
    folder = Path(run_dir)
    cuda = [fabric.device] if fabric.device.type == "cuda" else []
    with Deferred() as stop, contextlib.ExitStack() as stack:
        stack.enter_context(state.explained(folder))
        if fabric.is_global_zero:
            stack.enter_context(rundir.locked(folder))
            rundir.claim(folder, facts)
        stack.enter_context(torch.random.fork_rng(cuda))
        described = {"fingerprint": fingerprint(facts), "preset": preset if stages is None else None, **facts}
        loop = Loop(method, data, folder, plan, seed, fabric, stop, described, save_every)
        loop.begin()
        if loop.step < loop.ends[last]:
            if fabric.is_global_zero:
                seen, count = validation or data, watch if method.completes else 0
                report = Report(folder, plan, loop.step, loop.ends[last], method, seen, count)
                loop.report = stack.enter_context(report)
                report.watchers = _live(folder, plan, loop.step) if show is None else list(show)
            loop.run(last)
        elif loop.step > loop.ends[last]:
            method.load_state_dict(state.read_weights(rundir.weights_path(folder, names[last])))
        if stop.caught is None:
            fabric.barrier()
    return Run(method.eval(), folder)


def _live(folder: Path, plan: Sequence[Stage], step: int) -> list[Watcher]:
    from facecomp_lib.training.live import LiveFigure

    figure = LiveFigure(folder, {stage.name: stage.steps for stage in plan})
    figure.replay(rundir.read_log(folder), step)
    return [figure]
