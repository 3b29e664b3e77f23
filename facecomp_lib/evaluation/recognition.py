"""Is it still the same person? Distances and recognition by dlib's 128-D face embedding. Lesson 02 uses them.

gfc (section 4.3) measures completions by the embedding of OpenFace; dlib's takes its place here. Its
distances are Euclidean, 0.4 on average between two photographs of one person and 0.8 between two persons'
(Labeled Faces in the Wild), and dlib's authors call faces nearer than 0.6 the same. Numbers of the two
embeddings must not be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from facecomp_lib.evaluation._checks import check_images, check_pair
from facecomp_lib.utils.checks import check_landmarks

__all__ = ["face_embedding", "identity_distance", "recognition"]


@torch.no_grad()
def face_embedding(image: Tensor, landmarks: Tensor | None) -> Tensor:
    """Whose face each image shows, as dlib's network sees it.

    Args:
        image: float ``[B, 3, H, W]``, RGB in [0, 1]; rounded to 8 bits.
        landmarks: ``[B, 68, 2]`` in pixels: the network's input is cut out by them.

    Returns:
        float32 ``[B, 128]`` on the image's device (the network runs on the CPU).

    Raises:
        ValueError: images or landmarks of another kind. FileNotFoundError: dlib's weights are missing.
    """
    from facecomp_lib.faces.landmarks import identity_embedding

    check_images(image, "image")
    if landmarks is None:
        raise ValueError("Measuring identity needs landmarks, to cut the faces out: these faces have none.")
    check_landmarks(landmarks, (len(image), 68, 2), finite=False, tensor=True)
    images = (image.clamp(0, 1).float() * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    points = landmarks.detach().double().cpu().numpy()
    rows = [
        torch.from_numpy(identity_embedding(image, own)) for image, own in zip(images, points, strict=True)
    ]
    return torch.stack(rows).to(image.device) if rows else image.new_zeros(0, 128, dtype=torch.float32)


def identity_distance(prediction: Tensor, target: Tensor, landmarks: Tensor | None) -> Tensor:
    """Euclidean distance between the embeddings of completed and true face, ``[B]``; less is better.

    Args:
        prediction, target: float ``[B, 3, H, W]``, RGB in [0, 1]; give the composite; it is clamped.
        landmarks: ``[B, 68, 2]`` of the **true** face: both images are cut out by them, so that the
            distance is the images' alone.

    Raises:
        ValueError, FileNotFoundError: as :func:`face_embedding`.
    """
    check_pair(prediction, target)
    return (face_embedding(prediction.clamp(0, 1), landmarks) - face_embedding(target, landmarks)).norm(dim=1)


def recognition(
    gallery: Tensor,
    gallery_identity: Tensor,
    probe: Tensor,
    probe_identity: Tensor,
    top: Sequence[int] = (1, 3, 5),
) -> dict[str, Tensor]:
    """Top-K recognition: is an image of the same person among the K gallery images nearest to a probe?

    gfc, section 4.4 and figure 11: the gallery holds true images, the probes are other images of the same
    people, true (the upper bound) or completed. The accuracy is the mean over the probes.

    Args:
        gallery, probe: embeddings ``[G, D]`` and ``[P, D]``, compared by Euclidean distance.
        gallery_identity, probe_identity: whole numbers ``[G]`` and ``[P]``, equal for images of one person.
        top: the values of K.

    Returns:
        ``"top1"``, ``"top3"`` ...: float ``[P]``, 1 where the probe was recognised, else 0.

    Raises:
        ValueError: shapes that do not fit, a probe whose person is not in the gallery, K beyond the gallery.
    """
    _check_people(gallery, gallery_identity, "gallery")
    _check_people(probe, probe_identity, "probe")
    if gallery.shape[1] != probe.shape[1]:
        raise ValueError(
            "gallery and probe must be of one embedding, "
            f"not of {gallery.shape[1]} and {probe.shape[1]} numbers."
        )
    strangers = ~torch.isin(probe_identity, gallery_identity)
    if bool(strangers.any()):
        person = probe_identity[strangers][0].item()
        raise ValueError(f"The gallery has no image of person {person}: no probe of them can be found.")
    if not top or min(top) < 1 or max(top) > len(gallery):
        raise ValueError(f"top must lie in 1 ... {len(gallery)}, the gallery's size, not {list(top)}.")
    distance = torch.cdist(probe.double(), gallery.double())  # [P, G]
    nearest = distance.argsort(dim=1, stable=True)[:, : max(top)]
    right = gallery_identity[nearest] == probe_identity[:, None]  # [P, K]
    return {f"top{k}": right[:, :k].any(1).float() for k in top}


def _check_people(embedding: Any, identity: Any, name: str) -> None:
    if not isinstance(embedding, Tensor) or embedding.ndim != 2 or not len(embedding):
        shape = list(embedding.shape) if isinstance(embedding, Tensor) else type(embedding).__name__
        raise ValueError(f"{name} must hold embeddings [N, D], N at least 1, not {shape}.")
    if not isinstance(identity, Tensor) or tuple(identity.shape) != (len(embedding),):
        shape = list(identity.shape) if isinstance(identity, Tensor) else type(identity).__name__
        raise ValueError(f"{name}_identity must be [{len(embedding)}], one number per image, not {shape}.")
    if not bool(embedding.isfinite().all()):
        raise ValueError(f"{name} has NaN or infinite embeddings.")
