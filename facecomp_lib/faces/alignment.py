"""The aligned frame: where eyes and mouth sit in every face image of the course.

Rendered faces, photographs and full-size data sets share this frame. Positions are measured on
CelebA-HQ portraits, as fractions of the image's side; a photograph is brought here by a similarity
transform (rotation, one scale, shift), so faces keep their proportions.

Coordinates are (x, y) pixels whose integer values are pixel centres: fraction ``f`` of a side of ``S``
pixels lies at ``f * S - 0.5``. Only numpy is needed here.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facecomp_lib.utils.checks import check_landmarks

Points = NDArray[np.float64]

#: Image-left eye, image-right eye and the centre between the mouth corners, fractions of the side.
TEMPLATE = np.array([[0.378, 0.481], [0.621, 0.480], [0.499, 0.736]])

MAX_RESIDUAL = 0.04
"""Largest misfit (`residual`) of eyes and mouth in a face as the methods know them."""

MAX_TURN = 0.8
"""Largest `turn` of the head to either side: some 45 degrees."""

# Zooming keeps this point, below the mouth, in its place: so the face stays and hair and background leave.
_ZOOM_CENTRE = np.array([0.5, 0.81])

_IMAGE_LEFT_EYE = slice(36, 42)  # the subject's right eye, iBUG 68-point order
_IMAGE_RIGHT_EYE = slice(42, 48)
_MOUTH_CORNERS = [48, 54]


def anchors(landmarks: ArrayLike) -> Points:
    """The three points that alignment uses: both eye centres and the mouth-corner centre.

    Args:
        landmarks: array ``[..., 68, 2]``, iBUG order, any coordinates.

    Returns:
        float64 ``[..., 3, 2]`` in the same coordinates: image-left eye, image-right eye, mouth.
    """
    landmarks = np.asarray(landmarks, dtype=np.float64)
    check_landmarks(landmarks, ("...", 68, 2), finite=False)
    parts = (_IMAGE_LEFT_EYE, _IMAGE_RIGHT_EYE, _MOUTH_CORNERS)
    return np.stack([landmarks[..., part, :].mean(axis=-2) for part in parts], axis=-2)


def template(size: float, zoom: float = 1.0) -> Points:
    """Where the three anchors belong in an aligned image: float64 ``[3, 2]``, px.

    Args:
        size: side of the aligned image, px.
        zoom: 1 is the course's frame. A larger number cuts tighter around the face, for sources that hold
            little else: 1.55 shows it from brows to chin. Faces of another zoom are another kind of image.
    """
    return ((TEMPLATE - _ZOOM_CENTRE) * zoom + _ZOOM_CENTRE) * size - 0.5


def similarity(source: ArrayLike, target: ArrayLike) -> Points:
    """The similarity transform that brings ``source`` nearest to ``target`` in least squares.

    Args:
        source, target: arrays ``[N, 2]``, N >= 2, matching points.

    Returns:
        float64 ``[2, 3]``: ``target ~= source @ m[:, :2].T + m[:, 2]``; never a reflection.

    Raises:
        ValueError: shapes differ, a value is not finite, or all source points are one point.
    """
    source, target = np.asarray(source, dtype=np.float64), np.asarray(target, dtype=np.float64)
    if source.shape != target.shape or source.ndim != 2 or source.shape[1] != 2 or len(source) < 2:
        raise ValueError(
            f"similarity needs two arrays [N, 2] with N >= 2, got {list(source.shape)} "
            f"and {list(target.shape)}."
        )
    if not (np.isfinite(source).all() and np.isfinite(target).all()):
        raise ValueError("similarity needs finite points; some coordinates are NaN or infinite.")
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    # A rotation with scale is one complex factor, and least squares for one factor is a ratio.
    s = (source - source_mean) @ [1, 1j]
    t = (target - target_mean) @ [1, 1j]
    spread = np.vdot(s, s).real
    if spread <= 1e-12 * max(1.0, np.abs(source).max()) ** 2:
        raise ValueError("similarity needs points that differ: all source points coincide.")
    factor = np.vdot(s, t) / spread
    linear = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    return np.column_stack([linear, target_mean - linear @ source_mean])


def align_matrix(landmarks: ArrayLike, size: float, zoom: float = 1.0) -> Points:
    """The ``[2, 3]`` similarity from image pixels to the aligned frame of ``size`` pixels.

    Args:
        landmarks: ``[68, 2]`` in pixels of the image.
        size: side of the aligned image, px.
        zoom: see `template`.
    """
    return similarity(anchors(landmarks), template(size, zoom))


def residual(landmarks: ArrayLike) -> float:
    """How badly a face fits the frame: root mean square distance of its aligned anchors from the template.

    A fraction of the side: below 0.02 for most portraits, beyond `MAX_RESIDUAL` landmarks or pose are odd.

    Args:
        landmarks: ``[68, 2]``, any coordinates.
    """
    off = apply(align_matrix(landmarks, 1.0), anchors(landmarks)) - template(1.0)
    return float(np.sqrt(np.square(off).sum(axis=1).mean()))


def turn(landmarks: ArrayLike) -> float:
    """How far the head is turned to the side, by where the nose's tip lies between the jaw line's ends.

    0 from the front, positive when the face turns to the image right, about 0.75 at 45 degrees, 1 and more
    when the nose hides the far cheek.

    Args:
        landmarks: ``[68, 2]``, any coordinates.
    """
    points = np.asarray(landmarks, dtype=np.float64)
    left_eye, right_eye, _ = anchors(points)
    along = (right_eye - left_eye) / max(float(np.linalg.norm(right_eye - left_eye)), 1e-9)
    left, tip, right = points[[0, 30, 16]] @ along
    return float((2 * tip - left - right) / max(abs(right - left), 1e-9))


def invert(matrix: ArrayLike) -> Points:
    """The inverse of a ``[2, 3]`` affine transform, as ``[2, 3]``."""
    matrix = np.asarray(matrix, dtype=np.float64)
    linear = np.linalg.inv(matrix[:, :2])
    return np.column_stack([linear, -linear @ matrix[:, 2]])


def apply(matrix: ArrayLike, points: ArrayLike) -> Points:
    """Move ``points`` ``[..., 2]`` by a ``[2, 3]`` affine transform; float64, same shape."""
    matrix, points = np.asarray(matrix, dtype=np.float64), np.asarray(points, dtype=np.float64)
    return points @ matrix[:, :2].T + matrix[:, 2]
