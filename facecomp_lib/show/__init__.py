"""Images of tensors: figures (pure functions) and widgets (thin shells over them)."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from facecomp_lib.show.canvas import Sheet
from facecomp_lib.show.figures import (
    balance,
    completion,
    contact_sheet,
    mask_families,
    masked,
    matrices,
    photo_row,
    sweep,
)
from facecomp_lib.show.labels import (
    face_view,
    labels,
    lines_on,
    mirror_flow,
    overlay_landmarks,
    overlay_parsing,
    points_on,
)
from facecomp_lib.show.learning import (
    curves,
    gfc_plan,
    parsing_image,
    pooling,
    reach,
    shares,
    windows,
)
from facecomp_lib.show.metrics import duel, gaussians, histograms, lines, ranking, rows
from facecomp_lib.show.models import model_steps
from facecomp_lib.show.scores import forest_plot, score_plot
from facecomp_lib.show.tables import claims_table, score_table
from facecomp_lib.show.training import training_figure
from facecomp_lib.show.turntable import turntable
from facecomp_lib.utils.doors import doors

_LATER = {  # loaded when used: figures need no Jupyter
    **dict.fromkeys(("FaceExplorer", "FrameSlider", "Panel"), "widgets.panel"),
    **dict.fromkeys(
        (
            "AttentionExplorer",
            "BeforeAfter",
            "FlowExplorer",
            "LandmarkEditor",
            "MaskPainter",
            "MethodSwitch",
        ),
        "widgets",
    ),
}

__all__ = [
    "AttentionExplorer",
    "BeforeAfter",
    "FaceExplorer",
    "FlowExplorer",
    "FrameSlider",
    "LandmarkEditor",
    "MaskPainter",
    "MethodSwitch",
    "Panel",
    "Sheet",
    "balance",
    "claims_table",
    "completion",
    "contact_sheet",
    "curves",
    "duel",
    "face_view",
    "forest_plot",
    "gaussians",
    "gfc_plan",
    "histograms",
    "labels",
    "lines",
    "lines_on",
    "mask_families",
    "masked",
    "matrices",
    "mirror_flow",
    "model_steps",
    "overlay_landmarks",
    "overlay_parsing",
    "parsing_image",
    "photo_row",
    "points_on",
    "pooling",
    "ranking",
    "reach",
    "rows",
    "score_plot",
    "score_table",
    "shares",
    "sweep",
    "training_figure",
    "turntable",
    "windows",
]


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(import_module(f"facecomp_lib.show.{_LATER[name]}"), name)
    raise AttributeError(f"facecomp_lib.show has no {name!r}; it has {', '.join(__all__)}")


doors(globals(), __all__)
