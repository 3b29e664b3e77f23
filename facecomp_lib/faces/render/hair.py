"""Fibres: scalp hair, beard, brows, lashes and spectacle frames as polylines.

A fibre starts at a root bound to the mesh by barycentric weights, so it follows every shape and expression.
Scalp hair grows step by step (`grow`): it keeps its direction, feels weight and curl, and is pushed out of
the skull. Beard, brows and lashes are short arcs: a few array operations for all of them.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.spatial import Delaunay

from .shape import SKIN, head, smoothstep

HAIR, BEARD, BROW, LASH, FRAME = 0, 1, 2, 3, 4

CENTRE = np.array([0, -0.04, 0.915])  # of the skull, neutral coordinates


@dataclass
class Fibres:
    """Polylines of one kind: `nodes` (N, M, 3) metres, head coordinates before posing."""

    nodes: np.ndarray
    kind: int
    tint: np.ndarray  # (N,) brightness factor
    depth: np.ndarray  # (N, M) 0 deep in the hair .. 1 on its outside
    width: float  # metres


def hairline(points, recession=0.0, temples=0.0):
    """Degrees of elevation above the hairline, > 0 on the scalp. `points` (..., 3) neutral coordinates."""
    y = points[..., 1] - CENTRE[1]
    around = np.degrees(np.abs(np.arctan2(points[..., 0], -y)))
    up = np.degrees(np.arctan2(points[..., 2] - CENTRE[2], np.hypot(points[..., 0], y)))
    line = (
        30
        + 1.5 * smoothstep(0, 20, around)
        + temples * smoothstep(16, 34, around) * (1 - smoothstep(40, 56, around))
        - 22 * smoothstep(44, 61, around)
        - 22 * smoothstep(61, 70, around)
        + 12 * smoothstep(74, 86, around)
        - 20 * smoothstep(98, 125, around)
        - 22 * smoothstep(125, 165, around)
        + recession * (1 - smoothstep(50, 75, around))
    )
    return up - line


def brow_line(x, arch):
    """Height z of the brow's middle at |x|, neutral metres."""
    t = np.clip((x - 0.013) / 0.038, 0, 1)
    bow = np.sin(np.pi * np.clip(t * 0.78 + 0.06, 0, 1)) ** 1.2
    return 0.9168 + 0.0075 * bow * (0.6 + 0.8 * arch) + 0.0012 * t - 0.0072 * np.clip(t - 0.75, 0, None)


@dataclass(frozen=True)
class Roots:
    """Candidate roots spread evenly over a region of the skin, in a fixed random order."""

    tri: np.ndarray  # (N, 3) vertices
    bary: np.ndarray  # (N, 3)
    rest: np.ndarray  # (N, 3) neutral position
    chance: np.ndarray  # (N,) fixed uniform numbers
    random: np.ndarray  # (N, 6) fixed normal numbers
    tuft: np.ndarray  # (N,) number of the 14 mm cube that a root lies in

    def place(self, points, chosen):
        return np.einsum("nk,nkd->nd", self.bary[chosen], points[self.tri[chosen]])


def _scatter(inside, count, seed):
    """`count` roots on head skin where `inside(neutral)` holds, evenly by area."""
    model, rng = head(), np.random.default_rng(seed)
    tri = model.faces[model.kind == SKIN]
    tri = tri[model.ear[tri].max(1) < 0.3]
    corners = model.neutral[tri]
    tri, corners = tri[inside(corners).any(1)], corners[inside(corners).any(1)]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    picked = rng.choice(len(tri), 4 * count, p=area / area.sum())
    u, v = np.sqrt(rng.random(4 * count)), rng.random(4 * count)
    bary = np.stack([1 - u, u * (1 - v), u * v], 1)
    rest = np.einsum("nk,nkd->nd", bary, corners[picked])
    keep = np.nonzero(inside(rest))[0][:count]
    n, rest = len(keep), rest[keep]
    cube = np.floor((rest - rest.min(0)) / 0.014).astype(int)
    tuft = np.unique(cube @ [1, 1000, 1000000], return_inverse=True)[1]
    return Roots(
        tri[picked[keep]], bary[keep].astype(np.float32), rest, rng.random(n), rng.normal(size=(n, 6)), tuft
    )


@cache
def scalp_roots():
    return _scatter(lambda p: hairline(p) > -9, 13000, 1)


@cache
def beard_roots():
    return _scatter(lambda p: (p[..., 2] < 0.895) & (p[..., 2] > 0.765) & (p[..., 1] < -0.04), 12000, 2)


@cache
def brow_roots():
    def inside(p):
        x = np.abs(p[..., 0])
        return (
            (x > 0.011) & (x < 0.054) & (p[..., 1] < -0.08) & (np.abs(p[..., 2] - brow_line(x, 0.5)) < 0.009)
        )

    return _scatter(inside, 6000, 3)


class Skull:
    """Distance of the skin from the skull's centre by direction: a table on a grid of azimuth and elevation.

    Each grid point is bound to three vertices once, on the neutral head; a person's table is a weighted sum.
    """

    AZIMUTHS, ELEVATIONS = 72, 40

    def __init__(self):
        model = head()
        vertices = np.unique(model.faces[model.kind == SKIN])
        offset = model.neutral[vertices] - CENTRE
        keep = (model.ear[vertices] < 0.3) & (offset[:, 2] > -0.15)
        vertices, offset = vertices[keep], offset[keep]
        azimuth = np.arctan2(offset[:, 0], -offset[:, 1])
        elevation = np.arctan2(offset[:, 2], np.hypot(offset[:, 0], offset[:, 1]))
        radius = np.linalg.norm(offset, axis=1)
        # of vertices in one direction only the outermost counts
        cell = np.round(azimuth * 40).astype(int) * 1000 + np.round(elevation * 40).astype(int)
        order = np.lexsort((-radius, cell))
        outer = order[np.unique(cell[order], return_index=True)[1]]
        vertices, flat = vertices[outer], np.stack([azimuth[outer], elevation[outer]], 1)
        wrapped = np.concatenate([flat, flat + [2 * np.pi, 0], flat - [2 * np.pi, 0]])
        poles = np.array([[a, e] for a in np.linspace(-9, 9, 40) for e in (1.6, -1.7)])
        nearest_pole = [np.argmax(flat[:, 1] * s) for _ in range(40) for s in (1, -1)]
        ids = np.concatenate([np.tile(vertices, 3), vertices[nearest_pole]])
        mesh = Delaunay(np.concatenate([wrapped, poles]))
        a, e = np.meshgrid(
            np.linspace(-np.pi, np.pi, self.AZIMUTHS),
            np.linspace(-1.45, 1.57, self.ELEVATIONS),
            indexing="ij",
        )
        grid = np.stack([a.ravel(), e.ravel()], 1)
        simplex = mesh.find_simplex(grid)
        matrix = mesh.transform[simplex]
        two = np.einsum("nij,nj->ni", matrix[:, :2], grid - matrix[:, 2])
        self.weights = np.column_stack([two, 1 - two.sum(1)]).astype(np.float32)
        self.vertices = ids[mesh.simplices[simplex]]

    def table(self, points):
        """(AZIMUTHS, ELEVATIONS) float32 radii of a person's skull, metres."""
        surface = np.einsum("nk,nkd->nd", self.weights, points[self.vertices])
        return (
            np.linalg.norm(surface - CENTRE, axis=1)
            .astype(np.float32)
            .reshape(self.AZIMUTHS, self.ELEVATIONS)
        )


@cache
def skull():
    return Skull()


@dataclass(frozen=True)
class Style:
    """How scalp hair grows. Lengths and heights in metres, lift in degrees from lying flat."""

    top: float = 0.04
    side: float = 0.015
    nape: float = 0.015
    lift: float = 20.0
    layer: float = 0.010  # how far hair may stand off the skull
    out: float = 1.0  # combing: away from the crown,
    back: float = 0.0  # backwards,
    across: float = 0.0  # to both sides of the parting,
    over: float = 0.0  # or all to one side
    parting: float = 0.0  # x of the parting
    weight: float = 0.5  # pull of gravity
    curl: float = 0.0  # radius of curls
    turns: float = 3.0
    frizz: float = 0.1
    clump: float = 0.3
    fringe: float = 0.0  # length of hair combed onto the forehead
    open_face: bool = True  # hair falls beside the face
    count: int = 3800


def style(name, rng):
    """A random `Style` of the named hairstyle."""
    u, side = rng.uniform, (1 if rng.random() < 0.5 else -1)
    if name == "buzz":
        return Style(
            top=u(0.004, 0.008),
            side=u(0.003, 0.005),
            nape=0.003,
            lift=55,
            layer=0.006,
            frizz=0.25,
            weight=0,
            count=6500,
        )
    if name == "crop":
        return Style(
            top=u(0.018, 0.032),
            side=u(0.006, 0.014),
            nape=0.008,
            lift=u(15, 40),
            layer=u(0.008, 0.014),
            over=u(-0.6, 0.6),
            frizz=0.3,
            weight=0.2,
            fringe=u(0, 0.012),
        )
    if name == "side part":
        return Style(
            top=u(0.05, 0.075),
            side=u(0.014, 0.026),
            nape=0.014,
            lift=u(15, 30),
            layer=u(0.012, 0.020),
            out=0.35,
            over=1.5 * side,
            back=u(0.2, 0.9),
            parting=-side * u(0.015, 0.035),
            frizz=0.12,
            weight=0.3,
        )
    if name == "swept back":
        return Style(
            top=u(0.05, 0.085),
            side=u(0.010, 0.022),
            nape=0.016,
            lift=u(25, 55),
            layer=u(0.012, 0.024),
            out=0.1,
            back=2.0,
            over=u(-0.4, 0.4),
            frizz=0.12,
            weight=0.15,
        )
    if name == "messy":
        return Style(
            top=u(0.035, 0.06),
            side=u(0.018, 0.03),
            nape=0.02,
            lift=u(25, 50),
            layer=u(0.014, 0.024),
            over=u(-0.8, 0.8),
            frizz=0.55,
            clump=0.7,
            weight=0.25,
            fringe=u(0, 0.02),
        )
    if name == "curly":
        long = u(0.04, 0.16)
        return Style(
            top=long,
            side=long * u(0.4, 1),
            nape=long * u(0.5, 1),
            lift=50,
            layer=u(0.018, 0.032),
            curl=u(0.004, 0.007),
            turns=3 + 45 * long,
            frizz=0.45,
            clump=0.6,
            weight=0.25,
            over=u(-0.6, 0.6),
        )
    if name == "afro":
        long = u(0.03, 0.07)
        return Style(
            top=long,
            side=long * u(0.6, 1),
            nape=long * 0.8,
            lift=80,
            layer=long,
            curl=0.004,
            turns=4,
            frizz=0.9,
            clump=0.2,
            weight=0,
            count=4800,
        )
    if name == "bald":
        return Style(count=0)
    if name == "pixie":
        return Style(
            top=u(0.05, 0.08),
            side=u(0.025, 0.045),
            nape=0.025,
            lift=u(12, 25),
            layer=u(0.010, 0.018),
            out=0.5,
            over=1.2 * side,
            parting=-side * u(0.01, 0.03),
            frizz=0.2,
            weight=0.5,
            fringe=u(0.0, 0.03),
        )
    if name == "tied back":
        return Style(
            top=0.14,
            side=0.10,
            nape=0.05,
            lift=2,
            layer=u(0.003, 0.005),
            out=0,
            back=2.0,
            across=0.2 * (rng.random() < 0.5),
            frizz=0.03,
            weight=0.04,
            clump=0.1,
        )
    parting = rng.choice([0, side * u(0.015, 0.035)])
    if name in ("bob", "longish"):
        long = u(0.13, 0.19) if name == "bob" else u(0.09, 0.14)
        return Style(
            top=long * 1.15,
            side=long * 0.85,
            nape=long * 0.6,
            lift=10,
            layer=u(0.010, 0.020),
            out=0.5,
            across=1.2,
            back=u(0, 0.5),
            parting=parting,
            curl=u(0, 0.003),
            turns=2,
            frizz=0.08,
            clump=0.35,
            weight=u(0.8, 1.2),
            fringe=u(0.05, 0.06) if rng.random() < 0.3 else 0,
        )
    if name == "wavy":
        long = u(0.24, 0.32)
        return Style(
            top=long,
            side=long,
            nape=long,
            lift=18,
            layer=u(0.014, 0.026),
            out=0.5,
            across=1.2,
            back=u(0, 0.8),
            parting=parting,
            curl=u(0.005, 0.010),
            turns=u(3, 6),
            frizz=0.14,
            clump=0.75,
            weight=0.7,
        )
    if name == "fringe":
        long = u(0.16, 0.32)
        return Style(
            top=long,
            side=long,
            nape=long,
            lift=10,
            layer=u(0.010, 0.020),
            out=0.5,
            across=1.0,
            parting=0,
            frizz=0.08,
            clump=0.35,
            weight=1.0,
            fringe=u(0.045, 0.062),
            curl=u(0, 0.002),
            turns=2,
        )
    if name == "long":
        long = u(0.24, 0.34)
        return Style(
            top=long,
            side=long,
            nape=long,
            lift=10,
            layer=u(0.010, 0.018),
            out=0.5,
            across=1.2,
            back=u(0, 0.7),
            parting=parting,
            curl=u(0, 0.003),
            turns=2,
            frizz=0.07,
            clump=0.4,
            weight=1.0,
        )
    raise ValueError(f"Unknown hairstyle {name!r}.")


def _unit(v):
    return v / (np.linalg.norm(v, axis=-1, keepdims=True) + 1e-9)


def scalp_hair(points, normals, person, look, rng, device):
    """Scalp hair of a person in a `Style`, or None where nothing grows.

    Args:
        points, normals: (V, 3) rest mesh of the person.
    """
    if look.count == 0:
        return None
    roots, table = scalp_roots(), skull().table(points)
    above = hairline(roots.rest, *person.hairline)
    above = above + 1.5 * roots.random[:, 0]  # an uneven line, thin at its edge
    crown = np.exp(-(((roots.rest[:, 0]) / 0.05) ** 2 + ((roots.rest[:, 1] - 0.0) / 0.055) ** 2)) * (
        roots.rest[:, 2] > 0.96
    )
    top_front = smoothstep(0.95, 0.985, roots.rest[:, 2])
    density = smoothstep(-3, 6, above) * (1 - person.thinning * np.clip(crown + 0.75 * top_front, 0, 0.97))
    chosen = np.nonzero(roots.chance < density)[0][: look.count]
    if len(chosen) < 20:
        return None
    rest, random, above = roots.rest[chosen], roots.random[chosen], above[chosen]
    root, normal = roots.place(points, chosen), _unit(roots.place(normals, chosen))
    comb, length = _comb(rest, look), _lengths(rest, above, random, look)
    fringe = (look.fringe > 0) & (rest[:, 1] < -0.05) & (np.abs(rest[:, 0]) < 0.046) & (rest[:, 2] > 0.93)
    comb[fringe] = [0.0, -0.8, -0.35]
    comb[fringe, 0] = rest[fringe, 0] * 6 + 0.25 * look.over
    to_forehead = 0.9 * np.linalg.norm(
        rest[:, 1:] - [-0.135, 0.965], axis=1
    )  # hair from further back joins in
    hanging = np.minimum(look.fringe * (1 + 0.10 * random[:, 1]) + to_forehead, 0.13)
    length = np.where(fringe, hanging, length)
    shared = rng.normal(size=(roots.tuft.max() + 1, 3))[roots.tuft[chosen]]  # neighbours move together
    comb = _unit(comb + 0.45 * look.clump * shared + 0.6 * look.frizz * random[:, 2:5])
    lift = np.deg2rad(np.clip(look.lift * (1 + 0.3 * random[:, 1:2]), 0, 88))
    start = comb * np.cos(lift) + normal * np.sin(lift)
    return _grow(root, start, length, table, look, shared, random, fringe, person, rng, device)


def _comb(rest, look):
    """Direction (N, 3) in which hair is combed at each root."""
    crown = np.array([0.004, 0.02, 1.02])
    out = _unit(rest - crown)
    side = np.where(rest[:, :1] > look.parting, 1.0, -1.0)
    top = smoothstep(0.93, 0.975, rest[:, 2:3])
    x, y, down = np.eye(3)[0], np.eye(3)[1], -np.eye(3)[2]
    away = look.back * (0.35 + 0.65 * top) * y + look.across * side * x * top + look.over * x * top
    return (
        look.out * out + away + (1 - top) * 0.9 * down * (1 if look.back < 1.5 or look.side < 0.05 else 0.15)
    )


def _lengths(rest, above, random, look):
    """Length (N,) of each hair: top, sides and nape blend, and the hairline is finer."""
    top = smoothstep(0.945, 0.985, rest[:, 2])
    nape = smoothstep(0.0, 0.05, rest[:, 1]) * (1 - top)
    length = look.top * top + (1 - top) * (look.side * (1 - nape) + look.nape * nape)
    fine = (
        0.45 + 0.55 * smoothstep(-3, 12, above) if look.top < 0.1 else 0.85 + 0.15 * smoothstep(-3, 12, above)
    )
    return length * fine * np.clip(1 + 0.16 * random[:, 5], 0.55, 1.4)


def _grow(root, heading, length, table, look, shared, random, fringe, person, rng, device):
    """Step all hairs from their roots; see `grow`."""
    import warp as wp

    from . import grow

    count = len(root)
    nodes = int(np.clip(6 * look.turns, 12, 30)) if look.curl > 0.0035 else (17 if look.top > 0.1 else 8)
    growth = grow.Growth()
    growth.nodes, growth.seed, growth.centre = nodes, int(rng.integers(1 << 30)), wp.vec3(*map(float, CENTRE))
    growth.layer, growth.frizz, growth.weight = float(look.layer), float(look.frizz), float(look.weight)
    growth.curl, growth.turns = float(look.curl), float(look.turns)
    growth.open_face = int(look.open_face and look.top > 0.08)
    settle = look.layer * (0.25 + 0.75 * rng.random(count))
    side = np.where(fringe, 0.0, 0.066 + 0.003 * shared[:, 1] + 0.002 * random[:, 4])
    phase = 6.28 * (0.55 * rng.random(count) + 0.45 * (shared[:, 0] % 1))
    floats: list = [
        wp.array(x.astype(np.float32), dtype=float, device=device) for x in (length, settle, side, phase)
    ]
    points: list = [wp.array(x.astype(np.float32), dtype=wp.vec3, device=device) for x in (root, heading)]
    path = wp.empty((count, nodes), dtype=wp.vec3, device=device)
    depth = wp.empty((count, nodes), dtype=float, device=device)
    wp.launch(
        grow.grow_hairs,
        dim=count,
        device=device,
        inputs=[*points, *floats, wp.array(table, dtype=float, device=device), growth, path, depth],
    )
    outer = np.maximum(
        depth.numpy(), np.linspace(0, 1, nodes, dtype=np.float32)[None] * (0.5 if look.top > 0.1 else 0.3)
    )
    tint = np.clip(1 + 0.20 * random[:, 0] + 0.22 * look.clump * shared[:, 2], 0.45, 1.7)
    if person.grey > 0.05:  # grey comes hair by hair
        tint = tint * np.where(rng.random(count) < 0.3 * person.grey, 1.5, 1.0)
    return Fibres(path.numpy(), HAIR, tint.astype(np.float32), outer, 0.00105 if look.top > 0.1 else 0.0006)


def _hairs(roots, chosen, points, normals, direction, length, lift, bend, kind, width, nodes=4, jitter=0.25):
    """Short curved fibres: `direction` (N, 3) along the skin, `bend` pulls the tip back to the skin."""
    root, normal, random = (
        roots.place(points, chosen),
        _unit(roots.place(normals, chosen)),
        roots.random[chosen],
    )
    direction = direction + jitter * random[:, :3]
    along = _unit(direction - normal * np.sum(direction * normal, 1, keepdims=True))
    t = np.linspace(0, 1, nodes)[None, :, None]
    rise = np.sin(np.deg2rad(lift)) * t - bend * t**2
    path = root[:, None] + length[:, None, None] * (
        along[:, None] * t * np.cos(np.deg2rad(lift)) + normal[:, None] * rise
    )
    tint = np.clip(1 + 0.25 * random[:, 3], 0.4, 1.8)
    depth = np.broadcast_to(0.5 + 0.5 * t[..., 0], path.shape[:2])
    return Fibres(path.astype(np.float32), kind, tint.astype(np.float32), depth.astype(np.float32), width)


def beard_density(rest, person):
    """0..1 where the beard grows, by neutral position (..., 3)."""
    x, y, z = np.abs(rest[..., 0]), rest[..., 1], rest[..., 2]
    jaw = smoothstep(0.866, 0.842, z + 0.05 * (x - 0.045) * smoothstep(0.03, 0.06, x))
    whisker = smoothstep(0.052, 0.066, x) * smoothstep(0.893, 0.86, z)
    cheek = 1 - smoothstep(0.832, 0.852, z) * smoothstep(0.015, 0.030, x) * (1 - smoothstep(0.054, 0.068, x))
    throat = smoothstep(0.770, 0.788, z + 0.10 * np.maximum(-(y + 0.13), -0.03) + 0.012)
    full = np.maximum(jaw * cheek, whisker) * smoothstep(-0.043, -0.058, y) * throat
    full = full * (1 - 0.9 * np.exp(-((x / 0.010) ** 2 + ((z - 0.8125) / 0.003) ** 2)))
    upper = (
        np.exp(-(((z - 0.8475 - 0.0025 * (1 - smoothstep(0, 0.02, x))) / 0.0062) ** 4))
        * smoothstep(0.033, 0.022, x)
        * smoothstep(-0.12, -0.14, y)
    )
    chin = full * smoothstep(0.036, 0.026, x) * smoothstep(0.845, 0.838, z)
    return {"none": 0 * full, "moustache": upper, "goatee": np.maximum(upper, chin)}.get(
        person.beard, np.maximum(full, upper)
    )


def beard(points, normals, person):
    """Beard hairs, or None. Stubble is drawn as very short hairs."""
    if person.beard == "none":
        return None
    roots, model = beard_roots(), head()
    density = beard_density(roots.rest, person)
    lip = np.einsum("nk,nk->n", roots.bary, model.lip[roots.tri])
    density = density * smoothstep(0.45, 0.15, lip)
    stubble = person.beard == "stubble"
    chosen = np.nonzero(roots.chance < density * (0.30 if stubble else 0.8))[0]
    if not len(chosen):
        return None
    rest = roots.rest[chosen]
    x = rest[:, :1]
    upper = (rest[:, 2:] > 0.842) & (np.abs(x) < 0.034)
    direction = np.where(
        upper,
        np.sign(x) * [0.9, 0, 0] + [0, -0.1, -0.6],
        np.concatenate([0.4 * np.sign(x) * (np.abs(x) < 0.03), 0 * x - 0.15, 0 * x - 1], 1),
    )
    length = (
        np.full(len(chosen), 0.0013)
        if stubble
        else person.beard_length
        * np.where(upper[:, 0], 0.7, 1.0)
        * np.clip(1 + 0.25 * roots.random[chosen, 4], 0.4, 1.6)
    )
    return _hairs(
        roots,
        chosen,
        points,
        normals,
        direction,
        length,
        35,
        0.25,
        BEARD,
        0.0005,
        nodes=3 if stubble else 4,
        jitter=0.4,
    )


def brows(points, normals, person):
    """Brow hairs: upright near the nose, then along the brow."""
    roots = brow_roots()
    x, z = np.abs(roots.rest[:, 0]), roots.rest[:, 2]
    along = (x - 0.0125) / 0.0395
    height = person.brow_height * np.minimum(
        smoothstep(-0.15, 0.15, along), 1 - 0.75 * smoothstep(0.45, 1.05, along)
    )
    away = (z - brow_line(x, person.brow_arch)) / np.maximum(height, 3e-4)
    density = (
        (1 - smoothstep(0.5, 1.15, np.abs(away)))
        * smoothstep(-0.12, 0.12, along)
        * (1 - smoothstep(0.93, 1.06, along))
    )
    chosen = np.nonzero(roots.chance < density * person.brow_density * (0.7 if person.male else 0.5))[0]
    t = np.clip(along[chosen], 0, 1)[:, None]
    sign = np.sign(roots.rest[chosen, :1])
    direction = np.concatenate(
        [sign * (0.35 + 0.9 * t), 0.2 * t, 0.9 - 1.2 * t - 0.25 * away[chosen, None]], 1
    )
    length = np.clip(0.0065 * (1 - 0.35 * t[:, 0]) * (1 + 0.2 * roots.random[chosen, 4]), 0.003, 0.009)
    return _hairs(roots, chosen, points, normals, direction, length, 12, 0.1, BROW, 0.00045, jitter=0.18)


def _curve(points, count):
    """`count` points along the polyline `points` (N, 3), evenly by length."""
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    at = np.linspace(0, length[-1], count)
    return np.stack([np.interp(at, length, points[:, d]) for d in range(3)], 1)


def lashes(landmarks, makeup):
    """Lashes along the lids' landmarks (68, 3): long above, short below."""
    paths = []
    for eye, outer in ((36, -1), (42, 1)):
        centre = landmarks[eye : eye + 6].mean(0)
        upper, lower = landmarks[eye : eye + 4], landmarks[[eye, eye + 5, eye + 4, eye + 3]]
        for lid, up, length, count in ((upper, 1, 0.0062 + 0.0025 * makeup, 44), (lower, -1, 0.0028, 18)):
            root = _curve(lid, count)
            fan = (root - centre) * [1, 0, 0.3] / 0.013
            heading = _unit(0.9 * fan + [0.25 * outer, -0.75, 0.35 * up])
            t = np.linspace(0, 1, 4)[None, :, None]
            bent = root[:, None] + length * (heading[:, None] * t + np.array([0, 0.1, 0.45 * up]) * t**2)
            paths.append(bent + [0, -0.0006, 0])
    path = np.concatenate(paths).astype(np.float32)
    return Fibres(path, LASH, np.ones(len(path), np.float32), np.ones(path.shape[:2], np.float32), 0.00035)


def spectacles(landmarks, rng):
    """A spectacle frame: two rims, a bridge and two temples as thick polylines."""
    right, left = landmarks[36:42].mean(0), landmarks[42:48].mean(0)
    gap = left[0] - right[0]
    front = min(landmarks[27:31, 1].min() * 0.35 + landmarks[27, 1] * 0.65, right[1] - 0.012) - 0.003
    width, height = gap * rng.uniform(0.37, 0.42), gap * rng.uniform(0.25, 0.36)
    power, drop = rng.choice([2.0, 2.8, 4.0]), 0.003
    t = np.linspace(0, 2 * np.pi, 33)
    c, s = np.cos(t), np.sin(t)
    rim = np.stack(
        [
            np.sign(c) * np.abs(c) ** (2 / power) * width,
            0.10 * np.abs(c) * width,
            np.sign(s) * np.abs(s) ** (2 / power) * height,
        ],
        1,
    )
    paths = []
    for eye, outer in ((right, -1), (left, 1)):
        middle = np.array([eye[0] + outer * 0.002, front, eye[2] - drop])
        paths.append(middle + rim)
        hinge = middle + [outer * width, 0.10 * width, 0.3 * height]
        ear = np.array([outer * 0.080, 0.0, eye[2] + 0.004])
        paths.append(_curve(np.array([hinge, hinge + [outer * 0.003, 0.008, 0], ear]), 33))
    a = np.array([right[0] - 0.002 + width, front, right[2] + 0.25 * height])
    b = np.array([left[0] + 0.002 - width, front, left[2] + 0.25 * height])
    paths.append(_curve(np.array([a, (a + b) / 2 + [0, -0.003, 0.002], b]), 33))
    path = np.stack(paths).astype(np.float32)
    return Fibres(
        path,
        FRAME,
        np.ones(len(path), np.float32),
        np.ones(path.shape[:2], np.float32),
        rng.uniform(0.0012, 0.0030),
    )
