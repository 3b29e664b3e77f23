"""Measuring completions. Lesson 02 builds the metrics.

How near to the true image (:mod:`image`, :mod:`ssim`), how alike as sets (:mod:`sets`), whether it is still
the same person (:mod:`recognition`), how well labels are found (:mod:`labels`): each metric by its name in
:mod:`registry`. :func:`evaluate` runs methods over faces and masks and gives a data frame of scores, of which
:mod:`summary` takes means with intervals (:mod:`bootstrap`); :mod:`baselines` are to be beaten.
"""

from facecomp_lib.evaluation.baselines import average_face, nearest_face
from facecomp_lib.evaluation.bootstrap import Estimate, bootstrap, bootstrap_runs, difference
from facecomp_lib.evaluation.image import IMAGE_METRICS, l1, l1_hole, lpips, psnr, psnr_hole, score
from facecomp_lib.evaluation.labels import confusion, dice, dice_hole, f_scores, landmark_error, nme, nme_hole
from facecomp_lib.evaluation.protocol import evaluate
from facecomp_lib.evaluation.recognition import face_embedding, identity_distance, recognition
from facecomp_lib.evaluation.registry import METRICS, Metric, metric
from facecomp_lib.evaluation.sets import (
    Features,
    SetDistance,
    extract_features,
    fid,
    frechet,
    kid,
    mmd,
)
from facecomp_lib.evaluation.ssim import ssim, ssim_hole, ssim_map
from facecomp_lib.evaluation.studies import identification_study, mask_size_study
from facecomp_lib.evaluation.summary import summarize
from facecomp_lib.utils.doors import doors

__all__ = [
    "IMAGE_METRICS",
    "METRICS",
    "Estimate",
    "Features",
    "Metric",
    "SetDistance",
    "average_face",
    "bootstrap",
    "bootstrap_runs",
    "confusion",
    "dice",
    "dice_hole",
    "difference",
    "evaluate",
    "extract_features",
    "f_scores",
    "face_embedding",
    "fid",
    "frechet",
    "identification_study",
    "identity_distance",
    "kid",
    "l1",
    "l1_hole",
    "landmark_error",
    "lpips",
    "mask_size_study",
    "metric",
    "mmd",
    "nearest_face",
    "nme",
    "nme_hole",
    "psnr",
    "psnr_hole",
    "recognition",
    "score",
    "ssim",
    "ssim_hole",
    "ssim_map",
    "summarize",
]

doors(globals(), __all__)
