# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 03 · Generative Face Completion (gfc)

# %% tags=["parameters"]
import facecomp_lib as fc

preset = fc.preset("lesson")
seed = 0

# %%
#| default_exp papers.gfc
#| export
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facecomp_lib.faces import PARSING, Augment
from facecomp_lib.methods import Method, Player, Sample, Stage, uniform


# %%
#| export
class VGGEncoder(nn.Module):
    """Blocks of 3x3 convolutions with ReLU, each followed by 2x2 max-pooling that remembers its winners.

    Args:
        blocks: output channels of the convolutions, block by block.
        norm: batch norm after each convolution.
    """

    def __init__(self, blocks: Sequence[Sequence[int]], norm: bool = False) -> None:
        super().__init__()
        channels = [3, *(width for block in blocks for width in block)]
        layers = iter(conv_block(a, b, norm) for a, b in zip(channels, channels[1:], strict=False))
        self.blocks = nn.ModuleList(nn.Sequential(*(next(layers) for _ in block)) for block in blocks)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """``[B, 3, H, W]`` -> features ``[B, C, H / 2^n, W / 2^n]`` and each block's winners."""
        winners = []
        for block in self.blocks:
            x, places = F.max_pool2d(block(x), 2, return_indices=True)
            winners.append(places)
        return x, winners


class VGGDecoder(nn.Module):
    """An encoder's mirror image: max-unpooling with the encoder's own winners, then 3x3 convolutions.

    Args:
        blocks: channels of each block, from its input to its last convolution, deepest block first.
        norm: batch norm after each convolution.
        dropout: share of channels switched off after each of the first two blocks.
    """

    def __init__(self, blocks: Sequence[Sequence[int]], norm: bool = False, dropout: float = 0.0) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.Sequential(
                *(conv_block(a, b, norm) for a, b in zip(widths, widths[1:], strict=False)),
                nn.Dropout2d(dropout if depth < 2 else 0.0),
            )
            for depth, widths in enumerate(blocks)
        )

    def forward(self, x: Tensor, winners: Sequence[Tensor]) -> Tensor:
        """Features and the encoder's winners -> ``[B, C, H, W]``."""
        for block, places in zip(self.blocks, reversed(winners), strict=True):
            x = block(F.max_unpool2d(x, places, 2))
        return x


def conv_block(inputs: int, outputs: int, norm: bool) -> nn.Sequential:
    """3x3 convolution, batch norm if wanted, ReLU; the picture keeps its size."""
    conv = nn.Conv2d(inputs, outputs, 3, padding=1)
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    nn.init.zeros_(conv.bias)
    return nn.Sequential(conv, *([nn.BatchNorm2d(outputs)] if norm else []), nn.ReLU())


# %%
#| export
PLANS = {  # output channels of the encoder's convolutions at width 1, block by block
    "paper": ((64, 64), (128, 128), (256, 256, 256, 256), (512, 512)),
    "released": ((32, 32), (64, 64), (128, 128), (256, 256, 256, 256)),
}


class Generator(nn.Module):
    """Section 3.1: VGG-19 to pool3 and two more convolutions, a fully connected bottleneck, the mirror image.

    Args:
        size: side of the pictures, px; a multiple of 16.
        width: multiplier of all channel numbers.
        variant: ``"paper"`` puts the two extra convolutions on top, ``"released"`` at the input end.
        fc_dim: numbers in the bottleneck, by default 4096 times the width.
    """

    def __init__(
        self, size: int = 128, width: float = 1.0, variant: str = "paper", fc_dim: int | None = None
    ) -> None:
        super().__init__()
        blocks = [[round(width * channels) for channels in block] for block in PLANS[variant]]
        self.encoder = VGGEncoder(blocks)
        self.bottom = (blocks[-1][-1], size // 16, size // 16)  # 512 x 8 x 8 for the paper's 128 px
        wide = blocks[-1][-1] * (size // 16) ** 2
        fc_dim = round(4096 * width) if fc_dim is None else fc_dim
        self.bottleneck = nn.Sequential(
            nn.Linear(wide, fc_dim), nn.ReLU(), nn.Linear(fc_dim, wide), nn.ReLU()
        )
        inputs = [3, *(block[-1] for block in blocks)]
        self.decoder = VGGDecoder(
            [[*reversed(block), inputs[depth]] for depth, block in enumerate(blocks)][:0:-1]
            + [blocks[0][::-1]]
        )
        self.to_picture = nn.Conv2d(blocks[0][0], 3, 3, padding=1)

    def forward(self, filled: Tensor) -> Tensor:
        """``[B, 3, S, S]`` with noise in the hole -> ``[B, 3, S, S]``, all drawn anew; both in [0, 1]."""
        features, winners = self.encoder(filled)
        code = self.bottleneck(features.flatten(1)).unflatten(1, self.bottom)  # [B, 512, 8, 8]
        return torch.sigmoid(self.to_picture(self.decoder(code, winners)))


# %%
#| export
class Critic(nn.Module):
    """Section 3.2: is this picture, or this hole, real? One number per picture, above 0 for real.

    Pairs of 3x3 convolutions (stride 1) and 4x4 convolutions (stride 2) halve the picture down to 4x4; a last
    4x4 convolution makes one number of it. The channels double with each pair, up to 512.

    Args:
        size: side of what it looks at, px: 4 times a power of two.
        width: multiplier of all channel numbers.
    """

    def __init__(self, size: int, width: float = 1.0) -> None:
        super().__init__()
        pairs = (size // 4).bit_length() - 1
        channels = [3, *(round(width * 512 / 2**k) for k in reversed(range(pairs)))]
        layers: list[nn.Module] = []
        for inputs, outputs in zip(channels, channels[1:], strict=False):
            layers += critic_layer(inputs, outputs, 3, 1, norm=inputs > 3)
            layers += critic_layer(outputs, outputs, 4, 2, norm=True)
        self.layers = nn.Sequential(*layers, nn.Conv2d(channels[-1], 1, 4))

    def forward(self, picture: Tensor) -> Tensor:
        """``[B, 3, size, size]`` in [0, 1] -> ``[B]``, the logit of 'real'."""
        return self.layers(2 * picture - 1).flatten().float()


def critic_layer(inputs: int, outputs: int, kernel: int, stride: int, norm: bool) -> list[nn.Module]:
    """Convolution, batch norm if wanted, leaky ReLU, as in DCGAN."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=1)
    nn.init.normal_(conv.weight, std=0.02)
    return [conv, *([nn.BatchNorm2d(outputs)] if norm else []), nn.LeakyReLU(0.2)]


# %%
#| export
class Parser(nn.Module):
    """Section 3.3: which of 11 parts does each pixel belong to? VGG-19 to pool5, and a thinner way back.

    Args:
        width: multiplier of all channel numbers.
        dropout: share of channels switched off after the two deepest blocks of the decoder.
    """

    def __init__(self, width: float = 1.0, dropout: float = 0.1) -> None:
        super().__init__()
        plan = ((64,) * 2, (128,) * 2, (256,) * 4, (512,) * 4, (512,) * 4)
        self.encoder = VGGEncoder([[round(width * c) for c in block] for block in plan], norm=True)
        back = [round(width * c) for c in (512, 512, 256, 128, 64, 32)]
        self.decoder = VGGDecoder(
            [(a, b) for a, b in zip(back, back[1:], strict=False)], norm=True, dropout=dropout
        )
        self.to_labels = nn.Conv2d(back[-1], len(PARSING), 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """``[B, 3, H, W]`` in [0, 1] -> ``[B, 11, H, W]``, logits of the classes; 32 divides H and W."""
        return self.to_labels(self.decoder(*self.encoder(2 * image - 1)))


# %%
#| export
def real_and_fake(real: Tensor, fake: Tensor) -> Tensor:
    """A critic's loss: -log D(real) - log(1 - D(fake)), from logits ``[B]``. Chance level is 2 log 2."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def fools(fake: Tensor) -> Tensor:
    """A generator's loss, non-saturating: -log D(fake), from logits ``[B]``."""
    return F.softplus(-fake).mean()


def hole_corner(mask: Tensor, side: int) -> Tensor:
    """Upper left corner (y, x) of the ``side`` x ``side`` window around each hole: int64 ``[B, 2]``.

    The window has the middle of the hole's bounding box, moved inside the picture where it would stick out.
    """
    missing = mask[:, 0] < 0.5  # [B, H, W]
    corners = []
    for other, length in ((2, mask.shape[2]), (1, mask.shape[3])):
        touched = missing.any(other).long()  # [B, length]
        first, last = touched.argmax(1), length - 1 - touched.flip(1).argmax(1)
        corners.append(((first + last + 1 - side) // 2).clamp(0, length - side))
    return torch.stack(corners, 1)


def crop(picture: Tensor, corner: Tensor, side: int) -> Tensor:
    """A window of each picture: ``[B, C, H, W]`` and corners ``[B, 2]`` -> ``[B, C, side, side]``."""
    steps = torch.arange(side, device=picture.device)
    y = (corner[:, 0, None] + steps)[:, :, None]  # [B, side, 1]
    x = (corner[:, 1, None] + steps)[:, None, :]  # [B, 1, side]
    one = torch.arange(len(picture), device=picture.device)[:, None, None]
    return picture.permute(0, 2, 3, 1)[one, y, x].permute(0, 3, 1, 2)


# %%
#| export
class GFC(Method):
    """Generative Face Completion (Li, Liu, Yang, Yang 2017), built in lesson 03.

    Args:
        size: side of the pictures, px; 32 times a power of two, because of the critics and the parser.
        width: multiplier of the channel numbers of all networks.
        variant: of the generator, ``"paper"`` or ``"released"``.
        fc_dim: numbers in the generator's bottleneck, by default 4096 times the width.
        parser_width: of the parsing network, by default the width of the others.

    Raises:
        ValueError: a size or a variant that does not exist.
    """

    name = "gfc"

    def __init__(
        self,
        size: int = 128,
        width: float = 1.0,
        variant: str = "paper",
        fc_dim: int | None = None,
        parser_width: float | None = None,
    ) -> None:
        super().__init__(size=size, width=width, variant=variant, fc_dim=fc_dim, parser_width=parser_width)
        if size < 32 or size & (size - 1):
            raise ValueError(
                f"gfc's critics halve the picture to 4 px: size must be 32, 64, 128 ..., not {size}."
            )
        if variant not in PLANS:
            raise ValueError(f"Unknown variant {variant!r} of gfc: choose one of {', '.join(PLANS)}.")
        self.generator = Generator(size, width, variant, fc_dim)
        self.local_critic = Critic(size // 2, width)
        self.global_critic = Critic(size, width)
        self.parser = Parser(width if parser_width is None else parser_width)

    def stages(self, preset: str) -> list[Stage]:
        steps = {
            "smoke": (2, 2, 2, 2),
            "lesson": (150, 200, 100, 100),
            "full": (20000, 100000, 50000, 150000),
        }
        return [parsing_stage(steps[preset][0]), *curriculum(self.size, steps[preset][1:])]

    def draw(self, sample: Sample, stage: Stage) -> dict[str, Tensor]:
        if stage.name == "parsing":
            return {}
        noise = sample.uniform(sample.image.shape[1:], "fill")
        raw = self.generator(torch.where(sample.mask > 0.5, sample.image, noise))
        corner = hole_corner(sample.mask, self.size // 2)
        composite = torch.where(sample.mask > 0.5, sample.image, raw.float())
        return {"raw": raw, "corner": corner, "hole": crop(composite, corner, self.size // 2)}

    def loss_labels(self, sample: Sample, drawn: Mapping[str, Tensor]) -> Tensor:
        """The parsing network's own: cross-entropy with the true labels."""
        return F.cross_entropy(self.parser(sample.image).float(), sample.faces.parsing)

    def loss_reconstruction(self, sample: Sample, drawn: Mapping[str, Tensor]) -> Tensor:
        """L_r: mean squared difference to the original, known pixels included."""
        return F.mse_loss(drawn["raw"].float(), sample.image)

    def loss_local(self, sample: Sample, drawn: Mapping[str, Tensor]) -> Tensor:
        """L_a1 of eq. 1 for the generator; its gradient reaches the hole only."""
        return fools(self.local_critic(drawn["hole"]))

    def loss_global(self, sample: Sample, drawn: Mapping[str, Tensor]) -> Tensor:
        """L_a2 of eq. 1 for the generator; its gradient reaches the whole picture."""
        return fools(self.global_critic(drawn["raw"]))

    def loss_parsing(self, sample: Sample, drawn: Mapping[str, Tensor]) -> Tensor:
        """L_p: cross-entropy between the parsing of what was drawn and the parsing of the original."""
        with torch.no_grad():
            labels = self.parser(sample.image).argmax(1)
        return F.cross_entropy(self.parser(drawn["raw"]).float(), labels)

    def loss_local_critic(self, sample: Sample, drawn: Mapping[str, Tensor]) -> Tensor:
        real = crop(sample.image, drawn["corner"], self.size // 2)
        return real_and_fake(self.local_critic(real), self.local_critic(drawn["hole"].detach()))

    def loss_global_critic(self, sample: Sample, drawn: Mapping[str, Tensor]) -> Tensor:
        return real_and_fake(self.global_critic(sample.image), self.global_critic(drawn["raw"].detach()))

    def generate(self, image: Tensor, mask: Tensor, seed: int) -> tuple[Tensor, dict[str, Tensor]]:
        key = torch.tensor([seed], device=image.device)
        filled = torch.where(mask > 0.5, image, uniform(key, image.shape[1:], "fill"))
        raw = self.generator(filled)
        seen = torch.where(mask > 0.5, image, raw)
        return raw, {"filled": filled, "parsing": self.parser(seen).argmax(1)}


AUGMENT = Augment(flip=0.5, shift=0.05, rotate=15, scale=0.1, brightness=0, contrast=0)  # section 4.1


def parsing_stage(steps: int, batch_size: int = 16) -> Stage:
    """The parsing network learns the labels of undamaged faces; afterwards it stays as it is."""
    learner = Player(("parser",), {"labels": 1.0}, lr=1e-3, betas=(0.9, 0.999))
    return Stage("parsing", steps, {"parser": learner}, batch_size, masks=(), augment=AUGMENT, ema=0.995)


def curriculum(
    size: int, steps: Sequence[int], losses: int = 4, batch_size: int = 16, ema: float | None = 0.995
) -> list[Stage]:
    """Section 3.5: three stages, each with more losses than the one before.

    Args:
        size: of the pictures, px; the weights of eq. 2 are divided by 3 * size * size.
        steps: of each stage.
        losses: how many of the four of eq. 2 take part: 1 for the model M1 of the paper, 4 for M4.
        batch_size, ema: of all stages.
    """
    adversarial = 300 / (3 * size**2)
    weights = {"reconstruction": 1.0, "local": adversarial, "global": adversarial, "parsing": 0.005 / 3}
    stages = []
    for name, count, last in zip(("reconstruct", "locally", "globally"), steps, (1, 2, 4), strict=True):
        terms = list(weights)[: min(last, losses)]
        players = {
            f"{term}_critic": Player((f"{term}_critic",), {f"{term}_critic": 1.0}, pause_below=0.5)
            for term in terms
            if term in ("local", "global")
        }
        players["generator"] = Player(("generator",), {term: weights[term] for term in terms})
        stages.append(Stage(name, count, players, batch_size, augment=AUGMENT, ema=ema))
    return stages
