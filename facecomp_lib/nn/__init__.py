"""Blocks and losses that more than one paper uses."""

from facecomp_lib.nn.adversarial import discriminator_loss, generator_loss, gradient_penalty
from facecomp_lib.nn.attention import attend, attention_matrix
from facecomp_lib.nn.perceptual import best_vgg, gram, perceptual_loss, style_loss, vgg_features
from facecomp_lib.nn.precision import full_precision
from facecomp_lib.nn.warping import displacement, identity_flow, mirror_warp, warp
from facecomp_lib.utils.doors import doors

__all__ = [
    "attend",
    "attention_matrix",
    "best_vgg",
    "discriminator_loss",
    "displacement",
    "full_precision",
    "generator_loss",
    "gradient_penalty",
    "gram",
    "identity_flow",
    "mirror_warp",
    "perceptual_loss",
    "style_loss",
    "vgg_features",
    "warp",
]

doors(globals(), __all__)
