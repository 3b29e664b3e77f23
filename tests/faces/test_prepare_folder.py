"""Preparing photographs: what is kept and why not, resuming to equal bytes, and clear refusals."""

import csv
import io
import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from photo_help import need_dlib, save_snapshots, snapshot
from PIL import Image

import facecomp_lib as fc
from facecomp_lib.faces import alignment, prepare_parts
from facecomp_lib.faces.prepare import MANIFEST, Options, prepare

SCRIPT = Path(__file__).resolve().parents[2] / "data_scripts" / "prepare_folder.py"
SMALL = Options(size=48, zoom=1.2, part_length=3)


@pytest.fixture
def photos(tmp_path):
    """A folder of seven photos; their landmarks lie beside it."""
    points = save_snapshots(tmp_path / "photos", 7)
    np.save(tmp_path / "points.npy", points.astype(np.float32))
    return tmp_path / "photos"


@pytest.fixture
def points(photos):
    return str(photos.parent / "points.npy")


def manifest(folder):
    with (folder / MANIFEST).open(encoding="utf-8", newline="") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


def contents(folder):
    return {file.name: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def run(source, folder, points=None, options=SMALL, **rest):
    return prepare(source, folder, options, landmarks=points, progress=False, **rest)


# --------------------------------------------------------------------------------------------- what comes out


def test_photos_become_aligned_faces_with_their_landmarks(photos, points, tmp_path):
    assert run(photos, tmp_path / "out", points) == {"kept": 7}
    faces = fc.faces.folder(tmp_path / "out")
    assert len(faces) == 7 and faces.size == 48
    batch = faces.batch(range(7))
    assert batch.image.shape == (7, 3, 48, 48)
    off = alignment.anchors(batch.landmarks.numpy()) - alignment.template(48, 1.2)
    assert np.abs(off).max() < 1.5
    direct = fc.faces.photo.align(*snapshot(0), 48, zoom=1.2)
    mine = batch[list(faces.column("name")).index("00.png")]
    assert (mine.image - direct.image).abs().mean() < 0.03  # WebP
    assert (mine.landmarks - direct.landmarks).abs().max() < 1e-3
    assert len(set(batch.identity.tolist())) == 7, "nobody is known: everyone is a person of its own"


def test_labels_give_people_attributes_and_numbers(photos, points, tmp_path):
    people = ["ann", "bob", "ann", "cy", "bob", "ann", "ann"]
    rows = [f"{i:02}.png,{person},{i % 2},{2 * (i % 2) - 1},{20 + i},{'' if i == 3 else i / 10},text {i}"
            for i, person in enumerate(people)]  # fmt: skip
    (tmp_path / "labels.csv").write_text(
        "file,identity,male,smiling,age,tone,note\n" + "\n".join(rows) + "\n"
    )
    run(photos, tmp_path / "out", points, labels=str(tmp_path / "labels.csv"))
    faces = fc.faces.folder(tmp_path / "out")
    assert tuple(faces.attribute_names) == ("male", "smiling")
    order = [int(name[:2]) for name in faces.column("name")]
    batch = faces.batch(range(7))
    assert (
        batch.attributes["male"].tolist()
        == batch.attributes["smiling"].tolist()
        == [bool(i % 2) for i in order]
    )
    assert faces.column("age").tolist() == [20 + i for i in order]
    assert np.isnan(faces.column("tone")).tolist() == [i == 3 for i in order]
    by_person = {
        (people[i], int(n), split)
        for i, n, split in zip(order, batch.identity, faces.column("split"), strict=True)
    }
    assert len(by_person) == 3, "one number and one split for each person"


def test_every_rejected_image_is_in_the_manifest_with_its_reason(photos, points, tmp_path):
    good = np.load(points)
    (photos / "a.png").write_bytes((photos / "00.png").read_bytes())
    (photos / "b.jpg").write_bytes(b"not an image")
    (photos / "c.png").write_bytes((photos / "01.png").read_bytes()[:2000])
    for name, seed in (("d", 90), ("e", 91), ("f", 92), ("g", 93)):
        Image.fromarray(snapshot(seed)[0]).save(photos / f"{name}.png")
    edge = good[0] + (110, 0)
    profile = good[0].copy()
    profile[30] = profile[16]
    odd = good[0].copy()
    odd[36:48, 1] += 25
    nan = np.full((68, 2), np.nan)
    (photos / "notes.txt").write_text("no image at all: not listed")
    np.save(points, np.concatenate([good, good[:3], [edge, profile, odd, nan]]).astype(np.float32))
    counts = run(photos, tmp_path / "out", points)
    rows = manifest(tmp_path / "out")
    assert list(rows) == sorted(file.name for file in photos.iterdir() if file.suffix != ".txt")
    reasons = {name: row["reason"] for name, row in rows.items() if row["kept"] == "0"}
    assert reasons.pop("a.png") == "duplicate: same file as 00.png"
    assert reasons.pop("b.jpg").startswith("unreadable: ") and reasons.pop("c.png").startswith("unreadable: ")
    assert reasons.pop("d.png") == "leaves the image"
    assert reasons.pop("e.png") == "head turned away"
    assert reasons.pop("f.png") == "poor alignment"
    assert reasons.pop("g.png").startswith("poor landmarks: ")
    assert not reasons
    once = ("duplicate", "leaves the image", "head turned away", "poor alignment", "poor landmarks")
    assert counts == {"kept": 7, "unreadable": 2} | dict.fromkeys(once, 1)
    assert len(fc.faces.folder(tmp_path / "out")) == 7


def test_small_faces_are_rejected_unless_asked_for(photos, points, tmp_path):
    large = Options(size=400, zoom=1.2)
    assert run(photos, tmp_path / "a", points, large) == {"kept": 0, "too small": 7}
    assert run(photos, tmp_path / "b", points, Options(size=400, zoom=1.2, min_face=50)) == {"kept": 7}


def test_images_that_the_labels_do_not_name_are_rejected(photos, tmp_path):
    (tmp_path / "labels.csv").write_text("file,age\n00.png,30\nsub/nowhere.png,31\n")
    np.save(tmp_path / "two.npy", np.load(tmp_path / "points.npy")[:2])
    with pytest.warns(UserWarning, match="1 of 2 rows of .*labels.csv .* such as 'sub/nowhere.png'"):
        counts = run(photos, tmp_path / "out", str(tmp_path / "two.npy"), labels=str(tmp_path / "labels.csv"))
    assert counts == {"kept": 1, "no labels": 6}


def test_a_split_column_decides_instead_of_the_hash(photos, points, tmp_path):
    given = ["test", "val", "train", "test", "val", "train", "test"]
    rows = "".join(f"{i:02}.png,{split}\n" for i, split in enumerate(given))
    (tmp_path / "labels.csv").write_text("file,split\n" + rows)
    run(photos, tmp_path / "out", points, labels=str(tmp_path / "labels.csv"))
    faces = fc.faces.folder(tmp_path / "out")
    split_of = dict(zip(faces.column("name"), faces.column("split"), strict=True))
    assert [split_of[f"{i:02}.png"] for i in range(7)] == given


def test_files_that_look_like_images_and_cannot_be_read_are_counted_and_named(photos, points, tmp_path):
    (photos / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    (photos / "raw.nef").write_bytes(b"raw")
    np.save(points, np.load(points)[[0, 1, 2, 3, 4, 5, 6, 0]])
    (photos / "broken.png").symlink_to("/nowhere.png")
    assert run(photos, tmp_path / "out", points) == {"kept": 7, "unreadable": 2, "other format": 1}
    rows = manifest(tmp_path / "out")
    assert list(rows) == sorted(file.name for file in photos.iterdir())
    assert rows["raw.nef"]["reason"] == "other format: .nef is not read, export it as JPEG or PNG"
    assert "HEIC photograph, as iPhones take them: export it as JPEG" in rows["IMG_1.HEIC"]["reason"]
    assert rows["broken.png"]["reason"].startswith("unreadable: a link that leads nowhere")


def test_names_that_are_not_utf8_are_prepared_like_others(photos, points, tmp_path):
    folder = os.fsencode(tmp_path) + b"/M\xfcller"
    try:
        os.rename(photos, folder)
        os.rename(folder + b"/00.png", folder + b"/00\xfc.png")
        (Path(os.fsdecode(folder)) / "00\udcfd.png").write_bytes(b"no image")
    except OSError:
        pytest.skip("this system has no such names")
    source = os.fsdecode(folder)
    np.save(tmp_path / "more.npy", np.load(points)[[0, 0, 1, 2, 3, 4, 5, 6]])
    counts = run(source, tmp_path / "out", str(tmp_path / "more.npy"))
    assert counts == {"kept": 7, "unreadable": 1}
    assert run(source, tmp_path / "out", str(tmp_path / "more.npy")) == counts
    assert {"00\\udcfc.png", "00\\udcfd.png"} < set(manifest(tmp_path / "out"))
    faces = fc.faces.folder(tmp_path / "out")
    assert faces.name == "M\\udcfcller" and "00\\udcfc.png" in faces.column("name")
    result = command(source, tmp_path / "out", "--size", 48, "--zoom", 1.2, "--landmarks", points)
    assert result.returncode == 1 and "Traceback" not in result.stderr


def test_dlib_finds_the_faces_where_no_landmarks_are_given(photos, tmp_path):
    need_dlib()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 90, 3), dtype=np.uint8)).save(
        photos / "x.png"
    )
    counts = run(photos, tmp_path / "out", options=Options(size=48, zoom=1.2, detector="dlib"))
    assert counts == {"kept": 7, "no face": 1}
    found = {
        row["file"]: float(row["doubt"]) for row in manifest(tmp_path / "out").values() if row["kept"] == "1"
    }
    assert all(0 < doubt < 0.08 for doubt in found.values())


# -------------------------------------------------------------------------------------- the same bytes always


def test_processes_and_the_kind_of_source_do_not_change_a_byte(photos, points, tmp_path):
    run(photos, tmp_path / "alone", points)
    run(photos, tmp_path / "together", points, workers=2)
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for file in sorted(photos.iterdir(), reverse=True):
            archive.write(file, file.name)
    run(tmp_path / "photos.zip", tmp_path / "zipped", points)
    assert contents(tmp_path / "alone") == contents(tmp_path / "together") == contents(tmp_path / "zipped")


@pytest.mark.parametrize("stop_after", range(9))
def test_a_run_stopped_anywhere_goes_on_to_the_same_bytes(stop_after, photos, points, tmp_path, monkeypatch):
    """Stops before the n-th file is put in place: meta.json, pieces and parts, manifest, meta.json."""
    run(photos, tmp_path / "whole", points)
    calls = []
    replace = os.replace

    def stopping(source, target):
        if len(calls) == stop_after:
            raise KeyboardInterrupt
        calls.append(target)
        replace(source, target)

    monkeypatch.setattr(os, "replace", stopping)
    with pytest.raises(KeyboardInterrupt):
        run(photos, tmp_path / "cut", points)
    monkeypatch.setattr(os, "replace", replace)
    if stop_after:  # before that there is not even a meta.json
        with pytest.raises(ValueError, match="unfinished"):
            fc.faces.folder(tmp_path / "cut")
    else:
        shutil.rmtree(tmp_path / "cut")
    run(photos, tmp_path / "cut", points)
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def test_what_is_done_is_not_done_again(photos, points, tmp_path, monkeypatch):
    first = run(photos, tmp_path / "out", points)
    monkeypatch.setattr(prepare_parts, "_do_image", None)
    assert run(photos, tmp_path / "out", points) == first


def test_of_three_commands_at_once_one_works_and_the_others_say_so(photos, points, tmp_path):
    arguments = ("--size", 48, "--zoom", 1.2, "--landmarks", points, "--workers", 1)
    program = [sys.executable, SCRIPT, photos, tmp_path / "out", *arguments]
    processes = [
        subprocess.Popen([*map(str, program)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    results = [(*process.communicate(), process.returncode) for process in processes]
    done = [out for out, _, code in results if code == 0]
    assert done and all("7 of 7 images kept" in out for out in done)
    for _, error, code in results:
        assert code == 0 or "Another process prepares" in error.splitlines()[-1]
        assert "Traceback" not in error
    run(photos, tmp_path / "alone", points, Options(size=48, zoom=1.2))
    assert contents(tmp_path / "out") == contents(tmp_path / "alone")


def test_a_script_without_a_guard_is_told_so_once(photos, points, tmp_path):
    (tmp_path / "job.py").write_text(f"""
import sys
sys.path.insert(0, {str(SCRIPT.parents[1])!r})
from facecomp_lib.faces import prepare as p
p.prepare({str(photos)!r}, "out", p.Options(size=48, zoom=1.2), None, {points!r}, workers=2, progress=False)
""")
    result = subprocess.run([sys.executable, "job.py"], cwd=tmp_path, capture_output=True, text=True)
    assert (
        result.returncode == 1 and result.stderr.count("A script must call prepare below `if __name__") == 1
    )
    assert "Another process" not in result.stderr and "freeze_support" not in result.stderr
    assert run(photos, tmp_path / "out", points, Options(size=48, zoom=1.2)) == {"kept": 7}


def test_what_killed_runs_and_desktops_leave_is_no_obstacle(photos, points, tmp_path):
    run(photos, tmp_path / "clean", points)
    out, half = tmp_path / "out", "0123456789abcdef.part"
    out.mkdir()
    others = {".DS_Store": b"desktop", ".mine.part": b"somebody's"}
    for name, data in others.items():
        (out / name).write_bytes(data)
    for name in ("meta.json", "part-00000.arrow"):  # killed before the first file was in place
        (out / f".{name}.{half}").write_bytes(b"half")
    run(photos, out, points)
    assert contents(out) == contents(tmp_path / "clean") | others
    (out / "unfinished").mkdir()  # killed after the last file was in place
    for name in ("lock", "manifest-00000.csv", f".manifest-00000.csv.{half}", "notes.txt"):
        (out / "unfinished" / name).write_bytes(b"old")
    run(photos, out, points)
    assert contents(out) == contents(tmp_path / "clean") | others | {"notes.txt": b"old"}


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="this system has no process groups to look at")
def test_a_command_keeps_others_out_and_killed_it_goes_on_and_leaves_no_processes(photos, points, tmp_path):
    program = f"""
import sys, time
sys.path.insert(0, {str(SCRIPT.parents[1])!r})
from facecomp_lib.faces import prepare as p
if __name__ == "__main__":
    at_once = p.atomic_write
    p.atomic_write = lambda *arguments: (time.sleep(0.5), at_once(*arguments))
    options = p.Options(size=48, zoom=1.2, part_length=1)
    p.prepare({str(photos)!r}, {str(tmp_path / "cut")!r}, options, None, {points!r}, workers=2)
"""
    (tmp_path / "job.py").write_text(program)
    process = subprocess.Popen([sys.executable, tmp_path / "job.py"], start_new_session=True)
    patience = time.monotonic() + 120
    while not list((tmp_path / "cut").glob("part-*.arrow")) and time.monotonic() < patience:
        time.sleep(0.02)
    with pytest.raises(BlockingIOError, match="Another process prepares .*cut: wait until it ends"):
        run(photos, tmp_path / "cut", points, Options(size=48, zoom=1.2, part_length=1))
    process.kill()
    process.wait()
    assert 1 <= len(list((tmp_path / "cut").glob("part-*.arrow"))) < 7
    while _group_lives(process.pid) and time.monotonic() < patience:
        time.sleep(0.05)
    assert not _group_lives(process.pid)
    for folder in ("cut", "whole"):
        run(photos, tmp_path / folder, points, Options(size=48, zoom=1.2, part_length=1))
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def _group_lives(group):
    try:
        os.killpg(group, 0)
        return True
    except ProcessLookupError:
        return False


# ------------------------------------------------------------------------------------------------ bad input


def test_a_zip_cannot_write_outside_and_hidden_files_are_left_out(photos, tmp_path):
    image = (photos / "00.png").read_bytes()
    bad = ["../evil.png", "/abs.png", "a/../../up.png", "C:\\win.png"]
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        for name in [*bad, "__MACOSX/x.png", ".hidden/x.png", "._x.png"]:
            archive.writestr(name, image)
    np.save(tmp_path / "p.npy", np.repeat(np.load(tmp_path / "points.npy")[:1], 4, axis=0))
    before = contents(tmp_path)
    counts = run(tmp_path / "bad.zip", tmp_path / "made" / "out", str(tmp_path / "p.npy"))
    assert counts == {"kept": 1, "duplicate": 3}
    assert set(manifest(tmp_path / "made" / "out")) == set(bad), "names are only names"
    shutil.rmtree(tmp_path / "made")
    assert contents(tmp_path) == before
    assert not (tmp_path.parent / "evil.png").exists() and not Path("/abs.png").exists()


def test_damaged_members_and_giant_members_are_rejected_not_fatal(photos, tmp_path, monkeypatch):
    names = [f"{i:02}.png" for i in range(3)]
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        for name in names:
            archive.writestr(name, (photos / name).read_bytes())
        giant = io.BytesIO()
        Image.new("RGB", (1, 1)).save(giant, "PNG")
        archive.writestr(zipfile.ZipInfo("giant.png"), giant.getvalue() + b"\0" * 5_000_000)
        place = archive.getinfo("01.png").header_offset
    raw = bytearray((tmp_path / "p.zip").read_bytes())
    raw[place + 2000 : place + 2100] = bytes(100)
    (tmp_path / "p.zip").write_bytes(raw)
    monkeypatch.setattr("facecomp_lib.faces.sources.MAX_FILE_MEGABYTES", 4)
    np.save(tmp_path / "p.npy", np.load(tmp_path / "points.npy")[[0, 1, 2, 0]])
    assert run(tmp_path / "p.zip", tmp_path / "out", str(tmp_path / "p.npy")) == {"kept": 2, "unreadable": 2}


def test_another_run_in_the_folder_is_refused_and_left_alone(photos, points, tmp_path):
    run(photos, tmp_path / "out", points)
    before = contents(tmp_path / "out")
    Image.fromarray(snapshot(50)[0]).save(photos / "99.png")
    np.save(tmp_path / "more.npy", np.concatenate([np.load(points), np.load(points)[:1]]))
    for source, options, given in (
        (photos, SMALL, str(tmp_path / "more.npy")),  # another image
        (photos, Options(size=64, zoom=1.2), str(tmp_path / "more.npy")),
    ):
        with pytest.raises(ValueError, match="fresh folder"):
            run(source, tmp_path / "out", given, options)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("dear diary")
    with pytest.raises(ValueError, match="fresh folder"):
        run(photos, tmp_path / "mine", str(tmp_path / "more.npy"))
    assert contents(tmp_path / "out") == before and len(contents(tmp_path / "mine")) == 1


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda p: {"source": p / "nowhere"}, "no folder or zip file"),
        (lambda p: {"source": p / "points.npy"}, "name a folder of images or a whole zip"),
        (lambda p: {"source": _empty(p)}, "holds no images"),
        (lambda p: {"labels": str(p / "none.csv")}, "There is no file"),
        (lambda p: {"labels": _text(p, "name,age\n00.png,3\n")}, "column 'file'"),
        (lambda p: {"labels": _text(p, "file,age\n00.png\n")}, "equal length"),
        (lambda p: {"labels": _text(p, "file,age\n00.png,3\n")}, "7 faces for 1 rows of"),
        (lambda p: {"points": _text(p, "hello")}, "array of numbers with numpy.save"),
        (lambda p: {"points": _array(p, np.zeros((7, 5, 2)))}, r"\[N, 68, 2\]"),
        (lambda p: {"points": _array(p, np.array([{}, {}]))}, "array of numbers with numpy.save"),
        (lambda p: {"workers": 0}, "workers must be a whole number, 1 or more, not 0"),
        (
            lambda p: {"labels": _text(p, "file,age\nx.png,3\ny.png,4\n")},
            "2 of 2 rows .* such as 'x.png' and",
        ),
        (lambda p: {"labels": _text(p, "file;age\n00.png;3\n")}, "column 'file'.*, not 'file;age'"),
        (lambda p: {"labels": _text(p, "file,age,age\n00.png,3,4\n")}, "each name once"),
        (
            lambda p: {"labels": _text(p, "file,pose\n00.png,3\n")},
            "side.txt: scalar names .* Rename the column",
        ),
        (lambda p: {"labels": _text(p, "file,age\n00.png,inf\n")}, "'age' has infinite numbers"),
        (lambda p: {"labels": _text(p, "file,split\n00.png,holdout\n")}, "split must be one of .*'holdout'"),
        (
            lambda p: {"labels": _text(p, "file,identity,split\n00.png,7,val\n01.png,7,test\n")},
            "person 7 is in val and in test",
        ),
        (lambda p: {"points": _header(p, (10**12, 68, 2))}, "array of numbers with numpy.save"),
        (lambda p: {"points": _array(p, np.full((7, 68, 2), "a"))}, "side.npy must hold numbers"),
        (
            lambda p: {"points": None, "options": Options(size=48, detector="magic")},
            "Unknown detector 'magic'",
        ),
    ],
)
def test_unusable_arguments_get_one_clear_sentence_and_leave_nothing(spoil, says, photos, points, tmp_path):
    arguments = {"source": photos, "points": points} | spoil(tmp_path)
    with pytest.raises((ValueError, FileNotFoundError), match=says) as caught:
        run(folder=tmp_path / "out", **arguments)
    assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()


def _empty(folder):
    (folder / "empty").mkdir()
    return folder / "empty"


def _text(folder, text):
    (folder / "side.txt").write_text(text)
    return str(folder / "side.txt")


def _header(folder, shape):
    """An array file that promises more than it holds."""
    with (folder / "side.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"shape": shape, "fortran_order": False, "descr": "<f4"})
    return str(folder / "side.npy")


def _array(folder, array):
    np.save(folder / "side.npy", array, allow_pickle=True)
    return str(folder / "side.npy")


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("size", 3, "size must be a whole number, 16 ... 2048, not 3"),
        ("size", 64.0, "size must be a whole number"),
        ("zoom", 0, "zoom must lie in 0.5 ... 4"),
        ("zoom", float("nan"), "zoom must lie in 0.5 ... 4"),
        ("max_outside", 2, "max_outside must lie in 0 ... 1"),
        ("limit", -1, "limit must be a whole number, 1 or more, not -1"),
        ("limit", 0, "limit must be a whole number, 1 or more"),
        ("min_face", -5, "min_face must be a whole number"),
        ("max_doubt", "a", "max_doubt must be 0 or more, not 'a'"),
    ],
)
def test_options_out_of_range_are_refused(name, value, says):
    with pytest.raises(ValueError, match=says):
        Options(**{name: value})


def test_a_file_in_the_place_of_the_folder_is_refused(photos, points, tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(ValueError, match="out is a file: name a fresh folder"):
        run(photos, tmp_path / "out", points)


def test_a_mutated_manifest_is_read_or_refused_by_name(photos, points, tmp_path):
    counts = run(photos, tmp_path / "out", points)
    file = tmp_path / "out" / MANIFEST
    whole, rng, refused = file.read_bytes(), np.random.default_rng(0), 0
    for turn in range(12):
        data = bytearray(whole)
        data[rng.integers(len(data))] = rng.choice([0, 10, 44, 255])
        file.write_bytes(data[: rng.integers(len(data))] if turn % 4 == 0 else data)
        try:
            assert run(photos, tmp_path / "out", points).keys() >= {"kept"}
        except ValueError as error:
            refused += 1
            assert str(file) in str(error) and "choose a fresh folder" in str(error), repr(error)
    assert refused
    file.write_bytes(whole)
    assert run(photos, tmp_path / "out", points) == counts


# ---------------------------------------------------------------------------------------------- the command


def command(*arguments):
    return subprocess.run([sys.executable, str(SCRIPT), *map(str, arguments)], capture_output=True, text=True)


def test_the_command_prepares_reports_and_resumes(photos, points, tmp_path):
    arguments = (photos, tmp_path / "out", "--size", 48, "--zoom", 1.2, "--landmarks", points, "--workers", 1)
    result = command(*arguments)
    assert result.returncode == 0, result.stderr
    assert "7 of 7 images kept" in result.stdout
    other = command(*arguments[:3], 64, *arguments[4:])
    assert other.returncode == 1 and "fresh folder" in other.stderr and "Traceback" not in other.stderr


def test_the_command_helps_with_tightly_cut_sources(photos, points, tmp_path):
    result = command(
        *(photos, tmp_path / "out", "--size", 48, "--landmarks", points, "--workers", 1),
        *("--zoom", 0.5, "--max-outside", 0),
    )
    assert (
        result.returncode == 1
        and "7 rejected: leaves the image" in result.stdout
        and "--zoom" in result.stdout
    )
