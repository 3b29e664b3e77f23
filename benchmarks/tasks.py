"""What it costs to learn three tasks at once: collagan's step for all of them against a step for each.

    python -m benchmarks.tasks [--size 64] [--width 0.25] [--batch 16] [--steps 10] [--precision 32-true]

The models M_i, M_s, M_d and M_i,s,d take turns on the same faces with the same holes; a round is a step of
each. The ratios: the step of the three-task model over the three others' together, and the same of their
parameters. Feeding does not count: the samples are prepared before. One thread, CPU time of this process, the
median over the rounds after a first one; on a GPU, the time until it has finished.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Mapping, Sequence

import torch
from lightning_fabric import Fabric

import facecomp_lib as fc
from benchmarks.steps import now
from facecomp_lib.methods import Method, Stage, TrainBatch
from facecomp_lib.papers.collagan import joint_stage
from facecomp_lib.training.loader import BatchLoader
from facecomp_lib.training.step import StageTrainer

TOGETHER, APART = "isd", ("i", "s", "d")


def take_turns(
    models: Mapping[str, Method],
    stages: Mapping[str, Stage],
    samples: Sequence[TrainBatch],
    fabric: Fabric,
    clock: Callable[[], float] = now,
) -> dict[str, float]:
    """Model -> median milliseconds of a training step; the first sample warms up."""
    turns = {name: StageTrainer(model, stages[name], fabric) for name, model in models.items()}
    spent: dict[str, list[float]] = {name: [] for name in models}
    for sample in samples:
        for name, turn in turns.items():
            start = clock()
            turn.step(sample)
            spent[name].append(clock() - start)
    for turn in turns.values():
        turn.release()
    return {name: statistics.median(times[1:]) for name, times in spent.items()}


def parameters(model: Method, *networks: str) -> int:
    """Of some networks, or of all."""
    return sum(p.numel() for name in networks or model.networks for p in model.networks[name].parameters())


def report(name: str, figures: Mapping[str, float], unit: str) -> str:
    """A line: each model's figure, and the ratio of all tasks together to the sum of them apart."""
    apart = sum(figures[tasks] for tasks in APART)
    parts = "  ".join(f"{tasks:>3} {figure:8.1f}" for tasks, figure in figures.items())
    return f"{name:22} {parts}  {unit:3} together / apart {figures[TOGETHER] / apart:6.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--width", type=float, default=0.25)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--precision", default="32-true")
    given = parser.parse_args()

    torch.set_num_threads(1)
    fabric = Fabric(devices=1, precision=given.precision)
    models, stages = {}, {}
    for tasks in (*APART, TOGETHER):
        models[tasks] = fc.methods.build("collagan", size=given.size, width=given.width, tasks=tasks)
        models[tasks].to(fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        stages[tasks] = joint_stage(tasks, given.steps + 1, batch_size=given.batch)
    loader, stage = BatchLoader(fc.faces.embedded("train", given.size), 0), stages[TOGETHER]
    samples = [loader.batch(stage, k, k * given.batch, fabric.device) for k in range(given.steps + 1)]
    steps = take_turns(models, stages, samples, fabric)

    print(f"{given.size} px, width {given.width}, {given.batch} faces, {given.precision}, on {fabric.device}")
    print(report("training step", steps, "ms"))
    for name, networks in (("parameters", ()), ("of the generator", ("generator",))):
        figures = {tasks: parameters(model, *networks) / 1000 for tasks, model in models.items()}
        print(report(name, figures, "k"))


if __name__ == "__main__":
    main()
