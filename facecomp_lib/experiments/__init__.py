"""Experiments: what the papers print, what was run here, and what came out."""

from facecomp_lib.experiments.published import load_published, published

__all__ = ["load_published", "published"]
