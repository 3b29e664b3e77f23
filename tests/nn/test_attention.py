"""Attention by loop, every way to compute it, other keys, and places that may not be looked at."""

import pytest
import torch
import torch.nn.functional as F

from facecomp_lib.nn import attend, attention_matrix


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def by_loop(query, values):
    """Of one face: ``[D, N]``, ``[V, N]`` -> where each place looks ``[N, N]``, what it gets ``[V, N]``."""
    places = query.shape[1]
    matrix, found = torch.zeros(places, places), torch.zeros_like(values)
    for i in range(places):
        alike = [(query[:, i] * query[:, j]).sum().exp() for j in range(places)]
        for j in range(places):
            matrix[i, j] = alike[j] / sum(alike)
            found[:, i] += matrix[i, j] * values[:, j]
    return matrix, found


def test_attention_by_loop():
    query, values = noise(2, 5, 12), noise(2, 7, 12, seed=1)
    matrix, found = attention_matrix(query), attend(query, values)
    assert matrix.shape == (2, 12, 12) and found.shape == values.shape
    for face in range(2):
        looks, gets = by_loop(query[face], values[face])
        assert torch.allclose(matrix[face], looks, atol=1e-6)
        assert torch.allclose(found[face], gets, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 4, 8, 9), (2, 16, 64, 64), (1, 64, 512, 256)])
@pytest.mark.parametrize("layout", ["plain", "channels last"])
def test_all_ways_to_attend_are_the_same(shape, layout):
    batch, deep, wide, places = shape
    query, values = noise(batch, deep, places), noise(batch, wide, places, seed=1)
    if layout == "channels last":
        query, values = (t.mT.contiguous().mT for t in (query, values))
    matrix = attention_matrix(query)
    assert torch.allclose(matrix.sum(2), torch.ones(batch, places), atol=1e-5) and matrix.min() >= 0
    found = attend(query, values)
    half = wide // 2
    two = [torch.bmm(part, matrix.mT) for part in (values[:, :half], values[:, half:])]
    fused = F.scaled_dot_product_attention(query.mT, query.mT, values.mT, scale=1.0).mT
    for other in (values @ matrix.mT, torch.cat(two, 1), fused):
        assert torch.allclose(found, other, atol=1e-5)


def test_gradients_of_all_ways_to_attend_are_the_same():
    found = []
    for way in (
        attend,
        lambda q, v: v @ (q.mT @ q).softmax(2).mT,
        lambda q, v: F.scaled_dot_product_attention(q.mT, q.mT, v.mT, scale=1.0).mT,
    ):
        query, values = (noise(2, 6, 20, seed=s).requires_grad_() for s in (0, 1))
        found.append(
            torch.autograd.grad((way(query, values) * noise(2, 6, 20, seed=2)).sum(), (query, values))
        )
    for other in found[1:]:
        assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(found[0], other, strict=True))


def test_another_key_by_loop():
    query, key, values = noise(2, 5, 6), noise(2, 5, 9, seed=1), noise(2, 3, 9, seed=2)
    matrix = attention_matrix(query, key)
    assert matrix.shape == (2, 6, 9)
    for face in range(2):
        for i in range(6):
            alike = torch.stack([(query[face, :, i] * key[face, :, j]).sum().exp() for j in range(9)])
            assert torch.allclose(matrix[face, i], alike / alike.sum(), atol=1e-5)
    assert torch.allclose(attend(query, values, key), values @ matrix.mT, atol=1e-5)
    fused = F.scaled_dot_product_attention(query.mT, key.mT, values.mT, scale=1.0).mT
    assert torch.allclose(attend(query, values, key), fused, atol=1e-5)


def test_forbidden_places_get_no_weight_and_change_nothing():
    query, key, values = noise(2, 5, 6), noise(2, 5, 9, seed=1), noise(2, 3, 9, seed=2)
    allowed = torch.tensor([[True] * 4 + [False] * 5, [False] * 8 + [True]])
    matrix = attention_matrix(query, key, allowed)
    assert (matrix.sum(1)[~allowed] == 0).all() and torch.allclose(matrix.sum(2), torch.ones(2, 6), atol=1e-6)
    assert torch.allclose(matrix[0, :, :4], attention_matrix(query[:1], key[:1, :, :4])[0], atol=1e-6)
    other = torch.where(allowed[:, None], values, torch.full_like(values, 7.0))
    assert torch.equal(attend(query, values, key, allowed), attend(query, other, key, allowed))
    assert torch.allclose(attend(query, values, key, allowed)[1], values[1, :, 8:].expand(3, 6), atol=1e-6)
