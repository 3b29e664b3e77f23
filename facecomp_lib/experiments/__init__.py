"""Experiments: what is run, what came out, and which claims of the papers hold.

experiment = fc.experiments.read_experiment("lafin/ablation", ["seeds=[0]"])
fc.experiments.run(experiment).scores
fc.experiments.load("lafin/ablation").scores                        # as recorded
"""

from facecomp_lib.experiments.claims import Claim, claim
from facecomp_lib.experiments.collect import print_means, record
from facecomp_lib.experiments.config import make_stages, names, read_experiment
from facecomp_lib.experiments.datasets import open_faces
from facecomp_lib.experiments.published import load_published, published
from facecomp_lib.experiments.results import Results, load, save
from facecomp_lib.experiments.runner import run
from facecomp_lib.utils.doors import doors

__all__ = [
    "Claim",
    "Results",
    "claim",
    "load",
    "load_published",
    "make_stages",
    "names",
    "open_faces",
    "print_means",
    "published",
    "read_experiment",
    "record",
    "run",
    "save",
]

doors(globals(), __all__)
