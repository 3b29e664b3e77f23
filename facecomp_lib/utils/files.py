"""Files that are whole or not there, locks between processes, and the paths that users type."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

__all__ = ["atomic_write", "damaged", "expand", "locked", "read_bytes", "read_json", "remove"]

_LONGEST_REASON = 120  # characters of a library's message that a sentence quotes
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
def damaged(path: str | os.PathLike[str], advice: str = "make or fetch it again") -> Iterator[None]:
    """Turn whatever a decoder raises about a file into one sentence with the file's name.

    >>> with damaged(path, "prepare the data set again"):       # doctest: +SKIP
    ...     table = pa.ipc.open_file(path).read_all()

    Only the decoding belongs into the block: checks of what was read have sentences of their own.

    Args:
        path: the file, or what else the sentence shall name.
        advice: what the reader can do about it.

    Raises:
        ValueError: the block raised anything that is not the system's; the cause is attached.
        OSError: the system could not read (no permission, a broken disk), with the file's name.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None:  # a decoder's: pyarrow, Pillow and gzip raise these about contents, too
            raise _damage(path, error, advice) from error
        if error.filename is None:
            raise OSError(error.errno, error.strerror or str(error), str(path)) from error
        raise
    except Exception as error:  # decoders raise errors of any type about damaged files
        raise _damage(path, error, advice) from error


def _damage(path: str | os.PathLike[str], error: Exception, advice: str) -> ValueError:
    reason = (str(error).splitlines() or [""])[0][:_LONGEST_REASON].rstrip(".")
    if isinstance(error, RecursionError):
        reason = "it is nested too deeply"
    elif isinstance(error, MemoryError):
        reason = "it asks for more memory than there is"
    elif isinstance(error, KeyError):
        reason = f"it has no {reason}"
    return ValueError(f"{path} is damaged or cut off ({reason or type(error).__name__}): {advice}.")


def read_bytes(path: str | os.PathLike[str], megabytes: float = 64) -> bytes:
    """Read a file whole, if it is an ordinary file of reasonable size.

    Args:
        path: a device or pipe is refused, because it may never end.
        megabytes: the most that it may hold.

    Raises:
        FileNotFoundError: no such file. OSError: the system cannot read it.
        ValueError: it is no ordinary file, or larger.
    """
    path = Path(path)
    if not path.is_file():
        if path.exists():
            raise ValueError(f"{path} is a folder or a device: name an ordinary file.")
        raise FileNotFoundError(f"There is no file {path}: check the name and the folder.")
    most = int(megabytes * 1e6)
    with damaged(path), path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"{path} is larger than {megabytes:g} MB, which no file of its kind is.")
    return content


def read_json(path: str | os.PathLike[str], advice: str = "make or fetch it again") -> Any:
    """Read a JSON file.

    Args:
        advice: what the reader can do if it is damaged.

    Raises:
        FileNotFoundError: no such file. OSError: the system cannot read it.
        ValueError: it is damaged, nested too deeply, too large or no ordinary file.
    """
    content = read_bytes(path)
    with damaged(path, advice):
        return json.loads(content)


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
