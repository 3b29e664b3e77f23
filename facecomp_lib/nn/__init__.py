"""Blocks that more than one paper uses."""

from facecomp_lib.nn.precision import full_precision
from facecomp_lib.nn.vgg import best_vgg, gram, perceptual_loss, style_loss, vgg_features

__all__ = ["best_vgg", "full_precision", "gram", "perceptual_loss", "style_loss", "vgg_features"]
