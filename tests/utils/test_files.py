"""Files are written whole or not at all, locks keep others out, and only named files are deleted."""

import errno
import os
import re
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest

from facecomp_lib.utils.files import atomic_write, damaged, expand, locked, read_bytes, read_json, remove


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    "content, expected",
    [
        ("ä\nb\n", "ä\nb\n".encode()),
        (b"\x00\x01", b"\x00\x01"),
        (bytearray(b"ab"), b"ab"),
        (lambda temporary: temporary.write_bytes(b"made"), b"made"),
    ],
)
def test_text_bytes_and_writers_arrive_as_they_are(tmp_path, content, expected):
    file = tmp_path / "new" / "folder" / "a.bin"
    assert atomic_write(file, content) == file
    assert file.read_bytes() == expected and names(file.parent) == ["a.bin"]


def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    atomic_write(tmp_path / "a.txt", "old")

    def fail(temporary):
        temporary.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        atomic_write(tmp_path / "a.txt", fail)
    assert (tmp_path / "a.txt").read_text() == "old" and names(tmp_path) == ["a.txt"]


def test_readers_see_the_old_file_until_the_new_one_is_whole(tmp_path):
    file = atomic_write(tmp_path / "a.txt", "old")

    def write(temporary):
        temporary.write_text("new")
        assert file.read_text() == "old" and temporary.parent == tmp_path

    atomic_write(file, write)
    assert file.read_text() == "new"


@pytest.mark.skipif(os.name != "posix", reason="permissions of this kind are POSIX's")
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_a_file_is_as_readable_as_any_other_new_file(tmp_path, umask):
    before = os.umask(umask)
    try:
        (tmp_path / "plain").write_bytes(b"")
        atomic_write(tmp_path / "whole", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "whole").stat().st_mode == (tmp_path / "plain").stat().st_mode


KILLED = """import os, signal, sys
from facecomp_lib.utils.files import atomic_write
def write(temporary):
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
atomic_write(sys.argv[1], write)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_what_a_killed_process_left_is_removed_later_and_what_others_write_now_is_not(tmp_path):
    file = tmp_path / "a[1].txt"
    subprocess.run([sys.executable, "-c", KILLED, str(file)], cwd=Path(__file__).parents[2])
    (left,) = names(tmp_path)
    assert "a[1].txt" in left and left != "a[1].txt"
    atomic_write(file, "whole")
    assert names(tmp_path) == sorted([left, "a[1].txt"]), "it might still be in use"
    long_ago = time.time() - 7200
    os.utime(tmp_path / left, (long_ago, long_ago))
    atomic_write(tmp_path / "other.txt", "of another name")
    assert left in names(tmp_path)
    atomic_write(file, "whole")
    assert names(tmp_path) == ["a[1].txt", "other.txt"]


def test_a_lock_keeps_others_out_and_is_free_afterwards(tmp_path):
    with locked(tmp_path / "lock"):
        with pytest.raises(BlockingIOError, match="another process"), locked(tmp_path / "lock"):
            pass
        with locked(tmp_path / "another"):
            pass
    with locked(tmp_path / "lock"):
        pass


HOLDER = """import sys, time
from facecomp_lib.utils.files import locked
with locked(sys.argv[1]):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


@pytest.mark.parametrize("ends_by", ["itself", "a kill"])
def test_a_lock_of_another_process_can_be_waited_for_and_dies_with_it(tmp_path, ends_by):
    seconds = "0.5" if ends_by == "itself" else "600"
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "lock"), seconds]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(BlockingIOError), locked(tmp_path / "lock"):
            pass
        if ends_by == "a kill":
            holder.kill()
        with locked(tmp_path / "lock", wait=True):
            pass


def test_only_files_of_the_given_names_are_removed(tmp_path):
    for name in ("ours", "yours", "left"):
        (tmp_path / name).write_text("")
    (tmp_path / "folder").mkdir()
    remove(tmp_path, ["ours", "folder", "missing"])
    assert names(tmp_path) == ["folder", "left", "yours"]
    remove(tmp_path / "nowhere", ["ours"])


def test_removing_never_follows_a_link(tmp_path):
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "thesis.txt").write_text("")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "link").symlink_to(tmp_path / "documents" / "thesis.txt")
    (tmp_path / "run" / "state").symlink_to(tmp_path / "documents")
    remove(tmp_path / "run", ["link", "state"])
    assert names(tmp_path / "run") == []
    (tmp_path / "run" / "state").symlink_to(tmp_path / "documents")
    remove(tmp_path / "run" / "state", ["thesis.txt"])
    assert names(tmp_path / "documents") == ["thesis.txt"]


@pytest.mark.parametrize("name", ["../a", "", "..", "a/b", "/etc/passwd"])
def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match="no plain file name"):
        remove(tmp_path, [name])


def test_a_users_path_is_expanded(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert expand("~/faces") == tmp_path / "faces"
    assert expand("runs/a") == Path("runs/a") and expand(tmp_path) == tmp_path


@pytest.mark.parametrize("path", ["", "~nobody-of-this-name/faces"])
def test_a_path_that_means_nothing_is_refused(path):
    with pytest.raises(ValueError, match="path is empty|not on this machine"):
        expand(path)


# Damaged files


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("odd\nsecond line"), "odd"),
        (KeyError("size"), "it has no 'size'"),
        (zlib.error("Error -3"), "Error -3"),
        (RecursionError(), "nested too deeply"),
        (MemoryError(), "more memory than there is"),
        (OSError("image file is truncated."), "image file is truncated"),
        (IndexError(), "IndexError"),
    ],
)
def test_whatever_a_decoder_raises_becomes_one_sentence_with_the_files_name(error, reason):
    with pytest.raises(ValueError) as caught, damaged("a/b.bin", "fetch it"):
        raise error
    assert re.fullmatch(r"a/b\.bin is damaged or cut off \(.*\): fetch it\.", str(caught.value))
    assert reason in str(caught.value) and caught.value.__cause__ is error


def test_what_the_system_says_stays_and_names_the_file():
    with pytest.raises(PermissionError, match="'a.bin'"), damaged("b.bin"):
        raise OSError(errno.EACCES, "Permission denied", "a.bin")
    with pytest.raises(OSError, match="broken.*'b.bin'"), damaged("b.bin"):
        raise OSError(errno.EIO, "broken")


def test_stopping_is_no_damage():
    with pytest.raises(KeyboardInterrupt), damaged("a.bin"):
        raise KeyboardInterrupt


def test_files_without_end_and_giants_are_not_read(tmp_path):
    (tmp_path / "large.json").write_bytes(bytes(2000))
    with pytest.raises(ValueError, match="large.json is larger than 0.001 MB"):
        read_bytes(tmp_path / "large.json", megabytes=0.001)
    with pytest.raises(ValueError, match="is a folder or a device"):
        read_bytes(tmp_path)
    with pytest.raises(FileNotFoundError, match="There is no file .*nowhere"):
        read_bytes(tmp_path / "nowhere")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_instead_of_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="pipe is a folder or a device"):
        read_bytes(tmp_path / "pipe")


@pytest.mark.parametrize("text", [b"{", b"\xff\xfe\x00", b"[" * 100_000, b'{"a": 1}}', b"9" * 5000])
def test_damaged_json_is_named(tmp_path, text):
    (tmp_path / "a.json").write_bytes(text)
    with pytest.raises(ValueError, match=r"a\.json is damaged or cut off \(.*\): start anew\.$"):
        read_json(tmp_path / "a.json", "start anew")


def test_json_is_read(tmp_path):
    (tmp_path / "a.json").write_text('{"name": "Zo\u00e9"}', encoding="utf-8")
    assert read_json(tmp_path / "a.json") == {"name": "Zo\u00e9"}
