"""Experiments: what the papers print, what was run here, what came out, and which claims hold."""

from facecomp_lib.experiments.claims import Claim, claim
from facecomp_lib.experiments.published import load_published, published
from facecomp_lib.experiments.results import Results, load, save

__all__ = ["Claim", "Results", "claim", "load", "load_published", "published", "save"]
