"""What the live figure costs: the same steps with and without it.

    python benchmarks/live_figure.py [--seconds 60] [--terms 8] [--size 128] [--step 20]

A stand-in for a training step computes for about --step milliseconds; its losses and, ten times a run, four
faces go into the figure, which writes its frames to a file as in a script. Printed are the share of the time
that drawing took, without and with the last frame, and what taking one step's losses costs (the median).
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch

from facecomp_lib.methods import OptimizerConfig, Stage
from facecomp_lib.training.live import LiveFigure
from facecomp_lib.training.run_log import Images


def compute(milliseconds: float) -> None:
    """Multiply matrices for this long."""
    until = time.perf_counter() + milliseconds / 1000
    matrix = torch.rand(128, 128)
    while time.perf_counter() < until:
        matrix @ matrix


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--terms", type=int, default=8)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--step", type=float, default=20, help="milliseconds")
    options = parser.parse_args()
    faces = torch.rand(4, 3, options.size, options.size)
    optimizer = OptimizerConfig(("network",), {"term": 1.0})
    stages = [Stage(name, 1000, {"optimizer": optimizer}) for name in ("first", "second")]
    terms = {f"optimizer{k // 3}.term{k}": 1.0 + k for k in range(options.terms)}

    with tempfile.TemporaryDirectory() as folder:
        figure = LiveFigure()
        figure.on_start(Path(folder), stages, 0, 2000)
        step, moments = 0, 0
        taking: list[float] = []  # seconds, of steps without a drawing
        start = time.perf_counter()
        while (elapsed := time.perf_counter() - start) < options.seconds:
            compute(options.step)
            before, frames = time.perf_counter(), figure.frames
            figure.on_step(step, "first", terms)
            if figure.frames == frames:
                taking.append(time.perf_counter() - before)
            if elapsed >= moments * options.seconds / 10:
                figure.on_images(step, "first", Images(faces, faces, faces))
                moments += 1
            step += 1
        spent, frames = figure.spent, figure.frames
        figure.on_end()

    print(f"{step} steps of {options.terms} terms in {elapsed:.1f} s, {frames} frames and the last one")
    print(
        f"drawing while training   {spent / elapsed:7.2%}   {1000 * spent / max(1, frames):6.0f} ms a frame"
    )
    print(f"drawing, last one too    {figure.spent / elapsed:7.2%}")
    median = 1e6 * statistics.median(taking)
    print(f"taking losses            {sum(taking) / elapsed:7.2%}   {median:6.0f} us a step")


if __name__ == "__main__":
    main()
