"""Figures of what is known about a face: landmarks, parsing map, mirror flow. Pure functions too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke

from facecomp_lib.faces.schema import PARSING, FaceBatch
from facecomp_lib.nn.warping import mirror_warp
from facecomp_lib.show.canvas import (
    INK,
    QUIET,
    SMALL,
    TEXT,
    ImageLike,
    Sheet,
    caption,
    cell_size,
    grid,
    put,
    to_array,
    to_arrays,
)

# iBUG groups of the 68 points: name, first, last + 1, colour (Okabe-Ito: apart for colour-blind eyes too).
LANDMARK_GROUPS = (
    ("jaw", 0, 17, "#f0e442"),
    ("brows", 17, 27, "#e69f00"),
    ("nose", 27, 36, "#56b4e9"),
    ("eyes", 36, 48, "#009e73"),
    ("mouth", 48, 68, "#cc79a7"),
)

# The 68 points as lines: first, last + 1, and whether a line comes back to its beginning.
LANDMARK_LINES = ((0, 17, False), (17, 22, False), (22, 27, False), (27, 31, False), (31, 36, False),
                  (36, 42, True), (42, 48, True), (48, 60, True), (60, 68, True))  # fmt: skip

# One colour per parsing class: hue says the part, lightness the side (light = the person's left). Chosen by a
# search for the largest smallest distance that also colour-blind eyes see.
PARSING_COLOURS = (
    "#2b2b2b",  # background
    "#f7d8b8",  # face skin
    "#8ab4ea",  # left eyebrow
    "#2f6fd6",  # right eyebrow
    "#74d96a",  # left eye
    "#0a9a2c",  # right eye
    "#ffd60a",  # nose
    "#c97c94",  # upper lip
    "#ffffff",  # inner mouth
    "#a02ca4",  # lower lip
    "#655b57",  # hair
)
UNKNOWN = np.array([0.74, 0.74, 0.74])  # grey: nothing is known here
MARKS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00")

# What can be switched on over a face, and the field of the batch that it needs.
VIEWS = {"landmarks": "landmarks", "parsing": "parsing", "mirror": "mirror_flow"}


def overlay_landmarks(
    images: torch.Tensor, landmarks: torch.Tensor, titles: Sequence[str] | None = None, *, cell: int = 192
) -> Sheet:
    """The 68 points over each face, coloured by group; R and L mark the *person's* right and left.

    Args:
        images: [B, 3, H, W].
        landmarks: [B, 68, 2], (x, y) in pixels.
    """
    shown = to_arrays(images)
    size = cell_size(shown[0].shape, cell)
    columns = next(n for n, needed in ((6, 560), (3, 320), (2, 0)) if len(shown) * size[0] >= needed)
    sheet, axes = grid(1, len(shown), size, head=16 if titles else 0, bottom=4 + 17 * (6 // columns))
    for index, ax in enumerate(axes[0]):
        put(ax, shown[index], titles[index] if titles else "")
        draw_landmarks(ax, landmarks[index])
    dot: dict[str, Any] = {
        "linestyle": "",
        "marker": "o",
        "markersize": 5,
        "markeredgecolor": INK,
        "markeredgewidth": 0.5,
    }
    keys = [Line2D([], [], color=colour, label=name, **dot) for name, _, _, colour in LANDMARK_GROUPS]
    keys.append(Line2D([], [], linestyle="", label="R, L: the person's right, left"))
    _legend(sheet, keys, columns)
    return sheet


def draw_landmarks(ax: Axes, landmarks: torch.Tensor, size: float = 3.2) -> None:
    """Draw one face's 68 points [68, 2] on axes in pixel coordinates."""
    points = landmarks.detach().cpu().numpy()
    edge: dict[str, Any] = {"markeredgecolor": "#00000090", "markeredgewidth": 0.4}
    for _, first, last, colour in LANDMARK_GROUPS:
        ax.plot(*points[first:last].T, "o", color=colour, markersize=size, clip_on=False, **edge)
    width = ax.get_xlim()[1] + 0.5
    for letter, jaw, away in (("R", 1, -1), ("L", 15, 1)):
        x = float(np.clip(points[jaw, 0] + away * 0.055 * width, 0.03 * width, 0.97 * width))
        style: dict[str, Any] = {
            "color": "white",
            "fontsize": TEXT,
            "weight": "bold",
            "ha": "center",
            "va": "center",
        }
        mark = ax.text(x, float(points[jaw, 1]), letter, **style)
        mark.set_path_effects([withStroke(linewidth=2, foreground="#000000b0")])


def overlay_parsing(
    images: torch.Tensor, parsing: torch.Tensor, titles: Sequence[str] | None = None, *, cell: int = 192
) -> Sheet:
    """Each face above its parsing map, with the legend of the 11 classes and their numbers.

    Args:
        images: [B, 3, H, W].
        parsing: int64 [B, H, W] in 0..10.
    """
    shown = to_arrays(images)
    size = cell_size(shown[0].shape, cell)
    columns = max(2, min(6, len(shown) * size[0] // 125))
    sheet, axes = grid(
        2, len(shown), size, top=16 if titles else 0, bottom=8 + 17 * -(-len(PARSING) // columns)
    )
    for index, face in enumerate(shown):
        put(axes[0, index], face, titles[index] if titles else "")
        put(axes[1, index], tint_parsing(face, parsing[index]))
    keys = [
        Patch(facecolor=colour, edgecolor=QUIET, linewidth=0.5, label=f"{number} {name}")
        for number, (colour, name) in enumerate(zip(PARSING_COLOURS, PARSING, strict=True))
    ]
    _legend(sheet, keys, columns)
    return sheet


def tint_parsing(image: ImageLike, parsing: torch.Tensor, strength: float = 0.72) -> np.ndarray:
    """A grey version of the image tinted by its parsing map [H, W]; float array [H, W, 3]."""
    table = np.array([[int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)] for colour in PARSING_COLOURS])
    grey = to_array(image).mean(axis=-1, keepdims=True)
    return strength * table[parsing.detach().cpu().numpy()] + (1 - strength) * grey


def points_on(
    images: torch.Tensor, points: torch.Tensor, truth: torch.Tensor | None = None, side: int = 256
) -> list[np.ndarray]:
    """Faces, enlarged, with a dot at each point, and a ring where the point truly is.

    Args:
        images: [B, 3, S, S].
        points: [B, N, 2], (x, y) in pixels.
        truth: [B, N, 2], too.
        side: of the results in pixels.

    Returns:
        A float array [side, side, 3] per face, for :func:`contact_sheet`, :func:`rows` and the like.
    """
    scale = side / images.shape[-1]
    shown = F.interpolate(images.detach().float().cpu(), size=(side, side), mode="bilinear")
    dot, line = side / 40, side / 128
    for centres, outer, inner in ((points, dot, 0.0), (truth, 1.7 * dot, 1.7 * dot - line)):
        if centres is None:
            continue
        placed = (centres.detach().float().cpu() + 0.5) * scale - 0.5  # [B, N, 2]
        distance = (_pixels(side) - placed[:, :, None, None]).norm(dim=-1)  # [B, N, side, side]
        colours = torch.tensor([to_rgb(MARKS[k % len(MARKS)]) for k in range(placed.shape[1])])
        for from_, to, paint in ((inner - line, outer + line, colours * 0 + 1), (inner, outer, colours)):
            inside = (distance >= from_) & (distance <= to)
            for k in range(placed.shape[1]):
                shown = torch.where(inside[:, k, None], paint[k][:, None, None], shown)
    return [face.permute(1, 2, 0).numpy() for face in shown]


def lines_on(
    images: torch.Tensor, landmarks: torch.Tensor, truth: torch.Tensor | None = None, side: int = 256
) -> list[np.ndarray]:
    """Faces, enlarged, with their 68 landmarks as lines, coloured by part; the true ones in white beneath.

    Args:
        images: [B, 3, S, S].
        landmarks: [B, 68, 2], (x, y) in pixels.
        truth: [B, 68, 2], too.
        side: of the results in pixels.

    Returns:
        A uint8 array [side, side, 3] per face, for :func:`contact_sheet`, :func:`rows` and the like.
    """
    import cv2

    scale = side / images.shape[-1]
    large = F.interpolate(images.detach().float().cpu(), size=(side, side), mode="bilinear").clamp(0, 1)
    thick, fraction = max(side // 128, 1), 4  # OpenCV takes fixed-point coordinates: 1/16 px
    starts = [first for first, _, _ in LANDMARK_LINES]
    parts = [next(to_rgb(group[3]) for group in LANDMARK_GROUPS if group[1] <= k < group[2]) for k in starts]
    colours = [tuple(round(255 * level) for level in part) for part in parts]
    drawn = []
    for k, face in enumerate(large.permute(0, 2, 3, 1).mul(255).round().byte().numpy()):
        canvas = np.ascontiguousarray(face)
        for points, white in ((truth, True), (landmarks, False)):
            if points is None:
                continue
            placed = (points[k].detach().double().cpu().numpy() + 0.5) * scale - 0.5
            corners = np.round(placed * 2**fraction).astype(np.int32)
            for (first, last, closed), own in zip(LANDMARK_LINES, colours, strict=True):
                colour = (255, 255, 255) if white else own
                cv2.polylines(canvas, [corners[first:last]], closed, colour, thick, cv2.LINE_AA, fraction)
        drawn.append(canvas)
    return drawn


def _pixels(side: int) -> torch.Tensor:
    """(x, y) of each pixel, [side, side, 2]."""
    line = torch.arange(side, dtype=torch.float32)
    return torch.stack(torch.meshgrid(line, line, indexing="xy"), -1)


def mirror_flow(
    image: torch.Tensor,
    flow: torch.Tensor,
    valid: torch.Tensor,
    landmarks: torch.Tensor | None = None,
    *,
    cell: int = 192,
) -> Sheet:
    """What the mirror flow does, one row per face.

    The face with numbered points | its mirror image, where the flow finds their mirror points | the mirror
    image carried onto the face by the flow | how far both differ, where the flow means something.

    Args:
        image: [B, 3, H, W].
        flow: [B, H, W, 2], absolute positions in [-1, 1].
        valid: bool [B, H, W].
        landmarks: [B, 68, 2], to choose the numbered points; without them, a fixed few.
    """
    shown, flipped, warped = to_arrays(image), to_arrays(image.flip(-1)), to_arrays(mirror_warp(image, flow))
    sheet, axes = grid(len(shown), 4, cell_size(shown[0].shape, cell), gap=8, top=18, foot=14)
    titles = ("the face", "its mirror image", "mirror image, warped", "difference")
    for row, face in enumerate(shown):
        seen = valid[row].detach().cpu().numpy()[..., None]
        distance = np.abs(warped[row] - face).mean(axis=-1, keepdims=True)
        cells = (
            (face, ""),
            (flipped[row], "tails: the flow"),
            (np.where(seen, warped[row], UNKNOWN), f"grey: hidden ({1 - seen.mean():.0%})"),
            (
                np.where(seen, 1 - np.clip(2.5 * distance, 0, 1), UNKNOWN),
                f"mean {distance[seen].mean() if seen.any() else 0:.3f}",
            ),
        )
        for ax, (content, note), title in zip(axes[row], cells, titles, strict=True):
            put(ax, content, title if row == 0 else "", note)
        points = _flow_points(None if landmarks is None else landmarks[row], seen[..., 0])
        _draw_flow(axes[row, 0], axes[row, 1], points, flow[row])
    return sheet


def _flow_points(landmarks: torch.Tensor | None, seen: np.ndarray) -> list[tuple[int, int]]:
    """Whole pixels (x, y) with a visible mirror point: outer eye corners, nostril, mouth corner, cheek."""
    height, width = seen.shape
    if landmarks is None:
        fractions = [[0.32, 0.48], [0.68, 0.48], [0.44, 0.62], [0.58, 0.74], [0.33, 0.65]]
        chosen = np.array(fractions) * (width, height)
    else:
        points = landmarks.detach().cpu().numpy()
        chosen = np.stack([points[36], points[45], points[31], points[54], points[[3, 31]].mean(axis=0)])
    whole = np.clip(chosen.round().astype(int), 0, (width - 1, height - 1))
    return [(int(x), int(y)) for x, y in whole if seen[y, x]]


def _draw_flow(here: Axes, there: Axes, points: Sequence[tuple[int, int]], flow: torch.Tensor) -> None:
    """Number points on the face; on its mirror image, draw from the same pixels to where the flow leads."""
    last = torch.tensor([flow.shape[1] - 1, flow.shape[0] - 1])
    for number, ((x, y), colour) in enumerate(zip(points, MARKS, strict=False), start=1):
        x_there, y_there = ((flow[y, x].detach().cpu() + 1) / 2 * last).tolist()
        there.plot([x, x_there], [y, y_there], color=colour, linewidth=2.6, solid_capstyle="round")
        for ax, place in ((here, (x, y)), (there, (x_there, y_there))):
            disc: dict[str, Any] = {
                "markersize": 9,
                "markeredgecolor": "white",
                "markeredgewidth": 0.8,
                "zorder": 5,
            }
            ax.plot(*place, "o", color=colour, **disc)
            ax.annotate(
                str(number),
                place,
                color="white",
                fontsize=6.4,
                weight="bold",
                ha="center",
                va="center_baseline",
                zorder=6,
            )


def labels(faces: FaceBatch, *, cell: int = 128) -> Sheet:
    """One row per face: the image, and beside it all that the batch knows: landmarks, parsing, mirror."""
    known = [name for name, field in VIEWS.items() if getattr(faces, field) is not None]
    sheet, axes = grid(len(faces), 1 + len(known), cell_size(faces.size, cell), top=18)
    titles = {"": "image", "landmarks": "landmarks", "parsing": "parsing", "mirror": "other side, mirrored"}
    for row in range(len(faces)):
        for ax, name in zip(axes[row], ["", *known], strict=True):
            _draw_view(ax, faces[row], {name})
            caption(ax, titles[name] if row == 0 else "")
    return sheet


def face_view(
    faces: FaceBatch,
    index: int = 0,
    *,
    landmarks: bool = False,
    parsing: bool = False,
    mirror: bool = False,
    cell: int = 320,
) -> Sheet:
    """One face, large; on request in parsing colours, with landmarks, or with its other side mirrored."""
    face = faces[index]
    sheet, axes = grid(1, 1, cell_size(faces.size, cell), foot=30)
    chosen = {"landmarks": landmarks, "parsing": parsing, "mirror": mirror}
    _draw_view(axes[0, 0], face, {name for name, shown in chosen.items() if shown})
    angles = [] if face.pose is None else face.pose[0].round().int().tolist()
    facts = [f"{name} {angle:+d}°" for name, angle in zip(("yaw", "pitch"), angles, strict=False)]
    traits = [name for name, value in (face.attributes or {}).items() if value[0]]
    caption(axes[0, 0], note="\n".join([", ".join(facts), ", ".join(traits)]))
    return sheet


def _draw_view(ax: Axes, face: FaceBatch, chosen: set[str]) -> None:
    shown = to_array(face.image[0])
    if "mirror" in chosen and face.mirror_flow is not None and face.mirror_valid is not None:
        seen = face.mirror_valid[0].cpu().numpy()[..., None]
        shown = np.where(seen, to_array(mirror_warp(face.image, face.mirror_flow)[0]), UNKNOWN)
    if "parsing" in chosen and face.parsing is not None:
        shown = tint_parsing(shown, face.parsing[0])
    put(ax, shown)
    if "landmarks" in chosen and face.landmarks is not None:
        draw_landmarks(ax, face.landmarks[0])


def _legend(sheet: Sheet, keys: Sequence[Artist], columns: int) -> None:
    sheet.legend(
        handles=keys,
        loc="lower center",
        ncols=columns,
        frameon=False,
        fontsize=SMALL,
        labelcolor=INK,
        handletextpad=0.5,
        columnspacing=1.2,
        borderpad=0.2,
        handlelength=1.2,
    )
