"""Completions that look nothing up but faces: whoever builds a network has to beat them. Lesson 02 uses them.

Both take faces of the **training** split and blend what they paste into the known pixels (Poisson, lesson
02).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from facecomp_lib.classical import poisson_blend
from facecomp_lib.completion import Completion
from facecomp_lib.evaluation.protocol import select_faces
from facecomp_lib.utils.checks import check_count

__all__ = ["average_face", "nearest_face"]

CHUNK = 250  # faces at a time


def average_face(train: Any) -> Callable[[Tensor, Tensor], Completion]:
    """A completer that pastes the mean of the training faces.

    Args:
        train: a data set of faces, or their images ``[N, 3, S, S]`` in [0, 1].

    Returns:
        ``(image [B, 3, S, S], mask [B, 1, S, S]) -> Completion``.
    """
    if isinstance(train, Tensor):
        mean = train.mean(0, keepdim=True)  # [1, 3, S, S]
    else:
        sums = [part.double().sum(0, keepdim=True) for part in _chunks(train, len(train))]
        mean = torch.cat(sums).sum(0, keepdim=True) / len(train)

    def complete(image: Tensor, mask: Tensor) -> Completion:
        return _pasted(image, mean.to(image).expand_as(image), mask)

    return complete


def nearest_face(train: Any, limit: int = 2000) -> Callable[[Tensor, Tensor], Completion]:
    """A completer that pastes the training face whose known pixels are nearest (mean squared difference).

    Args:
        train: as for :func:`average_face`.
        limit: so many faces are looked through at most, drawn by chance; they are kept in memory as 8 bits.

    Returns:
        As :func:`average_face`. ``extras["nearest"]`` ``[B]`` is the place of the face that was pasted among
        those that were looked through.
    """
    check_count(limit, 1, "limit")
    parts: Iterable[Tensor] = [train] if isinstance(train, Tensor) else _chunks(train, limit)
    candidates = torch.cat([(255 * part).round().byte() for part in parts])  # [N, 3, S, S]

    def complete(image: Tensor, mask: Tensor) -> Completion:
        known = (mask > 0.5).to(image).expand(len(image), 3, -1, -1)  # [B, 3, S, S]
        shown = (image * known).flatten(1)  # [B, P]
        scores = []
        for part in candidates.to(image.device).split(CHUNK):
            faces = part.flatten(1).to(image) / 255  # [n, P]
            # |known (image - face)|^2 without what does not depend on the face
            scores.append(known.flatten(1) @ faces.square().T - 2 * shown @ faces.T)  # [B, n]
        nearest = torch.cat(scores, 1).argmin(1).cpu()  # [B]
        drawn = candidates[nearest].to(image) / 255
        return _pasted(image, drawn, mask, nearest)

    return complete


def _chunks(train: Any, limit: int) -> Iterator[Tensor]:
    numbers = torch.from_numpy(select_faces(len(train), limit, seed=0))
    yield from (train.batch(some).image for some in numbers.split(CHUNK))


def _pasted(image: Tensor, drawn: Tensor, mask: Tensor, nearest: Tensor | None = None) -> Completion:
    extras = {} if nearest is None else {"nearest": nearest}
    return Completion(poisson_blend(image, drawn, mask.expand(len(image), -1, -1, -1)), drawn, extras)
