"""Figures about networks that learn: pure functions, like all figures of the course. Lesson 03 uses them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.patches import FancyArrowPatch, Rectangle

from facecomp_lib.show.canvas import (
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
from facecomp_lib.show.labels import tint_parsing
from facecomp_lib.show.metrics import BLUE, COLOURS, GREEN, ORANGE, _axes, _plot

BLOCKS = (BLUE, ORANGE, GREEN, "#8a5aa8")  # one colour per 2x2 block of a toy
HEAT = LinearSegmentedColormap.from_list("heat", ["#000000", "#5a1030", "#d55e00", "#ffd27f", "#ffffff"])
DECADES = 3.0  # what the colours of a heat map span


def pooling(
    before: torch.Tensor, pooled: torch.Tensor, winners: torch.Tensor, after: torch.Tensor, *, cell: int = 148
) -> Sheet:
    """A toy of max-pooling and unpooling: each 2x2 block has a colour, and its winner is framed.

    Args:
        before: ``[4, 4]``.
        pooled, winners: ``[2, 2]``: the largest value of each block, and where it stood, counted row by row.
        after: ``[4, 4]``, unpooled.
    """
    titles = ("before", "pooled: the winners", "where they stood", "unpooled")
    sheet, axes = grid(1, 4, (cell, cell), gap=(34, 6), head=18)
    places = {int(place) for place in winners.flatten()}
    for ax, array, title in zip(axes[0], (before, pooled, winners, after), titles, strict=True):
        _numbers(ax, array, places)
        caption(ax, title)
    for ax in axes[0, :-1]:
        write(ax, "→", (1, 0.5), (12, 0), fontsize=14, color=QUIET)
    return sheet


def _numbers(ax: Axes, array: torch.Tensor, places: set[int]) -> None:
    """Numbers in coloured cells; those at `places` of a 4x4 toy are framed, zeros are faint."""
    side = len(array)
    ax.set_xlim(-0.5, side - 0.5)
    ax.set_ylim(side - 0.5, -0.5)
    for (y, x), value in np.ndenumerate(array.numpy()):
        colour = BLOCKS[2 * (y * 2 // side) + x * 2 // side]
        wins = side == 2 or y * side + x in places
        shade: dict[str, Any] = {"facecolor": colour, "alpha": 0.45 if wins else 0.12, "linewidth": 0}
        ax.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, **shade))
        frame: dict[str, Any] = {"fill": False, "edgecolor": "white", "linewidth": 2}
        ax.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, **frame))
        style: dict[str, Any] = {"ha": "center", "va": "center_baseline", "fontsize": TEXT + 1}
        ax.text(x, y, f"{value:g}", color=INK if wins else QUIET, weight="bold" if wins else None, **style)


def shares(
    parts: Mapping[str, Mapping[str, float]], unit: str = "", *, width: int = 460, left: int = 150
) -> Sheet:
    """One bar per name, cut into parts of one colour each, its whole written at its end.

    Args:
        parts: name -> (part -> amount); all with the same parts in the same order.
        unit: what stands behind a number, such as "M".
    """
    bar, gap = 24, 12
    tall = len(parts) * (bar + gap)
    sheet = Sheet(left + width + 80, tall + 34)
    wide, high = sheet.css_size
    ax = blank(sheet.add_axes((left / wide, 6 / high, width / wide, tall / high)))
    most = max(sum(amounts.values()) for amounts in parts.values())
    ax.set_xlim(0, most)
    ax.set_ylim(len(parts) - 0.5, -0.5)
    names = list(next(iter(parts.values())))
    for row, (name, amounts) in enumerate(parts.items()):
        start = 0.0
        for colour, (part, amount) in zip(COLOURS, amounts.items(), strict=False):
            ax.barh(row, amount, left=start, height=0.66, color=colour)
            if amount > 0.16 * most:
                style: dict[str, Any] = {
                    "ha": "center",
                    "va": "center_baseline",
                    "fontsize": SMALL,
                    "color": "white",
                }
                ax.text(start + amount / 2, row, f"{part} {amount:.1f}", **style)
            start += amount
        ax.text(start, row, f"  {start:.1f} {unit}", va="center_baseline", fontsize=TEXT, color=INK)
        ax.text(0, row, f"{name}  ", va="center_baseline", ha="right", fontsize=TEXT, color=INK)
    keys = [Rectangle((0, 0), 1, 1, facecolor=colour) for colour in COLOURS[: len(names)]]
    sheet.legend(
        keys, names, loc="upper left", bbox_to_anchor=(left / wide, 1), ncols=len(names), frameon=False,
        fontsize=SMALL, labelcolor=INK, handlelength=1, handletextpad=0.5, borderpad=0.2,
    )  # fmt: skip
    return sheet


def curves(
    functions: Mapping[str, Sequence[tuple[float, float]]],
    x: str,
    y: str,
    marks: Mapping[str, tuple[float, float]] | None = None,
    *,
    width: int = 420,
    height: int = 190,
) -> Sheet:
    """Smooth curves with a name at their ends, and points on them that are worth a word.

    Args:
        functions: name -> [(x, y), ...], dense.
        x, y: what is drawn along the axes; ``y`` stands above them.
        marks: words -> (x, y).
    """
    sheet, ax = _plot(width, height)
    every = np.array([point for points in functions.values() for point in points])
    for colour, (name, points) in zip(COLOURS, functions.items(), strict=False):
        across, up = np.array(points, float).T
        ax.plot(across, up, color=colour, linewidth=2.2)
        high = int(up.argmax())
        end = high in (0, len(up) - 1)
        place: dict[str, Any] = {"xytext": (8 if high == 0 else -8, 4), "textcoords": "offset points"}
        place |= {"ha": "left" if high == 0 else "right" if end else "center", "va": "bottom"}
        ax.annotate(name, (across[high], up[high]), color=colour, fontsize=TEXT, **place)
    for words, at in (marks or {}).items():
        ax.plot(*at, "o", color=INK, markersize=5)
        ax.annotate(words, at, (9, 5), textcoords="offset points", va="bottom", fontsize=SMALL, color=INK)
    low, high = every[:, 1].min(), every[:, 1].max()
    ax.set_ylim(low - 0.06 * (high - low), high + 0.16 * (high - low))
    _axes(ax, x, y)
    return sheet


def reach(
    face: ImageLike,
    gradients: Mapping[str, torch.Tensor],
    window: tuple[int, int, int, int],
    notes: Mapping[str, str] | None = None,
    *,
    cell: int = 192,
) -> Sheet:
    """Where the gradient of each loss reaches: the damaged face, then a heat map per loss.

    Colours are logarithmic over three powers of ten below each map's largest value; black is exactly 0 or
    less than a thousandth of it. A dashed frame marks the hole.

    Args:
        face: the damaged face.
        gradients: name -> ``[H, W]``, not negative.
        window: left, top, right, bottom of the hole, px, right and bottom not included.
        notes: name -> a line below.
    """
    sheet, axes = grid(1, 1 + len(gradients), cell_size(to_array(face).shape, cell), gap=8, head=18, foot=16)
    put(axes[0, 0], face, "the hole")
    for ax, (name, gradient) in zip(axes[0, 1:], gradients.items(), strict=True):
        level = gradient / gradient.max().clamp(min=1e-30)
        heat = (1 + level.clamp(min=1e-30).log10() / DECADES).clamp(0, 1)
        ax.imshow(HEAT(heat.numpy()), interpolation="nearest")
        caption(ax, name, (notes or {}).get(name, ""))
        left, top, right, bottom = (edge - 0.5 for edge in window)
        ax.spines[:].set(visible=True, color="#bbbbbb", linewidth=0.8)  # else a white map has no edge
        frame: dict[str, Any] = {"fill": False, "edgecolor": "#56b4e9", "linewidth": 1.4}
        ax.add_patch(Rectangle((left, top), right - left, bottom - top, linestyle=(0, (4, 3)), **frame))
    return sheet


def windows(
    faces: Sequence[ImageLike], corners: torch.Tensor, side: int, titles: Sequence[str], *, cell: int = 128
) -> Sheet:
    """A frame of ``side`` px at (y, x) of each image, and below it what it holds."""
    shown = [to_array(face) for face in faces]
    sheet, axes = grid(2, len(shown), cell_size(shown[0].shape, cell), head=18)
    for column, (face, (y, x), title) in enumerate(zip(shown, corners.tolist(), titles, strict=True)):
        put(axes[0, column], face, title)
        frame: dict[str, Any] = {"fill": False, "edgecolor": ORANGE, "linewidth": 2}
        axes[0, column].add_patch(Rectangle((x - 0.5, y - 0.5), side, side, **frame))
        put(axes[1, column], face[y : y + side, x : x + side])
    return sheet


def parsing_image(parsing: torch.Tensor) -> np.ndarray:
    """A parsing map [H, W] in the colours of its classes; float array [H, W, 3]."""
    return tint_parsing(np.zeros((*parsing.shape, 3)), parsing, strength=1)


def gfc_plan(images: Mapping[str, ImageLike], *, cell: int = 104) -> Sheet:
    """The whole of gfc on one sheet: what flows where, and which loss looks at what.

    Args:
        images: ``filled``, ``raw``, ``composite``, ``original``, ``hole`` (a crop), ``parsing`` and
            ``parsing_original`` (in colours), all of one size but the crop.
    """
    wide, high = 864, 430
    sheet = Sheet(wide, high)
    whole = sheet.add_axes((0, 0, 1, 1))
    blank(whole).set_xlim(0, wide)
    whole.set_ylim(high, 0)
    places = {  # middle of each image, px
        "filled": (66, 215), "raw": (330, 215), "original": (594, 76), "composite": (594, 215),
        "hole": (718, 215), "parsing": (594, 356), "parsing_original": (718, 356),
    }  # fmt: skip
    words = {
        "filled": "hole filled with noise", "raw": "raw output", "original": "original",
        "composite": "composite", "hole": "its hole", "parsing": "parsing of raw output",
        "parsing_original": "of the original",
    }  # fmt: skip
    for name, (x, y) in places.items():
        half = cell / 2 if name != "hole" else cell / 4
        box = ((x - half) / wide, 1 - (y + half) / high, 2 * half / wide, 2 * half / high)
        put(blank(sheet.add_axes(box)), images[name], words[name], frame=True)
    _box(whole, (198, 215), "generator", BLUE)
    _box(whole, (455, 356), "parsing network", QUIET)
    _loss(whole, (455, 76), "reconstruction\nL_r", BLUE)
    _box(whole, (800, 215), "local\ndiscriminator", ORANGE)
    _box(whole, (330, 76), "global\ndiscriminator", GREEN)
    _loss(whole, (815, 356), "cross-\nentropy\nL_p", "#8a5aa8")
    for start, end in (
        ((120, 215), (152, 215)), ((244, 215), (276, 215)), ((384, 215), (540, 215)),
        ((648, 215), (690, 215)), ((746, 215), (766, 215)), ((330, 145), (330, 98)),
        ((372, 160), (430, 98)), ((540, 76), (506, 76)), ((372, 270), (420, 334)),
        ((506, 356), (540, 356)), ((770, 356), (788, 356)),
    ):  # fmt: skip
        _arrow(whole, start, end)
    style: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": SMALL, "color": QUIET}
    whole.text(462, 203, "known pixels put back", **style)
    whole.text(330, 44, "L_a2: is the whole image real?", **style)
    whole.text(800, 252, "L_a1: is\nit real?", **style)
    return sheet


def _box(ax: Axes, place: tuple[float, float], words: str, colour: str) -> None:
    """A network: a filled box with its name."""
    box: dict[str, Any] = {"boxstyle": "round,pad=0.7", "facecolor": colour, "edgecolor": "none"}
    ax.text(*place, words, ha="center", va="center", fontsize=TEXT, color="white", weight="bold", bbox=box)


def _loss(ax: Axes, place: tuple[float, float], words: str, colour: str) -> None:
    """A loss without a network of its own: an open box."""
    face = tuple(0.88 + 0.12 * part for part in to_rgb(colour))
    box: dict[str, Any] = {"boxstyle": "round,pad=0.5", "facecolor": face, "edgecolor": colour}
    ax.text(*place, words, ha="center", va="center", fontsize=SMALL, color=INK, bbox=box)


def _arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    style: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 10, "color": QUIET, "linewidth": 1.2}
    ax.add_patch(FancyArrowPatch(start, end, shrinkA=0, shrinkB=0, **style))
