"""Experiments that several papers make: holes of growing size, and who is recognised. Lesson 03 uses them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import Delaunay
from torch import Tensor
from tqdm.auto import tqdm

from facecomp_lib import masks
from facecomp_lib.evaluation.comparison import Comparison
from facecomp_lib.evaluation.protocol import (
    Fill,
    Holes,
    composite_of,
    device_of,
    evaluate,
    identities,
    named_fills,
    named_holes,
)
from facecomp_lib.evaluation.recognition import face_embedding, recognition
from facecomp_lib.masks.face import average
from facecomp_lib.utils.random import sample_keys, uniform

__all__ = ["hole_sizes", "recognise"]

ORIGINAL, NOISE = "original", "noise"
_UNIT = 128  # px, the side of the images in which holes are measured


# ---------------------------------------------------------------------------------------- holes that grow


def hole_sizes(
    methods: Any,
    dataset: Any,
    sides: Iterable[int] = range(16, 81, 8),
    measures: str | Sequence[str] = ("psnr", "ssim", "psnr_hole", "ssim_hole"),
    limit: int | None = None,
    seed: int = 0,
    **options: Any,
) -> Comparison:
    """How completions fare as square holes grow (gfc, section 4.4 and figure 9).

    Each face gets one random point of its own, somewhere between brows, cheeks and chin, all points equally
    likely. All its holes lie around that point, moved inside the image where they would stick out, so that
    a larger hole hides all that a smaller one hid, and sizes can be compared in pairs like methods.

    Args:
        methods, dataset, measures, limit, seed: as for :func:`evaluate`.
        sides: of the holes, px of an image of 128 px; in smaller or larger images they scale with them.
        options: of :func:`evaluate`: ``batch``, ``progress``, ``by``.

    Returns:
        Comparison: its holes are named ``"16 px"``, ``"24 px"`` ...

    Raises:
        ValueError: no sides, sides that are no part of an image, or what :func:`evaluate` refuses.
    """
    sides = list(sides)
    if not sides or min(sides) < 1 or max(sides) >= _UNIT or len(set(sides)) < len(sides):
        raise ValueError(
            f"sides must be different numbers from 1 to {_UNIT - 1} (px of {_UNIT}), not {sides}."
        )
    holes = {f"{side} px": partial(_squares, side / _UNIT) for side in sides}
    return evaluate(methods, dataset, holes, measures, limit, seed, **options)


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
def recognise(
    methods: Any,
    dataset: Any,
    mask_kinds: str | Sequence[str] | Mapping[str, Holes],
    top: Sequence[int] = (1, 3, 5),
    gallery: int = 1,
    limit: int | None = None,
    seed: int = 0,
    batch: int = 16,
    progress: bool = True,
) -> Comparison:
    """Are completed faces recognised among images of many people (gfc, section 4.4 and figure 11)?

    The first images of each person are the gallery, undamaged; the other images are probes. A probe is
    recognised at Top-K if one of the K gallery images nearest to it, by :func:`face_embedding`, shows its
    person.

    Args:
        methods, mask_kinds, seed, batch, progress: as for :func:`evaluate`.
        dataset: faces with landmarks and identities. Who has no image left for a probe is in the gallery
            only.
        top: the values of K.
        gallery: images of each person in the gallery.
        limit: this many people, drawn by ``seed``; by default all.

    Returns:
        Comparison: measures ``"top1"`` ..., intervals by person; beside the given methods ``"original"``, the
        undamaged probe, which is an upper bound, and ``"noise"``, the probe with noise in the hole. It prints
        a row per method and a column per hole, as in the paper.

    Raises:
        ValueError: no probes, unknown people, a K beyond the gallery, or what :func:`evaluate` refuses.
        FileNotFoundError: dlib's weights are missing.
    """
    fills, holes = named_fills(methods), named_holes(mask_kinds)
    if taken := sorted({ORIGINAL, NOISE} & set(fills)):
        raise ValueError(f"recognise itself adds {', '.join(taken)}: give your method another name.")
    people = identities(dataset)
    shown, probes = _gallery_and_probes(people, gallery, limit, seed)
    device = device_of(methods)
    embedded: dict[tuple[str, str], list[Tensor]] = {}
    with tqdm(total=len(shown) + len(probes), desc="faces", delay=2, disable=not progress) as bar:
        known = []
        for numbers in _batches(shown, batch):
            faces = dataset.batch(numbers)
            known.append(face_embedding(faces.image, faces.landmarks))
            bar.update(len(numbers))
        for numbers in _batches(probes, batch):
            faces = dataset.batch(numbers).to(device)
            for key, image in _probes(fills, holes, faces, numbers, seed):
                embedded.setdefault(key, []).append(face_embedding(image, faces.landmarks).cpu())
            bar.update(len(numbers))
    comparison = Comparison(seed=seed, groups=people[probes], rows="methods")
    known_people, their_people = torch.from_numpy(people[shown]), torch.from_numpy(people[probes])
    for name in (ORIGINAL, NOISE, *fills):
        for hole in holes:
            found = torch.cat(embedded[name, "" if name == ORIGINAL else hole])
            comparison.add(name, hole, recognition(torch.cat(known), known_people, found, their_people, top))
    return comparison


def _probes(
    fills: Mapping[str, Fill],
    holes: Mapping[str, Holes],
    faces: Any,
    numbers: NDArray[np.int64],
    seed: int,
) -> Iterable[tuple[tuple[str, str], Tensor]]:
    """(Name, hole) and images of some probes: undamaged, damaged, completed."""
    yield (ORIGINAL, ""), faces.image
    keys = sample_keys(seed, 0, torch.from_numpy(numbers).to(faces.image.device))
    noise = uniform(keys, faces.image.shape[1:], NOISE)
    for kind, hole in holes.items():
        mask = hole(faces, numbers, seed)
        yield (NOISE, kind), masks.composite(faces.image, noise, mask)
        for name, fill in fills.items():
            yield (name, kind), composite_of(name, fill, faces.image, mask)


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
