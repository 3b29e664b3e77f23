"""Other expressions for 68 landmarks: what moves, what stays, in faces of any size and tilt."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from facecomp_lib import faces

AMOUNTS = ({"smile": 0.7}, {"smile": -1}, {"mouth_open": 0.5}, {"mouth_open": -0.5}, {"brow_raise": 1})
CONCERNED = {
    "smile": {*range(48, 68)},
    "mouth_open": {*range(4, 13), *range(48, 68)},
    "brow_raise": {*range(17, 27)},
}


@pytest.fixture(scope="module")
def people() -> faces.FaceBatch:
    """A frontal, a turned and another frontal face."""
    return faces.embedded("test").batch([0, 3, 5])


def turned(points: torch.Tensor, degrees: float, scale: float, shift: tuple[float, float]) -> torch.Tensor:
    """Points [..., 2] after a similarity."""
    angle = torch.deg2rad(torch.tensor(degrees, dtype=points.dtype))
    matrix = torch.stack([torch.stack([angle.cos(), angle.sin()]), torch.stack([-angle.sin(), angle.cos()])])
    return scale * points @ matrix + torch.tensor(shift, dtype=points.dtype)


def mirrored(points: torch.Tensor) -> torch.Tensor:
    """The landmarks of the mirrored face, 128 px wide."""
    return points[..., faces.LANDMARK_MIRROR.copy(), :] * torch.tensor([-1.0, 1]) + torch.tensor([127.0, 0])


def test_no_edit_is_the_identity_bit_for_bit(people: faces.FaceBatch) -> None:
    assert torch.equal(faces.edit_landmarks(people.landmarks), people.landmarks)


@pytest.mark.parametrize("amounts", AMOUNTS, ids=str)
def test_only_the_parts_concerned_move(amounts: dict[str, float], people: faces.FaceBatch) -> None:
    (name,) = amounts
    talking = faces.edit_landmarks(people.landmarks[:1], mouth_open=0.3)  # a closed mouth cannot be closed
    moved = (faces.edit_landmarks(talking, **amounts) != talking).any(-1)[0]
    points = set(moved.nonzero().flatten().tolist())
    assert points and points <= CONCERNED[name]


@pytest.mark.parametrize("amounts", AMOUNTS, ids=str)
def test_edits_turn_scale_and_mirror_with_the_face(
    amounts: dict[str, float], people: faces.FaceBatch
) -> None:
    points = people.landmarks.double()
    edited = faces.edit_landmarks(points, **amounts)
    assert torch.allclose(mirrored(edited), faces.edit_landmarks(mirrored(points), **amounts), atol=1e-9)
    way = (25.0, 3.0, (40.0, -7.0))
    assert torch.allclose(
        turned(edited, *way), faces.edit_landmarks(turned(points, *way), **amounts), atol=1e-9
    )


def test_a_smile_goes_the_way_the_rendered_people_smile() -> None:
    every = faces.embedded("train")
    points = torch.from_numpy(every.column("landmarks")).double().reshape(-1, 68, 2)
    right, left = points[:, 36:42].mean(1), points[:, 42:48].mean(1)
    size = (left - right).norm(dim=-1)[:, None, None]
    upright = (points - ((left + right) / 2)[:, None]) / size  # aligned faces hardly tilt
    frontal = torch.from_numpy(np.abs(every.column("pose")[:, 0]) < 10)
    closed = upright[:, 66, 1] - upright[:, 62, 1] < 0.1
    smiling = torch.from_numpy(every.column("smiling").astype(bool))
    serious, happy = (upright[frontal & closed & who].mean(0) for who in (~smiling, smiling))
    error = (faces.edit_landmarks(serious, smile=0.75) - happy)[48:].norm(dim=-1)
    assert error.mean() < 0.35 * (serious - happy)[48:].norm(dim=-1).mean()


def test_a_mouth_opens_by_a_share_of_the_face_and_closes_completely(people: faces.FaceBatch) -> None:
    def gap(points: torch.Tensor) -> float:
        return float((points[0, 66] - points[0, 62]).norm())

    face = people.landmarks[:1]
    eyes = float((face[0, 36:42].mean(0) - face[0, 42:48].mean(0)).norm())
    wide = faces.edit_landmarks(face, mouth_open=1)
    assert 0.3 * eyes < gap(wide) - gap(face) < 0.5 * eyes
    assert gap(faces.edit_landmarks(wide, mouth_open=-1)) < 0.02 * eyes
    assert 0 < wide[0, 8, 1] - face[0, 8, 1] < wide[0, 66, 1] - face[0, 66, 1]  # the chin follows the lip


@pytest.mark.parametrize("name", CONCERNED)
def test_amounts_out_of_range_and_what_is_no_landmarks_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} goes from -1 to 1"):
        faces.edit_landmarks(torch.rand(68, 2), **{name: 1.5})
    for wrong in (torch.rand(5, 2), torch.full((68, 2), torch.nan), torch.ones(68, 2).long(), [[0, 0]] * 68):
        with pytest.raises(ValueError, match="landmarks"):
            faces.edit_landmarks(wrong, **{name: 1})
        with pytest.raises(ValueError, match="landmarks"):
            faces.expression_from(torch.rand(68, 2), wrong)


def test_a_faces_own_expression_changes_nothing_however_it_lies(people: faces.FaceBatch) -> None:
    points = people.landmarks.double()
    again = faces.expression_from(points, turned(points, -30, 0.4, (5, 9)))
    assert torch.allclose(again, points, atol=1e-9)


def test_an_expression_is_carried_over_and_the_rest_of_the_face_stays(people: faces.FaceBatch) -> None:
    mine, yours = people.landmarks[:1].double(), people.landmarks[2:].double()
    happy = faces.edit_landmarks(yours, smile=0.8, brow_raise=0.6)
    neutral, copied = faces.expression_from(mine, yours), faces.expression_from(mine, happy)
    expected = faces.edit_landmarks(neutral, smile=0.8, brow_raise=0.6)
    brows_and_mouth = [*range(17, 27), *range(48, 68)]
    error, change = (copied - expected)[0, brows_and_mouth], (copied - neutral)[0, brows_and_mouth]
    assert error.norm(dim=-1).mean() < 0.25 * change.norm(dim=-1).mean()
    stays = [*range(17), *range(27, 36)]
    assert torch.allclose(copied[0, stays], neutral[0, stays], atol=0.2)
    assert torch.equal(copied[0, 27:36], mine[0, 27:36])
