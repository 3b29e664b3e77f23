"""Runs an experiment: every variant from every seed, trained, evaluated, and put into one table.

    experiment = read_experiment("lafin/ablation")
    run(experiment, jobs=2)                       # runs/experiments/lafin/results
    record(experiment, RUNS)                      # experiments/lafin/results

A job is one training with a folder of its own. A run that was stopped goes on where it was when it is called
again; finished jobs are not repeated.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from facecomp_lib import methods
from facecomp_lib.evaluation import METRICS, evaluate
from facecomp_lib.experiments.collect import collect
from facecomp_lib.experiments.datasets import open_faces
from facecomp_lib.experiments.jobs import Job, do, evaluate_baselines
from facecomp_lib.experiments.results import Results
from facecomp_lib.experiments.schema import Experiment
from facecomp_lib.experiments.weights import PRETRAINED
from facecomp_lib.utils.processes import end_with_parent

__all__ = ["RUNS", "run"]

RUNS = Path("runs") / "experiments"


def run(experiment: Experiment, jobs: int = 1, threads: int | None = None, out: Path = RUNS) -> Results:
    """Carry out what is not done, and write results.

    Args:
        experiment: of :func:`read_experiment`.
        jobs: number of processes.
        threads: of each; by default the cores, shared by the jobs. Results are equal for equal threads.
        out: folder of all experiments' runs.

    Returns:
        What :func:`load` reads back from ``out``.

    Raises:
        ValueError, FileNotFoundError: a folder that holds another run, missing faces or weights.
    """
    if jobs < 1 or (threads is not None and threads < 1):
        raise ValueError(f"jobs and threads must be 1 or more, not {jobs} and {threads}.")
    threads = threads or max(1, (os.cpu_count() or 1) // jobs)
    check_inputs(experiment)
    beforehand, own = shared_jobs(experiment, out), variant_jobs(experiment, out)
    for todo in (beforehand, own):
        for job, sentence in carry_out(partial(do, threads=threads), todo, jobs):
            print(f"{job}: {sentence}", flush=True)
    baselines = None
    if experiment.evaluate.baselines:
        baselines = Job(experiment, "", experiment.seeds[0], out)
        evaluate_baselines(baselines)
    return collect(experiment, beforehand, own, baselines, out)


def check_inputs(experiment: Experiment) -> None:
    """Find what is missing before hours of training: faces, first weights, weights of metrics."""
    size = experiment.options.get("size")
    for plan in [experiment, *experiment.plans.values()]:
        tests = {name: open_faces(spec, "test", size) for name, spec in plan.data.test.items()}
        if plan.stages or plan.shared:
            open_faces(plan.data.train, "train", size)
        for source in {*plan.init.values()} - {PRETRAINED}:
            methods.load(source)
    plain = [
        name for name in experiment.evaluate.metrics if METRICS[name].compute and not METRICS[name].needs
    ]
    if plain:
        evaluate("mean", next(iter(tests.values())), "center", plain, limit=1, progress=False)


def variant_jobs(experiment: Experiment, out: Path) -> list[Job]:
    """Every variant from every one of its seeds, seed after seed."""
    pairs = [(seed, variant) for variant, plan in experiment.plans.items() for seed in plan.seeds]
    seeds = sorted({seed for seed, _ in pairs})
    return [Job(experiment, variant, seed, out) for now in seeds for seed, variant in pairs if seed == now]


def shared_jobs(experiment: Experiment, out: Path) -> list[Job]:
    """Trainings whose networks the variants start with, each once."""
    todo = [job.shared_job(name) for job in variant_jobs(experiment, out) for name in job.plan.shared]
    return list({job.folder: job for job in todo}.values())


def carry_out(do: Callable[[Job], str], jobs: Sequence[Job], at_once: int) -> Iterator[tuple[Job, str]]:
    """Do the jobs, several at once, and give each with what ``do`` returns when it is done."""
    if at_once == 1 or len(jobs) < 2:
        yield from ((job, do(job)) for job in jobs)
        return
    before = os.environ.get("TQDM_DISABLE")
    os.environ["TQDM_DISABLE"] = "1"  # bars of several processes would write over each other
    try:
        with ProcessPoolExecutor(at_once, get_context("spawn"), end_with_parent) as pool:
            futures = {pool.submit(do, job): job for job in jobs}
            try:
                for future in as_completed(futures):
                    yield futures[future], future.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    finally:
        del os.environ["TQDM_DISABLE"]
        if before is not None:
            os.environ["TQDM_DISABLE"] = before
