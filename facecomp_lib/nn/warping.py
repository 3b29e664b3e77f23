"""Images carried along a flow, as symmfc does with a face's mirror image.

A flow is absolute: for each pixel of the result, where to look in the source, (x, y) in [-1, 1], where -1 and
1 are the middles of the first and the last pixel.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["displacement", "identity_flow", "mirror_warp", "warp"]


def identity_flow(height: int, width: int, device: torch.device | str | None = None) -> Tensor:
    """The flow that changes nothing: float32 ``[1, height, width, 2]``, (x, y) in [-1, 1]."""
    y = torch.linspace(-1, 1, height, device=device)
    x = torch.linspace(-1, 1, width, device=device)
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)[None]  # [1, H, W, 2]


def displacement(flow: Tensor) -> Tensor:
    """How far each pixel of the result looks away from its own place: ``[B, H, W, 2]``, (x, y) in px."""
    height, width = flow.shape[1:3]
    step = flow.new_tensor([(width - 1) / 2, (height - 1) / 2])  # px per unit
    return (flow - identity_flow(height, width, flow.device).to(flow)) * step


def warp(image: Tensor, flow: Tensor) -> Tensor:
    """The image as the flow shows it, bilinear; beyond the border its last pixel goes on.

    Args:
        image: ``[B, C, H, W]``.
        flow: ``[B, H', W', 2]``.

    Returns:
        ``[B, C, H', W']``.
    """
    return F.grid_sample(image, flow, mode="bilinear", padding_mode="border", align_corners=True)


def mirror_warp(image: Tensor, flow: Tensor) -> Tensor:
    """The flipped image ``[B, C, H, W]``, carried onto the face by a flow (symmfc, eq. 3-5)."""
    return warp(image.flip(-1), flow)
