"""Growth of scalp hair, one thread a hair: the one place where fibres are stepped through."""

import warp as wp

from .look import sst

wp.set_module_options({"enable_backward": False, "max_unroll": 1})


@wp.struct
class Growth:
    """What all hairs of a head share; see `hairstyles.Style`."""

    nodes: int
    seed: int
    centre: wp.vec3
    layer: float
    frizz: float
    weight: float
    curl: float
    turns: float
    open_face: int


@wp.func
def skin_radius(table: wp.array2d(dtype=float), q: wp.vec3):
    """Distance of the skin from the skull's centre in direction q, bilinear in the table."""
    azimuths = table.shape[0]
    elevations = table.shape[1]
    a = (wp.atan2(q[0], -q[1]) + 3.14159265) * (float(azimuths - 1) / 6.2831853)
    e = (wp.atan2(q[2], wp.sqrt(q[0] * q[0] + q[1] * q[1])) + 1.45) * (float(elevations - 1) / 3.02)
    e = wp.clamp(e, 0.0, float(elevations) - 1.001)
    i = wp.clamp(int(a), 0, azimuths - 2)
    j = int(e)
    fa = wp.clamp(a - float(i), 0.0, 1.0)
    fe = e - float(j)
    low = table[i, j] * (1.0 - fe) + table[i, j + 1] * fe
    high = table[i + 1, j] * (1.0 - fe) + table[i + 1, j + 1] * fe
    return low * (1.0 - fa) + high * fa


@wp.kernel
def grow_hairs(
    roots: wp.array(dtype=wp.vec3),
    headings: wp.array(dtype=wp.vec3),
    lengths: wp.array(dtype=float),
    settles: wp.array(dtype=float),  # height at which a hair comes to lie, metres
    sides: wp.array(dtype=float),  # half width of the face that it keeps free; 0 for the fringe
    phases: wp.array(dtype=float),
    table: wp.array2d(dtype=float),
    growth: Growth,
    path: wp.array2d(dtype=wp.vec3),
    depth: wp.array2d(dtype=float),
):
    i = wp.tid()
    random = wp.rand_init(growth.seed, i)
    step = lengths[i] / float(growth.nodes - 1)
    settle = settles[i]
    pull = growth.weight * wp.clamp(lengths[i] / 0.10, 0.05, 1.0) * 22.0 * step
    shake = 0.85 * growth.frizz * wp.sqrt(step / 0.008)
    point = roots[i]
    heading = headings[i]
    turn = 6.2831853 * growth.turns * (0.85 + 0.3 * wp.randf(random)) / float(growth.nodes - 1)
    q = point - growth.centre
    distance = wp.length(q)
    skin = skin_radius(table, q)
    for k in range(growth.nodes):
        free = sst(0.80, 0.86, point[2])  # below the jaw nothing is in the way
        height = distance - skin * free
        outward = q / distance
        curled = point
        if growth.curl > 0.0:
            u = wp.normalize(wp.cross(heading, wp.vec3(0.31, 0.2, 0.93)))
            v = wp.cross(heading, u)
            size = growth.curl * sst(0.03, 0.35, float(k) / float(growth.nodes - 1))
            angle = phases[i] + turn * float(k)
            curled = point + u * (size * wp.cos(angle)) + v * (size * wp.sin(angle))
        path[i, k] = curled
        depth[i, k] = wp.clamp(height / wp.max(growth.layer, 0.001), 0.0, 1.0)
        shaken = wp.vec3(wp.randf(random) - 0.5, wp.randf(random) - 0.5, wp.randf(random) - 0.5)
        heading = heading + shaken * shake - wp.vec3(0.0, 0.0, pull)
        rising = wp.dot(heading, outward)
        if free > 0.0:
            if height > settle and rising > 0.0:  # high enough: lie down, on the upper half of the head
                heading = heading - outward * (0.75 * rising * sst(-0.1, 0.45, outward[2]))
            if height < 0.15 * settle + 0.0008 and rising < 0.0:
                heading = heading - outward * (1.02 * rising)
        else:
            heading = wp.vec3(heading[0] * 0.7, heading[1] * 0.7, heading[2])
        heading = wp.normalize(heading)
        point = point + heading * step
        q = point - growth.centre
        distance = wp.length(q)
        free = sst(0.80, 0.86, point[2])
        skin = skin_radius(table, q)
        lowest = skin + wp.min(0.0012 + 0.3 * settle, 0.0004 + 0.12 * step * float(k + 1))
        point = point + q * (wp.max(lowest - distance, 0.0) * free / distance)
        if growth.open_face == 1 and sides[i] > 0.0:
            # hair that would hang before the face goes to the nearer side of it
            front = sst(-0.035, -0.075, point[1]) * sst(0.975, 0.950, point[2])
            inside = wp.max(sides[i] - wp.abs(point[0]), 0.0) * front
            side = float(1.0)
            if point[0] < 0.0:
                side = -1.0
            point = point + wp.vec3(side * inside * 0.8, 0.9 * inside, 0.0)
        q = point - growth.centre
        distance = wp.length(q)
