"""Photographs: a face is cut out, aligned like the training faces, and put back once it is completed.

face = from_photo("me.jpg", size=256)             # the largest face
completed = fc.classical.complete(face.image, mask, "telea")
photograph = face.paste(completed, mask)             # the whole photograph; only the hole has changed
"""

from __future__ import annotations

import json
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from facecomp_lib.faces import alignment
from facecomp_lib.faces.image_io import Source, read_image
from facecomp_lib.utils.checks import (
    check_count,
    check_finite,
    check_image,
    check_landmarks,
    check_mask,
    check_range,
    check_shape,
)

__all__ = ["Face", "align", "astronaut", "from_photo"]

_Photo: TypeAlias = NDArray[np.uint8]
_Matrix: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Face:
    """An aligned face and the way back to its photograph.

    Attributes:
        image: float32 ``[1, 3, S, S]``, RGB in [0, 1]; beyond the photograph's edge its last pixels repeat.
        landmarks: float32 ``[1, 68, 2]``, (x, y) in pixels of ``image``.
        inside: float32 ``[1, 1, S, S]``, 1 where the photograph reaches, 0 beyond its edge.
        photo: uint8 ``[H, W, 3]``, the whole photograph, upright.
        photo_landmarks: float64 ``[68, 2]`` in pixels of ``photo``.
        matrix: float64 ``[2, 3]``, from pixels of ``photo`` to pixels of ``image``.
        detector: what found the landmarks: "face-alignment", "dlib", or "given".
    """

    image: Tensor
    landmarks: Tensor
    inside: Tensor
    photo: _Photo
    photo_landmarks: NDArray[np.float64]
    matrix: _Matrix
    detector: str

    def __getattr__(self, name: str) -> Any:
        if name in ("picture", "picture_landmarks"):
            today = name.replace("picture", "photo")
            warnings.warn(f"{name} of a Face is called {today} now.", FutureWarning, stacklevel=2)
            return getattr(self, today)
        raise AttributeError(f"A Face has no attribute {name!r}.")

    @property
    def size(self) -> int:
        """Side of the aligned image in pixels."""
        return int(self.image.shape[-1])

    def paste(self, completed: Tensor, mask: Tensor | None = None, feather: float | None = None) -> _Photo:
        """The photograph with a completed crop put back where the hole was.

        Known pixels of the photograph stay as they are, bit for bit: what falls on a known pixel of the mask
        is not touched. Inside the hole the seam is feathered: it starts from the known colours around it and
        goes over to the completed crop. What was under the hole has no influence.

        Args:
            completed: float ``[1, 3, S, S]``, RGB in [0, 1].
            mask: ``[1, 1, S, S]``, 1 = known, 0 = hole; by default the hole is the whole crop.
            feather: width of the seam in pixels of the crop, 0 for a hard seam; by default S / 64.

        Returns:
            uint8 ``[H, W, 3]``, a new array.

        Raises:
            ValueError: shapes do not fit, values are not finite, or the feather is negative.
        """
        check_image(completed, "completed")
        check_shape(completed, (1, 3, self.size, self.size), "completed")
        check_finite(completed, "completed")
        if mask is None:
            hole = np.ones((self.size, self.size), dtype=np.uint8)
        else:
            mask = torch.as_tensor(mask).to(completed)
            check_mask(mask, completed, "completed")
            hole = (mask[0, 0].cpu().numpy() == 0).astype(np.uint8)  # [S, S]
        if feather is None:
            feather = self.size / 64
        check_range(feather, 0, np.inf, "feather", " px")
        crop = completed.detach()[0].permute(1, 2, 0).float().clamp(0, 1)  # [S, S, 3]
        return _paste(self.photo, self.matrix, crop.cpu().numpy(), hole, feather)


def from_photo(source: Source, size: int = 128, landmarks: ArrayLike | None = None) -> Face:
    """Find the largest face of a photograph and align it like the course's faces.

    Args:
        source: a file name, an open file, a file's bytes, a PIL image or an array (see `read_image`).
        size: side of the aligned image in pixels; by default that of the checkpoints of the course.
        landmarks: ``[68, 2]`` in pixels of the upright photograph, iBUG order, if they are known; no detector
            is needed then.

    Raises:
        ValueError: not a usable photograph, no face in it, or unusable landmarks; the message says what to
            try.
        FileNotFoundError: no such file, or the weights for finding faces are missing.
    """
    check_count(size, 8, "size (side of the aligned image, px)", 4096)
    photo = read_image(source)
    detector = "given"
    if landmarks is None:
        from facecomp_lib.faces.landmarks import best_detector, detect

        detector = best_detector()
        faces = detect(photo, detector)
        if not faces:
            raise ValueError(_no_face(source, photo, detector))
        landmarks = faces[0].landmarks
    points = np.asarray(landmarks, dtype=np.float64)
    check_landmarks(points, (68, 2))
    return align(photo, points, size, detector)


def align(
    photo: _Photo, landmarks: NDArray[np.float64], size: int, detector: str = "given", zoom: float = 1.0
) -> Face:
    """The face with these landmarks in the aligned frame; antialiased where the photograph is larger.

    Args:
        photo: uint8 ``[H, W, 3]``.
        landmarks: float64 ``[68, 2]`` in pixels of the photograph.
        size: side of the aligned image in pixels.
        detector: where the landmarks come from.
        zoom: above 1 cuts tighter than the course's frame, see `alignment.template`.
    """
    matrix = alignment.align_matrix(landmarks, size, zoom)
    corners = np.array([[-0.5, -0.5], [size - 0.5, -0.5], [-0.5, size - 0.5], [size - 0.5, size - 0.5]])
    reach = alignment.apply(alignment.invert(matrix), corners)
    height, width = photo.shape[:2]
    if (reach.max(axis=0) < 0).any() or (reach.min(axis=0) > (width - 1, height - 1)).any():
        raise ValueError("The landmarks lie outside the photograph: they must be in its pixels, (x, y).")
    crop = _warp(photo, matrix, (size, size))
    grid = alignment.apply(alignment.invert(matrix), np.stack(np.meshgrid(range(size), range(size)), axis=-1))
    inside = ((grid >= -0.5) & (grid <= (width - 0.5, height - 0.5))).all(axis=-1)
    return Face(
        image=torch.from_numpy(crop).permute(2, 0, 1)[None].float() / 255,
        landmarks=torch.from_numpy(alignment.apply(matrix, landmarks)).float()[None],
        inside=torch.from_numpy(inside).float()[None, None],
        photo=photo,
        photo_landmarks=landmarks,
        matrix=matrix,
        detector=detector,
    )


def astronaut(size: int = 128) -> Face:
    """Eileen Collins' portrait (NASA, public domain; inside scikit-image), aligned by landmarks that we ship.

    Needs neither network nor detector.
    """
    from skimage import data

    file = Path(__file__).parent / "data" / "astronaut_landmarks.json"
    landmarks = json.loads(file.read_text(encoding="utf-8"))["landmarks"]
    return from_photo(data.astronaut(), size=size, landmarks=landmarks)


def _no_face(source: Source, photo: _Photo, detector: str) -> str:
    name = str(source) if isinstance(source, (str, os.PathLike)) else "the photograph"
    height, width = photo.shape[:2]
    return (
        f"No face found in {name} ({width} x {height} px, searched by {detector}). Try a photograph where "
        "the face is upright, looks towards the camera and is at least 40 px wide, or crop it so that the "
        "face fills a third of it; or give 68 points yourself: from_photo(..., landmarks=points)."
    )


# ----------------------------------------------------------------------------------------- there and back


def _warp(photo: NDArray[Any], matrix: _Matrix, shape: tuple[int, int]) -> NDArray[Any]:
    """Resample ``photo`` by a similarity: pixel p of the photograph lands on ``matrix`` applied to p.

    Where the photograph shrinks, it is first resampled on a grid fine enough for its pixels and then
    averaged, so that nothing aliases whatever the angle. Beyond the edge, the last pixels are repeated.

    Args:
        photo: ``[H, W, C]`` uint8 or float32.
        matrix: ``[2, 3]``.
        shape: height and width of the result.
    """
    import cv2

    scale = np.sqrt(np.linalg.det(matrix[:, :2]))
    fine = max(1, int(np.ceil(1 / scale - 1e-9)))
    finer = matrix * fine
    finer[:, 2] += (fine - 1) / 2  # pixel centres: x' = (x + 0.5) * fine - 0.5
    height, width = shape
    cut, origin = _needed_part(photo, finer, height * fine, width * fine)
    finer[:, 2] += finer[:, :2] @ origin
    how = cv2.INTER_CUBIC if fine == 1 and scale > 1 else cv2.INTER_LINEAR
    result = cv2.warpAffine(
        cut, finer, (width * fine, height * fine), flags=how, borderMode=cv2.BORDER_REPLICATE
    )
    if fine > 1:
        result = cv2.resize(result, (width, height), interpolation=cv2.INTER_AREA)
    return result.reshape(height, width, -1)


def _needed_part(
    photo: NDArray[Any], matrix: _Matrix, height: int, width: int
) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """The part of the photograph that lands in a result of this size, with a margin; and its top left
    corner."""
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]], dtype=np.float64)
    reach = alignment.apply(alignment.invert(matrix), corners)
    limits = np.array(photo.shape[1::-1])
    low = np.clip(np.floor(reach.min(axis=0)).astype(int) - 4, 0, limits - 1)
    high = np.clip(np.ceil(reach.max(axis=0)).astype(int) + 5, low + 1, limits)
    return np.ascontiguousarray(photo[low[1] : high[1], low[0] : high[0]]), low.astype(np.float64)


def _paste(photo: _Photo, matrix: _Matrix, crop: NDArray[np.float32], hole: _Photo, feather: float) -> _Photo:
    """See `Face.paste`; works on the part of the photograph around the hole."""
    import cv2

    result = photo.copy()
    scale = np.sqrt(np.linalg.det(matrix[:, :2]))
    width = feather / scale  # of the seam, in pixels of the photograph
    window = _hole_window(matrix, hole, photo.shape, margin=int(np.ceil(2 * width)) + 2)
    if window is None:
        return result
    rows, columns = window
    origin = np.array([columns.start, rows.start])
    shape = (rows.stop - rows.start, columns.stop - columns.start)
    to_crop = matrix.copy()
    to_crop[:, 2] += matrix[:, :2] @ origin

    nearest = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    missing = cv2.warpAffine(
        hole, to_crop, shape[::-1], flags=nearest, borderMode=cv2.BORDER_CONSTANT, borderValue=0
    )
    new = _warp(crop, alignment.invert(to_crop), shape) * 255
    if width > 0:
        around, weight = _known_colours(photo[rows, columns], missing, width)
        depth = cv2.distanceTransform(missing, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        seam = np.clip(1 - depth / (width + 1), 0, 1) * weight
        new += seam[..., None] * (around - new)
    changed = missing.astype(bool)
    result[rows, columns][changed] = new[changed].round().clip(0, 255).astype(np.uint8)
    return result


def _hole_window(
    matrix: _Matrix, hole: _Photo, shape: tuple[int, ...], margin: int
) -> tuple[slice, slice] | None:
    """Rows and columns of the photograph that hold the hole and a margin; None if the hole is not in it."""
    ys, xs = np.nonzero(hole)
    if not len(xs):
        return None
    corners = [(x, y) for x in (xs.min() - 0.5, xs.max() + 0.5) for y in (ys.min() - 0.5, ys.max() + 0.5)]
    reach = alignment.apply(alignment.invert(matrix), np.array(corners))
    low = np.maximum(np.floor(reach.min(axis=0)).astype(int) - margin, 0)
    high = np.minimum(np.ceil(reach.max(axis=0)).astype(int) + margin + 1, shape[1::-1])
    if (low >= high).any():
        return None
    return slice(low[1], high[1]), slice(low[0], high[0])


def _known_colours(part: _Photo, missing: NDArray[Any], width: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """The known pixels' colours, spread into the hole, and how much they are worth there (0 ... 1)."""
    import cv2

    def spread(values: NDArray[Any]) -> NDArray[Any]:
        side = (
            2 * int(np.ceil(width / 2)) + 1
        )  # two box blurs: a tent, at a cost that the width doesn't change
        once = cv2.blur(values, (side, side), borderType=cv2.BORDER_REPLICATE)
        return cv2.blur(once, (side, side), borderType=cv2.BORDER_REPLICATE)

    known = (1 - missing).astype(np.float32)
    weight = spread(known)
    return spread(part * known[..., None]) / np.maximum(weight, 1e-4)[..., None], np.clip(weight * 20, 0, 1)
