"""Masks that lie in a folder as images."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facecomp_lib.faces.image_io import read_image
from facecomp_lib.masks.canvas import Canvas, Hole


def choose(canvas: Canvas, folder: str | os.PathLike[str], invert: bool, least: int, most: int) -> Hole:
    """A mask with ``least`` ... ``most`` missing pixels, flipped at random.

    The images are tried in an order that is this hole's own, each once, until one fits.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: it holds no images, a broken one, or none that fits.
    """
    files = _files(folder)
    flips = canvas.random.integers(2, size=2)
    for place in canvas.random.permutation(len(files)):
        hole = _read(files[place], invert, canvas.height, canvas.width)
        if least <= np.count_nonzero(hole) <= most:
            return hole[:: 1 - 2 * flips[0], :: 1 - 2 * flips[1]]
    pixels = canvas.height * canvas.width
    raise ValueError(
        f"None of the {len(files)} masks in {folder} has {least / pixels:.0%} to {most / pixels:.0%} missing "
        f"at {canvas.height} x {canvas.width} px: take another kind, or invert={not invert} if "
        f"{'light' if invert else 'dark'} pixels are the missing ones."
    )


def _files(folder: str | os.PathLike[str]) -> tuple[Path, ...]:
    path = Path(folder)
    if not path.is_dir():
        raise FileNotFoundError(f"There is no folder {path} of masks: check the name.")
    files = _listed(path, path.stat().st_mtime_ns)
    if not files:
        raise ValueError(f"The folder {path} holds no images itself: name the folder that the masks lie in.")
    return files


@lru_cache(maxsize=8)
def _listed(folder: Path, changed: int) -> tuple[Path, ...]:
    """The images of a folder in the order of their names; ``changed`` is its time, so that it is new."""
    known = Image.registered_extensions()
    found = (path for path in folder.iterdir() if path.suffix.lower() in known)
    return tuple(sorted(found, key=lambda path: path.name))


def _read(file: Path, invert: bool, height: int, width: int) -> Hole:
    packed = _packed(file, file.stat().st_mtime_ns, height, width)
    light = np.unpackbits(packed, count=height * width).reshape(height, width).view(bool)
    return ~light if invert else light


@lru_cache(maxsize=16384)
def _packed(file: Path, changed: int, height: int, width: int) -> NDArray[np.uint8]:
    """Where an image is light at this size, one bit per pixel: an archive of 12,000 masks stays small."""
    image = read_image(file).max(-1)
    rows = (np.arange(height) * 2 + 1) * image.shape[0] // (2 * height)
    columns = (np.arange(width) * 2 + 1) * image.shape[1] // (2 * width)
    # Half of the brightest value, because masks are also saved as 0 and 1.
    return np.packbits(image[rows[:, None], columns] > image.max() // 2)
