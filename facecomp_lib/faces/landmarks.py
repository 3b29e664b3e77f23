"""Find faces in images, with their 68 landmarks; and measure whose face it is.

Two detectors: `face-alignment` (networks, S3FD and FAN; better in difficult poses) where its weights are
there or can be fetched, else dlib (histograms of gradients, regression trees; for nearly frontal faces).
Every face says which one found it, and how far it is to be trusted: things that look a little like a face
are found, too. All coordinates are (x, y) in pixels of the image, whole numbers at
pixel centres; landmarks are in iBUG 68-point order.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facecomp_lib import weights
from facecomp_lib.faces.alignment import MAX_RESIDUAL, anchors, residual
from facecomp_lib.faces.detectors import DETECTORS, Detector, load
from facecomp_lib.faces.schema import LANDMARK_MIRROR
from facecomp_lib.utils.checks import check_landmarks

__all__ = [
    "DETECTORS",
    "MAX_DOUBT",
    "FoundFace",
    "best_detector",
    "best_face",
    "detect",
    "identity_embedding",
    "least_face",
]

ImageLike = NDArray[np.uint8]  # [H, W, 3], RGB

MAX_DOUBT = 0.08
"""Beyond this, what was found is not taken for a face, or its landmarks are of no use."""

_SEARCH_SIDE = 1280  # faces are searched for in a copy no larger than this first
# And if there is none, at last in one no larger than this. The networks see smaller faces, and would need some
# 10 GB for a copy of 5120 px.
_FINEST_SIDE = {"dlib": 5120, "face-alignment": 2560}
_LEAST_FACE = 80  # what dlib sees, px of the copy
_SMALLEST = 32  # below this, both detectors have nothing to look at
_FACE_SIDE = 300  # landmarks are fitted in a copy where the face's box has this side


@dataclass(frozen=True, eq=False)
class FoundFace:
    """One face in an image.

    Attributes:
        box: float64 ``[4]``, left, top, right, bottom in pixels.
        landmarks: float64 ``[68, 2]``, (x, y) in pixels.
        detector: "face-alignment" or "dlib".
        doubt: how far the landmarks of the image and of its mirror image disagree on average, as a
            fraction of the distance between the eyes: 0.02 for a clear face, 0.1 and more for most things
            that are none.
    """

    box: NDArray[np.float64]
    landmarks: NDArray[np.float64]
    detector: str
    doubt: float

    @property
    def side(self) -> float:
        """The box's side in pixels (the geometric mean of width and height)."""
        width, height = self.box[2:] - self.box[:2]
        return float(np.sqrt(max(width, 0) * max(height, 0)))

    @property
    def trusted(self) -> bool:
        """Whether it is a face whose landmarks can be used."""
        return self.doubt <= MAX_DOUBT and residual(self.landmarks) <= MAX_RESIDUAL


@cache
def best_detector() -> str:
    """The best detector to be had here; may fetch weights, once per process.

    Raises:
        FileNotFoundError: neither has its weights; the message says how to bring dlib's.
    """
    if importlib.util.find_spec("face_alignment") is not None:
        try:
            weights.path("fan_detector")
            weights.path("fan_landmarks")
            return "face-alignment"
        except FileNotFoundError:
            pass  # dlib does it, too
    weights.path("dlib_landmarks")
    return "dlib"


def detect(image: ImageLike, detector: str | None = None) -> list[FoundFace]:
    """All faces that are found in an image and can be trusted, the largest first.

    Args:
        image: uint8 ``[H, W, 3]``, RGB.
        detector: one of `DETECTORS`; the best one to be had if None.

    Raises:
        ValueError: not such an image, or no such detector.
        FileNotFoundError: the detector's weights are missing; the message says what to do.
    """
    return [face for face in _search(image, detector) if face.trusted]


def best_face(image: ImageLike, detector: str | None = None) -> FoundFace | None:
    """The face that counts: the largest trusted one; or else the least doubtful find; or None.

    Args and errors as in `detect`.
    """
    return next(iter(_search(image, detector)), None)


def least_face(image: ImageLike, detector: str) -> int:
    """About how wide a face must be in this image to be found, px."""
    copies = _copies(max(image.shape[:2]), _FINEST_SIDE[detector])
    return math.ceil(_LEAST_FACE / max(scale for scale, _ in copies))


def identity_embedding(image: ImageLike, landmarks: NDArray[Any]) -> NDArray[np.float32]:
    """Whose face it is, as dlib's network sees it: 128 numbers, nearer than 0.6 for images of one person.

    Args:
        image: uint8 ``[H, W, 3]``, RGB.
        landmarks: ``[68, 2]`` in pixels of the image; the network's input is cut out by them.

    Returns:
        float32 ``[128]``, to be compared by Euclidean distance.
    """
    import dlib

    _check_image(image)
    points = np.asarray(landmarks)
    check_landmarks(points, (68, 2))
    corners = dlib.rectangle(*(int(v) for v in (*points.min(axis=0), *points.max(axis=0))))
    shape = dlib.full_object_detection(corners, [dlib.point(round(x), round(y)) for x, y in points.tolist()])
    numbers = _embedder().compute_face_descriptor(np.ascontiguousarray(image), shape)
    return np.asarray(numbers, dtype=np.float32)


@cache
def _embedder() -> Any:
    import dlib

    return dlib.face_recognition_model_v1(str(weights.path("dlib_embedding")))


def _check_image(image: ImageLike) -> None:
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.shape[2:] != (3,):
        what = f"{image.dtype} {list(image.shape)}" if isinstance(image, np.ndarray) else type(image)
        raise ValueError(
            f"The image must be a uint8 array [H, W, 3], not {what}; from_photo converts others."
        )


# ------------------------------------------------------------------------------------------- one procedure


def _search(image: ImageLike, detector: str | None) -> list[FoundFace]:
    """What is found in one copy of the image after the other, until something can be trusted.

    Returns:
        Trusted faces, the largest first; or if there are none, all other finds, the least doubtful first.
    """
    _check_image(image)
    detector = detector or best_detector()
    if detector not in DETECTORS:
        raise ValueError(f"There is no detector {detector!r}; choose one of {', '.join(DETECTORS)}.")
    fit = load(detector)
    doubtful: list[FoundFace] = []
    for scale, border in _copies(max(image.shape[:2]), _FINEST_SIDE[detector]):
        finds = []
        for box in _find_boxes(fit, image, scale, border):
            landmarks, doubt = _landmarks(fit, image, box)
            finds.append(FoundFace(box, landmarks, detector, doubt))
        if trusted := [face for face in finds if face.trusted]:
            return sorted(trusted, key=lambda face: -face.side)
        doubtful += finds
    return sorted(doubtful, key=lambda face: face.doubt)


def _copies(side: int, finest: int) -> Iterator[tuple[float, float]]:
    """Scales of the copies to search in turn, and the border around each as a share of its side.

    An image whose longer side is small is enlarged, a large one is shrunk less and less. The border helps
    with images that are cut tightly around a face.
    """
    scale = min(1.0, _SEARCH_SIDE / side)
    yield scale, 0.0
    yield 2 * scale, 0.0
    yield (2 * scale if scale == 1 else scale), 0.25
    if min(side, finest) > 2 * _SEARCH_SIDE:
        yield min(1.0, finest / side), 0.0


def _find_boxes(fit: Detector, image: ImageLike, scale: float, border: float) -> list[NDArray[np.float64]]:
    """Boxes found in a copy of the image, in pixels of the image."""
    height, width = image.shape[:2]
    copy = _resized(image, max(1, round(width * scale)), max(1, round(height * scale)))
    if min(copy.shape[:2]) < _SMALLEST:
        return []
    inner = np.array(copy.shape[1::-1] * 2)
    margin = round(border * max(copy.shape[:2]))
    copy = np.pad(copy, ((margin, margin), (margin, margin), (0, 0)), mode="edge")
    return [(box - margin + 0.5) * np.array([width, height] * 2) / inner - 0.5 for box in fit.boxes(copy)]


def _landmarks(
    fit: Detector, image: ImageLike, box: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """Landmarks and doubt, from a copy of the face at a size that suits the fitter, and its mirror image."""
    copy, origin, zoom = _face_copy(image, box)
    left, top, right, bottom = ((box.reshape(2, 2) - origin + 0.5) * zoom - 0.5).ravel()
    last = copy.shape[1] - 1
    plain = fit.landmarks(copy, np.array([left, top, right, bottom]))
    mirror_image = np.ascontiguousarray(copy[:, ::-1])
    mirrored = fit.landmarks(mirror_image, np.array([last - right, top, last - left, bottom]))
    mirrored = mirrored[LANDMARK_MIRROR] * (-1, 1) + (last, 0)
    both = (plain + mirrored) / 2
    one_eye, other_eye, _ = anchors(both)
    doubt = np.linalg.norm(plain - mirrored, axis=1).mean() / max(np.linalg.norm(one_eye - other_eye), 1e-6)
    return (both + 0.5) / zoom - 0.5 + origin, float(doubt)


def _face_copy(
    image: ImageLike, box: NDArray[np.float64]
) -> tuple[ImageLike, NDArray[np.float64], NDArray[np.float64]]:
    """The box with half its side around it, resized; with the crop's origin and its zoom for x and y."""
    side = max(*(box[2:] - box[:2]), 1.0)
    x0, y0 = np.floor(box[:2] - side / 2).astype(int)
    x1, y1 = np.ceil(box[2:] + side / 2).astype(int) + 1
    height, width = image.shape[:2]
    outside = ((max(-y0, 0), max(y1 - height, 0)), (max(-x0, 0), max(x1 - width, 0)), (0, 0))
    crop = np.pad(image[max(y0, 0) : y1, max(x0, 0) : x1], outside, mode="edge")
    scale = _FACE_SIDE / side
    copy = _resized(crop, round(crop.shape[1] * scale), round(crop.shape[0] * scale))
    zoom = np.array([copy.shape[1] / crop.shape[1], copy.shape[0] / crop.shape[0]])
    return copy, np.array([x0, y0], dtype=np.float64), zoom


def _resized(image: ImageLike, width: int, height: int) -> ImageLike:
    if (height, width) == image.shape[:2]:
        return image
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))
