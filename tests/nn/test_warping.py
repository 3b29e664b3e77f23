"""Flows: the identity changes nothing, displacements are in px, a mirrored face comes back."""

import torch

from facecomp_lib import nn

IMAGE = torch.rand(2, 3, 5, 9, generator=torch.Generator().manual_seed(0))


def test_the_identity_flow_changes_nothing():
    flow = nn.identity_flow(5, 9)
    assert flow.shape == (1, 5, 9, 2) and flow[0, 0, 0].tolist() == [-1, -1]
    assert flow[0, 0, 8].tolist() == [1, -1] and flow[0, 4, 0].tolist() == [-1, 1]  # (x, y)
    assert torch.allclose(nn.warp(IMAGE, flow.expand(2, -1, -1, -1)), IMAGE, atol=1e-5)
    assert torch.allclose(nn.displacement(flow), torch.zeros(()), atol=1e-5)


def test_a_displacement_in_px_is_where_the_pixel_comes_from():
    flow = nn.identity_flow(5, 9).repeat(2, 1, 1, 1)
    flow[..., 0] += 2 / 8 * 3  # three px to the right, of 8 px from middle to middle
    flow[..., 1] -= 2 / 4  # one px up
    assert torch.allclose(nn.displacement(flow), torch.tensor([3.0, -1.0]).expand(2, 5, 9, 2), atol=1e-5)
    found = nn.warp(IMAGE, flow)
    assert torch.allclose(found[:, :, 1:, :-3], IMAGE[:, :, :-1, 3:], atol=1e-5)
    assert torch.allclose(found[:, :, 0, :-3], IMAGE[:, :, 0, 3:], atol=1e-5)  # the border goes on


def test_half_way_between_two_pixels_is_their_mean():
    flow = nn.identity_flow(5, 9)
    flow[..., 0] += 1 / 8
    found = nn.warp(IMAGE[:1], flow)
    assert torch.allclose(found[..., :-1], (IMAGE[:1, ..., :-1] + IMAGE[:1, ..., 1:]) / 2, atol=1e-5)


def test_a_mirrored_mirror_is_the_image_and_a_symmetric_face_has_the_identity_flow():
    flow = nn.identity_flow(5, 9).expand(2, -1, -1, -1)
    assert torch.allclose(nn.mirror_warp(IMAGE, flow), IMAGE.flip(-1), atol=1e-5)
    assert torch.allclose(nn.mirror_warp(nn.mirror_warp(IMAGE, flow), flow), IMAGE, atol=1e-5)
    symmetric = (IMAGE + IMAGE.flip(-1)) / 2
    assert torch.allclose(nn.mirror_warp(symmetric, flow), symmetric, atol=1e-5)
