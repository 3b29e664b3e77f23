"""Spatial attention without a scale: each place of a feature map takes a mean of the values at other places.

Lesson 05 builds both functions for lafin, whose query is its own key.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

__all__ = ["attend", "attention_matrix"]


def attention_matrix(query: Tensor, key: Tensor | None = None, allowed: Tensor | None = None) -> Tensor:
    """The weight that each place gives to each other one.

    Args:
        query: ``[B, D, N]``.
        key: ``[B, D, M]``; the query itself by default.
        allowed: bool ``[B, M]``, the places that may be looked at; all by default. At least one per image.

    Returns:
        ``[B, N, M]``: a softmax over the M places of the products of query and key, nothing divided by
        sqrt(D).
    """
    products = query.mT @ (query if key is None else key)  # [B, N, M]
    if allowed is not None:
        products = products.masked_fill(~allowed[:, None], float("-inf"))
    return products.softmax(2)


def attend(query: Tensor, values: Tensor, key: Tensor | None = None, allowed: Tensor | None = None) -> Tensor:
    """The mean of the values, weighted by :func:`attention_matrix`: ``[B, V, M]`` -> ``[B, V, N]``.

    On a GPU the matrix is never stored: fused kernels compute it block by block. On a CPU they would be
    slower where query and values differ in width (benchmarks/attention.py).

    Args:
        query, key, allowed: as for :func:`attention_matrix`.
        values: ``[B, V, M]``.
    """
    if query.is_cuda:
        q, v = query.mT[:, None].contiguous(), values.mT[:, None].contiguous()  # [B, 1, N, D], [B, 1, M, V]
        k = q if key is None else key.mT[:, None].contiguous()  # [B, 1, M, D]
        chosen = None if allowed is None else allowed[:, None, None]  # [B, 1, 1, M]
        return F.scaled_dot_product_attention(q, k, v, attn_mask=chosen, scale=1.0)[:, 0].mT
    return (attention_matrix(query, key, allowed) @ values.mT).mT
