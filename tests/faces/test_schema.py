"""FaceBatch: shapes are checked, indexing keeps the batch axis, mirroring is what a mirror does."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_faces import symmetric_faces

from facecomp_lib.faces.schema import LANDMARK_MIRROR, PARSING, PARSING_MIRROR, FaceBatch


def full_batch(count=3, height=6, width=8, seed=0):
    make = torch.Generator().manual_seed(seed)

    def rand(*shape):
        return torch.rand(*shape, generator=make)

    # whole and half pixels and sixteenths: mirrored coordinates stay exact in float32
    points = torch.randint(0, 8 * width, (count, 68, 2), generator=make) / 8
    flow = torch.randint(-64, 65, (count, height, width, 2), generator=make) / 64
    return FaceBatch(
        image=rand(count, 3, height, width),
        landmarks=points,
        parsing=torch.randint(0, 11, (count, height, width), generator=make),
        identity=torch.arange(count),
        attributes={"male": rand(count) > 0.5},
        pose=rand(count, 3),
        lamps=rand(count, 2, 6),
        light_ratio=rand(count, 3, height, width),
        mirror_flow=flow,
        mirror_valid=rand(count, height, width) > 0.5,
    )


def tensors(batch):
    yield from ((name, value) for name, value in vars(batch).items() if isinstance(value, torch.Tensor))
    yield from (batch.attributes or {}).items()


def same(one, other):
    pairs = list(zip(tensors(one), tensors(other), strict=True))
    return all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)


@given(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9), st.integers(0, 999))
@settings(max_examples=30, deadline=None)
def test_mirroring_twice_is_the_identity(count, height, width, seed):
    batch = full_batch(count, height, width, seed)
    assert same(batch.mirror().mirror(), batch)


def test_mirror_tables_are_involutions_that_swap_sides():
    assert (LANDMARK_MIRROR[LANDMARK_MIRROR] == np.arange(68)).all()
    assert (PARSING_MIRROR[PARSING_MIRROR] == np.arange(11)).all()
    assert [PARSING[PARSING_MIRROR[PARSING.index(f"left {part}")]] for part in ("eye", "eyebrow")] == [
        "right eye",
        "right eyebrow",
    ]
    middle = {8, 27, 28, 29, 30, 33, 51, 57, 62, 66}
    assert set(np.flatnonzero(np.arange(68) == LANDMARK_MIRROR)) == middle
    # outer eye corners, outer brow ends, mouth corners, first and last of the jaw
    assert [LANDMARK_MIRROR[i] for i in (36, 17, 48, 0, 31, 60)] == [45, 26, 54, 16, 35, 64]


def test_mirrored_landmarks_lie_on_the_mirrored_pixels_of_their_partners():
    size = 24
    image = torch.zeros(1, 3, size, size)
    points = torch.tensor(
        [
            [i % size, i // size]
            for i in torch.randperm(size * size, generator=torch.Generator().manual_seed(1))[:68].tolist()
        ]
    )
    for number, (x, y) in enumerate(points.tolist()):
        image[0, 0, y, x] = number / 68
    mirrored = FaceBatch(image, landmarks=points[None].float()).mirror()
    x, y = mirrored.landmarks[0].long().T
    assert torch.equal((mirrored.image[0, 0, y, x] * 68).round().long(), torch.as_tensor(LANDMARK_MIRROR))


def test_the_mirrored_flow_puts_the_mirrored_side_over_this_side_of_the_mirrored_image():
    batch = symmetric_faces()
    for faces in (batch, batch.mirror()):
        moved = F.grid_sample(faces.image.flip(-1), faces.mirror_flow, align_corners=True)
        gap = (moved - faces.image).abs().amax(1)[faces.mirror_valid]
        assert gap.max() < 0.02
        assert faces.mirror_valid.float().mean() > 0.8


def test_mirroring_turns_head_and_lamps():
    batch = full_batch()
    mirrored = batch.mirror()
    assert torch.equal(mirrored.pose, batch.pose * torch.tensor([-1.0, 1, -1]))
    assert torch.equal(mirrored.lamps[..., 0], -batch.lamps[..., 0])
    assert torch.equal(mirrored.lamps[..., 1:], batch.lamps[..., 1:])
    assert torch.equal(mirrored.identity, batch.identity)


def test_only_the_chosen_faces_are_mirrored():
    batch = full_batch()
    where = torch.tensor([False, True, False])
    mixed = batch.mirror(where)
    assert same(mixed[1], batch.mirror()[1])
    assert same(mixed[[0, 2]], batch[[0, 2]])
    with pytest.raises(ValueError, match="one flag per face"):
        batch.mirror(torch.tensor([True]))


def test_indexing_keeps_the_batch_axis():
    batch = full_batch()
    assert len(batch[1]) == len(batch[-2]) == 1
    assert same(batch[1], batch[1:2])
    assert same(batch[-1], batch[[2]])
    assert same(batch[torch.tensor([2, 0])], batch[np.array([2, 0])])
    assert same(batch[torch.tensor([True, False, True])], batch[[0, 2]])
    assert len(batch[[]]) == 0
    assert sum(len(face) for face in [batch[i] for i in range(3)]) == 3
    with pytest.raises(IndexError, match="batch of 3"):
        batch[3]


def test_cat_undoes_taking_apart():
    batch = full_batch()
    assert same(FaceBatch.cat([batch[:1], batch[1:]]), batch)
    joined = FaceBatch.cat([batch, FaceBatch(batch.image)])
    assert len(joined) == 6
    assert joined.landmarks is None and joined.attributes is None
    with pytest.raises(ValueError, match="one size"):
        FaceBatch.cat([batch, FaceBatch(torch.rand(1, 3, 4, 4))])
    with pytest.raises(ValueError, match="at least one"):
        FaceBatch.cat([])


def test_to_moves_every_tensor():
    moved = full_batch().to("meta")
    assert {value.device.type for _, value in tensors(moved)} == {"meta"}
    assert len(list(tensors(moved))) == 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": torch.rand(3, 6, 8)}, r"image must be \[B, 3, H, W\]"),
        ({"image": torch.rand(3, 1, 6, 8)}, r"image must be \[B, 3, H, W\], not \[3, 1, 6, 8\]"),
        ({"image": torch.zeros(3, 3, 6, 8, dtype=torch.uint8)}, "divide 8-bit images by 255"),
        ({"image": None}, "image must be a tensor"),
        ({"landmarks": torch.rand(3, 67, 2)}, r"landmarks must be \[3, 68, 2\]"),
        ({"landmarks": torch.rand(2, 68, 2)}, r"landmarks must be \[3, 68, 2\]"),
        ({"parsing": torch.zeros(3, 8, 6).long()}, r"parsing must be \[3, 6, 8\]"),
        ({"parsing": torch.zeros(3, 6, 8)}, "parsing must hold int64"),
        ({"identity": [1, 2, 3]}, "identity must be a tensor"),
        ({"attributes": {"male": torch.zeros(3)}}, r"attributes\['male'\] must hold bool"),
        ({"mirror_valid": None}, "belong together"),
    ],
)
def test_a_batch_that_does_not_fit_together_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        full_batch().replace(**change)
