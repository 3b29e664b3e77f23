"""Masks that are images of one's own: one file, or a folder of them."""

from __future__ import annotations

import os
import warnings
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facecomp_lib.faces.image_io import Source, is_image_name, read_mask_image
from facecomp_lib.masks.base import Hole, MaskContext, MaskKind
from facecomp_lib.utils.checks import check_path


def light_pixels(source: Source, height: int | None = None, width: int | None = None) -> Hole:
    """Where a mask's image is light, resized to the nearest pixel: bool ``[H, W]``.

    Of an image with transparent pixels it is where it is opaque.
    """
    light = read_mask_image(source)
    height, width = height or light.shape[0], width or light.shape[1]
    rows = (np.arange(height) * 2 + 1) * light.shape[0] // (2 * height)
    columns = (np.arange(width) * 2 + 1) * light.shape[1] // (2 * width)
    # Half of the brightest value, because masks are also saved as 0 and 1.
    return light[rows[:, None], columns] > light.max() // 2


def kind(folder: str | os.PathLike[str]) -> MaskKind:
    """The kind of the masks in a folder, whatever share of the image they hide."""

    def draw(context: MaskContext, invert: bool = False) -> Hole:
        """One image of the folder: light is missing, dark is known; with ``invert`` dark is missing.

        Where an image has transparent pixels, the opaque ones count as light. What is no image is left out.
        """
        return choose(context, folder, invert, 1, context.height * context.width - 1)

    return MaskKind(draw, f"the folder {folder}")


def choose(context: MaskContext, folder: str | os.PathLike[str], invert: bool, least: int, most: int) -> Hole:
    """A mask with ``least`` ... ``most`` missing pixels, flipped at random.

    The images are tried in an order that is this mask's own, each once, until one fits.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: it holds no images, or none that can be read and fits.
    """
    files = _files(folder)
    flips = context.random.integers(2, size=2)
    faults = []
    for place in context.random.permutation(len(files)):
        hole = _read(files[place], invert, context.height, context.width)
        if isinstance(hole, str):
            faults.append(hole)
        elif least <= np.count_nonzero(hole) <= most:
            return hole[:: 1 - 2 * flips[0], :: 1 - 2 * flips[1]]
    if len(faults) == len(files):
        raise ValueError(f"None of the {len(files)} images in {folder} is a mask: {min(faults)}")
    pixels, read = context.height * context.width, len(files) - len(faults)
    raise ValueError(
        f"None of the {read} masks in {folder} has {least / pixels:.0%} to {most / pixels:.0%} missing "
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
    files = sorted((path for path in folder.iterdir() if not path.is_dir()), key=lambda path: path.name)
    foreign = [path.name for path in files if not (is_image_name(path.name) or path.name.startswith("."))]
    if foreign:
        more = f" and {len(foreign) - 3} more" if len(foreign) > 3 else ""
        warnings.warn(f"Left out of the masks in {folder}: {', '.join(foreign[:3])}{more}.", stacklevel=2)
    return tuple(path for path in files if is_image_name(path.name))


def _read(file: Path, invert: bool, height: int, width: int) -> Hole | str:
    """Which pixels are missing; or why the file cannot be read."""
    packed = _packed(file, file.stat().st_mtime_ns if file.exists() else 0, height, width)
    if isinstance(packed, str):
        return packed
    light = np.unpackbits(packed, count=height * width).reshape(height, width).view(bool)
    return ~light if invert else light


@lru_cache(maxsize=16384)
def _packed(file: Path, changed: int, height: int, width: int) -> NDArray[np.uint8] | str:
    """Where an image is light at this size, one bit per pixel: an archive of 12,000 masks stays small.

    Of a file that cannot be read it is the reason, which is said once, because the result is kept.
    """
    try:
        return np.packbits(light_pixels(file, height, width))
    except (OSError, ValueError) as error:
        warnings.warn(f"Left out of the masks: {error}", stacklevel=2)
        return str(error)
