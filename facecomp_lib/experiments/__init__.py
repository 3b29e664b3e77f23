"""Experiments: what was run, and what came out.

experiment = fc.experiments.read_experiment("lafin/ablation", ["seeds=[0]"])
fc.experiments.run(experiment)
"""

from facecomp_lib.experiments.config import names, read_experiment
from facecomp_lib.experiments.runner import run

__all__ = ["names", "read_experiment", "run"]
