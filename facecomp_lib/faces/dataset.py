"""Data sets of faces that all behave alike, whatever they were made from."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facecomp_lib.faces.affine import move_labels
from facecomp_lib.faces.quick import change_bytes
from facecomp_lib.faces.schema import FaceBatch
from facecomp_lib.faces.splits import SPLITS
from facecomp_lib.faces.store import Store

if TYPE_CHECKING:
    from facecomp_lib.faces.augment import Augment

__all__ = ["FaceDataset", "embedded", "folder"]

PACK = Path(__file__).parent / "pack"
KEEP_BYTES = 512 * 2**20
_IMAGES = ("parsing", "mirror_flow", "light_ratio")


def embedded(split: str, size: int = 128) -> FaceDataset:
    """The rendered faces that travel with the course: ``"train"``, ``"val"`` or ``"test"``.

    Args:
        size: side in pixels, up to the pack's 128; smaller images are area-averaged, labels follow.

    Raises:
        ValueError: another split, or a size that the pack cannot give.
    """
    if split not in SPLITS:
        raise ValueError(f"The embedded faces have no split {split!r}: choose one of {', '.join(SPLITS)}.")
    return _embedded(str(PACK), split, size)


@lru_cache(maxsize=8)  # the same call gives the same object, so that faces decoded once stay decoded
def _embedded(path: str, split: str, size: int) -> FaceDataset:
    store = Store(path)
    if size > store.size:
        raise ValueError(
            f"The embedded faces have {store.size} px, {size} px needs the renderer: "
            f"python data_scripts/render_faces.py --size {size}, then fc.faces.folder(...)."
        )
    return FaceDataset(store, split, size)


def folder(path: str | os.PathLike[str], split: str | None = None, size: int | None = None) -> FaceDataset:
    """A prepared data set, made by ``data_scripts/prepare_folder.py`` or ``data_scripts/render_faces.py``.

    Args:
        path: the folder with ``meta.json``.
        split: ``"train"``, ``"val"``, ``"test"``; by default all faces.
        size: side in pixels, up to the stored one, which is the default.

    Raises:
        FileNotFoundError: no prepared data set there.
        ValueError: a damaged or foreign file, an unknown split, an impossible size.
    """
    return FaceDataset(Store(path), split, size)


@dataclass(frozen=True)
class _Decoded:
    """The images of one face at the data set's size, kept as compactly as they are stored."""

    image: NDArray[np.uint8]  # [S, S, 3]
    parsing: NDArray[np.uint8] | None = None  # [S, S]
    mirror_flow: NDArray[np.float32] | None = None  # [S, S, 2]
    mirror_valid: NDArray[np.bool_] | None = None  # [S, S]
    light_ratio: NDArray[np.float32] | None = None  # [S, S, 3]

    @property
    def nbytes(self) -> int:
        return sum(value.nbytes for value in vars(self).values() if value is not None)


class FaceDataset:
    """Faces by number: ``len(faces)``, ``faces[i]`` and ``faces.batch(indices)`` give :class:`FaceBatch`.

    A face is decoded when first asked for, and kept decoded until ``keep_bytes`` are used; what comes after
    that is decoded each time. (Nothing is evicted: when epochs visit everything, a share of hits beats a
    queue without any.) A field is known if every face of the data set has it, else it is ``None`` in all
    batches.

    Args:
        store: an opened prepared data set.
        split: one of its splits; by default all faces.
        size: side in pixels, 8 up to the stored size, which is the default.
        keep_bytes: memory for decoded faces; 0 keeps none.
    """

    def __init__(
        self, store: Store, split: str | None = None, size: int | None = None, keep_bytes: int = KEEP_BYTES
    ) -> None:
        self._store = store
        self.split = split
        self.size = store.size if size is None else size
        if not 8 <= self.size <= store.size:
            raise ValueError(
                f"{store.folder} has faces of {store.size} px: size must be 8 ... {store.size}, not {size}."
            )
        self._rows = self._select(split)
        self._own: tuple[Augment, int] | None = None
        self.keep_bytes = keep_bytes
        self._kept: dict[int, _Decoded] = {}
        self._used = 0
        self._labels = {
            name: self.column(name)
            for name in ("landmarks", "identity", "attributes", "pose", "lamps")
            if self._known(name)
        }
        self._images = tuple(name for name in _IMAGES if self._known(name))
        if "landmarks" in self._labels:
            self._labels["landmarks"] = self._labels["landmarks"].reshape(-1, 68, 2)
        if "lamps" in self._labels:
            self._labels["lamps"] = self._labels["lamps"].reshape(-1, 2, 6)

    @property
    def name(self) -> str:
        return str(self._store.meta["name"]) + (", moved" if self._own else "")

    @property
    def version(self) -> str:
        """The data set's version, as its maker wrote it; model cards name it."""
        return str(self._store.meta.get("version", ""))

    @property
    def meta(self) -> dict[str, Any]:
        """All that ``meta.json`` says."""
        return dict(self._store.meta)

    @property
    def attribute_names(self) -> tuple[str, ...]:
        return self._store.attribute_names

    def column(self, name: str) -> NDArray[Any]:
        """One label of all faces, ``[N, ...]``: an attribute, a scalar, ``name``, ``identity``, ``pose`` ...

        ``landmarks`` ``[N, 68, 2]`` are in pixels of this data set's size, ``lamps`` ``[N, 2, 6]``. Unknown
        numbers are NaN, unknown identities -1.
        """
        if name in self.attribute_names:
            return self.column("attributes")[:, self.attribute_names.index(name)]
        columns = ("name", "split", "identity", "landmarks", "pose", "lamps", *self._store.scalars)
        if name not in columns and not (name == "attributes" and self.attribute_names):
            offered = ", ".join((*columns, *self.attribute_names))
            raise ValueError(f"{self.name} has no column {name!r}: choose one of {offered}.")
        values = self._store.column(name)[self._rows]
        if name in ("landmarks", "lamps"):
            values = values.reshape(len(self), *{"landmarks": (68, 2), "lamps": (2, 6)}[name])
        if name == "landmarks" and self.size != self._store.size:
            values = (values + 0.5) * np.float32(self.size / self._store.size) - np.float32(0.5)
        return values

    def moved(self, augment: Augment, seed: int = 0) -> FaceDataset:
        """The same faces, each changed in its own way, once and for all: to measure on faces out of place.

        Columns (:meth:`column`) stay as stored; :meth:`batch` gives images and labels as changed.

        Args:
            augment: the changes; face i gets the draw of (seed, 0, i), whatever batch it is in.
            seed: not negative.

        Raises:
            ValueError: they are moved already.
        """
        if self._own is not None:
            raise ValueError("These faces are moved already: move those of the data set.")
        other = object.__new__(FaceDataset)
        other.__dict__ |= self.__dict__ | {"_own": (augment, seed)}  # decoded faces are shared
        return other

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        split = self.split or "all"
        return f"FaceDataset({self.name!r} {self.version}, {split}: {len(self)} faces of {self.size} px)"

    def __getitem__(self, index: int | slice | Sequence[int]) -> FaceBatch:
        """One face (as a batch of one) or several."""
        if isinstance(index, slice):
            return self.batch(range(len(self))[index])
        return self.batch([int(index)] if isinstance(index, (int, np.integer)) else index)

    def __iter__(self) -> Iterator[FaceBatch]:
        return (self.batch([index]) for index in range(len(self)))

    def batch(
        self,
        indices: Iterable[int] | Tensor,
        augment: Augment | None = None,
        seed: int = 0,
        step: int = 0,
    ) -> FaceBatch:
        """Some faces as one batch, images float32 in channels-last memory.

        Args:
            indices: numbers of faces, in any order, repeats allowed; negative ones count from the end.
            augment: applied with draws keyed by (seed, step, index), so that a face's draw depends on
                nothing else.
            seed, step: for ``augment``.

        Raises:
            IndexError: a number out of range.
            ValueError: an image that cannot be decoded; the sentence names file and row. Or faces that are
                :meth:`moved` already.
        """
        if self._own is not None:
            if augment is not None:
                raise ValueError("These faces are moved once and for all: augment those of the data set.")
            (augment, seed), step = self._own, 0
        wanted = self._checked(indices)
        decoded = [self._face(int(row)) for row in self._rows[wanted]]
        fields = {name: torch.from_numpy(values[wanted]) for name, values in self._labels.items()}
        attributes = None
        if (table := fields.pop("attributes", None)) is not None:
            attributes = {name: table[:, place] for place, name in enumerate(self.attribute_names)}
        side = (self.size, self.size)
        change = None if augment is None else augment.draw(side, seed, step, wanted)
        if change is not None and set(self._images) <= {"parsing"}:
            maps = [face.parsing for face in decoded if face.parsing is not None]
            fields["image"], parsing = change_bytes([face.image for face in decoded], maps, change)
            if self._images:
                fields["parsing"] = parsing
            return FaceBatch(attributes=attributes, **fields | move_labels(fields, change.matrix))
        image = _stack([face.image for face in decoded], (*side, 3), np.uint8)
        fields["image"] = image.permute(0, 3, 1, 2).float().div_(255)
        batch = FaceBatch(attributes=attributes, **fields, **self._image_fields(decoded))
        return batch if change is None else change(batch)

    def order(self, seed: int, epoch: int) -> NDArray[np.int64]:
        """All indices in this epoch's random order, a function of (seed, epoch) and the number of faces."""
        return np.random.default_rng([seed, epoch]).permutation(len(self))

    def __reduce__(self) -> tuple[Any, ...]:
        # A worker process opens the files itself: memory maps do not travel.
        return _reopen, (self._store.folder, self.split, self.size, self.keep_bytes, self._own)

    def _select(self, split: str | None) -> NDArray[np.int64]:
        if split is None:
            return np.arange(len(self._store))
        if split not in SPLITS:
            raise ValueError(
                f"Unknown split {split!r}: choose one of {', '.join(SPLITS)}, or None for all faces."
            )
        rows = np.flatnonzero(self._store.column("split") == split)
        if not len(rows):
            raise ValueError(f"{self._store.folder} has no faces in the split {split!r}.")
        return rows

    def _known(self, name: str) -> bool:
        if name == "attributes" and not self.attribute_names:
            return False
        return bool(len(self._rows)) and bool(self._store.known(name)[self._rows].all())

    def _checked(self, indices: Iterable[int] | Tensor) -> NDArray[np.int64]:
        if not isinstance(indices, (Tensor, np.ndarray)):
            indices = list(indices)
        wanted = np.asarray(indices)
        if wanted.ndim != 1 or (wanted.size and wanted.dtype.kind not in "iu"):
            raise ValueError("indices must be a flat list of whole numbers.")
        wanted = wanted.astype(np.int64)
        outside = wanted[(wanted < -len(self)) | (wanted >= len(self))]
        if outside.size:
            raise IndexError(f"Face {outside[0]} of {len(self)}: count from 0 to {len(self) - 1}.")
        return wanted % max(len(self), 1)

    def _face(self, row: int) -> _Decoded:
        face = self._kept.get(row)
        if face is None:
            face = self._decoded(row)
            if self._used + face.nbytes <= self.keep_bytes:
                self._kept[row] = face
                self._used += face.nbytes
        return face

    def _decoded(self, row: int) -> _Decoded:
        fields: dict[str, Any] = {"image": self._store.image(row, self.size)}
        if "parsing" in self._images:
            fields["parsing"] = self._store.parsing(row, self.size)
        if "mirror_flow" in self._images:
            fields["mirror_flow"], fields["mirror_valid"] = self._store.mirror_flow(row, self.size)
        if "light_ratio" in self._images:
            fields["light_ratio"] = self._store.light_ratio(row, self.size)
        return _Decoded(**fields)

    def _image_fields(self, faces: Sequence[_Decoded]) -> dict[str, Tensor]:
        side = (self.size, self.size)
        fields: dict[str, Tensor] = {}
        if "parsing" in self._images:
            fields["parsing"] = _stack([face.parsing for face in faces], side, np.uint8).long()
        if "mirror_flow" in self._images:
            fields["mirror_flow"] = _stack([face.mirror_flow for face in faces], (*side, 2), np.float32)
            fields["mirror_valid"] = _stack([face.mirror_valid for face in faces], side, np.bool_)
        if "light_ratio" in self._images:
            light = _stack([face.light_ratio for face in faces], (*side, 3), np.float32)
            fields["light_ratio"] = light.permute(0, 3, 1, 2)
        return fields


def _stack(arrays: Sequence[NDArray[Any] | None], shape: tuple[int, ...], dtype: Any) -> Tensor:
    """One tensor ``[B, *shape]``; B may be 0."""
    stacked = np.empty((len(arrays), *shape), dtype)
    for place, array in enumerate(arrays):
        stacked[place] = array
    return torch.from_numpy(stacked)


def _reopen(
    path: Path, split: str | None, size: int, keep_bytes: int, own: tuple[Augment, int] | None
) -> FaceDataset:
    faces = FaceDataset(Store(path), split, size, keep_bytes)
    return faces if own is None else faces.moved(*own)
