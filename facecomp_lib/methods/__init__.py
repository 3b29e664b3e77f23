"""The five papers as objects that are built, trained and asked for a face in the same way.

method = fc.methods.build("gfc", size=64, width=0.25)     # untrained
method = fc.methods.pretrained("gfc")                     # the shipped checkpoint
out = method.complete(image, mask)                        # .composite .raw .extras
"""

from facecomp_lib.methods.base import Method, TrainBatch
from facecomp_lib.methods.checkpoints import pretrained, save
from facecomp_lib.methods.registry import NAMES, build
from facecomp_lib.methods.stages import OptimizerConfig, Stage
from facecomp_lib.utils.random import sample_keys, uniform

__all__ = [
    "NAMES",
    "Method",
    "OptimizerConfig",
    "TrainBatch",
    "Stage",
    "build",
    "pretrained",
    "sample_keys",
    "save",
    "uniform",
]
