"""Shading: what colour a pixel of the visibility buffer has.

One thread a pixel walks over its samples. Procedural noise is looked up once a pixel and shared by its
samples; edges (lips, iris, lids) are decided sample by sample. Light: a key lamp with shadows, a fill lamp, a
hemisphere of ambient light dimmed by occlusion; skin scatters red light further than blue.
"""

import warp as wp

from .raster import barycentric, depth_of, item_of

wp.set_module_options({"enable_backward": False, "max_unroll": 1})


@wp.struct
class Look:
    """Everything about a picture that is a single number, colour or direction."""

    grid: int  # samples per pixel side
    near: float  # depth = 1 - near / distance
    camera: wp.vec3
    lamp1: wp.vec3
    colour1: wp.vec3
    lamp2: wp.vec3
    colour2: wp.vec3
    ambient_up: wp.vec3
    ambient_down: wp.vec3
    shadow: float
    # the key lamp's map: column = dot(right, X) + origin ...
    map_right: wp.vec3
    map_down: wp.vec3
    map_origin: wp.vec3
    map_scale: float
    turn: wp.mat33  # rotation of the head
    centre: wp.vec3  # of the skull, world
    offset: wp.vec3  # of the noise
    skin: wp.vec3
    blood: float
    freckles: float
    spots: float
    oil: float
    old: float
    tone: float
    frown: float
    smile: float
    lip: wp.vec3
    lip_cover: float
    makeup: float
    stubble: float
    beard: wp.vec3
    brow: wp.vec3
    brow_height: float
    brow_arch: float
    brow_paint: float
    hair: wp.vec3
    scalp: float
    thinning: float
    recession: float
    temples: float
    frame: wp.vec3
    iris: wp.vec3
    gaze: wp.vec3
    right_eye: wp.vec3
    left_eye: wp.vec3
    cloth: wp.vec3
    neckline: float


@wp.func
def sst(a: float, b: float, x: float):
    t = wp.clamp((x - a) / (b - a), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


@wp.func
def bump(x: float, centre: float, width: float):
    u = (x - centre) / width
    return wp.exp(-u * u)


@wp.func
def mix(a: wp.vec3, b: wp.vec3, t: float):
    return a * (1.0 - t) + b * t


@wp.func
def noise4(table: wp.array(dtype=wp.vec4), p: wp.vec3):
    """Four smooth noises in about [-1, 1] at p, periodic in 32: one lookup in a lattice of random numbers."""
    fx = wp.floor(p[0])
    fy = wp.floor(p[1])
    fz = wp.floor(p[2])
    x = p[0] - fx
    y = p[1] - fy
    z = p[2] - fz
    x = x * x * (3.0 - 2.0 * x)
    y = y * y * (3.0 - 2.0 * y)
    z = z * z * (3.0 - 2.0 * z)
    x0 = int(fx) & 31
    y0 = (int(fy) & 31) * 32
    z0 = (int(fz) & 31) * 1024
    x1 = (x0 + 1) & 31
    y1 = (y0 + 32) & 1023
    z1 = (z0 + 1024) & 32767
    a = table[z0 + y0 + x0] * (1.0 - x) + table[z0 + y0 + x1] * x
    b = table[z0 + y1 + x0] * (1.0 - x) + table[z0 + y1 + x1] * x
    c = table[z1 + y0 + x0] * (1.0 - x) + table[z1 + y0 + x1] * x
    d = table[z1 + y1 + x0] * (1.0 - x) + table[z1 + y1 + x1] * x
    return (a * (1.0 - y) + b * y) * (1.0 - z) + (c * (1.0 - y) + d * y) * z


@wp.func
def above_hairline(p: wp.vec3, recession: float, temples: float):
    """Degrees above the hairline; the same curve as `hair.hairline`."""
    a = wp.abs(wp.atan2(p[0], -(p[1] + 0.04))) * 57.29578
    r = wp.sqrt(p[0] * p[0] + (p[1] + 0.04) * (p[1] + 0.04))
    e = wp.atan2(p[2] - 0.915, r) * 57.29578
    line = 30.0 + 1.5 * sst(0.0, 20.0, a) + temples * sst(16.0, 34.0, a) * (1.0 - sst(40.0, 56.0, a))
    line = line - 22.0 * sst(44.0, 61.0, a) - 22.0 * sst(61.0, 70.0, a) + 12.0 * sst(74.0, 86.0, a)
    line = line - 20.0 * sst(98.0, 125.0, a) - 22.0 * sst(125.0, 165.0, a)
    return e - line - recession * (1.0 - sst(50.0, 75.0, a))


@wp.func
def brow_cover(p: wp.vec3, look: Look):
    """0..1 inside the brow; the same curve as `hair.brow_line`."""
    x = wp.abs(p[0])
    along = (x - 0.0125) / 0.0395
    if along < -0.15 or along > 1.1 or p[1] > -0.08:
        return 0.0
    t = wp.clamp((x - 0.013) / 0.038, 0.0, 1.0)
    bow = wp.pow(wp.sin(3.14159 * wp.clamp(t * 0.78 + 0.06, 0.0, 1.0)), 1.2)
    middle = (
        0.9168 + 0.0075 * bow * (0.6 + 0.8 * look.brow_arch) + 0.0012 * t - 0.0072 * wp.max(t - 0.75, 0.0)
    )
    height = look.brow_height * wp.min(sst(-0.12, 0.12, along), 1.0 - 0.75 * sst(0.45, 1.05, along))
    away = (p[2] - middle) / wp.max(height, 0.0003)
    return (1.0 - sst(0.55, 1.15, wp.abs(away))) * sst(-0.12, 0.08, along) * (1.0 - sst(0.95, 1.08, along))


@wp.func
def on_nose(p: wp.vec3):
    """Front-view trapezium of the nose in neutral coordinates."""
    u = (p[2] - 0.8528) / 0.0532
    if u < 0.0 or u > 1.0 or p[1] > -0.118:
        return False
    half = 0.0205
    if u > 0.28:
        half = 0.0205 - (u - 0.28) / 0.72 * 0.0125
    return wp.abs(p[0]) < half


@wp.func
def creases(p: wp.vec3, look: Look, wobble: float):
    """Lines of age and expression: (darkening, tilt of the normal sideways, upwards)."""
    x = wp.abs(p[0])
    z = p[2]
    if p[1] > -0.05 or z < 0.79:
        return wp.vec3(0.0, 0.0, 0.0)
    dark = float(0.0)
    up = float(0.0)
    side = float(0.0)
    # forehead
    weight = (
        (0.5 * look.old + 0.25 * look.frown)
        * sst(0.055, 0.035, x)
        * sst(0.927, 0.936, z)
        * sst(0.985, 0.965, z)
    )
    if weight > 0.01:
        phase = (z + 0.0012 * wobble + 1.2 * x * x) * 640.0
        ridge = wp.sin(phase)
        dark = dark + weight * 0.16 * sst(0.45, 1.0, ridge)
        up = up + weight * 0.32 * wp.cos(phase)
    # crow's feet
    weight = (
        (0.9 * look.old + 0.4 * look.smile * look.old + 0.15 * look.smile)
        * sst(0.047, 0.053, x)
        * sst(0.068, 0.060, x)
        * sst(0.888, 0.894, z)
        * sst(0.918, 0.910, z)
    )
    if weight > 0.01:
        phase = wp.atan2(z - 0.902, x - 0.040) * 16.0 + wobble
        dark = dark + weight * 0.14 * sst(0.3, 1.0, wp.sin(phase))
        up = up + weight * 0.30 * wp.cos(phase)
    # from nose to mouth
    t = (0.866 - z) / 0.040
    if t > 0.0 and t < 1.1:
        d = x - (0.0215 + 0.0135 * t + 0.004 * t * t + 0.0006 * wobble)
        weight = (0.10 + 0.55 * look.old + 0.30 * look.smile) * sst(0.0, 0.2, t) * sst(1.1, 0.7, t)
        dark = dark + weight * 0.30 * bump(d, 0.0, 0.0016)
        side = side + weight * 0.55 * d / 0.003 * bump(d, 0.0, 0.004)
    # from mouth down
    t = (0.829 - z) / 0.022
    if t > 0.0 and t < 1.0:
        d = x - (0.0285 + 0.002 * t)
        dark = dark + look.old * 0.20 * bump(d, 0.0, 0.0014) * sst(0.0, 0.2, t) * sst(1.0, 0.6, t)
    # between the brows
    d = x - 0.0065
    weight = (0.5 * look.old + 0.8 * look.frown) * sst(0.906, 0.912, z) * sst(0.938, 0.928, z)
    dark = dark + weight * 0.25 * bump(d, 0.0, 0.0013)
    # under the eyes
    r = wp.sqrt((x - 0.0315) * (x - 0.0315) + 1.7 * (z - 0.906) * (z - 0.906)) - 0.0225
    weight = (0.10 + 0.75 * look.old) * sst(0.899, 0.893, z)
    dark = dark + weight * 0.20 * bump(r, 0.0, 0.0013)
    up = up - weight * 0.45 * r / 0.002 * bump(r, 0.0, 0.003)
    return wp.vec3(dark, side, up)


@wp.func
def skin_colour(p: wp.vec3, ear: float, look: Look, low: wp.vec4, mid: wp.vec4, fine: wp.vec4):
    """Albedo of bare skin: mottling, blood, shadows of lids, freckles, spots and pores."""
    x = wp.abs(p[0])
    y = p[1]
    z = p[2]
    c = look.skin * (1.0 + 0.05 * low[0] + 0.045 * mid[0] + 0.045 * fine[3])
    cheek = bump(x, 0.043, 0.018) * bump(z, 0.868, 0.017)
    nose = bump(x, 0.0, 0.014) * bump(z, 0.863, 0.012) * sst(-0.14, -0.16, y)
    chin = 0.4 * bump(x, 0.0, 0.016) * bump(z, 0.802, 0.010)
    b = look.blood * (
        0.5 * cheek * (1.0 + 0.5 * low[1])
        + 0.6 * nose
        + chin
        + 0.55 * ear
        + 0.15
        + 0.14 * low[1]
        + 0.10 * mid[1]
    )
    b = b + look.makeup * 0.3 * cheek
    c = wp.vec3(c[0] * (1.0 + 0.10 * b), c[1] * (1.0 - 0.24 * b), c[2] * (1.0 - 0.22 * b))
    under = bump(x, 0.0315, 0.016) * bump(z, 0.8905, 0.0055)
    lid = bump(x, 0.0315, 0.0175) * bump(z, 0.907, 0.007)
    c = c * (1.0 - (0.10 + 0.14 * look.old) * under - (1.0 - 0.3 * look.tone) * 0.16 * lid)
    c = mix(c, wp.cw_mul(c, wp.vec3(0.72, 0.56, 0.66)), look.makeup * lid)
    if look.freckles > 0.01:
        f = (
            sst(0.30, 0.65, mid[2] + 0.6 * fine[0])
            * look.freckles
            * 0.6
            * sst(0.05, 0.02, wp.abs(z - 0.878))
            * sst(-0.09, -0.12, y)
        )
        c = mix(c, wp.cw_mul(c, wp.vec3(0.72, 0.56, 0.45)), f)
    if look.spots > 0.01:
        c = mix(
            c,
            wp.cw_mul(c, wp.vec3(0.62, 0.50, 0.44)),
            sst(0.50, 0.80, low[3] * 0.4 + mid[3] * 0.7) * look.spots * 0.45,
        )
    pore = sst(0.25, 0.9, fine[2]) * (0.4 + 0.6 * wp.max(cheek, nose))
    return c * (1.0 - 0.10 * pore)


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


@wp.kernel
def vertex_occlusion(
    points: wp.array(dtype=wp.vec3),
    normals: wp.array(dtype=wp.vec3),
    maps: wp.array3d(dtype=wp.int64),
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
def lit(
    albedo: wp.vec3, n: wp.vec3, wrap: wp.vec3, shade: wp.vec3, open: float, ambient_open: wp.vec3, look: Look
):
    """Diffuse light of both lamps and the hemisphere; `wrap` lets light creep round the edge per colour."""
    a = wp.dot(n, look.lamp1)
    b = wp.dot(n, look.lamp2)
    d1 = wp.vec3(
        wp.max(0.0, (a + wrap[0]) / (1.0 + wrap[0])),
        wp.max(0.0, (a + wrap[1]) / (1.0 + wrap[1])),
        wp.max(0.0, (a + wrap[2]) / (1.0 + wrap[2])),
    )
    d2 = wp.vec3(
        wp.max(0.0, (b + wrap[0]) / (1.0 + wrap[0])),
        wp.max(0.0, (b + wrap[1]) / (1.0 + wrap[1])),
        wp.max(0.0, (b + wrap[2]) / (1.0 + wrap[2])),
    )
    light = wp.cw_mul(look.colour1, wp.cw_mul(d1, shade)) + wp.cw_mul(look.colour2, d2) * (0.35 + 0.65 * open)
    light = light + wp.cw_mul(mix(look.ambient_down, look.ambient_up, 0.5 + 0.5 * n[2]), ambient_open)
    return wp.cw_mul(albedo, light)


@wp.func
def gloss(n: wp.vec3, d: wp.vec3, lamp: wp.vec3, strength: float, power: float):
    """Specular highlight towards a lamp, stronger at grazing angles."""
    h = wp.normalize(lamp - d)
    rim = 1.0 + 4.0 * wp.pow(1.0 - wp.max(0.0, -wp.dot(n, d)), 4.0)
    return (
        strength
        * rim
        * (power + 2.0)
        * 0.125
        * wp.pow(wp.max(0.0, wp.dot(n, h)), power)
        * sst(-0.05, 0.2, wp.dot(n, lamp))
    )


@wp.func
def eye_colour(direction: wp.vec3, look: Look, noise: wp.array(dtype=wp.vec4)):
    """Albedo of the eyeball in a direction from its centre (rest coordinates)."""
    theta = wp.acos(wp.clamp(wp.dot(direction, look.gaze), -1.0, 1.0))
    angle = wp.atan2(direction[2] - look.gaze[2], direction[0] - look.gaze[0])
    veins = sst(0.35, 0.8, theta)
    white = wp.vec3(0.64, 0.64 * (0.93 - 0.10 * veins), 0.64 * (0.88 - 0.12 * veins))
    rays = noise4(noise, wp.vec3(angle * 5.0, theta * 9.0, 0.3))
    colour = look.iris * (0.75 + 0.5 * rays[0]) * (0.55 + 0.9 * sst(0.16, 0.40, theta))
    colour = colour * (1.0 - 0.75 * sst(0.32, 0.39, theta))
    colour = mix(colour, white, sst(0.385, 0.425, theta))
    colour = colour * sst(0.135, 0.175, theta)
    return colour * (0.45 + 0.55 * sst(0.16, -0.12, direction[2] - 0.02))  # the upper lid's shadow


@wp.kernel
def shade_pixels(
    seen: wp.array2d(dtype=wp.int64),
    solid: wp.array2d(dtype=wp.int64),
    screen: wp.array(dtype=wp.vec3),
    world: wp.array(dtype=wp.vec3),
    normals: wp.array(dtype=wp.vec3),
    rest: wp.array(dtype=wp.vec3),
    neutral: wp.array(dtype=wp.vec3),
    fields: wp.array(dtype=wp.vec4),  # lip, lower lip, ear, face
    openness: wp.array(dtype=float),
    faces: wp.array(dtype=wp.vec3i),
    kinds: wp.array(dtype=int),
    fibre_screen: wp.array(dtype=wp.vec3),
    fibre_world: wp.array(dtype=wp.vec3),
    fibre_depth: wp.array(dtype=float),
    fibre_start: wp.array(dtype=int),
    fibre_kind: wp.array(dtype=int),
    fibre_tint: wp.array(dtype=float),
    lamp_solids: wp.array2d(dtype=wp.int64),
    lamp_hairs: wp.array2d(dtype=wp.int64),
    noise: wp.array(dtype=wp.vec4),
    background: wp.array2d(dtype=wp.vec3),
    look: Look,
    image: wp.array2d(dtype=wp.vec3),
    light: wp.array2d(dtype=wp.vec3),
    label: wp.array2d(dtype=int),
    surface: wp.array2d(dtype=int),
    weights: wp.array2d(dtype=wp.vec3),
):
    i, j = wp.tid()
    grid = look.grid
    triangles = faces.shape[0]
    total = wp.vec3(0.0, 0.0, 0.0)
    irradiance = wp.vec3(0.0, 0.0, 0.0)
    lit_samples = float(0.0)
    hair_samples = int(0)
    have_noise = int(0)
    low = wp.vec4(0.0, 0.0, 0.0, 0.0)
    mid = wp.vec4(0.0, 0.0, 0.0, 0.0)
    fine = wp.vec4(0.0, 0.0, 0.0, 0.0)
    crease = wp.vec3(0.0, 0.0, 0.0)
    label[i, j] = 0
    surface[i, j] = -1
    plain = int(1)  # only skin and the like: every other sample is enough
    for s in range(grid * grid):
        item = item_of(seen[i * grid + s / grid, j * grid + s % grid])
        if item < 0 or item >= triangles:
            plain = 0
    stride = 1 + plain
    counted = float(0.0)
    for s in range(0, grid * grid, stride):
        row = i * grid + s / grid
        col = j * grid + s % grid
        px = float(col) + 0.5
        py = float(row) + 0.5
        centre_sample = s == (grid * grid) / 2
        item = item_of(seen[row, col])
        under = item_of(solid[row, col])
        hidden = item >= triangles
        colour = wp.vec3(0.0, 0.0, 0.0)
        shaded = int(0)
        if hidden:  # a fibre
            t = item - triangles
            a = fibre_start[t]
            kind = fibre_kind[t]
            p = fibre_screen[a]
            q = fibre_screen[a + 1]
            run = (q[0] - p[0]) * (q[0] - p[0]) + (q[1] - p[1]) * (q[1] - p[1])
            f = wp.clamp(
                ((px - p[0]) * (q[0] - p[0]) + (py - p[1]) * (q[1] - p[1])) / wp.max(run, 1.0e-6), 0.0, 1.0
            )
            x = mix(fibre_world[a], fibre_world[a + 1], f)
            tangent = wp.normalize(fibre_world[a + 1] - fibre_world[a])
            d = wp.normalize(x - look.camera)
            inside = fibre_depth[a] * (1.0 - f) + fibre_depth[a + 1] * f
            n = wp.normalize(x - look.centre)
            n = wp.normalize(n - d * 0.35)
            base = look.hair
            open = 0.35 + 0.65 * inside
            if kind == 0:
                hair_samples = hair_samples + 1
            if kind == 1:
                base = look.beard
            if kind == 2:
                base = look.brow
                open = 0.9
            if kind == 3:
                base = wp.vec3(0.012, 0.010, 0.009)
                open = 1.0
            if kind == 4:
                base = look.frame
                open = 1.0
            sh = lamp_shadow(lamp_solids, lamp_hairs, look, x + look.lamp1 * 0.004, 0.004, 1)
            clear = 1.0 - look.shadow * (1.0 - sh[0] * sh[1])
            along = wp.dot(tangent, look.lamp1)
            sine = wp.sqrt(wp.max(0.0, 1.0 - along * along))
            front = wp.max(0.0, (wp.dot(n, look.lamp1) + 0.30) / 1.30)
            front2 = wp.max(0.0, (wp.dot(n, look.lamp2) + 0.30) / 1.30)
            albedo = base * fibre_tint[t]
            lamp_part = look.colour1 * (front * (0.45 + 0.55 * sine) * clear) + look.colour2 * (front2 * open)
            sky = mix(look.ambient_down, look.ambient_up, 0.5 + 0.5 * n[2]) * open
            colour = wp.cw_mul(albedo, lamp_part * (0.45 + 0.55 * open) + sky)
            half = wp.normalize(look.lamp1 - d)
            dot1 = wp.dot(tangent, half)
            half2 = wp.normalize(look.lamp2 - d)
            dot2 = wp.dot(tangent, half2)
            shine1 = (
                wp.pow(wp.sqrt(wp.max(0.0, 1.0 - dot1 * dot1)), 60.0)
                * sst(-0.1, 0.6, wp.dot(n, look.lamp1))
                * clear
            )
            shine2 = wp.pow(wp.sqrt(wp.max(0.0, 1.0 - dot2 * dot2)), 60.0) * sst(
                -0.1, 0.6, wp.dot(n, look.lamp2)
            )
            sheen = wp.vec3(0.045, 0.042, 0.038) + albedo * 0.35
            strength = 0.55 * inside
            if kind == 1 or kind == 2:
                strength = 0.12
            if kind == 3:
                strength = 0.0
            colour = colour + wp.cw_mul(sheen, look.colour1 * shine1 + look.colour2 * shine2) * strength
            shaded = 1
        if (shaded == 0 and under >= 0) or (centre_sample and under >= 0):
            face = faces[under]
            a = face[0]
            b = face[1]
            c = face[2]
            flat = barycentric(screen[a], screen[b], screen[c], px, py)
            w = wp.vec3(
                flat[0] * (1.0 - screen[a][2]), flat[1] * (1.0 - screen[b][2]), flat[2] * (1.0 - screen[c][2])
            )
            w = w / (w[0] + w[1] + w[2])
            kind = kinds[under]
            p = neutral[a] * w[0] + neutral[b] * w[1] + neutral[c] * w[2]
            x = world[a] * w[0] + world[b] * w[1] + world[c] * w[2]
            n = wp.normalize(normals[a] * w[0] + normals[b] * w[1] + normals[c] * w[2])
            d = wp.normalize(x - look.camera)
            if wp.dot(n, d) > 0.0:
                n = n - d * (1.02 * wp.dot(n, d))  # a silhouette, not a back side
                n = wp.normalize(n)
            field = fields[a] * w[0] + fields[b] * w[1] + fields[c] * w[2]
            open = openness[a] * w[0] + openness[b] * w[1] + openness[c] * w[2]
            albedo = wp.vec3(0.5, 0.5, 0.5)
            wrap = wp.vec3(0.15, 0.15, 0.15)
            scatter = float(0.0)
            shine = float(0.0)
            power = float(20.0)
            sparkle = wp.vec3(0.0, 0.0, 0.0)
            mine = int(0)
            skin_like = int(1)
            if kind == 0 or kind == 2:
                if have_noise == 0:
                    have_noise = 1
                    low = noise4(noise, p * 35.0 + look.offset)
                    mid = noise4(noise, p * 170.0 + look.offset)
                    fine = noise4(noise, p * 720.0 + look.offset)
                    crease = creases(p, look, low[2] * 2.0)
                scatter = 1.0
                wrap = wp.vec3(0.28, 0.16, 0.11)
            if kind == 0:
                albedo = skin_colour(p, field[2], look, low, mid, fine)
                albedo = albedo * (1.0 - crease[0])
                sideways = wp.sign(p[0])
                n = wp.normalize(
                    n + look.turn * wp.vec3(sideways * crease[1], 0.0, crease[2]) * (1.0 - field[0])
                )
                n = wp.normalize(
                    n + wp.vec3(fine[0], fine[1], fine[2]) * 0.055 + wp.vec3(mid[0], mid[1], mid[2]) * 0.03
                )
                shine = 0.035 * look.oil * (1.0 + 0.6 * fine[1])
                power = 14.0
                # stubble and beard shadow the skin below
                if look.stubble > 0.0 and p[2] < 0.895 and p[2] > 0.76 and p[1] < -0.04 and field[0] < 0.4:
                    t0 = wp.abs(p[0])
                    jaw = sst(0.866, 0.842, p[2] + 0.05 * (t0 - 0.045) * sst(0.03, 0.06, t0))
                    whisker = sst(0.052, 0.066, t0) * sst(0.893, 0.86, p[2])
                    cheek = 1.0 - sst(0.832, 0.852, p[2]) * sst(0.015, 0.030, t0) * (
                        1.0 - sst(0.054, 0.068, t0)
                    )
                    area = wp.max(jaw * cheek, whisker) * sst(-0.043, -0.058, p[1])
                    upper = wp.exp(-wp.pow((p[2] - 0.8475) / 0.0062, 4.0)) * sst(0.033, 0.022, t0)
                    m = wp.max(area, upper) * look.stubble * (0.8 + 0.25 * fine[0]) * (1.0 - field[0])
                    albedo = mix(albedo, look.beard, wp.clamp(m, 0.0, 0.9))
                above = float(-90.0)
                if p[2] > 0.86 or p[1] > -0.05:
                    above = above_hairline(p, look.recession, look.temples) + 2.0 * mid[0] + 1.5 * fine[1]
                bare = wp.min(0.95, sst(0.955, 0.985, p[2]) * look.thinning * 1.2)
                cover = sst(-4.0, 6.0, above) * look.scalp * (1.0 - field[2]) * (1.0 - bare)
                albedo = mix(albedo, look.hair * 0.7, cover)
                shine = shine * (1.0 - cover)
                brow = brow_cover(p, look)
                albedo = mix(albedo, look.brow, brow * look.brow_paint * (0.75 + 0.25 * fine[0]))
                lips = sst(0.25, 0.8, field[0])
                if lips > 0.0:
                    lines = noise4(noise, wp.vec3(p[0] * 620.0, p[1] * 80.0, p[2] * 110.0) + look.offset)
                    albedo = mix(albedo, look.lip * (1.0 + 0.10 * lines[0]), lips * look.lip_cover)
                    shine = shine + 0.05 * lips
                    power = power + 22.0 * lips
                if field[3] > 0.5 or (above > 0.0 and field[2] < 0.5):
                    mine = 1
                    if above > 0.0 and look.scalp > 0.45 and cover > 0.5:
                        mine = 10
                if on_nose(p):
                    mine = 6
                if brow > 0.4:
                    mine = 2
                    if p[0] < 0.0:
                        mine = 3
                if field[0] > 0.5:
                    mine = 7
                    if field[1] > 0.5:
                        mine = 9
            if kind == 1:
                albedo = wp.vec3(0.16, 0.03, 0.03) * sst(-0.09, -0.15, p[1])
                mine = 8
            if kind == 2:
                r = wp.sqrt(p[0] * p[0] + (p[1] + 0.03) * (p[1] + 0.03))
                limit = 0.815 - look.neckline + (p[1] + 0.03) * 0.55 + 0.15 * wp.min(r - 0.09, 0.02)
                albedo = skin_colour(p, 0.0, look, low, mid, fine)
                shine = 0.02 * look.oil
                if p[2] < limit:
                    edge = sst(0.0, 0.006, limit - p[2])
                    albedo = look.cloth * (1.0 + 0.15 * low[0] + 0.10 * fine[0]) * (0.65 + 0.35 * edge)
                    n = wp.normalize(n + wp.vec3(low[0], 0.0, 0.6 * low[1]) * 0.22)
                    scatter = 0.0
                    shine = 0.0
                    skin_like = 0
            if kind == 3:
                albedo = wp.cw_mul(look.skin, wp.vec3(0.80, 0.46, 0.42))
                scatter = 1.0
                shine = 0.03
                power = 40.0
                mine = 1
            if kind == 4 or kind == 5:
                middle = look.right_eye
                mine = 5
                if kind == 5:
                    middle = look.left_eye
                    mine = 4
                direction = wp.normalize(rest[a] * w[0] + rest[b] * w[1] + rest[c] * w[2] - middle)
                albedo = eye_colour(direction, look, noise)
                n = wp.normalize(look.turn * direction)
                open = 0.5 + 0.5 * open
                wrap = wp.vec3(0.45, 0.45, 0.45)
                theta = wp.acos(wp.clamp(wp.dot(direction, look.gaze), -1.0, 1.0))
                if theta < 0.55:  # the cornea mirrors the key lamp
                    bulge = wp.normalize(n * 0.9 + wp.normalize(look.turn * look.gaze) * 0.45)
                    mirrored = d - bulge * (2.0 * wp.dot(d, bulge))
                    sparkle = wp.vec3(0.55, 0.57, 0.6) * sst(
                        0.965, 0.985, wp.dot(wp.normalize(mirrored), look.lamp1)
                    )
            if kind == 7:
                albedo = wp.vec3(0.64, 0.59, 0.50) * sst(-0.09, -0.135, p[1])
                gap = wp.abs(wp.sin(wp.atan2(p[0], -(p[1] + 0.105)) * 9.0))
                albedo = albedo * (0.84 + 0.16 * sst(0.0, 0.3, gap))
                n = wp.normalize(look.turn * wp.vec3(p[0] * 1.2, -0.06, 0.012))
                wrap = wp.vec3(0.5, 0.5, 0.5)
                shine = 0.03
                power = 40.0
                open = 0.25 + 0.5 * open
                mine = 8
            if kind == 9:
                albedo = wp.vec3(0.42, 0.13, 0.12)
                shine = 0.05
                power = 30.0
                mine = 8
            if centre_sample:
                label[i, j] = mine
                surface[i, j] = under
                weights[i, j] = w
            if shaded == 0 or centre_sample:
                sh = lamp_shadow(lamp_solids, lamp_hairs, look, x + n * 0.002, 0.0035, 5)
                clear = sh[0]
                if kind == 7 or kind == 9 or kind == 1:
                    clear = 0.35 + 0.65 * clear
                clear = 1.0 - look.shadow * (1.0 - clear * sh[1])
                shade = wp.vec3(
                    clear + (1.0 - clear) * 0.12 * scatter, clear + (1.0 - clear) * 0.03 * scatter, clear
                )
                sky = wp.vec3(open, open, open)
                if scatter > 0.5:
                    sky = wp.vec3(wp.pow(open, 0.75), open, wp.pow(open, 1.1))
                glow = lit(wp.vec3(1.0, 1.0, 1.0), n, wrap, shade, open, sky, look)
                if skin_like == 1:
                    irradiance = irradiance + glow
                    lit_samples = lit_samples + 1.0
                if shaded == 0:
                    colour = wp.cw_mul(albedo, glow) + sparkle * clear
                    if shine > 0.0:
                        colour = colour + look.colour1 * (gloss(n, d, look.lamp1, shine, power) * clear)
                        colour = colour + look.colour2 * gloss(n, d, look.lamp2, shine, power)
                    shaded = 1
        if shaded == 0:
            colour = background[i, j]
        total = total + colour
        counted = counted + 1.0
    image[i, j] = total / counted
    light[i, j] = irradiance / wp.max(lit_samples, 1.0)
    if 2 * hair_samples > grid * grid:
        label[i, j] = 10
        surface[i, j] = -1
