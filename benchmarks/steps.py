"""Where the time of a training step goes: feeding, drawing, each optimizer's losses and update, the average.

    python -m benchmarks.steps [gfc] [--size 64] [--width 0.25] [--precision 32-true] [--option fc_dim=128]

A row per stage, in milliseconds and as shares of the step: one thread, CPU time of this process, the median
over the steps. On a GPU it waits for the device between the parts, so that each part pays for itself.
"""

from __future__ import annotations

import argparse
import ast
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from lightning_fabric import Fabric

import facecomp_lib as fc
from facecomp_lib.training.loader import BatchLoader
from facecomp_lib.training.step import StageTrainer


class Clock:
    """Adds up the time of calls by name."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)

    def timed(self, call: Callable[..., Any], name: Callable[..., str]) -> Callable[..., Any]:
        """The same call, its time booked under what ``name`` makes of its arguments."""

        def wrapped(*args: Any) -> Any:
            start = now()
            result = call(*args)
            self.spent[name(*args)] += now() - start
            return result

        return wrapped


def now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        return 1000 * time.perf_counter()
    return 1000 * time.process_time()


def breakdown(
    method: fc.methods.Method, stage: fc.methods.Stage, data: Any, fabric: Fabric, steps: int
) -> dict[str, float]:
    """Part of a step -> median milliseconds; ``other`` is what no part claims."""
    loader, trainer, clock, rows = BatchLoader(data, 0), StageTrainer(method, stage, fabric), Clock(), []
    sample = clock.timed(loader.batch, lambda *_: "feeding")
    trainer._forward = clock.timed(trainer._forward, lambda *_: "draw")
    trainer._learn = clock.timed(trainer._learn, lambda name, *_: f"{name}: update")
    method.losses = clock.timed(method.losses, lambda sample, drawn, terms: f"{', '.join(terms)}: forward")
    try:
        for step in range(steps + 1):
            clock.spent.clear()
            start = now()
            trainer.step(sample(stage, step, step * stage.batch_size, fabric.device))
            clock.spent["other"] = now() - start - sum(clock.spent.values())
            rows.append(dict(clock.spent))
    finally:
        del method.losses
        trainer.release()
    names = dict.fromkeys(name for row in rows[1:] for name in row)
    return {name: statistics.median(row.get(name, 0.0) for row in rows[1:]) for name in names}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("method", nargs="?", default="gfc")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--width", type=float, default=0.25)
    parser.add_argument("--precision", default="32-true")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="of the method")
    given = parser.parse_args()

    torch.set_num_threads(1)
    options = {name: ast.literal_eval(value) for name, value in (o.split("=", 1) for o in given.option)}
    fabric = Fabric(devices=1, precision=given.precision)
    data = fc.faces.embedded("train", given.size)
    method = fc.methods.build(given.method, size=given.size, width=given.width, **options)
    method.to(fabric.device, memory_format=torch.channels_last)
    print(f"{given.method}, {given.size} px, width {given.width}, {given.precision}, on {fabric.device}")
    for stage in method.stages("lesson"):
        parts = breakdown(method, stage, data, fabric, given.steps)
        whole = sum(parts.values())
        print(f"\n{stage.name}: {whole:.0f} ms for {stage.batch_size} faces")
        for name, spent in parts.items():
            print(f"  {name:45} {spent:8.1f} ms {spent / whole:6.1%}")


if __name__ == "__main__":
    main()
