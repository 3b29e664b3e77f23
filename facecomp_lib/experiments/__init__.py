"""Experiments: what was run here, what came out, and which claims of the papers hold."""

from facecomp_lib.experiments.claims import Claim, claim
from facecomp_lib.experiments.results import Results, load, save

__all__ = ["Claim", "Results", "claim", "load", "save"]
