"""The five papers as objects that are built, trained and asked for a face in the same way.

method = fc.methods.build("gfc", size=64, width=0.25)     # untrained
method = fc.methods.pretrained("gfc")                     # a checkpoint that travels with the course
method = fc.methods.load("runs/mine")                     # what fit or save wrote
out = method.complete(image, mask)                        # .composite .raw .extras
"""

from facecomp_lib.methods.base import Method, TrainBatch, loss_terms
from facecomp_lib.methods.checkpoints import load, pretrained, save
from facecomp_lib.methods.registry import NAMES, build
from facecomp_lib.methods.stages import Constant, Cosine, Loss, OptimizerConfig, Plateau, Stage
from facecomp_lib.utils.doors import doors
from facecomp_lib.utils.random import sample_keys, uniform

__all__ = [
    "NAMES",
    "Constant",
    "Cosine",
    "Loss",
    "Method",
    "Plateau",
    "OptimizerConfig",
    "Stage",
    "TrainBatch",
    "build",
    "load",
    "loss_terms",
    "pretrained",
    "sample_keys",
    "save",
    "uniform",
]

doors(globals(), __all__)
