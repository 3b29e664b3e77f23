"""Tables of labels meet the images that they mean, and say which rows meet none."""

import io
import unicodedata
import warnings

import numpy as np
import pytest

from facecomp_lib.faces.labels import read_side_files

COMPOSED, APART = (unicodedata.normalize(form, "Zo\u00e9.png") for form in ("NFC", "NFD"))


def read(text, names, encoding="utf-8"):
    return read_side_files({"labels.csv": text.encode(encoding)}, "labels.csv", None, names)


def rows_of(files, names):
    """Image -> the row that it gets from a table of these files, which meets all of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return read("file,age\n" + "".join(f"{file},{row}\n" for row, file in enumerate(files)), names).row_of


@pytest.mark.parametrize(
    ("file", "image"),
    [
        ("a.png", "a.png"),
        (COMPOSED, APART),
        (APART, COMPOSED),
        ("sub\\b.png", "sub/b.png"),
        ("./sub/b.png", "sub/b.png"),
        ("sub//b.png", "sub/b.png"),
        (" a.png", "a.png"),
        ("img.jpg", "IMG.JPG"),
        ("SUB/B.png", "sub/b.png"),
        ("b.png", "sub/b.png"),
        ("B.PNG", "sub/b.png"),
        ("M\\udcfcller.png", "M\udcfcller.png"),  # as the manifest writes a name that is not UTF-8
    ],
)
def test_names_meet_however_a_system_writes_them(file, image):
    assert rows_of([file], [image, "other.png"]) == {image: 0}


def test_the_name_that_fits_best_wins():
    assert rows_of(["img.jpg", "IMG.JPG"], ["IMG.JPG"]) == {"IMG.JPG": 1}
    assert rows_of(["IMG.JPG", "img.jpg"], ["IMG.JPG"]) == {"IMG.JPG": 0}
    assert rows_of([APART, COMPOSED], [COMPOSED, APART]) == {APART: 0, COMPOSED: 1}
    assert rows_of(["b.png", "a/b.png"], ["b.png", "a/b.png"]) == {"b.png": 0, "a/b.png": 1}


def test_a_name_that_fits_two_images_meets_none():
    for names in (["a/x.png", "b/x.png"], ["X.png", "x.PNG"]):
        with pytest.raises(ValueError, match="1 of 1 rows of labels.csv name no image"):
            read("file,age\nx.png,1\n", names)


def test_rows_that_meet_no_image_are_counted_with_examples():
    with pytest.warns(UserWarning, match="3 of 4 rows of labels.csv .* such as 'x.png' and 'y.png'"):
        table = read("file,age\nx.png,1\na.png,2\ny.png,3\nz.png,4\n", ["a.png"])
    assert table.numbers[table.row_of["a.png"]] == 2


def test_a_split_column_is_kept():
    for values in (("train", "val", "test"), ("0", "1", "2"), ("Train", "valid", " TEST ")):
        rows = "".join(f"{i}.png,{value}\n" for i, value in enumerate(values))
        table = read("file,split\n" + rows, ["0.png", "1.png", "2.png"])
        assert list(table.splits) == ["train", "val", "test"] and not table.scalars and not table.attributes


def test_lines_of_other_systems_are_read():
    table = read("\ufefffile,age\r\na.png,3\r\n\r\n", ["a.png"])
    assert table.scalars == ("age",) and table.numbers.tolist() == [[3]]


def mutated(data, rng):
    data = bytearray(data)
    for place in rng.integers(len(data), size=rng.integers(1, 6)):
        data[place] = rng.integers(256)
    return bytes(data[: rng.integers(1, len(data))] if rng.random() < 0.3 else data)


def test_mutated_side_files_are_read_or_refused_by_name():
    names = [f"{i}.png" for i in range(6)]
    rows = [f"{i}.png,{i},{i % 2},{i / 2},train" for i in range(6)]
    labels = "\n".join(["file,identity,male,age,split", *rows]).encode()
    file = io.BytesIO()
    np.save(file, np.zeros((6, 68, 2), np.float32))
    points = file.getvalue()[:600]
    rng, refused = np.random.default_rng(0), 0
    for turn in range(1500):
        contents = {"l.csv": labels, "p.npy": file.getvalue()}
        name = ("l.csv", "p.npy")[turn % 2]
        contents[name] = mutated((labels, points)[turn % 2], rng)
        if turn % 4 == 1:
            contents[name] += file.getvalue()[len(contents[name]) :]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                read_side_files(contents, "l.csv", "p.npy", names)
        except ValueError as error:
            refused += 1
            assert name in str(error) and "\n" not in str(error), repr(error)
    assert 300 < refused < 1500
