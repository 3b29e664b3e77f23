"""Completion by example: every missing pixel is copied from a known one whose surroundings look alike.

The image is completed from coarse to fine (Wexler, Shechtman, Irani 2007). On each scale two steps take
turns: every patch that touches the hole searches for the known patch most like it (PatchMatch: Barnes,
Shechtman, Finkelstein, Goldman 2009), then every missing pixel becomes what those known patches vote for.
In the end each missing pixel copies one known pixel.

What it is good at: texture, and thin holes. Where it breaks: it knows only what this image shows. A hole
over a face's middle becomes skin, hair or background, whichever fits at the rim; half a face becomes the
other half again, shifted but never mirrored. Copies never change their brightness, so shading has steps.
Among scattered known pixels there are no patches to compare, and the nearest pixel is copied.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from facecomp_lib.classical import patchfield, poisson

__all__ = ["copy_map"]

Hole = NDArray[np.bool_]  # [H, W], True = missing
Field = NDArray[np.int64]  # [H, W, 2], (y, x)

COARSEST = 8  # px that a missing pixel of the coarsest scale may be away from the known ones
FEWEST = 0.02  # known patches per patch to complete; with fewer, patches shrink
FIRST_ROUNDS, ROUNDS = 40, 10  # of searching and voting, on the coarsest scale and on every finer one
SWEEPS = 2  # over the field between two votes
TRUST = 1.3  # a patch's vote weighs this much less with every pixel of its distance from the known ones


@dataclass(frozen=True)
class Scale:
    """The image ``[h, w, 3]`` at one size, and which patches, named by their centres, may copy which."""

    image: NDArray[np.float64]
    hole: Hole
    radius: int
    usable: Hole  # patches to copy from: not a pixel missing
    target: Hole  # patches to complete: a pixel missing at least

    @property
    def places(self) -> Field:
        """The targets' centres ``[N, 2]``."""
        return np.argwhere(self.target)


def copy_map(image: NDArray[Any], hole: Hole, patch: int = 7, seed: int = 0) -> Field:
    """Where PatchMatch copies every pixel from: positions (y, x), ``[H, W, 2]``.

    Known pixels stay where they are, missing ones come from known ones. The same for the same seed.

    Args:
        image: ``[H, W, 3]``; what lies under the hole does not matter.
        hole: ``[H, W]``, True = missing; a pixel at least is known.
        patch: side of the patches that are compared, px, odd. Where too few of that size are known, smaller
            ones are compared; if not even 3 x 3 px are known anywhere, as among scattered known pixels, each
            missing pixel copies the nearest known one.
        seed: of the random search.

    Raises:
        ValueError: ``patch`` even or not in 3 ... 31, ``seed`` negative.
    """
    if patch % 2 == 0 or not 3 <= patch <= 31 or seed < 0:
        raise ValueError(f"patch must be odd, 3 ... 31 px, and seed >= 0, not {patch} and {seed}.")
    source = np.moveaxis(np.indices(hole.shape), 0, -1).copy()
    if not hole.any():
        return source
    random = np.random.default_rng(seed)
    hole = np.ascontiguousarray(hole)
    scales = _scales(np.ascontiguousarray(np.where(hole[..., None], 0.0, image), float), hole, patch)
    if not scales:
        nearest = ndimage.distance_transform_edt(hole, return_distances=False, return_indices=True)
        return np.stack(nearest, -1).astype(np.int64)
    scale = scales[-1]
    painted = poisson.solve(scale.image, np.zeros_like(scale.image), scale.hole)
    field = _scattered(scale, random)
    weight = _complete(scale, painted, field, random, FIRST_ROUNDS)
    for finer in scales[-2::-1]:
        field = _enlarged(field, scale, finer, random)
        scale, painted = finer, finer.image.copy()
        patchfield.vote(painted, scale.hole, scale.places, field, np.ones(scale.hole.shape), scale.radius)
        weight = _complete(scale, painted, field, random, ROUNDS)
    patchfield.best_votes(source, hole, scale.places, field, weight, scale.radius)
    return source


def _complete(
    scale: Scale, painted: NDArray[np.float64], field: Field, random: np.random.Generator, rounds: int
) -> NDArray[np.float64]:
    """Search and vote by turns, improving ``painted`` and ``field`` in place; the last votes' weights."""
    cost = np.zeros(scale.hole.shape)
    trust = TRUST ** -np.minimum(ndimage.distance_transform_edt(scale.hole), 100)
    for _ in range(rounds):
        patchfield.search(
            painted, scale.usable, scale.target, scale.places, field, cost, scale.radius, random, SWEEPS
        )
        typical = max(np.percentile(cost[scale.target], 75), 1e-12)
        weight = trust * np.exp(-np.minimum(cost / (2 * typical), 30))
        patchfield.vote(painted, scale.hole, scale.places, field, weight, scale.radius)
    return weight


def _scales(image: NDArray[np.float64], hole: Hole, patch: int) -> list[Scale]:
    """The image, its half, its quarter, ... until the hole is two patches wide or no patch is known."""
    scales = []
    scale = _scale(image, hole, patch)
    while scale.radius > 0:
        scales.append(scale)
        if ndimage.distance_transform_cdt(scale.hole).max() <= COARSEST:
            break
        scale = _scale(*_halved(scale.image, scale.hole), patch)
    return scales


def _scale(image: NDArray[np.float64], hole: Hole, patch: int) -> Scale:
    """With patches as wide as ``patch`` px if enough of them are known; down to single pixels (radius 0)."""
    for radius in range((min(patch, *hole.shape) - 1) // 2, -1, -1):
        touched = ndimage.maximum_filter(hole, 2 * radius + 1)
        inside = np.pad(np.ones([side - 2 * radius for side in hole.shape], bool), radius)
        usable, target = inside & ~touched, inside & touched
        if usable.sum() >= FEWEST * target.sum():
            break
    return Scale(image, hole, radius, usable, target)


def _halved(image: NDArray[np.float64], hole: Hole) -> tuple[NDArray[np.float64], Hole]:
    """Each pixel is the mean of the known among 2 x 2, and missing where there are none."""
    height, width = hole.shape
    room = ((0, height % 2), (0, width % 2), (0, 0))
    known = np.pad(~hole[..., None], room).astype(float)
    sums = [
        np.add.reduceat(np.add.reduceat(each, range(0, len(known), 2), 0), range(0, known.shape[1], 2), 1)
        for each in (np.pad(image, room) * known, known)
    ]
    return sums[0] / np.maximum(sums[1], 1), sums[1][..., 0] == 0


def _scattered(scale: Scale, random: np.random.Generator) -> Field:
    """A random source for every patch."""
    sources = np.argwhere(scale.usable)
    return sources[random.integers(len(sources), size=scale.hole.shape)]


def _enlarged(field: Field, scale: Scale, finer: Scale, random: np.random.Generator) -> Field:
    """The field on the next finer scale: jumps twice as long; a random source where that leads nowhere."""
    nearest = ndimage.distance_transform_edt(~scale.target, return_distances=False, return_indices=True)
    jump = (field - np.moveaxis(np.indices(scale.hole.shape), 0, -1))[tuple(nearest)]
    y, x = np.indices(finer.hole.shape)
    place = np.stack([y, x], -1) + 2 * jump[y // 2, x // 2]
    place = np.clip(place, 0, np.array(finer.hole.shape) - 1)
    return np.where(finer.usable[place[..., 0], place[..., 1]][..., None], place, _scattered(finer, random))
