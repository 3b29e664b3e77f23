"""Masks that lie in a folder as images."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facecomp_lib.faces.image_io import read_image
from facecomp_lib.masks.base import Hole, MaskContext, MaskKind
from facecomp_lib.utils.checks import check_path


def kind(folder: str | os.PathLike[str]) -> MaskKind:
    """The kind of the masks in a folder, whatever share of the image they hide."""

    def draw(context: MaskContext, invert: bool = False) -> Hole:
        """One image of the folder: light is missing, dark is known; with ``invert`` dark is missing."""
        return choose(context, folder, invert, 1, context.height * context.width - 1)

    return MaskKind(draw, f"the folder {folder}")


def choose(context: MaskContext, folder: str | os.PathLike[str], invert: bool, least: int, most: int) -> Hole:
    """A mask with ``least`` ... ``most`` missing pixels, flipped at random.

    The images are tried in an order that is this mask's own, each once, until one fits.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: it holds no images, a broken one, or none that fits.
    """
    files = _files(folder)
    flips = context.random.integers(2, size=2)
    for place in context.random.permutation(len(files)):
        hole = _read(files[place], invert, context.height, context.width)
        if least <= np.count_nonzero(hole) <= most:
            return hole[:: 1 - 2 * flips[0], :: 1 - 2 * flips[1]]
    pixels = context.height * context.width
    raise ValueError(
        f"None of the {len(files)} masks in {folder} has {least / pixels:.0%} to {most / pixels:.0%} missing "
        f"at {context.height} x {context.width} px: take another kind, or invert={not invert} if "
        f"{'light' if invert else 'dark'} pixels are the missing ones."
    )


def _files(folder: str | os.PathLike[str]) -> tuple[Path, ...]:
    path = check_path(folder, "folder")
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
    images = (path for path in folder.iterdir() if path.suffix.lower() in known)
    return tuple(sorted(images, key=lambda path: path.name))


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
