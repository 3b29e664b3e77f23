"""Milliseconds per rendered face on one core, beside another renderer in the same run.

    python -m benchmarks.rendering --prototype FOLDER

FOLDER holds a `faces.py` with `sample(rng)` and `render(sample, size, 2)` (two by two samples a pixel).
Both draw the same number of random faces, taking turns, with warm kernels, on one core. Sampling the person
counts; ours also computes mirror flow and light ratio. Processor time is measured, so that other programs on
the machine matter little.
"""

import argparse
import contextlib
import importlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

Draw = Callable[[int], object]
WARM_UP = 3


def ours(size: int) -> Draw:
    """Draws the face of a seed with this project's renderer."""
    from facecomp_lib.faces.render import Renderer, sample_person, sample_scene

    renderer = Renderer("cpu")

    def draw(seed: int) -> object:
        rng = np.random.default_rng(seed)
        person = sample_person(rng)
        return renderer.render(person, sample_scene(rng, person), size)

    return draw


def prototype(folder: Path, size: int) -> Draw:
    """The same with the renderer in `folder`, which reads its tables from the working directory."""
    if not (folder / "faces.py").is_file():
        raise FileNotFoundError(f"No prototype at {folder}: name the folder that holds its faces.py.")
    sys.path.insert(0, str(folder))
    with contextlib.chdir(folder):
        module = importlib.import_module("faces")

    def draw(seed: int) -> object:
        return module.render(module.sample(np.random.default_rng(seed)), size, 2)

    return draw


def measure(draws: Sequence[Draw], rounds: int, faces: int, clock: Callable[[], float]) -> np.ndarray:
    """Milliseconds per face [len(draws), rounds, faces]; renderers take turns face by face."""
    for draw in draws:
        for seed in range(WARM_UP):
            draw(seed)
    spent = np.zeros((len(draws), rounds, faces))
    for turn in range(rounds):
        for face in range(faces):
            for which, draw in enumerate(draws):
                start = clock()
                draw(1000 * (turn + 1) + face)
                spent[which, turn, face] = 1000 * (clock() - start)
    return spent


def summary(name: str, spent: np.ndarray) -> str:
    """One line from [rounds, faces]: median and middle half over all faces."""
    low, middle, high = np.percentile(spent, [25, 50, 75])
    return f"{name:10s} {middle:7.1f} ms per face (middle half {low:.1f} to {high:.1f})"


def ratios(other: np.ndarray, own: np.ndarray) -> np.ndarray:
    """How many times faster we are, per round: mean against mean, as a long run would see it."""
    return other.mean(axis=1) / own.mean(axis=1)


def on_one_thread() -> bool:
    """Keep to one core; False, after doing the work in a fresh process, if numpy has started more threads."""
    if os.environ.get("OMP_NUM_THREADS") != "1":
        alone = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        subprocess.run([sys.executable, *sys.orig_argv[1:]], env=alone, check=True)
        return False
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    return True


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--prototype", type=Path, help="folder of the other renderer")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5, help="seeds of the random faces")
    parser.add_argument("--faces", type=int, default=20, help="per round")
    args = parser.parse_args()
    if not on_one_thread():
        return
    draws = [ours(args.size)]
    if args.prototype is None:
        print("No --prototype given: only our own figure.")
    else:
        try:
            draws.append(prototype(args.prototype.resolve(), args.size))
        except FileNotFoundError as error:
            print(f"{error} Only our own figure:")
    spent = measure(draws, args.rounds, args.faces, time.process_time)
    print(f"{args.rounds} rounds of {args.faces} faces at {args.size} px, one core")
    for name, times in zip(("ours", "prototype"), spent, strict=False):
        print(summary(name, times))
    if len(draws) == 2:
        gain = ratios(spent[1], spent[0])
        print(f"prototype / ours: {np.median(gain):.2f} times (rounds {gain.min():.2f} to {gain.max():.2f})")


if __name__ == "__main__":
    main()
