"""Measuring completions. Lesson 02 builds the measures.

How near to the true picture (:mod:`metrics`, :mod:`ssim`), how alike as sets (:mod:`distributions`), whether
it is still the same person (:mod:`recognition`), how well labels are found (:mod:`labels`); and comparing
methods by them, with intervals (:mod:`comparison`, :mod:`protocol`).
"""

from facecomp_lib.evaluation.bootstrap import Estimate, bootstrap, difference
from facecomp_lib.evaluation.comparison import Comparison
from facecomp_lib.evaluation.distributions import (
    Features,
    SetDistance,
    extract_features,
    fid,
    frechet,
    kid,
    mmd,
)
from facecomp_lib.evaluation.labels import confusion, dice, f_scores, landmark_error, nme
from facecomp_lib.evaluation.metrics import MEASURES, l1, l1_hole, lpips, psnr, psnr_hole, score
from facecomp_lib.evaluation.protocol import evaluate
from facecomp_lib.evaluation.recognition import face_embedding, identity_distance, recognition
from facecomp_lib.evaluation.ssim import ssim, ssim_hole, ssim_map
from facecomp_lib.evaluation.table import Table

__all__ = [
    "MEASURES",
    "Comparison",
    "Estimate",
    "Features",
    "SetDistance",
    "Table",
    "bootstrap",
    "confusion",
    "dice",
    "difference",
    "evaluate",
    "extract_features",
    "f_scores",
    "face_embedding",
    "fid",
    "frechet",
    "identity_distance",
    "kid",
    "l1",
    "l1_hole",
    "landmark_error",
    "lpips",
    "mmd",
    "nme",
    "psnr",
    "psnr_hole",
    "recognition",
    "score",
    "ssim",
    "ssim_hole",
    "ssim_map",
]
