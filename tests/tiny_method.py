"""A method that trains in no time: a painter and a discriminator with a gradient penalty, no batch norm, and
faces for it."""

from dataclasses import replace

import tiny_faces
import torch
from torch import nn

from facecomp_lib import faces, methods
from facecomp_lib.faces.augment import Augment
from facecomp_lib.methods import OptimizerConfig, Stage

SIZE = 16


class Tiny(methods.Method):
    """Two stages: the painter alone, then the painter against the discriminator."""

    name = "tiny"

    def __init__(self, size=SIZE, width=4, dropout=0.0):
        super().__init__(size=size, width=width, dropout=dropout)
        inner, outer = nn.Conv2d(3, width, 3, padding=1), nn.Conv2d(width, 3, 3, padding=1)
        self.painter = nn.Sequential(inner, nn.Tanh(), nn.Dropout(dropout), outer)
        self.discriminator = nn.Sequential(nn.Conv2d(3, width, 4, 2), nn.Tanh(), nn.Conv2d(width, 1, 3))
        self.scale = nn.Conv2d(3, 3, 1)  # of no optimizer

    def stages(self, preset):
        steps = {"smoke": 4, "lesson": 12, "full": 1000}[preset]
        painter = OptimizerConfig(("painter",), {"reconstruction": 1.0}, lr=1e-2)
        discriminator = OptimizerConfig(
            ("discriminator",), {"gap": 1.0, "penalty": 10.0}, optimizer="rmsprop", clip=1.0
        )
        both = replace(painter, losses={"reconstruction": 1.0, "adversarial": 0.1})
        return [
            Stage("alone", steps, {"painter": painter}, batch_size=4),
            Stage(
                "against",
                steps,
                {"discriminator": discriminator, "painter": both},
                4,
                ("center", "noise"),
                ema=0.9,
            ),
        ]

    def forward_train(self, batch, stage):
        noise = batch.uniform(batch.image.shape[1:])
        return {"raw": self.painter(torch.where(batch.mask > 0.5, batch.image, noise))}

    def loss_reconstruction(self, batch, outputs):
        return (outputs["raw"].float() - batch.image).square().mean()

    def loss_gap(self, batch, outputs):
        return (self.discriminator(outputs["raw"].detach()) - self.discriminator(batch.image)).float().mean()

    def loss_penalty(self, batch, outputs):
        share = batch.uniform((1, 1, 1), "between")
        between = torch.lerp(batch.image, outputs["raw"].detach().float(), share)
        between.requires_grad_(True)
        (slope,) = torch.autograd.grad(self.discriminator(between).sum(), between, create_graph=True)
        return (slope.flatten(1).norm(dim=1) - 1).square().mean()

    def loss_adversarial(self, batch, outputs):
        return -self.discriminator(outputs["raw"]).float().mean()

    def predict(self, image, mask, *, seed=0):
        return self.painter(image), {}


def build(seed=0, **options):
    return methods.build("tiny", seed=seed, **options)


def data(folder, count=10, size=SIZE):
    """A small prepared data set, made at the first call."""
    if not (folder / "meta.json").exists():
        tiny_faces.write(folder, range(count), size=size)
    return faces.folder(folder)


def steady(stage, **changes):
    """A stage without random changes to the faces."""
    return replace(stage, augment=Augment(0, 0, 0, 0, 0, 0), **changes)
