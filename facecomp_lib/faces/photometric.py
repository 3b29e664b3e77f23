"""What a camera does to an image: white balance, gamma, saturation, blur, noise, JPEG compression."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from facecomp_lib.faces.schema import FaceBatch
from facecomp_lib.utils.random import keyed_generator

__all__ = ["CameraParams", "change_tone", "compress_jpeg", "gaussian_blur", "gaussian_noise"]

Numbers = NDArray[np.float64]
_LUMA = (0.299, 0.587, 0.114)  # of R, G, B (ITU-R BT.601)
_NOISE_SALT = zlib.crc32(b"augment noise")


@dataclass(frozen=True, eq=False)
class CameraParams:
    """What is done to each of B images, in the order of the attributes: ``camera(batch)``.

    Attributes:
        white_balance: ``[B, 3]``, gains of R, G and B, which are scaled so that a grey keeps its luma.
        gamma: ``[B]``, exponents.
        saturation: ``[B]``, factors of the distance from grey.
        blur: ``[B]``, standard deviations in px.
        blur_radius: px, where the blur's kernel is cut off; one for all, so that company changes nothing.
        noise: ``[B]``, standard deviations.
        noise_keys: B tuples that name the images for the noise.
        quality: ``[B]``, whole numbers 1 ... 100 of JPEG, None for no compression.
    """

    white_balance: Numbers
    gamma: Numbers
    saturation: Numbers
    blur: Numbers
    blur_radius: int
    noise: Numbers
    noise_keys: Sequence[tuple[int, ...]]
    quality: Numbers | None

    def __call__(self, batch: FaceBatch) -> FaceBatch:
        """The faces as this camera shows them; labels stay, the light ratio follows (see ``Augment``)."""
        light = batch.light_ratio
        if light is not None and (self.saturation != 1).any():
            light = None
        elif light is not None and (self.gamma != 1).any():
            light = light ** _column(self.gamma, light)  # (l a)^g / (l' a)^g = (l / l')^g
        return batch.replace(image=self.develop(batch.image), light_ratio=light)

    def develop(self, image: Tensor) -> Tensor:
        """All changes in order: float ``[B, 3, H, W]`` in [0, 1] to the same, in the same memory format."""
        layout = torch.channels_last if image.stride(1) == 1 else torch.contiguous_format
        image = change_tone(image, self.white_balance, self.gamma, self.saturation)
        if self.blur.any():
            image = gaussian_blur(image, self.blur, self.blur_radius)
        if self.noise.any():
            image = gaussian_noise(image, self.noise, self.noise_keys)
        if self.quality is not None:
            image = compress_jpeg(image, self.quality)
        return image.contiguous(memory_format=layout)


def change_tone(image: Tensor, white_balance: Numbers, gamma: Numbers, saturation: Numbers) -> Tensor:
    """White balance ``[B, 3]``, then gamma ``[B]``, then saturation ``[B]``, clipped to [0, 1]."""
    if (white_balance != 1).any():
        gains = white_balance / (white_balance @ np.array(_LUMA))[:, None]  # [B, 3]
        image = (image * torch.as_tensor(gains).to(image)[:, :, None, None]).clamp_(0, 1)
    if (gamma != 1).any():
        image = image.clamp(0, 1) ** _column(gamma, image)
    if (saturation != 1).any():
        luma = (image * image.new_tensor(_LUMA)[:, None, None]).sum(1, keepdim=True)  # [B, 1, H, W]
        image = torch.lerp(luma, image, _column(saturation, image)).clamp_(0, 1)
    return image


def gaussian_blur(image: Tensor, std: Numbers, radius: int) -> Tensor:
    """Blur each image by a Gaussian of its own; beyond the border the image goes on as its reflection.

    Args:
        image: float ``[B, C, H, W]``.
        std: ``[B]``, px; 0 leaves an image as it is.
        radius: px, below the side: the kernel has ``2 * radius + 1`` weights.
    """
    radius = min(radius, min(image.shape[2:]) - 1)
    offsets = np.arange(-radius, radius + 1)
    bell = np.exp(-0.5 * (offsets / np.maximum(std, 1e-3)[:, None]) ** 2)  # [B, K]
    bell /= bell.sum(1, keepdims=True)
    weights = torch.as_tensor(bell).to(image)[:, :, None, None, None]  # [B, K, 1, 1, 1]
    for axis in (2, 3):
        rim = (0, 0, radius, radius) if axis == 2 else (radius, radius, 0, 0)
        wide, length = F.pad(image, rim, mode="reflect"), image.shape[axis]
        image = wide.narrow(axis, 0, length) * weights[:, 0]  # [B, C, H, W] * [B, 1, 1, 1]
        for k in range(1, 2 * radius + 1):
            image.addcmul_(wide.narrow(axis, k, length), weights[:, k])
    return image


def gaussian_noise(image: Tensor, std: Numbers, keys: Sequence[tuple[int, ...]]) -> Tensor:
    """Add independent noise to each pixel and colour, clipped to [0, 1]; the same noise on every device.

    Args:
        image: float ``[B, C, H, W]``.
        std: ``[B]``.
        keys: B tuples of whole numbers from 0 up: an image's noise depends on its key alone.
    """
    noise = np.empty(image.shape, np.float32)
    for key, deviation, values in zip(keys, std, noise, strict=True):
        keyed_generator(*key, _NOISE_SALT).standard_normal(out=values, dtype=np.float32)
        values *= deviation
    return (image + torch.from_numpy(noise).to(image)).clamp_(0, 1)


def compress_jpeg(image: Tensor, quality: Numbers) -> Tensor:
    """Write each image as JPEG and read it back, on the CPU: values become whole 255ths.

    Args:
        image: float ``[B, 3, H, W]``, RGB in [0, 1].
        quality: ``[B]``, whole numbers 1 ... 100.
    """
    import cv2

    levels = (image.detach() * 255).round().clamp_(0, 255).byte().permute(0, 2, 3, 1)  # [B, H, W, 3]
    pixels = np.ascontiguousarray(levels.cpu().numpy())
    for one, level in zip(pixels, quality, strict=True):  # [H, W, 3]
        bgr = cv2.cvtColor(one, cv2.COLOR_RGB2BGR)
        _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, int(level)])
        decoded: Any = cv2.imdecode(data, cv2.IMREAD_COLOR)
        cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB, one)
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).to(image) / 255  # [B, 3, H, W]


def _column(values: Numbers, like: Tensor) -> Tensor:
    return torch.as_tensor(values).to(like)[:, None, None, None]  # [B, 1, 1, 1]
