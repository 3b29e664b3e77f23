"""Shading: what colour a pixel of the visibility buffer has, and how much of the sky each vertex sees.

One thread a pixel walks over its samples. Procedural noise is looked up once a pixel and shared by its
samples; edges (lips, iris, lids) are decided sample by sample. Light: a key lamp with shadows, a fill lamp, a
hemisphere of ambient light dimmed by occlusion; skin scatters red light further than blue.
"""

import warp as wp

from .fibres import BEARD, BROW, FRAME, HAIR, LASH
from .look import FibreSet, Grain, Look, Mesh, Spot, Surface, mix, sst
from .raster import depth_of, item_of
from .shape import SKIN, TORSO
from .surfaces import grain_at, spot_under, surface_at

wp.set_module_options({"enable_backward": False, "max_unroll": 1})


@wp.kernel
def vertex_occlusion(
    points: wp.array(dtype=wp.vec3),
    normals: wp.array(dtype=wp.vec3),
    maps: wp.array3d(dtype=wp.int64),  # (directions, rows, columns)
    rows: wp.array2d(dtype=wp.vec3),  # (directions, 3): right, down, towards
    origin: wp.vec3,
    scale: float,
    openness: wp.array(dtype=float),
):
    """Share of the sky that a vertex sees, weighted by the cosine; one small depth map a direction."""
    i = wp.tid()
    size = maps.shape[1]
    x = points[i] + normals[i] * 0.0015
    n = normals[i]
    total = float(1.0e-6)
    seen = float(0.0)
    for d in range(maps.shape[0]):
        towards = rows[d, 2]
        weight = wp.dot(n, towards)
        if weight > 0.05:
            q = x - origin
            j = wp.clamp(int(wp.dot(rows[d, 0], q) * scale + 0.5 * float(size)), 0, size - 1)
            k = wp.clamp(int(wp.dot(rows[d, 1], q) * scale + 0.5 * float(size)), 0, size - 1)
            behind = 1.0 - wp.dot(towards, q) - depth_of(maps[d, k, j])
            total = total + weight
            # near blockers take all light, far ones less: bounce light fills in
            seen = seen + weight * (1.0 - 0.9 * sst(0.0025, 0.006, behind))
    openness[i] = seen / total


@wp.func
def lamp_shadow(
    solids: wp.array2d(dtype=wp.int64),
    hairs: wp.array2d(dtype=wp.int64),
    look: Look,
    x: wp.vec3,
    slack: float,
    taps: int,
):
    """Light (0..1) of the key lamp at x: (what solids leave, what hair leaves), from 1 or 5 texels."""
    size = solids.shape[0]
    col = (wp.dot(look.map_right, x - look.map_origin)) * look.map_scale + 0.5 * float(size)
    row = (wp.dot(look.map_down, x - look.map_origin)) * look.map_scale + 0.5 * float(size)
    depth = 1.0 - wp.dot(look.lamp1, x - look.map_origin)
    clear = float(0.0)
    thin = float(0.0)
    share = 1.0 / float(taps)
    for k in range(taps):
        # the middle and four corners; a random pattern would look like sand
        di = float(0.0)
        dj = float(0.0)
        if k > 0:
            di = float(k % 2) * 3.4 - 1.7
            dj = float(k / 3) * 3.4 - 1.7
        i = wp.clamp(int(row + di), 0, size - 1)
        j = wp.clamp(int(col + dj), 0, size - 1)
        if depth_of(solids[i, j]) > depth - slack:
            clear = clear + share
        behind = depth - depth_of(hairs[i, j]) - 0.002
        if behind > 0.0:
            thin = thin + share * (1.0 - wp.exp(-behind * 90.0))
    return wp.vec2(clear, 1.0 - 0.8 * thin)


@wp.func
def wrapped(cosine: float, wrap: wp.vec3):
    """Diffuse light per colour: it creeps round the edge of the lit side as far as `wrap`."""
    return wp.vec3(
        wp.max(0.0, (cosine + wrap[0]) / (1.0 + wrap[0])),
        wp.max(0.0, (cosine + wrap[1]) / (1.0 + wrap[1])),
        wp.max(0.0, (cosine + wrap[2]) / (1.0 + wrap[2])),
    )


@wp.func
def diffuse(surface: Surface, clear: float, look: Look):
    """Light of both lamps and the hemisphere on a white surface; `clear`: share of the key lamp's light."""
    n = surface.normal
    open = surface.open
    scatter = surface.scatter
    shade = wp.vec3(clear + (1.0 - clear) * 0.12 * scatter, clear + (1.0 - clear) * 0.03 * scatter, clear)
    sky = wp.vec3(open, open, open)
    if scatter > 0.5:
        sky = wp.vec3(wp.pow(open, 0.75), open, wp.pow(open, 1.1))
    key = wp.cw_mul(look.colour1, wp.cw_mul(wrapped(wp.dot(n, look.lamp1), surface.wrap), shade))
    fill = wp.cw_mul(look.colour2, wrapped(wp.dot(n, look.lamp2), surface.wrap)) * (0.35 + 0.65 * open)
    return key + fill + wp.cw_mul(mix(look.ambient_down, look.ambient_up, 0.5 + 0.5 * n[2]), sky)


@wp.func
def highlight(surface: Surface, view: wp.vec3, rim: float, lamp: wp.vec3):
    """Specular reflection of a lamp; `rim` makes it stronger at grazing angles."""
    n = surface.normal
    lit = sst(-0.05, 0.2, wp.dot(n, lamp))
    if lit == 0.0:
        return 0.0
    peak = wp.pow(wp.max(0.0, wp.dot(n, wp.normalize(lamp - view))), surface.power)
    return surface.shine * rim * (surface.power + 2.0) * 0.125 * peak * lit


@wp.func
def shade_surface(surface: Surface, spot: Spot, glow: wp.vec3, clear: float, look: Look):
    """Colour of a surface from its diffuse light `glow` and the highlights of both lamps."""
    colour = wp.cw_mul(surface.albedo, glow) + surface.sparkle * clear
    if surface.shine > 0.0:
        rim = 1.0 + 4.0 * wp.pow(1.0 - wp.max(0.0, -wp.dot(surface.normal, spot.view)), 4.0)
        colour = colour + look.colour1 * (highlight(surface, spot.view, rim, look.lamp1) * clear)
        colour = colour + look.colour2 * highlight(surface, spot.view, rim, look.lamp2)
    return colour


@wp.func
def fibre_colour(kind: int, look: Look):
    """Albedo of a kind of fibre."""
    if kind == BEARD:
        return look.beard
    if kind == BROW:
        return look.brow
    if kind == LASH:
        return wp.vec3(0.012, 0.010, 0.009)
    if kind == FRAME:
        return look.frame
    return look.hair


@wp.func
def sheen(tangent: wp.vec3, n: wp.vec3, view: wp.vec3, lamp: wp.vec3):
    """The band of light across hair: brightest where the fibre is square to the half vector."""
    along = wp.dot(tangent, wp.normalize(lamp - view))
    return wp.pow(wp.sqrt(wp.max(0.0, 1.0 - along * along)), 60.0) * sst(-0.1, 0.6, wp.dot(n, lamp))


@wp.func
def shade_fibre(
    fibres: FibreSet,
    segment: int,
    column: float,
    row: float,
    look: Look,
    lamp_solids: wp.array2d(dtype=wp.int64),
    lamp_hairs: wp.array2d(dtype=wp.int64),
):
    """Colour of a fibre's segment at (column, row) in samples; hair shades what lies deeper in it."""
    a = fibres.starts[segment]
    kind = fibres.kinds[segment]
    p = fibres.screen[a]
    q = fibres.screen[a + 1]
    run = (q[0] - p[0]) * (q[0] - p[0]) + (q[1] - p[1]) * (q[1] - p[1])
    f = ((column - p[0]) * (q[0] - p[0]) + (row - p[1]) * (q[1] - p[1])) / wp.max(run, 1.0e-6)
    f = wp.clamp(f, 0.0, 1.0)
    x = mix(fibres.world[a], fibres.world[a + 1], f)
    tangent = wp.normalize(fibres.world[a + 1] - fibres.world[a])
    view = wp.normalize(x - look.camera)
    n = wp.normalize(wp.normalize(x - look.centre) - view * 0.35)
    outer = fibres.depth[a] * (1.0 - f) + fibres.depth[a + 1] * f
    open = 0.35 + 0.65 * outer
    strength = 0.55 * outer  # of the sheen
    if kind == BEARD:
        strength = 0.12
    if kind == BROW:
        strength = 0.12
        open = 0.9
    if kind == LASH:
        strength = 0.0
        open = 1.0
    if kind == FRAME:
        open = 1.0
    shadow = lamp_shadow(lamp_solids, lamp_hairs, look, x + look.lamp1 * 0.004, 0.004, 1)
    clear = 1.0 - look.shadow * (1.0 - shadow[0] * shadow[1])
    along = wp.dot(tangent, look.lamp1)
    sine = wp.sqrt(wp.max(0.0, 1.0 - along * along))
    front1 = wp.max(0.0, (wp.dot(n, look.lamp1) + 0.30) / 1.30)
    front2 = wp.max(0.0, (wp.dot(n, look.lamp2) + 0.30) / 1.30)
    albedo = fibre_colour(kind, look) * fibres.tints[segment]
    lamps = look.colour1 * (front1 * (0.45 + 0.55 * sine) * clear) + look.colour2 * (front2 * open)
    sky = mix(look.ambient_down, look.ambient_up, 0.5 + 0.5 * n[2]) * open
    colour = wp.cw_mul(albedo, lamps * (0.45 + 0.55 * open) + sky)
    shine1 = sheen(tangent, n, view, look.lamp1) * clear
    shine2 = sheen(tangent, n, view, look.lamp2)
    tone = wp.vec3(0.045, 0.042, 0.038) + albedo * 0.35
    return colour + wp.cw_mul(tone, look.colour1 * shine1 + look.colour2 * shine2) * strength


@wp.func
def sample_stride(seen: wp.array2d(dtype=wp.int64), i: int, j: int, grid: int, triangles: int):
    """2 where a pixel shows only the mesh, so that every other sample is enough; else 1."""
    for s in range(grid * grid):
        item = item_of(seen[i * grid + s / grid, j * grid + s % grid])
        if item < 0 or item >= triangles:
            return 1
    return 2


@wp.kernel
def shade_pixels(
    seen: wp.array2d(dtype=wp.int64),  # visibility of mesh and fibres
    solid: wp.array2d(dtype=wp.int64),  # of the mesh alone
    mesh: Mesh,
    fibres: FibreSet,
    lamp_solids: wp.array2d(dtype=wp.int64),  # the key lamp's view of the mesh
    lamp_hairs: wp.array2d(dtype=wp.int64),  # and of the hair
    noise: wp.array(dtype=wp.vec4),
    background: wp.array2d(dtype=wp.vec3),
    look: Look,
    image: wp.array2d(dtype=wp.vec3),  # linear RGB
    light: wp.array2d(dtype=wp.vec3),  # diffuse light on what lies below hair
    label: wp.array2d(dtype=int),
    surface: wp.array2d(dtype=int),  # triangle at the pixel's centre, or -1
    weights: wp.array2d(dtype=wp.vec3),  # and the corners' weights there
):
    """One thread a pixel: the mean of its samples; labels come from the middle sample, below any fibre."""
    i, j = wp.tid()
    grid = look.grid
    triangles = mesh.faces.shape[0]
    label[i, j] = 0
    surface[i, j] = -1
    total = wp.vec3(0.0, 0.0, 0.0)
    irradiance = wp.vec3(0.0, 0.0, 0.0)
    lit_samples = float(0.0)
    counted = float(0.0)
    hair_samples = int(0)
    grain = Grain()
    for s in range(0, grid * grid, sample_stride(seen, i, j, grid, triangles)):
        row = i * grid + s / grid
        col = j * grid + s % grid
        y = float(row) + 0.5
        x = float(col) + 0.5
        middle = s == (grid * grid) / 2
        segment = item_of(seen[row, col]) - triangles
        under = item_of(solid[row, col])
        colour = background[i, j]
        if segment >= 0:
            colour = shade_fibre(fibres, segment, x, y, look, lamp_solids, lamp_hairs)
            if fibres.kinds[segment] == HAIR:
                hair_samples = hair_samples + 1
        if under >= 0 and (segment < 0 or middle):
            spot = spot_under(mesh, under, x, y, look.camera)
            if grain.known == 0 and (spot.kind == SKIN or spot.kind == TORSO):
                grain = grain_at(spot.neutral, look, noise)
            here = surface_at(spot, grain, look, noise)
            shadow = lamp_shadow(lamp_solids, lamp_hairs, look, spot.world + here.normal * 0.002, 0.0035, 5)
            clear = here.bright + (1.0 - here.bright) * shadow[0]
            clear = 1.0 - look.shadow * (1.0 - clear * shadow[1])
            glow = diffuse(here, clear, look)
            if here.skin_like == 1:
                irradiance = irradiance + glow
                lit_samples = lit_samples + 1.0
            if segment < 0:
                colour = shade_surface(here, spot, glow, clear, look)
            if middle:
                label[i, j] = here.label
                surface[i, j] = under
                weights[i, j] = spot.weights
        total = total + colour
        counted = counted + 1.0
    image[i, j] = total / counted
    light[i, j] = irradiance / wp.max(lit_samples, 1.0)
    if 2 * hair_samples > grid * grid:
        label[i, j] = 10
        surface[i, j] = -1
