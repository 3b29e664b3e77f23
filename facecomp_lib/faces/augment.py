"""Augmentation of a whole batch at once: image and labels by the same flip and affine transform."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from facecomp_lib.faces import affine
from facecomp_lib.faces.schema import FaceBatch

__all__ = ["Augment", "Change"]

_DRAWS = ("flip", "x", "y", "angle", "scale", "brightness", "contrast", "left", "top")


@dataclass(frozen=True)
class Augment:
    """Random flip, shift, rotation, scale, crop, brightness, contrast: ``augment(batch, seed, step, index)``.

    Image, parsing, landmarks, pose, lamps, light ratio and mirror flow move together: bilinear for
    images, nearest for parsing, exact for landmarks. What lies outside the image is its reflection at
    the border, in image and parsing alike; there ``mirror_valid`` is false. The mirror flow is resampled
    and its targets move with the image; valid are pixels whose partner stays inside. A contrast change
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
        contrast: the same, about the mean of each image.
        crop: side in pixels of a random window that is cut out, by default none.
        resize_crop: bring the window back to the size of the image.

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
        return self.draw(batch.size, seed, step, np.arange(len(batch)) if index is None else index)(batch)

    def draw(self, size: tuple[int, int], seed: int, step: int, index: ArrayLike) -> Change:
        """What will be done to faces of height and width ``size`` that are named by ``index`` ``[B]``."""
        draws = _draws(seed, step, np.asarray(index))
        height, width = size
        angle = np.deg2rad(_spread(draws["angle"], self.rotate))
        factor = np.exp(_spread(draws["scale"], np.log1p(self.scale)))
        matrix = _about(angle, factor, (width - 1) / 2, (height - 1) / 2)
        matrix[:, 0, 2] += _spread(draws["x"], self.shift) * width
        matrix[:, 1, 2] += _spread(draws["y"], self.shift) * height
        if self.crop is not None:
            matrix, size = self._cropped(matrix, size, draws)
        flip = draws["flip"] < self.flip
        matrix[flip, :, 2] += matrix[flip, :, 0] * (width - 1)  # mirroring comes first: x -> width - 1 - x
        matrix[flip, :, 0] *= -1
        return Change(
            matrix,
            size,
            gain=1 + _spread(draws["brightness"], self.brightness),
            slope=1 + _spread(draws["contrast"], self.contrast),
            moves=bool(self.shift or self.rotate or self.scale or self.crop),
        )

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


@dataclass(frozen=True, eq=False)
class Change:
    """What is done to each of B faces: ``change(batch)``.

    Attributes:
        matrix: float64 ``[B, 2, 3]``, from old to new pixel coordinates.
        size: height and width of the new images.
        gain: ``[B]``, factors of brightness.
        slope: ``[B]``, factors of contrast, about the mean of each image.
        moves: whether there is more to the matrices than mirroring.
    """

    matrix: NDArray[np.float64]
    size: tuple[int, int]
    gain: NDArray[np.float64]
    slope: NDArray[np.float64]
    moves: bool

    def __call__(self, batch: FaceBatch) -> FaceBatch:
        """The faces changed, on any device."""
        if len(self.matrix) != len(batch):
            raise ValueError(f"index must name the {len(batch)} faces of the batch, not {len(self.matrix)}.")
        if self.moves:
            batch = affine.move(batch, self.matrix, self.size)
        elif (flip := affine.mirrors(self.matrix)).any():
            batch = batch.mirror(torch.as_tensor(flip, device=batch.device))
        contrast = bool((self.slope != 1).any())
        if not contrast and (self.gain == 1).all():
            return batch
        image = batch.image
        gain, slope = _column(self.gain, image), _column(self.slope, image)
        pivot = image.mean((1, 2, 3), keepdim=True) if contrast else 0
        image = (image * (gain * slope)).add_(pivot * gain * (1 - slope)).clamp_(0, 1)
        return batch.replace(image=image, light_ratio=None if contrast else batch.light_ratio)


def _about(
    angle: NDArray[np.float64], factor: NDArray[np.float64], x: float, y: float
) -> NDArray[np.float64]:
    """Similarities ``[B, 2, 3]``: turn by radians, clockwise on the screen, and scale about (x, y)."""
    cos, sin = factor * np.cos(angle), factor * np.sin(angle)
    rows = [cos, -sin, x - cos * x + sin * y], [sin, cos, y - sin * x - cos * y]
    return np.array(rows).transpose(2, 0, 1)


def _draws(seed: int, step: int, index: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
    """Numbers in [0, 1) by name, each ``[B]``, from (seed, step, index) of each face."""
    if index.ndim != 1 or (index.size and index.dtype.kind not in "iu"):
        raise ValueError(
            f"index must be a flat list of whole numbers, not {index.dtype} {list(index.shape)}."
        )
    if seed < 0 or step < 0 or (index < 0).any():
        raise ValueError("seed, step and index must not be negative.")
    # One stream of numbers per step, in which each face has its place: seeding one for each takes longer.
    stream = np.random.PCG64([seed, step])
    random, table, at = np.random.Generator(stream), np.empty((len(index), len(_DRAWS))), 0
    for row, place in zip(table, index.tolist(), strict=True):
        stream.advance((place * len(_DRAWS) - at) % 2**128)
        random.random(out=row)
        at = (place + 1) * len(_DRAWS)
    return {name: table[:, place] for place, name in enumerate(_DRAWS)}


def _spread(draw: NDArray[np.float64], most: float) -> NDArray[np.float64]:
    """From [0, 1) to [-most, most)."""
    return (2 * draw - 1) * most


def _column(values: NDArray[np.float64], like: Tensor) -> Tensor:
    return torch.as_tensor(values).to(like)[:, None, None, None]
