"""Photographs: a face is cut out, aligned like the training faces, and put back once it is completed.

face = from_photo("me.jpg", size=256)             # the largest face
completed = fc.classical.complete(face.image, mask, "telea")
photograph = face.paste(completed, mask)             # the whole photograph; only the hole has changed
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from facecomp_lib.faces import alignment, resampling
from facecomp_lib.faces.image_io import Source, read_image
from facecomp_lib.faces.resampling import Matrix, Photo
from facecomp_lib.utils.checks import (
    check_count,
    check_finite,
    check_image,
    check_landmarks,
    check_mask,
    check_range,
    check_shape,
)

if TYPE_CHECKING:
    from facecomp_lib.faces.landmarks import FoundFace

__all__ = ["Face", "align", "astronaut", "from_photo"]

_MAX_OUTSIDE = 0.25  # share of the aligned image that may lie beyond the photograph's edge without a word


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
        doubt: of the landmarks, see `landmarks.FoundFace`; 0 if they were given.
    """

    image: Tensor
    landmarks: Tensor
    inside: Tensor
    photo: Photo
    photo_landmarks: NDArray[np.float64]
    matrix: Matrix
    detector: str
    doubt: float = 0.0

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

    def paste(self, completed: Tensor, mask: Tensor | None = None, feather: float | None = None) -> Photo:
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
        return resampling.paste(self.photo, self.matrix, crop.cpu().numpy(), hole, feather)


def from_photo(source: Source, size: int = 128, landmarks: ArrayLike | None = None) -> Face:
    """Find the largest face of a photograph and align it like the course's faces.

    Another face of a group, or one that is covered, is named by its landmarks. `landmarks.detect` gives all
    faces of an image, the largest first::

        photo = read_image("group.jpg")  # from facecomp_lib.faces.image_io
        second = fc.faces.landmarks.detect(photo)[1]
        face = fc.faces.from_photo(photo, landmarks=second.landmarks)

    Args:
        source: a file name, an open file, a file's bytes, a PIL image or an array (see `read_image`).
        size: side of the aligned image in pixels; by default that of the checkpoints of the course.
        landmarks: ``[68, 2]`` in pixels of the upright photograph, iBUG order, if they are known; no detector
            is needed then.

    Raises:
        ValueError: not a usable photograph, nothing in it that is certainly a face, or unusable landmarks;
            the message says what to try.
        FileNotFoundError: no such file, or the weights for finding faces are missing.

    Warns:
        UserWarning: a large part of the aligned image lies beyond the photograph's edge, eyes and mouth do
            not lie as in a face, or the head is turned far to one side.
    """
    check_count(size, 8, "size (side of the aligned image, px)", 4096)
    photo = read_image(source)
    detector, doubt = "given", 0.0
    if landmarks is None:
        from facecomp_lib.faces.landmarks import best_detector, best_face

        detector = best_detector()
        found = best_face(photo, detector)
        if found is None or not found.trusted:
            raise ValueError(_no_face(source, photo, detector, found))
        landmarks, doubt = found.landmarks, found.doubt
    points = np.asarray(landmarks, dtype=np.float64)
    check_landmarks(points, (68, 2))
    face = replace(align(photo, points, size, detector), doubt=doubt)
    for oddity in _oddities(face):
        warnings.warn(oddity, stacklevel=2)
    return face


def align(
    photo: Photo, landmarks: NDArray[np.float64], size: int, detector: str = "given", zoom: float = 1.0
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
    crop = resampling.warp(photo, matrix, (size, size))
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


def _no_face(source: Source, photo: Photo, detector: str, found: FoundFace | None) -> str:
    from facecomp_lib.faces.landmarks import MAX_DOUBT, least_face

    name = str(source) if isinstance(source, (str, os.PathLike)) else "the photograph"
    height, width = photo.shape[:2]
    searched = f"No face found in {name} ({width} x {height} px, searched by {detector})"
    if found is not None:
        left, top, right, bottom = found.box.round().astype(int).tolist()
        searched += (
            f": what lies at ({left}, {top}) ... ({right}, {bottom}) is too doubtful "
            f"({found.doubt:.2f}; at most {MAX_DOUBT} is trusted)"
        )
    least = least_face(photo, detector)
    return (
        f"{searched}. Try a photograph where the face is uncovered, upright, looks towards the camera and is "
        f"at least {least} px wide ({least / max(height, width):.1%} of the longer side), or crop it so that "
        "the face fills a third of it; or, for a face that is covered or damaged, give its 68 points "
        "yourself: from_photo(..., landmarks=points)."
    )


def _oddities(face: Face) -> Iterator[str]:
    """Sentences on what makes this face unlike those that the methods know."""
    outside = 1 - float(face.inside.mean())
    if outside > _MAX_OUTSIDE:
        yield (
            f"{outside:.0%} of the aligned image lie beyond the photograph's edge, where its last pixels "
            "repeat (face.inside says where): take a photograph with more room around the face."
        )
    if alignment.residual(face.photo_landmarks) > alignment.MAX_RESIDUAL:
        yield "Eyes and mouth do not lie as in a face: check the landmarks, 68 points (x, y) in iBUG order."
    if abs(alignment.turn(face.photo_landmarks)) > alignment.MAX_TURN:
        yield "The head is turned far to one side: methods know faces that look towards the camera."
