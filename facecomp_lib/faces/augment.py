"""Augmentation: random changes of image and labels together, as a function of (seed, step, index)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from facecomp_lib.faces.affine import Matrices, Size, apply_affine, mirrors
from facecomp_lib.faces.photometric import CameraParams
from facecomp_lib.faces.schema import FaceBatch
from facecomp_lib.utils.checks import check_count, check_range
from facecomp_lib.utils.random import sample_keys, uniform, uniform_rows

__all__ = ["Augment", "AugmentParams"]

Numbers = NDArray[np.float64]  # [B], one per face

# The place of each name in a face's row of numbers: another place, or one more, would be another draw.
_GEOMETRY = ("flip", "x", "y", "angle", "scale", "brightness", "contrast", "left", "top")
# These are drawn by name, so that a new one leaves the others as they are.
_CAMERA = ("gamma", "warmth", "tint", "saturation", "blur", "noise", "jpeg")
_JPEG_BEST = 95  # quality at which nobody sees the compression
_LARGEST = {
    "flip": 1.0,
    "shift": 1.0,
    "rotate": 180.0,
    "scale": 1.0,
    "brightness": 1.0,
    "contrast": 1.0,
    "gamma": 2.0,
    "white_balance": 1.0,
    "saturation": 1.0,
    "blur": 0.05,
    "noise": 0.5,
}
_TINT_SHARE = 0.25  # light is rather warm or cold than green or purple


@dataclass(frozen=True)
class Augment:
    """Random changes of faces: ``augment(batch, seed, step, index)``.

    **Geometry** (flip, shift, rotate, scale, crop) moves image, parsing, landmarks, pose, lamps, light ratio
    and mirror flow together: bilinear for images, nearest for parsing, exact for landmarks. Beyond the border
    the image goes on as its reflection, parsing likewise; there ``mirror_valid`` is false. The mirror flow is
    resampled and its targets move with the image; valid are pixels whose partner stays inside.

    **Light and camera** (all others) change the image only; labels stay exact. What becomes of the light
    ratio: brightness and white balance multiply both sides alike, so it stays; gamma raises it to the same
    power; contrast and saturation add light, so that it is no ratio any more and becomes ``None``; blur,
    noise and JPEG belong to the camera, and it stays that of the scene.

    The draw of a face depends on (seed, step, its index) alone, not on its neighbours, workers or processes.
    A change that is switched off (0) leaves the draws of the others as they are.

    Attributes:
        flip: probability of mirroring, 0 ... 1.
        shift: largest move in x and in y, as a share of the side, 0 ... 1.
        rotate: largest angle in degrees, either way about the centre, 0 ... 180.
        scale: sizes between 1 / (1 + scale) and 1 + scale, evenly in their logarithm, 0 ... 1.
        brightness: factors between 1 - brightness and 1 + brightness, 0 ... 1.
        contrast: the same, about the mean of each image, 0 ... 1.
        crop: side in pixels of a random window that is cut out, by default none.
        resize_crop: bring the window back to the size of the image.
        gamma: exponents between 1 / (1 + gamma) and 1 + gamma, evenly in their logarithm, 0 ... 2.
        white_balance: red times and blue divided by up to 1 + white_balance, or the other way; green by a
            quarter of it; a grey keeps its luma. 0 ... 1.
        saturation: factors between 1 - saturation and 1 + saturation, of the distance from grey, 0 ... 1.
        blur: largest standard deviation of a Gaussian blur, as a share of the side, 0 ... 0.05.
        noise: largest standard deviation of Gaussian noise, 0 ... 0.5.
        jpeg: lowest quality of JPEG compression, up to 95; 0 for none.

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
    gamma: float = 0.0
    white_balance: float = 0.0
    saturation: float = 0.0
    blur: float = 0.0
    noise: float = 0.0
    jpeg: int = 0

    def __post_init__(self) -> None:
        for name, most in _LARGEST.items():
            check_range(getattr(self, name), 0, most, name)
        check_count(self.jpeg, 0, "jpeg", _JPEG_BEST)
        if self.crop is not None:
            check_count(self.crop, 2, "crop")

    @classmethod
    def photographic(cls, **changes: Any) -> Augment:
        """Settings that make rendered faces look like photographs from many cameras.

        Args:
            changes: fields that shall differ.
        """
        return replace(cls(**_PHOTOGRAPHIC), **changes)

    def __call__(
        self, batch: FaceBatch, seed: int = 0, step: int = 0, index: ArrayLike | None = None
    ) -> FaceBatch:
        """Change a batch at random.

        Args:
            batch: on any device.
            seed, step: not negative; another step gives other draws.
            index: whole numbers ``[B]`` that name the faces, by default their places in the batch.
        """
        return self.draw(batch.size, seed, step, np.arange(len(batch)) if index is None else index)(batch)

    def draw(self, size: Size, seed: int, step: int, index: ArrayLike) -> AugmentParams:
        """Draw what will be done to faces of height and width ``size`` that ``index`` ``[B]`` names."""
        table = uniform_rows(seed, step, index, len(_GEOMETRY))  # [B, 9]
        draws = dict(zip(_GEOMETRY, table.T, strict=True))
        height, width = size
        angle = np.deg2rad(_spread(draws["angle"], self.rotate))
        factor = np.exp(_spread(draws["scale"], np.log1p(self.scale)))
        matrix = _about(angle, factor, (width - 1) / 2, (height - 1) / 2)
        matrix[:, 0, 2] += _spread(draws["x"], self.shift) * width
        matrix[:, 1, 2] += _spread(draws["y"], self.shift) * height
        if self.crop is not None:
            matrix, size = self._crop(matrix, size, draws)
        flip = draws["flip"] < self.flip
        matrix[flip, :, 2] += matrix[flip, :, 0] * (width - 1)  # mirroring comes first: x -> width - 1 - x
        matrix[flip, :, 0] *= -1
        return AugmentParams(
            matrix,
            size,
            gain=1 + _spread(draws["brightness"], self.brightness),
            slope=1 + _spread(draws["contrast"], self.contrast),
            moves=bool(self.shift or self.rotate or self.scale or self.crop),
            camera=self._draw_camera(size, seed, step, np.asarray(index)),
        )

    def _crop(self, matrix: Matrices, size: Size, draws: dict[str, Numbers]) -> tuple[Matrices, Size]:
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

    def _draw_camera(self, size: Size, seed: int, step: int, index: NDArray[Any]) -> CameraParams | None:
        if not (self.gamma or self.white_balance or self.saturation or self.blur or self.noise or self.jpeg):
            return None
        keys = sample_keys(seed, step, torch.as_tensor(index, dtype=torch.int64))
        draws = {name: uniform(keys, (), f"augment {name}").double().numpy() for name in _CAMERA}
        warmth = np.exp(_spread(draws["warmth"], np.log1p(self.white_balance)))
        tint = np.exp(_spread(draws["tint"], _TINT_SHARE * np.log1p(self.white_balance)))
        return CameraParams(
            white_balance=np.stack([warmth, tint, 1 / warmth], 1),
            gamma=np.exp(_spread(draws["gamma"], np.log1p(self.gamma))),
            saturation=1 + _spread(draws["saturation"], self.saturation),
            blur=draws["blur"] * self.blur * min(size),
            blur_radius=int(np.ceil(3 * self.blur * min(size))),
            noise=draws["noise"] * self.noise,
            noise_keys=[(seed, step, name) for name in index.tolist()],
            quality=self.jpeg + np.floor(draws["jpeg"] * (_JPEG_BEST + 1 - self.jpeg)) if self.jpeg else None,
        )


_PHOTOGRAPHIC: dict[str, Any] = {
    "brightness": 0.15,
    "contrast": 0.2,
    "gamma": 0.25,
    "white_balance": 0.08,
    "saturation": 0.2,
    "blur": 0.006,
    "noise": 0.02,
    "jpeg": 50,
}


@dataclass(frozen=True, eq=False)
class AugmentParams:
    """What is done to each of B faces: ``params(batch)``.

    Attributes:
        matrix: float64 ``[B, 2, 3]``, from old to new pixel coordinates.
        size: height and width of the new images.
        gain: ``[B]``, factors of brightness.
        slope: ``[B]``, factors of contrast, about the mean of each image.
        moves: whether there is more to the matrices than mirroring.
        camera: what happens after brightness and contrast, None for nothing.
    """

    matrix: Matrices
    size: Size
    gain: Numbers
    slope: Numbers
    moves: bool
    camera: CameraParams | None = None

    def __call__(self, batch: FaceBatch) -> FaceBatch:
        """Change the faces, in PyTorch on any device: geometry, then brightness and contrast, then camera."""
        if len(self.matrix) != len(batch):
            raise ValueError(f"index must name the {len(batch)} faces of the batch, not {len(self.matrix)}.")
        if self.moves:
            batch = apply_affine(batch, self.matrix, self.size)
        elif (flip := mirrors(self.matrix)).any():
            batch = batch.mirror(torch.as_tensor(flip, device=batch.device))
        batch = self._apply_light(batch)
        return batch if self.camera is None else self.camera(batch)

    def _apply_light(self, batch: FaceBatch) -> FaceBatch:
        contrast = bool((self.slope != 1).any())
        if not contrast and (self.gain == 1).all():
            return batch
        image = batch.image
        gain, slope = _column(self.gain, image), _column(self.slope, image)
        pivot = image.mean((1, 2, 3), keepdim=True) if contrast else 0
        image = (image * (gain * slope)).add_(pivot * gain * (1 - slope)).clamp_(0, 1)
        return batch.replace(image=image, light_ratio=None if contrast else batch.light_ratio)


def _about(angle: Numbers, factor: Numbers, x: float, y: float) -> Matrices:
    """Similarities ``[B, 2, 3]``: turn by radians, clockwise on the screen, and scale about (x, y)."""
    cos, sin = factor * np.cos(angle), factor * np.sin(angle)
    rows = [cos, -sin, x - cos * x + sin * y], [sin, cos, y - sin * x - cos * y]
    return np.array(rows).transpose(2, 0, 1)  # [B, 2, 3]


def _spread(draw: Numbers, most: float) -> Numbers:
    """From [0, 1) to [-most, most)."""
    return (2 * draw - 1) * most


def _column(values: Numbers, like: Tensor) -> Tensor:
    return torch.as_tensor(values).to(like)[:, None, None, None]  # [B, 1, 1, 1]
