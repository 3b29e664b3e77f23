"""Adversarial losses by hand; the gradient penalty of discriminators whose gradient is known."""

import math

import pytest
import torch
from torch import nn

from facecomp_lib.nn import discriminator_loss, generator_loss, gradient_penalty
from facecomp_lib.nn.adversarial import LOSSES
from facecomp_lib.utils.random import sample_keys, uniform

REAL, FAKE = torch.tensor([0.5, 3.0]), torch.tensor([-2.0, 0.0])
BY_HAND = {  # what the discriminator and the generator minimise
    "lsgan": ((0.25 + 4) / 2 + (4 + 0) / 2, (9 + 1) / 2),
    "hinge": ((0.5 + 0) / 2 + (0 + 1) / 2, 1.0),
    "wgan": (-1.0 - 1.75, 1.0),
}


@pytest.mark.parametrize("kind", BY_HAND)
def test_losses_by_hand(kind):
    discriminator, generator = BY_HAND[kind]
    assert discriminator_loss(REAL, FAKE, kind).item() == pytest.approx(discriminator)
    assert generator_loss(FAKE, kind).item() == pytest.approx(generator)


def test_cross_entropy_of_logits_by_hand():
    real, fake = torch.tensor([0.0, math.log(3)]), torch.tensor([0.0, -math.log(3)])
    # D(real) = 1/2, 3/4 and D(fake) = 1/2, 1/4
    by_hand = -(math.log(1 / 2) + math.log(3 / 4)) / 2 - (math.log(1 / 2) + math.log(3 / 4)) / 2
    assert discriminator_loss(real, fake).item() == pytest.approx(by_hand)
    assert generator_loss(fake).item() == pytest.approx(-(math.log(1 / 2) + math.log(1 / 4)) / 2)
    assert discriminator_loss(torch.zeros(3), torch.zeros(3)).item() == pytest.approx(2 * math.log(2))


def test_cross_entropy_does_not_overflow():
    sure = torch.tensor([1000.0])
    assert discriminator_loss(-sure, sure).item() == 2000 and generator_loss(sure).item() == 0


@pytest.mark.parametrize("kind", LOSSES)
def test_each_side_gains_where_the_other_loses(kind):
    real, fake = (torch.full((4, 1, 3, 3), 0.5, requires_grad=True) for _ in range(2))
    up, down = torch.autograd.grad(discriminator_loss(real, fake, kind), (real, fake))
    (generator,) = torch.autograd.grad(generator_loss(fake, kind), fake)
    assert (up < 0).all() and (down > 0).all() and (generator < 0).all()


def test_an_unknown_loss_is_refused():
    for loss in (lambda: discriminator_loss(REAL, FAKE, "gan"), lambda: generator_loss(FAKE, "gan")):
        with pytest.raises(ValueError, match="'gan': choose one of bce, lsgan, hinge, wgan"):
            loss()


def images(seed, count=3):
    return torch.rand(count, 2, 4, 4, generator=torch.Generator().manual_seed(seed))


SHARE = uniform(sample_keys(0, 0, torch.arange(3)), (1, 1, 1), "penalty")


@pytest.mark.parametrize("slope", [0.0, 0.25, 1.0, 3.0])
def test_the_penalty_of_a_linear_discriminator_is_that_of_its_slope(slope):
    direction = images(5, 1)[0] / images(5, 1)[0].norm()
    linear = lambda x: slope * (x * direction).sum((1, 2, 3))  # noqa: E731
    found = gradient_penalty(linear, images(1), images(2), SHARE)
    assert found.item() == pytest.approx((slope - 1) ** 2, abs=1e-5)


def test_the_penalty_is_taken_between_real_and_fake_by_each_images_share():
    # D(x) = sum of x^2 / 2, so that the gradient is x itself
    found = gradient_penalty(lambda x: x.square().flatten(1).sum(1) / 2, images(1), images(2), SHARE)
    by_hand = [
        ((1 - s) * a + s * b).norm().item() for a, b, s in zip(images(1), images(2), SHARE, strict=True)
    ]
    assert found.item() == pytest.approx(sum((norm - 1) ** 2 for norm in by_hand) / 3, rel=1e-5)


def test_patches_count_by_their_mean_one_norm_per_image():
    patches = lambda x: torch.stack([x.sum((1, 2, 3)), 3 * x.sum((1, 2, 3))], 1).view(-1, 1, 1, 2)  # noqa: E731
    found = gradient_penalty(patches, images(1), images(2), SHARE)
    assert found.item() == pytest.approx((2 * 32**0.5 - 1) ** 2, rel=1e-5)


def test_the_penalty_teaches_the_discriminator_and_nobody_else():
    discriminator = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Tanh(), nn.Conv2d(3, 1, 2))
    real, fake = images(1).requires_grad_(), images(2).requires_grad_()
    gradient_penalty(discriminator, real, fake, SHARE).backward()
    assert real.grad is None and fake.grad is None
    assert all(p.grad.abs().sum() > 0 for p in (discriminator[0].weight, discriminator[2].weight))


def test_in_half_precision_the_penalty_is_what_it_is_without():
    discriminator = nn.Conv2d(2, 1, 3)
    exact = gradient_penalty(discriminator, images(1), images(2), SHARE)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(gradient_penalty(discriminator, images(1), images(2), SHARE), exact)
