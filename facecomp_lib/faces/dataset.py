"""Data sets of faces that all behave alike, whatever they were made from."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facecomp_lib.faces.decoded import MAPS, DecodedBatch, DecodedFace, FaceCache
from facecomp_lib.faces.schema import FaceBatch
from facecomp_lib.faces.splits import SPLITS
from facecomp_lib.faces.store import Store
from facecomp_lib.utils.checks import check_choice, check_count, check_indices
from facecomp_lib.utils.doors import door
from facecomp_lib.utils.random import keyed_generator

if TYPE_CHECKING:
    from facecomp_lib.faces.augment import Augment

__all__ = ["FaceDataset", "embedded", "folder"]

PACK = Path(__file__).parent / "pack"
KEEP_BYTES = 512 * 2**20
_SHAPES = {"landmarks": (68, 2), "lamps": (2, 6)}  # of labels that are stored flat
_LABELS = ("landmarks", "identity", "attributes", "pose", "lamps")


def embedded(split: str, size: int = 128) -> FaceDataset:
    """The rendered faces that travel with the course: ``"train"``, ``"val"`` or ``"test"``.

    Args:
        size: side in pixels, up to the pack's 128; smaller images are area-averaged, labels follow.

    Raises:
        ValueError: another split, or a size that the pack cannot give.
    """
    check_choice(split, SPLITS, "split")
    check_count(size, 8, "size")
    return _embedded(str(PACK), split, size)


@lru_cache(maxsize=8)  # the same call gives the same object, so that faces decoded once stay decoded
def _embedded(path: str, split: str, size: int) -> FaceDataset:
    try:
        store = Store(path)
    except (ValueError, OSError) as error:
        raise ValueError(
            "The faces that travel with the course are damaged or missing: get the course anew, or in a git "
            f"clone call git checkout facecomp_lib/faces/pack ({error})"
        ) from error
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


class FaceDataset:
    """Faces by number: ``len(faces)``, ``faces[i]`` and ``faces.batch(indices)`` give :class:`FaceBatch`.

    A face is decoded when first asked for, and kept decoded until ``keep_bytes`` are used; what comes after
    that is decoded each time. A field is known if every face of the data set has it, else it is ``None`` in
    all batches.

    Args:
        store: an opened prepared data set.
        split: one of its splits; by default all faces.
        size: side in pixels, 8 up to the stored size, which is the default.
        keep_bytes: memory for decoded faces; 0 keeps none.

    Raises:
        ValueError: an unknown split, or an impossible size.
    """

    def __init__(
        self, store: Store, split: str | None = None, size: int | None = None, keep_bytes: int = KEEP_BYTES
    ) -> None:
        self._store, self.split = store, split
        self.size = store.size if size is None else size
        check_count(self.size, 8, "size", store.size)
        self._kept = FaceCache(keep_bytes)
        self._subset = False
        self._own: tuple[Augment, int, NDArray[np.int64]] | None = None
        self._set_rows(_rows_of(store, split))

    def _set_rows(self, rows: NDArray[np.int64]) -> None:
        """Make these rows of the store the faces of the data set."""
        self._rows = rows
        self._maps = tuple(name for name in MAPS if self._known(name))
        self._labels = {name: self.column(name) for name in _LABELS if self._known(name)}

    @property
    def name(self) -> str:
        """Name of the data set, of the chosen faces, and whether they are augmented."""
        chosen = f", {len(self)} chosen faces {zlib.crc32(self._rows.tobytes()):08x}" if self._subset else ""
        return str(self._store.meta["name"]) + chosen + (", augmented" if self._own else "")

    @property
    def augmentation(self) -> tuple[Augment, int] | None:
        """The changes of :meth:`with_augmentation` and their seed, if there are any."""
        return None if self._own is None else self._own[:2]

    @property
    def version(self) -> str:
        """What the faces are: the version that the data set's maker gave it, if any, and a digest of what
        ``meta.json`` says of its preparation and its parts. Model cards name it."""
        return self._store.version

    @property
    def meta(self) -> dict[str, Any]:
        """All that ``meta.json`` says."""
        return dict(self._store.meta)

    @property
    def attribute_names(self) -> tuple[str, ...]:
        return self._store.attribute_names

    @door
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
        if name in _SHAPES:
            values = values.reshape(len(self), *_SHAPES[name])  # [N, 68, 2] or [N, 2, 6]
        if name == "landmarks" and self.size != self._store.size:
            values = (values + 0.5) * np.float32(self.size / self._store.size) - np.float32(0.5)
        return values

    @door
    def subset(self, faces: int | Sequence[int] | NDArray[Any] | Tensor, seed: int = 0) -> FaceDataset:
        """Some of the faces as a data set; what is decoded is shared.

        Args:
            faces: how many, drawn at random and kept in their order: a larger draw of the same seed holds the
                smaller one. Or their numbers, in any order, repeats allowed.
            seed: of the draw.

        Raises:
            ValueError: more faces than there are, or none. IndexError: a number out of range.
        """
        if isinstance(faces, (int, np.integer)):
            check_count(faces, 1, "the number of faces", len(self))
            chosen = np.sort(keyed_generator(seed, len(self)).permutation(len(self))[:faces])
        else:
            chosen = check_indices(faces, len(self))
            check_count(len(chosen), 1, "the number of faces")
        own = None if self._own is None else (*self._own[:2], self._own[2][chosen])
        return self._copy(self._rows[chosen], own, subset=True)

    @door
    def with_augmentation(self, augment: Augment, seed: int = 0) -> FaceDataset:
        """The same faces, each changed in its own way, once and for all: to measure on faces out of place.

        Columns (:meth:`column`) stay as stored; :meth:`batch` gives images and labels as changed.

        Args:
            augment: the changes; face i gets the draw of (seed, 0, i), whatever batch or subset it is in.
            seed: not negative.

        Raises:
            ValueError: they are augmented already.
        """
        from facecomp_lib.faces.augment import Augment

        if not isinstance(augment, Augment):
            raise ValueError(f"augment must be a fc.faces.Augment, not {type(augment).__name__}.")
        check_count(seed, 0, "seed")
        if self._own is not None:
            raise ValueError("These faces are augmented already: augment those of the data set.")
        return self._copy(self._rows, (augment, seed, np.arange(len(self))), self._subset)

    def _copy(
        self, rows: NDArray[np.int64], own: tuple[Augment, int, NDArray[np.int64]] | None, subset: bool
    ) -> FaceDataset:
        other = object.__new__(FaceDataset)
        other.__dict__ |= self.__dict__ | {"_own": own, "_subset": subset}
        other._set_rows(rows)
        if other._maps != self._maps:  # its decoded faces hold other maps
            other._kept = FaceCache(self._kept.limit)
        return other

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        split = self.split or "all"
        return f"FaceDataset({self.name!r} {self.version}, {split}: {len(self)} faces of {self.size} px)"

    @door
    def __getitem__(self, index: int | slice | Sequence[int]) -> FaceBatch:
        """One face (as a batch of one) or several."""
        if isinstance(index, slice):
            return self.batch(range(len(self))[index])
        return self.batch([int(index)] if isinstance(index, (int, np.integer)) else index)

    def __iter__(self) -> Iterator[FaceBatch]:
        return (self.batch([index]) for index in range(len(self)))

    @door
    def batch(
        self,
        indices: Iterable[int] | Tensor,
        augment: Augment | None = None,
        seed: int = 0,
        step: int = 0,
    ) -> FaceBatch:
        """Some faces as one batch, images float32 in channels-last memory.

        Decode (or look up), then augment: :meth:`Augment.draw` says what to do, ``DecodedBatch.augment`` does
        it.

        Args:
            indices: numbers of faces, in any order, repeats allowed; negative ones count from the end.
            augment: applied with draws keyed by (seed, step, index), so that a face's draw depends on
                nothing else.
            seed, step: for ``augment``.

        Raises:
            IndexError: a number out of range.
            ValueError: an image that cannot be decoded; the sentence names file and row. Or faces that have
                an augmentation already (:meth:`with_augmentation`).
        """
        numbers = keys = check_indices(indices, len(self))
        if self._own is not None:
            if augment is not None:
                raise ValueError("These faces are augmented once and for all: augment those of the data set.")
            augment, seed, own_numbers = self._own
            keys, step = own_numbers[numbers], 0
        faces = [self._face(int(row)) for row in self._rows[numbers]]
        decoded = DecodedBatch(faces, self._maps, self._labels_of(numbers), self.size)
        if augment is None:
            return decoded.to_batch()
        return decoded.augment(augment.draw((self.size, self.size), seed, step, keys))

    def order(self, seed: int, epoch: int) -> NDArray[np.int64]:
        """All indices in this epoch's random order, a function of (seed, epoch) and the number of faces."""
        return keyed_generator(seed, epoch).permutation(len(self))

    def __reduce__(self) -> tuple[Any, ...]:
        # A worker process opens the files itself: memory maps do not travel.
        opened = (self._store.folder, self.split, self.size, self._kept.limit)
        return _reopen, (opened, (self._rows, self._own, self._subset))

    def _known(self, name: str) -> bool:
        if name == "attributes" and not self.attribute_names:
            return False
        return bool(len(self._rows)) and bool(self._store.known(name)[self._rows].all())

    def _face(self, row: int) -> DecodedFace:
        face = self._kept.get(row)
        if face is None:
            face = DecodedFace.read(self._store, row, self.size, self._maps)
            self._kept.keep(row, face)
        return face

    def _labels_of(self, numbers: NDArray[np.int64]) -> dict[str, Any]:
        labels: dict[str, Any] = {
            name: torch.from_numpy(values[numbers]) for name, values in self._labels.items()
        }
        if (table := labels.pop("attributes", None)) is not None:  # [B, number of attributes]
            labels["attributes"] = {name: table[:, k] for k, name in enumerate(self.attribute_names)}
        return labels


def _rows_of(store: Store, split: str | None) -> NDArray[np.int64]:
    """The rows of one split in the store, by default all."""
    if split is None:
        return np.arange(len(store))
    check_choice(split, SPLITS, "split")
    rows = np.flatnonzero(store.column("split") == split)
    if not len(rows):
        raise ValueError(f"{store.folder} has no faces in the split {split!r}.")
    return rows


def _reopen(
    opened: tuple[Path, str | None, int, int], chosen: tuple[NDArray[np.int64], Any, bool]
) -> FaceDataset:
    path, split, size, keep_bytes = opened
    return FaceDataset(Store(path), split, size, keep_bytes)._copy(*chosen)
