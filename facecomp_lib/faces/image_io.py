"""Read any image as 8-bit RGB, upright; whatever is wrong with it becomes one clear sentence."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from facecomp_lib.utils.files import expand

__all__ = ["MAX_MEGAPIXELS", "Source", "read_image"]

MAX_MEGAPIXELS = 50
# Pillow goes by content, and would start other programs for some kinds of file (Ghostscript for EPS).
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")

Source: TypeAlias = (
    "str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | Image.Image | NDArray[Any]"
)
_Pixels: TypeAlias = NDArray[np.uint8]


def read_image(source: Source) -> _Pixels:
    """Any image as uint8 RGB ``[H, W, 3]``, upright.

    Files: JPEG, PNG, WebP, TIFF and the other `FORMATS` (grey, palette, CMYK, 16 bit, EXIF rotation), the
    first frame of several; transparency is laid over white. Arrays: uint8, uint16 or float in [0, 1];
    ``[H, W]``, ``[H, W, 1]``, ``[H, W, 3]`` or ``[H, W, 4]``.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not an image, damaged, or larger than `MAX_MEGAPIXELS`.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if isinstance(source, Image.Image):
        return _decode(lambda: source.copy(), "The image")
    if isinstance(source, (bytes, bytearray, memoryview)):  # a memoryview is what an upload widget gives
        return _decode(lambda: _open(io.BytesIO(source)), "The image")
    if isinstance(source, io.IOBase):
        return _decode(lambda: _open(source), "The image")  # type: ignore[arg-type]
    if not isinstance(source, (str, os.PathLike)):
        raise ValueError(
            "A photo is a file name, an open file, bytes, a PIL image or an array, not "
            f"{type(source).__name__}."
        )
    file = expand(source)
    if file.is_dir():
        raise ValueError(f"{file} is a folder: name one image in it.")
    if not file.exists():
        raise FileNotFoundError(f"There is no file {file}: check the name and the folder.")
    return _decode(lambda: _open(file), str(file))


def _open(source: Path | IO[bytes]) -> Image.Image:
    """Recognise a file as one of FORMATS, as far as this Pillow was built with them."""
    Image.init()
    return Image.open(source, formats=[kind for kind in FORMATS if kind in Image.OPEN])


class _Refused(ValueError):
    """Readable, but not what we take; the message is a sentence already."""


def _decode(open_image: Callable[[], Image.Image], name: str) -> _Pixels:
    """Open, check the size before any pixel is decoded, then decode; each failure becomes one sentence."""
    limit = f"at most {MAX_MEGAPIXELS} megapixels are accepted: shrink it first"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit is lower
            image = open_image()
        with image:
            if image.width * image.height > MAX_MEGAPIXELS * 1e6:
                raise _Refused(f"{name} has {image.width} x {image.height} pixels; {limit}.")
            image.load()
            return _rgb(ImageOps.exif_transpose(image), name)
    except Image.DecompressionBombError as error:
        raise ValueError(f"{name} is far too large; {limit}.") from error
    except UnidentifiedImageError as error:
        raise ValueError(
            f"{name} is not an image of a kind that is accepted (JPEG, PNG, WebP, TIFF ...)."
        ) from error
    except _Refused:
        raise
    except Exception as error:  # damaged files leave Pillow's decoders by errors of any type
        raise ValueError(f"{name} is damaged or cut off and cannot be read ({error}).") from error


def _rgb(image: Image.Image, name: str) -> _Pixels:
    if image.mode.startswith("I") or image.mode == "F":
        numbers = np.asarray(image)
        if image.mode != "F":
            if numbers.min() < 0 or numbers.max() > 65535:
                raise _Refused(f"{name} holds integers beyond 16 bits: scale it to 8 or 16 bits first.")
            numbers = numbers.astype(np.uint16)
        return _from_array(numbers, name)
    image = _in_srgb(image)
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return np.asarray(image.convert("RGB"))


def _in_srgb(image: Image.Image) -> Image.Image:
    """Colours as sRGB where the file names another colour space, as many telephones' images do."""
    from PIL import ImageCms

    profile = image.info.get("icc_profile")
    if not profile or image.mode not in ("RGB", "RGBA", "CMYK"):
        return image
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(source).lower():
            return image
        mode = "RGBA" if image.mode == "RGBA" else "RGB"
        return (
            ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode=mode) or image
        )
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return image  # a broken profile: the numbers themselves are the best guess


def _from_array(array: NDArray[Any], name: str = "The array") -> _Pixels:
    layout = f"{array.dtype} {list(array.shape)}"
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)) or not array.size:
        raise _Refused(f"{name} must be an image [H, W], [H, W, 3] or [H, W, 4], not {layout}.")
    if array.shape[0] * array.shape[1] > MAX_MEGAPIXELS * 1e6:
        raise _Refused(f"{name} is larger than {MAX_MEGAPIXELS} megapixels ({layout}): shrink it first.")
    if array.dtype == np.uint16:
        array = (array / 257.0).round().astype(np.uint8)
    elif np.issubdtype(array.dtype, np.floating):
        if not (np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1):
            raise _Refused(f"{name} holds floats that are not all in [0, 1]: scale it first.")
        array = (array * 255.0).round().astype(np.uint8)
    elif array.dtype != np.uint8:
        raise _Refused(f"{name} must hold uint8, uint16, or floats in [0, 1], not {layout}.")
    array = array[..., None] if array.ndim == 2 else array
    if array.shape[2] == 4:
        alpha = array[..., 3:] / 255.0
        array = (array[..., :3] * alpha + 255 * (1 - alpha)).round().astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(array, (*array.shape[:2], 3)))
