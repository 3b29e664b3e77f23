"""The bytes of one stored face: image, parsing map, mirror flow and light ratio as ordinary image files.

Images are WebP (or JPEG, PNG); the rest is PNG, so that any viewer opens it and nothing needs pickle.
Every decoder looks at the file's header before it decodes, because prepared data sets travel between people.

Resizing keeps pixel centres: a point at ``x`` lands at ``(x + 0.5) * scale - 0.5``.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facecomp_lib.faces.schema import PARSING
from facecomp_lib.utils.checks import check_choice, check_count

__all__ = ["IMAGE_FORMATS", "decode_flow", "decode_image", "decode_light", "decode_parsing", "encode_record"]

IMAGE_FORMATS = ("webp", "jpeg", "png")
FLOW_STEPS = 64  # codes per pixel of mirror-flow offset: rounding costs at most 1/128 px
FLOW_ZERO = 2**15
LIGHT_STEPS = 40  # codes per factor of two of light ratio: rounding costs at most 0.9 %
LIGHT_ZERO = 128

Pixels = NDArray[Any]  # uint8


def encode_record(record: Mapping[str, Any], image_format: str = "webp", quality: int = 88) -> dict[str, Any]:
    """One face with its images turned into bytes; the rest passes through. Made for worker processes.

    Args:
        record: plain numpy: ``image`` uint8 ``[S, S, 3]`` RGB and, where known, ``parsing`` uint8 ``[S, S]``,
            ``mirror_flow`` float ``[S, S, 2]`` in [-1, 1] with ``mirror_valid`` bool ``[S, S]``,
            ``light_ratio`` float ``[S, S, 3]``; further ``name``, ``split``, ``identity``, ``landmarks``,
            ``attributes``, ``pose``, ``lamps``, ``scalars``.
        image_format: ``"webp"``, ``"jpeg"`` or ``"png"`` (lossless).
        quality: 1 to 100, for the first two.

    Raises:
        ValueError: a field has another shape or kind.
    """
    check_encoding(image_format, quality)
    image = np.asarray(record["image"])
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[0] != image.shape[1] or image.shape[2] != 3:
        raise ValueError(f"image must be uint8 [S, S, 3] RGB, not {image.dtype} {list(image.shape)}.")
    size = image.shape[0]
    parsing, flow, light = (record.get(key) for key in ("parsing", "mirror_flow", "light_ratio"))
    encoded = {key: value for key, value in record.items() if key != "mirror_valid"}
    encoded["image"] = _encode_image(image, image_format, quality)
    encoded["parsing"] = None if parsing is None else _encode_parsing(np.asarray(parsing), size)
    encoded["mirror_flow"] = (
        None if flow is None else _encode_flow(np.asarray(flow), np.asarray(record.get("mirror_valid")), size)
    )
    encoded["light_ratio"] = None if light is None else _encode_light(np.asarray(light), size)
    return encoded


def check_encoding(image_format: str, quality: int) -> None:
    """Refuse a format or quality that images cannot be stored with."""
    check_choice(image_format, IMAGE_FORMATS, "image_format")
    check_count(quality, 1, "quality", 100)


def decode_image(data: memoryview, stored: int, size: int) -> Pixels:
    """uint8 ``[size, size, 3]`` RGB; a smaller size than the stored one is area-averaged."""
    import cv2

    image = cv2.cvtColor(_decode(data, stored, cv2.IMREAD_COLOR, IMAGE_FORMATS), cv2.COLOR_BGR2RGB)
    return image if size == stored else cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)


def decode_parsing(data: memoryview, stored: int, size: int) -> Pixels:
    """uint8 ``[size, size]`` of class numbers; a smaller size takes the class that covers most of a pixel."""
    import cv2

    parsing = _decode(data, stored, cv2.IMREAD_UNCHANGED, ("png",))
    if parsing.dtype != np.uint8 or parsing.ndim != 2 or parsing.max() >= len(PARSING):
        raise ValueError(f"the parsing map must be an 8-bit grey PNG with classes 0 ... {len(PARSING) - 1}")
    if size == stored:
        return parsing
    shares = [
        cv2.resize((parsing == label).astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
        for label in range(len(PARSING))
    ]
    return np.argmax(shares, 0).astype(np.uint8)


def decode_flow(data: memoryview, stored: int, size: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Mirror flow float32 ``[size, size, 2]``, absolute in [-1, 1], and where it is valid, bool.

    At a smaller size each pixel averages the offsets of its valid source pixels, and is valid where these
    cover at least half of it.
    """
    import cv2

    codes = _decode(data, stored, cv2.IMREAD_UNCHANGED, ("png",), storeys=2)
    if codes.dtype != np.uint16 or codes.ndim != 2:
        raise ValueError("the mirror flow must be a 16-bit grey PNG")
    valid = codes[:stored] > 0
    codes[codes == 0] = FLOW_ZERO
    offset: NDArray[Any] = cv2.merge([codes[:stored], codes[stored:]]).astype(np.float32)
    offset -= FLOW_ZERO
    if size != stored:
        known = valid.astype(np.float32)
        share = cv2.resize(known, (size, size), interpolation=cv2.INTER_AREA)
        total = cv2.resize(offset * known[..., None], (size, size), interpolation=cv2.INTER_AREA)
        valid = share >= 0.5
        offset = total / np.maximum(share, 1e-6)[..., None] * np.float32(size / stored) * valid[..., None]
    offset *= 2 / (FLOW_STEPS * (size - 1))
    offset += _own_pixels(size)
    return offset, valid


def decode_light(data: memoryview, stored: int, size: int) -> NDArray[Any]:
    """Light ratio float32 ``[size, size, 3]``; stored at half size."""
    import cv2

    half = max(stored // 2, 1)
    codes = cv2.cvtColor(_decode(data, half, cv2.IMREAD_COLOR, ("png",)), cv2.COLOR_BGR2RGB)
    ratio = cv2.LUT(codes, _light_table())
    if size == half:
        return ratio
    how = cv2.INTER_LINEAR if size > half else cv2.INTER_AREA
    return cv2.resize(ratio, (size, size), interpolation=how)


@lru_cache(maxsize=1)
def _light_table() -> NDArray[np.float32]:
    """The ratio of each code."""
    return np.exp2((np.arange(256, dtype=np.float32) - LIGHT_ZERO) / LIGHT_STEPS)


def image_size(data: memoryview) -> tuple[str, int, int]:
    """Format, width and height from the header of a PNG, WebP or JPEG file, without decoding it.

    Raises:
        ValueError: the bytes are none of these.
    """
    head = bytes(data[:32])
    if len(head) >= 30:
        if head.startswith(b"\x89PNG\r\n\x1a\n"):
            return ("png", *struct.unpack(">II", head[16:24]))
        if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
            return ("webp", *_webp_size(head))
        if head.startswith(b"\xff\xd8"):
            return ("jpeg", *_jpeg_size(data))
    raise ValueError("its bytes are not a PNG, WebP or JPEG image")


def _webp_size(head: bytes) -> tuple[int, int]:
    kind = head[12:16]
    if kind == b"VP8 ":  # lossy: 14 bits each after the start code
        width, height = struct.unpack("<HH", head[26:30])
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L":  # lossless: 14 bits each, less one
        bits = struct.unpack("<I", head[21:25])[0]
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8X":  # extended: 24 bits each, less one
        return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    raise ValueError("its WebP header is damaged")


def _jpeg_size(data: memoryview) -> tuple[int, int]:
    place = 2
    while place + 9 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # a start-of-frame segment
            height, width = struct.unpack(">HH", data[place + 5 : place + 9])
            return width, height
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    raise ValueError("its JPEG header is damaged")


def _decode(
    data: memoryview, side: int, flag: int, formats: tuple[str, ...], storeys: int = 1
) -> NDArray[Any]:
    """Pixels of an image that must be ``side`` wide and ``storeys`` times as high."""
    import cv2

    kind, width, height = image_size(data)
    if kind not in formats:
        raise ValueError(f"it is {kind.upper()} where {' or '.join(formats).upper()} is expected")
    if (width, height) != (side, side * storeys):
        raise ValueError(f"it is {width}x{height} px where {side}x{side * storeys} is expected")
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    if decoded is None or decoded.shape[:2] != (side * storeys, side):
        raise ValueError("its image cannot be decoded: the bytes are damaged")
    return decoded


def _encode(image: NDArray[Any], suffix: str, options: list[int]) -> bytes:
    import cv2

    done, data = cv2.imencode(suffix, image, options)
    if not done:
        raise ValueError(f"OpenCV could not write a {suffix} image of shape {list(image.shape)}.")
    return data.tobytes()


def _png(image: NDArray[Any]) -> bytes:
    import cv2

    return _encode(image, ".png", [cv2.IMWRITE_PNG_COMPRESSION, 9])


def _encode_image(image: Pixels, image_format: str, quality: int) -> bytes:
    import cv2

    bgr = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2BGR)
    if image_format == "png":
        return _png(bgr)
    option = cv2.IMWRITE_WEBP_QUALITY if image_format == "webp" else cv2.IMWRITE_JPEG_QUALITY
    return _encode(bgr, "." + image_format, [option, quality])


def _encode_parsing(parsing: NDArray[Any], size: int) -> bytes:
    if parsing.dtype != np.uint8 or parsing.shape != (size, size) or parsing.max() >= len(PARSING):
        raise ValueError(f"parsing must be uint8 [{size}, {size}] with classes 0 ... {len(PARSING) - 1}.")
    return _png(parsing)


def _encode_flow(flow: NDArray[Any], valid: NDArray[Any], size: int) -> bytes:
    if flow.shape != (size, size, 2) or valid.dtype != bool or valid.shape != (size, size):
        raise ValueError(f"mirror_flow must be [{size}, {size}, 2], with mirror_valid bool [{size}, {size}].")
    offset = (flow - _own_pixels(size)) * ((size - 1) / 2)
    codes = np.where(valid[..., None], np.round(offset * FLOW_STEPS), 0) + FLOW_ZERO
    if not np.isfinite(codes).all() or codes.min() < 1 or codes.max() >= 2**16:
        raise ValueError("mirror_flow must be finite and reach less than 512 px where mirror_valid is set.")
    codes = np.where(valid[..., None], codes, 0).astype(np.uint16)
    return _png(np.concatenate([codes[..., 0], codes[..., 1]]))  # x offsets above y offsets


def _encode_light(light: NDArray[Any], size: int) -> bytes:
    import cv2

    if light.shape != (size, size, 3) or not np.isfinite(light).all() or light.min() <= 0:
        raise ValueError(f"light_ratio must be finite and positive, [{size}, {size}, 3].")
    half = max(size // 2, 1)
    logs = cv2.resize(np.log2(light.astype(np.float32)), (half, half), interpolation=cv2.INTER_AREA)
    codes = np.clip(np.round(LIGHT_ZERO + LIGHT_STEPS * logs), 1, 255).astype(np.uint8)
    return _png(cv2.cvtColor(codes, cv2.COLOR_RGB2BGR))


@lru_cache(maxsize=4)
def _own_pixels(size: int) -> NDArray[np.float32]:
    """Each pixel's own place in the flow's coordinates: ``[size, size, 2]``, -1 and 1 at the borders."""
    line = np.linspace(-1, 1, size, dtype=np.float32)
    pixels = np.stack(np.meshgrid(line, line), -1)
    pixels.flags.writeable = False  # shared by all callers
    return pixels
