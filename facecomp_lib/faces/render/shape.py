"""The head: one mesh, a linear shape model, landmarks and mirror, from the packed CC0 data.

Axes: x towards the subject's left (image right), y backwards (the face looks to -y), z up; metres.
`shape_pack.npz` is rebuilt by `data_scripts/build_shape_pack.py`, which documents every array.
"""

from functools import cache, cached_property
from pathlib import Path

import numpy as np
from scipy import sparse

PACK = Path(__file__).with_name("shape_pack.npz")

#: What a triangle belongs to.
SKIN, MOUTH, TORSO, SOCKET, RIGHT_EYE, LEFT_EYE, LASHES, TEETH, TONGUE = 0, 1, 2, 3, 4, 5, 6, 7, 9

ANCESTRIES = ("african", "asian", "caucasian")


def smoothstep(low, high, x):
    """0 below `low`, 1 above `high`, a smooth cubic between; works with low > high too."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


class Head:
    """The shape model. Use the cached `head()`; arrays are read-only by agreement."""

    def __init__(self, path=PACK):
        if not path.exists():
            raise FileNotFoundError(
                f"{path.name} is missing; rebuild it with data_scripts/build_shape_pack.py."
            )
        with np.load(path, allow_pickle=False) as data:
            pack = {key: data[key] for key in data.files}
        self.template = pack["template"]  # (V, 3)
        self.neutral = pack["neutral"]  # (V, 3) average young adult: the coordinates that textures use
        self.names = [str(name) for name in pack["names"]]
        self.row = {name: k for k, name in enumerate(self.names)}
        basis = pack["basis"].astype(np.float32).reshape(len(self.names), -1)
        self.basis = sparse.csc_matrix(basis.T)  # (3V, K): most changes move few vertices
        drawn = pack["kind"] != LASHES  # lashes are drawn as fibres
        self.faces = pack["faces"][drawn]
        self.kind = pack["kind"][drawn].astype(np.int32)
        self.mirror = pack["mirror"]
        self.lip, self.lower_lip = pack["lip"], pack["lower_lip"].astype(np.float32)
        self.ear, self.face_region = pack["ear"], pack["face"].astype(np.float32)
        self.landmark_tri, self.landmark_bary = pack["landmark_tri"], pack["landmark_bary"]
        self.upper_teeth = pack["upper_teeth"]
        self.left_eye, self.right_eye = pack["left_eye"], pack["right_eye"]

    @cached_property
    def local_changes(self):
        """Names of the face's local changes; `+` and `-` directions are rows of their own."""
        return [name[3:] for name in self.names if name.startswith("l+")]

    @cached_property
    def expressions(self):
        """Names of the 52 expression units."""
        return [name[2:] for name in self.names if name.startswith("f:")]

    @cached_property
    def skull(self):
        """Vertices of the upper head; their mean is kept in place whatever the shape."""
        used = np.unique(self.faces[self.kind == SKIN])
        return used[self.neutral[used, 2] > 0.84]

    @cached_property
    def head_share(self):
        """(V, 1) how far a vertex turns with the head (1) rather than with the shoulders (0)."""
        on_head = np.zeros(len(self.template), bool)
        on_head[np.unique(self.faces[self.kind != TORSO])] = True
        _, y, z = self.neutral.T
        share = smoothstep(0.745, 0.845, z - 0.35 * np.clip(y + 0.03, -0.05, 0.05))
        chin = smoothstep(0.745, 0.80, z - 0.55 * (y + 0.02))
        return np.where(on_head, np.maximum(share, chin), share)[:, None].astype(np.float32)

    @cached_property
    def _around(self):
        """Sparse (V, F): sums the normals of the triangles around each vertex."""
        count = len(self.faces)
        rows, cols = self.faces.reshape(-1), np.repeat(np.arange(count), 3)
        ones = np.ones(3 * count, np.float32)
        return sparse.csr_matrix((ones, (rows, cols)), shape=(len(self.template), count))

    def coefficients(self, age, gender, weight, ancestry, local=None, expression=None):
        """Row weights (K,) of a person and an expression.

        Args:
            age: 1/3 child, 2/3 young adult, 1 old. gender: 0 male, 1 female. weight: 0 thin, 1 heavy.
            ancestry: three non-negative weights (african, asian, caucasian), normalised here.
            local: {local change: -1..1}; expression: {unit: 0..1}.
        """
        out = np.zeros(len(self.names), np.float32)
        ancestry = np.divide(ancestry, np.sum(ancestry))
        a, w = np.clip((age - 1 / 3) * 3, 0, 2), np.clip(2 * weight, 0, 2)
        ages = {"child": max(0, 1 - a), "young": 1 - abs(a - 1), "old": max(0, a - 1)}
        weights = {"minweight": max(0, 1 - w), "averageweight": 1 - abs(w - 1), "maxweight": max(0, w - 1)}
        for sex, share in (("male", 1 - gender), ("female", gender)):
            for age_name, age_share in ages.items():
                for weight_name, weight_share in weights.items():
                    out[self.row[f"u:{sex}:{age_name}:{weight_name}"]] = share * age_share * weight_share
                for name, part in zip(ANCESTRIES, ancestry, strict=False):
                    out[self.row[f"r:{sex}:{age_name}:{name}"]] = share * age_share * part
        for name, value in (local or {}).items():
            out[self.row[("l+:" if value >= 0 else "l-:") + name]] = abs(value)
        for name, value in (expression or {}).items():
            out[self.row["f:" + name]] = value
        return out

    def vertices(self, coefficients):
        """Rest vertices (V, 3) float32, the head kept where the neutral head is."""
        points = self.template + (self.basis @ coefficients).reshape(-1, 3)
        points[self.upper_teeth] += np.array(
            [0, -0.0008, -0.0032], np.float32
        )  # else lips hide them in every smile
        return points - (points[self.skull].mean(0) - self.neutral[self.skull].mean(0))

    def normals(self, points):
        """Unit vertex normals (V, 3)."""
        a, b, c = (points[self.faces[:, k]] for k in range(3))
        summed = self._around @ np.cross(b - a, c - a).astype(np.float32)
        return summed / (np.linalg.norm(summed, axis=1, keepdims=True) + 1e-12)

    def landmarks(self, points):
        """The 68 iBUG points (68, 3) on the surface; jaw points are 3-D points, not the contour."""
        return np.einsum("lk,lkd->ld", self.landmark_bary, points[self.landmark_tri])


@cache
def head():
    """The shape model, loaded once."""
    return Head()


def rotation(yaw, pitch, roll):
    """3 x 3 matrix, degrees. yaw > 0 turns the face to image right, pitch > 0 down, roll > 0 clockwise."""
    y, p, r = np.deg2rad([yaw, pitch, roll])
    about_z = np.array([[np.cos(y), -np.sin(y), 0], [np.sin(y), np.cos(y), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    about_y = np.array([[np.cos(r), 0, np.sin(r)], [0, 1, 0], [-np.sin(r), 0, np.cos(r)]])
    return about_z @ about_x @ about_y


PIVOT = np.array([0, -0.02, 0.80])  # of the neck


def turned(points, turn):
    """Points (N, 3) float32 turned about the neck by a 3 x 3 rotation."""
    pivot = PIVOT.astype(np.float32)
    out = (points - pivot) @ turn.T.astype(np.float32)
    out += pivot
    return out


def pose(points, turn, body_turn):
    """The mesh's rest vertices (V, 3) posed: head and shoulders turn, the neck blends between them."""
    share = head().head_share
    return turned(points, turn) * share + turned(points, body_turn) * (1 - share)
