"""Scores and claims as figures: dots with the bars of their intervals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from facecomp_lib.evaluation.registry import Metric
from facecomp_lib.evaluation.registry import metric as display_of
from facecomp_lib.evaluation.summary import summarize
from facecomp_lib.show.canvas import FAINT, INK, QUIET, SMALL, TEXT, Sheet
from facecomp_lib.show.tables import INTERVAL

__all__ = ["forest_plot", "score_plot"]

# Okabe-Ito: apart for colour-blind eyes too; the shapes say it again in grey.
STYLES = tuple(
    zip(("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#444444"), "osD^vPX", strict=True)
)
VERDICTS = {"holds": STYLES[0], "the opposite holds": STYLES[1], "undecided": ("#666666", "D")}
STEP, ROW = 13, 12  # CSS px between the methods of a mask, and between masks
RIGHT, TOP, BOTTOM, PLOT, LEGEND = 20, 34, 44, 400, 17  # around the plot; a line of the legend
CLAIM, HEAD, GAP = 20, 26, 40  # px: a claim's row, a panel's title, between panels
LETTER = 6.6


def score_plot(
    scores: pd.DataFrame,
    metric: str,
    methods: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    **options: Any,
) -> Sheet:
    """Means with their 95 % intervals: a band per mask, a row, colour and shape per method.

    Args:
        scores, metric, methods, columns, options: as for :func:`fc.evaluation.summarize`.

    Raises:
        ValueError: there is no finite mean.
    """
    summary = summarize(scores, metric, methods, columns, **options)
    if not np.isfinite(summary["mean"].to_numpy(float)).any():
        raise ValueError(f"There is nothing to draw: {metric} has no finite mean.")
    (name, across), shown = summary.columns[:2], display_of(metric)
    every = list(dict.fromkeys(scores[name]))  # a method keeps its colour whether the others are shown or not
    names = list(dict.fromkeys(summary[name]))
    bands = list(dict.fromkeys(summary[across]))
    styles = {method: STYLES[every.index(method) % len(STYLES)] for method in names}
    band = STEP * len(names) + ROW
    left, legend = (LETTER * max(map(len, texts)) + 24 for texts in (bands, names))
    width, height = left + PLOT + RIGHT + legend, TOP + band * len(bands) + BOTTOM
    sheet = Sheet(width, height)
    inner = band * len(bands) / height
    axes = sheet.add_axes((left / width, BOTTOM / height, PLOT / width, inner))
    for row in range(0, len(bands), 2):
        axes.axhspan(row * band, (row + 1) * band, color="#f5f5f5", linewidth=0, zorder=0)
    for _, cell in summary.iterrows():
        y = bands.index(cell[across]) * band + (ROW + STEP) / 2 + names.index(cell[name]) * STEP
        _dot(axes, shown, cell["mean"], cell["low"], cell["high"], y, styles[cell[name]])
    _frame(axes, bands, band, shown, options.get("baseline"), bool(summary["low"].notna().any()))
    for place, method in enumerate(names):
        y = 1 - (LEGEND / 2 + place * LEGEND) / (inner * height)
        _key(axes, method, y, styles[method])
    return sheet


def forest_plot(claims: pd.DataFrame | Iterable[Any]) -> Sheet:
    """Claims as a forest plot: a panel per metric, a row per claim, right of the line is as claimed.

    The bar is the 95 % interval over faces and seeds; an open circle is the paper's difference. Colour, shape
    and words say the verdict.

    Args:
        claims: of :func:`fc.experiments.claim`, or their data frame.
    """
    frame = claims if isinstance(claims, pd.DataFrame) else pd.DataFrame(list(claims))
    panels = [frame[frame["metric"] == metric] for metric in dict.fromkeys(frame["metric"])]
    left = LETTER * max(map(len, frame["text"])) + 16
    right = LETTER * max(map(len, frame["verdict"])) + 24
    width = left + PLOT + right
    height = sum(CLAIM * len(panel) + HEAD + GAP for panel in panels)
    sheet = Sheet(width, height)
    top = height
    for panel in panels:
        tall = CLAIM * len(panel)
        top -= HEAD + tall
        axes = sheet.add_axes((left / width, top / height, PLOT / width, tall / height))
        _claims(axes, panel)
        top -= GAP
    return sheet


def _claims(axes: Axes, panel: pd.DataFrame) -> None:
    """The rows of one metric."""
    shown = display_of(str(panel["metric"].iloc[0]))
    for row, one in enumerate(panel.itertuples()):
        turn = shown.sign  # so that right is better for distances, too
        style = VERDICTS[str(one.verdict)]
        _dot(axes, shown, turn * one.mean, turn * one.low, turn * one.high, row, style)
        if not np.isnan(one.paper):
            axes.plot([turn * shown.scale * one.paper], [row], "o", color=INK, fillstyle="none", markersize=8)
        style_text: dict[str, Any] = {"fontsize": SMALL, "color": style[0], "va": "center_baseline"}
        axes.text(1 + 12 / PLOT, row, str(one.verdict), transform=axes.get_yaxis_transform(), **style_text)
    axes.set_ylim(len(panel) - 0.5, -0.5)
    axes.set_yticks(range(len(panel)), panel["text"])
    axes.axvline(0, color=QUIET, linewidth=1)
    _plain(axes)
    axes.set_title(shown.label, loc="left", fontsize=TEXT + 1, color=INK, pad=5)
    unit = f"{shown.unit} " if shown.unit else ""
    words = f"{unit}{'less' if shown.sign < 0 else 'more'}, as claimed →"
    label = f"{words}   (bar: {INTERVAL}, circle: the paper)"
    axes.set_xlabel(label, fontsize=SMALL, color=QUIET, labelpad=3)


def _dot(
    axes: Axes, shown: Metric, mean: float, low: float, high: float, y: float, style: tuple[str, str]
) -> None:
    if not np.isfinite(mean):
        return
    colour, shape = style
    if np.isfinite(low) and np.isfinite(high):
        ends = [shown.scale * low, shown.scale * high]
        axes.plot(ends, [y, y], color=colour, linewidth=1.8, alpha=0.75)
    axes.plot([shown.scale * mean], [y], color=colour, marker=shape, markersize=5.5, linestyle="")


def _key(axes: Axes, method: str, y: float, style: tuple[str, str]) -> None:
    """A line of the legend, right of the plot."""
    colour, shape = style
    right = axes.transAxes
    axes.plot([1 + 16 / PLOT], [y], shape, color=colour, markersize=5.5, transform=right, clip_on=False)
    axes.text(1 + 26 / PLOT, y, method, va="center_baseline", fontsize=TEXT, color=INK, transform=right)


def _frame(
    axes: Axes, bands: Sequence[str], band: float, shown: Metric, baseline: str | None, bars: bool
) -> None:
    """Names of masks, a quiet grid, and in words what the numbers are."""
    axes.set_ylim(band * len(bands), 0)
    axes.set_yticks([band * (row + 0.5) for row in range(len(bands))], bands)
    _plain(axes)
    title = shown.label if baseline is None else f"{shown.label}, difference from {baseline}"
    axes.set_title(title, loc="left", fontsize=TEXT + 1, color=INK, pad=8)
    if baseline is not None:
        axes.axvline(0, color=QUIET, linewidth=1)
    parts = [shown.note, f"bars: {INTERVAL} of the mean" if bars else ""]
    axes.set_xlabel("; ".join(part for part in parts if part), fontsize=SMALL, color=QUIET, labelpad=5)


def _plain(axes: Axes) -> None:
    axes.tick_params(axis="y", length=0, labelsize=TEXT, labelcolor=INK)
    axes.tick_params(axis="x", color=FAINT, labelsize=SMALL, labelcolor=QUIET)
    axes.grid(axis="x", color=FAINT, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    axes.margins(x=0.05)
