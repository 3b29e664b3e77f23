"""Four adversarial losses, each for discriminator and generator, and the gradient penalty.

Lesson 03 builds ``"bce"``, which gfc and collagan use; lafin uses ``"lsgan"``, oracle ``"wgan"`` with the
penalty, symmfc ``"hinge"``.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from facecomp_lib.nn.precision import full_precision

__all__ = ["LOSSES", "discriminator_loss", "generator_loss", "gradient_penalty"]

_Discriminator = Callable[[Tensor, Tensor], Tensor]
_Generator = Callable[[Tensor], Tensor]

LOSSES: dict[str, tuple[_Discriminator, _Generator]] = {
    "bce": (
        lambda real, fake: F.softplus(-real).mean() + F.softplus(fake).mean(),
        lambda fake: F.softplus(-fake).mean(),
    ),
    "lsgan": (
        lambda real, fake: (real - 1).square().mean() + fake.square().mean(),
        lambda fake: (fake - 1).square().mean(),
    ),
    "hinge": (
        lambda real, fake: F.relu(1 - real).mean() + F.relu(1 + fake).mean(),
        lambda fake: -fake.mean(),
    ),
    "wgan": (lambda real, fake: fake.mean() - real.mean(), lambda fake: -fake.mean()),
}
"""Kind -> what the discriminator minimises, from its outputs for real and fake images; what the generator
minimises.

- ``bce`` (Goodfellow et al. 2014), of logits: -log D(real) - log(1 - D(fake)); -log D(fake), which does not
  saturate. 2 log 2 = 1.39 is chance.
- ``lsgan`` (Mao et al. 2017): (D(real) - 1)^2 + D(fake)^2; (D(fake) - 1)^2.
- ``hinge`` (Lim and Ye 2017, SAGAN): max(0, 1 - D(real)) + max(0, 1 + D(fake)); -D(fake).
- ``wgan`` (Arjovsky et al. 2017): D(fake) - D(real); -D(fake). It needs :func:`gradient_penalty`.
"""


def discriminator_loss(real: Tensor, fake: Tensor, kind: str = "bce") -> Tensor:
    """What a discriminator minimises, a scalar: the mean over all its outputs.

    Args:
        real: its outputs for real images, of any shape.
        fake: its outputs for generated images; detach these images first.
        kind: one of :data:`LOSSES`.

    Raises:
        ValueError: another kind.
    """
    return _losses(kind)[0](real, fake)


def generator_loss(fake: Tensor, kind: str = "bce") -> Tensor:
    """What a generator minimises against a discriminator, a scalar.

    Args:
        fake: the discriminator's outputs for generated images, of any shape.
        kind: one of :data:`LOSSES`.

    Raises:
        ValueError: another kind.
    """
    return _losses(kind)[1](fake)


def _losses(kind: str) -> tuple[_Discriminator, _Generator]:
    if kind not in LOSSES:
        raise ValueError(f"Unknown adversarial loss {kind!r}: choose one of {', '.join(LOSSES)}.")
    return LOSSES[kind]


def gradient_penalty(
    discriminator: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, share: Tensor
) -> Tensor:
    """WGAN-GP's penalty (Gulrajani et al. 2017): the mean over images of (|gradient| - 1)^2, a scalar.

    The gradient is that of the discriminator's output, by an image between the real and the fake one; of many
    outputs per image (patches), by their mean. It is computed in float32, and it can be differentiated again.
    The discriminator must judge each image by itself: no batch norm.

    Args:
        discriminator: images ``[B, C, H, W]`` -> ``[B, ...]``.
        real, fake: ``[B, C, H, W]``; no gradient reaches them.
        share: of the fake image in the mixture, ``[B, 1, 1, 1]`` in [0, 1), such as
            ``batch.uniform((1, 1, 1), "penalty")``.
    """
    with full_precision(real):
        mixture = torch.lerp(real.detach().float(), fake.detach().float(), share).requires_grad_()
        outputs = discriminator(mixture).reshape(len(mixture), -1)  # [B, patches]
        (gradient,) = torch.autograd.grad(outputs.mean(1).sum(), mixture, create_graph=True)
        norm = gradient.flatten(1).norm(dim=1)  # [B]
        return (norm - 1).square().mean()
