"""Masks of one's own: images of them, alone or in a folder."""

import io
import os
import pickle
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from facecomp_lib import masks


def stripe(height=40, width=50, share=0.25):
    """An image whose left `share` is light: uint8."""
    image = np.zeros((height, width), np.uint8)
    image[:, : round(share * width)] = 255
    return image


def save(folder, **images):
    for name, image in images.items():
        Image.fromarray(image).save(folder / f"{name}.png")


def test_masks_come_from_a_folder_and_fit_the_bin(tmp_path):
    save(tmp_path, a=stripe(share=0.24), b=stripe(share=0.52), c=stripe(share=0.02))
    mask = masks.make("irregular_20_30", (64, 100), 8, folder=tmp_path)
    check = 1 - torch.from_numpy(stripe(64, 100, 0.24) / 255).float()
    for one in mask[:, 0]:
        assert torch.equal(one, check) or torch.equal(one, check.flip(-1))
    assert torch.equal(mask[:5], masks.make("irregular_20_30", (64, 100), 5, folder=str(tmp_path)))
    assert len(mask.flatten(1).unique(dim=0)) == 2, "flips are random"
    dark = masks.make("irregular_40_50", (64, 100), folder=tmp_path, invert=True)
    assert masks.hole_fraction(dark).item() == pytest.approx(0.48)


def test_masks_in_a_folder_are_flipped_both_ways_and_chosen_evenly(tmp_path):
    corner = np.zeros((20, 20), np.uint8)
    corner[:10, :10] = 255
    save(tmp_path, corner=corner, stripe=stripe(20, 20, 0.25))
    mask = masks.make("irregular_20_30", 20, 200, folder=tmp_path)
    different, counts = mask.flatten(1).unique(dim=0, return_counts=True)
    assert len(different) == 4 + 2
    assert counts.min() > 10


@pytest.mark.parametrize("kind", ["1", "L", "P", "RGB", "RGBA", "I;16", "zero-one", "jpg"])
def test_any_image_is_a_mask(kind, tmp_path):
    image = Image.fromarray(stripe())
    if kind == "I;16":
        image = Image.fromarray(stripe().astype(np.uint16) * 257)
    elif kind == "zero-one":
        image = Image.fromarray(stripe() // 255)
    elif kind != "jpg":
        image = image.convert(kind)
    image.save(tmp_path / ("mask.jpg" if kind == "jpg" else "mask.png"))
    share = masks.hole_fraction(masks.make("irregular_20_30", (40, 50), folder=tmp_path)).item()
    assert share == pytest.approx(round(0.25 * 50) / 50)


def test_a_folder_that_changes_is_read_anew(tmp_path):
    save(tmp_path, a=stripe(share=0.3))
    with pytest.raises(ValueError, match="None of the 1 masks in .* another kind, or invert=True if dark"):
        masks.make("irregular_10_20", 50, folder=tmp_path)
    save(tmp_path, b=stripe(share=0.14))
    mask = masks.make("irregular_10_20", 50, folder=tmp_path)
    assert masks.hole_fraction(mask).item() == pytest.approx(0.14)


class Trap:
    def __reduce__(self):
        return exec, ("raise AssertionError('unpickled')",)


def test_a_folder_is_a_kind_whose_masks_are_its_images(tmp_path):
    square = np.zeros((32, 32), np.uint8)
    square[4:10, 6:20] = 255
    for place, image in enumerate((square, square.T, np.full_like(square, 255))):  # the last hides all
        Image.fromarray(image).save(tmp_path / f"{place}.png")
    seen = masks.make(tmp_path, 32, 40, seed=1)
    assert torch.equal(seen, masks.make(str(tmp_path), 32, 40, seed=1))
    flips = [np.flip(hole, axes) for hole in (square > 0, square.T > 0) for axes in ((), 0, 1, (0, 1))]
    shapes = {hole.tobytes() for hole in (seen[:, 0] == 0).numpy()}
    assert shapes <= {np.ascontiguousarray(hole).tobytes() for hole in flips} and len(shapes) > 4
    assert masks.hole_fraction(masks.make(tmp_path, 32, 5, invert=True)).min() > 0.5
    with pytest.raises(ValueError, match="has no option side: it has invert"):
        masks.make(tmp_path, 32, side=3)


def test_what_is_neither_a_kind_nor_a_folder_is_refused(tmp_path):
    for wrong in ("centre", tmp_path / "nowhere", "", 3, None):
        with pytest.raises(ValueError, match="Unknown mask kind .* center, .* or name a folder of masks"):
            masks.make(wrong)


def test_a_folder_without_usable_masks_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder .*nowhere"):
        masks.make("irregular_10_20", 32, folder=tmp_path / "nowhere")
    (tmp_path / "mask.pkl").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ValueError, match="holds no images itself"), pytest.warns(UserWarning):
        masks.make("irregular_10_20", 32, folder=tmp_path)
    (tmp_path / "mask.png").write_bytes(pickle.dumps(Trap()))
    with (
        pytest.raises(ValueError, match="None of the 1 images .*mask.png is not"),
        pytest.warns(UserWarning),
    ):
        masks.make("irregular_10_20", 32, folder=tmp_path)


def test_what_is_no_mask_in_a_folder_is_left_out_and_named_once(tmp_path):
    save(tmp_path, good=stripe())
    for hidden in ("._good.png", ".DS_Store", "Thumbs.db", "README.pdf", "phone.heic"):
        (tmp_path / hidden).write_bytes(b"no image")
    (tmp_path / "cut.png").write_bytes((tmp_path / "good.png").read_bytes()[:60])
    (tmp_path / "below.png").mkdir()
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.png")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for step in range(3):
            mask = masks.make(tmp_path, (40, 50), 10, step=step)
            assert masks.hole_fraction(mask).tolist() == pytest.approx([round(0.25 * 50) / 50] * 10)
    sentences = sorted(str(warning.message).replace(str(tmp_path), "") for warning in said)
    assert sum("README.pdf, Thumbs.db" in sentence for sentence in sentences) == 1
    assert sum("cut.png is damaged" in sentence for sentence in sentences) == 1
    assert sum("phone.heic is not an image" in sentence for sentence in sentences) == 1
    assert not any("._good" in sentence or "DS_Store" in sentence for sentence in sentences)
    assert len(sentences) == 3 + hasattr(os, "mkfifo")


def on_a_layer(opaque, colour):
    """A mask as painting programs keep it: one colour, opaque where something was painted. RGBA."""
    image = np.empty((*opaque.shape, 4), np.uint8)
    image[...] = colour, colour, colour, 0
    image[..., 3] = opaque
    return image


@pytest.mark.parametrize("colour", [0, 255])
@pytest.mark.parametrize("kind", ["RGBA", "LA", "P"])
def test_of_a_transparent_image_alpha_is_the_mask(kind, colour, tmp_path):
    image = Image.fromarray(on_a_layer(stripe(), colour))
    if kind == "P":
        transparent = Image.fromarray((stripe() == 0).astype(np.uint8), "L").convert("P")
        transparent.putpalette([colour] * 6)
        transparent.save(tmp_path / "mask.png", transparency=1)
    else:
        image.convert(kind).save(tmp_path / "mask.png")
    expected = torch.from_numpy(stripe() == 0).float()[None, None]
    assert torch.equal(masks.read(tmp_path / "mask.png"), expected)
    assert torch.equal(masks.read(tmp_path / "mask.png", invert=True), 1 - expected)
    made = masks.make("irregular_20_30", (40, 50), folder=tmp_path)
    assert masks.hole_fraction(made).item() == pytest.approx(round(0.25 * 50) / 50)


def test_a_mask_is_read_with_light_as_missing_unless_it_is_inverted(tmp_path):
    save(tmp_path, mask=stripe())
    known = torch.from_numpy(stripe() == 0).float()[None, None]
    data = (tmp_path / "mask.png").read_bytes()
    for source in (tmp_path / "mask.png", str(tmp_path / "mask.png"), data, io.BytesIO(data), stripe(),
                   stripe() / 255, stripe() > 0, Image.fromarray(stripe())):  # fmt: skip
        assert torch.equal(masks.read(source), known)
        assert torch.equal(masks.read(source, invert=True), 1 - known)
    soft = np.repeat(np.array([[0, 100, 155, 255]], np.uint8), 4, axis=0)
    assert masks.read(soft)[0, 0, 0].tolist() == [1, 1, 0, 0]


@pytest.mark.parametrize("size", [(40, 50), 100, (20, 25), 7])
def test_a_mask_is_read_at_the_size_of_the_image(size):
    mask = masks.read(stripe(), size)
    height, width = np.broadcast_to(size, 2)
    assert mask.shape == (1, 1, height, width) and mask.dtype == torch.float32
    assert masks.hole_fraction(mask).item() == pytest.approx(0.25, abs=0.5 / width + 0.02)
    image = torch.rand(2, 3, height, width)
    assert torch.equal(masks.check(image, mask), mask.expand(2, 1, -1, -1))


def test_what_cannot_be_read_as_a_mask_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file .*nowhere.png"):
        masks.read(tmp_path / "nowhere.png")
    with pytest.raises(ValueError, match="is a folder: name one image in it"):
        masks.read(tmp_path)
    (tmp_path / "mask.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match="mask.png is not an image"):
        masks.read(tmp_path / "mask.png")
    for size in (0, (3, -1), 1.5):
        with pytest.raises(ValueError, match="size must be"):
            masks.read(stripe(), size)
    with pytest.raises(ValueError, match="masks.read takes one image"):
        masks.make(tmp_path / "mask.png")
    with pytest.raises(ValueError, match=r"1 \(known\) and 0 \(missing\) only: masks.read makes"):
        masks.check(torch.rand(1, 3, 8, 8), torch.full((1, 1, 8, 8), 255.0))
