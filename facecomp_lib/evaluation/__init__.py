"""Measuring completions. Lesson 02 builds the measures."""

from facecomp_lib.evaluation.metrics import MEASURES, l1, l1_hole, lpips, psnr, psnr_hole, score
from facecomp_lib.evaluation.ssim import ssim, ssim_hole, ssim_map

__all__ = [
    "MEASURES",
    "l1",
    "l1_hole",
    "lpips",
    "psnr",
    "psnr_hole",
    "score",
    "ssim",
    "ssim_hole",
    "ssim_map",
]
