"""Click a pixel of a face and see where the mirror flow finds its partner in the flipped face."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import traitlets
from matplotlib.axes import Axes
from matplotlib.colors import hsv_to_rgb
from torch import Tensor

from facecomp_lib.show.canvas import SMALL, Sheet, caption, cell_size, grid, put, to_array, write
from facecomp_lib.show.labels import UNKNOWN, _draw_flow, _flow_points
from facecomp_lib.show.widgets.base import CELL, Explorer, lossless, script
from facecomp_lib.utils.checks import check_count, check_finite, check_image, check_landmarks, check_shape

VIEWS = ("mirror image", "colours", "arrows")
TITLES = ("the face", "its mirror image", "the flow", "the partner lies", "to the partners", "carried along")
_IMAGE, _COLOURS, _ARROWS = range(3)
HIDDEN = "its mirror partner cannot be seen, so the flow means nothing here."


def targets(flow: Tensor) -> np.ndarray:
    """Where in the flipped image each pixel finds its partner: float64 [.., H, W, 2], (x, y) in px.

    Args:
        flow: [.., H, W, 2], absolute positions in [-1, 1]; see `FaceBatch.mirror_flow`.
    """
    height, width = flow.shape[-3:-1]
    return (flow.detach().cpu().double().numpy() + 1) / 2 * (width - 1, height - 1)


def displacement(flow: Tensor) -> np.ndarray:
    """How far from each pixel's own place that is: float64 [.., H, W, 2], (x, y) in px."""
    height, width = flow.shape[-3:-1]
    return targets(flow) - np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1)


def farthest(flow: Tensor, valid: Tensor) -> float:
    """The length that colours end at, in whole px: 99 of 100 valid pixels have their partner no further."""
    moved = np.linalg.norm(displacement(flow), axis=-1)[valid.detach().cpu().numpy()]
    return max(1.0, float(np.ceil(np.quantile(moved, 0.99) - 1e-3))) if moved.size else 1.0


def tint(moved: np.ndarray, limit: float) -> np.ndarray:
    """Displacements [.., 2] as colours [.., 3]: hue tells the direction, paleness how short they are.

    Red is to the right; clockwise on the screen follow green (down), cyan (left) and violet (up).
    """
    x, y = np.moveaxis(moved, -1, 0)
    hue = np.arctan2(y, x) / (2 * np.pi) % 1
    return hsv_to_rgb(np.stack([hue, np.clip(np.hypot(x, y) / limit, 0, 1), np.ones_like(x)], -1))


def flow_colours(flow: Tensor, valid: Tensor, limit: float) -> np.ndarray:
    """One flow [H, W, 2] as colours, float array [H, W, 3]; grey where it means nothing."""
    seen = valid.detach().cpu().numpy()[..., None]
    return np.where(seen, tint(displacement(flow), limit), UNKNOWN)


@cache
def colour_wheel(side: int = 64) -> np.ndarray:
    """The legend of the colours: each place has that of the way to it from the middle; [side, side, 3]."""
    line = np.linspace(-1, 1, side)
    away = np.stack(np.meshgrid(line, line), -1)
    return np.where(np.linalg.norm(away, axis=-1, keepdims=True) <= 1, tint(away, 1), 1.0)


def carried(image: Tensor, flow: Tensor, valid: Tensor, share: float) -> np.ndarray:
    """The flipped face on its way along the flow; float array [H, W, 3].

    At 0 it is the flipped face, at 1 `mirror_warp`'s image, grey where the mirror partner is hidden.

    Args:
        image: [1, 3, H, W].
        flow, valid: [1, H, W, 2] and bool [1, H, W].
        share: how much of the way, in [0, 1].
    """
    flipped = image.detach().float().flip(-1)
    if share == 0:
        return to_array(flipped[0])
    x, y = (torch.linspace(-1, 1, count, device=flow.device) for count in reversed(image.shape[-2:]))
    still = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)[None]
    way = torch.lerp(still, flow.detach().float(), share)
    moved = to_array(F.grid_sample(flipped, way, padding_mode="border", align_corners=True)[0])
    grey = share * ~valid[0].detach().cpu().numpy()[..., None]
    return (1 - grey) * moved + grey * UNKNOWN


def followed(flow: Tensor, valid: Tensor, pixel: Sequence[int], share: float) -> tuple[float, float]:
    """Where the partner of a pixel (x, y) lies in the image that :func:`carried` draws, (x, y) in px.

    Args:
        flow, valid: [H, W, 2] and bool [H, W].
    """
    way, (x, y) = targets(flow), pixel
    if share == 1:
        return float(x), float(y)
    goal = way[y, x]
    if share:
        place = np.stack(np.meshgrid(np.arange(way.shape[1]), np.arange(way.shape[0])), -1)
        shown = (1 - share) * place + share * way  # what each place shows
        miss = np.where(valid.detach().cpu().numpy(), np.linalg.norm(shown - goal, axis=-1), np.inf)
        goal = place[np.unravel_index(miss.argmin(), miss.shape)]
    return float(goal[0]), float(goal[1])


def flow_arrows(image: Tensor, flow: Tensor, valid: Tensor, limit: float, *, cell: int = CELL) -> Sheet:
    """Arrows from some pixels to where their partners are, over the dimmed face; the sheet is the image.

    Args:
        image: [1, 3, H, W].
        flow, valid: [1, H, W, 2] and bool [1, H, W].
        limit: px at which the arrows' colours are full; see `farthest`.
    """
    sheet, axes = grid(1, 1, cell_size(image.shape[-2:], cell), gap=0)
    _arrows(axes[0, 0], image, flow[0], valid[0], limit)
    return sheet


def _arrows(ax: Axes, image: Tensor, flow: Tensor, valid: Tensor, limit: float) -> None:
    put(ax, 0.45 * to_array(image[0]).mean(-1, keepdims=True))
    height, width = valid.shape
    step = max(1, round(width / 18))
    y, x = np.mgrid[step // 2 : height : step, step // 2 : width : step]
    seen = valid.detach().cpu().numpy()[y, x]
    moved = displacement(flow)[y, x][seen]
    edges = ax.get_xlim(), ax.get_ylim()
    lengths: dict[str, Any] = {"angles": "xy", "scale_units": "xy", "scale": 1, "units": "width"}
    ax.quiver(x[seen], y[seen], *moved.T, color=tint(moved, limit), width=0.007, minlength=0.6, **lengths)
    ax.set(xlim=edges[0], ylim=edges[1])


def flow_views(
    image: Tensor, flow: Tensor, valid: Tensor, landmarks: Tensor | None = None, *, cell: int = 128
) -> Sheet:
    """What the mirror flow says, one row per face.

    The face with numbered pixels | its mirror image, where the flow finds their partners | the flow as
    colours | their legend | as arrows | the mirror image, carried onto the face.

    Args:
        image: [B, 3, H, W].
        flow, valid: [B, H, W, 2] and bool [B, H, W].
        landmarks: [B, 68, 2], to choose the pixels; without them, a fixed few.
    """
    limit = farthest(flow, valid)
    sheet, axes = grid(len(image), 6, cell_size(image.shape[-2:], cell), head=16, foot=14)
    for row, cells in enumerate(axes):
        one = slice(row, row + 1)
        seen = valid[row].detach().cpu().numpy()
        put(cells[0], image[row])
        put(cells[1], image[row].flip(-1), note="tails: the flow")
        points = _flow_points(None if landmarks is None else landmarks[row], seen)
        _draw_flow(cells[0], cells[1], points, flow[row])
        put(cells[2], flow_colours(flow[row], valid[row], limit), note="grey: partner hidden")
        put(cells[3], colour_wheel())
        cells[3].set(xlim=(-32, 95), ylim=(95, -32))
        write(cells[3], "same\nplace", (0.5, 0.5), (0, 0), fontsize=SMALL)
        caption(cells[3], note=f"rim: {limit:.0f} px away")
        _arrows(cells[4], image[one], flow[row], valid[row], limit)
        put(cells[5], carried(image[one], flow[one], valid[one], 1.0))
        for ax, title in zip(cells, TITLES if row == 0 else (), strict=False):
            caption(ax, title)
    return sheet


class FlowExplorer(Explorer):
    """Click a pixel: see where the mirror flow takes it in the flipped face.

    Args:
        image: faces [B, 3, H, W] in [0, 1]; with several, a slider chooses one.
        flow: [B, H, W, 2], absolute positions in [-1, 1], such as `FaceBatch.mirror_flow` or FlowNet's.
        valid: bool [B, H, W], where the flow means something; everywhere if None.
        landmarks: [B, 68, 2]; lets landmarks be shown, and the widget begin at one.
        static_rows: faces in the static figure.

    Attributes:
        chosen: number of the face; view: of `VIEWS`; share: of the way from the flipped face to the warped
            one, in [0, 1]; pixel: [x, y], clicked last. All may be set.
        target: [x, y] in pixels of the flipped face, where the pixel's mirror partner is.
        seen: whether the partner can be seen, so that the flow means something.
    """

    _esm = script("flow")
    many_colours = True
    face = traitlets.Bytes().tag(sync=True)
    shown = traitlets.Bytes().tag(sync=True)
    wheel = traitlets.Bytes().tag(sync=True)
    rim = traitlets.Float().tag(sync=True)
    faces = traitlets.Int().tag(sync=True)
    views: traitlets.List = traitlets.List(traitlets.Unicode()).tag(sync=True)
    points: traitlets.List = traitlets.List().tag(sync=True)  # landmarks of the face, [[x, y], ...]
    chosen = traitlets.Int().tag(sync=True)
    view = traitlets.Int().tag(sync=True)
    share = traitlets.Float().tag(sync=True)
    pixel: traitlets.List = traitlets.List(traitlets.Int(), minlen=2, maxlen=2).tag(sync=True)
    target: traitlets.List = traitlets.List(traitlets.Float()).tag(sync=True)
    there: traitlets.List = traitlets.List(traitlets.Float()).tag(sync=True)  # of the partner in `shown`
    seen = traitlets.Bool().tag(sync=True)

    def __init__(
        self,
        image: Tensor,
        flow: Tensor,
        valid: Tensor | None = None,
        landmarks: Tensor | None = None,
        *,
        static_rows: int = 3,
        cell: int = CELL,
        description: str = "Where the mirror flow takes a pixel of the face",
    ) -> None:
        _check(image, flow, valid, landmarks)
        height, width = image.shape[2:]
        self.image, self.flow = image.detach(), flow.detach()
        self.valid = torch.ones(flow.shape[:3], dtype=torch.bool) if valid is None else valid.detach()
        self.landmarks = None if landmarks is None else landmarks.detach()
        self._static_rows, self._cell, self._drawn = static_rows, cell, dict[tuple[int, int], bytes]()
        limit = farthest(self.flow, self.valid)
        first = _flow_points(None if landmarks is None else landmarks[0], self.valid[0].cpu().numpy())
        super().__init__(
            (height, width),
            cell,
            wheel=lossless(colour_wheel()),
            rim=limit,
            faces=len(image),
            views=list(VIEWS),
            pixel=list(first[0]) if first else [width // 2, height // 2],
            description=description,
        )
        self._look()

    def hear(self) -> None:
        self._look()

    @traitlets.validate("chosen", "view", "share", "pixel")
    def _is_there(self, proposal: Any) -> Any:
        name, value = proposal["trait"].name, proposal["value"]
        height, width = self.size
        last = {"chosen": self.faces - 1, "view": len(VIEWS) - 1, "share": 1}
        inside = (
            0 <= value[0] < width and 0 <= value[1] < height if name == "pixel" else 0 <= value <= last[name]
        )
        if not inside:
            limit = f"[{width - 1}, {height - 1}]" if name == "pixel" else last[name]
            raise traitlets.TraitError(f"{name} goes from 0 to {limit}, not to {value}.")
        return value

    @traitlets.observe("chosen", "view", "share", "pixel")
    def _moved(self, change: Any) -> None:
        if self.target and self.asked == self.answered:  # moved in Python
            self._look()

    def _look(self) -> None:
        k, (x, y) = self.chosen, self.pixel
        goal, seen = targets(self.flow[k])[y, x], bool(self.valid[k, y, x])
        there: Sequence[float] = self.pixel
        if self.view == _IMAGE:
            there = followed(self.flow[k], self.valid[k], self.pixel, self.share) if seen else []
        with self.hold_sync():
            self.face = lossless(self.image[k])
            self.points = [] if self.landmarks is None else self.landmarks[k].tolist()
            self.shown = self._image()
            self.target, self.there, self.seen = goal.tolist(), list(map(float, there)), seen
            self.note = f"Pixel ({x}, {y}): {_way(goal - (x, y), goal) if seen else HIDDEN}"

    def _image(self) -> bytes:
        k = self.chosen
        one, image, limit = slice(k, k + 1), self.image[k : k + 1], self.rim
        if self.view == _IMAGE:
            return lossless(carried(image, self.flow[one], self.valid[one], self.share))
        if (k, self.view) not in self._drawn:
            self._drawn[k, self.view] = (
                lossless(flow_colours(self.flow[k], self.valid[k], limit))
                if self.view == _COLOURS
                else flow_arrows(image, self.flow[one], self.valid[one], limit, cell=self._cell).png()
            )
        return self._drawn[k, self.view]

    def static_figure(self) -> Sheet:
        some = slice(self._static_rows)
        landmarks = None if self.landmarks is None else self.landmarks[some]
        return flow_views(self.image[some], self.flow[some], self.valid[some], landmarks)


def _way(moved: np.ndarray, goal: np.ndarray) -> str:
    """Where a partner is, in words."""
    parts = [
        f"{abs(length):.1f} px {names[int(length > 0)]}"
        for length, names in zip(moved, (("left", "right"), ("up", "down")), strict=True)
        if abs(length) >= 0.05
    ]
    text = f"its mirror partner is at ({goal[0]:.1f}, {goal[1]:.1f}) in the flipped face"
    return f"{text}, {' and '.join(parts) or 'the same place'}."


def _check(image: Tensor, flow: Tensor, valid: Tensor | None, landmarks: Tensor | None) -> None:
    """Raise ValueError unless these belong together."""
    check_image(image)
    batch, _, height, width = image.shape
    check_count(batch, 1, "the number of faces")
    check_shape(flow, (batch, height, width, 2), "flow")
    check_finite(flow, "flow")  # also where valid says that it means nothing
    if valid is not None:
        check_shape(valid, (batch, height, width), "valid")
    if landmarks is not None:
        check_landmarks(landmarks, (batch, 68, 2), finite=False)
