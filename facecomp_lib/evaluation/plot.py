"""Tables as images: dots with interval bars. A pure function from a table to a figure."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from facecomp_lib.evaluation.table import Table, display
from facecomp_lib.show.canvas import FAINT, INK, QUIET, SMALL, TEXT, Sheet

__all__ = ["dots"]

# Okabe-Ito: apart for colour-blind eyes too; the shapes say it again in grey.
STYLES = tuple(
    zip(("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#444444"), "osD^vPX", strict=True)
)
STEP, ROW = 13, 12  # CSS px between the methods of a hole, and between holes
RIGHT, TOP, BOTTOM, PLOT, LEGEND = 20, 34, 44, 400, 17  # around the plot; a line of the legend
LETTER = 6.6


def dots(table: Table) -> Sheet:
    """A table as dots with their intervals: a band per hole, a row, colour and shape per method.

    Args:
        table: of :meth:`Comparison.table` or :meth:`Comparison.differences`.

    Returns:
        A matplotlib figure that shows itself in notebooks.

    Raises:
        ValueError: the table has no finite number.
    """
    finite = [cell for cell in table.cells.values() if np.isfinite(cell.mean)]
    if not finite:
        raise ValueError(f"There is nothing to draw: {table.measure} has no finite mean.")
    names = table.palette or table.methods
    styles = {method: STYLES[names.index(method) % len(STYLES)] for method in table.methods}
    band = STEP * len(table.methods) + ROW
    left, legend = (LETTER * max(map(len, names)) + 24 for names in (table.holes, table.methods))
    width, height = left + PLOT + RIGHT + legend, TOP + band * len(table.holes) + BOTTOM
    sheet = Sheet(width, height)
    inner = band * len(table.holes) / height
    axes = sheet.add_axes((left / width, BOTTOM / height, PLOT / width, inner))
    for row, hole in enumerate(table.holes):
        if row % 2 == 0:
            axes.axhspan(row * band, (row + 1) * band, color="#f5f5f5", linewidth=0, zorder=0)
        for place, method in enumerate(table.methods):
            y = row * band + (ROW + STEP) / 2 + place * STEP
            _dot(axes, table, method, hole, y, styles[method])
    _frame(axes, table, band)
    for place, method in enumerate(table.methods):
        y = 1 - (LEGEND / 2 + place * LEGEND) / (inner * height)
        _key(axes, method, y, styles[method])
    return sheet


def _dot(axes: Axes, table: Table, method: str, hole: str, y: float, style: tuple[str, str]) -> None:
    cell = table.cells.get((method, hole))
    if cell is None or not np.isfinite(cell.mean):
        return
    scale, (colour, shape) = display(table.measure).scale, style
    if np.isfinite(cell.low) and np.isfinite(cell.high):
        axes.plot([scale * cell.low, scale * cell.high], [y, y], color=colour, linewidth=1.8, alpha=0.75)
    axes.plot([scale * cell.mean], [y], color=colour, marker=shape, markersize=5.5, linestyle="")


def _key(axes: Axes, method: str, y: float, style: tuple[str, str]) -> None:
    """A line of the legend, right of the plot."""
    colour, shape = style
    right = axes.transAxes
    axes.plot([1 + 16 / PLOT], [y], shape, color=colour, markersize=5.5, transform=right, clip_on=False)
    axes.text(1 + 26 / PLOT, y, method, va="center_baseline", fontsize=TEXT, color=INK, transform=right)


def _frame(axes: Axes, table: Table, band: float) -> None:
    """Names of holes, a quiet grid, and in words what the numbers are."""
    shown = display(table.measure)
    holes = len(table.holes)
    axes.set_ylim(band * holes, 0)
    axes.set_yticks([band * (row + 0.5) for row in range(holes)], table.holes)
    axes.tick_params(axis="y", length=0, labelsize=TEXT, labelcolor=INK)
    axes.tick_params(axis="x", color=FAINT, labelsize=SMALL, labelcolor=QUIET)
    axes.grid(axis="x", color=FAINT, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    axes.margins(x=0.05)
    title = shown.label if table.baseline is None else f"{shown.label}, difference from {table.baseline}"
    axes.set_title(title, loc="left", fontsize=TEXT + 1, color=INK, pad=8)
    if table.baseline is not None:
        axes.axvline(0, color=QUIET, linewidth=1)
    bars = any(not np.isnan(cell.low) for cell in table.cells.values())
    parts = [shown.note, f"bars: {100 * table.level:g} % interval of the mean" if bars else ""]
    axes.set_xlabel("; ".join(part for part in parts if part), fontsize=SMALL, color=QUIET, labelpad=5)
