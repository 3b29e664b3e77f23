"""The paper that figures are drawn on: exact pixel geometry, crisp text, small PNG files.

Lengths are CSS pixels (1/100 inch). The PNG has two device pixels for each, so that text stays sharp on any
screen, and images are enlarged by whole device pixels only, which keeps them exact and cheap to compress.
"""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

CSS = 100  # CSS pixels per inch
DENSITY = 2  # device pixels per CSS pixel
HEAVY = 30_000  # bytes; a heavier JPEG has one device pixel per CSS pixel: no larger than it is shown
QUALITY = 76  # of JPEG; faces of 128 px show no blocks at it
INK, QUIET, FAINT = "#222222", "#666666", "#dddddd"
DRAWING = 3000  # colours; a face has more
TEXT, SMALL = 8.6, 7.6  # points: 12 and 10.5 CSS pixels

ImageLike = torch.Tensor | np.ndarray


class Sheet(Figure):
    """A matplotlib figure of `width` x `height` CSS pixels that shows itself in notebooks without pyplot.

    It keeps no global state: nothing has to be closed, and equal tensors give equal bytes.
    """

    def __init__(self, width: float, height: float) -> None:
        super().__init__(figsize=(width / CSS, height / CSS), dpi=CSS, facecolor="white")
        self.css_size = (round(width), round(height))

    def png(self) -> bytes:
        """The sheet as PNG bytes, 2 device pixels per CSS pixel."""
        return _light(self._bytes("png", CSS * DENSITY, metadata={"Software": None}))

    def quick_png(self) -> bytes:
        """A PNG in half the time, for frames that the next one replaces: one device pixel per CSS pixel."""
        return self._bytes("png", CSS, pil_kwargs={"compress_level": 1})

    def small_png(self) -> bytes:
        """A lighter PNG for many faces: one device pixel per CSS pixel and 128 colours."""
        buffer = io.BytesIO()
        full = _opened(self._bytes("tiff", CSS))
        full.quantize(128, Image.Quantize.MAXCOVERAGE, kmeans=3).save(buffer, format="png", optimize=True)
        return buffer.getvalue()

    def jpeg(self) -> bytes:
        """The sheet as JPEG bytes: a third of the PNG's where it shows faces, more where it is a drawing.

        Colour at half resolution loses nothing of images that are enlarged by two. A sheet of so many faces
        that it is heavy all the same has one device pixel per CSS pixel.
        """
        return _jpeg(_opened(self._bytes("tiff", CSS * DENSITY)))

    def _bytes(self, kind: str, dpi: float, **options: Any) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format=kind, dpi=dpi, **options)
        return buffer.getvalue()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the PNG to `path`."""
        with open(path, "wb") as file:
            file.write(self.png())

    def __repr__(self) -> str:
        return f"<Sheet {self.css_size[0]} x {self.css_size[1]} px>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict, dict]:
        drawn = self._bytes("png", CSS * DENSITY, metadata={"Software": None})
        png, jpeg = _light(drawn, DRAWING), _jpeg(_opened(drawn))
        kind, image = ("image/png", png) if len(png) < 1.2 * len(jpeg) else ("image/jpeg", jpeg)
        return output(self, kind, image)


def _opened(file: bytes) -> Image.Image:
    """A drawn sheet's pixels, RGB."""
    return Image.open(io.BytesIO(file)).convert("RGB")


def _jpeg(full: Image.Image) -> bytes:
    """Encode a sheet drawn with DENSITY as JPEG; a heavy one at the size at which it is shown."""
    fine = _encoded(full, DENSITY)
    return fine if len(fine) < HEAVY else _encoded(full.reduce(DENSITY), 1)


def _encoded(pixels: Image.Image, density: float) -> bytes:
    """JPEG bytes of a sheet that was drawn with so many device pixels per CSS pixel."""
    buffer, dots = io.BytesIO(), (CSS * density, CSS * density)
    pixels.save(buffer, "jpeg", quality=QUALITY, subsampling=2, dpi=dots, optimize=True, progressive=True)
    return buffer.getvalue()


def _light(png: bytes, most: int = 256) -> bytes:
    """An image of no more than `most` colours with a palette, in a third of the bytes; others as they are.

    Up to 256 colours every pixel stays; beyond, the shades between two colours of a drawing are rounded.
    """
    full = _opened(png)
    colours = sorted(colour for _, colour in full.getcolors(most) or [])
    if not colours:
        return png
    if len(colours) > 256:
        small = full.quantize(128, Image.Quantize.MAXCOVERAGE, kmeans=1)
    else:
        code = np.array([1 << 16, 1 << 8, 1])
        places = np.searchsorted(np.array(colours) @ code, np.asarray(full) @ code)
        small = Image.fromarray(places.astype(np.uint8), "P")
        small.putpalette(np.array(colours, np.uint8).tobytes())
    buffer = io.BytesIO()
    small.save(buffer, format="png", optimize=True)
    return buffer.getvalue()


def light_output(sheet: Sheet) -> tuple[dict, dict]:
    """A sheet as notebook output at the size at which it is shown: PNG in 128 colours, or JPEG if smaller."""
    png, jpeg = sheet.small_png(), _encoded(_opened(sheet._bytes("tiff", CSS)), 1)
    kind, pixels = ("image/png", png) if len(png) < 1.2 * len(jpeg) else ("image/jpeg", jpeg)
    return output(sheet, kind, pixels)


def output(sheet: Sheet, kind: str, image: bytes) -> tuple[dict, dict]:
    """A sheet as notebook output, (data, metadata); the width keeps it sharp on fine screens."""
    data = {kind: base64.b64encode(image).decode("ascii"), "text/plain": repr(sheet)}
    return data, {kind: {"width": sheet.css_size[0]}}


def grid(
    rows: int,
    columns: int,
    cell: tuple[int, int],
    *,
    gap: int | tuple[int, int] = 6,
    head: int = 0,
    foot: int = 0,
    left: int = 0,
    top: int = 0,
    bottom: int = 0,
) -> tuple[Sheet, np.ndarray]:
    """A sheet with `rows` x `columns` axes of exactly `cell` = (width, height) CSS pixels.

    `gap` is the distance between cells and to the edge (one number, or x and y); `head` and `foot` are room
    above and below every cell; `left`, `top` and `bottom` room around them all.
    Returns the sheet and an object array of axes [rows, columns].
    """
    gap_x, gap_y = (gap, gap) if isinstance(gap, int) else gap
    step_x, step_y = cell[0] + gap_x, cell[1] + gap_y + head + foot
    width, height = left + columns * step_x + gap_x, top + rows * step_y + gap_y + bottom
    sheet = Sheet(width, height)
    axes = np.empty((rows, columns), dtype=object)
    for row in range(rows):
        for column in range(columns):
            x = left + gap_x + column * step_x
            y = height - (top + gap_y + head + row * step_y + cell[1])
            box = (x / width, y / height, cell[0] / width, cell[1] / height)
            axes[row, column] = blank(sheet.add_axes(box))
    return sheet, axes


def blank(ax: Axes) -> Axes:
    """Take ticks and frame away."""
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    return ax


def cell_size(shape: Sequence[int], target: int) -> tuple[int, int]:
    """CSS (width, height) nearest to `target` px wide that shows each pixel of [H, W, ...] by whole ones."""
    height, width = shape[:2]
    zoom = max(1, round(target * DENSITY / width))
    return -(-width * zoom // DENSITY), -(-height * zoom // DENSITY)


def to_array(image: ImageLike) -> np.ndarray:
    """Anything image-like as a float array [H, W, 3] in [0, 1].

    Takes [3, H, W] or [1, H, W] tensors in [0, 1], [H, W] masks, and arrays [H, W, 3], uint8 or in [0, 1].
    """
    array = image.detach().cpu().numpy() if isinstance(image, torch.Tensor) else np.asarray(image)
    if array.ndim == 3 and array.shape[0] in (1, 3) and array.shape[-1] not in (1, 3):
        array = array.transpose(1, 2, 0)
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[-1] not in (1, 3):
        raise ValueError(f"An image is [3, H, W], [1, H, W], [H, W] or [H, W, 3]; this is {[*array.shape]}.")
    array = array / 255.0 if array.dtype == np.uint8 else array.astype(np.float64)
    return np.broadcast_to(np.clip(array, 0, 1), (*array.shape[:2], 3))


def to_arrays(images: torch.Tensor | Sequence[ImageLike]) -> list[np.ndarray]:
    """A batch [B, C, H, W] or a list of images as float arrays [H, W, 3]."""
    shown = [to_array(image) for image in images]
    if not shown:
        raise ValueError("There is no image to draw: give at least one.")
    return shown


def put(ax: Axes, image: ImageLike, title: str = "", note: str = "", frame: bool = False) -> None:
    """Draw an image pixel by pixel: a title above, a quiet note below, a faint frame if it needs one.

    Data coordinates are the course's pixel coordinates: whole numbers at pixel centres, y down.
    """
    ax.imshow(to_array(image), interpolation="nearest")
    caption(ax, title, note)
    if frame:
        ax.add_patch(
            Rectangle((0, 0), 1, 1, transform=ax.transAxes, fill=False, edgecolor=FAINT, linewidth=0.8)
        )


def caption(ax: Axes, title: str = "", note: str = "") -> None:
    """A title above and a quiet note below an axes."""
    if title:
        ax.set_title(title, fontsize=TEXT, color=INK, pad=4)
    if note:
        write(ax, note, (0.5, 0), (0, -3), va="top", fontsize=SMALL, color=QUIET)


def write(ax: Axes, text: str, place: tuple[float, float], shift: tuple[float, float], **style: Any) -> None:
    """Text at a place given in fractions of the axes, moved by `shift` points."""
    style = {"ha": "center", "va": "center", "fontsize": TEXT, "color": INK, **style}
    ax.annotate(text, place, shift, xycoords="axes fraction", textcoords="offset points", **style)


def fill(axes: np.ndarray, used: int) -> None:
    """Hide the axes of a grid beyond the first `used`."""
    for ax in list(axes.flat)[used:]:
        ax.set_visible(False)
