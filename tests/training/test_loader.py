"""What training steps see: the same samples whoever prepares them, and a thread that ends with its work."""

import itertools
import threading
import time
import traceback

import numpy as np
import pytest
import tiny_faces
import torch
from PIL import Image

from facecomp_lib import faces, masks
from facecomp_lib.faces.augment import Augment
from facecomp_lib.methods import OptimizerConfig, Stage, sample_keys
from facecomp_lib.training.loader import BatchLoader

KINDS = ("center", "random_square", "gfc_o1")


def stage(batch_size=4, **options):
    return Stage("any", 9, {"nobody": OptimizerConfig(("nothing",), {"none": 1.0})}, batch_size, **options)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tiny_faces.write(tmp_path_factory.mktemp("faces"), range(7))
    return faces.folder(path)


def assert_equal(one, other):
    assert torch.equal(one.image, other.image) and one.image.stride() == other.image.stride()
    assert torch.equal(one.mask, other.mask) and torch.equal(one.keys, other.keys)
    for name in ("landmarks", "parsing", "identity", "pose", "lamps"):
        assert torch.equal(getattr(one.faces, name), getattr(other.faces, name))


def loading_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("loader")]


@pytest.fixture
def plain():
    """Faces with the labels of a training split, whose landmarks are where faces have them."""
    return faces.embedded("val", size=32)


def test_samples_prepared_ahead_are_those_asked_for_one_by_one(plain):
    loader, play = BatchLoader(plain, seed=3), stage(masks=KINDS)
    ahead = list(loader.batches(play, range(2, 9), first=11))
    assert len(ahead) == 7
    for place, sample in enumerate(ahead):
        assert_equal(sample, BatchLoader(plain, seed=3).batch(play, 2 + place, 11 + 4 * place))


@pytest.mark.parametrize("world", [1, 2, 4])
def test_processes_share_what_one_alone_would_see(plain, world):
    play = stage(masks=KINDS)
    whole = BatchLoader(plain, seed=3).batch(play, step=5, first=20)
    parts = [BatchLoader(plain, 3, rank, world).batch(play, step=5, first=20) for rank in range(world)]
    assert torch.equal(torch.cat([part.image for part in parts]), whole.image)
    assert torch.equal(torch.cat([part.mask for part in parts]), whole.mask)
    assert torch.equal(torch.cat([part.keys for part in parts]), whole.keys)
    assert torch.equal(torch.cat([part.faces.landmarks for part in parts]), whole.faces.landmarks)


def test_fixed_batches_are_the_same_at_each_call_and_shared_by_processes(plain):
    loader, play = BatchLoader(plain, seed=3), stage(masks=KINDS)
    first, again = (list(loader.fixed(play, 10)) for _ in range(2))
    assert len(first) == 3  # whole batches
    for one, other in zip(first, again, strict=True):
        assert_equal(one, other)
    shares = zip(*(BatchLoader(plain, 3, rank, 2).fixed(play, 10) for rank in range(2)), strict=True)
    for whole, parts in zip(first, shares, strict=True):
        assert torch.equal(torch.cat([part.image for part in parts]), whole.image)
        assert torch.equal(torch.cat([part.mask for part in parts]), whole.mask)


def test_fixed_batches_show_different_faces_as_they_are_but_cropped(data):
    (batch,) = BatchLoader(data, 0).fixed(stage(batch_size=7), 64)  # there are no more than seven
    assert sorted(batch.faces.identity.tolist()) == list(range(7))
    order = batch.faces.identity.argsort()
    assert torch.equal(batch.image[order], data.batch(range(7)).image)
    (batch,) = BatchLoader(data, 0).fixed(stage(batch_size=7, augment=Augment(crop=16)), 64)
    assert batch.image.shape == (7, 3, 16, 16)


def test_each_epoch_shows_every_face_once_in_an_order_of_its_own(data):
    loader, play = BatchLoader(data, seed=0), stage(batch_size=5, augment=None)
    steps = loader.batches(play, range(7), first=0)
    shown = torch.cat([batch.faces.identity for batch in steps]).reshape(5, 7)  # [epoch, face]
    assert all(sorted(epoch) == list(range(7)) for epoch in shown.tolist())
    assert len({tuple(epoch) for epoch in shown.tolist()}) > 1


def test_a_stage_that_begins_later_goes_on_where_the_one_before_stopped(data):
    loader = BatchLoader(data, seed=0)
    small, large = stage(batch_size=2, augment=None), stage(batch_size=6, augment=None)
    parts = [loader.batch(small, step, 2 * step).faces.identity for step in range(3)]
    assert torch.equal(torch.cat(parts), loader.batch(large, 0, 0).faces.identity)


def test_each_sample_has_the_hole_that_its_key_chooses_where_its_moved_face_is(plain):
    batch = BatchLoader(plain, seed=1).batch(stage(12, masks=KINDS), step=4, first=100)
    numbers = torch.arange(100, 112)
    assert torch.equal(batch.keys, sample_keys(1, 4, numbers))
    chosen = (batch.keys % 3).tolist()
    assert set(chosen) == {0, 1, 2}
    for place, kind in enumerate(KINDS[choice] for choice in chosen):
        alone = masks.make(kind, 32, 1, 1, batch.faces.landmarks[[place]], step=4, index=[100 + place])
        assert torch.equal(batch.mask[[place]], alone)


def test_a_folder_of_masks_is_one_of_a_stages_kinds(plain, tmp_path):
    image = np.zeros((32, 32), np.uint8)
    image[3:9, 5:21] = 255
    Image.fromarray(image).save(tmp_path / "mask.png")
    batch = BatchLoader(plain, seed=1).batch(
        stage(12, masks=("half_left", str(tmp_path))), step=4, first=100
    )
    missing = (batch.mask == 0).sum((1, 2, 3))
    assert missing.tolist() == [(512, 96)[choice] for choice in (batch.keys % 2).tolist()]
    with pytest.raises(ValueError, match="Unknown mask kind '.*nowhere'"):
        stage(masks=("center", str(tmp_path / "nowhere")))


def test_a_stage_without_holes_knows_every_pixel(data):
    assert torch.equal(BatchLoader(data, 0).batch(stage(masks=()), 0, 0).mask, torch.ones(4, 1, 32, 32))


def test_faces_are_augmented_by_step_and_face(plain):
    play = stage()
    batch = BatchLoader(plain, seed=2).batch(play, step=6, first=len(plain))
    indices = plain.order(2, 1)[:4]
    assert torch.equal(batch.image, plain.batch(indices, play.augment, seed=2, step=6).image)


def test_nothing_is_prepared_far_ahead_of_the_consumer(data, monkeypatch):
    loader, asked = BatchLoader(data, 0), []
    monkeypatch.setattr(loader, "batch", lambda stage, step, first, device: asked.append(step) or step)
    samples = loader.batches(stage(), range(1000), 0)
    assert [next(samples) for _ in range(3)] == [0, 1, 2]
    time.sleep(0.05)
    assert len(asked) <= 5
    samples.close()
    assert len(asked) <= 5


@pytest.mark.parametrize("leave", ["close", "forget", "exhaust", "raise"])
def test_the_thread_ends_with_its_consumer(data, leave):
    samples = BatchLoader(data, 0).batches(stage(), range(5), 0)
    next(samples)
    assert loading_threads()
    if leave == "close":
        samples.close()
    elif leave == "exhaust":
        assert len(list(samples)) == 4
    elif leave == "raise":
        with pytest.raises(KeyError):
            samples.throw(KeyError("the consumer's own"))
    del samples
    assert not loading_threads()


def test_what_goes_wrong_in_the_thread_is_raised_in_its_turn_with_its_traceback(data, monkeypatch):
    def broken(row, decode=data._face):
        if row == 5:
            raise ValueError("an image that cannot be decoded")
        return decode(row)

    monkeypatch.setattr(data, "_face", broken)
    samples = BatchLoader(data, 0).batches(stage(batch_size=1, augment=None), range(7), 0)
    good = int(np.flatnonzero(data.order(0, 0) == 5)[0])
    assert len(list(itertools.islice(samples, good))) == good
    with pytest.raises(ValueError, match="cannot be decoded") as caught:
        next(samples)
    assert "broken" in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert not loading_threads()


def test_what_cannot_be_fed_is_refused(data):
    with pytest.raises(ValueError, match="2 processes cannot share the 5 samples"):
        BatchLoader(data, 0, rank=0, world=2).batch(stage(batch_size=5), 0, 0)
    with pytest.raises(ValueError, match="rank must lie in 0 ... 1, not 2"):
        BatchLoader(data, 0, rank=2, world=2)
