"""Poisson blending (Perez, Gangnet, Blake 2003): a drawn face keeps its own gradients and takes its light
from the known pixels around it. gfc's last model, M5, is M4 followed by this; used in lesson 02."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import linalg
from torch import Tensor

from facecomp_lib import masks

__all__ = ["poisson_blend", "solve"]

_STEPS = ((0, 1), (0, -1), (1, 0), (-1, 0))


def poisson_blend(image: Tensor, raw: Tensor, mask: Tensor) -> Tensor:
    """Put ``raw`` into the hole of ``image`` without a seam; on the CPU whatever the tensors' device.

    Inside the hole the result ``u`` has the gradients of ``raw`` as nearly as the known pixels around it
    allow: it minimises the sum of ``((u_p - u_q) - (raw_p - raw_q))^2`` over all pairs of neighbours ``p, q``
    of which at least one is missing, with ``u = image`` at known pixels. Pairs across the rim of the hole
    count, so ``raw`` must be drawn there too, as the networks draw it: one that equals ``image`` at all known
    pixels, as after :func:`masks.composite`, comes back unchanged, seams and all. Where the hole reaches the
    image's border, nothing holds the result there but its gradients (the natural boundary condition).

    Colours can bleed: where ``raw`` and ``image`` disagree at the rim about what is there (hair against
    skin), the disagreement spreads into the hole.

    Args:
        image: float ``[B, 3, H, W]``, RGB in [0, 1]; what lies under the hole is never looked at.
        raw: same shape and type, what a method drew, rim included; any finite numbers.
        mask: float ``[B, 1, H, W]`` (or one ``[1, 1, H, W]`` for all), 1 = known, 0 = missing.

    Returns:
        The composite ``[B, 3, H, W]``: known pixels bit for bit, the blended ones clamped to [0, 1]. Images
        that share a hole share one factorisation.

    Raises:
        ValueError: an image or mask that cannot be completed (:func:`masks.check`), a ``raw`` of another
            shape or type, or with NaN or infinity.
    """
    mask = masks.check(image, mask)
    composite = masks.merge(image, raw, mask)  # refuses a raw of another shape or type
    if not bool(raw.isfinite().all()):
        raise ValueError("raw has NaN or infinity: look for the step that made them before blending.")
    blended = composite.clone()
    holes, which = torch.unique(mask[:, 0] < 0.5, dim=0, return_inverse=True)
    for k, hole in enumerate(holes):
        if bool(hole.any()):
            same = which == k
            known = _columns(torch.where(hole, 0, image[same]))
            drawn = solve(known, _columns(raw[same]), hole.cpu().numpy())
            blended[same] = _images(drawn, raw[same]).clamp(0, 1)
    return masks.merge(image, blended, mask)


def solve(known: NDArray[Any], guide: NDArray[Any], hole: NDArray[np.bool_]) -> NDArray[np.float64]:
    """``known`` ``[H, W, C]``, its hole ``[H, W]`` (True = missing) filled after the gradients of ``guide``.

    One equation per missing pixel p, over its neighbours q inside the image:
    ``sum_q (u_p - u_q) = sum_q (guide_p - guide_q)``. A guide of zeros gives the membrane: the smoothest
    surface in the hole that meets the known pixels. At least one pixel must be known.
    """
    # What is solved for is the correction e = u - guide: harmonic inside, known - guide on the rim.
    rim = np.where(hole[..., None], 0.0, known - guide)
    number = np.full(hole.shape, -1)
    number[hole] = np.arange(hole.sum())
    right = np.zeros((hole.sum(), guide.shape[2]))
    neighbours = np.zeros(hole.sum())
    rows, columns = [], []
    for dy, dx in _STEPS:
        here, there = _overlap(hole.shape, dy, dx)
        p, q = number[here], number[there]
        missing = p >= 0
        neighbours[p[missing]] += 1
        right[p[missing]] += rim[there][missing]
        inside = missing & (q >= 0)
        rows.append(p[inside])
        columns.append(q[inside])
    row, column = np.concatenate(rows), np.concatenate(columns)
    laplacian = sparse.diags_array(neighbours) - sparse.coo_array(
        (np.ones(len(row)), (row, column)), shape=(len(right), len(right))
    )
    filled = np.array(known, np.float64)
    filled[hole] = guide[hole] + linalg.splu(laplacian.tocsc()).solve(right)
    return filled


def _overlap(shape: tuple[int, ...], dy: int, dx: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """The pixels that have a neighbour (dy, dx) away, and those neighbours."""
    height, width = shape
    here = slice(max(0, -dy), height - max(0, dy)), slice(max(0, -dx), width - max(0, dx))
    there = slice(max(0, dy), height + min(0, dy)), slice(max(0, dx), width + min(0, dx))
    return here, there


def _columns(images: Tensor) -> NDArray[np.float64]:
    """``[N, 3, H, W] -> [H, W, 3 N]``."""
    return images.detach().double().cpu().permute(2, 3, 0, 1).flatten(2).numpy()


def _images(columns: NDArray[np.float64], like: Tensor) -> Tensor:
    """The way back, in the type and on the device of ``like``."""
    return torch.from_numpy(columns).unflatten(2, (-1, 3)).permute(2, 3, 0, 1).to(like)
