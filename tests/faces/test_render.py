"""What the renderer promises: exact labels, true mirror flow, the same image for the same seed."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("warp", reason="the renderer needs the extra 'render' (warp-lang)")

import warp as wp

from data_scripts import render_faces
from facecomp_lib.faces import alignment
from facecomp_lib.faces.render import (
    ATTRIBUTES,
    HAIRSTYLES,
    Renderer,
    attributes,
    facial,
    hair,
    hairstyles,
    sample_person,
    sample_scene,
    skin,
)
from facecomp_lib.faces.render.person import direction
from facecomp_lib.faces.store import Store

wp.set_module_options({"enable_backward": False, "max_unroll": 1})

ROOT = Path(__file__).resolve().parents[2]
SIZE = 96
SKIN_CLASSES = np.arange(1, 10)


@pytest.fixture(scope="module")
def renderer():
    return Renderer()


def someone(seed, **changes):
    rng = np.random.default_rng(seed)
    person = sample_person(rng)
    return person, replace(sample_scene(rng, person), **changes)


def still(seed, **changes):
    """A symmetric bald person who looks straight at the camera with open eyes."""
    person, image = someone(seed)
    person = replace(person, local=dict.fromkeys(person.local, 0.0), beard="none")
    plain = {
        "yaw": 0.0,
        "pitch": 0.0,
        "gaze": (0.0, 0.0),
        "expression": {},
        "hairstyle": "bald",
        "glasses": False,
        "jitter": np.zeros((3, 2)),
    }
    return person, replace(image, **plain | changes)


def pixels(flow):
    return (flow + 1) * 0.5 * (flow.shape[0] - 1)


def test_the_same_seed_gives_the_same_image(renderer):
    first, second = renderer.render(*someone(3), SIZE), Renderer().render(*someone(3), SIZE)
    assert np.array_equal(first.image, second.image) and np.array_equal(first.parsing, second.parsing)
    assert np.array_equal(first.mirror_flow, second.mirror_flow)


@pytest.mark.parametrize("size", [64, 100, 160])
def test_every_size_shows_the_same_scene(renderer, size):
    person, image = someone(4)
    small, face = renderer.render(person, image, 64), renderer.render(person, image, size)
    assert face.image.shape == (size, size, 3) and face.image.dtype == np.uint8
    assert face.parsing.max() <= 10
    fraction = lambda f, s: (f.landmarks + 0.5) / s  # noqa: E731
    assert np.allclose(fraction(face, size), fraction(small, 64), atol=1e-5)


def test_faces_lie_in_the_aligned_frame(renderer):
    anchors = [
        alignment.anchors((renderer.render(*someone(k), SIZE, mirror=False).landmarks + 0.5) / SIZE)
        for k in range(12)
    ]
    assert np.abs(np.mean(anchors, 0) - alignment.TEMPLATE).max() < 0.012
    assert np.std(anchors, 0).max() < 0.03


def label_at(face, points):
    """The class of the parsing in the middle of some landmarks."""
    return face.parsing[tuple(np.round(face.landmarks[points].mean(0)[::-1]).astype(int))]


def test_landmarks_agree_with_the_parsing(renderer):
    for seed in range(6):
        face = renderer.render(*still(seed), 128)
        assert label_at(face, slice(36, 42)) == 5, "the subject's right eye is on the image's left"
        assert label_at(face, slice(42, 48)) == 4
        assert label_at(face, slice(29, 31)) == 6
        assert label_at(face, [50, 52, 62]) == 7
        assert label_at(face, [57, 66]) == 9


def test_a_symmetric_face_seen_from_the_front_mirrors_onto_itself(renderer):
    face = renderer.render(*still(5), SIZE)
    own = np.stack(np.meshgrid(np.arange(SIZE), np.arange(SIZE)), -1)
    off = np.linalg.norm(pixels(face.mirror_flow) - own, axis=-1)[face.mirror_valid]
    assert (
        np.median(off) < 0.35 and np.percentile(off, 95) < 0.8
    )  # shape morphs are symmetric to a millimetre


def sample(values, x, y):
    """An array (S, S) of values read at (x, y), between pixels."""
    return cv2.remap(values.astype(np.float32), x, y, cv2.INTER_LINEAR)


def test_mirror_flow_leads_there_and_back(renderer):
    """Median round trip <= 0.5 px and 95th percentile <= 1.5 px up to 30 degrees."""
    for seed, yaw in ((1, 0), (2, 15), (3, -22), (4, 30), (6, -30)):
        face = renderer.render(*someone(seed, yaw=float(yaw), pitch=0.0), SIZE)
        x, y = np.moveaxis(pixels(face.mirror_flow).astype(np.float32), -1, 0)
        x = SIZE - 1 - x  # in the image itself
        sure = face.mirror_valid & (sample(face.mirror_valid, x, y) > 0.999)
        own = np.stack(np.meshgrid(np.arange(SIZE), np.arange(SIZE)), -1)
        trip = np.hypot(sample(x, x, y) - own[..., 0], sample(y, x, y) - own[..., 1])[sure]
        assert sure.sum() > 300
        assert np.median(trip) <= 0.5 and np.percentile(trip, 95) <= 1.5


def test_light_ratio_relights_the_mirrored_side(renderer):
    lamps = ((direction(55, 25), np.ones(3) * 1.2), (direction(-60, 20), np.ones(3) * 0.1))
    face = renderer.render(*still(8, lamps=lamps), SIZE)
    x, y = np.moveaxis(pixels(face.mirror_flow).astype(np.float32), -1, 0)
    mirrored = cv2.remap(face.image[:, ::-1].astype(np.float32), x, y, cv2.INTER_LINEAR)
    error = lambda image: np.abs(image - face.image)[face.mirror_valid].mean()  # noqa: E731
    assert error(mirrored * face.light_ratio) < 0.4 * error(mirrored)


def test_the_lit_side_is_the_brighter_one(renderer):
    for azimuth in (-50, 50):
        lamps = ((direction(azimuth, 20), np.ones(3)), (direction(-azimuth, 20), np.ones(3) * 0.05))
        face = renderer.render(*still(9, lamps=lamps), SIZE)
        skin = np.isin(face.parsing, SKIN_CLASSES)
        columns = np.arange(SIZE)[None] < SIZE / 2
        left, right = face.image[skin & columns].mean(), face.image[skin & ~columns].mean()
        assert (right > left) == (azimuth > 0)
        assert np.sign(face.lamps[0, 0]) == np.sign(azimuth)


def test_hair_hides_what_it_covers(renderer):
    person, image = still(10)
    bald = renderer.render(person, image, SIZE)
    fringe = renderer.render(person, replace(image, hairstyle="fringe"), SIZE)
    assert (fringe.parsing == 10).mean() > (bald.parsing == 10).mean() + 0.15
    assert fringe.mirror_valid.sum() < bald.mirror_valid.sum()


def test_every_hairstyle_grows(renderer):
    person, image = someone(11)
    for name in HAIRSTYLES:
        face = renderer.render(
            replace(person, thinning=0.0), replace(image, hairstyle=name), 64, mirror=False
        )
        assert ((face.parsing == 10).mean() > 0.02) == (name != "bald"), name


@wp.kernel
def painted_shapes(
    points: wp.array(dtype=wp.vec3),
    recession: float,
    temples: float,
    arch: float,
    out: wp.array(dtype=wp.vec3),
):
    i = wp.tid()
    p = points[i]
    above = skin.above_hairline(p, recession, temples)
    out[i] = wp.vec3(above, skin.beard_region(p), skin.brow_middle(wp.abs(p[0]), arch))


def test_skin_is_painted_where_hair_grows():
    """Hairline, beard and brows exist twice, for numpy and for Warp: both agree on random points."""
    rng = np.random.default_rng(0)
    points = rng.uniform([-0.08, -0.14, 0.76], [0.08, 0.08, 1.02], (4000, 3)).astype(np.float32)
    for recession, temples, arch in ((0.0, 0.0, 0.5), (6.0, 9.0, 0.0), (-2.0, -1.5, 1.0)):
        out = wp.empty(len(points), dtype=wp.vec3, device="cpu")
        inputs = [wp.array(points, dtype=wp.vec3, device="cpu"), recession, temples, arch, out]
        wp.launch(painted_shapes, dim=len(points), device="cpu", inputs=inputs)
        above, beard, brow = out.numpy().T
        assert np.allclose(above, hair.hairline(points, recession, temples), atol=1e-3)  # degrees
        assert np.allclose(beard, facial.beard_region(points), atol=1e-4)
        assert np.allclose(brow, facial.brow_line(np.abs(points[:, 0]), arch), atol=1e-6)  # metres
    assert 0.05 < (beard > 0.5).mean() < 0.5, "the points see both beard and bare skin"


def test_every_hairstyle_stays_in_its_ranges():
    for name in HAIRSTYLES:
        for seed in range(20):
            drawn = hairstyles.style(name, np.random.default_rng(seed))
            again = hairstyles.style(name, np.random.default_rng(seed))
            assert drawn == again
            if drawn.count:
                assert 0.002 < min(drawn.top, drawn.side, drawn.nape) <= 0.37
                assert 0 < drawn.layer <= drawn.top + 0.01 and abs(drawn.parting) <= 0.035
                assert 0 <= drawn.fringe <= 0.062
    assert set(HAIRSTYLES) == set(hairstyles.TABLE)


def test_wrong_input_is_refused_in_one_sentence(renderer):
    person, image = someone(12)
    with pytest.raises(ValueError, match="Unknown hairstyle 'mullet'; choose one of: buzz, crop"):
        renderer.render(person, replace(image, hairstyle="mullet"), SIZE)
    with pytest.raises(ValueError, match="at least 16 pixels a side, not 15"):
        renderer.render(person, image, 15)
    with pytest.raises(ValueError, match="No device 'cuda:99' to render on; this machine has: cpu"):
        Renderer("cuda:99")


def test_without_warp_the_import_says_what_to_install():
    code = "import sys; sys.modules['warp'] = None; import facecomp_lib.faces.render"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode and "course.py setup render" in done.stderr.splitlines()[-1]


def test_people_are_adults_and_attributes_complete():
    for seed in range(200):
        person, image = someone(seed)
        assert 0.5 <= person.age <= 1.0
        assert tuple(attributes(person, image)) == ATTRIBUTES
        assert not (image.makeup and person.male)


def test_a_plan_gives_exact_counts_of_whole_people():
    counts = {"train": 40, "val": 8, "test": 12}
    plan = render_faces.plan(counts, 4)
    people = {split: {i for s, i, _ in plan if s == split} for split in counts}
    assert {split: sum(s == split for s, _, _ in plan) for split in counts} == counts
    assert not people["train"] & people["test"] and not people["val"] & people["test"]
    assert sorted(k for _, i, k in plan if i == min(people["test"])) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("condition", "changed"),
    [("plain", set()), ("turned", {"yaw"}), ("tilted", {"pitch"}), ("dark", {"exposure"}),
     ("side", {"lamps", "ambient"}), ("below", {"lamps", "ambient"})],
)  # fmt: skip
def test_a_condition_changes_what_it_says_and_nothing_else(condition, changed):
    for seed in range(20):
        _, image = someone(seed)
        other = render_faces.CONDITIONS[condition](image)
        differ = {name for name in vars(image) if repr(vars(image)[name]) != repr(vars(other)[name])}
        assert differ == changed
        assert condition != "turned" or 45 <= abs(other.yaw) <= 60


def test_a_data_set_is_the_same_for_any_number_of_workers_and_resumes(tmp_path, monkeypatch):
    monkeypatch.setattr(render_faces, "PART", 4)
    few = ["--size", "32", "--train", "4", "--val", "0", "--test", "4"]
    render_faces.main([str(tmp_path / "one"), *few, "--workers", "1"])
    render_faces.main([str(tmp_path / "two"), *few, "--workers", "2"])
    for part in sorted((tmp_path / "one").iterdir()):
        assert part.read_bytes() == (tmp_path / "two" / part.name).read_bytes()
    kept = tmp_path / "one" / "part-00000.arrow"
    before, written = kept.read_bytes(), kept.stat().st_mtime_ns
    (tmp_path / "one" / "part-00001.arrow").unlink()
    render_faces.main([str(tmp_path / "one"), *few, "--workers", "1"])
    assert kept.read_bytes() == before and kept.stat().st_mtime_ns == written
    assert (tmp_path / "one" / "part-00001.arrow").read_bytes() == (
        tmp_path / "two" / "part-00001.arrow"
    ).read_bytes()
    assert len(Store(tmp_path / "one")) == 8


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (["--size", "4"], "--size must be a whole number, 16 ... 8192, not 4"),
        (["--size", "1000000"], "--size must be a whole number, 16 ... 8192, not 1000000"),
        (["--quality", "0"], "--quality must be a whole number, 1 ... 100, not 0"),
        (["--seed", "-1"], "--seed must be a whole number, 0 or more, not -1"),
        (["--train", "-1"], "--train must be a whole number, 0 or more, not -1"),
        (["--per-person", "0"], "--per-person must be a whole number, 1 or more, not 0"),
        (["--train", "0", "--val", "0", "--test", "0"], "nothing to render"),
    ],
)
def test_impossible_orders_are_refused_before_anything_is_written(wrong, sentence, tmp_path, capsys):
    with pytest.raises(SystemExit):
        render_faces.main([str(tmp_path / "x"), *wrong])
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_a_folder_that_holds_something_else_is_refused_in_one_sentence(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(SystemExit, match="render_faces: .*file is a file: name a fresh folder"):
        render_faces.main([str(tmp_path / "file")])
    with pytest.raises(SystemExit, match="render_faces: .* is not empty .*: choose a fresh folder"):
        render_faces.main([str(tmp_path)])


def test_a_device_that_is_not_there_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(SystemExit, match="No device 'cuda:99'"):
        render_faces.main([str(tmp_path / "x"), "--device", "cuda:99"])
    assert not (tmp_path / "x").exists()
