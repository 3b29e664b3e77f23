"""The aligned frame: similarities are exact where they can be, best where they cannot."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facecomp_lib.faces import alignment


def similarity_by_hand(scale, degrees, shift):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[scale * c, -scale * s, shift[0]], [scale * s, scale * c, shift[1]]])


def landmarks_with(left_eye, right_eye, mouth):
    points = np.random.default_rng(0).normal(size=(68, 2)) * 40
    points[36:42] += np.asarray(left_eye) - points[36:42].mean(axis=0)
    points[42:48] += np.asarray(right_eye) - points[42:48].mean(axis=0)
    points[[48, 54]] += np.asarray(mouth) - points[[48, 54]].mean(axis=0)
    return points


@settings(max_examples=40, deadline=None)
@given(
    scale=st.floats(0.01, 50), degrees=st.floats(-180, 180), x=st.floats(-4e3, 4e3), y=st.floats(-4e3, 4e3)
)
def test_a_similarity_is_recovered_from_moved_points(scale, degrees, x, y):
    source = np.random.default_rng(1).normal(size=(5, 2)) * 30 + 100
    truth = similarity_by_hand(scale, degrees, (x, y))
    found = alignment.similarity(source, alignment.apply(truth, source))
    np.testing.assert_allclose(
        alignment.apply(found, source), alignment.apply(truth, source), atol=1e-6 * max(1, scale)
    )


def test_a_similarity_never_mirrors():
    source = np.array([[0.0, 0], [1, 0], [0.5, 1]])
    found = alignment.similarity(source, source * [-1, 1])
    assert np.linalg.det(found[:, :2]) > 0


def test_a_similarity_is_the_best_among_its_neighbours():
    rng = np.random.default_rng(2)
    source, target = rng.normal(size=(3, 2)), rng.normal(size=(3, 2))
    best = alignment.similarity(source, target)

    def error(m):
        return np.square(alignment.apply(m, source) - target).sum()

    for step in (1e-3, -1e-3):
        for nudge in (
            [[step, 0, 0], [0, step, 0]],
            [[0, -step, 0], [step, 0, 0]],
            [[0, 0, step], [0, 0, 0]],
            [[0, 0, 0], [0, 0, step]],
        ):
            assert error(best + nudge) > error(best)


def test_anchors_are_eye_centres_and_mouth_corner_centre():
    points = landmarks_with((10, 20), (50, 21), (30, 60))
    np.testing.assert_allclose(alignment.anchors(points), [[10, 20], [50, 21], [30, 60]])
    assert alignment.anchors(np.stack([points, points])).shape == (2, 3, 2)


@pytest.mark.parametrize("size", [64, 128, 256])
def test_aligned_anchors_that_are_similar_to_the_template_land_on_it(size):
    away = similarity_by_hand(3.1, 24, (300, -40))
    points = landmarks_with(*alignment.apply(away, alignment.template(100)))
    moved = alignment.apply(alignment.align_matrix(points, size), points)
    np.testing.assert_allclose(alignment.anchors(moved), alignment.template(size), atol=1e-8)


def test_the_frame_scales_about_pixel_edges_not_centres():
    # A point at fraction f of the side is half a pixel before f*S, whatever the size.
    np.testing.assert_allclose((alignment.template(64) + 0.5) / 64, (alignment.template(999) + 0.5) / 999)


def test_the_residual_grows_as_the_eyes_move_together_and_ignores_where_the_face_is():
    def face(narrow):
        eyes_and_mouth = alignment.template(100)
        eyes_and_mouth[:2, 0] = 50 + (eyes_and_mouth[:2, 0] - 50) * narrow
        return landmarks_with(*alignment.apply(similarity_by_hand(2.5, 70, (9, 99)), eyes_and_mouth))

    residuals = [alignment.residual(face(narrow)) for narrow in (1.0, 0.9, 0.7, 0.5)]
    assert residuals[0] < 1e-9
    assert residuals == sorted(residuals) and residuals[-1] > 0.03


def test_turning_to_either_side_is_told_by_its_sign_whatever_the_roll():
    points = landmarks_with((40, 50), (60, 50), (50, 70))
    points[[0, 16]], points[30] = [(25, 55), (75, 55)], (50, 60)
    for nose, expected in ((50, 0.0), (60, 0.4), (35, -0.6)):
        points[30, 0] = nose
        rolled = alignment.apply(similarity_by_hand(0.7, 50, (3, 4)), points)
        assert alignment.turn(rolled) == pytest.approx(expected)


def test_zooming_enlarges_about_a_fixed_point_and_one_is_the_plain_frame():
    np.testing.assert_array_equal(alignment.template(128, 1.0), alignment.template(128))
    wide, tight = alignment.template(128), alignment.template(128, 1.5)
    np.testing.assert_allclose(np.diff(tight, axis=0), 1.5 * np.diff(wide, axis=0))
    np.testing.assert_allclose(
        1.5 * wide - tight, np.tile(0.5 * np.array([0.5 * 128 - 0.5, 0.81 * 128 - 0.5]), (3, 1))
    )


def test_invert_undoes_apply():
    m = similarity_by_hand(0.3, 100, (5, 6))
    points = np.random.default_rng(3).normal(size=(4, 7, 2)) * 100
    np.testing.assert_allclose(
        alignment.apply(alignment.invert(m), alignment.apply(m, points)), points, atol=1e-9
    )


@pytest.mark.parametrize(
    ("source", "target", "says"),
    [
        (np.zeros((3, 2)), np.ones((3, 2)), "coincide"),
        (np.eye(2), np.full((2, 2), np.nan), "finite"),
        (np.zeros((3, 2)), np.zeros((4, 2)), r"\[N, 2\]"),
        (np.zeros((1, 2)), np.zeros((1, 2)), r"N >= 2"),
    ],
)
def test_points_without_a_similarity_are_refused(source, target, says):
    with pytest.raises(ValueError, match=says):
        alignment.similarity(source, target)


def test_landmarks_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"68, 2"):
        alignment.anchors(np.zeros((5, 2)))
