"""Faces between the file and the batch: decoded, at the data set's size, as compact as they are stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facecomp_lib.faces.affine import apply_affine_labels
from facecomp_lib.faces.augment import AugmentParams
from facecomp_lib.faces.augment_uint8 import augment_uint8
from facecomp_lib.faces.schema import FaceBatch
from facecomp_lib.faces.store import Store

__all__ = ["MAPS", "DecodedBatch", "DecodedFace", "FaceCache"]

MAPS = ("parsing", "mirror_flow", "light_ratio")
"""Labels that are stored as images."""


@dataclass(frozen=True)
class DecodedFace:
    """Image and maps of one face; what is unknown is ``None``."""

    image: NDArray[np.uint8]  # [S, S, 3]
    parsing: NDArray[np.uint8] | None = None  # [S, S]
    mirror_flow: NDArray[np.float32] | None = None  # [S, S, 2]
    mirror_valid: NDArray[np.bool_] | None = None  # [S, S]
    light_ratio: NDArray[np.float32] | None = None  # [S, S, 3]

    @classmethod
    def read(cls, store: Store, row: int, size: int, maps: Sequence[str]) -> DecodedFace:
        """Decode the image and these maps of one stored face at ``size`` px."""
        fields: dict[str, Any] = {"image": store.image(row, size)}
        if "parsing" in maps:
            fields["parsing"] = store.parsing(row, size)
        if "mirror_flow" in maps:
            fields["mirror_flow"], fields["mirror_valid"] = store.mirror_flow(row, size)
        if "light_ratio" in maps:
            fields["light_ratio"] = store.light_ratio(row, size)
        return cls(**fields)

    @property
    def nbytes(self) -> int:
        return sum(value.nbytes for value in vars(self).values() if value is not None)


class FaceCache(dict[int, DecodedFace]):
    """Decoded faces by their row, as long as they fit into ``limit`` bytes; nothing is evicted.

    When epochs visit everything, a share of hits beats a queue without any.
    """

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit, self.used = limit, 0

    def keep(self, row: int, face: DecodedFace) -> None:
        """Keep a face if there is room."""
        if self.used + face.nbytes <= self.limit:
            self[row] = face
            self.used += face.nbytes


@dataclass(frozen=True)
class DecodedBatch:
    """Decoded faces and their other labels, before they become a :class:`FaceBatch`.

    Attributes:
        faces: B, all with the same maps.
        maps: names among :data:`MAPS` that are known.
        labels: all other fields of the batch, tensors ``[B, ...]``, and ``attributes`` by name.
        size: side of the images, px.
    """

    faces: Sequence[DecodedFace]
    maps: Sequence[str]
    labels: Mapping[str, Any]
    size: int

    def to_batch(self) -> FaceBatch:
        """Images float32 in channels-last memory, maps and labels as they are."""
        fields: dict[str, Any] = {}
        side = (self.size, self.size)
        image = self._stack("image", (*side, 3), np.uint8)  # [B, S, S, 3]
        fields["image"] = image.permute(0, 3, 1, 2).float().div_(255)  # [B, 3, S, S]
        if "parsing" in self.maps:
            fields["parsing"] = self._stack("parsing", side, np.uint8).long()
        if "mirror_flow" in self.maps:
            fields["mirror_flow"] = self._stack("mirror_flow", (*side, 2), np.float32)
            fields["mirror_valid"] = self._stack("mirror_valid", side, np.bool_)
        if "light_ratio" in self.maps:
            light = self._stack("light_ratio", (*side, 3), np.float32)
            fields["light_ratio"] = light.permute(0, 3, 1, 2)  # [B, 3, S, S]
        return FaceBatch(**self.labels, **fields)

    def augment(self, params: AugmentParams) -> FaceBatch:
        """The faces changed: by OpenCV as bytes where that is possible, else by PyTorch as a batch.

        OpenCV moves images and parsing maps; mirror flow and light ratio need PyTorch. Training faces have
        neither, so OpenCV runs in every training step: 50 us per face of 64 px and 130 us of 128 px, where
        PyTorch needs 175 us and 740 us (one thread, decoded before; ``benchmarks.loading``). The camera is
        PyTorch's in both.
        """
        if not set(self.maps) <= {"parsing"}:
            return params(self.to_batch())
        parsing = [face.parsing for face in self.faces if face.parsing is not None]
        image, classes = augment_uint8([face.image for face in self.faces], parsing, params)
        moved = apply_affine_labels(self.labels, params.matrix)
        fields = {**self.labels, **moved, "parsing": classes if self.maps else None}
        batch = FaceBatch(image=image, **fields)
        return batch if params.camera is None else params.camera(batch)

    def _stack(self, name: str, shape: tuple[int, ...], dtype: Any) -> Tensor:
        """One tensor ``[B, *shape]``; B may be 0."""
        stacked = np.empty((len(self.faces), *shape), dtype)
        for place, face in zip(stacked, self.faces, strict=True):
            place[...] = getattr(face, name)
        return torch.from_numpy(stacked)
