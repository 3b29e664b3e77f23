"""Measuring completions. Lesson 02 builds the measures.

How near to the true image (:mod:`metrics`, :mod:`ssim`), how alike as sets (:mod:`distributions`), whether
it is still the same person (:mod:`recognition`), how well labels are found (:mod:`labels`); and comparing
methods by them, with intervals (:mod:`comparison`, :mod:`protocol`), in experiments that papers share
(:mod:`experiments`), until a paper's claim is judged over several training runs (:mod:`claims`).
"""

from facecomp_lib.evaluation.bootstrap import Estimate, bootstrap, difference
from facecomp_lib.evaluation.claims import Claim, Claims, claim, over_runs, table_over_runs
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
from facecomp_lib.evaluation.experiments import hole_sizes, recognise
from facecomp_lib.evaluation.labels import confusion, dice, f_scores, landmark_error, nme
from facecomp_lib.evaluation.metrics import MEASURES, l1, l1_hole, lpips, psnr, psnr_hole, score
from facecomp_lib.evaluation.protocol import evaluate
from facecomp_lib.evaluation.recognition import face_embedding, identity_distance, recognition
from facecomp_lib.evaluation.records import load_runs, recorded, recorded_means, save_runs
from facecomp_lib.evaluation.ssim import ssim, ssim_hole, ssim_map
from facecomp_lib.evaluation.table import Table

__all__ = [
    "MEASURES",
    "Claim",
    "Claims",
    "Comparison",
    "Estimate",
    "Features",
    "SetDistance",
    "Table",
    "bootstrap",
    "claim",
    "confusion",
    "dice",
    "difference",
    "evaluate",
    "extract_features",
    "f_scores",
    "face_embedding",
    "fid",
    "frechet",
    "hole_sizes",
    "identity_distance",
    "kid",
    "l1",
    "l1_hole",
    "landmark_error",
    "load_runs",
    "lpips",
    "mmd",
    "nme",
    "over_runs",
    "psnr",
    "psnr_hole",
    "recognise",
    "recognition",
    "recorded",
    "recorded_means",
    "save_runs",
    "score",
    "ssim",
    "ssim_hole",
    "ssim_map",
    "table_over_runs",
]
