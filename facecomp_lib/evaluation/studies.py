"""Studies that several papers make: masks of growing size, and who is recognised. Lesson 03 uses them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.spatial import Delaunay
from torch import Tensor
from tqdm.auto import tqdm

from facecomp_lib.evaluation.protocol import (
    Completer,
    MaskSampler,
    completion_of,
    device_of,
    evaluate,
    named_completers,
    named_masks,
    tidy,
)
from facecomp_lib.evaluation.recognition import face_embedding, recognition
from facecomp_lib.masks import composite
from facecomp_lib.masks.geometry import average
from facecomp_lib.utils.random import sample_keys, uniform

__all__ = ["identification_study", "mask_size_study"]

ORIGINAL, NOISE = "original", "noise"
_UNIT = 128  # px, the side of the images in which masks are measured


# ---------------------------------------------------------------------------------------- masks that grow


def mask_size_study(
    methods: Any,
    faces: Any,
    sides: Iterable[int] = range(16, 81, 8),
    metrics: str | Sequence[str] = ("psnr", "ssim", "psnr_hole", "ssim_hole"),
    limit: int | None = None,
    seed: int = 0,
    **options: Any,
) -> pd.DataFrame:
    """How completions fare as square masks grow (gfc, section 4.4 and figure 9).

    Each face gets one random point of its own, somewhere between brows, cheeks and chin, all points equally
    likely. All its masks lie around that point, moved inside the image where they would stick out, so that
    a larger mask hides all that a smaller one hid, and sizes can be compared in pairs like methods.

    Args:
        methods, faces, metrics, limit, seed: as for :func:`evaluate`.
        sides: of the squares, px of an image of 128 px; in smaller or larger images they scale with them.
        options: of :func:`evaluate`: ``batch_size``, ``progress``.

    Returns:
        DataFrame: as of :func:`evaluate`; its masks are named ``"16 px"``, ``"24 px"`` ...

    Raises:
        ValueError: no sides, sides that are no part of an image, or what :func:`evaluate` refuses.
    """
    sides = list(sides)
    if not sides or min(sides) < 1 or max(sides) >= _UNIT or len(set(sides)) < len(sides):
        raise ValueError(
            f"sides must be different numbers from 1 to {_UNIT - 1} (px of {_UNIT}), not {sides}."
        )
    samplers = {f"{side} px": partial(_squares, side / _UNIT) for side in sides}
    return evaluate(methods, faces, samplers, metrics, limit, seed, **options)


def _squares(share: float, faces: Any, numbers: NDArray[np.int64], seed: int) -> Tensor:
    """A square of a share of the image's side on each face: mask ``[B, 1, H, W]``."""
    height, width = faces.image.shape[2:]
    side = max(1, round(share * min(height, width)))
    mask = torch.ones(len(numbers), 1, height, width, device=faces.image.device)
    for k, number in enumerate(numbers):
        if faces.landmarks is None:
            points = average(height, width).points
        else:
            points = faces.landmarks[k].double().cpu().numpy()
        x, y = _point_on_face(points, np.random.default_rng([seed, int(number)]))
        left = int(np.clip(round(x - (side - 1) / 2), 0, width - side))
        top = int(np.clip(round(y - (side - 1) / 2), 0, height - side))
        mask[k, :, top : top + side, left : left + side] = 0
    return mask


def _point_on_face(landmarks: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    """A point ``[2]`` within the outline of the landmarks ``[68, 2]``, all of them equally likely."""
    corners = landmarks[Delaunay(landmarks).simplices]  # [T, 3, 2], triangles
    (ax, ay), (bx, by) = (corners[:, 1] - corners[:, 0]).T, (corners[:, 2] - corners[:, 0]).T
    area = np.abs(ax * by - ay * bx)
    triangle = corners[random.choice(len(area), p=area / area.sum())]
    return random.dirichlet(np.ones(3)) @ triangle


# -------------------------------------------------------------------------------------- who is recognised


@torch.no_grad()
def identification_study(
    methods: Any,
    faces: Any,
    masks: str | Sequence[str] | Mapping[str, MaskSampler],
    top: Sequence[int] = (1, 3, 5),
    gallery: int = 1,
    limit: int | None = None,
    seed: int = 0,
    batch_size: int = 16,
    progress: bool = True,
) -> pd.DataFrame:
    """Are completed faces recognised among images of many people (gfc, section 4.4 and figure 11)?

    The first images of each person are the gallery, undamaged; the other images are probes. A probe is
    recognised at Top-K if one of the K gallery images nearest to it, by :func:`face_embedding`, shows its
    person.

    Args:
        methods, masks, seed, batch_size, progress: as for :func:`evaluate`.
        faces: with landmarks and identities. Who has no image left for a probe is in the gallery only.
        top: the values of K.
        gallery: images of each person in the gallery.
        limit: this many people, drawn by ``seed``; by default all.

    Returns:
        DataFrame: as of :func:`evaluate`, metrics ``"top1"`` ...; beside the given methods ``"original"``,
        the undamaged probe, which is an upper bound, and ``"noise"``, the probe with noise under the mask.

    Raises:
        ValueError: no probes, unknown people, a K beyond the gallery, or what :func:`evaluate` refuses.
        FileNotFoundError: dlib's weights are missing.
    """
    completers, samplers = named_completers(methods), named_masks(masks)
    if reserved := sorted({ORIGINAL, NOISE} & set(completers)):
        raise ValueError(f"This study itself adds {', '.join(reserved)}: give your method another name.")
    people = np.asarray(faces.column("identity"))
    if (people < 0).any():
        raise ValueError(f"{faces.name} does not know who its faces are: nobody can be recognised.")
    shown, probes = _gallery_and_probes(people, gallery, limit, seed)
    device = device_of(methods)
    embedded: dict[tuple[str, str], list[Tensor]] = {}
    with tqdm(total=len(shown) + len(probes), desc="faces", delay=2, disable=not progress) as bar:
        known = []
        for numbers in _batches(shown, batch_size):
            batch = faces.batch(numbers)
            known.append(face_embedding(batch.image, batch.landmarks))
            bar.update(len(numbers))
        for numbers in _batches(probes, batch_size):
            batch = faces.batch(numbers).to(device)
            for key, image in _probes(completers, samplers, batch, numbers, seed):
                embedded.setdefault(key, []).append(face_embedding(image, batch.landmarks).cpu())
            bar.update(len(numbers))
    known_people, their_people = torch.from_numpy(people[shown]), torch.from_numpy(people[probes])
    tables = []
    for name in (ORIGINAL, NOISE, *completers):
        for kind in samplers:
            found = torch.cat(embedded[name, "" if name == ORIGINAL else kind])
            hits = recognition(torch.cat(known), known_people, found, their_people, top)
            keys = {"method": name, "mask": kind, "index": probes, "person": people[probes]}
            tables.append(pd.DataFrame(keys | {key: hit.double() for key, hit in hits.items()}))
    return tidy(pd.concat(tables, ignore_index=True))


def _probes(
    completers: Mapping[str, Completer],
    samplers: Mapping[str, MaskSampler],
    faces: Any,
    numbers: NDArray[np.int64],
    seed: int,
) -> Iterable[tuple[tuple[str, str], Tensor]]:
    """(Name, mask) and images of some probes: undamaged, damaged, completed."""
    yield (ORIGINAL, ""), faces.image
    keys = sample_keys(seed, 0, torch.from_numpy(numbers).to(faces.image.device))
    noise = uniform(keys, faces.image.shape[1:], NOISE)
    for kind, sample in samplers.items():
        mask = sample(faces, numbers, seed)
        yield (NOISE, kind), composite(faces.image, noise, mask)
        for name, complete in completers.items():
            yield (name, kind), completion_of(name, complete, faces, mask).composite


def _gallery_and_probes(
    people: NDArray[np.int64], gallery: int, limit: int | None, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers of the first images of each person, and of the others; of ``limit`` people."""
    if gallery < 1 or (limit is not None and limit < 1):
        raise ValueError(f"gallery and limit must be 1 or more, not {gallery} and {limit}.")
    everyone = np.unique(people)
    drawn = np.random.default_rng([seed, len(everyone)]).permutation(everyone)[:limit]
    seen: dict[int, int] = {}
    parts: tuple[list[int], list[int]] = ([], [])
    for number in np.flatnonzero(np.isin(people, drawn)).tolist():
        person = int(people[number])
        seen[person] = seen.get(person, 0) + 1
        parts[seen[person] > gallery].append(number)
    if not parts[1]:
        raise ValueError(f"Nobody has more than {gallery} images: there is nothing to recognise.")
    return np.array(parts[0]), np.array(parts[1])


def _batches(numbers: NDArray[np.int64], batch: int) -> list[NDArray[np.int64]]:
    return np.split(numbers, range(batch, len(numbers), batch))
