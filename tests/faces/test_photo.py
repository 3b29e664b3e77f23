"""Photographs: any image in, an aligned face, and back without touching the photograph's known pixels."""

import io
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from photo_help import need_dlib
from PIL import Image

import facecomp_lib as fc
from facecomp_lib.faces import alignment, image_io
from facecomp_lib.faces import photo as photo_module
from facecomp_lib.faces.image_io import read_image

skimage_data = pytest.importorskip("skimage.data")


@pytest.fixture(scope="module")
def portrait():
    return skimage_data.astronaut()


@pytest.fixture(scope="module")
def points():
    file = Path(photo_module.__file__).parent / "data" / "astronaut_landmarks.json"
    return np.array(json.loads(file.read_text())["landmarks"])


def center_hole(size):
    return fc.masks.make("center", size=size)


def colour_off(a, b):
    return (a.float() - b.float()).abs().mean().item()


# ------------------------------------------------------------------------------------------------ alignment


@pytest.mark.parametrize("size", [64, 128, 256, 512])
def test_the_astronaut_lies_in_the_frame_at_any_size(size):
    face = fc.faces.astronaut(size)
    assert face.image.shape == (1, 3, size, size) and face.image.dtype == torch.float32
    assert face.image.min() >= 0 and face.image.max() <= 1
    off = (alignment.anchors(face.landmarks[0].numpy()) - alignment.template(size)) / size
    assert np.abs(off).max() < 0.02, "one similarity cannot meet three points exactly, but nearly"
    assert face.detector == "given" and face.inside.min() == 1


@settings(max_examples=12, deadline=None)
@given(degrees=st.floats(-60, 60), zoom=st.floats(0.8, 2.5))
def test_rotating_and_enlarging_the_photograph_changes_nothing_in_the_crop(degrees, zoom):
    import cv2

    image, known = skimage_data.astronaut(), fc.faces.astronaut(128)
    c, s = zoom * np.cos(np.radians(degrees)), zoom * np.sin(np.radians(degrees))
    move = np.array([[c, -s, 0], [s, c, 0]])
    move[:, 2] = np.array([400, 400]) - move[:, :2] @ known.photo_landmarks.mean(axis=0)
    moved = cv2.warpAffine(image, move, (800, 800), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    face = fc.faces.from_photo(moved, 128, landmarks=alignment.apply(move, known.photo_landmarks))
    torch.testing.assert_close(face.landmarks, known.landmarks, atol=1e-3, rtol=0)
    reached = (face.inside * known.inside).bool().expand_as(face.image)
    assert colour_off(face.image[reached], known.image[reached]) < 0.02


def test_shrinking_is_antialiased(points):
    stripes = np.zeros((512, 512, 3), np.uint8)
    stripes[:, ::2] = 255  # far finer than the crop's pixels: only grey may be left
    face = fc.faces.from_photo(stripes, 32, landmarks=points)
    assert (face.image - 0.5).abs().max() < 0.12


def test_a_crop_that_leaves_the_image_says_where(portrait, points):
    cut = portrait[90:170, 185:260]
    face = fc.faces.from_photo(cut, 128, landmarks=points - (185, 90))
    whole = fc.faces.astronaut(128)
    assert 0.1 < face.inside.mean() < 0.6
    deep = torch.nn.functional.avg_pool2d(face.inside, 5, 1, 2) == 1  # away from the edge
    assert colour_off(face.image[deep.expand(1, 3, -1, -1)], whole.image[deep.expand(1, 3, -1, -1)]) < 0.01
    outside_colours = face.image[:, :, 0, :]
    assert torch.isfinite(outside_colours).all()
    assert np.array_equal(face.paste(face.image, torch.ones(1, 1, 128, 128)), cut)


# ------------------------------------------------------------------------------------------------- pasting


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 99), size=st.sampled_from([64, 128, 300]), feather=st.floats(0, 12))
def test_known_pixels_of_the_photograph_survive_bit_for_bit(seed, size, feather):
    face = fc.faces.astronaut(size)
    rng = np.random.default_rng(seed)
    mask = np.ones((size, size), np.float32)
    y, x = rng.integers(0, size * 3 // 4, 2)
    mask[y : y + rng.integers(1, size), x : x + rng.integers(1, size)] = 0
    result = face.paste(torch.rand(1, 3, size, size), torch.from_numpy(mask)[None, None], feather=feather)
    changed = (result != face.photo).any(axis=-1)
    ys, xs = np.nonzero(changed)
    landed = alignment.apply(face.matrix, np.stack([xs, ys], axis=-1))
    # every changed pixel falls into the hole; pixels exactly on its edge may be counted to either side
    edge = 0.05
    near = [
        np.rint(np.clip(landed + (dx, dy), 0, size - 1)).astype(int)
        for dx in (-edge, edge)
        for dy in (-edge, edge)
    ]
    assert np.all(np.min([mask[p[:, 1], p[:, 0]] for p in near], axis=0) == 0)
    assert result.dtype == np.uint8 and result.shape == face.photo.shape


def test_the_hole_is_filled_with_the_completed_crop(portrait):
    face = fc.faces.astronaut(128)
    mask = center_hole(128)
    result = face.paste(torch.full_like(face.image, 0.25), mask, feather=0)
    changed = (result != portrait).any(axis=-1)
    assert np.abs(result[changed].astype(int) - 64).max() <= 1
    area = (1 - mask).sum().item() / np.linalg.det(face.matrix[:, :2])
    assert changed.sum() == pytest.approx(area, rel=0.03)


def test_pasting_the_untouched_crop_gives_nearly_the_photograph():
    face = fc.faces.astronaut(512)  # twice finer than the photograph, so that the way back loses little
    result = face.paste(face.image, center_hole(512), feather=0)
    off = np.abs(result.astype(int) - face.photo)
    changed = off.any(axis=-1)
    assert off[changed].mean() < 3


def test_what_was_under_the_hole_has_no_influence(portrait, points):
    face = fc.faces.astronaut(128)
    mask = center_hole(128)
    completed = torch.rand(1, 3, 128, 128)
    pasted = face.paste(completed, mask, feather=5)
    black, white = (face.paste(torch.full_like(face.image, v), mask, feather=0) for v in (0, 1))
    hidden = (black != white).any(axis=-1)
    other = np.where(hidden[..., None], np.uint8(7), portrait)
    other_face = fc.faces.from_photo(other, 128, landmarks=points)
    under = (other_face.paste(completed, mask, feather=5) != pasted).any(axis=-1)
    assert hidden.sum() > 1000 and not under.any()


def test_a_feathered_seam_is_softer_than_a_hard_one(portrait):
    face = fc.faces.astronaut(128)
    mask = center_hole(128)
    completed = torch.zeros_like(face.image)

    def jump(feather):
        result = face.paste(completed, mask, feather=feather).astype(int)
        hole = (face.paste(completed, mask, feather=0) != portrait).any(axis=-1)
        rim = hole[:, 1:] != hole[:, :-1]
        return np.abs(np.diff(result, axis=1)).mean(axis=-1)[rim].mean()

    assert jump(6) < 0.4 * jump(0)


def test_without_a_mask_the_whole_crop_is_put_back(portrait):
    face = fc.faces.astronaut(128)
    result = face.paste(torch.zeros_like(face.image), feather=0)
    changed = (result != portrait).any(axis=-1)
    assert changed.sum() == pytest.approx(128**2 / np.linalg.det(face.matrix[:, :2]), rel=0.02)


def test_no_hole_gives_the_photograph_back(portrait):
    face = fc.faces.astronaut(64)
    result = face.paste(torch.rand(1, 3, 64, 64), torch.ones(1, 1, 64, 64))
    assert np.array_equal(result, portrait) and result is not face.photo


@pytest.mark.parametrize(
    ("completed", "mask", "feather", "says"),
    [
        (torch.zeros(1, 3, 32, 32), None, 1, r"completed must be \[1, 3, 64, 64\]"),
        (np.zeros((1, 3, 64, 64)), None, 1, "completed must be a float tensor"),
        (torch.full((1, 3, 64, 64), float("nan")), None, 1, "NaN or infinite"),
        (torch.zeros(1, 3, 64, 64), torch.ones(1, 3, 64, 64), 1, r"mask must be \[1, 1, 64, 64\]"),
        (torch.zeros(1, 3, 64, 64), torch.full((1, 1, 64, 64), 0.5), 1, "1 .known. and 0 .missing."),
        (torch.zeros(1, 3, 64, 64), None, -1, "feather"),
    ],
)
def test_what_cannot_be_pasted_is_refused_in_a_sentence(completed, mask, feather, says):
    with pytest.raises(ValueError, match=says):
        fc.faces.astronaut(64).paste(completed, mask, feather=feather)


# ---------------------------------------------------------------------------------------- kinds of images


def saved(image, file_format, **options):
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


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


def test_a_rotated_photograph_pastes_back_upright(portrait, points, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    file = tmp_path / "turned.png"
    file.write_bytes(saved(Image.fromarray(portrait).transpose(Image.Transpose.ROTATE_90), "PNG", exif=exif))
    face = fc.faces.from_photo(file, 64, landmarks=points)
    assert np.array_equal(face.paste(face.image, torch.ones(1, 1, 64, 64)), portrait)


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
    import struct
    import zlib

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
        fc.faces.from_photo(file)
    assert "me.png" in str(caught.value) and "\n" not in str(caught.value)


def test_missing_files_folders_and_strange_sources_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="nobody.jpg"):
        fc.faces.from_photo(tmp_path / "nobody.jpg")
    with pytest.raises(ValueError, match="is a folder"):
        fc.faces.from_photo(tmp_path)
    with pytest.raises(ValueError, match="file name"):
        fc.faces.from_photo(None)


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


@pytest.mark.parametrize(
    ("landmarks", "says"),
    [
        (np.zeros((5, 2)), r"landmarks must be \[68, 2\], not \[5, 2\]"),
        (np.full((68, 2), np.nan), "landmarks has NaN or infinite values"),
        (np.zeros((68, 2)), "coincide"),
        (np.random.default_rng(0).random((68, 2)) * 50 + 5000, "outside the photograph"),
    ],
)
def test_unusable_landmarks_are_refused(portrait, landmarks, says):
    with pytest.raises(ValueError, match=says):
        fc.faces.from_photo(portrait, landmarks=landmarks)


@pytest.mark.parametrize("size", [0, 7, 10000, 12.5, "big"])
def test_sizes_out_of_range_are_refused(portrait, points, size):
    with pytest.raises(ValueError, match="px. must be a whole number, 8 ... 4096"):
        fc.faces.from_photo(portrait, size, landmarks=points)


def test_fifty_megapixels_are_the_limit_and_the_message_shows_the_way(monkeypatch, portrait, points):
    monkeypatch.setattr(image_io, "MAX_MEGAPIXELS", portrait.shape[0] * portrait.shape[1] / 1e6)
    assert fc.faces.from_photo(portrait, 64, landmarks=points).size == 64
    with pytest.raises(ValueError, match=re.escape("shrink it first")):
        read_image(np.zeros((513, 512, 3), np.uint8))


# ----------------------------------------------------------------------------------- with dlib's detector


def test_no_face_shows_what_to_try(monkeypatch):
    from facecomp_lib.faces import landmarks

    need_dlib()
    monkeypatch.setattr(landmarks, "best_detector", lambda: "dlib")
    noise = np.random.default_rng(0).integers(0, 255, (200, 300, 3), dtype=np.uint8)
    with pytest.raises(
        ValueError, match="No face found in the photograph .300 x 200 px, searched by dlib.*upright"
    ):
        fc.faces.from_photo(noise)


def test_the_largest_face_is_taken_and_the_detector_is_named(monkeypatch, portrait):
    from facecomp_lib.faces import landmarks

    need_dlib()
    monkeypatch.setattr(landmarks, "best_detector", lambda: "dlib")
    half = np.asarray(Image.fromarray(portrait).resize((300, 300)))
    both = np.full((512, 830, 3), 128, np.uint8)
    both[:300, :300], both[:, 318:] = half, portrait
    face = fc.faces.from_photo(both, 128)
    assert face.detector == "dlib"
    assert colour_off(face.image, fc.faces.astronaut(128).image) < 0.01


POSTSCRIPT = b"""%!PS-Adobe-3.0 EPSF-3.0
%%BoundingBox: 0 0 8 8
%%EndComments
showpage
%%EOF
"""


@pytest.mark.skipif(os.name != "posix", reason="the stand-in for Ghostscript is a shell script")
def test_no_other_program_is_started_for_a_image(tmp_path, monkeypatch):
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {tmp_path / 'started'}\nexit 1\n")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "holiday.jpg").write_bytes(POSTSCRIPT)
    with pytest.raises(ValueError, match="holiday.jpg is not an image of a kind that is accepted"):
        read_image(tmp_path / "holiday.jpg")
    assert not (tmp_path / "started").exists()


@settings(max_examples=60)
@given(st.sampled_from(["PNG", "TIFF", "GIF", "BMP", "WEBP", "JPEG", "PPM"]), st.data())
def test_damaged_images_are_read_or_refused_in_a_sentence_that_names_them(kind, data):
    buffer = io.BytesIO()
    Image.fromarray(np.arange(768, dtype=np.uint32).astype(np.uint8).reshape(16, 16, 3)).save(buffer, kind)
    content = bytearray(buffer.getvalue())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=8)):
        content[place] = data.draw(st.integers(0, 255))
    try:
        assert read_image(bytes(content)).dtype == np.uint8
    except ValueError as error:
        assert str(error).startswith("The image ")
