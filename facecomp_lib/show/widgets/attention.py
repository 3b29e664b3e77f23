"""Point at a position of an attention layer and see where it looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import traitlets
from matplotlib import colormaps
from matplotlib.collections import LineCollection
from matplotlib.patches import Rectangle
from torch import Tensor

from facecomp_lib.show.canvas import SMALL, Sheet, cell_size, grid, put, to_array
from facecomp_lib.show.labels import MARKS
from facecomp_lib.show.widgets.base import CELL, Explorer, lossless, one_face, script
from facecomp_lib.show.widgets.mask_painter import painted

SPOTS = ((0.38, 0.48), (0.50, 0.74), (0.30, 0.65))  # of the sides: an eye, the mouth, a cheek
DECADES = 3  # of a logarithmic scale: what is a thousandth of the largest weight is as dark as nothing
_RAMP = colormaps["inferno"]


def attention_image(image: Tensor, weights: Tensor, logarithmic: bool = False) -> np.ndarray:
    """Attention weights as heat over a dimmed grey face; float array [H, W, 3].

    Each cell of the layer is a block of equal colour, black for 0, pale yellow for the largest weight.

    Args:
        image: [1, 3, H, W].
        weights: [h, w], of one query to every position of the layer; not negative.
        logarithmic: the colour tells the logarithm, over three decades below the largest weight.
    """
    face = to_array(image[0]).mean(-1, keepdims=True)
    height, width = (max(*sides) for sides in zip(face.shape, weights.shape, strict=False))
    face = face[_stretch(face.shape[0], height)][:, _stretch(face.shape[1], width)]
    heat = _RAMP(brightness(weights, logarithmic))[..., :3]
    heat = heat[_stretch(heat.shape[0], height)][:, _stretch(heat.shape[1], width)]
    return np.maximum(heat, 0.45 * face)


def brightness(weights: Tensor, logarithmic: bool = False) -> np.ndarray:
    """Weights as shares of the largest one, or on a logarithmic scale, in [0, 1]; all 0 if they are."""
    shares = weights.detach().cpu().double().numpy()
    shares = shares / (shares.max() or 1.0)
    if not logarithmic:
        return shares
    return np.clip(1 + np.log10(np.maximum(shares, 10.0**-DECADES)) / DECADES, 0, 1)


def _stretch(source: int, target: int) -> np.ndarray:
    """For each of `target` places along a side the one of `source` that covers it."""
    return np.arange(target) * source // target


def cell_at(spot: Sequence[float], size: tuple[int, int], cells: tuple[int, int]) -> tuple[int, int]:
    """Row and column of the layer's cell that covers the pixel (x, y)."""
    (x, y), (height, width), (rows, columns) = spot, size, cells
    row, column = int((y + 0.5) * rows / height), int((x + 0.5) * columns / width)
    return min(max(row, 0), rows - 1), min(max(column, 0), columns - 1)


def rim(mask: Tensor) -> np.ndarray:
    """The border of the hole in a mask [1, 1, H, W]: [E, 2, 2] edges between pixels, two ends (x, y) each."""
    missing = np.pad(mask[0, 0].detach().cpu().numpy() < 0.5, 1)
    edges = []
    for axis, length in ((0, (1, 0)), (1, (0, 1))):  # edges between pixels above each other, and side by side
        y, x = np.nonzero(np.diff(missing, axis=axis))
        end = np.stack([x, y], -1) - 0.5
        edges.append(np.stack([end - length, end], 1))
    return np.concatenate(edges)


def missing_share(mask: Tensor, cells: tuple[int, int]) -> Tensor:
    """How much of each cell [h, w] of the layer is missing, from a mask [1, 1, H, W] with 1 = known."""
    return 1 - torch.nn.functional.adaptive_avg_pool2d(mask.detach().cpu().float(), cells)[0, 0]


def attention_maps(
    image: Tensor,
    attention: Mapping[str, Tensor],
    mask: Tensor | None = None,
    spots: Sequence[tuple[float, float]] | None = None,
    *,
    cells: Mapping[str, tuple[int, int]] | None = None,
    cell: int = 160,
) -> Sheet:
    """One row per attention map: the face with numbered queries | where each of them looks.

    Args:
        image: [1, 3, H, W].
        attention: name -> [N, N], rows: queries; N positions of a layer, row by row.
        mask: [1, 1, H, W], 1 = known.
        spots: pixels (x, y) of the queries; by default an eye, the mouth and a cheek of an aligned face.
        cells: name -> height and width of its layer, where its shape is not that of the image.
    """
    height, width = image.shape[-2:]
    layers = {
        name: check(name, map_, (height, width), (cells or {}).get(name)) for name, map_ in attention.items()
    }
    spots = spots or [(x * width, y * height) for x, y in SPOTS]
    face = to_array(image[0]) if mask is None else painted(image, mask)
    sheet, axes = grid(len(layers), 1 + len(spots), cell_size((height, width), cell), head=16, foot=14)
    for (name, (rows, columns)), row in zip(layers.items(), axes, strict=True):
        put(row[0], face, name, f"{rows} x {columns} positions")
        for number, (spot, colour, ax) in enumerate(zip(spots, MARKS, row[1:], strict=False), start=1):
            query = cell_at(spot, (height, width), (rows, columns))
            weights = attention[name].reshape(rows * columns, rows, columns)[query[0] * columns + query[1]]
            shown = attention_image(image, weights)
            put(ax, shown, f"query {number} looks here", f"largest weight {float(weights.max()):.2g}")
            if mask is not None:
                ends = (rim(mask) + 0.5) * (shown.shape[1] / width, shown.shape[0] / height) - 0.5
                ax.add_collection(LineCollection(list(ends), colors="white", linewidths=0.8))
            for where, sides in ((row[0], (height, width)), (ax, shown.shape[:2])):
                _frame(where, query, (rows, columns), sides, colour, str(number))
    return sheet


def _frame(
    ax: Any, query: Sequence[int], cells: Sequence[int], sides: Sequence[int], colour: str, text: str
) -> None:
    """Frame the query's cell, with its number beside it."""
    tall, wide = sides[0] / cells[0], sides[1] / cells[1]
    x, y = query[1] * wide - 0.5, query[0] * tall - 0.5
    for edge, thickness in (("white", 2.6), (colour, 1.4)):
        ax.add_patch(Rectangle((x, y), wide, tall, fill=False, edgecolor=edge, linewidth=thickness))
    place = {"ha": "left", "va": "center", "fontsize": SMALL, "weight": "bold"}
    box = {"boxstyle": "round,pad=0.15", "facecolor": colour, "edgecolor": "none"}
    ax.annotate(text, (x + wide, y), (3, 0), textcoords="offset points", color="white", bbox=box, **place)


def check(
    name: str, map_: Tensor, size: tuple[int, int], cells: tuple[int, int] | None = None
) -> tuple[int, int]:
    """Height and width of the layer that an attention map [N, N] belongs to.

    Raises:
        ValueError: the map is not square, N positions do not fill an image of this shape, or its numbers
            are not finite and at least 0.
    """
    if not isinstance(map_, Tensor) or map_.ndim != 2 or map_.shape[0] != map_.shape[1]:
        got = list(map_.shape) if isinstance(map_, Tensor) else type(map_).__name__
        raise ValueError(f"Attention {name!r} must be a tensor [N, N], one row for each query, not {got}.")
    count = len(map_)
    rows = round((count * size[0] / size[1]) ** 0.5)
    found_cells = cells or (rows, count // max(1, rows))
    if found_cells[0] * found_cells[1] != count:
        raise ValueError(
            f"Attention {name!r} has {count} positions, which do not fill {found_cells[0]} rows of "
            f"{found_cells[1]}: say with cells={{{name!r}: (height, width)}} how its layer is shaped."
        )
    if not bool(torch.isfinite(map_).all()) or float(map_.min()) < 0:
        raise ValueError(f"Attention {name!r} must hold finite numbers that are not negative.")
    return found_cells[0], found_cells[1]


class AttentionExplorer(Explorer):
    """Point at a position of the face: see where it looks, at the resolution of the layer.

    Args:
        image: one face [1, 3, H, W] in [0, 1].
        attention: name -> [N, N], rows: queries; the N = h * w positions of its layer, row by row. Maps may
            come from layers of different size.
        mask: [1, 1, H, W], 1 = known: tells queries inside and outside the hole apart.
        spots: pixels (x, y); the first is where the widget begins, all of them stand in the static figure.
        cells: name -> height and width of its layer, where its shape is not that of the image.

    Attributes:
        chosen: number of the map that is shown; may be set.
        spot: [x, y], the pixel that was pointed at last; may be set.
        query: row and column of its cell in the layer.
        weights: [h, w], the row of the map that is shown, as it was given.
    """

    _esm = script("attention")
    face = traitlets.Bytes().tag(sync=True)
    heat = traitlets.Bytes().tag(sync=True)
    ramp = traitlets.Bytes().tag(sync=True)
    row = traitlets.Bytes().tag(sync=True)  # float64: every smaller kind of number fits in without rounding
    names: traitlets.List = traitlets.List(traitlets.Unicode()).tag(sync=True)
    layer: traitlets.List = traitlets.List(traitlets.Int()).tag(sync=True)  # height, width of the map
    border = traitlets.Unicode().tag(sync=True)  # of the hole, as an SVG path
    query: traitlets.List = traitlets.List(traitlets.Int()).tag(sync=True)
    chosen = traitlets.Int().tag(sync=True)
    spot: traitlets.List = traitlets.List(traitlets.Float(), minlen=2, maxlen=2).tag(sync=True)
    logarithmic = traitlets.Bool().tag(sync=True)

    def __init__(
        self,
        image: Tensor,
        attention: Mapping[str, Tensor],
        mask: Tensor | None = None,
        *,
        spots: Sequence[tuple[float, float]] | None = None,
        cells: Mapping[str, tuple[int, int]] | None = None,
        cell: int = CELL,
        description: str = "Where a position of the face looks",
    ) -> None:
        self.image = one_face(image)
        height, width = self.image.shape[2:]
        if not attention:
            raise ValueError("There is no attention to explore: give at least one map.")
        if mask is not None and tuple(mask.shape) != (1, 1, height, width):
            raise ValueError(f"The mask of this face is [1, 1, {height}, {width}], not {list(mask.shape)}.")
        layers = [
            check(name, map_, (height, width), (cells or {}).get(name)) for name, map_ in attention.items()
        ]
        self.attention, self.mask = {name: map_.detach() for name, map_ in attention.items()}, mask
        self._spots = list(spots or [(x * width, y * height) for x, y in SPOTS])
        self._layers = layers
        self.weights = torch.zeros(layers[0])
        super().__init__(
            (height, width),
            cell,
            face=lossless(to_array(self.image[0]) if mask is None else painted(self.image, mask)),
            ramp=lossless(np.broadcast_to(_RAMP(np.linspace(0, 1, 256))[None, :, :3], (1, 256, 3))),
            names=list(attention),
            border="" if mask is None else _path(rim(mask)),
            spot=list(self._spots[0]),
            description=description,
        )
        self._look()

    def hear(self) -> None:
        self._look()

    @traitlets.validate("chosen")
    def _is_there(self, proposal: Any) -> int:
        if not 0 <= proposal["value"] < len(self.names):
            raise traitlets.TraitError(
                f"Maps are numbered 0 to {len(self.names) - 1}, not {proposal['value']}."
            )
        return proposal["value"]

    @traitlets.observe("chosen", "spot", "logarithmic")
    def _moved(self, change: Any) -> None:
        if self.names and self.query and self.asked == self.answered:  # moved in Python
            self._look()

    def _look(self) -> None:
        rows, columns = self._layers[self.chosen]
        row, column = cell_at(self.spot, tuple(self.size), (rows, columns))
        self.weights = self.attention[self.names[self.chosen]][row * columns + column].view(rows, columns)
        with self.hold_sync():
            self.layer, self.query = [rows, columns], [row, column]
            self.row = self.weights.cpu().double().numpy().tobytes()
            self.heat = lossless(attention_image(self.image, self.weights, self.logarithmic))
            self.note = self._sentence(row, column)

    def _sentence(self, row: int, column: int) -> str:
        text, total = f"Row {row}, column {column}, ", float(self.weights.double().sum())
        missing = None
        if self.mask is not None:
            missing = missing_share(self.mask, (self.weights.shape[0], self.weights.shape[1]))
            own = float(missing[row, column])
            rim = f"on the rim of the hole ({own:.0%} of it)"
            text += {0.0: "outside the hole", 1.0: "inside the hole"}.get(own, rim) + ", "
        if total == 0:
            return f"{text}looks nowhere: all its weights are 0."
        best = divmod(int(self.weights.argmax()), self.weights.shape[1])
        text += f"looks most at row {best[0]}, column {best[1]}"
        if missing is None:
            return f"{text}."
        known = float((self.weights.cpu().double() * (1 - missing)).sum()) / total
        return f"{text}; {known:.0%} of its attention falls on known pixels."

    def static_figure(self) -> Sheet:
        cells = dict(zip(self.names, self._layers, strict=True))
        return attention_maps(self.image, self.attention, self.mask, self._spots, cells=cells)


def _path(edges: np.ndarray) -> str:
    return "".join(f"M{x0:g} {y0:g}L{x1:g} {y1:g}" for (x0, y0), (x1, y1) in edges)
