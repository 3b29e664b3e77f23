"""A training run at a glance: its losses, term by term, beside the same few faces at several moments."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from torch import Tensor

from facecomp_lib.show.canvas import (
    DENSITY,
    FAINT,
    INK,
    QUIET,
    SMALL,
    Sheet,
    blank,
    write,
)

# one colour per optimizer: Okabe and Ito's, apart for colour-blind eyes, too
OPTIMIZER_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#222222")
MOMENTS = 6  # columns of faces
_WIDE, _NARROW, _NUMBERS = 300, 196, 52  # px of a panel alone in its row or not, and of the numbers beside it
_TALL, _HEAD, _COLUMN = (
    46,
    17,
    9,
)  # px of the smallest panel and of its title; panels above each other at most
_CELL, _GAP = 96, 6  # px of a face, and between faces

Curve = tuple[ArrayLike, ArrayLike]  # steps, values


def training_figure(
    log: Mapping[str, Any],
    images: Mapping[int, Tensor] | None = None,
    *,
    stages: Mapping[str, int] | None = None,
    end: int | None = None,
    moments: int = MOMENTS,
) -> Sheet:
    """Losses over steps, one small panel per term, and the faces that were drawn on the way.

    A panel shows each value faintly and their running mean (within a stage) as a line; its axis is
    logarithmic where the mean spans a factor of ten. Vertical lines, with names above, begin stages.

    Args:
        log: ``run.log``, or ``"optimizer.term"`` -> steps and values; an optimizer's terms share a colour.
        images: step -> [N, 3, S, S] in [0, 1] or bytes, the same N faces at each moment; one column each.
        stages: name -> its first step, in order; those that have not begun yet stand there in grey. By
            default the stages of ``run.log``.
        end: the step at which the run will be over; by default the last one of the log.
        moments: columns that are kept free for images, so that the figure does not jump while it fills;
            where there are more images, some moments between the first and the last are left out.

    Raises:
        ValueError: nothing to draw.
    """
    curves = _curves(log)
    known = dict(stages if stages is not None else _begins(log))
    shots = thin(images or {}, moments)
    if not curves and not shots:
        raise ValueError("There is nothing to draw yet: give losses, images, or both.")
    faces = max((len(images) for images in shots.values()), default=0)
    columns = -(-len(curves) // _COLUMN)
    rows = -(-len(curves) // max(1, columns))
    wide = _WIDE if columns == 1 else _NARROW
    left, top, bottom = columns * (wide + _NUMBERS), 34, 34
    height = max(faces * (_CELL + _GAP), rows * (_TALL + _HEAD))
    sheet = Sheet(left + 24 + moments * (_CELL + _GAP) * bool(shots), top + height + bottom)

    def axes(x: float, y: float, width: float, tall: float) -> Axes:
        """Axes whose upper left corner is at (x, y) px."""
        w, h = sheet.css_size
        return blank(sheet.add_axes((x / w, 1 - (y + tall) / h, width / w, tall / h)))

    last = max((float(np.max(steps)) for steps, _ in curves.values() if np.size(steps)), default=0.0)
    span = (0.0, float(max(end or 0, last, 1)))
    colours = _colours(curves)
    for place, (name, curve) in enumerate(curves.items()):
        (column, row), panel = divmod(place, rows), height / rows
        at = (column * (wide + _NUMBERS) + _NUMBERS - 6, top + row * panel + _HEAD)
        ax = axes(*at, wide, panel - _HEAD)
        _panel(ax, name, curve, colours[name.split(".")[0]], list(known.values()), span)
        if place == 0:
            _stage_names(ax, known, span, last, wide)
        if row == rows - 1 or place == len(curves) - 1:
            _step_axis(ax, span)
    if shots:
        _moments(axes(left + 16, top, *_mosaic_size(len(shots), faces)), shots, known)
    return sheet


def _curves(log: Mapping[str, Any]) -> dict[str, Curve]:
    """Steps and values by loss term; in the columns of ``run.log``, NaN stands where a stage lacks a term."""
    losses = {name: values for name, values in log.items() if is_loss(name)}
    if "step" not in log:
        return losses
    terms = {name: np.asarray(values) for name, values in losses.items()}
    there = {name: ~np.isnan(values) for name, values in terms.items()}
    return {name: (log["step"][there[name]], values[there[name]]) for name, values in terms.items()}


def _begins(log: Mapping[str, Any]) -> dict[str, int]:
    """The first step of each stage of ``run.log``, in order."""
    if "stage" not in log:
        return {}
    names, places = np.unique(log["stage"], return_index=True)
    return {str(names[k]): int(log["step"][places[k]]) for k in np.argsort(places)}


def is_loss(column: str) -> bool:
    """Whether a column of ``run.log`` holds a loss: no step, stage, gradient norm or learning rate."""
    return column not in ("step", "stage") and not column.endswith((".gradient", ".lr"))


def thin(images: Mapping[int, Tensor], most: int) -> dict[int, Tensor]:
    """At most ``most`` moments, in order: the first, the last, and of those between them the ones that leave
    the most even distances."""
    kept = dict(sorted(images.items()))
    while len(kept) > max(2, most):
        steps = list(kept)
        gaps = [after - before for before, after in zip(steps, steps[2:], strict=False)]
        del kept[steps[1 + int(np.argmin(gaps))]]
    return kept


def _panel(
    ax: Axes, name: str, curve: Curve, colour: str, starts: Sequence[int], span: tuple[float, float]
) -> None:
    """One term: values, running mean, beginnings of stages, and the last mean as a number."""
    steps, values = (np.asarray(part, float) for part in curve)
    mean = np.full_like(values, np.nan)
    parts = np.split(np.arange(len(steps)), np.searchsorted(steps, [s for s in starts if s > 0]))
    for part in parts:
        mean[part] = _running_mean(values[part])
        ax.plot(steps[part], values[part], color=colour, alpha=0.28, linewidth=0.7)
        dot: dict[str, Any] = {"marker": "o", "markersize": 2.5} if len(part) == 1 else {}
        ax.plot(steps[part], mean[part], color=colour, linewidth=1.6, **dot)
    for start in starts:
        if 0 < start < span[1]:
            ax.axvline(start, color=QUIET, linewidth=0.8, linestyle=(0, (2, 2)))
    ax.set_xlim(*span)
    finite = mean[np.isfinite(mean)]
    _value_axis(ax, finite)
    optimizer, _, term = name.rpartition(".")
    title = f"{optimizer} · {term}" if optimizer not in ("", term) else term
    ax.set_title(title.replace("_", " "), loc="left", fontsize=SMALL, color=colour, weight="bold", pad=3)
    if len(finite):
        ax.set_title(f"{finite[-1]:.3g}", loc="right", fontsize=SMALL, color=INK, pad=3)
    ax.spines[["left", "bottom"]].set(visible=True, color=FAINT)


def _running_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over a window of a twentieth of the values; those that are not finite do not count."""
    if len(values) < 3:
        return values
    reach = max(1, len(values) // 40)
    finite = np.isfinite(values)
    total = np.concatenate([[0.0], np.cumsum(np.where(finite, values, 0.0))])
    count = np.concatenate([[0], np.cumsum(finite)])
    here = np.arange(len(values))
    low, high = np.maximum(here - reach, 0), np.minimum(here + reach + 1, len(values))
    with np.errstate(invalid="ignore"):
        return (total[high] - total[low]) / (count[high] - count[low])


def _value_axis(ax: Axes, mean: NDArray[np.float64]) -> None:
    """Limits around the running mean, and two or three round numbers beside them."""
    if not len(mean):
        return
    low, high = float(mean.min()), float(mean.max())
    log = low > 0 and high / low > 10
    if log:
        ax.set_yscale("log")
        pad = (high / low) ** 0.12
        low, high = low / pad, high * pad
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        ticks = [m * 10.0**d for d in decades for m in ((1,) if len(decades) > 3 else (1, 3))]
        ticks = [tick for tick in ticks if low <= tick <= high]
        ticks = ticks[:: -(-len(ticks) // 3)]
    else:
        pad = max(0.12 * (high - low), 0.01 * abs(high)) or 0.1
        low, high = low - pad, high + pad
        ticks = _round_ticks(low, high, 3)
    ax.set_ylim(low, high)
    ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.minorticks_off()
    ax.tick_params(length=0, labelsize=SMALL - 0.6, labelcolor=QUIET, pad=2)
    ax.grid(axis="y", color=FAINT, linewidth=0.6)


def _round_ticks(low: float, high: float, most: int) -> list[float]:
    """At most ``most`` round numbers between two, equally far apart."""
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    for step in (power, 2 * power, 5 * power, 10 * power, 20 * power):
        first, last = math.ceil(low / step), math.floor(high / step)
        if last - first < most:
            break
    return [round(number * step, 12) for number in range(first, last + 1)]


def _step_axis(ax: Axes, span: tuple[float, float]) -> None:
    ticks = _round_ticks(*span, 5)
    ax.set_xticks(ticks, [_short(tick) for tick in ticks])
    ax.set_xlabel("step", fontsize=SMALL, color=QUIET, labelpad=1)


def _stage_names(
    ax: Axes, stages: Mapping[str, int], span: tuple[float, float], last: float, width: int
) -> None:
    """The names of the stages above the uppermost panel, on two levels where one is too narrow for them."""
    starts = [*stages.values(), span[1]]
    room = [
        (after - start) / (span[1] - span[0]) * width
        for start, after in zip(starts, starts[1:], strict=False)
    ]
    crowded = any(len(name) * 8 + 12 > space for name, space in zip(list(stages)[:-1], room, strict=False))
    for place, (name, start) in enumerate(stages.items()):
        across = (start - span[0]) / (span[1] - span[0])
        style = {"ha": "right", "va": "bottom"} if across > 0.8 else {"ha": "left", "va": "bottom"}
        colour = QUIET if start <= last else "#b0b0b0"
        up = 14 + 9 * (place % 2) * crowded
        write(ax, name.replace("_", " "), (across, 1), (0, up), fontsize=SMALL, color=colour, **style)


def _moments(ax: Axes, shots: Mapping[int, Tensor], stages: Mapping[str, int]) -> None:
    """All faces as one image (quicker than an axes for each), above each column its step, and its stage
    above the first column of each stage."""
    width, height = _mosaic_size(len(shots), max(map(len, shots.values())))
    mosaic = np.full((height * DENSITY, width * DENSITY, 3), 255, np.uint8)
    before = ""
    for column, (step, images) in enumerate(shots.items()):
        x = column * (_CELL + _GAP)
        for row, face in enumerate(_resized(images)):
            y = row * (_CELL + _GAP) * DENSITY
            mosaic[y : y + _CELL * DENSITY, x * DENSITY : (x + _CELL) * DENSITY] = face
        write(ax, f"step {step:,}", ((x + _CELL / 2) / width, 1), (0, 3), va="bottom", fontsize=SMALL)
        if (stage := _stage_at(step, stages)) != before:
            style = {"ha": "left", "va": "bottom", "fontsize": SMALL, "color": QUIET}
            write(ax, stage.replace("_", " "), (x / width, 1), (0, 14), **style)
            before = stage
    ax.imshow(mosaic, interpolation="nearest")


def _mosaic_size(columns: int, rows: int) -> tuple[int, int]:
    """CSS (width, height) of so many cells."""
    return columns * (_CELL + _GAP) - _GAP, rows * (_CELL + _GAP) - _GAP


def _resized(images: Tensor) -> list[NDArray[np.uint8]]:
    """Faces [N, 3, S, S] as bytes [cell, cell, 3] each, enlarged pixel by pixel where that fits."""
    side = _CELL * DENSITY
    how = Image.Resampling.NEAREST if side % images.shape[-1] == 0 else Image.Resampling.LANCZOS
    if images.dtype != torch.uint8:
        images = (images.detach().clamp(0, 1) * 255).round().byte()
    faces = images.cpu().permute(0, 2, 3, 1).contiguous().numpy()
    return [np.asarray(Image.fromarray(face).resize((side, side), how)) for face in faces]


def _stage_at(step: int, stages: Mapping[str, int]) -> str:
    """The stage whose weights drew an image after ``step`` steps."""
    return next((name for name, start in reversed([*stages.items()]) if start < step), "")


def _colours(log: Mapping[str, Curve]) -> dict[str, str]:
    optimizers = dict.fromkeys(name.split(".")[0] for name in log)
    return {
        optimizer: OPTIMIZER_COLOURS[place % len(OPTIMIZER_COLOURS)]
        for place, optimizer in enumerate(optimizers)
    }


def _short(step: float) -> str:
    """1500 as '1.5k'."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if step >= size:
            return f"{step / size:.4g}{letter}"
    return f"{step:g}"
