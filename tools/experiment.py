"""Run an experiment of experiments/<paper>/*.yaml: train its variants from its seeds, evaluate, tabulate.

    python3 course.py experiment --list
    python3 course.py experiment lafin/ablation --jobs 2 --set seeds=[0] --set evaluate.limit=20

Everything lands in runs/experiments/. A run that was stopped goes on where it was when it is started again;
what is finished is not done again. --record puts results where the lessons read them.
"""

import argparse
import sys
from concurrent.futures import BrokenExecutor
from pathlib import Path

from tools.command import explain, run_command
from tools.notebooks import ROOT, RUNS, Trouble


def main(arguments: list[str], out: Path = RUNS / "experiments", root: Path = ROOT / "experiments") -> int:
    parser = argparse.ArgumentParser(
        prog="course.py experiment", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", nargs="?", help="paper/experiment, for example lafin/ablation")
    parser.add_argument("--list", action="store_true", help="name all experiments")
    parser.add_argument("--jobs", type=int, default=1, help="trainings side by side (%(default)s)")
    parser.add_argument("--threads", type=int, help="of each training (the cores, shared by the jobs)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE",
        help="another value, in YAML, for a key of the file: seeds=[0], stages.0.steps=20",
    )  # fmt: skip
    parser.add_argument(
        "--record", action="store_true", help="copy the results to experiments/<paper>/results"
    )
    options = parser.parse_args(arguments)

    from facecomp_lib import experiments  # not above: --help needs no PyTorch

    if options.list or options.name is None:
        for name, about in experiments.names(root).items():
            print(f"{name:24} {about}")
        return 0
    try:
        experiment = experiments.read_experiment(options.name, options.set, root)
        if options.record and options.set:
            raise Trouble("--record takes an experiment as its file says: change the file instead of --set.")
        results = experiments.run(experiment, options.jobs, options.threads, out)
        experiments.print_means(results.scores)
        print(f"\nevery score: {out / experiment.name.partition('/')[0] / 'results'}")
        if options.record:
            for path in experiments.record(experiment, out, root):
                print(f"recorded: {path}")
    except BrokenExecutor as error:
        raise Trouble(
            "a training process was killed; the machine's memory may have run out. The same command goes on "
            "from there, with fewer --jobs perhaps."
        ) from error
    except OSError as error:
        raise Trouble(explain(error)) from error
    except (ValueError, ImportError) as error:
        raise Trouble(str(error)) from error
    return 0


if __name__ == "__main__":
    sys.exit(run_command("experiment", main))
