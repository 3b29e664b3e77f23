"""Widgets to explore methods with: paint holes, follow attention and flow, move landmarks, compare results.

Each is a thin shell over pure functions in its file, brings a static figure for pages without a kernel, and
works with mouse, pen, finger and keyboard.
"""

from facecomp_lib.show.widgets.attention import AttentionExplorer
from facecomp_lib.show.widgets.compare import BeforeAfter, MethodSwitch
from facecomp_lib.show.widgets.flow import FlowExplorer
from facecomp_lib.show.widgets.landmark_editor import LandmarkEditor
from facecomp_lib.show.widgets.mask_painter import MaskPainter

__all__ = [
    "AttentionExplorer",
    "BeforeAfter",
    "FlowExplorer",
    "LandmarkEditor",
    "MaskPainter",
    "MethodSwitch",
]
