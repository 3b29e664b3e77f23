"""Read any image as 8-bit RGB, upright; whatever is wrong with it becomes one clear sentence."""

from __future__ import annotations

import io
import os
import re
import warnings
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from facecomp_lib.utils.files import expand

__all__ = [
    "MAX_MEGAPIXELS",
    "SUFFIXES",
    "Source",
    "is_hidden_name",
    "is_image_name",
    "read_image",
    "read_mask_image",
]

MAX_MEGAPIXELS = 50
# Pillow goes by content, and would start other programs for some kinds of file (Ghostscript for EPS).
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP")
_HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}

SUFFIXES = (
    *(".jpg", ".jpeg", ".jfif", ".jpe", ".mpo", ".png", ".webp", ".bmp"),
    *(".tif", ".tiff", ".gif", ".avif", ".jp2", ".ppm", ".pgm", ".pbm"),
    *(".heic", ".heif"),  # found, and then refused by a sentence
)

Source: TypeAlias = (
    "str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | Image.Image | NDArray[Any]"
)
_Pixels: TypeAlias = NDArray[np.uint8]


def is_image_name(name: str | os.PathLike[str]) -> bool:
    """Whether a search for images takes a file of this name: by its suffix, and nothing hidden.

    Args:
        name: of a file, or its path below the folder that is searched; see `is_hidden_name`.
    """
    return Path(name).suffix.lower() in SUFFIXES and not is_hidden_name(name)


def is_hidden_name(name: str | os.PathLike[str]) -> bool:
    """Whether a file or folder is hidden, or lies in a hidden folder, or in one that macOS adds to zip files.

    Args:
        name: of a file, or its path below the folder that is searched.
    """
    parts = re.split(r"[/\\]", os.fspath(name))
    return any((part.startswith(".") and part not in (".", "..")) or part == "__MACOSX" for part in parts)


def read_image(source: Source) -> _Pixels:
    """Any image as uint8 RGB ``[H, W, 3]``, upright.

    Files: JPEG, PNG, WebP, TIFF and the other `FORMATS` (grey, palette, CMYK, 16 bit, EXIF rotation), the
    first frame of several; transparency is laid over white. Arrays: uint8, uint16 or float in [0, 1];
    ``[H, W]``, ``[H, W, 1]``, ``[H, W, 3]`` or ``[H, W, 4]``.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not an image, damaged, or larger than `MAX_MEGAPIXELS`.
    """
    return _over_white(_read(source))


def read_mask_image(source: Source) -> _Pixels:
    """How light each pixel of a mask's image is: uint8 ``[H, W]``, the brightest of red, green and blue.

    Of an image with transparent pixels it is how opaque they are, whatever their colour.

    Args:
        source: as in `read_image`, which raises the same; an array may hold truth values, too.
    """
    if isinstance(source, np.ndarray) and source.dtype == bool:
        source = source.astype(np.uint8)
    pixels = _read(source)
    if pixels.shape[2] == 4 and pixels[..., 3].min() < 255:
        return pixels[..., 3]
    return pixels[..., :3].max(-1)


def _read(source: Source) -> _Pixels:
    """Any image as uint8 RGB ``[H, W, 3]``, or RGBA ``[H, W, 4]`` where it has an alpha channel; upright."""
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if isinstance(source, Image.Image):
        return _decode(source, "The image")
    if isinstance(source, (bytes, bytearray, memoryview)):  # a memoryview is what an upload widget gives
        return _decode(io.BytesIO(source), "The image")
    if not isinstance(source, (str, os.PathLike)):
        if not hasattr(source, "read"):
            raise ValueError(
                "An image is a file name, an open file, bytes, a PIL image or an array, not "
                f"{type(source).__name__}."
            )
        name = getattr(source, "name", None)
        return _decode(source, name if isinstance(name, str) else "The image")
    file = expand(source)
    if file.is_dir():
        raise ValueError(f"{file} is a folder: name one image in it.")
    if not file.exists():
        raise FileNotFoundError(f"There is no file {file}: check the name and the folder.")
    if not file.is_file():  # reading a pipe would wait without end
        raise ValueError(f"{file} is a pipe or a device: name an ordinary image file.")
    return _decode(file, str(file))


class _Refused(ValueError):
    """Readable, but not what we take; the message is a sentence already."""


def _decode(source: Path | IO[bytes] | Image.Image, name: str) -> _Pixels:
    """Open, check the size before any pixel is decoded, then decode; each failure becomes one sentence."""
    limit = f"at most {MAX_MEGAPIXELS} megapixels are accepted: shrink it first"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow: what it can read in spite of them is good enough
            with _open(source) as image:
                if image.width * image.height > MAX_MEGAPIXELS * 1e6:
                    raise _Refused(f"{name} has {image.width} x {image.height} pixels; {limit}.")
                image.load()
                return _pixels(ImageOps.exif_transpose(image), name)
    except Image.DecompressionBombError as error:
        raise ValueError(f"{name} is far too large; {limit}.") from error
    except UnidentifiedImageError as error:
        raise ValueError(_unknown_kind(source, name)) from error
    except _Refused:
        raise
    except Exception as error:  # damaged files leave Pillow's decoders by errors of any type
        if isinstance(error, OSError) and error.errno is not None:
            raise ValueError(f"{name} cannot be read ({error.strerror}).") from error
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{name} is damaged or cut off and cannot be read ({reason}).") from error


def _open(source: Path | IO[bytes] | Image.Image) -> Image.Image:
    """Recognise a file as one of FORMATS, as far as this Pillow was built with them."""
    if isinstance(source, Image.Image):
        if isinstance(source, ImageFile.ImageFile) and source.format not in FORMATS:
            raise UnidentifiedImageError
        return source.copy()
    Image.init()
    return Image.open(source, formats=[kind for kind in FORMATS if kind in Image.OPEN])


def _unknown_kind(source: Path | IO[bytes] | Image.Image, name: str) -> str:
    head = b""
    if isinstance(source, Path):
        with source.open("rb") as file:
            head = file.read(12)
    elif isinstance(source, io.IOBase) and source.seekable():
        source.seek(0)
        head = source.read(12)
    if head[4:8] == b"ftyp" and head[8:] in _HEIC:
        return f"{name} is a HEIC photograph, as iPhones take them: export it as JPEG first."
    return f"{name} is not an image of a kind that is accepted (JPEG, PNG, WebP, TIFF ...)."


def _pixels(image: Image.Image, name: str) -> _Pixels:
    if image.mode.startswith("I") or image.mode == "F":
        numbers = np.asarray(image)
        if image.mode != "F":
            if numbers.min() < 0 or numbers.max() > 65535:
                raise _Refused(f"{name} holds integers beyond 16 bits: scale it to 8 or 16 bits first.")
            numbers = numbers.astype(np.uint16)
        return _from_array(numbers, name)
    image = _in_srgb(image)
    transparent = image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info
    return np.asarray(image.convert("RGBA" if transparent else "RGB"))


def _over_white(pixels: _Pixels) -> _Pixels:
    if pixels.shape[2] == 3:
        return pixels
    image = Image.fromarray(pixels)
    white = Image.new("RGBA", image.size, "white")
    return np.asarray(Image.alpha_composite(white, image).convert("RGB"))


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
    array = array[..., None] if array.ndim == 2 else array  # [H, W, C]
    return np.ascontiguousarray(np.broadcast_to(array, (*array.shape[:2], max(3, array.shape[2]))))
