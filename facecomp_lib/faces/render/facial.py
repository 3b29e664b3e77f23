"""Beard, brows, lashes and spectacles: short arcs and curves, a few array operations for all of them."""

from functools import cache

import numpy as np

from .fibres import BEARD, BROW, FRAME, LASH, Arc, evenly, scatter, solid, unit
from .shape import head, smoothstep

BEARD_HAIR = Arc(BEARD, 0.0005, lift=35, bend=0.25, jitter=0.4)
STUBBLE = Arc(BEARD, 0.0005, lift=35, bend=0.25, jitter=0.4, nodes=3)
BROW_HAIR = Arc(BROW, 0.00045, lift=12, bend=0.1, jitter=0.18)


@cache
def beard_roots():
    return scatter(lambda p: (p[..., 2] < 0.895) & (p[..., 2] > 0.765) & (p[..., 1] < -0.04), 12000, 2)


@cache
def brow_roots():
    def inside(p):
        x, z = np.abs(p[..., 0]), p[..., 2]
        near = np.abs(z - brow_line(x, 0.5)) < 0.009
        return (x > 0.011) & (x < 0.054) & (p[..., 1] < -0.08) & near

    return scatter(inside, 6000, 3)


def brow_line(x, arch):
    """Height z of the brow's middle at |x|, neutral metres; the same curve as `skin.brow_middle`."""
    t = np.clip((x - 0.013) / 0.038, 0, 1)
    bow = np.sin(np.pi * np.clip(t * 0.78 + 0.06, 0, 1)) ** 1.2
    return 0.9168 + 0.0075 * bow * (0.6 + 0.8 * arch) + 0.0012 * t - 0.0072 * np.clip(t - 0.75, 0, None)


def beard_region(rest):
    """0..1 on jaw, chin, throat and whiskers at neutral points (..., 3); the same as `skin.beard_region`."""
    x, y, z = np.abs(rest[..., 0]), rest[..., 1], rest[..., 2]
    jaw = smoothstep(0.866, 0.842, z + 0.05 * (x - 0.045) * smoothstep(0.03, 0.06, x))
    whisker = smoothstep(0.052, 0.066, x) * smoothstep(0.893, 0.86, z)
    cheek = 1 - smoothstep(0.832, 0.852, z) * smoothstep(0.015, 0.030, x) * (1 - smoothstep(0.054, 0.068, x))
    return np.maximum(jaw * cheek, whisker) * smoothstep(-0.043, -0.058, y)


def beard_density(rest, kind):
    """0..1 where a beard of some kind grows, by neutral position (..., 3)."""
    x, y, z = np.abs(rest[..., 0]), rest[..., 1], rest[..., 2]
    throat = smoothstep(0.770, 0.788, z + 0.10 * np.maximum(-(y + 0.13), -0.03) + 0.012)
    full = beard_region(rest) * throat
    full = full * (1 - 0.9 * np.exp(-((x / 0.010) ** 2 + ((z - 0.8125) / 0.003) ** 2)))  # below the lip
    groove = 0.0025 * (1 - smoothstep(0, 0.02, x))
    upper = np.exp(-(((z - 0.8475 - groove) / 0.0062) ** 4))
    upper = upper * smoothstep(0.033, 0.022, x) * smoothstep(-0.12, -0.14, y)
    if kind == "moustache":
        return upper
    if kind == "goatee":
        return np.maximum(upper, full * smoothstep(0.036, 0.026, x) * smoothstep(0.845, 0.838, z))
    return np.maximum(full, upper)


@cache
def _beard_chances(kind):
    """Chance (N,) of each of the `beard_roots` to carry a hair: none on the lips."""
    roots = beard_roots()
    lip = np.einsum("nk,nk->n", roots.bary, head().lip[roots.tri])
    density = beard_density(roots.rest, kind) * smoothstep(0.45, 0.15, lip)
    return density * (0.30 if kind == "stubble" else 0.8)


def beard(points, normals, person):
    """Beard hairs, or None. Stubble is drawn as very short hairs.

    Args:
        points, normals: (V, 3) rest mesh of the person.
    """
    if person.beard == "none":
        return None
    roots = beard_roots()
    chosen = np.nonzero(roots.chance < _beard_chances(person.beard))[0]
    if not len(chosen):
        return None
    rest = roots.rest[chosen]
    x = rest[:, :1]
    upper = (rest[:, 2:] > 0.842) & (np.abs(x) < 0.034)
    sideways = np.sign(x) * [0.9, 0, 0] + [0, -0.1, -0.6]  # the moustache
    downwards = np.concatenate([0.4 * np.sign(x) * (np.abs(x) < 0.03), 0 * x - 0.15, 0 * x - 1], 1)
    direction = np.where(upper, sideways, downwards)
    if person.beard == "stubble":
        return STUBBLE.grow(roots, chosen, points, normals, direction, np.full(len(chosen), 0.0013))
    spread = np.clip(1 + 0.25 * roots.random[chosen, 4], 0.4, 1.6)
    length = person.beard_length * np.where(upper[:, 0], 0.7, 1.0) * spread
    return BEARD_HAIR.grow(roots, chosen, points, normals, direction, length)


def brows(points, normals, person):
    """Brow hairs: upright near the nose, then along the brow. Points and normals as in `beard`."""
    roots = brow_roots()
    x, z = np.abs(roots.rest[:, 0]), roots.rest[:, 2]
    along = (x - 0.0125) / 0.0395
    taper = np.minimum(smoothstep(-0.15, 0.15, along), 1 - 0.75 * smoothstep(0.45, 1.05, along))
    away = (z - brow_line(x, person.brow_arch)) / np.maximum(person.brow_height * taper, 3e-4)
    ends = smoothstep(-0.12, 0.12, along), 1 - smoothstep(0.93, 1.06, along)
    density = (1 - smoothstep(0.5, 1.15, np.abs(away))) * ends[0] * ends[1]
    chosen = np.nonzero(roots.chance < density * person.brow_density * (0.7 if person.male else 0.5))[0]
    t = np.clip(along[chosen], 0, 1)[:, None]
    sign = np.sign(roots.rest[chosen, :1])
    upwards = 0.9 - 1.2 * t - 0.25 * away[chosen, None]
    direction = np.concatenate([sign * (0.35 + 0.9 * t), 0.2 * t, upwards], 1)
    length = np.clip(0.0065 * (1 - 0.35 * t[:, 0]) * (1 + 0.2 * roots.random[chosen, 4]), 0.003, 0.009)
    return BROW_HAIR.grow(roots, chosen, points, normals, direction, length)


def lashes(landmarks, makeup):
    """Lashes along the lids' landmarks (68, 3): long above, short below."""
    paths = []
    for eye, outer in ((36, -1), (42, 1)):
        centre = landmarks[eye : eye + 6].mean(0)
        upper, lower = landmarks[eye : eye + 4], landmarks[[eye, eye + 5, eye + 4, eye + 3]]
        for lid, up, length, count in ((upper, 1, 0.0062 + 0.0025 * makeup, 44), (lower, -1, 0.0028, 18)):
            root = evenly(lid, count)
            fan = (root - centre) * [1, 0, 0.3] / 0.013
            heading = unit(0.9 * fan + [0.25 * outer, -0.75, 0.35 * up])
            t = np.linspace(0, 1, 4)[None, :, None]
            bent = root[:, None] + length * (heading[:, None] * t + np.array([0, 0.1, 0.45 * up]) * t**2)
            paths.append(bent + [0, -0.0006, 0])
    return solid(np.concatenate(paths), LASH, 0.00035)


def _rim(width, height, power):
    """Outline (33, 3) of a lens around its middle: a superellipse, round at power 2, boxy at 4."""
    t = np.linspace(0, 2 * np.pi, 33)
    c, s = np.cos(t), np.sin(t)
    x = np.sign(c) * np.abs(c) ** (2 / power) * width
    z = np.sign(s) * np.abs(s) ** (2 / power) * height
    return np.stack([x, 0.10 * np.abs(c) * width, z], 1)


def spectacles(landmarks, rng):
    """A spectacle frame around the landmarks (68, 3): two rims, two temples and a bridge."""
    right, left = landmarks[36:42].mean(0), landmarks[42:48].mean(0)
    gap = left[0] - right[0]
    front = min(landmarks[27:31, 1].min() * 0.35 + landmarks[27, 1] * 0.65, right[1] - 0.012) - 0.003
    width, height = gap * rng.uniform(0.37, 0.42), gap * rng.uniform(0.25, 0.36)
    rim = _rim(width, height, rng.choice([2.0, 2.8, 4.0]))
    paths = []
    for eye, outer in ((right, -1), (left, 1)):
        middle = np.array([eye[0] + outer * 0.002, front, eye[2] - 0.003])
        paths.append(middle + rim)
        hinge = middle + [outer * width, 0.10 * width, 0.3 * height]
        ear = np.array([outer * 0.080, 0.0, eye[2] + 0.004])
        paths.append(evenly(np.array([hinge, hinge + [outer * 0.003, 0.008, 0], ear]), 33))
    a = np.array([right[0] - 0.002 + width, front, right[2] + 0.25 * height])
    b = np.array([left[0] + 0.002 - width, front, left[2] + 0.25 * height])
    paths.append(evenly(np.array([a, (a + b) / 2 + [0, -0.003, 0.002], b]), 33))
    return solid(np.stack(paths), FRAME, rng.uniform(0.0012, 0.0030))
