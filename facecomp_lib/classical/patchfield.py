"""The loops of PatchMatch: patches of an image search for patches like them, and vote on missing pixels.

A patch is named by its centre; with radius r it is 2 r + 1 pixels wide and lies wholly inside the image.
The field ``[H, W, 2]`` holds, for each target (a patch that touches the hole), the centre (y, x) of its
source (a patch without a missing pixel). ``places`` ``[N, 2]`` lists the targets row by row. numba compiles
these functions when they first run; with ``NUMBA_DISABLE_JIT=1`` they are plain Python, and slow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

__all__ = ["best_votes", "search", "vote"]


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Machine code is kept on disk; where nothing can be written, each program compiles anew."""
    try:
        return numba.njit(cache=True)(function)
    except RuntimeError:
        return numba.njit(function)


@_compiled
def _distance(image, y, x, source_y, source_x, radius, most):
    """Sum of squared differences of two patches; given up, with what there is so far, at ``most``."""
    total = 0.0
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            for c in range(3):
                difference = image[y + dy, x + dx, c] - image[source_y + dy, source_x + dx, c]
                total += difference * difference
        if total >= most:
            break
    return total


@_compiled
def _offer(image, usable, field, cost, y, x, source_y, source_x, radius):
    """Let the target (y, x) take this source, if it is one and more like the target than the present."""
    height, width = usable.shape
    if 0 <= source_y < height and 0 <= source_x < width and usable[source_y, source_x]:
        distance = _distance(image, y, x, source_y, source_x, radius, cost[y, x])
        if distance < cost[y, x]:
            cost[y, x] = distance
            field[y, x, 0] = source_y
            field[y, x, 1] = source_x


@_compiled
def _spread(image, usable, target, field, cost, y, x, step, radius):
    """What suits a neighbour suits me, shifted: offer the sources of the neighbours visited before."""
    height, width = usable.shape
    if 0 <= y - step < height and target[y - step, x]:
        source_y, source_x = field[y - step, x]
        _offer(image, usable, field, cost, y, x, source_y + step, source_x, radius)
    if 0 <= x - step < width and target[y, x - step]:
        source_y, source_x = field[y, x - step]
        _offer(image, usable, field, cost, y, x, source_y, source_x + step, radius)


@_compiled
def _explore(image, usable, field, cost, y, x, random, radius):
    """Offer random sources around the present one, within the whole image, half of it, a quarter, ..."""
    reach = max(usable.shape)
    while reach >= 1:
        source_y = field[y, x, 0] + random.integers(-reach, reach + 1)
        source_x = field[y, x, 1] + random.integers(-reach, reach + 1)
        _offer(image, usable, field, cost, y, x, source_y, source_x, radius)
        reach //= 2


@_compiled
def search(image, usable, target, places, field, cost, radius, random, sweeps):
    """Improve the field, and its cost ``[H, W]`` (squared patch distance), in place.

    Sweeps go forth and back by turns, so that a good source found anywhere spreads everywhere (Barnes and
    others 2009, section 3.2).
    """
    for y, x in places:  # since the last search, the image has changed
        cost[y, x] = _distance(image, y, x, field[y, x, 0], field[y, x, 1], radius, np.inf)
    for sweep in range(sweeps):
        step = 1 if sweep % 2 == 0 else -1
        for y, x in places[::step]:
            _spread(image, usable, target, field, cost, y, x, step, radius)
            _explore(image, usable, field, cost, y, x, random, radius)


@_compiled
def vote(image, hole, places, field, weight, radius):
    """Every missing pixel becomes the weighted mean of what the targets over it would copy, in place."""
    votes = np.zeros(image.shape)
    total = np.zeros(hole.shape)
    for y, x in places:
        source_y, source_x = field[y, x]
        for dy in range(-radius, radius + 1):
            for dx in range(-radius, radius + 1):
                if hole[y + dy, x + dx]:
                    total[y + dy, x + dx] += weight[y, x]
                    for c in range(3):
                        colour = image[source_y + dy, source_x + dx, c]
                        votes[y + dy, x + dx, c] += weight[y, x] * colour
    for y, x in np.argwhere(hole):
        for c in range(3):
            image[y, x, c] = votes[y, x, c] / total[y, x]


@_compiled
def best_votes(source, hole, places, field, weight, radius):
    """Every missing pixel takes one vote, the heaviest: ``source`` ``[H, W, 2]`` gets the pixel it copies."""
    heaviest = np.zeros(hole.shape)
    for y, x in places:
        for dy in range(-radius, radius + 1):
            for dx in range(-radius, radius + 1):
                if hole[y + dy, x + dx] and weight[y, x] > heaviest[y + dy, x + dx]:
                    heaviest[y + dy, x + dx] = weight[y, x]
                    source[y + dy, x + dx, 0] = field[y, x, 0] + dy
                    source[y + dy, x + dx, 1] = field[y, x, 1] + dx
