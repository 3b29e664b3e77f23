"""Figures of the course: pure functions from tensors to a matplotlib figure.

Nothing here opens a window or keeps state; widgets call these functions, so that what a widget shows can be
tested. Conventions as everywhere: images [B, 3, H, W] in [0, 1], masks [B, 1, H, W] with 1 = known.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes

from facecomp_lib.show.canvas import (
    FAINT,
    INK,
    QUIET,
    SMALL,
    TEXT,
    ImageLike,
    Sheet,
    caption,
    cell_size,
    fill,
    grid,
    put,
    to_array,
    to_arrays,
    write,
)

CHANGED = np.array([0.835, 0.369, 0.0])  # vermillion: a pixel that differs
MISSING = np.array([0.902, 0.624, 0.0])  # orange: a hole in a grey face
COMPLETION = ("original", "mask", "masked input", "raw fill", "composite", "pixels that changed")


def contact_sheet(
    images: torch.Tensor | Sequence[ImageLike],
    titles: Sequence[str] | None = None,
    columns: int = 6,
    *,
    notes: Sequence[str] | None = None,
    cell: int = 128,
) -> Sheet:
    """Images of one size side by side, `columns` to a row, each about `cell` px wide."""
    shown = to_arrays(images)
    columns = min(columns, len(shown))
    room = {"head": 16 if titles else 0, "foot": 14 if notes else 0}
    sheet, axes = grid(-(-len(shown) // columns), columns, cell_size(shown[0].shape, cell), **room)
    for index, image in enumerate(shown):
        put(axes.flat[index], image, titles[index] if titles else "", notes[index] if notes else "")
    fill(axes, len(shown))
    return sheet


def completion(
    image: torch.Tensor,
    mask: torch.Tensor,
    raw: torch.Tensor,
    composite: torch.Tensor,
    titles: Sequence[str] = COMPLETION,
    *,
    cell: int = 128,
) -> Sheet:
    """One row per face: original | mask | masked input | raw output | composite | which pixels changed.

    Below raw output and composite: PSNR against the original over the whole image. The last column compares
    the composite with the original bit for bit: white pixels are identical.

    Args:
        image, raw, composite: [B, 3, H, W].
        mask: [B, 1, H, W] or [1, 1, H, W], 1 = known.
    """
    mask = mask.expand(len(image), -1, -1, -1)
    changed = (composite != image).any(dim=1).cpu().numpy()[..., None]
    sheet, axes = grid(len(image), 6, cell_size(image.shape[-2:], cell), top=18, foot=14)
    for row in range(len(image)):
        cells: tuple[tuple[ImageLike, str], ...] = (
            (image[row], ""),
            (mask[row], f"hole {1 - float(mask[row].mean()):.0%}"),
            (masked(image[row], mask[row]), ""),
            (raw[row], decibels(raw[row], image[row])),
            (composite[row], decibels(composite[row], image[row])),
            (np.where(changed[row], CHANGED, 1.0), f"{changed[row].mean():.0%}"),
        )
        for ax, (content, note), title in zip(axes[row], cells, titles, strict=True):
            put(ax, content, title if row == 0 else "", note, frame=True)
    return sheet


def decibels(output: torch.Tensor, target: torch.Tensor) -> str:
    """PSNR of one image [3, H, W] as text."""
    from facecomp_lib.evaluation import psnr

    value = float(psnr(output[None], target[None])[0])
    return "identical" if np.isinf(value) else f"PSNR {value:.1f} dB"


def masked(image: torch.Tensor, mask: torch.Tensor, grey: float = 0.5) -> torch.Tensor:
    """The image with its missing pixels painted grey, to look at (a network gets what its paper says)."""
    return torch.where(mask.bool(), image, torch.full_like(image, grey))


def mask_families(
    masks: Mapping[str, torch.Tensor],
    notes: Mapping[str, str] | None = None,
    image: torch.Tensor | None = None,
    *,
    columns: int = 6,
    cell: int = 96,
) -> Sheet:
    """One hole of each kind: its name above, its size and a note below.

    Args:
        masks: kind -> [1, H, W] or [1, 1, H, W].
        notes: kind -> a few words, such as the paper that uses it.
        image: [3, H, W], a face to cut the holes into, shown in grey; without it, known is white.
    """
    single = {kind: mask.reshape(1, *mask.shape[-2:]) for kind, mask in masks.items()}
    wrapped = {kind: textwrap.wrap((notes or {}).get(kind, ""), cell // 5) for kind in single}
    columns, lines = min(columns, len(single)), 1 + max(map(len, wrapped.values()))
    size = cell_size(next(iter(single.values())).shape[-2:], cell)
    sheet, axes = grid(-(-len(single) // columns), columns, size, gap=(14, 6), head=18, foot=4 + 13 * lines)
    for ax, (kind, mask) in zip(axes.flat, single.items(), strict=False):
        shown = to_array(mask if image is None else image.mean(0, keepdim=True))
        shown = shown if image is None else np.where(to_array(mask) > 0.5, shown, MISSING)
        words = "\n".join([f"{1 - float(mask.mean()):.0%} missing", *wrapped[kind]])
        put(ax, shown, kind, words, frame=True)
    fill(axes, len(single))
    return sheet


def balance(
    panels: Mapping[str, Mapping[str, float]], *, columns: int = 3, width: int = 260, names: int = 92
) -> Sheet:
    """What a data set holds: one panel per property, one horizontal bar per value.

    Args:
        panels: title -> (label -> share in [0, 1]).
        width, names: px of a panel, and of its labels.
    """
    columns = min(columns, len(panels))
    tall = max(map(len, panels.values()))
    rows = -(-len(panels) // columns)
    sheet, axes = grid(rows, columns, (width - names, 20 * tall), gap=(names, 12), head=22)
    for ax, (title, shares) in zip(axes.flat, panels.items(), strict=False):
        _bars(ax, title, shares, tall)
    fill(axes, len(panels))
    return sheet


def _bars(ax: Axes, title: str, shares: Mapping[str, float], tall: int) -> None:
    values = [float(value) for value in shares.values()]
    ax.barh(range(len(values)), values, height=0.66, color="#0072b2")
    ax.set_ylim(tall - 0.5, -0.5)
    ax.set_xlim(0, max(*values, 1e-9) * 1.28)
    ax.set_yticks(range(len(values)), list(shares), fontsize=SMALL, color=INK)
    ax.tick_params(length=0, pad=3)
    ax.set_title(title, fontsize=TEXT, color=INK, loc="left", pad=5, weight="bold")
    for row, value in enumerate(values):
        text = f" {value:.0%}" if value == 0 or value >= 0.01 else " <1%"
        ax.text(value, row, text, va="center_baseline", fontsize=SMALL, color=QUIET)


def photo_row(
    photos: Sequence[ImageLike],
    titles: Sequence[str],
    notes: Sequence[str] | None = None,
    *,
    height: int = 256,
) -> Sheet:
    """Photos of one size side by side, scaled down to at most `height` px (before | hole | completed)."""
    shown = [shrink(photo, height) for photo in photos]
    width = round(shown[0].shape[1] * height / shown[0].shape[0])
    return contact_sheet(shown, titles, len(shown), notes=notes, cell=width)


def shrink(photo: ImageLike, height: int) -> np.ndarray:
    """An image area-averaged to at most `height` rows; float array [H, W, 3]."""
    array = np.array(to_array(photo))
    if array.shape[0] <= height:
        return array
    width = round(array.shape[1] * height / array.shape[0])
    return to_array(
        F.interpolate(torch.from_numpy(array).permute(2, 0, 1)[None], (height, width), mode="area")[0]
    )


def sweep(rows: Mapping[str, Sequence[tuple[str, ImageLike]]], *, cell: int = 128) -> Sheet:
    """One row of frames per quantity that was changed: name -> [(value, image), ...]."""
    size = cell_size(to_array(next(iter(rows.values()))[0][1]).shape, cell)
    sheet, axes = grid(len(rows), max(map(len, rows.values())), size, foot=14, left=56)
    for row, (name, frames) in enumerate(rows.items()):
        for ax, (value, frame) in zip(axes[row], frames, strict=False):
            put(ax, frame, note=value)
        fill(axes[row], len(frames))
        write(axes[row, 0], name, (0, 0.5), (-6, 0), ha="right", weight="bold")
    return sheet


def matrices(arrays: Mapping[str, torch.Tensor], joints: Sequence[str] = (), *, cell: int = 132) -> Sheet:
    """Small matrices with their numbers written in, side by side: toys to check by hand.

    Args:
        arrays: title -> [H, W] with a handful of cells, values in [0, 1]; NaN is an empty cell.
        joints: signs between neighbours, such as ("+", "=").
    """
    sheet, axes = grid(1, len(arrays), (cell, cell), gap=(24, 6), head=18)
    for index, (ax, (title, array)) in enumerate(zip(axes[0], arrays.items(), strict=True)):
        values = array.detach().cpu().double().numpy()
        ax.imshow(np.nan_to_num(values, nan=1.0), cmap="gray", vmin=-0.6, vmax=1.0, interpolation="nearest")
        for (y, x), value in np.ndenumerate(values):
            style = {"ha": "center", "va": "center_baseline", "color": INK if value > 0.15 else "white"}
            ax.text(x, y, "" if np.isnan(value) else f"{value:g}", fontsize=TEXT, **style)
        for edge in np.arange(len(values) + 1) - 0.5:
            ax.axhline(edge, color=FAINT, linewidth=0.8, clip_on=False)
            ax.axvline(edge, color=FAINT, linewidth=0.8, clip_on=False)
        caption(ax, title)
        if index < len(joints):
            write(ax, joints[index], (1, 0.5), (8.5, 0), fontsize=13)
    return sheet
