"""The average face and the nearest face know training faces and the known pixels, nothing else."""

import pytest
import torch

import facecomp_lib as fc
from facecomp_lib import evaluation, masks


@pytest.fixture(scope="module")
def train():
    return fc.faces.embedded("val", 32)  # 200 faces will do


@pytest.mark.parametrize("baseline", [evaluation.average_face, evaluation.nearest_face])
def test_known_pixels_stay_and_missing_ones_are_not_seen(train, baseline):
    image = fc.faces.embedded("test", 32).batch(range(4)).image
    mask = masks.make("center", 32, 4)
    complete = baseline(train)
    out = complete(image * mask, mask)
    keep = mask.bool().expand_as(image)
    assert torch.equal(out.composite[keep], image[keep])
    other = complete(torch.where(keep, image, 1.0), mask)
    assert torch.allclose(other.composite, out.composite, atol=1e-5)
    alone = complete(image[2:3], mask[2:3])
    assert torch.allclose(alone.composite, out.composite[2:3], atol=1e-5)


def test_the_average_is_the_mean_of_all(train):
    everyone = train.batch(range(len(train))).image
    image, mask = everyone[:1], masks.make("center", 32)
    for complete in (evaluation.average_face(train), evaluation.average_face(everyone)):
        assert torch.allclose(complete(image, mask).raw, everyone.mean(0, keepdim=True), atol=1e-6)


def test_the_nearest_is_what_a_loop_over_all_faces_finds(train):
    candidates = train.batch(range(120)).image
    image = fc.faces.embedded("test", 32).batch(range(5)).image
    mask = torch.cat(
        [masks.make(kind, 32) for kind in ("center", "half_left", "half_right", "center", "center")]
    )
    found = evaluation.nearest_face(candidates)(image, mask).extras["nearest"]
    errors = [((mask * (image - one)) ** 2).sum((1, 2, 3)) for one in candidates]
    assert torch.equal(found, torch.stack(errors).argmin(0))
    itself = evaluation.nearest_face(train)(train.batch([7]).image, mask[:1])
    assert itself.extras["nearest"].tolist() == [7]
    assert evaluation.psnr(itself.composite, train.batch([7]).image).item() > 40  # its own face, in 8 bits
