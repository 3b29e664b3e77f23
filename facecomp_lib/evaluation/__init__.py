"""Measuring completions. Lesson 02 builds the measures."""

from facecomp_lib.evaluation.metrics import l1, l1_hole, psnr, psnr_hole, score

__all__ = ["l1", "l1_hole", "psnr", "psnr_hole", "score"]
