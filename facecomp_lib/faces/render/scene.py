"""From a person and a picture to pixels and exact labels."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import warp as wp

from .. import frame
from . import hair, raster, shade
from . import person as people
from .background import background
from .shape import MOUTH, SKIN, TORSO, head, pose, rotation, turned

SAMPLES = 3  # samples per pixel side: the middle one sits on the pixel centre, where labels are read
LAMP_MAP, SKY_MAP, SKY_FIBRES = 256, 72, 6
REACH = 0.20  # metres around the skull's centre that shadow maps cover


@dataclass
class Rendering:
    """One picture and what is known about it. S is the side in pixels.

    image: uint8 (S, S, 3). parsing: uint8 (S, S), 0..10. landmarks: float32 (68, 2) px. pose: yaw, pitch,
    roll in degrees. lamps: float32 (2, 6), unit direction towards the lamp (x right, y up, z to the viewer)
    and linear RGB. mirror_flow: float32 (S, S, 2) in [-1, 1]: where, in the flipped picture, the mirror point
    lies. mirror_valid: bool (S, S). light_ratio: float32 (S, S, 3): shading here over shading at the mirror
    point, 1 where unknown. The last three are None where they were not asked for.
    """

    image: np.ndarray
    parsing: np.ndarray
    landmarks: np.ndarray
    pose: np.ndarray
    lamps: np.ndarray
    mirror_flow: np.ndarray | None
    mirror_valid: np.ndarray | None
    light_ratio: np.ndarray | None


class Renderer:
    """Draws people on one device. Make one and keep it: kernels and tables stay loaded.

    Args:
        device: a Warp device, "cpu" or "cuda:0". The CUDA path is untested.
    """

    def __init__(self, device="cpu"):
        wp.config.quiet = True  # type: ignore[attr-defined]
        wp.init()
        self.device = wp.get_device(device)
        model = head()
        table = np.random.default_rng(7).uniform(-1, 1, (32**3, 4)).astype(np.float32)
        self.noise = self._array(table, wp.vec4)
        # skin and clothes, which darken and shade, then eyes and teeth; the mouth's cavity comes last: in the
        # mesh it lies before the teeth, and is drawn behind them
        rank = np.select([np.isin(model.kind, (SKIN, TORSO)), model.kind != MOUTH], [0, 1], 2)
        order = np.argsort(rank, kind="stable")
        self.faces, self.kinds = model.faces[order], model.kind[order]
        self.outer, self.plain = int((rank == 0).sum()), int((rank < 2).sum())
        self._faces = self._array(self.faces, wp.vec3i)
        self._kinds = self._array(self.kinds, int)
        self._neutral = self._array(model.neutral, wp.vec3)
        fields = np.stack([model.lip, model.lower_lip, model.ear, model.face_region], 1)
        self._fields = self._array(fields, wp.vec4)

    def _array(self, values, dtype):
        plain = np.int32 if dtype in (int, wp.vec3i) else np.float32
        return wp.array(np.ascontiguousarray(values, plain), dtype=dtype, device=self.device)

    def _buffer(self, *shape):
        return wp.full(shape, value=int((1 << 63) - 1), dtype=wp.int64, device=self.device)

    def render(self, person, picture, size=128, unaligned=False, mirror=True):
        """Draw one picture.

        Args:
            person, picture: from `sample_person`, `sample_picture`.
            size: side in pixels.
            unaligned: random shift, scale and rotation instead of the aligned frame.
            mirror: also work out mirror flow and light ratio (None otherwise).

        Returns:
            Rendering.
        """
        stage = _Stage(person, picture, self.device)
        camera = _Camera(stage, picture, size, unaligned)
        screen, fibre_screen = camera.project(stage.world), camera.project(stage.fibre_world)

        side = size * SAMPLES
        solid = self._buffer(1, side, side)
        self._draw_mesh(solid, screen[None], self._faces[: self.plain])
        behind = screen.copy()
        behind[:, 2] = 1 - (1 - behind[:, 2]) * 0.955  # the mouth's cavity about 4 cm further away
        self._draw_mesh(solid, behind[None], self._faces[self.plain :], self.plain)
        seen = wp.clone(solid)
        fibres = stage.starts, stage.widths
        self._draw_fibres(seen, fibre_screen[None], *fibres, camera.samples_per_metre, len(self.faces))
        solid, seen = solid[0], seen[0]

        lamp_solids, lamp_hairs, lamp_rows = self._lamp_maps(stage, picture)
        world, normals = self._array(stage.world, wp.vec3), self._array(stage.normals, wp.vec3)
        openness = self._openness(stage, world, normals)
        image, light = (wp.empty((size, size), dtype=wp.vec3, device=self.device) for _ in range(2))
        label, surface = (wp.empty((size, size), dtype=int, device=self.device) for _ in range(2))
        weights = wp.empty((size, size), dtype=wp.vec3, device=self.device)
        rng = np.random.default_rng([picture.seed, 2])
        behind = self._array(background(rng, size), wp.vec3)
        look = _look(stage, picture, camera, lamp_rows)
        wp.launch(
            shade.shade_pixels,
            dim=(size, size),
            device=self.device,
            inputs=[
                seen,
                solid,
                self._array(screen, wp.vec3),
                world,
                normals,
                self._array(stage.rest, wp.vec3),
                self._neutral,
                self._fields,
                openness,
                self._faces,
                self._kinds,
                self._array(fibre_screen, wp.vec3),
                self._array(stage.fibre_world, wp.vec3),
                self._array(stage.depth, float),
                self._array(stage.starts, int),
                self._array(stage.kinds, int),
                self._array(stage.tints, float),
                lamp_solids,
                lamp_hairs,
                self.noise,
                behind,
                look,
                image,
                light,
                label,
                surface,
                weights,
            ],
        )
        flow = valid = ratio = None
        if mirror:
            flow, valid = _mirror_flow(
                self, stage, camera, seen.numpy(), solid.numpy(), screen, surface.numpy(), weights.numpy()
            )
            ratio = _light_ratio(develop(light.numpy() * person.skin.astype(np.float32), 1.0), flow, valid)
        lamps = np.array([[*camera.seen_from(lamp), *colour] for lamp, colour in picture.lamps], np.float32)
        return Rendering(
            image=(develop(image.numpy(), picture.exposure) * 255 + 0.5).astype(np.uint8),
            parsing=label.numpy().astype(np.uint8),
            landmarks=camera.pixels(stage.landmarks).astype(np.float32),
            pose=np.array([picture.yaw, picture.pitch, camera.roll], np.float32),
            lamps=lamps,
            mirror_flow=flow,
            mirror_valid=valid,
            light_ratio=ratio,
        )

    def _draw_mesh(self, buffer, points, faces, first=0):
        """Draw triangles of the projected mesh (views, V, 3) into a buffer (views, rows, columns)."""
        wp.launch(
            raster.draw_triangles,
            dim=(len(points), len(faces)),
            device=self.device,
            inputs=[self._array(points, wp.vec3), faces, first, buffer],
        )

    def _draw_fibres(self, buffer, points, starts, widths, scale, first=0):
        wp.launch(
            raster.draw_fibres,
            dim=(len(points), len(starts)),
            device=self.device,
            inputs=[
                self._array(points, wp.vec3),
                self._array(starts, int),
                self._array(widths, float),
                scale,
                first,
                buffer,
            ],
        )

    def _lamp_maps(self, stage, picture):
        """What the key lamp sees: depth of solids and of hair, and the map's (rows, scale)."""
        rows, scale = _basis(picture.lamps[0][0]), 0.5 * LAMP_MAP / REACH
        solids, hairs = (self._buffer(1, LAMP_MAP, LAMP_MAP) for _ in range(2))
        view = rows[None], stage.centre, scale, LAMP_MAP
        self._draw_mesh(solids, _flatten(stage.world, *view), self._faces[: self.plain])
        half = stage.scalp_segments // 2  # every hair twice as thick: half of them will do
        points = _flatten(stage.fibre_world[: stage.scalp_nodes], *view)
        self._draw_fibres(hairs, points, stage.starts[:half], 2 * stage.widths[:half], scale)
        return solids[0], hairs[0], (rows, scale)

    def _openness(self, stage, world, normals):
        """Share of the sky seen by each vertex: one small depth map a direction, a part of the hair included."""
        directions, scale = _sky(), 0.5 * SKY_MAP / REACH
        view = directions, stage.centre, scale, SKY_MAP
        maps = self._buffer(len(directions), SKY_MAP, SKY_MAP)
        self._draw_mesh(maps, _flatten(stage.world, *view), self._faces[: self.outer])
        few = stage.scalp_segments // SKY_FIBRES  # roots come in random order: the first are a fair sample
        nodes = stage.starts[few - 1] + 2 if few else 0
        self._draw_fibres(
            maps, _flatten(stage.fibre_world[:nodes], *view), stage.starts[:few], stage.widths[:few], scale
        )
        openness = wp.empty(len(stage.world), dtype=float, device=self.device)
        wp.launch(
            shade.vertex_occlusion,
            dim=len(stage.world),
            device=self.device,
            inputs=[
                world,
                normals,
                maps,
                self._array(directions, wp.vec3),
                wp.vec3(*map(float, stage.centre)),
                scale,
                openness,
            ],
        )
        return openness


def develop(linear, exposure):
    """Film curve, display gamma and a little contrast: linear light >= 0 to [0, 1], increasing."""
    shown = (1 - np.exp(-1.35 * exposure * np.clip(linear, 0, None))) ** np.float32(1 / 2.2)
    return shown + 0.30 * (shown * shown * (3 - 2 * shown) - shown)


class _Stage:
    """The posed scene: mesh and fibres in world coordinates."""

    def __init__(self, person, picture, device):
        model, self.person = head(), person
        coefficients = model.coefficients(
            person.age, person.gender, person.weight, person.ancestry, person.local, picture.expression
        )
        self.rest = model.vertices(coefficients)
        turn, body = rotation(picture.yaw, picture.pitch, 0), rotation(0.25 * picture.yaw, 0, 0)
        self.turn = turn
        self.world = pose(self.rest, turn, body)
        self.normals = model.normals(self.world)
        self.landmarks = model.landmarks(self.world)
        self.centre = turned(hair.CENTRE[None].astype(np.float32), turn)[0]
        rest_normals = model.normals(self.rest)
        self._fibres(person, picture, rest_normals, model.landmarks(self.rest), turn, body, device)

    def _fibres(self, person, picture, normals, landmarks, turn, body, device):
        rng = np.random.default_rng([person.seed, sum(map(ord, picture.hairstyle))])
        self.style = hair.style(picture.hairstyle, rng)
        scalp = hair.scalp_hair(self.rest, normals, person, self.style, rng, device)
        groups = [
            scalp,
            hair.beard(self.rest, normals, person),
            hair.brows(self.rest, normals, person),
            hair.lashes(landmarks, picture.makeup),
        ]
        groups = [g for g in groups if g is not None]
        if picture.glasses:
            groups.append(hair.spectacles(landmarks, np.random.default_rng([person.seed, 5])))
        nodes, starts, kinds, tints, widths, depth, first = [], [], [], [], [], [], 0
        for group in groups:
            count, length = group.nodes.shape[:2]
            nodes.append(group.nodes.reshape(-1, 3))
            depth.append(group.depth.reshape(-1))
            starts.append((first + np.arange(count)[:, None] * length + np.arange(length - 1)).reshape(-1))
            segments = count * (length - 1)
            kinds.append(np.full(segments, group.kind))
            tints.append(np.repeat(group.tint, length - 1))
            widths.append(np.full(segments, group.width))
            first += count * length
        rest = np.concatenate(nodes)
        self.fibre_world = turned(rest, turn)
        low = np.flatnonzero(rest[:, 2] < 0.80)  # long hair partly rests on the shoulders
        share = np.clip((0.80 - rest[low, 2:]) / 0.12, 0, 0.65)
        self.fibre_world[low] += (turned(rest[low], body) - self.fibre_world[low]) * share
        self.starts, self.kinds, self.tints = (np.concatenate(x) for x in (starts, kinds, tints))
        self.widths, self.depth = np.concatenate(widths), np.concatenate(depth)
        hairs, length = (0, 1) if scalp is None else scalp.nodes.shape[:2]  # scalp hair comes first
        self.scalp_nodes, self.scalp_segments = hairs * length, hairs * (length - 1)


class _Camera:
    """A pinhole before the face, and the similarity transform that brings the face into the aligned frame."""

    def __init__(self, stage, picture, size, unaligned):
        tangent = np.tan(np.deg2rad(picture.field_of_view) / 2)
        self.size, self.near = size, 0.5 * 0.13 / tangent
        self.position = stage.centre + [0, -0.13 / tangent, -0.03]
        anchors = frame.anchors(self._plane(stage.landmarks))
        matrix = frame.similarity(anchors, (frame.TEMPLATE + picture.jitter) * size - 0.5)
        if unaligned:
            shake = _random_frame(picture.seed, size)
            matrix = np.column_stack([shake[:, :2] @ matrix[:, :2], frame.apply(shake, matrix[:, 2])])
        self.matrix = matrix
        self.roll = float(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0])))
        scale = np.hypot(matrix[0, 0], matrix[1, 0])
        self.samples_per_metre = float(scale * SAMPLES / (0.13 / tangent))

    def _plane(self, points):
        offset = points - self.position.astype(np.float32)
        return np.stack([offset[..., 0] / offset[..., 1], -offset[..., 2] / offset[..., 1]], -1)

    def seen_from(self, direction):
        """A world direction in the picture's axes: x right, y up, z to the viewer."""
        x, y, z = direction
        c, s = np.cos(np.deg2rad(self.roll)), np.sin(np.deg2rad(self.roll))
        return c * x + s * z, c * z - s * x, -y

    def pixels(self, points):
        """World points (..., 3) to pixel coordinates (..., 2)."""
        return frame.apply(self.matrix, self._plane(points))

    def project(self, points):
        """World points (N, 3) to (column, row, depth) in samples, for the rasteriser."""
        flat = (self.pixels(points) + 0.5) * SAMPLES
        depth = 1 - self.near / (points[:, 1] - self.position[1])
        return np.column_stack([flat, depth]).astype(np.float32)


def _random_frame(seed, size):
    rng = np.random.default_rng([seed, 3])
    angle, zoom = np.deg2rad(rng.uniform(-15, 15)), rng.uniform(0.75, 1.15)
    linear = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = np.full(2, (size - 1) / 2)
    return np.column_stack([linear, middle + rng.uniform(-0.1, 0.1, 2) * size - linear @ middle])


def _basis(towards):
    """Orthonormal rows: right, down and towards the lamp, as the lamp sees the scene."""
    towards = towards / np.linalg.norm(towards)
    right = np.cross([0.05, 0.1, 1.0], towards)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(right, towards), towards])


@cache
def _sky():
    """Directions (D, 3, 3) from which ambient light comes: even on the sphere, what lies behind left out."""
    n = 16
    k = np.arange(n) + 0.5
    z, around = 1 - 2 * k / n, np.pi * (1 + 5**0.5) * k
    ring = np.sqrt(1 - z**2)
    points = np.stack([ring * np.cos(around), ring * np.sin(around), z], 1)
    return np.stack([_basis(p) for p in points if p[1] < 0.45])


def _flatten(points, directions, origin, scale, size):
    """Orthographic (column, row, depth) of points (N, 3) for maps of `size` in D directions: (D, N, 3)."""
    rows = directions.astype(np.float32) * np.array([[scale], [scale], [-1]], np.float32)
    shift = np.array([0.5 * size, 0.5 * size, 1], np.float32)
    return np.matmul(points - origin.astype(np.float32), rows.transpose(0, 2, 1)) + shift


def _look(stage, picture, camera, lamp):
    person, (rows, scale) = stage.person, lamp
    vec = lambda v: wp.vec3(*(float(x) for x in v))  # noqa: E731
    look = shade.Look()
    look.grid, look.near, look.camera = SAMPLES, float(camera.near), vec(camera.position)
    (lamp1, colour1), (lamp2, colour2) = picture.lamps
    look.lamp1, look.colour1, look.lamp2, look.colour2 = vec(lamp1), vec(colour1), vec(lamp2), vec(colour2)
    look.ambient_up, look.ambient_down = vec(picture.ambient * 1.15), vec(picture.ambient * 0.65)
    look.shadow, look.map_scale, look.map_origin = picture.shadow, scale, vec(stage.centre)
    look.map_right, look.map_down = vec(rows[0]), vec(rows[1])
    look.turn = wp.mat33(*stage.turn.reshape(-1).tolist())
    look.centre = vec(stage.centre)
    look.offset = vec(np.random.default_rng([person.seed, 4]).uniform(0, 32, 3))
    look.skin, look.blood, look.freckles, look.spots = (
        vec(person.skin),
        person.blood,
        person.freckles,
        person.spots,
    )
    look.oil, look.old, look.tone = person.oil, person.old, person.tone
    look.frown = picture.expression.get("browDownLeft", 0.0) + 0.4 * picture.expression.get(
        "browInnerUp", 0.0
    )
    look.smile = picture.expression.get("mouthSmileLeft", 0.0)
    paint = 0.6 * picture.makeup
    look.lip = vec(person.lip * (1 - paint) + picture.lipstick * paint)
    look.lip_cover, look.makeup = 0.72 + 0.2 * picture.makeup, picture.makeup
    look.stubble = {"none": 0.0, "stubble": 0.42, "full": 0.55}.get(person.beard, 0.18)
    look.beard = vec(person.hair * 0.6 + person.skin * 0.10)
    look.brow = vec(person.hair * 0.7 + person.skin * 0.07)
    look.brow_height, look.brow_arch, look.brow_paint = (
        person.brow_height,
        person.brow_arch,
        0.32 * person.brow_density,
    )
    bald = picture.hairstyle == "bald"
    look.hair, look.scalp = vec(person.hair), 0.12 if bald else 0.9
    look.thinning = person.thinning
    look.recession, look.temples = (float(x) for x in person.hairline)
    look.frame = vec(
        np.random.default_rng([person.seed, 6]).choice(
            [(0.02, 0.02, 0.02), (0.12, 0.06, 0.03), (0.25, 0.24, 0.23), (0.06, 0.07, 0.12)]
        )
    )
    look.iris = vec(person.iris)
    x, z = picture.gaze
    look.gaze = vec(np.array([x, -1, z]) / np.linalg.norm([x, -1, z]))
    model = head()
    look.right_eye, look.left_eye = (
        vec(stage.rest[model.right_eye].mean(0)),
        vec(stage.rest[model.left_eye].mean(0)),
    )
    look.cloth, look.neckline = vec(picture.cloth), picture.neckline
    return look


def _mirror_flow(renderer, stage, camera, seen, solid, screen, surface, weights):
    """Flow (S, S, 2) and validity (S, S): valid where the very mirror point is what the picture shows there."""
    size, model = len(surface), head()
    flow, valid = np.zeros((size, size, 2), np.float32), np.zeros((size, size), bool)
    shown = np.nonzero((surface >= 0) & (renderer.kinds[np.maximum(surface, 0)] != TORSO))
    corners, w = renderer.faces[surface[shown]], weights[shown][..., None]
    partner = model.mirror[corners]
    target = camera.pixels((stage.world[partner] * w).sum(1))  # (N, 2) px
    wanted = (model.neutral[partner] * w).sum(1)
    facing = np.minimum(_facing(stage, camera, corners, w), _facing(stage, camera, partner, w)) > 0.15
    sample = np.floor((target + 0.5) * SAMPLES).astype(int)
    inside = ((sample >= 0) & (sample < size * SAMPLES)).all(1)
    sample = np.clip(sample, 0, size * SAMPLES - 1)
    fibre = (seen[sample[:, 1], sample[:, 0]] & 0xFFFFFFFF) - len(renderer.faces)
    covers = np.isin(stage.kinds, (hair.HAIR, hair.FRAME))  # brows, beard and lashes belong to the skin
    covered = (fibre >= 0) & covers[np.clip(fibre, 0, len(covers) - 1)]
    key = solid[sample[:, 1], sample[:, 0]]
    open_skin = inside & ~covered & (key != (1 << 63) - 1)
    there = renderer.faces[np.where(open_skin, key & 0xFFFFFFFF, 0)]
    found = (model.neutral[there] * _barycentric(screen[there], sample + 0.5)[..., None]).sum(1)
    same = np.linalg.norm(found - wanted, axis=1) < 0.0025  # metres, neutral head: the same place of the skin
    mirrored = np.stack([size - 1 - target[:, 0], target[:, 1]], 1)
    flow[shown] = (2 * mirrored / (size - 1) - 1).astype(np.float32)
    valid[shown] = open_skin & same & facing
    return np.clip(flow, -2, 2), valid


def _facing(stage, camera, corners, weights):
    """Cosine (N,) between the surface normal and the direction to the camera."""
    normal, place = (stage.normals[corners] * weights).sum(1), (stage.world[corners] * weights).sum(1)
    view = camera.position - place
    return (normal * view).sum(1) / (np.linalg.norm(normal, axis=1) * np.linalg.norm(view, axis=1) + 1e-9)


def _barycentric(corners, point):
    """Weights (N, 3) of points (N, 2) in projected triangles (N, 3, 3)."""
    a, b, c = (corners[:, k, :2].astype(np.float64) for k in range(3))
    cross = lambda u, v: u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]  # noqa: E731
    area = cross(b - a, c - a)
    area = np.where(np.abs(area) < 1e-12, 1e-12, area)
    w1, w2 = cross(point - a, c - a) / area, cross(b - a, point - a) / area
    w = np.stack([1 - w1 - w2, w1, w2], 1) * (1 - corners[:, :, 2])  # perspective
    return w / w.sum(1, keepdims=True)


def _light_ratio(glow, flow, valid):
    """Shading at each pixel over shading at its mirror point, 1 where that is not seen."""
    import cv2

    size = len(glow)
    at = ((flow + 1) * (0.5 * (size - 1))).astype(np.float32)
    other = cv2.remap(
        glow[:, ::-1].copy(), at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    ratio = np.clip(glow / np.maximum(other, 0.02), 0.125, 8)
    return np.where(valid[..., None], ratio, 1).astype(np.float32)


__all__ = ["Renderer", "Rendering", "develop", "people"]
