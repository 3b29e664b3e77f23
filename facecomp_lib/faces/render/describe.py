"""A person, an image and a camera as the one struct of numbers that the kernels of shading read."""

import numpy as np
import warp as wp

from .camera import SAMPLES
from .look import Look
from .shape import head

FRAMES = ((0.02, 0.02, 0.02), (0.12, 0.06, 0.03), (0.25, 0.24, 0.23), (0.06, 0.07, 0.12))  # linear RGB
STUBBLE = {"none": 0.0, "stubble": 0.42, "full": 0.55}  # shadow of a beard on the skin
PARTIAL = 0.18  # the same for moustache and goatee


def describe(stage, scene, camera, lamp):
    """The `Look` of a posed scene; `lamp` are the `Views` of the key lamp."""
    look = Look()
    look.grid, look.near, look.camera = SAMPLES, float(camera.near), _vec(camera.position)
    look.centre, look.turn = _vec(stage.centre), wp.mat33(*stage.turn.reshape(-1).tolist())
    _light(look, scene, lamp)
    _skin(look, stage.person, scene)
    _hair(look, stage.person, scene)
    _eyes(look, stage, scene)
    look.cloth, look.neckline = _vec(scene.cloth), scene.neckline
    return look


def _vec(values):
    return wp.vec3(*(float(x) for x in values))


def _light(look, scene, lamp):
    (lamp1, colour1), (lamp2, colour2) = scene.lamps
    look.lamp1, look.colour1, look.lamp2, look.colour2 = map(_vec, (lamp1, colour1, lamp2, colour2))
    look.ambient_up, look.ambient_down = _vec(scene.ambient * 1.15), _vec(scene.ambient * 0.65)
    look.shadow = scene.shadow
    look.map_scale, look.map_origin = lamp.scale, _vec(lamp.origin)
    look.map_right, look.map_down = _vec(lamp.rows[0, 0]), _vec(lamp.rows[0, 1])


def _skin(look, person, scene):
    look.offset = _vec(np.random.default_rng([person.seed, 4]).uniform(0, 32, 3))
    look.skin, look.blood = _vec(person.skin), person.blood
    look.freckles, look.spots = person.freckles, person.spots
    look.oil, look.old, look.tone = person.oil, person.old, person.tone
    units = scene.expression
    look.frown = units.get("browDownLeft", 0.0) + 0.4 * units.get("browInnerUp", 0.0)
    look.smile = units.get("mouthSmileLeft", 0.0)
    paint = 0.6 * scene.makeup
    look.lip = _vec(person.lip * (1 - paint) + scene.lipstick * paint)
    look.lip_cover, look.makeup = 0.72 + 0.2 * scene.makeup, scene.makeup


def _hair(look, person, scene):
    look.hair, look.scalp = _vec(person.hair), 0.12 if scene.hairstyle == "bald" else 0.9
    look.thinning = person.thinning
    look.recession, look.temples = (float(x) for x in person.hairline)
    look.stubble = STUBBLE.get(person.beard, PARTIAL)
    look.beard = _vec(person.hair * 0.6 + person.skin * 0.10)
    look.brow = _vec(person.hair * 0.7 + person.skin * 0.07)
    look.brow_height, look.brow_arch = person.brow_height, person.brow_arch
    look.brow_paint = 0.32 * person.brow_density


def _eyes(look, stage, scene):
    look.frame = _vec(np.random.default_rng([stage.person.seed, 6]).choice(FRAMES))
    look.iris = _vec(stage.person.iris)
    x, z = scene.gaze
    look.gaze = _vec(np.array([x, -1, z]) / np.linalg.norm([x, -1, z]))
    model = head()
    look.right_eye = _vec(stage.rest[model.right_eye].mean(0))
    look.left_eye = _vec(stage.rest[model.left_eye].mean(0))
