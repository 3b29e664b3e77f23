"""Experiments: what was run, and what came out.

experiment = fc.experiments.load_config("lafin/ablation", ["seeds=[0]"])
fc.experiments.run(experiment)
"""

from facecomp_lib.experiments.config import load as load_config
from facecomp_lib.experiments.config import names
from facecomp_lib.experiments.runner import run

__all__ = ["load_config", "names", "run"]
