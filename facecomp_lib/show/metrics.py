"""Figures about metrics: pure functions, like all figures of the course. Lesson 02 uses them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from facecomp_lib.evaluation.registry import metric as display_of
from facecomp_lib.show.canvas import (
    FAINT,
    INK,
    QUIET,
    SMALL,
    TEXT,
    ImageLike,
    Sheet,
    blank,
    caption,
    cell_size,
    grid,
    put,
    to_array,
    write,
)

# Okabe and Ito's colours: apart for colour-blind eyes, too
BLUE, ORANGE, GREEN, PURPLE = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
COLOURS = (BLUE, ORANGE, GREEN, PURPLE)


def duel(
    left: ImageLike,
    target: ImageLike,
    right: ImageLike,
    scores: Mapping[str, tuple[float, float]],
    titles: Sequence[str] = ("A", "truth", "B"),
    *,
    cell: int = 192,
) -> Sheet:
    """Two completions beside the true image, and under them whom each metric prefers.

    Args:
        left, target, right: images of one size.
        scores: metric (a name that :mod:`facecomp_lib.evaluation` knows) -> its values for left and right.
    """
    row = 24
    size = cell_size(to_array(target).shape, cell)
    sheet, axes = grid(1, 3, size, head=18, bottom=row * len(scores) + 4)
    for ax, one, title in zip(axes[0], (left, target, right), titles, strict=True):
        put(ax, one, title)
    for place, (metric, values) in enumerate(scores.items()):
        shown, below = display_of(metric), (0, -(place + 0.62) * row * 0.72)
        write(axes[0, 1], f"{shown.label} ({shown.note})", (0.5, 0), below, fontsize=SMALL, color=QUIET)
        for side, ax in enumerate((axes[0, 0], axes[0, 2])):
            wins = shown.sign * (values[side] - values[1 - side]) > 0
            style = {"color": "white", "weight": "bold"} if wins else {"color": QUIET}
            box = {"boxstyle": "round,pad=0.35", "facecolor": GREEN if wins else "none", "edgecolor": "none"}
            write(ax, shown.text(values[side]), (0.5, 0), below, bbox=box, **style)
    return sheet


def rows(
    images: Mapping[str, Sequence[ImageLike]],
    columns: Sequence[str],
    notes: Mapping[str, Sequence[str]] | None = None,
    *,
    cell: int = 112,
    left: int = 84,
) -> Sheet:
    """A row of images per name, with a title over each column: fills beside each other on several holes.

    Args:
        images: name (may hold line breaks) -> its images, as many as there are columns.
        notes: name -> a line under each image.
    """
    first = to_array(next(iter(images.values()))[0])
    room = {"left": left, "top": 18, "foot": 14 if notes else 0}
    sheet, axes = grid(len(images), len(columns), cell_size(first.shape, cell), **room)
    for row, (name, shown) in enumerate(images.items()):
        texts = (notes or {}).get(name, [""] * len(columns))
        for ax, one, text, title in zip(axes[row], shown, texts, columns, strict=True):
            put(ax, one, title if row == 0 else "", text)
        write(axes[row, 0], name, (0, 0.5), (-6, 0), ha="right", weight="bold")
    return sheet


def ranking(
    probes: Sequence[ImageLike],
    matches: Sequence[Sequence[ImageLike]],
    right: Sequence[Sequence[bool]],
    notes: Sequence[Sequence[str]] | None = None,
    names: Sequence[str] | None = None,
    *,
    cell: int = 96,
) -> Sheet:
    """A row per probe: the image, then its matches, nearest first; a thick frame marks a hit.

    Args:
        probes: the images that were looked for.
        matches, right, notes: per probe, the images that it was matched with, whether each shows the same
            person, a note each.
        names: what to write left of each probe.
    """
    count = len(matches[0])
    room = {"left": 84 if names else 0, "top": 18, "foot": 14}
    sheet, axes = grid(len(probes), 1 + count, cell_size(to_array(probes[0]).shape, cell), gap=(8, 6), **room)
    titles = ["probe", "nearest", *[f"{place}." for place in range(2, count + 1)]]
    for row, probe in enumerate(probes):
        texts = ["", *(notes[row] if notes else [""] * count)]
        for ax, one, text, title in zip(axes[row], [probe, *matches[row]], texts, titles, strict=True):
            put(ax, one, title if row == 0 else "", text)
        for ax, hit in zip(axes[row, 1:], right[row], strict=True):
            if hit:
                frame: dict[str, Any] = {
                    "fill": False,
                    "edgecolor": GREEN,
                    "linewidth": 3.2,
                    "clip_on": False,
                }
                ax.add_patch(Rectangle((0, 0), 1, 1, transform=ax.transAxes, **frame))
        if names:
            write(axes[row, 0], names[row], (0, 0.5), (-6, 0), ha="right", weight="bold")
    return sheet


def gaussians(
    pairs: Mapping[str, Sequence[tuple[float, float]]],
    names: Sequence[str] = ("real", "completed"),
    *,
    width: int = 210,
    height: int = 110,
) -> Sheet:
    """One panel per pair of 1-D Gaussians: its title above two filled curves.

    Args:
        pairs: title -> (mean, standard deviation) of each.
        names: of the first and the second of each pair, written where the means are apart.
    """
    sheet, axes = grid(1, len(pairs), (width, height), head=36, bottom=24, gap=(14, 4))
    every = [curve for pair in pairs.values() for curve in pair]
    low, high = (min(m - 3.2 * s for m, s in every), max(m + 3.2 * s for m, s in every))
    line = np.linspace(low, high, 400)
    top = max(1 / s for _, s in every)
    named = next((k for k, (one, other) in enumerate(pairs.values()) if one[0] != other[0]), 0)
    for place, (ax, (title, pair)) in enumerate(zip(axes[0], pairs.items(), strict=True)):
        for (mean, deviation), colour, name in zip(pair, COLOURS, names, strict=False):
            curve = np.exp(-0.5 * ((line - mean) / deviation) ** 2) / deviation
            ax.fill_between(line, curve, color=colour, alpha=0.25, linewidth=0)
            ax.plot(line, curve, color=colour, linewidth=1.8)
            if place == named:
                ax.text(mean, 1.04 / deviation, name, ha="center", va="bottom", color=colour, fontsize=SMALL)
        ax.set_xlim(low, high)
        ax.set_ylim(0, 1.22 * top)
        ax.spines["bottom"].set(visible=True, color=FAINT)
        ax.set_xticks(range(int(np.ceil(low)), int(high) + 1))
        ax.tick_params(length=0, labelsize=SMALL, labelcolor=QUIET)
        caption(ax, title)
    return sheet


def lines(
    series: Mapping[str, Sequence[tuple[float, float]]],
    x: str,
    y: str,
    *,
    level: float | None = None,
    log: bool = False,
    width: int = 420,
    height: int = 190,
) -> Sheet:
    """Curves through points, each named above its second one.

    Args:
        series: name -> [(x, y), ...].
        x, y: what is drawn along the axes; `y` stands above them.
        level: a value of y worth a line across.
        log: a logarithmic x axis.
    """
    sheet, ax = _plot(width, height)
    if level is not None:
        ax.axhline(level, color=QUIET, linewidth=1, linestyle=(0, (4, 3)))
    for colour, (name, points) in zip(COLOURS, series.items(), strict=False):
        across, up = np.array(points, float).T
        ax.plot(across, up, "o-", color=colour, linewidth=1.8, markersize=4.5)
        place: dict[str, Any] = {"xytext": (7, 5), "textcoords": "offset points"}
        ax.annotate(name, (across[1], up[1]), color=colour, fontsize=TEXT, annotation_clip=False, **place)
    if log:
        ax.set_xscale("log")
        ticks = sorted({point[0] for points in series.values() for point in points})
        ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        ax.minorticks_off()
    _axes(ax, x, y, log)
    return sheet


def histograms(
    groups: Mapping[str, torch.Tensor | np.ndarray | Sequence[float]],
    x: str,
    marks: Mapping[str, float] | None = None,
    *,
    bins: int = 30,
    width: int = 480,
    height: int = 150,
) -> Sheet:
    """How values are spread: a translucent histogram per group, and vertical marks with a name each.

    Args:
        groups: name -> values.
        x: what the values are.
        marks: name -> value.
    """
    sheet, ax = _plot(width, height)
    arrays = {name: np.asarray(values, float).ravel() for name, values in groups.items()}
    together = np.concatenate(list(arrays.values()))
    edges = np.linspace(together.min(), together.max(), bins + 1)
    lowest = min(arrays, key=lambda name: float(np.median(arrays[name])))
    tallest = 0.0
    for colour, (name, values) in zip(COLOURS, arrays.items(), strict=False):
        counts, _ = np.histogram(values, edges)
        shares = counts / max(1, counts.sum())
        ax.bar(edges[:-1], shares, np.diff(edges), align="edge", color=colour, alpha=0.5, linewidth=0)
        tallest = max(tallest, shares.max())
        # names stand on the outer slopes, so that groups on top of each other keep theirs apart
        left = name == lowest and len(arrays) > 1
        place: dict[str, Any] = {"ha": "right" if left else "left", "color": colour, "fontsize": TEXT}
        ax.text(np.quantile(values, 0.06 if left else 0.94), 0.72 * shares.max(), name, **place)
    for name, value in (marks or {}).items():
        ax.axvline(value, color=INK, linewidth=1.2, linestyle=(0, (4, 3)))
        ax.annotate(
            name, (value, 1), (4, -2), xycoords=("data", "axes fraction"), textcoords="offset points",
            va="top", fontsize=SMALL, color=INK,
        )  # fmt: skip
    ax.set_ylim(0, 1.2 * tallest)
    _axes(ax, x, "")
    ax.set_yticks([])
    return sheet


def _plot(width: int, height: int) -> tuple[Sheet, Axes]:
    """A sheet with one axes of `width` x `height` CSS pixels and room for words around it."""
    left, right, bottom, top = 40, 16, 38, 26
    sheet = Sheet(left + width + right, bottom + height + top)
    wide, tall = sheet.css_size
    return sheet, blank(sheet.add_axes((left / wide, bottom / tall, width / wide, height / tall)))


def _axes(ax: Axes, x: str, y: str, log: bool = False) -> None:
    """Quiet axes: a grid line per tick, what is drawn in words."""
    if not log:
        ax.xaxis.set_major_locator(MaxNLocator(6))
    ax.yaxis.set_major_locator(MaxNLocator(6))
    ax.tick_params(length=0, labelsize=SMALL, labelcolor=QUIET)
    ax.grid(color=FAINT, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines["bottom"].set(visible=True, color=FAINT)
    ax.set_xlabel(x, fontsize=SMALL, color=QUIET)
    ax.set_title(y, loc="left", fontsize=TEXT, color=INK, pad=6)
