"""Augmentation of a whole batch at once: picture and labels by the same flip and affine transform."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from facecomp_lib.faces.schema import FaceBatch

__all__ = ["Augment"]

_DRAWS = ("flip", "x", "y", "angle", "scale", "brightness", "contrast", "left", "top")


@dataclass(frozen=True)
class Augment:
    """Random flip, shift, rotation, scale, crop, brightness, contrast: ``augment(batch, seed, step, index)``.

    Picture, parsing, landmarks, pose, lamps, light ratio and mirror flow move together: bilinear for
    pictures, nearest for parsing, exact for landmarks. What lies outside the picture is its reflection at
    the border, in picture and parsing alike; there ``mirror_valid`` is false. The mirror flow is resampled
    and its targets move with the picture; valid are pixels whose partner stays inside. A contrast change
    makes the light ratio ``None``, because it is no ratio any more (brightness multiplies both sides and
    keeps it).

    The draw of a face depends on (seed, step, its index) alone, not on its neighbours, workers or processes;
    a switched-off kind of change does not alter the other draws.

    Attributes:
        flip: probability of mirroring.
        shift: largest move in x and in y, as a share of the side.
        rotate: largest angle in degrees, either way about the centre.
        scale: sizes between 1 / (1 + scale) and 1 + scale, evenly in their logarithm.
        brightness: factors between 1 - brightness and 1 + brightness.
        contrast: the same, about the mean of each picture.
        crop: side in pixels of a random window that is cut out, by default none.
        resize_crop: bring the window back to the size of the picture.

    Raises:
        ValueError: a value out of range.
    """

    flip: float = 0.5
    shift: float = 0.05
    rotate: float = 15.0
    scale: float = 0.1
    brightness: float = 0.1
    contrast: float = 0.1
    crop: int | None = None
    resize_crop: bool = False

    def __post_init__(self) -> None:
        limits = {"flip": 1, "shift": 1, "rotate": 180, "scale": 1, "brightness": 1, "contrast": 1}
        for name, most in limits.items():
            if not 0 <= getattr(self, name) <= most:
                raise ValueError(f"{name} must lie in 0 ... {most}, not {getattr(self, name)}.")
        if self.crop is not None and self.crop < 2:
            raise ValueError(f"crop must be None or at least 2 px, not {self.crop}.")

    def __call__(
        self, batch: FaceBatch, seed: int = 0, step: int = 0, index: ArrayLike | None = None
    ) -> FaceBatch:
        """The batch changed at random.

        Args:
            batch: on any device.
            seed, step: not negative; another step gives other draws.
            index: whole numbers ``[B]`` that name the faces, by default their places in the batch.
        """
        draws = _draws(seed, step, np.arange(len(batch)) if index is None else np.asarray(index), len(batch))
        if self.flip:
            batch = batch.mirror(torch.as_tensor(draws["flip"] < self.flip, device=batch.device))
        if self.shift or self.rotate or self.scale or self.crop is not None:
            batch = self._move(batch, draws)
        return self._relight(batch, draws)

    def _move(self, batch: FaceBatch, draws: dict[str, NDArray[np.float64]]) -> FaceBatch:
        height, width = batch.size
        angle = np.deg2rad(_spread(draws["angle"], self.rotate))
        factor = np.exp(_spread(draws["scale"], np.log1p(self.scale)))
        matrix = _about(angle, factor, (width - 1) / 2, (height - 1) / 2)
        matrix[:, 0, 2] += _spread(draws["x"], self.shift) * width
        matrix[:, 1, 2] += _spread(draws["y"], self.shift) * height
        size = height, width
        if self.crop is not None:
            matrix, size = self._cropped(matrix, size, draws)
        return warp(batch, matrix, size)

    def _cropped(
        self, matrix: NDArray[np.float64], size: tuple[int, int], draws: dict[str, NDArray[np.float64]]
    ) -> tuple[NDArray[np.float64], tuple[int, int]]:
        height, width = size
        side = self.crop or 0
        if side > min(size):
            raise ValueError(f"crop={side} does not fit into faces of {height}x{width} px: make it smaller.")
        matrix[:, 0, 2] -= np.floor(draws["left"] * (width - side + 1))
        matrix[:, 1, 2] -= np.floor(draws["top"] * (height - side + 1))
        if not self.resize_crop:
            return matrix, (side, side)
        factors = np.array([width / side, height / side])  # x -> (x + 0.5) * factor - 0.5
        matrix *= factors[:, None]
        matrix[:, :, 2] += (factors - 1) / 2
        return matrix, size

    def _relight(self, batch: FaceBatch, draws: dict[str, NDArray[np.float64]]) -> FaceBatch:
        if not (self.brightness or self.contrast):
            return batch
        image = batch.image
        gain = _column(1 + _spread(draws["brightness"], self.brightness), image)
        slope = _column(1 + _spread(draws["contrast"], self.contrast), image)
        pivot = image.mean((1, 2, 3), keepdim=True) if self.contrast else 0
        image = (image * (gain * slope)).add_(pivot * gain * (1 - slope)).clamp_(0, 1)
        return batch.replace(image=image, light_ratio=None if self.contrast else batch.light_ratio)


def warp(batch: FaceBatch, matrix: NDArray[np.float64], size: tuple[int, int]) -> FaceBatch:
    """Move faces by affine transforms, labels included (see :class:`Augment` for borders and mirror flow).

    Args:
        batch: B faces.
        matrix: float64 ``[B, 2, 3]``, from old to new pixel coordinates; rotation and scale are taken to be a
            similarity where pose and lamps are concerned.
        size: height and width of the new pictures.
    """
    grid = _source_grid(batch.image, matrix, size)
    changes: dict[str, Any] = {"image": _sample(batch.image, grid)}
    if batch.parsing is not None:
        labels = _sample(batch.parsing[:, None].to(batch.image.dtype), grid, "nearest")
        changes["parsing"] = labels[:, 0].long()
    if batch.landmarks is not None:
        changes["landmarks"] = _apply(matrix, batch.landmarks)
    if batch.light_ratio is not None:
        changes["light_ratio"] = _sample(batch.light_ratio, grid)
    if batch.mirror_flow is not None:
        changes["mirror_flow"], changes["mirror_valid"] = _warp_flow(batch, matrix, grid, size)
    angle = np.arctan2(matrix[:, 1, 0], matrix[:, 0, 0])  # clockwise on the screen, as y points down
    if batch.pose is not None:
        turn = np.stack([np.zeros_like(angle), np.zeros_like(angle), np.rad2deg(angle)], -1)
        changes["pose"] = batch.pose + torch.as_tensor(turn).to(batch.pose)
    if batch.lamps is not None:
        changes["lamps"] = _turn_lamps(batch.lamps, angle)
    return batch.replace(**changes)


def _source_grid(image: Tensor, matrix: NDArray[np.float64], size: tuple[int, int]) -> Tensor:
    """Where each new pixel comes from: ``[B, h, w, 2]`` in [-1, 1] for ``grid_sample``."""
    halves = [(np.array([width, height]) - 1) / 2 for height, width in (image.shape[2:], size)]
    back = _inverse(matrix)
    back[:, :, 2] = (back[:, :, 2] + back[:, :, :2] @ halves[1]) / halves[
        0
    ] - 1  # where the centre comes from
    back[:, :, :2] *= halves[1] / halves[0][:, None]
    theta = torch.as_tensor(back, dtype=image.dtype, device=image.device)
    return F.affine_grid(theta, [len(image), 1, *size], align_corners=True)


def _sample(values: Tensor, grid: Tensor, mode: str = "bilinear") -> Tensor:
    return F.grid_sample(values, grid, mode=mode, padding_mode="reflection", align_corners=True)


def _warp_flow(
    batch: FaceBatch, matrix: NDArray[np.float64], grid: Tensor, size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """The flow of the moved faces: un-flip each target, move it like the picture, flip it there."""
    assert batch.mirror_flow is not None and batch.mirror_valid is not None
    height, width = batch.size
    layers = torch.cat([batch.mirror_flow, batch.mirror_valid[..., None].to(grid)], -1).permute(0, 3, 1, 2)
    layers = _sample(layers, grid).permute(0, 2, 3, 1)  # [B, h, w, 3]
    inside = (grid.abs() <= 1).all(-1)
    valid = inside & (layers[..., 2] > 0.999)  # no invalid neighbour took part in the interpolation
    half = layers.new_tensor([(width - 1) / 2, (height - 1) / 2])
    target = (layers[..., :2] * layers.new_tensor([-1.0, 1.0]) + 1) * half  # the partner, in old pixels
    target = _apply(matrix, target.flatten(1, 2)).reshape(target.shape)
    new_half = layers.new_tensor([(size[1] - 1) / 2, (size[0] - 1) / 2])
    flow = (target / new_half - 1) * layers.new_tensor([-1.0, 1.0])
    valid = valid & (flow.abs() <= 1).all(-1)
    return torch.where(valid[..., None], flow, _pixels(size, flow) / new_half - 1), valid


def _pixels(size: tuple[int, int], like: Tensor) -> Tensor:
    """The (x, y) of each pixel, ``[h, w, 2]``."""
    ys, xs = (torch.arange(side, dtype=like.dtype, device=like.device) for side in size)
    return torch.stack(torch.meshgrid(xs, ys, indexing="xy"), -1)


def _apply(matrix: NDArray[np.float64], points: Tensor) -> Tensor:
    """Move points ``[B, N, 2]`` by ``[B, 2, 3]``."""
    move = torch.as_tensor(matrix, dtype=points.dtype, device=points.device)
    return points @ move[:, :, :2].transpose(1, 2) + move[:, None, :, 2]


def _turn_lamps(lamps: Tensor, angle: NDArray[np.float64]) -> Tensor:
    """Turn the lamps' directions clockwise on the screen; their y points up."""
    cos, sin = (torch.as_tensor(f(angle)).to(lamps)[:, None] for f in (np.cos, np.sin))
    x, y = lamps[..., 0], lamps[..., 1]
    turned = torch.stack([cos * x + sin * y, cos * y - sin * x], -1)
    return torch.cat([turned, lamps[..., 2:]], -1)


def _about(
    angle: NDArray[np.float64], factor: NDArray[np.float64], x: float, y: float
) -> NDArray[np.float64]:
    """Similarities ``[B, 2, 3]``: turn by radians, clockwise on the screen, and scale about (x, y)."""
    cos, sin = factor * np.cos(angle), factor * np.sin(angle)
    left = np.stack([cos, -sin, x - cos * x + sin * y], -1)
    right = np.stack([sin, cos, y - sin * x - cos * y], -1)
    return np.stack([left, right], 1)


def _inverse(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    a, b, c, d = matrix[:, 0, 0], matrix[:, 0, 1], matrix[:, 1, 0], matrix[:, 1, 1]
    inner = np.stack([d, -b, -c, a], -1).reshape(-1, 2, 2) / (a * d - b * c)[:, None, None]
    return np.concatenate([inner, -inner @ matrix[:, :, 2:]], -1)


def _draws(seed: int, step: int, index: NDArray[Any], count: int) -> dict[str, NDArray[np.float64]]:
    """Numbers in [0, 1) by name, each ``[B]``, from (seed, step, index) of each face."""
    if index.shape != (count,):
        raise ValueError(f"index must name the {count} faces of the batch, not have the shape {index.shape}.")
    if seed < 0 or step < 0 or (index < 0).any():
        raise ValueError("seed, step and index must not be negative.")
    rows = [np.random.default_rng([seed, step, int(i)]).random(len(_DRAWS)) for i in index]
    table = np.array(rows).reshape(count, len(_DRAWS))
    return {name: table[:, place] for place, name in enumerate(_DRAWS)}


def _spread(draw: NDArray[np.float64], most: float) -> NDArray[np.float64]:
    """From [0, 1) to [-most, most)."""
    return (2 * draw - 1) * most


def _column(values: NDArray[np.float64], like: Tensor) -> Tensor:
    return torch.as_tensor(values).to(like)[:, None, None, None]
