"""One rendered person, turned, lit from elsewhere, aged: frames made before, for those without the renderer.

`data_scripts/make_turntable.py` draws them again.
"""

from __future__ import annotations

from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import torch
from PIL import Image

SHEET = Path(__file__).parent / "turntable.webp"
SIZE, RIM = 128, 8  # pixels: a frame, and the margin around each in the sheet
# yaw in degrees, > 0 turns the face to image right; light: azimuth of the main lamp in degrees, > 0 from
# image right; age: the shape model's number, 2/3 a young adult, 1 old.
STOPS: dict[str, tuple[float, ...]] = {
    "yaw": (-45, -30, -15, 0, 15, 30, 45),
    "light": (-70, -35, 0, 35, 70),
    "age": (0.55, 0.70, 0.85, 1.0),
}


def positions() -> list[tuple[float, ...]]:
    """(yaw, light, age) of every frame, in the order in which the sheet holds them, row by row."""
    return list(product(*STOPS.values()))


def turntable(yaw: float, light: float, age: float) -> torch.Tensor:
    """The frame [3, 128, 128] at one stop of each slider; see STOPS."""
    try:
        place = positions().index((yaw, light, age))
    except ValueError:
        raise ValueError(f"There is no frame at yaw={yaw}, light={light}, age={age}: see STOPS.") from None
    frames, step = _sheet(), SIZE + 2 * RIM
    row, column = divmod(place, frames.shape[1] // step)
    top, left = RIM + step * row, RIM + step * column
    frame = frames[top : top + SIZE, left : left + SIZE]
    return torch.from_numpy(frame).permute(2, 0, 1).float() / 255


@cache
def _sheet() -> np.ndarray:
    with Image.open(SHEET) as sheet:
        return np.array(sheet.convert("RGB"))
