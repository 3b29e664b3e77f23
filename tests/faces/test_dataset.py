"""Data sets behave alike, at every size, warm or cold, alone or in a batch."""

import pickle

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny_faces import SIZE, record, write

import facecomp_lib as fc
from facecomp_lib.faces import Augment, FaceBatch, dataset
from facecomp_lib.faces.dataset import FaceDataset, folder
from facecomp_lib.faces.store import Store
from facecomp_lib.faces.writer import Writer


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write(tmp_path_factory.mktemp("data") / "set", numbers=range(9), image_format="png")


def equal(one: FaceBatch, other: FaceBatch) -> bool:
    fields = [name for name, value in vars(one).items() if isinstance(value, torch.Tensor)]
    same = [torch.equal(getattr(one, name), getattr(other, name)) for name in fields]
    return all(same) and all(torch.equal(one.attributes[k], other.attributes[k]) for k in other.attributes)


def test_a_batch_holds_what_was_written(path):
    faces = folder(path)
    assert (len(faces), faces.size, faces.name) == (9, SIZE, "tiny")
    batch = faces.batch([5, 0, 5])
    for place, number in enumerate([5, 0, 5]):
        expected = record(number)
        shown = (batch.image[place] * 255).round().byte().permute(1, 2, 0).numpy()
        assert np.array_equal(shown, expected["image"])
        assert np.array_equal(batch.parsing[place].numpy(), expected["parsing"])
        assert np.array_equal(batch.landmarks[place].numpy(), np.float32(expected["landmarks"]))
        assert np.array_equal(batch.lamps[place].numpy(), np.float32(expected["lamps"]))
        assert np.array_equal(batch.mirror_valid[place].numpy(), expected["mirror_valid"])
        assert {k: bool(v[place]) for k, v in batch.attributes.items()} == expected["attributes"]
    assert batch.identity.tolist() == [5, 0, 5]
    assert batch.image.dtype == torch.float32
    assert batch.image.is_contiguous(memory_format=torch.channels_last)


def test_every_way_of_asking_gives_the_same_face(path):
    faces = folder(path)
    assert equal(faces[3], faces.batch(torch.tensor([3])))
    assert equal(faces[-1], faces[8])
    assert equal(faces[2:4], faces.batch(np.array([2, 3])))
    assert equal(faces[[4, 1]], FaceBatch.cat([faces[4], faces[1]]))
    assert len(list(faces)) == 9
    assert len(faces.batch([])) == 0


def test_keeping_decoded_faces_changes_nothing(path):
    kept = FaceDataset(Store(path))
    none = FaceDataset(Store(path), keep_bytes=0)
    some = FaceDataset(Store(path), keep_bytes=60_000)
    for _ in range(2):
        assert equal(kept.batch(range(9)), none.batch(range(9)))
        assert equal(kept.batch(range(9)), some.batch(range(9)))
    assert len(kept._kept) == 9 and len(none._kept) == 0 and 0 < len(some._kept) < 9
    assert sum(face.nbytes for face in some._kept.values()) <= 60_000


def test_splits_are_apart_and_together_everything(path):
    parts = {split: folder(path, split) for split in ("train", "val", "test")}
    people = [set(faces.column("identity").tolist()) for faces in parts.values()]
    assert sum(len(faces) for faces in parts.values()) == 9
    assert not people[0] & people[1] and not people[1] & people[2] and not people[0] & people[2]
    assert (parts["val"].column("split") == "val").all()
    with pytest.raises(ValueError, match="'holdout': choose one of train, val, test"):
        folder(path, "holdout")


def test_half_size_averages_images_and_moves_labels(path):
    whole, half = folder(path).batch(range(9)), folder(path, size=SIZE // 2).batch(range(9))
    assert (half.image - F.avg_pool2d(whole.image, 2)).abs().max() <= 0.51 / 255
    assert torch.allclose(half.landmarks, (whole.landmarks + 0.5) / 2 - 0.5)
    assert torch.allclose(
        half.light_ratio, whole.light_ratio[..., ::2, ::2], rtol=1e-4
    )  # constant in each face
    counts = F.avg_pool2d(F.one_hot(whole.parsing, 11).permute(0, 3, 1, 2).float(), 2)
    chosen = counts.gather(1, half.parsing[:, None])
    assert torch.equal(chosen, counts.amax(1, keepdim=True))  # no class covers more of the pixel
    assert np.array_equal(folder(path, size=SIZE // 2).column("landmarks").reshape(-1, 68, 2), half.landmarks)


@pytest.mark.parametrize("size", [16, 24, 20])
def test_smaller_sizes_keep_the_flow_pointing_at_the_same_place(path, size):
    half = folder(path, size=size).batch(range(9))
    own = torch.linspace(-1, 1, size)
    for number in range(9):
        # the tiny faces' flow is one constant shift, in pixels of the stored size
        expected = record(number)
        shift = (expected["mirror_flow"][0, 0, 0] + 1) * (SIZE - 1) / 2
        flow, valid = half.mirror_flow[number], half.mirror_valid[number]
        got = (flow[..., 0] - own) * (size - 1) / 2
        assert torch.allclose(got[valid], torch.tensor(shift * size / SIZE), atol=0.01)
        assert (flow[..., 1] - own[:, None]).abs().max() < 1e-5
        assert 0.5 < valid.float().mean() <= 1


def test_a_size_out_of_range_is_refused(path):
    with pytest.raises(ValueError, match="8 ... 32, not 64"):
        folder(path, size=64)
    with pytest.raises(ValueError, match="8 ... 32, not 4"):
        folder(path, size=4)


def test_columns_by_name(path):
    faces = folder(path)
    assert faces.attribute_names == ("male", "beard")
    assert faces.column("male").tolist() == [bool(n % 2) for n in range(9)]
    assert faces.column("age").tolist() == [20 + n for n in range(9)]
    assert faces.column("name")[2] == "face 2"
    assert faces.column("pose").shape == (9, 3)
    with pytest.raises(ValueError, match="no column 'height': choose one of .*age, male, beard"):
        faces.column("height")


def test_an_index_out_of_range_is_refused(path):
    faces = folder(path)
    with pytest.raises(IndexError, match="Face 9 of 9"):
        faces[9]
    with pytest.raises(IndexError, match="Face -10 of 9"):
        faces.batch([0, -10])
    with pytest.raises(ValueError, match="whole numbers"):
        faces.batch([0.5])


def test_a_label_that_one_face_lacks_is_unknown(tmp_path):
    bare = {"name": "photo", "split": "train", "image": record(0)["image"]}
    writer = Writer(tmp_path / "set", "photos", SIZE)
    writer.add_part(0, [bare, bare | {"landmarks": np.zeros((68, 2)), "split": "val"}])
    writer.finish()
    both, val = folder(tmp_path / "set")[:], folder(tmp_path / "set", "val")[:]
    assert both.landmarks is None and both.attributes is None and both.identity is None
    assert val.landmarks is not None and val.parsing is None


def test_the_order_of_an_epoch_depends_on_seed_and_epoch_alone(path):
    faces = folder(path)
    assert sorted(faces.order(0, 0)) == list(range(9))
    assert (faces.order(3, 1) == folder(path).order(3, 1)).all()
    assert (faces.order(3, 1) != faces.order(3, 2)).any() and (faces.order(3, 1) != faces.order(4, 1)).any()


def test_a_face_is_augmented_alike_in_any_batch(path):
    faces, augment = folder(path), Augment()
    together = faces.batch([7, 2, 5], augment=augment, seed=1, step=9)
    alone = faces.batch([5], augment=augment, seed=1, step=9)
    assert equal(together[2], alone)
    assert not torch.equal(alone.image, faces.batch([5], augment=augment, seed=1, step=10).image)
    assert not torch.equal(alone.image, faces.batch([5], augment=augment, seed=2, step=9).image)


def test_worker_processes_open_the_files_themselves(path):
    faces = folder(path, "val", 16)
    copy = pickle.loads(pickle.dumps(faces))
    assert equal(copy[0], faces[0]) and copy.size == 16


def test_moved_faces_are_the_same_in_any_batch_and_any_worker(path):
    moved = folder(path).with_augmentation(Augment(), seed=4)
    together = moved.batch([7, 2, 5])
    assert equal(moved.batch([5]), together[2]) and equal(moved[-4], together[2])
    assert equal(moved.batch([5], seed=8, step=3), together[2])  # these are for augmenting
    assert equal(pickle.loads(pickle.dumps(moved)).batch([7, 2, 5]), together)
    half = folder(path, "val", 16).with_augmentation(Augment(), seed=4)
    copy = pickle.loads(pickle.dumps(half))
    assert equal(copy[:], half[:]) and (copy.size, copy.split) == (16, "val")


def test_moved_faces_differ_by_seed_and_leave_the_others_where_they_are(path):
    faces = folder(path)
    before = faces[:]
    one, other = (faces.with_augmentation(Augment(), seed)[:] for seed in (1, 2))
    assert equal(faces[:], before)
    for a, b in ((before, one), (before, other), (one, other)):
        assert all((x != y).any() for x, y in zip(a.image, b.image, strict=True))
        assert all((x != y).any() for x, y in zip(a.landmarks, b.landmarks, strict=True))
    assert equal(faces.with_augmentation(Augment())[:], faces.with_augmentation(Augment(), 0)[:])


def test_the_labels_of_moved_faces_move_along(path):
    faces = folder(path)
    mirrored = faces.with_augmentation(Augment(flip=1, shift=0, rotate=0, scale=0, brightness=0, contrast=0))[
        :
    ]
    expected = faces[:].mirror()
    assert equal(mirrored, expected) and mirrored.mirror_flow is not None
    stir = Augment(shift=0.2, rotate=60, scale=0.3)
    assert equal(faces.with_augmentation(stir, 3).batch([8, 1]), stir(faces.batch([8, 1]), 3, 0, [8, 1]))


def test_the_columns_of_moved_faces_stay_as_stored(path):
    faces = folder(path, size=16)
    moved = faces.with_augmentation(Augment(), 1)
    for name in ("landmarks", "identity", "pose", "male", "age"):
        assert np.array_equal(moved.column(name), faces.column(name))
    assert len(moved) == 9 and moved.size == 16 and (moved.order(3, 1) == faces.order(3, 1)).all()


def test_moved_faces_say_so_and_share_what_is_decoded(path):
    faces = folder(path)
    moved = faces.with_augmentation(Augment(), 1)
    assert moved.name == f"{faces.name}, augmented" and moved._kept is faces._kept
    with pytest.raises(ValueError, match="augmented already"):
        moved.with_augmentation(Augment(), 2)


def names(faces):
    return faces.column("name").tolist()


def test_a_subset_is_drawn_by_its_seed_and_a_larger_one_holds_the_smaller(path):
    faces = folder(path)
    four = faces.subset(4, seed=1)
    assert names(four) == names(faces.subset(4, seed=1)) and len(set(names(four))) == 4
    assert set(names(four)) < set(names(faces.subset(6, seed=1)))
    assert len({tuple(names(faces.subset(4, seed))) for seed in range(9)}) > 5
    assert names(faces.subset(9)) == names(faces)


def test_the_faces_of_a_subset_are_the_data_sets_own(path):
    faces = folder(path, size=16)
    some = faces.subset([7, -9, 7])
    assert names(some) == ["face 7", "face 0", "face 7"] and len(some) == 3
    assert equal(some[:], faces[[7, 0, 7]])
    assert np.array_equal(some.column("landmarks"), faces.column("landmarks")[[7, 0, 7]])
    assert equal(some.subset([1])[0], faces[0])
    assert equal(pickle.loads(pickle.dumps(some))[:], some[:])
    assert some._kept is faces._kept  # decoded once for all
    assert len({some.name, faces.subset([7, 0, 8]).name, faces.name}) == 3


def test_a_face_of_an_augmented_subset_is_augmented_as_in_the_whole(path):
    moved = folder(path).with_augmentation(Augment(), seed=4)
    some = moved.subset([8, 2])
    assert equal(some[:], moved[[8, 2]])
    assert equal(pickle.loads(pickle.dumps(some))[1], moved[2])


def test_a_subset_knows_what_all_its_faces_have(tmp_path):
    writer = Writer(tmp_path / "set", "mixed", SIZE)
    bare = {"name": "photo", "split": "train", "image": record(0)["image"]}
    rich = record(1) | {"attributes": {}, "scalars": {}}
    writer.add_part(0, [bare, rich])
    writer.finish()
    both = folder(tmp_path / "set")
    assert both[:].parsing is None
    assert np.array_equal(both.subset([1])[0].parsing[0], rich["parsing"])


def test_a_subset_that_cannot_be_is_refused(path):
    faces = folder(path)
    for wrong in (0, 10, []):
        with pytest.raises(ValueError, match="number of faces must be a whole number"):
            faces.subset(wrong)
    with pytest.raises(IndexError, match="Face 9 of 9"):
        faces.subset([0, 9])


def test_moved_faces_cannot_be_augmented(path):
    moved = folder(path).with_augmentation(Augment(), 1)
    with pytest.raises(ValueError, match="augmented once and for all: augment those of the data set"):
        moved.batch([0], augment=Augment())


@pytest.fixture
def embedded_tiny(path, monkeypatch):
    monkeypatch.setattr(dataset, "PACK", path)


def test_damaged_embedded_faces_say_how_to_get_them_again(tmp_path):
    with pytest.raises(
        ValueError, match="travel with the course are damaged or missing: get the course anew"
    ):
        dataset._embedded(str(tmp_path), "train", 64)


def test_embedded_faces_by_split_and_size(embedded_tiny):
    test = fc.faces.embedded("test", size=SIZE)
    assert test.column("split").tolist() == ["test"] * 3
    assert fc.faces.embedded("test", size=SIZE) is test  # decoded once for everybody
    assert fc.faces.embedded("train", size=16)[0].size == (16, 16)
    with pytest.raises(ValueError, match="split 'holdout': choose one of train, val, test"):
        fc.faces.embedded("holdout")
    with pytest.raises(ValueError, match="256 px needs the renderer.*render_faces.py --size 256"):
        fc.faces.embedded("test", size=256)


def test_the_names_of_the_package_load_when_used():
    assert fc.faces.PARSING[10] == "hair"
    assert "embedded" in dir(fc.faces)
    with pytest.raises(AttributeError, match="no 'from_video'; it has .*embedded"):
        _ = fc.faces.from_video


# The pack that travels with the course


@pytest.fixture(scope="module")
def pack():
    return {split: fc.faces.embedded(split) for split in ("train", "val", "test")}


def test_the_packs_splits_share_nobody_and_test_has_four_images_of_each(pack):
    people = {split: faces.column("identity") for split, faces in pack.items()}
    assert min(people["test"].min(), people["train"].min()) >= 0
    together = np.concatenate([np.unique(numbers) for numbers in people.values()])
    assert len(np.unique(together)) == len(together)
    assert np.unique(people["test"], return_counts=True)[1].min() >= 4


def test_every_face_of_the_pack_has_its_labels(pack):
    for split, faces in pack.items():
        batch = faces[:4]
        assert batch.size == (128, 128) and faces.version
        assert ((batch.image >= 0) & (batch.image <= 1)).all() and batch.image.std() > 0.1
        for name in ("landmarks", "parsing", "identity", "attributes", "pose", "lamps"):
            assert getattr(batch, name) is not None, (split, name)
    test = pack["test"][:4]
    assert test.mirror_flow is not None and test.light_ratio is not None


def test_moved_faces_of_the_pack_carry_their_landmarks_and_labels_with_them(pack):
    """In any split: training faces have no mirror flow, and take a shorter way."""
    stir = Augment(flip=0.5, shift=0.12, rotate=25, scale=0.25, brightness=0, contrast=0)
    for faces in pack.values():
        numbers = list(range(0, len(faces), len(faces) // 8))
        batch, moved = faces.batch(numbers), faces.with_augmentation(stir, 2).batch(numbers)
        assert (moved.landmarks - batch.landmarks).abs().amax((1, 2)).min() > 2
        for found in (batch, moved):  # the nose is where its tip is, and there only
            x, y = found.landmarks[:, 30].round().long().T
            assert (found.parsing[torch.arange(len(found)), y, x] == 6).all()


def test_the_packs_flow_leads_landmarks_to_their_partners(pack):
    """Phi(x_k) = (W - 1 - x_m(k), y_m(k)), wherever the partner is seen; inner points, not the jaw's edge."""
    test = pack["test"][:]
    gaps = []
    for face in (test[i] for i in range(len(test))):
        points = face.landmarks[0]
        partner = points[torch.as_tensor(fc.faces.LANDMARK_MIRROR)]
        expected = torch.stack([127 - partner[:, 0], partner[:, 1]], -1)
        x, y = points.round().long().clamp(0, 127).T
        led = (face.mirror_flow[0, y, x] + 1) * 63.5 + points - points.round()
        inner = torch.arange(68) > 16
        gaps.append((led - expected).norm(dim=-1)[face.mirror_valid[0, y, x] & inner])
    assert torch.cat(gaps).median() < 1  # half a pixel of it is the rounding of the landmark to a pixel
