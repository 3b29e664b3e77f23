"""Any image in, RGB out; and whatever comes from strangers is read or refused in one sentence."""

import io
import os
import re
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from photo_help import saved
from PIL import Image

from facecomp_lib.faces import image_io
from facecomp_lib.faces.image_io import is_image_name, read_image, read_mask_image

skimage_data = pytest.importorskip("skimage.data")


@pytest.fixture(scope="module")
def portrait():
    return skimage_data.astronaut()


def test_every_kind_of_image_reads_as_the_same_rgb(portrait):
    colour = Image.fromarray(portrait)
    alpha = colour.copy()
    alpha.putalpha(255)
    for read in (
        read_image(portrait),
        read_image(colour),
        read_image(saved(colour, "PNG")),
        read_image(memoryview(saved(colour, "PNG"))),
        read_image(bytearray(saved(colour, "PNG"))),
        read_image(io.BytesIO(saved(colour, "PNG"))),
        read_image(saved(alpha, "PNG")),
        read_image(portrait.astype(np.uint16) * 257),
        read_image((portrait / 255).astype(np.float32)),
        read_image(np.asarray(alpha)),
        read_image(saved(colour, "WEBP", lossless=True)),
    ):
        assert read.dtype == np.uint8 and np.array_equal(read, portrait)
    for lossy in (
        saved(colour, "JPEG", quality=95),
        saved(colour.convert("CMYK"), "JPEG", quality=95),
        saved(colour.convert("CMYK"), "TIFF"),
        saved(colour.convert("YCbCr"), "JPEG", quality=95),
        saved(colour.quantize(256), "PNG"),
    ):
        assert np.abs(read_image(lossy).astype(int) - portrait).mean() < 6


def test_grey_images_of_8_and_16_bits_read_alike(portrait):
    grey = Image.fromarray(portrait).convert("L")
    values = np.asarray(grey)
    sixteen = Image.fromarray(values.astype(np.uint16) * 257)
    for source in (
        grey,
        saved(grey, "PNG"),
        sixteen,
        saved(sixteen, "PNG"),
        saved(sixteen, "TIFF"),
        Image.fromarray(values.astype(np.int32) * 257),
        Image.fromarray((values / 255).astype(np.float32)),
        values,
        values[..., None],
        saved(Image.merge("LA", (grey, Image.new("L", grey.size, 255))), "PNG"),
    ):
        read = read_image(source)
        assert read.shape == portrait.shape and np.array_equal(read, np.repeat(values[..., None], 3, axis=2))
    assert set(np.unique(read_image(Image.fromarray(values > 127)))) == {0, 255}


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_laid_over_white(mode):
    image = Image.new("RGBA", (20, 20), (200, 0, 0, 0))
    source = (
        saved(image.convert("RGB").quantize(4), "PNG", transparency=0) if mode == "P" else image.convert(mode)
    )
    assert (read_image(source) == 255).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied(orientation):
    upright = np.zeros((20, 30, 3), np.uint8)
    upright[:5, :5] = 255
    names = "FLIP_LEFT_RIGHT ROTATE_180 FLIP_TOP_BOTTOM TRANSPOSE ROTATE_90 TRANSVERSE ROTATE_270"
    undo = dict(enumerate((Image.Transpose[name] for name in names.split()), start=2))
    stored = Image.fromarray(upright)
    if orientation > 1:
        stored = stored.transpose(undo[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert np.array_equal(read_image(saved(stored, "PNG", exif=exif)), upright)


def test_colours_of_another_colour_space_become_srgb():
    """A stand-in for a telephone's profile: sRGB with red and green exchanged, under another name."""
    from PIL import ImageCms

    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = srgb.replace(b"rXYZ", b"????").replace(b"gXYZ", b"rXYZ").replace(b"????", b"gXYZ")
    swapped = swapped.replace("sRGB".encode("utf-16-be"), "mine".encode("utf-16-be"))
    red = Image.new("RGB", (4, 4), (255, 0, 0))
    assert read_image(saved(red, "PNG", icc_profile=srgb))[0, 0].tolist() == [255, 0, 0]
    assert (
        np.abs(read_image(saved(red, "PNG", icc_profile=swapped))[0, 0].astype(int) - (0, 255, 0)).max() <= 2
    )
    for damaged in (b"nonsense", swapped[:200]):
        assert read_image(saved(red, "PNG", icc_profile=damaged))[0, 0].tolist() == [255, 0, 0]


# ------------------------------------------------------------------------------------------------ bad input


def png_claiming(width, height):
    """A PNG whose header promises more pixels than it has."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b"\0" * 99))
        + chunk(b"IEND", b"")
    )


def jpeg():
    return saved(Image.fromarray(skimage_data.astronaut()), "JPEG")


def png():
    return saved(Image.fromarray(skimage_data.astronaut()), "PNG")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (lambda: b"", "not an image"),
        (lambda: b"hello, this is text\n" * 9, "not an image"),
        (lambda: jpeg()[:5000], "damaged or cut off"),
        (lambda: png()[:5000], "damaged or cut off"),
        (lambda: png()[:2000] + b"\0" * 500 + png()[2500:], "damaged or cut off"),
        (lambda: jpeg()[:12], "not an image|damaged"),
        (lambda: png_claiming(9000, 9000), "at most 50 megapixels"),
        (lambda: png_claiming(60000, 60000), "at most 50 megapixels"),
        (lambda: png_claiming(50, 50), "damaged or cut off"),
    ],
    ids=["empty", "text", "cut jpeg", "cut png", "broken png", "tiny jpeg", "81 MP", "bomb", "false header"],
)
def test_files_that_are_no_usable_image_get_one_clear_sentence(content, says, tmp_path):
    file = tmp_path / "me.png"
    file.write_bytes(content())
    with pytest.raises(ValueError, match=says) as caught:
        read_image(file)
    assert "me.png" in str(caught.value) and "\n" not in str(caught.value)


def test_missing_files_folders_and_strange_sources_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="nobody.jpg"):
        read_image(tmp_path / "nobody.jpg")
    with pytest.raises(ValueError, match="is a folder"):
        read_image(tmp_path)
    with pytest.raises(ValueError, match="file name"):
        read_image(None)


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros((10, 10, 2), np.uint8), r"\[H, W, 3\]"),
        (np.zeros((1, 3, 10, 10), np.float32), r"\[H, W, 3\]"),
        (np.zeros((0, 10, 3), np.uint8), r"\[H, W, 3\]"),
        (np.full((10, 10, 3), 200.0), r"in \[0, 1\]"),
        (np.full((10, 10, 3), np.nan), r"in \[0, 1\]"),
        (np.zeros((10, 10, 3), np.int64), "uint8"),
        (np.zeros((10, 10, 3), bool), "uint8"),
        (np.broadcast_to(np.uint8(0), (9000, 9000, 3)), "50 megapixels"),
    ],
)
def test_arrays_that_are_no_image_are_refused(array, says):
    with pytest.raises(ValueError, match=says):
        read_image(array)


def test_fifty_megapixels_are_the_limit_and_the_message_shows_the_way(monkeypatch, portrait):
    monkeypatch.setattr(image_io, "MAX_MEGAPIXELS", portrait.shape[0] * portrait.shape[1] / 1e6)
    assert read_image(portrait).shape == portrait.shape
    with pytest.raises(ValueError, match=re.escape("shrink it first")):
        read_image(np.zeros((513, 512, 3), np.uint8))


POSTSCRIPT = b"""%!PS-Adobe-3.0 EPSF-3.0
%%BoundingBox: 0 0 8 8
%%EndComments
showpage
%%EOF
"""


@pytest.mark.skipif(os.name != "posix", reason="the stand-in for Ghostscript is a shell script")
def test_no_other_program_is_started_for_an_image(tmp_path, monkeypatch):
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {tmp_path / 'started'}\nexit 1\n")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "holiday.jpg").write_bytes(POSTSCRIPT)
    with pytest.raises(ValueError, match="holiday.jpg is not an image of a kind that is accepted"):
        read_image(tmp_path / "holiday.jpg")
    with Image.open(tmp_path / "holiday.jpg") as opened, pytest.raises(ValueError, match="not an image of"):
        read_image(opened)
    assert not (tmp_path / "started").exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_pipes_and_devices_are_refused_instead_of_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    for file in (tmp_path / "pipe.png", "/dev/zero"):
        with pytest.raises(ValueError, match="is a pipe or a device: name an ordinary image file"):
            read_image(file)


def test_photographs_of_iphones_get_the_way_out(tmp_path):
    file = tmp_path / "IMG_0001.HEIC"
    file.write_bytes(b"\0\0\0\x18ftypheic" + bytes(99))
    for source in (file, file.read_bytes(), io.BytesIO(file.read_bytes())):
        with pytest.raises(ValueError, match="HEIC photograph, as iPhones take them: export it as JPEG"):
            read_image(source)


def test_an_open_file_is_called_by_its_name(tmp_path):
    (tmp_path / "me.jpg").write_bytes(b"no image")
    with open(tmp_path / "me.jpg", "rb") as file, pytest.raises(ValueError, match="me.jpg is not an image"):
        read_image(file)


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("a.png", True),
        ("IMG_1.JPG", True),
        ("below/it.jfif", True),
        ("./a.webp", True),
        ("IMG_1.HEIC", True),
        ("._a.png", False),
        (".ipynb_checkpoints/a.png", False),
        ("__MACOSX\\a.png", False),
        ("Thumbs.db", False),
        ("README.pdf", False),
        ("photo.eps", False),
        ("png", False),
        ("", False),
    ],
)
def test_a_search_for_images_goes_by_suffix_and_passes_hidden_files(name, is_one):
    assert is_image_name(name) == is_one


KINDS = ("PNG", "TIFF", "GIF", "BMP", "WEBP", "JPEG", "PPM")
FADING = Image.fromarray((np.indices((16, 16)).sum(0) * 8).astype(np.uint8))


@settings(max_examples=150)
@given(kind=st.sampled_from(KINDS), cut=st.floats(0, 2), data=st.data())
def test_damaged_images_are_read_or_refused_in_a_sentence_that_names_them(tmp_path_factory, kind, cut, data):
    content = bytearray(saved(FADING.convert("RGB"), kind))
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=8)):
        content[place] = data.draw(st.integers(0, 255))
    file = tmp_path_factory.getbasetemp() / "holiday.jpg"
    file.write_bytes(content[: round(cut * len(content))])
    for read in (read_image, read_mask_image):
        try:
            assert read(file).dtype == np.uint8
        except ValueError as error:
            assert str(error).startswith(str(file)) and str(error).endswith(".") and "\n" not in str(error)
