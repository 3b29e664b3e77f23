"""Figures of an experiment: what the variants of the first seed make of some test faces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from facecomp_lib import masks, show
from facecomp_lib.evaluation.protocol import completion_of
from facecomp_lib.experiments.completions import Completer
from facecomp_lib.experiments.schema import Column, Sheet
from facecomp_lib.faces import FaceDataset

__all__ = ["draw_sheet", "save_sheet"]

Find = Callable[[str, str | None], Completer]
"""The completer of a name, as it was after a stage."""


def draw_sheet(sheet: Sheet, data: FaceDataset, columns: Sequence[Column], find: Find) -> list[Tensor]:
    """One ``[B, 3, S, S]`` in [0, 1] per column.

    Raises:
        ValueError: something to show that a completion does not have.
    """
    faces = data.batch(sheet.faces)
    mask = torch.ones_like(faces.image[:, :1])
    if sheet.mask != "none":
        mask = masks.make(sheet.mask, data.size, len(faces), sheet.seed, faces.landmarks)
    target = {} if faces.parsing is None else {"parsing": faces.parsing}
    drawn = []
    for column in columns:
        if column.of in ("input", "target"):
            image, extras = (faces.image * mask if column.of == "input" else faces.image), target
        else:
            completion = completion_of(column.of, find(column.of, column.after), faces, mask)
            image, extras = completion.composite, completion.extras
        if column.show is not None and column.show not in extras:
            raise ValueError(f"samples: {column.of} has no {column.show!r}, only {', '.join(extras)}.")
        value = image if column.show is None else extras[column.show]
        if not value.numel():
            raise ValueError(f"samples: {column.of} completes nothing; show one of {', '.join(extras)}.")
        drawn.append(value if value.ndim == 4 else coloured(value))
    return drawn


def coloured(labels: Tensor) -> Tensor:
    """Label maps ``[B, S, S]`` as images ``[B, 3, S, S]``."""
    images = [torch.from_numpy(show.parsing_image(one)).permute(2, 0, 1) for one in labels]  # [3, S, S]
    return torch.stack(images).float()


def save_sheet(columns: Sequence[Tensor], path: Path) -> None:
    """An image with a row per face and a column for each ``[B, 3, S, S]``."""
    sheet = torch.stack([column.cpu().clamp(0, 1) for column in columns], 3).flatten(
        3
    )  # [B, 3, S, columns * S]
    pixels = (
        sheet.permute(0, 2, 3, 1).flatten(0, 1).mul(255).round().byte().numpy()
    )  # [B * S, columns * S, 3]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(pixels)).save(path, quality=90)
