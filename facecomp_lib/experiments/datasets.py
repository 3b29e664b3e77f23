"""The faces that an experiment names."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from facecomp_lib import faces
from facecomp_lib.evaluation.protocol import select_faces
from facecomp_lib.experiments.schema import Faces
from facecomp_lib.faces import Augment, FaceDataset

__all__ = ["open_faces"]


@lru_cache(maxsize=4)  # faces decoded once stay decoded from one job to the next
def open_folder(path: str, split: str | None, size: int | None) -> FaceDataset:
    """A prepared folder."""
    return faces.folder(path, split, size)


def open_faces(spec: Faces, role: str, size: int | None, seed: int = 0) -> FaceDataset:
    """A data set at ``size`` px, cut down and moved as its description says.

    Args:
        spec: the description.
        role: split that is meant if it names none: train, val or test.
        size: px; by default as stored.
        seed: of the random subset.

    Raises:
        ValueError, FileNotFoundError: no such faces, or fewer than the subset.
    """
    named = spec.split or role
    split = None if named == "all" else named
    if spec.source != "embedded":
        data = open_folder(spec.source, split, size)
    elif split is None:
        raise ValueError("The embedded faces are read split by split: name train, val or test.")
    else:
        data = faces.embedded(split) if size is None else faces.embedded(split, size)
    rows = np.arange(len(data))
    if spec.turned is not None:
        yaw = np.abs(data.column("pose")[:, 0])
        rows = rows[(yaw > spec.turned[0]) & (yaw <= spec.turned[1])]
    if spec.subset is not None:
        if spec.subset > len(rows):
            raise ValueError(f"{spec.subset} faces cannot be drawn from the {len(rows)} of {spec.source}.")
        rows = rows[select_faces(len(rows), spec.subset, seed)]
    if len(rows) < len(data):
        data = data.subset(rows)
    return data if spec.augment is None else data.with_augmentation(Augment(**spec.augment), seed=0)
