"""Masks that grow around one place of a face, and people who are looked for among many."""

import numpy as np
import pytest
import torch
from photo_help import need_dlib
from scipy.spatial import ConvexHull, Delaunay

import facecomp_lib as fc
from facecomp_lib import evaluation
from facecomp_lib.evaluation import studies
from facecomp_lib.faces import FaceBatch

# ---------------------------------------------------------------------------------------- holes that grow


@pytest.fixture(scope="module")
def faces():
    return fc.faces.embedded("test", 32)


class Watch:
    """A completion that keeps the masks that it was shown."""

    def __init__(self):
        self.masks = []

    def __call__(self, image, mask):
        self.masks.append(mask)
        return torch.full_like(image, 0.5)


def test_a_larger_hole_hides_all_that_a_smaller_one_hid(faces):
    watch = Watch()
    sides = (16, 32, 48, 80)
    found = evaluation.mask_size_study(watch, faces, sides, "psnr", limit=6, batch_size=6)
    assert list(found["mask"].unique()) == ["16 px", "32 px", "48 px", "80 px"]
    for side, mask in zip(sides, watch.masks, strict=True):
        assert (mask == 0).sum((1, 2, 3)).tolist() == [(side // 4) ** 2] * 6  # 32 px faces, sides of 128
    for smaller, larger in zip(watch.masks, watch.masks[1:], strict=False):
        assert bool((larger <= smaller).all())
    assert len(torch.unique(watch.masks[0], dim=0)) > 1  # each face has its own place


def test_places_are_the_same_for_any_batch_and_for_every_method(faces):
    one, other = Watch(), Watch()
    evaluation.mask_size_study({"a": one, "b": one}, faces, [24], "psnr", limit=5, batch_size=1)
    evaluation.mask_size_study(other, faces, [24], "psnr", limit=5, batch_size=5)
    assert torch.equal(torch.cat(one.masks[::2]), torch.cat(one.masks[1::2]))
    assert torch.equal(torch.cat(one.masks[::2]), torch.cat(other.masks))
    more = Watch()
    evaluation.mask_size_study(more, faces, [24], "psnr", limit=5, batch_size=5, seed=1)
    assert not torch.equal(torch.cat(more.masks), torch.cat(other.masks))


def test_places_cover_the_face_evenly_and_nothing_else():
    points = fc.faces.embedded("test", 128)[0].landmarks[0].double().numpy()
    random = np.random.default_rng(0)
    drawn = np.stack([studies._point_on_face(points, random) for _ in range(400)])
    assert (Delaunay(points).find_simplex(drawn) >= 0).all()
    eye = ConvexHull(points[[36, 39, 48, 57]])  # a piece of the face, from the image-left eye to the mouth
    share = (Delaunay(eye.points).find_simplex(drawn) >= 0).mean()
    assert share == pytest.approx(eye.volume / ConvexHull(points).volume, abs=0.06)


def test_faces_without_landmarks_have_their_holes_where_aligned_faces_are():
    batch = FaceBatch(image=torch.rand(3, 3, 64, 64))
    mask = studies._squares(0.25, batch, np.arange(3), 0)
    assert ((mask == 0).sum((1, 2, 3)) == 16 * 16).all()


@pytest.mark.parametrize("sides", [[], [0], [128], [16, 16]])
def test_sides_that_are_no_part_of_a_image_are_refused(faces, sides):
    with pytest.raises(ValueError, match="sides must be different numbers from 1 to 127"):
        evaluation.mask_size_study("mean", faces, sides)


# -------------------------------------------------------------------------------------- who is recognised


class People:
    """Six people, three grey images of each; who it is shows in the images' brightness."""

    name = "people"

    def __init__(self, identity=None):
        self.identity = np.repeat(np.arange(6), 3) if identity is None else np.asarray(identity)
        level = self.identity / 10 + 0.01 * (np.arange(len(self.identity)) % 3)
        self.image = torch.tensor(level).float()[:, None, None, None].expand(-1, 3, 32, 32).contiguous()

    def __len__(self):
        return len(self.identity)

    def column(self, name):
        return {"identity": self.identity}[name]

    def batch(self, numbers):
        return FaceBatch(
            image=self.image[torch.as_tensor(numbers)], landmarks=torch.zeros(len(numbers), 68, 2)
        )


@pytest.fixture
def bright(monkeypatch):
    """An embedding that sees the mean brightness of the image."""
    monkeypatch.setattr(studies, "face_embedding", lambda image, landmarks: image.mean((1, 2, 3))[:, None])


def test_a_perfect_completion_is_recognised_like_the_original_and_a_constant_is_not(bright):
    people = People()
    levels = people.image.mean((1, 2, 3))

    def perfect(image, mask):
        known = (image[:, 0] * mask[:, 0]).sum((1, 2)) / mask[:, 0].sum((1, 2))
        return known[:, None, None, None].expand_as(image)

    def darkest(image, mask):
        return torch.zeros_like(image) - 0.4  # clamped to black

    found = evaluation.identification_study([perfect, darkest], people, ["half_left", "center"], top=(1, 5))
    assert list(found["method"].unique()) == ["original", "noise", "perfect", "darkest"]
    assert list(found["mask"].unique()) == ["half_left", "center"]
    top1 = found[found["metric"] == "top1"].groupby(["method", "mask"])["value"]
    assert len(levels) == 18 and (top1.count() == 12).all()  # the first image of each is the gallery
    for mask in ("half_left", "center"):
        assert top1.mean()["original", mask] == 1 == top1.mean()["perfect", mask]
        assert top1.mean()["noise", mask] < 1
    # half of the brightness is lost: person 1 looks like 0.5, 2 like 1, 4 like 2, only 0 like themselves
    assert top1.mean()["darkest", "half_left"] < 0.5


def test_rows_say_which_probe_of_which_person(bright):
    found = evaluation.identification_study("mean", People(), ["center", "half_left"], top=(1,))
    rows = found.query("method == 'mean' and mask == 'center'")
    assert list(rows["identity"]) == np.repeat(np.arange(6), 2).tolist()
    assert list(rows["index"]) == [k for k in range(18) if k % 3]


def test_a_larger_gallery_leaves_fewer_probes_and_lonely_people_are_only_in_the_gallery(bright):
    def probes(people, **options):
        found = evaluation.identification_study("mean", people, "center", **options)
        return found.query("method == 'original' and metric == 'top1'")

    assert len(probes(People(), top=(1,), gallery=2)) == 6
    assert len(probes(People([0, 1, 1, 2]), top=(1, 3))) == 1
    assert probes(People(), top=(1,), limit=2)["identity"].nunique() == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"methods": {"noise": "mean"}}, "This study itself adds noise"),
        ({"masks": "hexagon"}, "Unknown mask kinds"),
        ({"gallery": 3}, "Nobody has more than 3 images"),
        ({"gallery": 0}, "gallery and limit must be 1 or more"),
        ({"top": (7,)}, "top must lie in 1 ... 6"),
        ({"faces": People([-1, 0, 0])}, "people does not know who its faces are"),
    ],
)
def test_what_cannot_be_recognised_is_refused(bright, options, message):
    asked = {"methods": "mean", "faces": People(), "masks": "center"} | options
    with pytest.raises(ValueError, match=message):
        evaluation.identification_study(**asked)


def test_rendered_people_are_found_again():
    need_dlib("dlib_embedding")
    found = evaluation.identification_study(
        "mean", fc.faces.embedded("test", 64), "gfc_o3", top=(1,), limit=4
    )
    means = found.groupby("method")["value"].mean()
    assert means["original"] > 0.8 and means["mean"] <= means["original"]
