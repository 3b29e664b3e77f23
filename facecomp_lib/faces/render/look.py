"""What the kernels of shading share: their structs, soft steps and a table of noise."""

import warp as wp

wp.set_module_options({"enable_backward": False, "max_unroll": 1})


@wp.struct
class Look:
    """Everything about an image that is a single number, colour or direction. Colours are linear RGB."""

    # camera and light
    grid: int  # samples per pixel side
    near: float  # depth = 1 - near / distance
    camera: wp.vec3
    lamp1: wp.vec3  # direction towards the key lamp, which casts shadows
    colour1: wp.vec3
    lamp2: wp.vec3  # towards the fill lamp
    colour2: wp.vec3
    ambient_up: wp.vec3
    ambient_down: wp.vec3
    shadow: float  # 0 no shadows .. 1 black ones
    # the key lamp's map: column = dot(right, x - origin) * scale + half its size, row with `down`
    map_right: wp.vec3
    map_down: wp.vec3
    map_origin: wp.vec3
    map_scale: float
    # head
    turn: wp.mat33  # rotation of the head
    centre: wp.vec3  # of the skull, world
    offset: wp.vec3  # of the noise: no two people share their pores
    # skin
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
    # beard, brows and scalp
    stubble: float  # 0 shaved clean .. 1: how much of the beard shows as shadow on the skin
    beard: wp.vec3
    brow: wp.vec3
    brow_height: float  # metres
    brow_arch: float
    brow_paint: float
    hair: wp.vec3
    scalp: float  # share of the scalp that hair hides
    thinning: float
    recession: float  # degrees
    temples: float  # degrees
    # the rest
    frame: wp.vec3  # spectacles
    iris: wp.vec3
    gaze: wp.vec3  # unit direction, rest coordinates
    right_eye: wp.vec3  # centres, rest coordinates
    left_eye: wp.vec3
    cloth: wp.vec3
    neckline: float  # metres


@wp.struct
class Mesh:
    """The posed mesh. Arrays are by vertex, `faces` and `kinds` by triangle."""

    screen: wp.array(dtype=wp.vec3)  # column, row, depth in samples
    world: wp.array(dtype=wp.vec3)
    normals: wp.array(dtype=wp.vec3)
    rest: wp.array(dtype=wp.vec3)  # before posing
    neutral: wp.array(dtype=wp.vec3)  # of the average face: what textures are painted on
    fields: wp.array(dtype=wp.vec4)  # lip, lower lip, ear, face; each 0..1
    openness: wp.array(dtype=float)  # share of the sky seen
    faces: wp.array(dtype=wp.vec3i)
    kinds: wp.array(dtype=int)


@wp.struct
class FibreSet:
    """The posed fibres. The first three arrays are by node, the others by segment."""

    screen: wp.array(dtype=wp.vec3)
    world: wp.array(dtype=wp.vec3)
    depth: wp.array(dtype=float)  # 0 deep in the hair .. 1 on its outside
    starts: wp.array(dtype=int)  # first node of the segment; the second is the next one
    kinds: wp.array(dtype=int)
    tints: wp.array(dtype=float)
    widths: wp.array(dtype=float)  # metres


@wp.struct
class Spot:
    """A point of the mesh under a sample, interpolated."""

    kind: int
    weights: wp.vec3
    neutral: wp.vec3
    rest: wp.vec3
    world: wp.vec3
    normal: wp.vec3
    view: wp.vec3  # unit direction from the camera
    field: wp.vec4
    open: float


@wp.struct
class Grain:
    """Noise at three scales and the creases of a pixel: looked up once, shared by its samples."""

    known: int
    low: wp.vec4  # waves of about 3 cm,
    mid: wp.vec4  # 6 mm
    fine: wp.vec4  # and 1.4 mm
    crease: wp.vec3  # darkening, tilt of the normal sideways and upwards


@wp.struct
class Surface:
    """What light meets at a spot."""

    albedo: wp.vec3
    normal: wp.vec3
    wrap: wp.vec3  # how far light creeps beyond the edge of the lit side, per colour
    scatter: float  # 1 where light spreads below the surface and reddens shadows
    shine: float  # strength of the highlight
    power: float  # and its sharpness
    sparkle: wp.vec3  # mirrored lamp
    open: float  # share of the sky seen
    bright: float  # least share of the key lamp's light: the mouth is never quite dark
    label: int  # class of the parsing
    skin_like: int  # 1 if it counts for the light ratio


@wp.func
def sst(a: float, b: float, x: float):
    """Smooth step: 0 before a, 1 after b; works with a > b too."""
    t = wp.clamp((x - a) / (b - a), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


@wp.func
def bump(x: float, centre: float, width: float):
    """Bell curve, 1 at its centre; cut off where it is below 1e-13, to spare the exponential."""
    u = (x - centre) / width
    if u * u > 30.0:
        return 0.0
    return wp.exp(-u * u)


@wp.func
def mix(a: wp.vec3, b: wp.vec3, t: float):
    """a at t = 0, b at t = 1."""
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
