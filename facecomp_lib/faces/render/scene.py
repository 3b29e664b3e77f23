"""From a person and an image to pixels and exact labels."""

from dataclasses import dataclass

import numpy as np
import warp as wp

from . import raster, shade
from .background import background
from .camera import SAMPLES, Camera, Views, basis, sky
from .describe import describe
from .device import device_named, to_device
from .look import FibreSet, Mesh
from .mirror import light_ratio, mirror_flow
from .shape import MOUTH, SKIN, TORSO, head
from .stage import Stage

SMALLEST = 16  # pixels
LAMP_MAP, SKY_MAP = 256, 72  # texels
SKY_FIBRES = 6  # one hair in so many dims the sky
CAVITY = 0.955  # 1 - depth of the mouth's cavity shrinks by this: about 4 cm further away


@dataclass
class Rendering:
    """One image and what is known about it. S is the side in pixels.

    image: uint8 (S, S, 3). parsing: uint8 (S, S), 0..10. landmarks: float32 (68, 2) px. pose: yaw, pitch,
    roll in degrees. lamps: float32 (2, 6), unit direction towards the lamp (x right, y up, z to the viewer)
    and linear RGB. mirror_flow: float32 (S, S, 2) in [-1, 1]: where, in the flipped image, the mirror point
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
        device: a Warp device, "cpu" or "cuda:0"; ValueError where there is no such device. The CUDA path is
            untested.
    """

    def __init__(self, device="cpu"):
        self.device = device_named(device)
        model = head()
        table = np.random.default_rng(7).uniform(-1, 1, (32**3, 4)).astype(np.float32)
        self._noise = self._array(table, wp.vec4)
        # skin and clothes, which darken and shade, then eyes and teeth; the mouth's cavity comes last: in the
        # mesh it lies before the teeth, and is drawn behind them
        rank = np.select([np.isin(model.kind, (SKIN, TORSO)), model.kind != MOUTH], [0, 1], 2)
        order = np.argsort(rank, kind="stable")
        self.faces, self.kinds = model.faces[order], model.kind[order]
        self._outer, self._plain = int((rank == 0).sum()), int((rank < 2).sum())
        self._faces, self._kinds = self._array(self.faces, wp.vec3i), self._array(self.kinds, int)
        self._neutral = self._array(model.neutral, wp.vec3)
        fields = np.stack([model.lip, model.lower_lip, model.ear, model.face_region], 1)
        self._fields = self._array(fields, wp.vec4)

    def render(self, person, scene, size=128, unaligned=False, mirror=True):
        """Draw one image.

        Args:
            person, image: from `sample_person`, `sample_scene`; ValueError for an unknown hairstyle.
            size: side in pixels, at least 16; ValueError below.
            unaligned: random shift, scale and rotation instead of the aligned frame.
            mirror: also work out mirror flow and light ratio (None otherwise).

        Returns:
            Rendering.
        """
        if size < SMALLEST:
            raise ValueError(f"A face needs an image of at least {SMALLEST} pixels a side, not {size}.")
        stage = Stage(person, scene, self.device)
        camera = Camera(stage.centre, stage.landmarks, scene, size, unaligned)
        screen, fibre_screen = camera.project(stage.world), camera.project(stage.nodes)
        mesh, fibres = self._mesh(stage, screen), self._fibre_set(stage, fibre_screen)
        solid, seen = self._visibility(size, screen, fibre_screen, fibres, camera)
        image, light, label, surface, weights = self._shade(stage, scene, camera, mesh, fibres, solid, seen)
        flow = valid = ratio = None
        if mirror:
            keys = seen.numpy(), solid.numpy()
            flow, valid = mirror_flow(
                stage, camera, (self.faces, self.kinds), *keys, screen, surface, weights
            )
            ratio = light_ratio(develop(light * person.skin.astype(np.float32), 1.0), flow, valid)
        lamps = [[*camera.seen_from(lamp), *colour] for lamp, colour in scene.lamps]
        return Rendering(
            image=(develop(image, scene.exposure) * 255 + 0.5).astype(np.uint8),
            parsing=label.astype(np.uint8),
            landmarks=camera.pixels(stage.landmarks).astype(np.float32),
            pose=np.array([scene.yaw, scene.pitch, camera.roll], np.float32),
            lamps=np.array(lamps, np.float32),
            mirror_flow=flow,
            mirror_valid=valid,
            light_ratio=ratio,
        )

    def _array(self, values, dtype):
        return to_device(values, dtype, self.device)

    def _launch(self, kernel, dim, *inputs):
        wp.launch(kernel, dim=dim, device=self.device, inputs=inputs)

    def _empty(self, dtype, *shape):
        return wp.empty(shape, dtype=dtype, device=self.device)

    def _buffer(self, views, side):
        """An empty visibility buffer (views, side, side)."""
        return wp.full((views, side, side), value=int(raster.EMPTY), dtype=wp.int64, device=self.device)

    def _mesh(self, stage, screen):
        """The `Mesh` of the kernels, but for its openness; screen: projected vertices (V, 3)."""
        mesh = Mesh()
        mesh.screen, mesh.world = self._array(screen, wp.vec3), self._array(stage.world, wp.vec3)
        mesh.normals, mesh.rest = self._array(stage.normals, wp.vec3), self._array(stage.rest, wp.vec3)
        mesh.neutral, mesh.fields = self._neutral, self._fields
        mesh.faces, mesh.kinds = self._faces, self._kinds
        mesh.openness = self._empty(float, len(stage.world))
        return mesh

    def _fibre_set(self, stage, screen):
        """The `FibreSet` of the kernels; screen: projected nodes (P, 3)."""
        fibres = FibreSet()
        fibres.screen, fibres.world = self._array(screen, wp.vec3), self._array(stage.nodes, wp.vec3)
        fibres.depth, fibres.tints = self._array(stage.depth, float), self._array(stage.tints, float)
        fibres.starts, fibres.kinds = self._array(stage.starts, int), self._array(stage.kinds, int)
        fibres.widths = self._array(stage.widths, float)
        return fibres

    def _draw_mesh(self, buffer, points, faces, first=0):
        """Draw triangles (F,) of the projected mesh (views, V, 3) into a buffer (views, rows, columns)."""
        dim = len(points), len(faces)
        self._launch(raster.draw_triangles, dim, self._array(points, wp.vec3), faces, first, buffer)

    def _draw_fibres(self, buffer, points, fibres, count, scale, first=0):
        """Draw the first `count` segments of nodes (views, P, 3); `scale`: samples per metre."""
        if count:
            arrays = self._array(points, wp.vec3), fibres.starts[:count], fibres.widths[:count]
            self._launch(raster.draw_fibres, (len(points), count), *arrays, scale, first, buffer)

    def _visibility(self, size, screen, fibre_screen, fibres, camera):
        """What each sample shows, without and with fibres: two buffers (rows, columns)."""
        solid = self._buffer(1, size * SAMPLES)
        self._draw_mesh(solid, screen[None], self._faces[: self._plain])
        behind = screen.copy()
        behind[:, 2] = 1 - (1 - behind[:, 2]) * CAVITY
        self._draw_mesh(solid, behind[None], self._faces[self._plain :], self._plain)
        seen = wp.clone(solid)
        count, first = len(fibres.starts), len(self.faces)
        self._draw_fibres(seen, fibre_screen[None], fibres, count, camera.samples_per_metre, first)
        return solid[0], seen[0]

    def _lamp_maps(self, stage, fibres, lamp):
        """What the key lamp sees: maps of the mesh and of the scalp hair."""
        solids, hairs = (self._buffer(1, LAMP_MAP) for _ in range(2))
        self._draw_mesh(solids, lamp.project(stage.world), self._faces[: self._plain])
        nodes = lamp.project(stage.nodes[: stage.scalp_nodes])
        # every hair twice as thick: half of them will do
        self._draw_fibres(hairs, nodes, fibres, stage.scalp_segments // 2, 2 * lamp.scale)
        return solids[0], hairs[0]

    def _find_openness(self, stage, mesh, fibres):
        """Fill in the share of the sky that each vertex sees: one small map a direction, with some hair."""
        views = Views(sky(), stage.centre, SKY_MAP)
        maps = self._buffer(len(views.rows), SKY_MAP)
        self._draw_mesh(maps, views.project(stage.world), self._faces[: self._outer])
        few = stage.scalp_segments // SKY_FIBRES  # roots come in random order: the first are a fair sample
        nodes = stage.starts[few - 1] + 2 if few else 0
        self._draw_fibres(maps, views.project(stage.nodes[:nodes]), fibres, few, views.scale)
        rows, origin = self._array(views.rows, wp.vec3), wp.vec3(*views.origin.tolist())
        arguments = mesh.world, mesh.normals, maps, rows, origin, views.scale, mesh.openness
        self._launch(shade.vertex_occlusion, len(stage.world), *arguments)

    def _shade(self, stage, scene, camera, mesh, fibres, solid, seen):
        """Shade every pixel.

        Returns:
            Linear image and diffuse light, float32 (S, S, 3); label and triangle, int32 (S, S), and the
            weights of the triangle's corners, float32 (S, S, 3): see `shade.shade_pixels`.
        """
        lamp = Views(basis(scene.lamps[0][0])[None], stage.centre, LAMP_MAP)
        lamp_maps = self._lamp_maps(stage, fibres, lamp)
        self._find_openness(stage, mesh, fibres)
        size = len(solid) // SAMPLES
        behind = self._array(background(np.random.default_rng([scene.seed, 2]), size), wp.vec3)
        out = [self._empty(dtype, size, size) for dtype in (wp.vec3, wp.vec3, int, int, wp.vec3)]
        look = describe(stage, scene, camera, lamp)
        scene = seen, solid, mesh, fibres, *lamp_maps, self._noise, behind, look
        self._launch(shade.shade_pixels, (size, size), *scene, *out)
        return [values.numpy() for values in out]


def develop(linear, exposure):
    """Film curve, display gamma and a little contrast: linear light >= 0 to [0, 1], increasing."""
    shown = (1 - np.exp(-1.35 * exposure * np.clip(linear, 0, None))) ** np.float32(1 / 2.2)
    return shown + 0.30 * (shown * shown * (3 - 2 * shown) - shown)
