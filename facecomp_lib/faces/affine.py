"""Affine transforms of faces, labels included. A transform that turns the image over mirrors the face."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from facecomp_lib.faces.schema import LANDMARK_MIRROR, PARSING_MIRROR, FaceBatch

__all__ = ["apply_affine", "apply_affine_labels", "inverse", "mirrors"]

Matrices = NDArray[np.float64]  # [B, 2, 3], from old to new pixel coordinates
Size = tuple[int, int]  # height, width


def apply_affine(batch: FaceBatch, matrix: Matrices, size: Size) -> FaceBatch:
    """Move faces, on any device.

    Images are interpolated bilinearly, parsing comes from the nearest pixel; beyond the border they go on as
    their reflection.

    Args:
        batch: B faces.
        matrix: ``[B, 2, 3]``; a similarity, or one after mirroring, where pose and lamps are concerned.
        size: height and width of the new images.
    """
    grid = _source_grid(batch.image, matrix, size)
    changes: dict[str, Any] = {"image": _sample(batch.image, grid)}
    if batch.parsing is not None:
        classes = batch.parsing[:, None].to(batch.image.dtype)  # [B, 1, H, W]
        labels = _sample(classes, grid, "nearest")[:, 0].long()  # [B, h, w]
        mirrored = torch.as_tensor(mirrors(matrix), device=batch.device)[:, None, None]
        swap = torch.as_tensor(PARSING_MIRROR, device=batch.device)
        changes["parsing"] = torch.where(mirrored, swap[labels], labels)
    if batch.light_ratio is not None:
        changes["light_ratio"] = _sample(batch.light_ratio, grid)
    if batch.mirror_flow is not None:
        changes["mirror_flow"], changes["mirror_valid"] = _warp_flow(batch, matrix, grid, size)
    return batch.replace(**changes, **apply_affine_labels(vars(batch), matrix))


def apply_affine_labels(labels: Mapping[str, Any], matrix: Matrices) -> dict[str, Tensor]:
    """Move landmarks, pose and lamps, as far as they are known, with their images."""
    mirrored = mirrors(matrix)
    side = np.where(mirrored, -1.0, 1.0)
    angle = np.arctan2(side * matrix[:, 1, 0], side * matrix[:, 0, 0])  # clockwise on the screen
    changes: dict[str, Tensor] = {}
    if (landmarks := labels.get("landmarks")) is not None:
        points = _apply(matrix, landmarks)
        partners = torch.as_tensor(LANDMARK_MIRROR, device=points.device)
        swapped = torch.as_tensor(mirrored, device=points.device)[:, None, None]
        changes["landmarks"] = torch.where(swapped, points[:, partners], points)
    if (pose := labels.get("pose")) is not None:
        changes["pose"] = pose * _like(np.array([side, 0 * side + 1, side]).T, pose)
        changes["pose"][:, 2] += _like(np.rad2deg(angle), pose)
    if (lamps := labels.get("lamps")) is not None:
        changes["lamps"] = _turn_lamps(lamps, side, angle)
    return changes


def mirrors(matrix: Matrices) -> NDArray[np.bool_]:
    """Which transforms turn the image over: ``[B]``."""
    return matrix[:, 0, 0] * matrix[:, 1, 1] < matrix[:, 0, 1] * matrix[:, 1, 0]


def inverse(matrix: Matrices) -> Matrices:
    """The transforms from new to old pixel coordinates: ``[B, 2, 3]``."""
    inner = np.linalg.inv(matrix[:, :, :2])
    return np.concatenate([inner, -inner @ matrix[:, :, 2:]], -1)


def _source_grid(image: Tensor, matrix: Matrices, size: Size) -> Tensor:
    """Where each new pixel comes from: ``[B, h, w, 2]`` in [-1, 1] for ``grid_sample``."""
    halves = [(np.array([width, height]) - 1) / 2 for height, width in (image.shape[2:], size)]
    back = inverse(matrix)
    centre = back[:, :, 2] + back[:, :, :2] @ halves[1]  # where the new centre comes from
    back[:, :, 2] = centre / halves[0] - 1
    back[:, :, :2] *= halves[1] / halves[0][:, None]
    theta = torch.as_tensor(back, dtype=image.dtype, device=image.device)
    return F.affine_grid(theta, [len(image), 1, *size], align_corners=True)


def _sample(values: Tensor, grid: Tensor, mode: str = "bilinear") -> Tensor:
    return F.grid_sample(values, grid, mode=mode, padding_mode="reflection", align_corners=True)


def _warp_flow(batch: FaceBatch, matrix: Matrices, grid: Tensor, size: Size) -> tuple[Tensor, Tensor]:
    """The flow of the moved faces: un-flip each target, move it like the image, flip it there."""
    assert batch.mirror_flow is not None and batch.mirror_valid is not None
    height, width = batch.size
    layers = torch.cat([batch.mirror_flow, batch.mirror_valid[..., None].to(grid)], -1)  # [B, H, W, 3]
    layers = _sample(layers.permute(0, 3, 1, 2), grid).permute(0, 2, 3, 1)  # [B, h, w, 3]
    inside = (grid.abs() <= 1).all(-1)
    valid = inside & (layers[..., 2] > 0.999)  # no invalid neighbour took part in the interpolation
    half = layers.new_tensor([(width - 1) / 2, (height - 1) / 2])
    target = (layers[..., :2] * layers.new_tensor([-1.0, 1.0]) + 1) * half  # the partner, in old pixels
    target = _apply(matrix, target.flatten(1, 2)).reshape(target.shape)  # [B, h, w, 2]
    new_half = layers.new_tensor([(size[1] - 1) / 2, (size[0] - 1) / 2])
    flow = (target / new_half - 1) * layers.new_tensor([-1.0, 1.0])
    valid = valid & (flow.abs() <= 1).all(-1)
    return torch.where(valid[..., None], flow, _pixels(size, flow) / new_half - 1), valid


def _pixels(size: Size, like: Tensor) -> Tensor:
    """The (x, y) of each pixel, ``[h, w, 2]``."""
    ys, xs = (torch.arange(side, dtype=like.dtype, device=like.device) for side in size)
    return torch.stack(torch.meshgrid(xs, ys, indexing="xy"), -1)


def _apply(matrix: Matrices, points: Tensor) -> Tensor:
    """Move points ``[B, N, 2]`` by ``[B, 2, 3]``."""
    move = torch.as_tensor(matrix, dtype=points.dtype, device=points.device)
    return points @ move[:, :, :2].transpose(1, 2) + move[:, None, :, 2]


def _turn_lamps(lamps: Tensor, side: NDArray[np.float64], angle: NDArray[np.float64]) -> Tensor:
    """The lamps' x times ``side``, then turned clockwise on the screen; their y points up."""
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos * side, -sin * side], [sin, cos]]).transpose(2, 0, 1)  # [B, (x, y), new (x, y)]
    return torch.cat([lamps[..., :2] @ _like(turn, lamps), lamps[..., 2:]], -1)


def _like(values: NDArray[Any], tensor: Tensor) -> Tensor:
    return torch.as_tensor(values).to(tensor)
