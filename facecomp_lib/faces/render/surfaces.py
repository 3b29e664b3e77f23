"""What the mesh shows at a spot: skin, clothes, eyes, teeth and the rest of the mouth."""

import warp as wp

from .look import Grain, Look, Mesh, Spot, Surface, mix, noise4, sst
from .raster import barycentric
from .shape import LEFT_EYE, MOUTH, RIGHT_EYE, SKIN, SOCKET, TEETH, TONGUE, TORSO
from .skin import creases, skin_colour, skin_surface

wp.set_module_options({"enable_backward": False, "max_unroll": 1})


@wp.func
def spot_under(mesh: Mesh, triangle: int, column: float, row: float, camera: wp.vec3):
    """The point of a triangle seen at (column, row) in samples."""
    corners = mesh.faces[triangle]
    a = corners[0]
    b = corners[1]
    c = corners[2]
    flat = barycentric(mesh.screen[a], mesh.screen[b], mesh.screen[c], column, row)
    w = wp.vec3(  # perspective: nearer corners weigh more
        flat[0] * (1.0 - mesh.screen[a][2]),
        flat[1] * (1.0 - mesh.screen[b][2]),
        flat[2] * (1.0 - mesh.screen[c][2]),
    )
    w = w / (w[0] + w[1] + w[2])
    spot = Spot()
    spot.kind = mesh.kinds[triangle]
    spot.weights = w
    spot.neutral = mesh.neutral[a] * w[0] + mesh.neutral[b] * w[1] + mesh.neutral[c] * w[2]
    spot.rest = mesh.rest[a] * w[0] + mesh.rest[b] * w[1] + mesh.rest[c] * w[2]
    spot.world = mesh.world[a] * w[0] + mesh.world[b] * w[1] + mesh.world[c] * w[2]
    spot.field = mesh.fields[a] * w[0] + mesh.fields[b] * w[1] + mesh.fields[c] * w[2]
    spot.open = mesh.openness[a] * w[0] + mesh.openness[b] * w[1] + mesh.openness[c] * w[2]
    n = wp.normalize(mesh.normals[a] * w[0] + mesh.normals[b] * w[1] + mesh.normals[c] * w[2])
    d = wp.normalize(spot.world - camera)
    if wp.dot(n, d) > 0.0:  # a silhouette, not a back side
        n = wp.normalize(n - d * (1.02 * wp.dot(n, d)))
    spot.normal = n
    spot.view = d
    return spot


@wp.func
def grain_at(p: wp.vec3, look: Look, noise: wp.array(dtype=wp.vec4)):
    """Noise and creases at a neutral place."""
    grain = Grain()
    grain.known = 1
    grain.low = noise4(noise, p * 35.0 + look.offset)
    grain.mid = noise4(noise, p * 170.0 + look.offset)
    grain.fine = noise4(noise, p * 720.0 + look.offset)
    grain.crease = creases(p, look, grain.low[2] * 2.0)
    return grain


@wp.func
def plain_surface(spot: Spot):
    """Something dull and bright, to be changed."""
    out = Surface()
    out.normal = spot.normal
    out.wrap = wp.vec3(0.15, 0.15, 0.15)
    out.power = 20.0
    out.open = spot.open
    out.skin_like = 1
    return out


@wp.func
def torso_surface(spot: Spot, grain: Grain, look: Look):
    """Neck and shoulders: skin above the neckline, cloth with folds below it."""
    p = spot.neutral
    out = plain_surface(spot)
    out.wrap = wp.vec3(0.28, 0.16, 0.11)
    away = wp.sqrt(p[0] * p[0] + (p[1] + 0.03) * (p[1] + 0.03))  # from the neck's axis
    limit = 0.815 - look.neckline + (p[1] + 0.03) * 0.55 + 0.15 * wp.min(away - 0.09, 0.02)
    if p[2] < limit:
        edge = sst(0.0, 0.006, limit - p[2])
        weave = 1.0 + 0.15 * grain.low[0] + 0.10 * grain.fine[0]
        out.albedo = look.cloth * weave * (0.65 + 0.35 * edge)
        out.normal = wp.normalize(spot.normal + wp.vec3(grain.low[0], 0.0, 0.6 * grain.low[1]) * 0.22)
        out.skin_like = 0
    else:
        out.albedo = skin_colour(p, 0.0, grain, look)
        out.scatter = 1.0
        out.shine = 0.02 * look.oil
    return out


@wp.func
def socket_surface(spot: Spot, look: Look):
    """The wet inner corner and rim of the lids."""
    out = plain_surface(spot)
    out.albedo = wp.cw_mul(look.skin, wp.vec3(0.80, 0.46, 0.42))
    out.scatter = 1.0
    out.shine = 0.03
    out.power = 40.0
    out.label = 1
    return out


@wp.func
def eye_colour(direction: wp.vec3, theta: float, look: Look, noise: wp.array(dtype=wp.vec4)):
    """Albedo of the eyeball in a direction from its centre, `theta` radians from the gaze."""
    angle = wp.atan2(direction[2] - look.gaze[2], direction[0] - look.gaze[0])
    veins = sst(0.35, 0.8, theta)
    white = wp.vec3(0.64, 0.64 * (0.93 - 0.10 * veins), 0.64 * (0.88 - 0.12 * veins))
    rays = noise4(noise, wp.vec3(angle * 5.0, theta * 9.0, 0.3))
    colour = look.iris * (0.75 + 0.5 * rays[0]) * (0.55 + 0.9 * sst(0.16, 0.40, theta))
    colour = colour * (1.0 - 0.75 * sst(0.32, 0.39, theta))  # its dark rim
    colour = mix(colour, white, sst(0.385, 0.425, theta))
    colour = colour * sst(0.135, 0.175, theta)  # the pupil
    return colour * (0.45 + 0.55 * sst(0.16, -0.12, direction[2] - 0.02))  # the upper lid's shadow


@wp.func
def eye_surface(spot: Spot, look: Look, noise: wp.array(dtype=wp.vec4)):
    """An eyeball, coloured by the angle from its gaze, with the key lamp mirrored in the cornea."""
    middle = look.right_eye
    label = int(5)
    if spot.kind == LEFT_EYE:
        middle = look.left_eye
        label = 4
    direction = wp.normalize(spot.rest - middle)
    theta = wp.acos(wp.clamp(wp.dot(direction, look.gaze), -1.0, 1.0))
    out = plain_surface(spot)
    out.label = label
    out.albedo = eye_colour(direction, theta, look, noise)
    out.normal = wp.normalize(look.turn * direction)
    out.open = 0.5 + 0.5 * spot.open
    out.wrap = wp.vec3(0.45, 0.45, 0.45)
    if theta < 0.55:
        bulge = wp.normalize(out.normal * 0.9 + wp.normalize(look.turn * look.gaze) * 0.45)
        mirrored = spot.view - bulge * (2.0 * wp.dot(spot.view, bulge))
        glint = sst(0.965, 0.985, wp.dot(wp.normalize(mirrored), look.lamp1))
        out.sparkle = wp.vec3(0.55, 0.57, 0.6) * glint
    return out


@wp.func
def mouth_surface(spot: Spot, look: Look):
    """Inside of the mouth: teeth with gaps between them, tongue and the cavity, darker towards the throat."""
    p = spot.neutral
    out = plain_surface(spot)
    out.label = 8
    out.bright = 0.35
    if spot.kind == MOUTH:
        out.albedo = wp.vec3(0.16, 0.03, 0.03) * sst(-0.09, -0.15, p[1])
    if spot.kind == TEETH:
        gap = wp.abs(wp.sin(wp.atan2(p[0], -(p[1] + 0.105)) * 9.0))
        albedo = wp.vec3(0.64, 0.59, 0.50) * sst(-0.09, -0.135, p[1])
        out.albedo = albedo * (0.84 + 0.16 * sst(0.0, 0.3, gap))
        out.normal = wp.normalize(look.turn * wp.vec3(p[0] * 1.2, -0.06, 0.012))  # one smooth arch
        out.wrap = wp.vec3(0.5, 0.5, 0.5)
        out.shine = 0.03
        out.power = 40.0
        out.open = 0.25 + 0.5 * spot.open
    if spot.kind == TONGUE:
        out.albedo = wp.vec3(0.42, 0.13, 0.12)
        out.shine = 0.05
        out.power = 30.0
    return out


@wp.func
def surface_at(spot: Spot, grain: Grain, look: Look, noise: wp.array(dtype=wp.vec4)):
    """The surface of whatever the spot belongs to."""
    if spot.kind == SKIN:
        return skin_surface(spot, grain, look, noise)
    if spot.kind == TORSO:
        return torso_surface(spot, grain, look)
    if spot.kind == SOCKET:
        return socket_surface(spot, look)
    if spot.kind == RIGHT_EYE or spot.kind == LEFT_EYE:
        return eye_surface(spot, look, noise)
    return mouth_surface(spot, look)
