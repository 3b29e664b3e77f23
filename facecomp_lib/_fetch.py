"""Bring a file here whole, or not at all: downloads, source archives, checksums, array pickles.

Used by `facecomp_lib.weights` and the data scripts; what to fetch is decided there.
"""

import bz2
import contextlib
import hashlib
import importlib.util
import io
import os
import pickle
import secrets
import subprocess
import sys
import tarfile
import urllib.request
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

_CHUNK = 1 << 20


class FetchError(OSError):
    """A source could not deliver a file; the message says why."""


@contextlib.contextmanager
def new_file(target: Path) -> Iterator[IO[bytes]]:
    """Open a file that takes the name ``target`` only if the block ends well; otherwise nothing is left."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}")  # mkstemp's would be private
    try:
        with temporary.open("xb") as file:
            yield file
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def copy_checked(source: IO[bytes], target: IO[bytes], sha256: str, what: str) -> None:
    """Copy a stream and compare its SHA-256 with ``sha256`` (all of it, or its first digits).

    Raises:
        FetchError: the digest differs; ``what`` names the file in the message.
    """
    digest = hashlib.sha256()
    while chunk := source.read(_CHUNK):
        digest.update(chunk)
        target.write(chunk)
    if not digest.hexdigest().startswith(sha256):
        raise FetchError(f"{what} is damaged or has changed: its SHA-256 is not the recorded one")


def check(file: Path, sha256: str) -> None:
    """Raise `FetchError` unless ``file`` has the recorded SHA-256."""
    with file.open("rb") as stream, open(os.devnull, "wb") as nowhere:
        copy_checked(stream, nowhere, sha256, str(file))


def download(url: str, target: Path, sha256: str) -> None:
    """Fetch ``url`` to ``target``, unpacking bz2 on the way; ``sha256`` is that of the unpacked file."""
    print(f"fetching {url}", file=sys.stderr)
    try:
        with urllib.request.urlopen(url, timeout=20) as reply, new_file(target) as file:
            copy_checked(
                bz2.BZ2File(reply) if url.endswith(".bz2") else reply, file, sha256, f"the file at {url}"
            )
    except FetchError:
        raise
    except (OSError, EOFError, ValueError) as error:  # unreachable, time-out, cut off, broken bz2
        raise FetchError(f"{url} could not be fetched ({error})") from error


def pip_download(package: str, version: str, sha256: str, folder: Path) -> Path:
    """Fetch a package's source archive into ``folder`` from whatever index pip is configured for.

    pip compares the hash before it looks into the archive, so nothing in a changed archive is run.
    """
    if importlib.util.find_spec("pip") is None:
        raise FetchError("pip is not installed in this environment")
    wanted = folder / "wanted.txt"
    wanted.write_text(f"{package}=={version} --hash=sha256:{sha256}\n")
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--disable-pip-version-check",
        "--no-input",
        "--no-deps",
        "--no-cache-dir",
        "--retries",
        "1",
        "--no-binary",
        package,
        "--require-hashes",
        "--requirement",
        str(wanted),
        "--dest",
        str(folder),
    ]
    if importlib.util.find_spec("setuptools"):
        command.append("--no-build-isolation")  # pip asks the archive for its own name: setuptools will do
    result = subprocess.run(command, capture_output=True, text=True)
    file = folder / f"{package}-{version}.tar.gz"
    if result.returncode or not file.is_file():
        complaints = [line for line in result.stderr.splitlines() if line.startswith("ERROR: ")]
        raise FetchError(
            f"pip could not fetch {file.name} ({complaints[0][7:] if complaints else 'no file came'})"
        )
    check(file, sha256)
    return file


def read_member(archive: tarfile.TarFile, name: str, sha256: str) -> bytes:
    """The bytes of the one member called exactly ``name``. Where it wants to be written is never asked."""
    try:
        stream = archive.extractfile(name)
    except (KeyError, tarfile.TarError, EOFError, zlib.error) as error:
        raise FetchError(f"the archive holds no readable {name} ({error})") from error
    if stream is None:
        raise FetchError(f"{name} in the archive is not a file")
    data = io.BytesIO()
    copy_checked(stream, data, sha256, f"{name} in the archive")
    return data.getvalue()


class _ArrayUnpickler(pickle.Unpickler):
    """Knows numpy arrays and plain containers; any other name in a pickle is refused, not looked up."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in (("numpy", "ndarray"), ("numpy", "dtype")):
            return getattr(np, name)
        if name == "_reconstruct" and module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            return _empty_array
        raise pickle.UnpicklingError(
            f"refused: the pickle asks for {module}.{name}, which is not a numpy array"
        )


def _empty_array(_subtype: type, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """What numpy's pickles call first; they fill the array afterwards."""
    return np.ndarray(shape, dtype)


def load_array_pickle(data: bytes) -> Any:
    """Read a pickle that holds numpy arrays in plain containers.

    Raises:
        pickle.UnpicklingError: the pickle names any other class or function.
    """
    return _ArrayUnpickler(io.BytesIO(data)).load()
