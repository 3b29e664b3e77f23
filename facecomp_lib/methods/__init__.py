"""The five papers as objects that are built, trained and asked for a face in the same way.

method = fc.methods.build("gfc", size=64, width=0.25)     # untrained
method = fc.methods.pretrained("gfc")                     # the shipped checkpoint
out = method.complete(image, mask)                        # .composite .raw .extras
"""

from facecomp_lib.methods.base import Method, TrainBatch
from facecomp_lib.methods.checkpoints import pretrained, save
from facecomp_lib.methods.random import sample_keys, uniform
from facecomp_lib.methods.registry import NAMES, build
from facecomp_lib.methods.stages import Constant, Cosine, Loss, OptimizerConfig, Plateau, Stage

__all__ = [
    "NAMES",
    "Constant",
    "Cosine",
    "Loss",
    "Method",
    "Plateau",
    "OptimizerConfig",
    "TrainBatch",
    "Stage",
    "build",
    "pretrained",
    "sample_keys",
    "save",
    "uniform",
]
