"""Prepared data sets: written whole or not at all, equal bytes for equal faces, damage refused by name."""

import json
import os
import struct

import numpy as np
import pyarrow as pa
import pytest
from tiny_faces import ATTRIBUTES, SCALARS, SIZE, own_pixels, record, write

from facecomp_lib.faces import codec
from facecomp_lib.faces.splits import split_of
from facecomp_lib.faces.store import Store, arrow_schema
from facecomp_lib.faces.writer import Writer


def tree(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_what_is_written_is_read(tmp_path):
    store = Store(write(tmp_path / "set", image_format="png"))
    assert len(store) == 6
    for number in range(6):
        expected = record(number)
        assert np.array_equal(store.image(number, SIZE), expected["image"])
        assert np.array_equal(store.parsing(number, SIZE), expected["parsing"])
        assert store.column("name")[number] == expected["name"]
        assert store.column("split")[number] == expected["split"]
        assert store.column("identity")[number] == number
        assert store.column("age")[number] == 20 + number
        assert list(store.column("attributes")[number]) == list(expected["attributes"].values())
        for name in ("landmarks", "pose", "lamps"):
            assert np.array_equal(store.column(name)[number], np.float32(expected[name]).reshape(-1))
    assert store.meta["version"] == "1"


def test_mirror_flow_is_kept_to_a_64th_of_a_pixel_and_light_to_one_percent(tmp_path):
    store = Store(write(tmp_path / "set"))
    for number in range(6):
        expected = record(number)
        flow, valid = store.mirror_flow(number, SIZE)
        assert np.array_equal(valid, expected["mirror_valid"])
        assert np.abs(flow - expected["mirror_flow"])[valid].max() * (SIZE - 1) / 2 <= 1 / 128 + 1e-4
        assert np.array_equal(flow[~valid], own_pixels(SIZE)[~valid])
        assert np.abs(store.light_ratio(number, SIZE) / expected["light_ratio"] - 1).max() < 0.01


@pytest.mark.parametrize("image_format", codec.IMAGE_FORMATS)
def test_colours_keep_their_order_in_every_format(tmp_path, image_format):
    red = record(0) | {"image": np.full((SIZE, SIZE, 3), (200, 40, 90), np.uint8)}
    writer = Writer(tmp_path / "set", "red", SIZE, ATTRIBUTES, SCALARS, image_format=image_format)
    writer.add_part(0, [red])
    assert np.abs(Store(writer.finish()).image(0, SIZE).mean((0, 1)) - (200, 40, 90)).max() < 4


def test_unknown_labels_stay_unknown(tmp_path):
    bare = {"name": "photo", "split": "train", "image": record(0)["image"]}
    writer = Writer(tmp_path / "set", "photos", SIZE, scalars=("age",))
    writer.add_part(0, [bare, bare | {"identity": 7, "landmarks": np.zeros((68, 2)), "scalars": {"age": 3}}])
    store = Store(writer.finish())
    assert list(store.known("landmarks")) == [False, True]
    assert not store.known("parsing").any() and not store.known("mirror_flow").any()
    assert list(store.column("identity")) == [-1, 7]
    assert np.isnan(store.column("landmarks")[0]).all() and (store.column("landmarks")[1] == 0).all()
    assert np.isnan(store.column("age")[0]) and store.column("age")[1] == 3


def test_equal_faces_give_equal_bytes_whoever_encodes_them(tmp_path):
    first = write(tmp_path / "a")
    writer = Writer(tmp_path / "b", "tiny", SIZE, ATTRIBUTES, SCALARS, version="1")
    encoded = [codec.encode_record(record(number)) for number in range(6)]  # as a worker process would
    writer.add_part(1, encoded[4:])
    writer.add_part(0, encoded[:4])
    assert tree(writer.finish()) == tree(first)


def test_a_killed_run_resumes_and_keeps_finished_parts(tmp_path):
    whole = tree(write(tmp_path / "whole"))
    records = [record(number) for number in range(6)]
    killed = Writer(tmp_path / "set", "tiny", SIZE, ATTRIBUTES, SCALARS, version="1")
    killed.add_part(0, records[:4])
    with pytest.raises(ValueError, match="unfinished"):
        Store(tmp_path / "set")
    again = Writer(tmp_path / "set", "tiny", SIZE, ATTRIBUTES, SCALARS, version="1")
    assert again.has_part(0) and not again.has_part(1)
    assert not again.add_part(0, [])  # kept, whatever it is offered
    assert again.add_part(1, records[4:])
    assert tree(again.finish()) == whole


def test_a_crash_while_writing_leaves_nothing_behind(tmp_path, monkeypatch):
    writer = Writer(tmp_path / "set", "tiny", SIZE, ATTRIBUTES, SCALARS)

    def broken(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", broken)
    with pytest.raises(OSError, match="disk full"):
        writer.add_part(0, [record(0)])
    assert sorted(path.name for path in writer.folder.iterdir()) == ["lock", "meta.json"]


def test_resuming_with_other_settings_is_refused(tmp_path):
    write(tmp_path / "set")
    with pytest.raises(ValueError, match="another size.*fresh folder"):
        Writer(tmp_path / "set", "tiny", SIZE * 2, ATTRIBUTES, SCALARS, version="1")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("dear")
    with pytest.raises(ValueError, match="not empty"):
        Writer(tmp_path / "other", "tiny", SIZE)


def test_one_process_writes_at_a_time(tmp_path):
    arguments = (tmp_path / "set", "tiny", SIZE, ATTRIBUTES, SCALARS)
    with Writer(*arguments) as writer:
        with pytest.raises(BlockingIOError, match="Another process prepares .*set: wait until it ends"):
            Writer(*arguments)
        writer.add_part(0, [record(0)])
    with Writer(*arguments) as writer:  # the first one ended without having finished
        writer.add_part(1, [record(1)])
        writer.finish()
    assert list(tree(tmp_path / "set")) == ["meta.json", "part-00000.arrow", "part-00001.arrow"]
    with Writer(*arguments) as first, Writer(*arguments) as second:
        assert first.finished and second.finished  # nothing is left to do


def test_hidden_files_do_not_make_a_folder_a_foreign_one(tmp_path):
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", ".meta.json.0123456789abcdef.part"):
        (tmp_path / name).write_bytes(b"x")
    write(tmp_path)
    assert len(Store(tmp_path)) == 6 and (tmp_path / ".DS_Store").exists()
    assert not (tmp_path / ".meta.json.0123456789abcdef.part").exists()


def test_a_refused_folder_stays_as_it_was(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("dear")
    (tmp_path / "file").write_text("mine")
    for folder, sentence in (("mine", "is not empty"), ("file", "file is a file: name a fresh folder")):
        with pytest.raises(ValueError, match=sentence):
            Writer(tmp_path / folder, "tiny", SIZE)
    assert tree(tmp_path / "mine") == {"diary.txt": b"dear"}


def changed(**fields):
    return record(0) | fields


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (changed(image=np.zeros((SIZE, SIZE), np.uint8)), r"image must be uint8 \[S, S, 3\]"),
        (changed(image=np.zeros((SIZE, SIZE, 3))), "image must be uint8"),
        (
            changed(image=np.zeros((8, 8, 3), np.uint8), parsing=None, mirror_flow=None, light_ratio=None),
            "8x8 px",
        ),
        (changed(parsing=np.full((SIZE, SIZE), 11, np.uint8)), "classes 0 ... 10"),
        (changed(split="holdout"), "'holdout' is none of train"),
        (changed(landmarks=np.full((68, 2), np.nan)), "landmarks must be 136 finite"),
        (changed(light_ratio=np.zeros((SIZE, SIZE, 3))), "positive"),
        (changed(mirror_valid=None), "mirror_valid bool"),
        (changed(attributes={"male": True}), "has no 'beard'"),
        (changed(scalars={"age": 1, "height": 2}), "height"),
        (changed(scalars={"age": np.inf}), "age must be 1 finite number"),
        (changed(pose=(0, np.inf, 0)), "pose must be 3 finite numbers"),
        (changed(identity=-1), "identity must be a whole number, 0 "),
        (changed(identity=2**31), "identity must be a whole number, 0 "),
        ({key: value for key, value in record(0).items() if key != "name"}, "has no 'name'"),
    ],
)
def test_a_bad_record_is_named_and_writes_nothing(tmp_path, bad, message):
    writer = Writer(tmp_path / "set", "tiny", SIZE, ATTRIBUTES, SCALARS)
    with pytest.raises(ValueError, match=f"Record 1 of part 0.*{message}"):
        writer.add_part(0, [record(0), bad])
    assert not writer.has_part(0)


def test_one_person_cannot_be_in_two_splits(tmp_path):
    writer = Writer(tmp_path / "set", "tiny", SIZE, ATTRIBUTES, SCALARS)
    writer.add_part(0, [changed(split="train")])
    writer.add_part(1, [changed(split="test")])
    with pytest.raises(ValueError, match="set: identity 0 occurs in train and in test"):
        writer.finish()


def test_a_missing_part_in_between_is_noticed(tmp_path):
    writer = Writer(tmp_path / "set", "tiny", SIZE, ATTRIBUTES, SCALARS)
    writer.add_part(1, [record(0)])
    with pytest.raises(ValueError, match="without a gap"):
        writer.finish()


# Files from elsewhere


def edit_meta(folder, **changes):
    meta = json.loads((folder / "meta.json").read_text()) | changes
    (folder / "meta.json").write_text(json.dumps(meta))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "meta.json").write_text("{"), "meta.json is damaged or cut off"),
        (
            lambda folder: (folder / "meta.json").write_bytes(b"\xff\xfe\x00"),
            "meta.json is damaged or cut off",
        ),
        (lambda folder: (folder / "meta.json").write_text("[]"), "does not describe a prepared data set"),
        (lambda folder: edit_meta(folder, format_version=99), "format version 99"),
        (lambda folder: edit_meta(folder, size="big"), "meta.json is damaged"),
        (lambda folder: edit_meta(folder, size=True), "meta.json is damaged"),
        (lambda folder: edit_meta(folder, name=None), "meta.json is damaged"),
        (lambda folder: edit_meta(folder, count=5), "meta.json is damaged"),
        (lambda folder: edit_meta(folder, scalars=["age", "age"]), "meta.json is damaged"),
        (lambda folder: edit_meta(folder, scalars=["\ud800"]), "meta.json is damaged"),
        (lambda folder: (folder / "meta.json").write_text("[" * 100_000), "meta.json is damaged"),
        (lambda folder: edit_meta(folder, parts=[["../../part-00000.arrow", 4]]), "meta.json is damaged"),
        (lambda folder: edit_meta(folder, parts=[["part-00000.arrow", 3]], count=3), "holds 4 faces where"),
        (
            lambda folder: edit_meta(folder, scalars=["age", "height"]),
            "column 'height' must be float, found 0",
        ),
        (
            lambda folder: (folder / "part-00001.arrow").write_bytes(b"not arrow at all"),
            "part-00001.arrow is damaged or cut off",
        ),
        (
            lambda folder: (folder / "part-00001.arrow").write_bytes(b""),
            "part-00001.arrow is damaged or cut off",
        ),
    ],
)
def test_a_damaged_data_set_is_refused_by_name(tmp_path, damage, message):
    folder = write(tmp_path / "set")
    damage(folder)
    with pytest.raises(ValueError, match=message):
        Store(folder)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_part_is_refused_wherever_it_ends(tmp_path, share):
    part = write(tmp_path / "set") / "part-00000.arrow"
    data = part.read_bytes()
    part.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ValueError, match="part-00000.arrow is damaged or cut off"):
        Store(part.parent)


def test_a_missing_part_or_folder_says_what_to_do(tmp_path):
    folder = write(tmp_path / "set")
    (folder / "part-00001.arrow").unlink()
    with pytest.raises(FileNotFoundError, match="part-00001.arrow is missing"):
        Store(folder)
    with pytest.raises(FileNotFoundError, match="prepare_folder"):
        Store(tmp_path / "nowhere")


def test_columns_of_another_type_are_refused(tmp_path):
    folder = write(tmp_path / "set")
    path = folder / "part-00000.arrow"
    schema = arrow_schema(ATTRIBUTES, SCALARS)
    place = schema.get_field_index("landmarks")
    wrong = schema.set(place, pa.field("landmarks", pa.list_(pa.float64(), 136)))
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, wrong) as file:
        file.write_batch(pa.RecordBatch.from_pylist([], schema=wrong))
    with pytest.raises(ValueError, match=r"part-00000.arrow: the column 'landmarks' must be .*float.*double"):
        Store(folder)


def with_column(folder, name, values):
    """A data set of two faces, whose column ``name`` holds these values instead: no Writer writes them."""
    writer = Writer(folder, "tiny", SIZE, ATTRIBUTES, SCALARS)
    writer.add_part(0, [codec.encode_record(record(number)) for number in (0, 3)])
    writer.finish()
    path = folder / "part-00000.arrow"
    table = pa.ipc.open_file(pa.OSFile(str(path))).read_all()
    place = table.schema.get_field_index(name)
    table = table.set_column(place, name, pa.array(values, table.schema.field(name).type))
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as file:
        file.write_table(table)
    return folder


@pytest.mark.parametrize(
    ("name", "good", "bad", "fault"),
    [
        ("name", "face 0", None, "has no name"),
        ("split", "train", None, "has no split"),
        ("split", "train", "foo", "split is none of train, val, test"),
        ("image", b"", None, "has no image"),
        ("attributes", [True, False], None, "has no attributes"),
        ("attributes", [True, False], [True, None], "attributes must be finite"),
        ("landmarks", [0.0] * 136, [0.0] * 135 + [np.nan], "landmarks must be finite"),
        ("landmarks", None, [0.0] * 135 + [None], "landmarks must be finite"),
        ("pose", [0.0] * 3, [0.0, np.inf, 0.0], "pose must be finite"),
        ("lamps", None, [-np.inf] * 12, "lamps must be finite"),
        ("age", None, np.nan, "age must be finite"),
    ],
)
def test_a_store_refuses_what_a_writer_does_not_write(tmp_path, name, good, bad, fault):
    with pytest.raises(ValueError, match=rf"part-00000.arrow, row 1: it.* {fault}.*: prepare the data set"):
        Store(with_column(tmp_path / "set", name, [good, bad]))
    if good is not None and name != "image":
        Store(with_column(tmp_path / "good", name, [good, good]))


def test_a_person_in_two_splits_is_noticed_on_reading(tmp_path):
    with_column(tmp_path / "set", "identity", [7, 7])
    assert list(Store(tmp_path / "set").column("identity")) == [7, 7]
    with_column(tmp_path / "unknown", "identity", [None, None])
    assert list(Store(tmp_path / "unknown").column("identity")) == [-1, -1]
    path = write(tmp_path / "two") / "part-00000.arrow"
    table = pa.ipc.open_file(pa.OSFile(str(path))).read_all()
    place = table.schema.get_field_index("identity")
    table = table.set_column(place, "identity", pa.array([1, 1, 2, 3], pa.int32()))
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as file:
        file.write_table(table)
    with pytest.raises(ValueError, match="two: identity 1 occurs in train and in val"):
        Store(tmp_path / "two")


def mutated(data, rng):
    """The bytes with a few of them changed, or cut off, or with a stretch moved."""
    data = bytearray(data)
    kind = rng.integers(4)
    for place in rng.integers(0, len(data), rng.integers(1, 6)):
        data[place] = rng.integers(256) if kind else data[place] ^ 1 << rng.integers(8)
    if kind == 2:
        del data[rng.integers(len(data)) :]
    elif kind == 3:
        start = rng.integers(len(data))
        data[start : start + 4] = struct.pack("<i", rng.choice([-1, 0, 2**31 - 1, 2**20]))
    return bytes(data)


@pytest.mark.parametrize("name", ["part-00001.arrow", "meta.json"])
def test_mutated_files_are_read_or_refused_by_name(tmp_path, name):
    """Whatever happens to a byte: faces come out, or one sentence with the file's name."""
    folder = write(tmp_path / "set", range(3), part=2)
    whole, rng, refused = (folder / name).read_bytes(), np.random.default_rng(0), 0
    for _ in range(300):
        (folder / name).write_bytes(mutated(whole, rng))
        try:
            store = Store(folder)
            row = len(store) - 1
            for column in ("landmarks", "pose", "age", "identity", "name", "split", "attributes"):
                store.column(column)
            store.image(row, SIZE), store.parsing(row, SIZE), store.mirror_flow(row, SIZE)
            store.light_ratio(row, SIZE // 2)
        except (ValueError, OSError) as error:
            refused += 1
            assert str(folder) in str(error) and "\n" not in str(error), repr(error)
    assert 100 < refused < 300


def huge_png():
    data = bytearray(codec.encode_record(record(0), "png")["image"])
    data[16:24] = struct.pack(">II", 60_000, 60_000)
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a PNG, WebP or JPEG"),
        (b"GIF89a" + bytes(40), "not a PNG, WebP or JPEG"),
        (codec.encode_record(record(0, 16))["image"], "16x16 px where 32x32 is expected"),
        (huge_png(), "60000x60000 px"),
        (codec.encode_record(record(0))["image"][:60], "damaged"),
        (codec.encode_record(record(0), "jpeg")["image"][:30], "damaged"),
    ],
)
def test_a_image_that_cannot_be_decoded_is_named_with_file_and_row(tmp_path, data, message):
    good = codec.encode_record(record(0))["image"]
    store = Store(with_column(tmp_path / "set", "image", [good, data]))
    assert store.image(0, SIZE).shape == (SIZE, SIZE, 3)
    with pytest.raises(ValueError, match=rf"image of .*part-00000.arrow, row 1 \(face 3\): .*{message}"):
        store.image(1, SIZE)


def test_a_split_is_a_matter_of_the_person_alone():
    people = [f"person {k}" for k in range(4000)]
    splits = [split_of(person) for person in people]
    assert splits[::-1] == [split_of(person) for person in reversed(people)]
    assert abs(splits.count("test") / 4000 - 0.12) < 0.02
    assert abs(splits.count("val") / 4000 - 0.08) < 0.02
    # more test people: nobody leaves the test split
    assert all(split_of(p, test=0.3) == "test" for p, s in zip(people, splits, strict=True) if s == "test")
    assert split_of(17) == split_of("17")
    with pytest.raises(ValueError, match="shares"):
        split_of("x", val=0.9, test=0.2)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"size": "a"}, "size must be a whole number, 8 ... 8192, not 'a'"),
        ({"size": -1}, "size must be a whole number, 8 ... 8192, not -1"),
        ({"image_format": "gif"}, "Unknown image_format 'gif': choose one of webp, jpeg, png"),
        ({"quality": 0}, "quality must be a whole number, 1 ... 100, not 0"),
    ],
)
def test_what_no_data_set_can_have_is_refused_before_anything_is_written(tmp_path, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        Writer(tmp_path / "set", "faces", **{"size": SIZE} | options)
    assert not (tmp_path / "set").exists()


def test_a_tilde_is_the_users_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    written = write(tmp_path / "set")
    assert Store("~/set").folder == written
