"""Skin as a texture painted on the neutral head: colour, creases, brows, stubble, scalp and labels.

Places are neutral coordinates in metres (see `shape`). Three shapes exist twice, here for the skin below and
in numpy for the hairs above it: `above_hairline` = `hair.hairline`, `brow_middle` = `facial.brow_line` and
`beard_region` = `facial.beard_region`. Change both; a test compares them.
"""

import warp as wp

from .look import Grain, Look, Spot, Surface, bump, mix, noise4, sst

wp.set_module_options({"enable_backward": False, "max_unroll": 1})


@wp.func
def above_hairline(p: wp.vec3, recession: float, temples: float):
    """Degrees of elevation above the hairline, > 0 on the scalp; the same curve as `hair.hairline`."""
    a = wp.abs(wp.atan2(p[0], -(p[1] + 0.04))) * 57.29578
    r = wp.sqrt(p[0] * p[0] + (p[1] + 0.04) * (p[1] + 0.04))
    e = wp.atan2(p[2] - 0.915, r) * 57.29578
    line = 30.0 + 1.5 * sst(0.0, 20.0, a) + temples * sst(16.0, 34.0, a) * (1.0 - sst(40.0, 56.0, a))
    line = line - 22.0 * sst(44.0, 61.0, a) - 22.0 * sst(61.0, 70.0, a) + 12.0 * sst(74.0, 86.0, a)
    line = line - 20.0 * sst(98.0, 125.0, a) - 22.0 * sst(125.0, 165.0, a)
    return e - line - recession * (1.0 - sst(50.0, 75.0, a))


@wp.func
def brow_middle(x: float, arch: float):
    """Height z of the brow's middle at |x|; the same curve as `facial.brow_line`."""
    t = wp.clamp((x - 0.013) / 0.038, 0.0, 1.0)
    bow = wp.pow(wp.sin(3.14159 * wp.clamp(t * 0.78 + 0.06, 0.0, 1.0)), 1.2)
    return 0.9168 + 0.0075 * bow * (0.6 + 0.8 * arch) + 0.0012 * t - 0.0072 * wp.max(t - 0.75, 0.0)


@wp.func
def brow_cover(p: wp.vec3, look: Look):
    """0..1 inside the brow: the skin between its hairs."""
    x = wp.abs(p[0])
    along = (x - 0.0125) / 0.0395
    if along < -0.15 or along > 1.1 or p[1] > -0.08 or p[2] < 0.905 or p[2] > 0.940:
        return 0.0
    height = look.brow_height * wp.min(sst(-0.12, 0.12, along), 1.0 - 0.75 * sst(0.45, 1.05, along))
    away = (p[2] - brow_middle(x, look.brow_arch)) / wp.max(height, 0.0003)
    return (1.0 - sst(0.55, 1.15, wp.abs(away))) * sst(-0.12, 0.08, along) * (1.0 - sst(0.95, 1.08, along))


@wp.func
def beard_region(p: wp.vec3):
    """0..1 on jaw, chin, throat and whiskers; the same shape as `facial.beard_region`."""
    x = wp.abs(p[0])
    jaw = sst(0.866, 0.842, p[2] + 0.05 * (x - 0.045) * sst(0.03, 0.06, x))
    whisker = sst(0.052, 0.066, x) * sst(0.893, 0.86, p[2])
    cheek = 1.0 - sst(0.832, 0.852, p[2]) * sst(0.015, 0.030, x) * (1.0 - sst(0.054, 0.068, x))
    return wp.max(jaw * cheek, whisker) * sst(-0.043, -0.058, p[1])


@wp.func
def stubble_cover(p: wp.vec3, lip: float, grain: Grain, look: Look):
    """0..0.9: stubble and beard shadow the skin below."""
    if look.stubble <= 0.0 or p[2] >= 0.895 or p[2] <= 0.76 or p[1] >= -0.04 or lip >= 0.4:
        return 0.0
    upper = wp.exp(-wp.pow((p[2] - 0.8475) / 0.0062, 4.0)) * sst(0.033, 0.022, wp.abs(p[0]))
    cover = wp.max(beard_region(p), upper) * look.stubble * (0.8 + 0.25 * grain.fine[0]) * (1.0 - lip)
    return wp.clamp(cover, 0.0, 0.9)


@wp.func
def on_nose(p: wp.vec3):
    """Front-view trapezium of the nose."""
    u = (p[2] - 0.8528) / 0.0532
    if u < 0.0 or u > 1.0 or p[1] > -0.118:
        return False
    half = 0.0205
    if u > 0.28:
        half = 0.0205 - (u - 0.28) / 0.72 * 0.0125
    return wp.abs(p[0]) < half


@wp.func
def upper_creases(x: float, z: float, look: Look, wobble: float):
    """Forehead, crow's feet and frown at |x|, z: darkening, tilt of the normal sideways, upwards."""
    dark = float(0.0)
    up = float(0.0)
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
    return wp.vec3(dark, 0.0, up)


@wp.func
def creases(p: wp.vec3, look: Look, wobble: float):
    """Lines of age and expression: (darkening, tilt of the normal sideways, upwards)."""
    x = wp.abs(p[0])
    z = p[2]
    if p[1] > -0.05 or z < 0.79:
        return wp.vec3(0.0, 0.0, 0.0)
    upper = upper_creases(x, z, look, wobble)
    dark = upper[0]
    up = upper[2]
    side = float(0.0)
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
def skin_colour(p: wp.vec3, ear: float, grain: Grain, look: Look):
    """Albedo of bare skin: mottling, blood, shadows of lids, freckles, spots and pores."""
    x = wp.abs(p[0])
    y = p[1]
    z = p[2]
    low = grain.low
    mid = grain.mid
    fine = grain.fine
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
        f = sst(0.30, 0.65, mid[2] + 0.6 * fine[0]) * look.freckles * 0.6
        f = f * sst(0.05, 0.02, wp.abs(z - 0.878)) * sst(-0.09, -0.12, y)
        c = mix(c, wp.cw_mul(c, wp.vec3(0.72, 0.56, 0.45)), f)
    if look.spots > 0.01:
        f = sst(0.50, 0.80, low[3] * 0.4 + mid[3] * 0.7) * look.spots * 0.45
        c = mix(c, wp.cw_mul(c, wp.vec3(0.62, 0.50, 0.44)), f)
    pore = sst(0.25, 0.9, fine[2]) * (0.4 + 0.6 * wp.max(cheek, nose))
    return c * (1.0 - 0.10 * pore)


@wp.func
def skin_normal(spot: Spot, grain: Grain, look: Look):
    """The normal, tilted by creases and pores."""
    sideways = wp.sign(spot.neutral[0])
    tilt = look.turn * wp.vec3(sideways * grain.crease[1], 0.0, grain.crease[2])
    n = wp.normalize(spot.normal + tilt * (1.0 - spot.field[0]))
    pores = wp.vec3(grain.fine[0], grain.fine[1], grain.fine[2]) * 0.055
    return wp.normalize(n + pores + wp.vec3(grain.mid[0], grain.mid[1], grain.mid[2]) * 0.03)


@wp.func
def skin_label(spot: Spot, brow: float, above: float, covered: bool):
    """Class of the parsing: face, nose, brows, lips, hair, or background for neck and ears."""
    label = int(0)
    if spot.field[3] > 0.5 or (above > 0.0 and spot.field[2] < 0.5):
        label = 1
        if above > 0.0 and covered:
            label = 10
    if on_nose(spot.neutral):
        label = 6
    if brow > 0.4:
        label = 2
        if spot.neutral[0] < 0.0:
            label = 3
    if spot.field[0] > 0.5:
        label = 7
        if spot.field[1] > 0.5:
            label = 9
    return label


@wp.func
def skin_surface(spot: Spot, grain: Grain, look: Look, noise: wp.array(dtype=wp.vec4)):
    """Skin of head and neck with all that is painted on it."""
    p = spot.neutral
    lip = spot.field[0]
    out = Surface()
    out.normal = skin_normal(spot, grain, look)
    out.wrap = wp.vec3(0.28, 0.16, 0.11)
    out.scatter = 1.0
    out.open = spot.open
    out.skin_like = 1
    albedo = skin_colour(p, spot.field[2], grain, look) * (1.0 - grain.crease[0])
    albedo = mix(albedo, look.beard, stubble_cover(p, lip, grain, look))

    above = float(-90.0)  # no hair grows on the middle of the face
    if p[2] > 0.915 or p[1] > -0.05 or (p[2] > 0.86 and wp.abs(p[0]) > -0.8 * (p[1] + 0.04)):
        above = above_hairline(p, look.recession, look.temples) + 2.0 * grain.mid[0] + 1.5 * grain.fine[1]
    bare = wp.min(0.95, sst(0.955, 0.985, p[2]) * look.thinning * 1.2)
    cover = sst(-4.0, 6.0, above) * look.scalp * (1.0 - spot.field[2]) * (1.0 - bare)
    albedo = mix(albedo, look.hair * 0.7, cover)

    brow = brow_cover(p, look)
    albedo = mix(albedo, look.brow, brow * look.brow_paint * (0.75 + 0.25 * grain.fine[0]))

    out.shine = 0.035 * look.oil * (1.0 + 0.6 * grain.fine[1]) * (1.0 - cover)
    out.power = 14.0
    lips = sst(0.25, 0.8, lip)
    if lips > 0.0:
        lines = noise4(noise, wp.vec3(p[0] * 620.0, p[1] * 80.0, p[2] * 110.0) + look.offset)
        albedo = mix(albedo, look.lip * (1.0 + 0.10 * lines[0]), lips * look.lip_cover)
        out.shine = out.shine + 0.05 * lips
        out.power = out.power + 22.0 * lips
    out.albedo = albedo
    out.label = skin_label(spot, brow, above, look.scalp > 0.45 and cover > 0.5)
    return out
