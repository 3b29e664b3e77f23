"""The posed scene of one image: mesh and fibres in world coordinates."""

import numpy as np

from . import facial, hair
from .hairstyles import style
from .shape import head, pose, rotation, turned
from .skull import CENTRE


class Stage:
    """Mesh and fibres of a person in an image, posed. V vertices, P nodes and S segments of fibres.

    Attributes:
        rest, world, normals: float32 (V, 3): before posing, posed, and unit normals of the posed mesh.
        landmarks: (68, 3) world. centre: (3,) of the skull, world. turn: 3 x 3 rotation of the head.
        nodes: float32 (P, 3) of all fibres, world. depth: float32 (P,) 0 deep in the hair .. 1 outside.
        starts: int32 (S,) first node of each segment, which ends at the next one. kinds: int32 (S,).
        tints: float32 (S,) brightness factors. widths: float32 (S,) metres.
        scalp_nodes, scalp_segments: how many of them are scalp hair; these come first, in random order.
    """

    def __init__(self, person, scene, device):
        model, self.person = head(), person
        coefficients = model.coefficients(
            person.age, person.gender, person.weight, person.ancestry, person.local, scene.expression
        )
        self.rest = model.vertices(coefficients)
        self.turn, body = rotation(scene.yaw, scene.pitch, 0), rotation(0.25 * scene.yaw, 0, 0)
        self.world = pose(self.rest, self.turn, body)
        self.normals = model.normals(self.world)
        self.landmarks = model.landmarks(self.world)
        self.centre = turned(CENTRE[None].astype(np.float32), self.turn)[0]
        groups = self._fibres(scene, model, device)
        self._join(groups)
        self.nodes = _posed(np.concatenate([group.nodes.reshape(-1, 3) for group in groups]), self.turn, body)

    def _fibres(self, scene, model, device):
        """The groups of fibres of this image, scalp hair first."""
        person, normals, landmarks = self.person, model.normals(self.rest), model.landmarks(self.rest)
        rng = np.random.default_rng([person.seed, sum(map(ord, scene.hairstyle))])
        groups = [
            hair.scalp_hair(self.rest, normals, person, style(scene.hairstyle, rng), rng, device),
            facial.beard(self.rest, normals, person),
            facial.brows(self.rest, normals, person),
            facial.lashes(landmarks, scene.makeup),
        ]
        if scene.glasses:
            groups.append(facial.spectacles(landmarks, np.random.default_rng([person.seed, 5])))
        hairs, nodes = (0, 1) if groups[0] is None else groups[0].nodes.shape[:2]
        self.scalp_nodes, self.scalp_segments = hairs * nodes, hairs * (nodes - 1)
        return [group for group in groups if group is not None]

    def _join(self, groups):
        """Fill the arrays by segment from the groups, whose nodes follow one another."""
        shapes = [group.nodes.shape[:2] for group in groups]
        segments = [count * (nodes - 1) for count, nodes in shapes]
        firsts = np.cumsum([0] + [count * nodes for count, nodes in shapes])
        starts = [
            np.arange(first, first + count * nodes, dtype=np.int32).reshape(count, nodes)[:, :-1].ravel()
            for first, (count, nodes) in zip(firsts, shapes, strict=False)
        ]
        tints = [np.repeat(group.tint, nodes - 1) for group, (_, nodes) in zip(groups, shapes, strict=True)]
        self.starts, self.tints = np.concatenate(starts), np.concatenate(tints)
        self.kinds = np.repeat(np.array([group.kind for group in groups], np.int32), segments)
        self.widths = np.repeat(np.array([group.width for group in groups], np.float32), segments)
        self.depth = np.concatenate([group.depth.reshape(-1) for group in groups])


def _posed(rest, turn, body):
    """Nodes of fibres (P, 3) turned with the head; long hair partly rests on the shoulders."""
    world = turned(rest, turn)
    low = np.flatnonzero(rest[:, 2] < 0.80)
    share = np.clip((0.80 - rest[low, 2:]) / 0.12, 0, 0.65)
    world[low] += (turned(rest[low], body) - world[low]) * share
    return world
