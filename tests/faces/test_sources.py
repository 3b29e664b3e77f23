"""Folders and zip files of images: what is an image, what is left out and why, and nothing is missed."""

import os
import zipfile

import pytest
from PIL import Image

from facecomp_lib.faces.sources import ImageSource


def save(file, kind=None):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8)).save(file, kind)


def link(place, target):
    try:
        place.symlink_to(target)
    except (OSError, NotImplementedError):
        pytest.skip("this system makes no links")


@pytest.fixture
def messy(tmp_path):
    """A folder as people have them."""
    folder = tmp_path / "in"
    for name in ("a.png", "B.JPG", "sub/c.webp", "sub/deep/d.tiff", "e.gif", "f.ppm", "g.jp2"):
        save(folder / name)
    save(folder / "h.jfif", "JPEG")
    save(folder / "no suffix", "PNG")
    for name in (".hidden.png", "._a.png", ".ipynb_checkpoints/a.png", "__MACOSX/a.png"):
        save(folder / name)
    for name in ("drawing.SVG", "raw.nef", "notes.txt", "README", "labels.csv", "Thumbs.db", ".DS_Store"):
        (folder / name).write_bytes(b"nothing that can be read")
    return folder


IMAGES = ["B.JPG", "a.png", "e.gif", "f.ppm", "g.jp2", "h.jfif", "no suffix", "sub/c.webp", "sub/deep/d.tiff"]


def test_images_are_found_and_those_of_other_formats_are_named(messy):
    with ImageSource(messy) as images:
        assert images.names == IMAGES
        assert set(images.left_out) == {"drawing.SVG", "raw.nef"}
        assert images.left_out["drawing.SVG"].endswith(".svg is not read, export it as JPEG or PNG")


def test_a_zip_file_is_searched_as_a_folder_is(messy, tmp_path):
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        for file in messy.rglob("*"):
            archive.write(file, file.relative_to(messy))
    with ImageSource(tmp_path / "in.zip") as zipped, ImageSource(messy) as folder:
        assert (zipped.names, zipped.left_out) == (folder.names, folder.left_out)
        assert all(zipped.read(name) == folder.read(name) for name in IMAGES)


def test_linked_folders_are_searched_once_and_circles_end(messy, tmp_path):
    save(tmp_path / "elsewhere" / "x.png")
    save(tmp_path / "elsewhere" / "more" / "y.png")
    link(messy / "linked", tmp_path / "elsewhere")
    link(messy / "again", tmp_path / "elsewhere" / "more")
    link(messy / "self", messy)
    link(messy / "sub" / "up", messy)
    link(tmp_path / "elsewhere" / "back", tmp_path / "elsewhere")
    with ImageSource(messy) as images:
        found = [name for name in images.names if name not in IMAGES]
        assert len(images.names) == len(IMAGES) + 2
        assert [os.path.basename(name) for name in sorted(found)] == ["y.png", "x.png"]


def test_links_that_lead_nowhere_and_pipes_are_left_out_by_name(messy):
    link(messy / "broken.png", "/nowhere.png")
    os.mkfifo(messy / "pipe.png")
    os.mkfifo(messy / "pipe")
    with ImageSource(messy) as images:
        assert images.names == IMAGES
        assert images.left_out["broken.png"] == images.left_out["pipe.png"]
        assert images.left_out["pipe.png"] == "unreadable: a link that leads nowhere, or no ordinary file"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is closed to this user")
def test_a_folder_that_may_not_be_read_is_named(messy):
    (messy / "sub").chmod(0)
    try:
        assert ImageSource(messy).left_out["sub/"] == "unreadable: Permission denied"
    finally:
        (messy / "sub").chmod(0o755)


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04" + bytes(60)])
def test_what_is_no_zip_file_is_refused_by_name(tmp_path, content):
    (tmp_path / "in.zip").write_bytes(content)
    with pytest.raises(ValueError, match="in.zip is damaged or cut off .* a whole zip file"):
        ImageSource(tmp_path / "in.zip")
    with pytest.raises(FileNotFoundError, match="no folder or zip file .*nowhere"):
        ImageSource(tmp_path / "nowhere")


def test_mutated_zip_files_are_read_or_refused(messy, tmp_path):
    import numpy as np

    with zipfile.ZipFile(tmp_path / "in.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in IMAGES[:3]:
            archive.write(messy / name, name)
    whole, rng, refused = (tmp_path / "in.zip").read_bytes(), np.random.default_rng(0), 0
    for _ in range(400):
        data = bytearray(whole)
        for place in rng.integers(len(data), size=rng.integers(1, 6)):
            data[place] = rng.integers(256)
        (tmp_path / "in.zip").write_bytes(data)
        try:
            with ImageSource(tmp_path / "in.zip") as images:
                for name in images.names:
                    images.read(name)
        except ValueError as error:
            refused += 1
            assert "in.zip" in str(error) or name in str(error), repr(error)
    assert 50 < refused < 400
