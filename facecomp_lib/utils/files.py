"""Files that are whole or not there, locks between processes, and the paths that users type."""

from __future__ import annotations

import contextlib
import glob
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

__all__ = ["atomic_write", "expand", "locked", "remove"]

_ABANDONED = 3600  # seconds without a change, after which a temporary file belongs to a killed process


def expand(path: str | os.PathLike[str]) -> Path:
    """Return a path that a user typed, with ``~`` replaced by the home folder.

    A relative path counts from the current folder, as in every other program.

    Raises:
        ValueError: an empty path, or the home folder of a user that this machine does not know.
    """
    if not os.fspath(path):
        raise ValueError("The path is empty: give the name of a file or folder ('.' is the current folder).")
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ValueError(
            f"{path} names a home folder that is not on this machine: write the whole path."
        ) from error


def atomic_write(
    path: str | os.PathLike[str], content: str | bytes | bytearray | memoryview | Callable[[Path], object]
) -> Path:
    """Write a file so that readers see the old one or the new one, whole, whatever happens in between.

    The content goes into a temporary file in the same folder, is brought to the disk, and takes the name in
    one step. The file has the permissions of any other new file. What a killed process left behind under this
    name is removed by the next call.

    Args:
        path: the file; its folder is made if it is missing.
        content: text (written as UTF-8 with "\\n"), bytes, or a function that is called with the path of the
            temporary file and writes it.

    Returns:
        The path of the file.

    Raises:
        OSError: no room or no permission; the old file is as it was and nothing else is left.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        _remove_if_abandoned(leftover)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")  # mkstemp's would be private
    try:
        if callable(content):
            content(temporary)
        else:
            temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)
    return path


@contextlib.contextmanager
def locked(path: str | os.PathLike[str], wait: bool = False) -> Iterator[None]:
    """Hold a lock between processes and threads; the system frees it if its holder is killed.

    Args:
        path: the lock file, which is made if it is missing and may stay afterwards.
        wait: wait until the other holder is done, instead of raising.

    Raises:
        BlockingIOError: somebody else holds the lock.
        OSError: the file cannot be made.
    """
    from filelock import FileLock, Timeout

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, timeout=-1 if wait else 0, mode=0o666)
    try:
        lock.acquire()
    except Timeout as error:
        raise BlockingIOError(
            f"{path} is locked: another process works there; wait until it ends."
        ) from error
    except NotImplementedError:  # a file system without locks: go on as if alone
        pass
    try:
        yield
    finally:
        lock.release()


def remove(folder: str | os.PathLike[str], names: Iterable[str]) -> None:
    """Delete those of the named files that are in a folder, and nothing else.

    A link is deleted itself, never what it points to. Sub-folders stay. If the folder itself is a link,
    nothing is deleted: it leads to files that are not ours.

    Args:
        folder: where the files are; it may be missing.
        names: plain file names that the course itself gave.

    Raises:
        ValueError: a name that leads out of the folder.
    """
    folder = Path(folder)
    for name in names:
        if name in ("", ".", "..") or Path(name).name != name:
            raise ValueError(f"{name!r} is no plain file name: only files directly in {folder} are deleted.")
        file = folder / name
        if not folder.is_symlink() and (file.is_symlink() or file.is_file()):
            file.unlink(missing_ok=True)


def _remove_if_abandoned(file: Path) -> None:
    with contextlib.suppress(OSError):  # its writer has just finished, or it is somebody else's
        if time.time() - file.stat().st_mtime > _ABANDONED:
            file.unlink()


def _sync_folder(folder: Path) -> None:
    """Bring names to the disk, too; systems that cannot do that for a folder go without."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
