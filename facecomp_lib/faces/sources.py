"""Collections of images, as people keep them: a folder or a zip file.

Nothing is ever unpacked to disk: a zip's members are read into memory, and their names are only names.
"""

from __future__ import annotations

import hashlib
import os
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from facecomp_lib.faces.image_io import SUFFIXES, is_hidden_name
from facecomp_lib.utils.files import damaged, expand, read_bytes

__all__ = ["ImageSource", "sha256"]

OTHER_SUFFIXES = frozenset({  # images, too, but of formats that are not read
    ".arw", ".cr2", ".cr3", ".dng", ".eps", ".exr", ".hif", ".ico", ".jxl", ".nef", ".orf", ".psd", ".raf",
    ".rw2", ".svg", ".tga", ".xcf",
})  # fmt: skip
_START = re.compile(rb"\xff\xd8\xff|\x89PNG\r\n|RIFF....WEBP", re.DOTALL)  # of JPEG, PNG and WebP files
MAX_FILE_MEGABYTES = 300
MAX_SIDE_FILE_MEGABYTES = 2000


def sha256(data: bytes) -> str:
    """The digest in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


class ImageSource:
    """The images of a folder or a zip file, by name. Hidden files are no images.

    Attributes:
        names: of the images, in alphabetical order: those of `is_image_name`, and files without any
            suffix that begin like an image. Linked sub-folders are searched, each folder once.
        left_out: entries that look like images but cannot be read, with the reason.

    Raises:
        FileNotFoundError, ValueError: it is neither a folder nor a zip file.
    """

    def __init__(self, source: Path) -> None:
        self.source = source
        self.left_out: dict[str, str] = {}
        self._zip: zipfile.ZipFile | None = None
        if source.is_dir():
            found = set(self._files_below())
        elif source.is_file():
            with damaged(source, "name a folder of images or a whole zip file"):
                self._zip = zipfile.ZipFile(source)
                found = {info.filename for info in self._zip.infolist() if not info.is_dir()}
        else:
            raise FileNotFoundError(f"There is no folder or zip file {source}.")
        self.names = sorted(name for name in found if not is_hidden_name(name) and self._is_image(name))

    def __enter__(self) -> ImageSource:
        return self

    def __exit__(self, *_: object) -> None:
        if self._zip is not None:
            self._zip.close()

    def read(self, name: str) -> bytes:
        """The bytes of one file.

        Raises:
            ValueError: it is unreasonably large or damaged.
        """
        try:
            size = self._zip.getinfo(name).file_size if self._zip else (self.source / name).stat().st_size
            if size > MAX_FILE_MEGABYTES * 1e6:
                raise ValueError(f"{name} is larger than {MAX_FILE_MEGABYTES} MB.")
            return self._zip.read(name) if self._zip else (self.source / name).read_bytes()
        except (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
            raise ValueError(f"{name} cannot be read ({_reason(error)}).") from error

    def digest(self, name: str) -> str:
        """SHA-256 of a file; its name's where it cannot be read."""
        try:
            return sha256(self.read(name))
        except ValueError:
            return sha256(name.encode("utf-8", "surrogatepass"))

    def side_file(self, name: str) -> bytes:
        """A file from disk, or the member of that name."""
        if expand(name).exists():
            return read_bytes(expand(name), MAX_SIDE_FILE_MEGABYTES)
        if self._zip is not None and name in self._zip.namelist():
            return self.read(name)
        raise FileNotFoundError(f"There is no file {name}.")

    def _files_below(self) -> Iterator[str]:
        """Names of all files, those of linked folders last; note folders that cannot be listed."""

        def note(error: OSError) -> None:
            self.left_out[Path(error.filename).relative_to(self.source).as_posix() + "/"] = (
                f"unreadable: {_reason(error)}"
            )

        visited, waiting = set(), [self.source]
        while waiting:
            for place, folders, files in os.walk(waiting.pop(0), onerror=note):  # does not enter links
                real = os.path.realpath(place)
                folders[:] = sorted(
                    name for name in folders if real not in visited and not is_hidden_name(name)
                )
                waiting += [Path(place, name) for name in folders if os.path.islink(Path(place, name))]
                if real not in visited:
                    yield from (Path(place, name).relative_to(self.source).as_posix() for name in files)
                visited.add(real)

    def _is_image(self, name: str) -> bool:
        """Whether an entry is to be read; note one that only looks so."""
        suffix = Path(name).suffix.lower()
        if suffix in OTHER_SUFFIXES:
            self.left_out[name] = f"other format: {suffix} is not read, export it as JPEG or PNG"
        elif suffix in SUFFIXES and not self._is_file(name):
            self.left_out[name] = "unreadable: a link that leads nowhere, or no ordinary file"
        else:
            return suffix in SUFFIXES or (not suffix and self._begins_like_an_image(name))
        return False

    def _is_file(self, name: str) -> bool:
        return self._zip is not None or (self.source / name).is_file()

    def _begins_like_an_image(self, name: str) -> bool:
        if not self._is_file(name):
            return False
        try:
            with self._zip.open(name) if self._zip else (self.source / name).open("rb") as file:
                return _START.match(file.read(12)) is not None
        except (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError):
            return False


def _reason(error: Exception) -> str:
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else str(error)
