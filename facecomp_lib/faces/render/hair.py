"""Scalp hair: where it grows, how it is combed and cut, and its growth step by step.

Hair keeps its direction, feels weight and curl, and is pushed out of the skull; see `grow`.
"""

from functools import cache

import numpy as np
import warp as wp

from . import grow
from .device import to_device
from .fibres import HAIR, Fibres, scatter, unit
from .shape import smoothstep
from .skull import CENTRE, skull

LONG = 0.1  # metres on top; longer hair has thicker strands and more nodes


class Hairline:
    """The hairline as seen from points (..., 3) in neutral coordinates; the same as `skin.above_hairline`."""

    def __init__(self, points):
        y = points[..., 1] - CENTRE[1]
        around = np.degrees(np.abs(np.arctan2(points[..., 0], -y)))
        self.up = np.degrees(np.arctan2(points[..., 2] - CENTRE[2], np.hypot(points[..., 0], y)))
        self.front = 30 + 1.5 * smoothstep(0, 20, around)
        self.temples = smoothstep(16, 34, around) * (1 - smoothstep(40, 56, around))
        self.sides = (
            -22 * smoothstep(44, 61, around),
            -22 * smoothstep(61, 70, around),
            12 * smoothstep(74, 86, around),  # over the ear
            -20 * smoothstep(98, 125, around),
            -22 * smoothstep(125, 165, around),
        )
        self.receding = 1 - smoothstep(50, 75, around)

    def __call__(self, recession=0.0, temples=0.0):
        """Degrees (...) of elevation above the line, > 0 on the scalp; arguments in degrees."""
        line = self.front + temples * self.temples
        for side in self.sides:
            line = line + side
        return self.up - (line + recession * self.receding)


def hairline(points, recession=0.0, temples=0.0):
    """Degrees above the hairline of points (..., 3)."""
    return Hairline(points)(recession, temples)


@cache
def scalp_roots():
    return scatter(lambda p: hairline(p) > -9, 13000, 1)


@cache
def _root_hairline():
    return Hairline(scalp_roots().rest)


@cache
def _balding():
    """0..1 (N,) how early each of the `scalp_roots` is lost: crown and top of the forehead first."""
    x, y, z = scalp_roots().rest.T
    crown = np.exp(-((x / 0.05) ** 2 + (y / 0.055) ** 2)) * (z > 0.96)
    return np.clip(crown + 0.75 * smoothstep(0.95, 0.985, z), 0, 0.97)


def scalp_hair(points, normals, person, style, rng, device):
    """Scalp hair of a person in a `Style`, or None where nothing grows.

    Args:
        points, normals: (V, 3) rest mesh of the person.
        rng: numpy Generator. device: Warp device.
    """
    if style.count == 0:
        return None
    roots = scalp_roots()
    above = _root_hairline()(*person.hairline)
    above = above + 1.5 * roots.random[:, 0]  # an uneven line, thin at its edge
    density = smoothstep(-3, 6, above) * (1 - person.thinning * _balding())
    chosen = np.nonzero(roots.chance < density)[0][: style.count]
    if len(chosen) < 20:
        return None
    rest, random = roots.rest[chosen], roots.random[chosen]
    shared = rng.normal(size=(roots.tuft.max() + 1, 3))[roots.tuft[chosen]]  # neighbours move together
    comb, length = _comb(rest, style), _lengths(rest, above[chosen], random, style)
    fringe = (style.fringe > 0) & _forehead(rest)
    comb[fringe] = [0.0, -0.8, -0.35]
    comb[fringe, 0] = rest[fringe, 0] * 6 + 0.25 * style.over
    length = np.where(fringe, _fringe_lengths(rest, random, style), length)
    comb = unit(comb + 0.45 * style.clump * shared + 0.6 * style.frizz * random[:, 2:5])
    lift = np.deg2rad(np.clip(style.lift * (1 + 0.3 * random[:, 1:2]), 0, 88))
    normal = unit(roots.place(normals, chosen))
    heading = comb * np.cos(lift) + normal * np.sin(lift)
    path, depth = _grow(
        roots.place(points, chosen),
        heading,
        length,
        fringe,
        shared,
        random,
        skull().table(points),
        style,
        rng,
        device,
    )
    long = style.top > LONG
    tips = np.linspace(0, 1, path.shape[1], dtype=np.float32)[None] * (0.5 if long else 0.3)
    tint = np.clip(1 + 0.20 * random[:, 0] + 0.22 * style.clump * shared[:, 2], 0.45, 1.7)
    if person.grey > 0.05:  # grey comes hair by hair
        tint = tint * np.where(rng.random(len(chosen)) < 0.3 * person.grey, 1.5, 1.0)
    width = 0.00105 if long else 0.0006
    return Fibres(path, HAIR, tint.astype(np.float32), np.maximum(depth, tips), width)


def _comb(rest, style):
    """Direction (N, 3) in which hair is combed at each root, not normalised."""
    crown = np.array([0.004, 0.02, 1.02])
    out = unit(rest - crown)
    side = np.where(rest[:, :1] > style.parting, 1.0, -1.0)
    top = smoothstep(0.93, 0.975, rest[:, 2:3])
    x, y, z = np.eye(3)
    away = style.back * (0.35 + 0.65 * top) * y + style.across * side * x * top + style.over * x * top
    falls = 0.15 if style.back >= 1.5 and style.side >= 0.05 else 1  # tied back: the sides are held
    return style.out * out + away + (1 - top) * 0.9 * -z * falls


def _lengths(rest, above, random, style):
    """Length (N,) of each hair: top, sides and nape blend, and the hairline is finer."""
    top = smoothstep(0.945, 0.985, rest[:, 2])
    nape = smoothstep(0.0, 0.05, rest[:, 1]) * (1 - top)
    length = style.top * top + (1 - top) * (style.side * (1 - nape) + style.nape * nape)
    inside = smoothstep(-3, 12, above)
    fine = 0.45 + 0.55 * inside if style.top < LONG else 0.85 + 0.15 * inside
    return length * fine * np.clip(1 + 0.16 * random[:, 5], 0.55, 1.4)


def _forehead(rest):
    """Which roots (N,) belong to a fringe."""
    return (rest[:, 1] < -0.05) & (np.abs(rest[:, 0]) < 0.046) & (rest[:, 2] > 0.93)


def _fringe_lengths(rest, random, style):
    """Length (N,) of hair combed onto the forehead: hair from further back joins in."""
    to_forehead = 0.9 * np.linalg.norm(rest[:, 1:] - [-0.135, 0.965], axis=1)
    return np.minimum(style.fringe * (1 + 0.10 * random[:, 1]) + to_forehead, 0.13)


def _nodes(style):
    """Nodes of a hair: enough for its curls."""
    if style.curl > 0.0035:
        return int(np.clip(6 * style.turns, 12, 30))
    return 17 if style.top > LONG else 8


def _grow(root, heading, length, fringe, shared, random, table, style, rng, device):
    """Step all hairs from their roots: nodes (N, M, 3) and their depth in the hair (N, M), see `grow`."""
    count, nodes = len(root), _nodes(style)
    growth = grow.Growth()
    growth.nodes, growth.seed, growth.centre = nodes, int(rng.integers(1 << 30)), wp.vec3(*CENTRE.tolist())
    growth.layer, growth.frizz, growth.weight = float(style.layer), float(style.frizz), float(style.weight)
    growth.curl, growth.turns = float(style.curl), float(style.turns)
    growth.open_face = int(style.open_face and style.top > 0.08)
    settle = style.layer * (0.25 + 0.75 * rng.random(count))
    side = np.where(fringe, 0.0, 0.066 + 0.003 * shared[:, 1] + 0.002 * random[:, 4])
    phase = 6.28 * (0.55 * rng.random(count) + 0.45 * (shared[:, 0] % 1))
    path = wp.empty((count, nodes), dtype=wp.vec3, device=device)
    depth = wp.empty((count, nodes), dtype=float, device=device)
    wp.launch(
        grow.grow_hairs,
        dim=count,
        device=device,
        inputs=[
            *(to_device(points, wp.vec3, device) for points in (root, heading)),
            *(to_device(values, float, device) for values in (length, settle, side, phase, table)),
            growth,
            path,
            depth,
        ],
    )
    return path.numpy(), depth.numpy()
