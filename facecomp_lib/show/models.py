"""Models in a row, each with one more idea than the one before: what each gains. Lesson 03 uses it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from facecomp_lib.evaluation.registry import metric as display_of
from facecomp_lib.show.canvas import FAINT, INK, QUIET, SMALL, TEXT, Sheet, grid
from facecomp_lib.show.metrics import BLUE, ORANGE


def model_steps(
    theirs: Mapping[str, Sequence[float]],
    ours: Mapping[str, Sequence[Any]],
    names: Sequence[str],
    *,
    width: int = 240,
    height: int = 170,
) -> Sheet:
    """Differences from the first model, one panel per metric: a paper's beside ours with intervals.

    Up is better in every panel: the axis of a distance is turned round.

    Args:
        theirs: metric -> the paper's difference of each model, the first model's is 0.
        ours: metric -> our estimates (``.mean``, ``.low``, ``.high``) of the models after the first.
        names: of all models.
    """
    sheet, axes = grid(1, len(theirs), (width, height), gap=(52, 8), head=36, bottom=36)
    places = np.arange(len(names))
    for number, (ax, (metric, differences)) in enumerate(zip(axes[0], theirs.items(), strict=True)):
        shown = display_of(metric)
        ax.axhline(0, color=QUIET, linewidth=1, linestyle=(0, (4, 3)))
        scaled = shown.scale * np.array(differences)
        ax.plot(
            places - 0.08, scaled, "o-", color=ORANGE, linewidth=1.2, markersize=5, markerfacecolor="white"
        )
        mean, low, high = (
            shown.scale * np.array([0.0, *(getattr(one, part) for one in ours[metric])])
            for part in ("mean", "low", "high")
        )
        ax.vlines(places + 0.08, low, high, color=BLUE, linewidth=2.4, alpha=0.5)
        ax.plot(places + 0.08, mean, "o-", color=BLUE, linewidth=1.6, markersize=5)
        ax.set_title(
            f"{shown.label}: difference from {names[0]}\n({shown.note})",
            loc="left",
            fontsize=SMALL,
            color=INK,
        )
        _dress(ax, names, places, shown.sign < 0)
        if number == 0:
            for text, colour, up in (("paper", ORANGE, 0.14), ("ours", BLUE, 0.04)):
                ax.text(0.02, up, text, transform=ax.transAxes, color=colour, fontsize=TEXT, weight="bold")
    return sheet


def _dress(ax: Axes, names: Sequence[str], places: np.ndarray, turned: bool) -> None:
    """Names of the models below, quiet ticks, better is up."""
    ax.set_xticks(places, list(names))
    ax.yaxis.set_major_locator(MaxNLocator(5))
    ax.tick_params(length=0, labelsize=SMALL, labelcolor=QUIET)
    ax.grid(axis="y", color=FAINT, linewidth=0.6)
    ax.set_axisbelow(True)
    if turned:
        ax.invert_yaxis()
