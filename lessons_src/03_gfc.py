# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 03 · gfc: a network that has seen faces
#
# > Generative Face Completion (Li, Liu, Yang and Yang, CVPR 2017): an autoencoder, two discriminators, and a
# > network that knows the parts of a face.

# %% [markdown]
# > **The question:** how does a network learn to draw what is missing, and what does each of its losses
# > repair?<br>
# > **You will build** it piece by piece: an autoencoder that remembers places, two discriminators, a parsing
# > network, four losses; then train it stage by stage and watch the same faces through all of them.<br>
# > **You need** lesson 01 (batches, masks, composites) and lesson 02 (metrics, blending, and why the squared
# > error likes blur).<br>
# > **It takes** 90 minutes with the exercises; all cells together run in some four minutes on two CPU cores,
# > two of them training. No GPU needed.<br>
# > **What is simplified:** the faces are rendered and few, the network trained here is small (64 px, a
# > quarter of the channels). `preset="full"` is the paper's size, for a GPU and a prepared data set.

# %% tags=["parameters"]
import facecomp_lib as fc

preset = fc.preset("lesson")
seed = 0
model = "M4"  # one of "M1" (reconstruction), "M2" (+ local), "M3" (+ global), "M4" (+ parsing), "M5"
size = None  # a whole number of px; None is the preset's, as everywhere below
width = None  # a number that multiplies all channel numbers; the paper's is 1
steps = None  # a list of 4: of each stage, such as [150, 200, 100, 100]
data = None  # a folder of prepared faces; None is the embedded pack
run_dir = None  # a folder where training writes, and goes on when started again; None is a temporary one
precision = "32-true"  # one of "32-true", "bf16-mixed", "16-mixed"; the second is for a recent GPU

# %% [markdown]
# ## 1. The plan
#
# All fills of lesson 02 look for the answer in the image itself. But an eye that is hidden is nowhere else
# in this image. It has to come from *other* faces. gfc lets a network see many of them, and judges what it
# draws in four ways.

# %%
#| default_exp papers.gfc
#| export
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facecomp_lib.faces import PARSING, Augment
from facecomp_lib.methods import Method, OptimizerConfig, Stage, TrainBatch, loss_terms, uniform
from facecomp_lib.nn import discriminator_loss, generator_loss

# %%
from pathlib import Path

import numpy as np

faces = fc.faces.embedded("test")
shipped = fc.methods.pretrained("gfc")  # trained for hours before you came; section 12 opens its card
one = faces.batch([36])
square = fc.masks.make("center", size=128)

out = shipped.complete(one.image, square, seed=seed)
with torch.no_grad():
    maps = [shipped.parser(image).argmax(1)[0] for image in (out.raw, one.image)]
blank = torch.full_like(one.image[0], 0.9)
fc.show.gfc_plan(
    {
        "filled": out.extras["filled"][0],
        "raw": out.raw[0],
        "composite": out.composite[0],
        "original": one.image[0],
        "hole": out.composite[0, :, 32:96, 32:96],
        "parsing": fc.show.parsing_image(maps[0]),
        "parsing_original": fc.show.parsing_image(maps[1]),
    }
)

# %% [markdown]
# From left to right: the hole is filled with **noise**; the **generator** draws the *whole* face anew; the
# known pixels are put back. Four judges look at the result:
#
# | loss | asks | looks at |
# |---|---|---|
# | L<sub>r</sub> | is every pixel near to the original? | the raw output |
# | L<sub>a1</sub> | can a **local discriminator** tell the filled hole from a real one? | the hole |
# | L<sub>a2</sub> | can a **global discriminator** tell the output from a real face? | the raw output |
# | L<sub>p</sub> | does a **parsing network** see eyes, nose and lips where they were? | the raw output |
#
# The paper calls its models by how many of the losses they learn from: M1 has L<sub>r</sub> only, M2 the
# local discriminator too, M3 both discriminators, M4 all four. M5 is M4, blended into its surroundings
# (lesson 02, section 10).
#
# **Predict:** which of the four will paint hair, which will paint *sharp* hair, and which will give one eye
# the colour of the other?
#
# ## 2. The hole is filled with noise
#
# A network has to be given *some* number for a missing pixel. gfc takes uniform noise from 0 to 1, another
# one for each sample and each step: the network can see where nothing is known (nothing in a face looks like
# this), and another noise may give another face.
#
# A random number of ours is a function of a key (seed, step, sample) and of its place. So a sample gets the
# same noise on one GPU or on eight, today or after a restart. Three samples, cut into two batches in two
# ways:

# %%
# NBVAL_CHECK_OUTPUT
keys = fc.methods.sample_keys(seed=0, step=7, index=torch.tensor([4, 5, 6]))
together = uniform(keys, (3, 64, 64), "fill")
apart = torch.cat([uniform(keys[:1], (3, 64, 64), "fill"), uniform(keys[1:], (3, 64, 64), "fill")])
assert torch.equal(together, apart)
print(f"the same in both cuts; mean {together.mean():.2f}, from {together.min():.2f} to {together.max():.2f}")

# %%
view = (..., slice(24, 104), slice(24, 104))  # what is shown
fills = [uniform(torch.tensor([key]), (3, 128, 128), "fill") for key in (0, 1)]
noisy = [torch.where(square > 0.5, one.image, fill)[0][view] for fill in fills]
hidden = fc.show.masked(one.image, square)[0][view]
fc.show.contact_sheet([hidden, *noisy], ["the hole", "key 0", "key 1"], cell=120)

# %% [markdown]
# ## 3. Pooling that remembers
#
# The generator is an **autoencoder**: it shrinks the image to a few numbers that say what is in it (there
# is no room for details), and grows an image from these. Shrinking is done by **max-pooling**: of each 2x2
# block, the largest value stays.
#
# How to grow? gfc puts each value back **where the winner stood**, and zeros around it: max-**un**pooling.
# The encoder has to remember the places.
#
# By hand. **Predict** the last image: which cells are not 0?

# %%
toy = torch.tensor([[1.0, 5, 2, 0], [3, 2, 1, 7], [4, 8, 6, 3], [0, 1, 2, 5]])
pooled, winners = F.max_pool2d(toy[None, None], 2, return_indices=True)
grown = F.max_unpool2d(pooled, winners, 2)
fc.show.pooling(toy, pooled[0, 0], winners[0, 0], grown[0, 0])

# %% [markdown]
# As a loop over blocks, against torch:


# %%
# NBVAL_CHECK_OUTPUT
def pool_loop(x):
    """[H, W] -> (largest of each 2x2 block [H/2, W/2], its place in x counted row by row)."""
    height, width = x.shape
    values, places = (
        torch.zeros(height // 2, width // 2),
        torch.zeros(height // 2, width // 2, dtype=torch.long),
    )
    for i in range(height // 2):
        for j in range(width // 2):
            block = [(x[y, k].item(), y * width + k) for y in (2 * i, 2 * i + 1) for k in (2 * j, 2 * j + 1)]
            values[i, j], places[i, j] = max(block, key=lambda pair: pair[0])
    return values, places


def unpool_loop(values, places):
    """The way back: zeros [2H, 2W], and each value at its place."""
    height, width = 2 * values.shape[0], 2 * values.shape[1]
    out = torch.zeros(height, width)
    for value, place in zip(values.flatten().tolist(), places.flatten().tolist(), strict=True):
        out[place // width, place % width] = value
    return out


for x in (toy, torch.rand(8, 6, generator=torch.Generator().manual_seed(seed))):
    values, places = pool_loop(x)
    expected, indices = F.max_pool2d(x[None], 2, return_indices=True)
    assert torch.equal(values, expected[0]) and torch.equal(places, indices[0])
    assert torch.equal(unpool_loop(values, places), F.max_unpool2d(expected, indices, 2)[0])
print(winners[0, 0].tolist(), "-> rows and columns", [divmod(k, 4) for k in winners.flatten().tolist()])

# %% [markdown]
# What is that good for? Below, the edges of a face are pooled twice, to a sixteenth of the numbers. Grown by
# copying, they are blocks. Grown by unpooling, each value is back **on** its edge: the decoder is told
# *where* things were, the bottleneck need only say *what*.

# %%
grey = one.image.mean(1, keepdim=True)
edges = F.pad(
    (grey[..., 1:, 1:] - grey[..., :-1, :-1]).abs() + (grey[..., 1:, :-1] - grey[..., :-1, 1:]).abs(),
    (1, 0, 1, 0),
)
small, first = F.max_pool2d(edges, 2, return_indices=True)
tiny, second = F.max_pool2d(small, 2, return_indices=True)
back = F.max_unpool2d(F.max_unpool2d(tiny, second, 2), first, 2)
views = [edges, tiny, F.interpolate(tiny, scale_factor=4), back]
fc.show.contact_sheet(
    [F.interpolate(3 * v, 128)[0].clamp(0, 1) for v in views],
    ["edges of a face", "pooled twice", "grown by copying", "grown by unpooling"],
    notes=["128 x 128", "32 x 32", "128 x 128, blocks", "128 x 128, in place"],
    cell=192,
)

# %% [markdown]
# **In the hole**, there is noise, and so it is noise that decides where winners stand. Remember that when
# section 12 draws one hole several times.
#
# The two halves of the autoencoder, each a stack of blocks of convolutions:


# %%
#| export
def conv_block(inputs: int, outputs: int, norm: bool) -> nn.Sequential:
    """3x3 convolution, batch norm if wanted, ReLU; the image keeps its size."""
    conv = nn.Conv2d(inputs, outputs, 3, padding=1)
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    return nn.Sequential(conv, *([nn.BatchNorm2d(outputs)] if norm else []), nn.ReLU())


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
            x = block(F.max_unpool2d(x, places, [2, 2]))
        return x


# %% [markdown]
# An unpooled map keeps the winners of *its* encoder block, so the decoder has to be the encoder's mirror
# image, channel for channel. Check on a tiny pair:

# %%
# NBVAL_CHECK_OUTPUT
tiny_encoder, tiny_decoder = VGGEncoder([(4, 4), (8,)]), VGGDecoder([(8, 4), (4, 4)])
features, winners = tiny_encoder(torch.rand(1, 3, 16, 16))
print("features", list(features.shape), "winners", [list(w.shape) for w in winners])
print("and back", list(tiny_decoder(features, winners).shape))

# %% [markdown]
# ## 4. The generator
#
# Section 3.1 of the paper in one sentence: VGG-19 from conv1 to pool3, two more convolutions and one more
# pooling, a fully connected layer; then all of it mirrored, with unpooling.
#
# Only the fully connected layer lets the left half of the face know of the right half: a 3x3 convolution sees
# its neighbours, and even at 8 x 8 the corners of the face are far apart.
#
# The text leaves one question open. *On top* of pool3, two more convolutions would have 512 channels each.
# The network that the authors published has two thin convolutions (32 channels) and a pooling at the *input*
# end instead, and VGG's blocks after it. We build both.

# %%
#| export
PLANS = {  # output channels of the encoder's convolutions at width 1, block by block
    "paper": ((64, 64), (128, 128), (256, 256, 256, 256), (512, 512)),
    "released": ((32, 32), (64, 64), (128, 128), (256, 256, 256, 256)),
}


class Generator(nn.Module):
    """Section 3.1: VGG-19 to pool3 and two more convolutions, a fully connected bottleneck, the mirror image.

    Args:
        size: side of the images, px; a multiple of 16.
        width: multiplier of all channel numbers.
        variant: ``"paper"`` puts the two extra convolutions on top, ``"released"`` at the input end.
        fc_dim: numbers in the bottleneck, by default 4096 times the width.
        norm: batch norm after each convolution and linear layer, which the paper does not have: training from
            scratch goes several times faster with it.
    """

    def __init__(
        self,
        size: int = 128,
        width: float = 1.0,
        variant: str = "paper",
        fc_dim: int | None = None,
        norm: bool = False,
    ) -> None:
        super().__init__()
        blocks = [[round(width * channels) for channels in block] for block in PLANS[variant]]
        self.encoder = VGGEncoder(blocks, norm)
        self.bottom = (blocks[-1][-1], size // 16, size // 16)  # 512 x 8 x 8 for the paper's 128 px
        wide = blocks[-1][-1] * (size // 16) ** 2
        fc_dim = round(4096 * width) if fc_dim is None else fc_dim
        layers: list[nn.Module] = []
        for inputs, outputs in ((wide, fc_dim), (fc_dim, wide)):
            layers += [nn.Linear(inputs, outputs), *([nn.BatchNorm1d(outputs)] if norm else []), nn.ReLU()]
        self.bottleneck = nn.Sequential(*layers)
        before = [3, *(block[-1] for block in blocks)]
        back = [[*reversed(block), before[depth]] for depth, block in enumerate(blocks)]
        self.decoder = VGGDecoder([*back[:0:-1], blocks[0][::-1]], norm)
        self.to_image = nn.Conv2d(blocks[0][0], 3, 3, padding=1)

    def forward(self, filled: Tensor) -> Tensor:
        """``[B, 3, S, S]`` with noise in the hole -> ``[B, 3, S, S]``, all drawn anew; both in [0, 1]."""
        features, winners = self.encoder(filled)
        code = self.bottleneck(features.flatten(1)).unflatten(1, self.bottom)  # [B, 512, 8, 8]
        return torch.sigmoid(self.to_image(self.decoder(code, winners)))


# %% [markdown]
# Every shape on the way, beside the paper's words. Nothing is computed for that: on the `meta` device,
# tensors have shapes but no numbers, so that a network of any size fits into any laptop.


# %%
# NBVAL_CHECK_OUTPUT
def millions(network):
    return sum(p.numel() for p in network.parameters()) / 1e6


def shapes(network, image):
    """Output shape of each block of a generator, in the order in which they run."""
    outputs = []
    blocks = [*network.encoder.blocks, *network.bottleneck, *network.decoder.blocks, network.to_image]
    hooks = [
        block.register_forward_hook(lambda *call: outputs.append(list(call[2].shape[1:]))) for block in blocks
    ]
    network(image)
    for hook in hooks:
        hook.remove()
    return [" x ".join(map(str, shape)) for shape in outputs]


with torch.device("meta"):
    full = {variant: Generator(size=128, width=1.0, variant=variant) for variant in PLANS}
    columns = {variant: shapes(network, torch.empty(1, 3, 128, 128)) for variant, network in full.items()}
words = [
    *("conv1_1, conv1_2 | pool", "conv2_1, conv2_2 | pool", "conv3_1 ... conv3_4 | pool", "two more | pool"),
    *("fully connected", "", "and back", "", "unpool | two convolutions", "unpool | four", "unpool | two"),
    *("unpool | two", "three colours"),
]
print(f"{'the paper says':28}{'paper':>18}{'released':>18}")
for word, paper, released in zip(words, *columns.values(), strict=True):
    print(f"{word:28}{paper:>18}{released:>18}")

# %% [markdown]
# (Before each `| pool`, as the convolutions leave it.) **Predict:** where are most of the parameters: in the
# convolutions, or in the two fully connected layers?


# %%
def parts(network):
    return {
        "encoder": millions(network.encoder),
        "fully connected": millions(network.bottleneck),
        "decoder": millions(network.decoder) + millions(network.to_image),
    }


with torch.device("meta"):
    variants = {
        "paper": full["paper"],
        "released": full["released"],
        "paper, fc_dim=512": Generator(128, 1.0, fc_dim=512),
        "paper, width ½, fc_dim=512": Generator(128, 0.5, fc_dim=512),
    }
fc.show.shares({name: parts(network) for name, network in variants.items()}, "M", left=190)

# %%
# NBVAL_CHECK_OUTPUT
for variant, network in full.items():
    whole, share = millions(network), millions(network.bottleneck) / millions(network)
    print(f"{variant:9} {whole:6.1f} M parameters, {share:.0%} of them in the fully connected pair")
print(f"by hand: 512 · 8 · 8 · 4096 · 2 = {512 * 8 * 8 * 4096 * 2 / 1e6:.1f} M")

# %% [markdown]
# (`norm` is ours: the paper's generator has no batch norm and was trained for long. With it, short training
# gets several times further; our own runs use it and say so.)
#
# 96 of 100 parameters sit in two matrices of 32,768 x 4,096. They hardly cost time (a multiplication each,
# once per image; a convolution reuses its few weights 16,384 times), but memory, and a checkpoint of more
# than a gigabyte. So there is a knob for it, `fc_dim`, beside `width`. Our checkpoint has a quarter of the
# width and `fc_dim=128`.
#
# ## 5. The reconstruction loss
#
# The squared distance between output and original, over **all** pixels, known ones too:
#
# L<sub>r</sub> = ‖ G(x) − y ‖²
#
# Its weakness in a toy: of four faces that look alike outside the hole, three have a dark pixel (0.2) in it,
# one a bright one (1). **Predict:** which single number makes the squared error least: the most frequent one?

# %%
possible = torch.tensor([0.2, 0.2, 0.2, 1.0])
guesses = torch.linspace(0, 1.2, 121)


def reconstruction_loop(guess, targets):
    total = 0.0
    for target in targets.tolist():
        total += (guess - target) ** 2
    return total / len(targets)


losses = torch.tensor([reconstruction_loop(guess, possible) for guess in guesses.tolist()])
assert torch.allclose(losses, (guesses[:, None] - possible).square().mean(1), atol=1e-6)
assert abs(losses[60] - F.mse_loss(guesses[60].expand(4), possible)) < 1e-6
best = losses.argmin()
fc.show.curves(
    {"L_r": list(zip(guesses.tolist(), losses.tolist(), strict=True))},
    "what the network draws",
    "mean squared error against four possible truths",
    {f"least at {guesses[best]:.1f}, their mean": (guesses[best].item(), losses[best].item())},
)

# %% [markdown]
# The mean, a value that *none* of the four faces has. In an image, the mean of all eyes that could be there
# is a blurred eye. No training and no larger network helps: it is what L<sub>r</sub> asks for.
#
# ## 6. A discriminator
#
# A **discriminator** is a network that learns to tell real from drawn, while
# the generator learns to fool it. D gives the probability of 'real'. Equation 1:
#
# L<sub>a</sub> = min<sub>G</sub> max<sub>D</sub> E<sub>x</sub> [ log D(x) ] +
# E<sub>z</sub> [ log (1 − D(G(z))) ]
#
# A blurred eye is easy to tell from real ones, and *the mean of all eyes* earns nothing any more: the
# generator has to make up its mind.
#
# Our discriminators give a **logit** *s*; the probability is D = 1 / (1 + e<sup>−s</sup>). Three drawn images
# by hand. **Predict:** which one of them should push the generator most?

# %%
# NBVAL_CHECK_OUTPUT
logits = torch.tensor([-2.0, 0.0, 2.0])  # a bad fake, one in doubt, a good one
print("logit    D = P(real)    log(1 - D)    -log D")
for s in logits.tolist():
    d = 1 / (1 + np.exp(-s))
    print(f"{s:5.0f} {d:14.2f} {np.log(1 - d):13.2f} {-np.log(d):9.2f}")

# %% [markdown]
# The generator makes either log(1 − D) small, as equation 1 says word by word, or −log D, as Goodfellow's
# paper suggests and everybody does. Both want D → 1. What differs is the **push**, the derivative by the
# logit:

# %%
line = torch.linspace(-6, 6, 121, requires_grad=True)
pushes = {
    "log(1 − D)": torch.autograd.grad(F.logsigmoid(-line).sum(), line)[0].abs(),
    "−log D": torch.autograd.grad(-F.logsigmoid(line).sum(), line)[0].abs(),
}
fc.show.curves(
    {name: list(zip(line.tolist(), push.tolist(), strict=True)) for name, push in pushes.items()},
    "logit of a drawn image: left, the discriminator sees through it; right, it is fooled",
    "how strongly the generator is pushed",
    {"chance: D = ½": (0, 0.5)},
)

# %% [markdown]
# At the beginning every fake is a bad one. There log(1 − D) is flat: the generator learns least where it has
# most to learn; the loss is *saturated*. −log D pushes the bad fakes hardest, so we take that. (For logits it
# is a `softplus`: −log D = log(1 + e<sup>−s</sup>), which does not overflow.)


# %%
def discriminator_bce(real, fake):
    """A discriminator's loss: -log D(real) - log(1 - D(fake)), from logits [B]. Chance level is 2 log 2."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def generator_bce(fake):
    """A generator's loss, non-saturating: -log D(fake), from logits [B]."""
    return F.softplus(-fake).mean()


# %%
# NBVAL_CHECK_OUTPUT
def generator_loop(logits):
    total = 0.0
    for s in logits.tolist():
        total += -np.log(1 / (1 + np.exp(-s)))
    return total / len(logits)


def discriminator_loop(real, fake):
    total = 0.0
    for s in real.tolist():
        total += -np.log(1 / (1 + np.exp(-s))) / len(real)
    for s in fake.tolist():
        total += -np.log(1 - 1 / (1 + np.exp(-s))) / len(fake)
    return total


real = torch.tensor([3.0, 1.0, 0.5])
assert np.isclose(generator_loop(logits), generator_bce(logits))
assert np.isclose(discriminator_loop(real, logits), discriminator_bce(real, logits))
print(f"generator: (2.13 + 0.69 + 0.13) / 3 = {generator_bce(logits):.2f}")
chance = discriminator_bce(torch.zeros(3), torch.zeros(3))
print(f"discriminator: {discriminator_bce(real, logits):.2f}; one that only guesses: 2 log 2 = {chance:.2f}")

# %% [markdown]
# The next papers use this pair, too, or other ones in its place. So the library holds them all
# (`facecomp_lib.nn.adversarial`), and its default is what we have just built:

# %%
assert torch.equal(generator_loss(logits), generator_bce(logits))
assert torch.equal(discriminator_loss(real, logits), discriminator_bce(real, logits))

# %% [markdown]
# Remember 2 log 2 = 1.39. A discriminator's loss near it means: it cannot tell. Near 0: it sees through
# everything, and the generator learns little from it. The paper takes care 'when the discriminator is too
# strong at the beginning'; ours sits out a step while its loss is below 0.5 (`skip_below`).
#
# The network is DCGAN's: pairs of a 3x3 convolution and a 4x4 convolution with stride 2, until 4 x 4 are
# left.


# %%
#| export
class Discriminator(nn.Module):
    """Section 3.2: is this image, or this hole, real? One number per image, above 0 for real.

    Pairs of 3x3 convolutions (stride 1) and 4x4 convolutions (stride 2) halve the image down to 4x4; a last
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
            layers += discriminator_layer(inputs, outputs, 3, 1, norm=inputs > 3)
            layers += discriminator_layer(outputs, outputs, 4, 2, norm=True)
        self.layers = nn.Sequential(*layers, nn.Conv2d(channels[-1], 1, 4))

    def forward(self, image: Tensor) -> Tensor:
        """``[B, 3, size, size]`` in [0, 1] -> ``[B]``, the logit of 'real'."""
        return self.layers(2 * image - 1).flatten().float()  # [B]


def discriminator_layer(inputs: int, outputs: int, kernel: int, stride: int, norm: bool) -> list[nn.Module]:
    """Convolution, batch norm if wanted, leaky ReLU, as in DCGAN."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=1)
    nn.init.normal_(conv.weight, std=0.02)
    return [conv, *([nn.BatchNorm2d(outputs)] if norm else []), nn.LeakyReLU(0.2)]


# %% [markdown]
# ## 7. Two discriminators, and where their gradients reach
#
# The **local discriminator** looks at the hole: in training, 64 x 64 of 128 x 128 px. The **global
# discriminator** looks at everything. A completion of any other hole is cut out by a window of the same size,
# around the middle of the hole's bounding box, pushed back into the image where it would stick out. (Below,
# 32 of 64 px.)


# %%
#| export
def hole_corner(mask: Tensor, side: int) -> Tensor:
    """Upper left corner (y, x) of the ``side`` x ``side`` window around each hole: int64 ``[B, 2]``.

    The window has the middle of the hole's bounding box, moved inside the image where it would stick out.
    """
    missing = mask[:, 0] < 0.5  # [B, H, W]
    corners = []
    for other, length in ((2, mask.shape[2]), (1, mask.shape[3])):
        touched = missing.any(other).long()  # [B, length]
        first, last = touched.argmax(1), length - 1 - touched.flip(1).argmax(1)
        corners.append(((first + last + 1 - side) // 2).clamp(0, length - side))
    return torch.stack(corners, 1)  # [B, 2]


def crop(image: Tensor, corner: Tensor, side: int) -> Tensor:
    """A window of each image: ``[B, C, H, W]`` and corners ``[B, 2]`` -> ``[B, C, side, side]``."""
    steps = torch.arange(side, device=image.device)
    y = (corner[:, 0, None] + steps)[:, :, None]  # [B, side, 1]
    x = (corner[:, 1, None] + steps)[:, None, :]  # [B, 1, side]
    one = torch.arange(len(image), device=image.device)[:, None, None]  # [B, 1, 1]
    return image.permute(0, 2, 3, 1)[one, y, x].permute(0, 3, 1, 2)  # [B, C, side, side]


# %%
def hole_corner_loop(mask, side):
    """One mask [1, H, W] -> (y, x)."""
    _, height, width = mask.shape
    missing = [(y, x) for y in range(height) for x in range(width) if mask[0, y, x] < 0.5]
    corner = []
    for axis, length in ((0, height), (1, width)):
        first, last = min(p[axis] for p in missing), max(p[axis] for p in missing)
        corner.append(min(max((first + last + 1 - side) // 2, 0), length - side))
    return corner


kinds = ("center", "gfc_o1", "gfc_o5", "gfc_o6", "irregular_20_30")
little = fc.faces.embedded("test", size=64).batch([36])
holes = torch.cat([fc.masks.make(kind, 64, seed=seed, landmarks=little.landmarks) for kind in kinds])
corners = hole_corner(holes, 32)
assert corners.tolist() == [hole_corner_loop(mask, 32) for mask in holes]
many = little.image.expand(len(kinds), -1, -1, -1)
cut = crop(many, corners, 32)
for k, (y, x) in enumerate(corners.tolist()):
    assert torch.equal(cut[k], many[k, :, y : y + 32, x : x + 32])
fc.show.windows(fc.show.masked(many, holes), corners, 32, kinds, cell=112)

# %% [markdown]
# Now the difference that the paper makes so much of. The gradient of a loss says, for each pixel of the raw
# output: 'a little brighter here would help'. **Predict:** where is it zero for the local discriminator,
# where for the global one?

# %%
torch.manual_seed(seed)
generator, local_discriminator, global_discriminator = (
    Generator(128, 0.125, fc_dim=64),
    Discriminator(64, 0.125),
    Discriminator(128, 0.125),
)
mask = fc.masks.make("random_square", 128, seed=4)
corner = hole_corner(mask, 64)
raw = generator(torch.where(mask > 0.5, one.image, torch.rand(1, 3, 128, 128)))
composite = torch.where(mask > 0.5, one.image, raw)  # known pixels do not depend on the generator
losses = {
    "reconstruction": F.mse_loss(raw, one.image),
    "local discriminator": generator_loss(local_discriminator(crop(composite, corner, 64))),
    "global discriminator": generator_loss(global_discriminator(raw)),
}
gradients = {
    name: torch.autograd.grad(loss, raw, retain_graph=True)[0][0].abs().sum(0)
    for name, loss in losses.items()
}
top, left = corner[0].tolist()
notes = {name: f"reaches {(g > 0).float().mean():.0%}" for name, g in gradients.items()}
fc.show.reach(
    fc.show.masked(one.image, mask)[0], gradients, (left, top, left + 64, top + 64), notes, cell=160
)

# %%
hidden = mask[0, 0] < 0.5
assert (gradients["local discriminator"][~hidden] == 0).all() and (
    gradients["local discriminator"][hidden] > 0
).all()
assert (gradients["global discriminator"] > 0).float().mean() > 0.99

# %% [markdown]
# The local discriminator cannot say anything about the known pixels: it teaches the hole to look like a piece
# of *some* face. Whether it fits to the pixels around it, only the global discriminator can see, because it
# looks at both sides of the rim; and it pushes on both. So we expect: after the local discriminator, sharp
# holes with **seams**; after the global one, none.
#
# (Why does the global discriminator judge the *raw* output and not the composite? In a composite, the
# gradient would stop at the known pixels, as it does for the local discriminator. Then both would reach the
# hole only, which is not what section 3.4 of the paper says.)
#
# ## 8. A network that knows the parts of a face
#
# Discriminators know what faces look like; but they do not mind whether the left eye is half as large as the
# right one. So the paper lets a **parsing network** name each pixel (11 classes: lesson 01), in the drawn
# face and in the original, and asks for the same names:
#
# L<sub>p</sub> = mean over pixels of −log P(the label in the original)
#
# By hand: two pixels, three classes, logits as below; the true classes are 0 and 2. **Predict:** which of the
# two pixels costs more?

# %%
# NBVAL_CHECK_OUTPUT
scores = torch.tensor([[2.0, 0.0, 0.0], [1.0, 1.0, 0.0]])  # [pixel, class]
truth = torch.tensor([0, 2])


def cross_entropy_loop(scores, truth):
    total = 0.0
    for row, label in zip(scores.tolist(), truth.tolist(), strict=True):
        total += -np.log(np.exp(row[label]) / sum(np.exp(s) for s in row))
    return total / len(truth)


first, second = np.exp(2) / (np.exp(2) + 1 + 1), 1 / (np.e + np.e + 1)
print(f"P = {first:.2f} and {second:.2f}, so -log P = {-np.log(first):.2f} and {-np.log(second):.2f}")
assert np.isclose(cross_entropy_loop(scores, truth), F.cross_entropy(scores, truth))
print(f"mean {cross_entropy_loop(scores, truth):.2f}; by guessing, log 3 = {np.log(3):.2f}")

# %% [markdown]
# The network is an autoencoder, too: VGG-19 down to pool5, and a thinner way back, with unpooling. The
# authors begin with weights that were trained on ImageNet; ours begins with none and has batch norm instead,
# which lets it learn from few faces. It learns first, from faces with known labels; then it is **frozen**: it
# only passes gradients on to the generator.


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


# %% [markdown]
# ## 9. Adding up: the arithmetic of the weights
#
# Equation 2, with the weights of section 4:
#
# L = L<sub>r</sub> + 300 L<sub>a1</sub> + 300 L<sub>a2</sub> + 0.005 L<sub>p</sub>
#
# Take it literally, with means over pixels, and something is odd. A fair completion has a mean squared error
# of 0.01. A discriminator in doubt costs 0.69. **Predict:** what does 300 · 0.69 do to 0.01?
#
# The numbers make sense if L<sub>r</sub> and L<sub>p</sub> are **sums** over pixels: L<sub>r</sub> over 3 H W
# numbers, L<sub>p</sub> over H W pixels. Then we divide everything by 3 H W, which moves no minimum, and have
# means again, with other weights:
#
# L / (3HW) = mean L<sub>r</sub> + 300/(3HW) L<sub>a1</sub> + 300/(3HW) L<sub>a2</sub> + 0.005/3 · mean
# L<sub>p</sub>

# %%
# NBVAL_CHECK_OUTPUT
typical = {"reconstruction": 0.01, "local": 0.69, "global": 0.69, "parsing": 0.10}  # means
for side in (128, 64):
    n = 3 * side * side
    sums = {"reconstruction": typical["reconstruction"] * n, "local": 300 * typical["local"],
            "global": 300 * typical["global"], "parsing": 0.005 * typical["parsing"] * n / 3}  # fmt: skip
    weights = {"reconstruction": 1.0, "local": 300 / n, "global": 300 / n, "parsing": 0.005 / 3}
    print(f"{side} px, 3HW = {n:,}")
    for term, value in typical.items():
        assert np.isclose(sums[term] / n, weights[term] * value)
        print(
            f"   {term:15} mean {value:.2f}, in the sum {sums[term]:6.1f}, weight of mean {weights[term]:.5f}"
        )

# %% [markdown]
# - As sums, the discriminators weigh as much as the pixels: a game between equals. As means, they would weigh
#   some 20,000 times as much, and the generator would forget the original.
# - The parsing loss is a *small* voice: 0.005 is meant for sums.
# - A sum over pixels grows with the image, a discriminator's loss does not. At 64 px the same 300 weighs four
#   times as much against L<sub>r</sub>. Keep that in mind when you compare sizes.
#
# ## 10. All together
#
# A method of this course is an object that owns its networks and says how they are trained: its **stages** in
# order, in each stage the **optimizers** that take turns, and for each optimizer the losses that it
# minimises. The trainer (`fc.training.fit`) knows nothing of faces.
#
# - `forward_train` computes what the losses of one step share: fill with noise, generate, put known pixels
#   back.
# - `loss_<term>` is one line per formula.
# - `predict` is what `complete(image, mask)` calls.


# %%
#| export
@dataclass(frozen=True, eq=False)
class GFCOutputs:
    """What the losses of a training step share.

    Attributes:
        raw: ``[B, 3, S, S]`` in [0, 1], the generator's output.
        composite: ``[B, 3, S, S]``, the raw output with the known pixels put back.
        corner: int64 ``[B, 2]``, upper left corner (y, x) of the window around each hole.
        hole: ``[B, 3, S / 2, S / 2]``, this window of the composite.
    """

    raw: Tensor
    composite: Tensor
    corner: Tensor
    hole: Tensor


class GFC(Method):
    """Generative Face Completion (Li, Liu, Yang, Yang 2017), built in lesson 03.

    Args:
        size: side of the images, px; 32 times a power of two, because of the discriminators and the parser.
        width: multiplier of the channel numbers of all networks.
        variant: of the generator, ``"paper"`` or ``"released"``.
        fc_dim: numbers in the generator's bottleneck, by default 4096 times the width.
        parser_width: of the parsing network, by default the width of the others.
        norm: batch norm in the generator, too, and five times the paper's learning rate for L_r alone: for
            short training from scratch.

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
        norm: bool = False,
    ) -> None:
        super().__init__(
            size=size, width=width, variant=variant, fc_dim=fc_dim, parser_width=parser_width, norm=norm
        )
        if size < 32 or size & (size - 1):
            raise ValueError(
                f"gfc's discriminators halve the image to 4 px: size must be 32, 64, 128 ..., not {size}."
            )
        if variant not in PLANS:
            raise ValueError(f"Unknown variant {variant!r} of gfc: choose one of {', '.join(PLANS)}.")
        self.generator = Generator(size, width, variant, fc_dim, norm)
        self.local_discriminator = Discriminator(size // 2, width)
        self.global_discriminator = Discriminator(size, width)
        self.parser = Parser(width if parser_width is None else parser_width)

    def stages(self, preset: str) -> list[Stage]:
        ema, *steps = {
            "smoke": (0.5, 2, 2, 2, 2),
            "lesson": (0.95, 150, 200, 100, 100),
            "full": (0.999, 20000, 100000, 50000, 150000),
        }[preset]
        lr = 1e-3 if self.config["norm"] else 2e-4
        return [parsing_stage(steps[0], ema=ema), *curriculum(self.size, steps[1:], ema=ema, lr=lr)]

    def forward_train(self, batch: TrainBatch, stage: Stage) -> GFCOutputs | None:
        if loss_terms(stage) == {"labels"}:  # the parser learns from undamaged faces
            return None
        noise = batch.uniform(batch.image.shape[1:], "fill")  # [B, 3, S, S]
        raw = self.generator(torch.where(batch.mask > 0.5, batch.image, noise))
        corner = hole_corner(batch.mask, self.size // 2)
        composite = torch.where(batch.mask > 0.5, batch.image, raw.float())
        return GFCOutputs(raw, composite, corner, crop(composite, corner, self.size // 2))

    def loss_labels(self, batch: TrainBatch, outputs: GFCOutputs | None) -> Tensor:
        """The parsing network's own: cross-entropy with the true labels."""
        if batch.faces.parsing is None:
            raise ValueError("These faces have no parsing maps: train gfc's parser on faces that have some.")
        return F.cross_entropy(self.parser(batch.image).float(), batch.faces.parsing)

    def loss_reconstruction(self, batch: TrainBatch, outputs: GFCOutputs) -> Tensor:
        """L_r: mean squared difference to the original, known pixels included."""
        return F.mse_loss(outputs.raw.float(), batch.image)

    def loss_local(self, batch: TrainBatch, outputs: GFCOutputs) -> Tensor:
        """L_a1 of eq. 1 for the generator; its gradient reaches the hole only."""
        return generator_loss(self.local_discriminator(outputs.hole))

    def loss_global(self, batch: TrainBatch, outputs: GFCOutputs) -> Tensor:
        """L_a2 of eq. 1 for the generator; its gradient reaches the whole image."""
        return generator_loss(self.global_discriminator(outputs.raw))

    def loss_parsing(self, batch: TrainBatch, outputs: GFCOutputs) -> Tensor:
        """L_p: cross-entropy between the parsing of the raw output and the parsing of the original."""
        with torch.no_grad():
            labels = self.parser(batch.image).argmax(1)  # [B, S, S]
        return F.cross_entropy(self.parser(outputs.raw).float(), labels)

    def loss_local_discriminator(self, batch: TrainBatch, outputs: GFCOutputs) -> Tensor:
        """L_a1 of eq. 1 for the local discriminator."""
        real = self.local_discriminator(crop(batch.image, outputs.corner, self.size // 2))
        return discriminator_loss(real, self.local_discriminator(outputs.hole.detach()))

    def loss_global_discriminator(self, batch: TrainBatch, outputs: GFCOutputs) -> Tensor:
        """L_a2 of eq. 1 for the global discriminator."""
        return discriminator_loss(
            self.global_discriminator(batch.image), self.global_discriminator(outputs.raw.detach())
        )

    def predict(self, image: Tensor, mask: Tensor, *, seed: int = 0) -> tuple[Tensor, dict[str, Tensor]]:
        noise = uniform(torch.tensor([seed], device=image.device), image.shape[1:], "fill")
        filled = torch.where(mask > 0.5, image, noise.to(image.dtype))
        raw = self.generator(filled)
        composite = torch.where(mask > 0.5, image, raw)
        return raw, {"filled": filled, "parsing": self.parser(composite).argmax(1)}


# %% [markdown]
# The order of training is a **curriculum** (section 3.5): first reproduce pixels, then add the local
# discriminator, then the global discriminator and the parsing loss. A discriminator that meets a generator
# that draws only grey wins at once, and teaches nothing.


# %%
#| export
AUGMENT = Augment(flip=0.5, shift=0.05, rotate=15, scale=0.1, brightness=0, contrast=0)  # section 4.1


def parsing_stage(steps: int, batch_size: int = 16, ema: float | None = 0.995) -> Stage:
    """The parsing network learns the labels of undamaged faces; afterwards it stays as it is."""
    learner = OptimizerConfig(("parser",), {"labels": 1.0}, lr=1e-3, betas=(0.9, 0.999))
    return Stage("parsing", steps, {"parser": learner}, batch_size, masks=(), augment=AUGMENT, ema=ema)


def curriculum(
    size: int,
    steps: Sequence[int],
    losses: int = 4,
    batch_size: int = 16,
    ema: float | None = 0.995,
    lr: float = 2e-4,
    discriminators: float = 1.0,
) -> list[Stage]:
    """Section 3.5: three stages, each with more losses than the one before.

    Args:
        size: of the images, px; the weights of eq. 2 are divided by 3 * size * size.
        steps: of each stage.
        losses: how many of the four of eq. 2 take part: 1 for the model M1 of the paper, 4 for M4.
        batch_size, ema: of all stages.
        lr: of the first stage; the others have the paper's 2e-4.
        discriminators: multiplier of both discriminators' weights. Below 1 for short runs, whose
            discriminators know little.
    """
    adversarial = discriminators * 300 / (3 * size**2)
    weights = {"reconstruction": 1.0, "local": adversarial, "global": adversarial, "parsing": 0.005 / 3}
    stages: list[Stage] = []
    for name, count, last in zip(("reconstruct", "locally", "globally"), steps, (1, 2, 4), strict=True):
        terms = list(weights)[: min(last, losses)]
        optimizers = {
            f"{term}_discriminator": OptimizerConfig(
                (f"{term}_discriminator",), {f"{term}_discriminator": 1.0}, skip_below=0.5
            )
            for term in terms
            if term in ("local", "global")
        }
        own = {term: weights[term] for term in terms}
        optimizers["generator"] = OptimizerConfig(("generator",), own, lr=lr if not stages else 2e-4)
        stages.append(Stage(name, count, optimizers, batch_size, augment=AUGMENT, ema=ema))
    return stages


GFC.STAGES = {"parsing": parsing_stage, "curriculum": curriculum}


# %%
# NBVAL_CHECK_OUTPUT
for stage in GFC(size=64, width=0.125).stages("lesson"):
    print(f"{stage.name}, {stage.steps} steps")
    for name, optimizer in stage.optimizers.items():
        terms = " + ".join(f"{weight:.4g} {term}" for term, weight in optimizer.losses.items())
        print(f"    {name}: {terms}")

# %% [markdown]
# Our objective against the paper's sums, on a real batch: the same number, up to 3 H W.

# %%
small = fc.faces.embedded("train", size=64).batch(range(4))
batch = TrainBatch(
    small, fc.masks.make("random_square", 64, 4, seed), fc.methods.sample_keys(seed, 0, torch.arange(4))
)
method = fc.methods.build("gfc", size=64, width=0.125, fc_dim=64, seed=seed)
stage = method.stages("lesson")[-1]
with torch.no_grad():
    outputs = method.forward_train(batch, stage)
    terms = method.losses(batch, outputs, stage.optimizers["generator"].losses)
    labels = method.parser(small.image).argmax(1)
    l_r = (outputs.raw - small.image).square().sum() / 4  # sums over pixels, means over the 4 faces
    l_p = F.cross_entropy(method.parser(outputs.raw), labels, reduction="sum") / 4
ours = sum(weight * terms[term] for term, weight in stage.optimizers["generator"].losses.items())
paper = l_r + 300 * terms["local"] + 300 * terms["global"] + 0.005 * l_p
assert torch.isclose(ours, paper / (3 * 64 * 64), rtol=1e-3)
print(f"the paper's sum {paper:.0f} / (3 · 64 · 64) = {paper / (3 * 64 * 64):.4f}, ours {ours:.4f}")

# %% [markdown]
# ## 11. Training, live
#
# The parameters at the top decide what is trained here. At `lesson` it is a network with an eighth of the
# channels, on 64 px, and some things are made easy, or two minutes would show nothing: the hole is always in
# the middle, the faces are mirrored but not moved or turned, the generator has batch norm (section 4) and
# takes larger steps, and the discriminators weigh a tenth, because young discriminators know little. `full`
# changes nothing of the paper's.

# %%
import dataclasses
import os
import tempfile

from facecomp_lib.faces import embedded, folder

defaults = {
    "smoke": (32, 0.125, [2, 2, 2, 2]),
    "lesson": (64, 0.125, [250, 700, 250, 200]),
    "full": (128, 1.0, [20_000, 100_000, 50_000, 150_000]),
}[preset]
size, width, steps = size or defaults[0], width or defaults[1], steps or defaults[2]
if model not in ("M1", "M2", "M3", "M4", "M5") or len(steps) != 4:
    raise ValueError(f"model must be M1 to M5 and steps four numbers, not {model!r} and {steps}.")
losses = min(int(model[1]), 4)  # M5 is M4, blended afterwards
train = embedded("train", size=size) if data is None else folder(data, "train", size)
test = embedded("test", size=size) if data is None else folder(data, "test", size)
easy = Augment(flip=0.5, shift=0, rotate=0, scale=0, brightness=0, contrast=0)


def lighter(stage):
    """A stage as it is trained here, unless at full size."""
    if preset == "full":
        return stage
    rate = 1e-3 if stage.name in ("parsing", "reconstruct") else 5e-4
    optimizers = {
        name: optimizer if "discriminator" in name else dataclasses.replace(optimizer, lr=rate)
        for name, optimizer in stage.optimizers.items()
    }
    holes = ("center",) if stage.masks else ()
    ema = 1 - 10 / max(stage.steps, 20)  # over the last tenth of a stage
    return dataclasses.replace(stage, optimizers=optimizers, masks=holes, augment=easy, ema=ema)


discriminators = 1.0 if preset == "full" else 0.1
plan = [parsing_stage(steps[0]), *curriculum(size, steps[1:], losses, discriminators=discriminators)]
plan = [lighter(stage) for stage in plan]
place = Path(run_dir or os.environ.get("FACECOMP_RUN_DIR") or tempfile.mkdtemp(prefix="gfc-"))
options = {} if preset == "full" else {"fc_dim": 128, "norm": True}
method = fc.methods.build("gfc", size=size, width=width, seed=seed, **options)
print(f"{model}, {size} px, {millions(method):.1f} M parameters, {len(train):,} faces from {train.name}")

# %% [markdown]
# Photographs have no parsing maps. If `data` brings none, the parsing network is that of the checkpoint,
# which learned from rendered faces.

# %%
if train.batch([0]).parsing is None:
    method = fc.methods.build("gfc", **method.config | {"parser_width": shipped.config["width"]}, seed=seed)
    method.parser.load_state_dict(shipped.parser.state_dict())
    plan = plan[1:]


def learn(until):
    """Train up to and including a stage; what `place` holds already is not trained again."""
    if until not in [stage.name for stage in plan]:
        return None
    options = {"until": until, "seed": seed, "validation": test, "precision": precision, "num_samples": 2}
    return fc.training.fit(method, train, place, preset, stages=plan, **options)


# %% [markdown]
# **Stage 0: the parsing network.** It only learns to name pixels. **Predict:** after a few seconds, which
# classes will it know, and which not at all?

# %%
run = learn("parsing")

# %%
seen = test.batch(range(0, len(test), max(1, len(test) // 50)))
with torch.no_grad():
    prediction = method.parser(seen.image).argmax(1)
if seen.parsing is not None:
    scores = fc.evaluation.f_scores(fc.evaluation.confusion(prediction, seen.parsing))
    print("F-scores:", "  ".join(f"{name} {value:.2f}" for name, value in scores.items()))
fc.show.overlay_parsing(seen.image[:3], prediction[:3], cell=128)

# %% [markdown]
# Large classes come first: a pixel of hair is there in every face, one of an eye hardly (lesson 02, Dice:
# large classes flatter). An eye that the judge does not see, it cannot ask for. Our checkpoint's parser had
# more time: section 12.
#
# **Stage 1: reconstruct.** Only L<sub>r</sub>. **Predict:** what will the middle of the faces look like?

# %%
run = learn("reconstruct")

# %% [markdown]
# **Stage 2: locally.** Now a discriminator looks at the hole. **Predict:** will L<sub>r</sub> go up or down?

# %%
run = learn("locally")

# %% [markdown]
# **Stage 3: globally.** The other discriminator, and the parsing network. **Predict:** what happens to the
# seam?

# %%
run = learn("globally")

# %% [markdown]
# The same faces with the same holes and the same noise, after each stage:

# %%
look = test.batch(np.linspace(0, len(test) - 1, 3).astype(int))
hole = fc.masks.make("center", size=size).expand(len(look), -1, -1, -1)
stages = ("reconstruct", "locally", "globally")
after = {name: run.after(name).complete(look.image, hole, seed) for name in stages}
fc.show.rows(
    {
        f"face {k}": [
            fc.show.masked(look.image, hole)[k],
            *(after[n].composite[k] for n in stages),
            look.image[k],
        ]
        for k in range(len(look))
    },
    ("the hole", "1: L_r", "2: + local", "3: + global, parsing", "truth"),
)

# %%
for name in stages:
    scores = fc.evaluation.score(after[name].composite, look.image, hole, ("psnr_hole",))
    print(f"after {name:12} PSNR of the missing pixels {scores['psnr_hole'].mean():.1f} dB")

# %% [markdown]
# Nobody would paste these into a photograph. But look at the columns: a soft blot becomes dark lines where
# brows and eyes belong, and grain; nothing of that is nearer to *the* truth pixel by pixel, so PSNR falls.
#
# ## 12. The long run
#
# Two minutes show a direction. For the rest, we trained once for hours and kept the weights: the **shipped
# checkpoint**. Its card says what it is:

# %%
card = shipped.card
for name in ("config", "data", "before", "stages", "batch_size", "discriminators", "precision", "hardware"):
    print(f"{name:11} {card.get(name, '?')}")
print(f"{'weights':11} {sum(millions(n) for n in (shipped.generator, shipped.parser)):.1f} M, in float16")

# %% [markdown]
# (`before` are runs of the first stage that this one began with. `discriminators` is the factor on the
# weights of both discriminators: with the paper's own, so short a run forgot the colours.)
#
# The same faces on its way through the stages. This is the image that the paper's figure 3 is about:

# %%
from PIL import Image

recorded = fc.experiments.load("gfc/checkpoint")  # what takes hours was done beforehand and recorded


def recorded_faces(path, titles, count=4, cell=112):
    """The first faces of a recorded sheet of square cells, a row per face, a column per title."""
    sheet = np.asarray(Image.open(path).convert("RGB"))
    side = sheet.shape[1] // len(titles)
    cells = sheet.reshape(-1, side, len(titles), side, 3).swapaxes(1, 2)  # [row, column, y, x, 3]
    return fc.show.rows(
        {f"face {k}": list(row) for k, row in enumerate(cells[:count])}, titles, left=50, cell=cell
    )


titles = ("the hole", "1: L_r", "2: + local", "3: + global, parsing", "truth")
recorded_faces(recorded.images["checkpoint_stages"], titles)

# %% [markdown]
# Look at one row from left to right.
#
# - **L<sub>r</sub>**: the right colours at the right places, no line of it sharp: the mean of all faces that
#   could be there.
# - **+ local discriminator**: texture. And the rim of the hole shows: nobody asked for it to fit.
# - **+ global discriminator and parsing**: the rim fades, the parts are where they should be.
#
# And how well does its parser see? The paper reaches an overall F-score of .851, on photographs (Helen).

# %%
scores = card.get("metrics", {}).get("parsing_f_scores", {})
print("  ".join(f"{name} {value:.2f}" for name, value in scores.items()))
few = faces.batch([3, 80, 200])
with torch.no_grad():
    named = shipped.parser(few.image).argmax(1)
fc.show.overlay_parsing(few.image, named, cell=144)

# %% [markdown]
# It was asked about faces like those that it learned from. What about others: turned further than any of
# them, lit by a single lamp, in a third of the light? New people, the same ones in each condition (recorded;
# `python3 course.py experiment gfc/parser_shift` does it again). **Predict:** which condition hurts most?

# %%
beyond = fc.experiments.load("gfc/parser_shift")
conditions = list(beyond.scores["dataset"].unique())
f_scores = beyond.scores.pivot(index="dataset", columns="metric", values="value").loc[conditions]
parts = ("overall", "eyes", "mouth")
for condition, row in f_scores.iterrows():
    print(f"{condition:26}" + "".join(f"{part:>9} {row[f'f_score_{part}']:.2f}" for part in parts))

# %%
sheet = np.asarray(Image.open(beyond.images["parser_shift"]))
side = sheet.shape[1] // 6  # a row per condition: three people, and how they are seen
rows = [sheet[k * side : (k + 1) * side] for k in range(len(conditions))]
fc.show.rows(
    {
        "person": [row[:, :side] for row in rows],
        "seen as": [row[:, 3 * side : 4 * side] for row in rows],
    },
    [condition.replace(" degrees", "°").replace("one lamp ", "lamp ") for condition in conditions],
    cell=120,
    left=64,
)

# %% [markdown]
# ## 13. What it can do, and what not
#
# M5 first: blending (lesson 02) makes the colours of the rim meet.


# %%
def blended(image, mask):
    """M5: what M4 drew, blended into the known pixels."""
    return fc.classical.poisson_blend(image, shipped.complete(image, mask, seed).raw, mask)


view = (..., slice(14, 110), slice(16, 112))
kinds = ("random_square", "gfc_o1", "gfc_o3", "gfc_o5", "gfc_o6", "irregular_30_40")
images, notes = {}, {}
for kind, number in zip(kinds, (3, 36, 80, 121, 200, 255), strict=True):
    face = faces.batch([number])
    mask = fc.masks.make(kind, 128, seed=seed + 1, landmarks=face.landmarks)
    fills = [
        fc.classical.complete(face.image, mask, "telea").composite,
        shipped.complete(face.image, mask, seed).composite,
        blended(face.image, mask),
    ]
    name = kind.replace("_", "\n", 1)
    images[name] = [x[view][0] for x in (fc.show.masked(face.image, mask), *fills, face.image)]
    notes[name] = ["", *(f"{fc.evaluation.psnr_hole(x, face.image, mask).item():.1f} dB" for x in fills), ""]
fc.show.rows(images, ("the hole", "telea", "gfc, M4", "gfc, M5", "truth"), notes, cell=92)

# %% [markdown]
# (PSNR of the missing pixels.) It was trained on squares of 64 px only. Other holes it takes as they come:
# the network is never told the mask, it *sees* the noise.
#
# Try it: move the hole, change its size and its noise. **Predict:** which is harder, a hole over one whole
# eye, or one over the nose's half of it?

# %%
explored = [3, 36, 80, 121, 200, 255]
sides, places = list(range(16, 97, 8)), list(range(16, 113, 8))


def explore(positions):
    face = faces.batch([explored[positions["face"]]])
    side, x, y = sides[positions["size"]], places[positions["across"]], places[positions["down"]]
    mask = torch.ones(1, 1, 128, 128)
    mask[..., max(0, y - side // 2) : y + side // 2, max(0, x - side // 2) : x + side // 2] = 0
    out = shipped.complete(face.image, mask, seed=positions["noise"])
    shown = [
        out.extras["filled"][0],
        out.raw[0],
        out.composite[0],
        blended(face.image, mask)[0],
        face.image[0],
    ]
    titles = ("what it is given", "raw output", "composite", "blended (M5)", "truth")
    return fc.show.contact_sheet(shown, titles, cell=160)


fc.show.Panel(
    explore,
    {
        "face": [str(k) for k in explored],
        "size": [f"{side} px" for side in sides],
        "across": [f"{x} px" for x in places],
        "down": [f"{y} px" for y in places],
        "noise": [str(k) for k in range(8)],
    },
    start={"face": 1, "size": 5, "across": 5, "down": 6},
    description="A face, a hole that can be moved, and what gfc draws into it",
)

# %% [markdown]
# ### One hole, many noises
#
# The paper's figure 10 fills one hole with different noises and gets different faces. **Predict:** how
# different are ours?

# %%
face, mask = faces.batch([200]), fc.masks.make("gfc_o3", 128, landmarks=faces.batch([200]).landmarks)
many = torch.cat([shipped.complete(face.image, mask, seed=k).composite for k in range(16)])
spread = many.std(0).mean(0)  # [H, W]
scale = 0.1
fc.show.contact_sheet(
    [*many[:4], (spread / scale).clamp(0, 1).expand(3, -1, -1)],
    ["noise 0", "noise 1", "noise 2", "noise 3", f"spread of 16, white: {scale}"],
    cell=144,
)

# %%
inside = spread[mask[0, 0] < 0.5]
print(
    f"spread over noises in the hole: mean {inside.mean():.3f}, most {inside.max():.3f} (1 = black to white)"
)

# %% [markdown]
# Small: the known pixels say nearly everything, and L<sub>r</sub> punishes whoever deviates from *the* truth
# when the noise changes, because the truth does not. The paper finds the same ('unlikely to be as large as in
# the original GAN'). Exercise 4 asks where the noise gets in at all.
#
# ### Holes that grow
#
# The paper's figure 9: squares from 16 to 80 px. The authors see a dip near 32 px, and explain that half an
# eye is harder than a whole one: a whole one need only be plausible, the second half has to fit to the first.
#
# **Predict:** will our curve have the dip?

# %%
limit = {"smoke": 4, "lesson": 60, "full": None}[preset]
growing = fc.evaluation.mask_size_study(
    {"M5": blended}, faces, limit=limit, seed=seed, metrics=("psnr", "psnr_hole"), progress=False
)
growing["side"] = growing["mask"].str.removesuffix(" px").astype(int)
by_face = growing.pivot(index="index", columns=["metric", "side"], values="value")
curves = {
    f"M5, {words}": list(by_face[key].mean().items())
    for key, words in (("psnr", "whole image"), ("psnr_hole", "missing pixels"))
}
fc.show.lines(curves, "side of the square, px", "PSNR in dB")

# %%
for metric in ("psnr", "psnr_hole"):
    at = by_face[metric]
    gaps = [fc.evaluation.difference(at[32], at[side], seed=seed) for side in (24, 40)]
    dip = all(gap.significant and gap.mean < 0 for gap in gaps)
    words = ", ".join(f"{gap.mean:+.2f} [{gap.low:+.2f}, {gap.high:+.2f}]" for gap in gaps)
    print(f"{metric:9} 32 px minus 24 px and 40 px: {words} dB: {'a dip' if dip else 'no dip at 32 px'}")

# %% [markdown]
# The intervals are over faces; it is one trained network.

# %% [markdown]
# ### Is it still the same person?
#
# Section 4.4: three images of each person are the gallery; another image of each, damaged and completed,
# is looked up in it. `original` is the undamaged probe, an upper bound; `noise` the hole with
# noise in it.

# %%
people = {"smoke": 2, "lesson": 20, "full": None}[preset]
occlusions = tuple(f"gfc_o{k}" for k in range(1, 7))
asked = {"smoke": occlusions[2:3], "lesson": occlusions[::2], "full": occlusions}[preset]
has_dlib = fc.weights.available("dlib_embedding")
if has_dlib:
    train = fc.faces.embedded("train")
    fills = {
        "telea": "telea",
        "average face": fc.evaluation.average_face(train),
        "nearest face": fc.evaluation.nearest_face(train),
        "M5": blended,
    }
    lookup = fc.evaluation.identification_study(
        fills, faces, asked, gallery=3, limit=people, seed=seed, progress=False
    )
    for key in ("top1", "top3", "top5"):
        print(fc.show.score_table(lookup, key, methods_in="rows"), end="\n\n")
else:
    print("[--] recognition is left out: dlib's weights come with python3 course.py setup")

# %% [markdown]
# Look at the intervals: so few people decide nothing. And look at `noise`: whoever measures identity by what
# is left of a face hardly needs a completion. (`preset="full"` asks all people about all six holes.)
#
# ### Where it fails
#
# The paper shows two failures: a face that is not upright, and lips of a colour that nothing around them
# tells of. **Predict** what it draws into a face that lies on its side.

# %%
angles = (0, 20, 90)
face = faces.batch([36]).image
turned = []
for angle in np.deg2rad(angles):
    turn = torch.tensor([[[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0]]]).float()
    grid = F.affine_grid(turn, face.shape, align_corners=False)
    turned.append(F.grid_sample(face, grid, padding_mode="reflection", align_corners=False).clamp(0, 1))
turned = torch.cat(turned)
completed = shipped.complete(turned, square, seed).composite
fc.show.rows(
    {"given": list(fc.show.masked(turned, square.expand(3, -1, -1, -1))), "M4": list(completed)},
    [f"turned by {angle}°" for angle in angles],
)

# %%
everyone = faces[:]
lips = ((everyone.parsing == 7) | (everyone.parsing == 9))[:, None]
skin = (everyone.parsing == 1)[:, None]


def colour(where):
    """Mean colour of the pixels of each face where a mask [B, 1, H, W] is true: [B, 3]."""
    return (everyone.image * where).sum((2, 3)) / where.sum((2, 3)).clamp(min=1)


redness = (colour(lips) - colour(skin)) @ torch.tensor([1.0, -1.0, 0.0])
painted = redness.argsort(descending=True)[:4].tolist()
made_up = faces.batch(painted)
mouth = fc.masks.make("gfc_o6", 128, landmarks=made_up.landmarks, n=4)
completed = shipped.complete(made_up.image, mouth, seed).composite
view = (..., slice(56, 128), slice(28, 100))
fc.show.rows(
    {"truth": list(made_up.image[view]), "M4": list(completed[view])}, [f"face {k}" for k in painted]
)

# %% [markdown]
# The most painted lips of the test set, and what becomes of them: the most likely colour, not theirs. No loss
# and no longer training repairs that; the information is gone.
#
# ## 14. The paper's tables, and ours
#
# To compare M1 to M5, each has to be trained alike, and more than once: a model trained from another seed is
# another model. That takes hours, so it was done beforehand, on 64 px, and **every score of every face** was
# recorded (`python3 course.py experiment gfc/ablation` does it again). The lesson only reads and judges. (At
# 64 px the discriminators' weights are those of 128 px: section 9 told what would become of them otherwise.)

# %%
ablation = fc.experiments.load("gfc/ablation")
scores, how = ablation.scores, ablation.card
print(f"{scores['seed'].nunique()} seeds, {how['steps']:,} steps each: {how['stages']}")
print(f"{how['data']['faces']:,} faces of {how['data']['size']} px, {how['precision']}, {how['hardware'][0]}")
models = tuple(f"M{k}" for k in range(1, 6))
theirs = fc.experiments.published("gfc").rename(columns={"row": "method", "column": "mask"})  # all its tables
theirs = theirs[theirs["table"].isin(["1", "2", "3"])]
theirs = theirs.assign(mask="gfc_" + theirs["mask"].str.lower())  # its O1 is our gfc_o1
printed = theirs.pivot(index=["metric", "mask"], columns="method", values="value")
printed.loc["psnr"]

# %% [markdown]
# The paper's tables 1 to 3 (19,962 photographs, 128 px; CE is the context encoder) and ours (rendered faces,
# 64 px). Do not compare decimals (lesson 02, section 12): compare the order within a row. The last two
# columns of ours learned nothing: they paste the average and the nearest of the training faces, blended.
# **Predict:** which of the models are better than these two?

# %%
from IPython.display import display


def beside(metric):
    """The paper's table and ours, one above the other."""
    display(fc.show.score_table(theirs, metric, title="The paper"))
    display(fc.show.score_table(scores, metric, title="Ours, over faces and seeds"))


beside("psnr")

# %%
beside("ssim")

# %%
beside("identity")

# %% [markdown]
# **Answer:** none. By SSIM the **average face** is ahead of all five models on every hole, by PSNR on all but
# the square in the middle, where M1 is level with it. By identity one of the two is ahead everywhere; only on
# O1 and O6 some models cannot be told from it. Rendered, aligned faces are much alike, and 2,000 steps teach
# less than looking up a face gives. So the rest of this section compares the models with one another, as the
# paper does; no more.
#
# As one image: how much each model differs from M1, on average over the six holes.

# %%
gains = {
    metric: [fc.experiments.claim("", scores, metric, name, "M1", occlusions) for name in models[1:]]
    for metric in ("ssim", "psnr", "identity")
}
means = {metric: printed.loc[metric].mean()[list(models)] for metric in gains}
fc.show.model_steps({key: (of[list(models)] - of["M1"]).tolist() for key, of in means.items()}, gains, models)

# %% [markdown]
# And claim by claim. An interval counts chance in the faces *and* in the seeds; a claim holds if zero lies
# outside of it on the claimed side.


# %%
def mean_difference(metric, better, worse, rows=range(6)):
    """The paper's own difference, mean over some of the holes O1 to O6; None if it has none."""
    if metric not in printed.index.levels[0]:
        return None
    table = printed.loc[metric].loc[[occlusions[k] for k in rows]].mean()
    return table[better] - table[worse]


eyes = (2, 3, 4)  # O3, O4, O5
statements = [
    ("The local discriminator costs PSNR: M1 has more than M2", "psnr", "M1", "M2", range(6)),
    ("The global discriminator wins it back: M3 has more than M2", "psnr", "M3", "M2", range(6)),
    ("Adversarial training gains identity: M3 is nearer than M1", "identity", "M3", "M1", range(6)),
    ("Parsing helps where eyes are missing (O3 to O5): M4 over M3", "psnr", "M4", "M3", eyes),
    ("Parsing keeps identity where eyes are missing: M4 over M3", "identity", "M4", "M3", eyes),
    ("All losses beat pixels alone: M4 over M1", "psnr", "M4", "M1", range(6)),
    ("All losses beat pixels alone, by LPIPS (not in the paper)", "lpips", "M4", "M1", range(6)),
    ("Blending helps: M5 over M4", "psnr", "M5", "M4", range(6)),
]
claims = [
    fc.experiments.claim(
        text, scores, metric, better, worse, [occlusions[k] for k in rows],
        paper=mean_difference(metric, better, worse, rows),
    )
    for text, metric, better, worse, rows in statements
]  # fmt: skip
fc.show.claims_table(claims)

# %%
fc.show.forest_plot(claims)

# %% [markdown]
# 'Undecided' is an honest answer: with this many steps and seeds, the difference is smaller than what chance
# makes of it. It is not the same as 'there is none'.
#
# The same models, one seed, eyes missing. **Look** at M3 beside M4: without and with the parsing loss.

# %%
recorded_faces(ablation.images["ablation"], ("the hole", *models, "truth"), count=3, cell=96)

# %% [markdown]
# ## 15. What a full run costs
#
# How many multiplications does a step take? PyTorch can count them without doing any: on the `meta` device,
# again.

# %%
from torch.utils.flop_counter import FlopCounterMode


def operations(stage, size, width):
    """Multiply-adds of one training step (forward, backward) per face, by counting."""
    with torch.device("meta"):
        method = GFC(size=size, width=width)
        image = torch.zeros(2, 3, size, size)
        labels = torch.zeros(2, size, size, dtype=torch.long)
        two = fc.faces.FaceBatch(image, parsing=labels)
        batch = TrainBatch(two, torch.ones(2, 1, size, size), torch.zeros(2, dtype=torch.long))
        with FlopCounterMode(display=False) as counter:
            outputs = method.forward_train(batch, stage)
            for optimizer in stage.optimizers.values():
                for network in method.networks.values():
                    network.requires_grad_(False)
                for name in optimizer.networks:
                    method.networks[name].requires_grad_(True)
                terms = method.losses(batch, outputs, optimizer.losses)
                sum(terms.values()).backward(retain_graph=True)
    return counter.get_total_flops() / 2 / 2  # a multiply-add counts as two; two faces


RATE = 15e12  # multiply-adds per second: assumed, a fifth of what an A100 promises in TF32
print("estimate: counted operations, assumed 15 T multiply-adds per second")
print(f"{'stage':12}{'G per face':>12}{'s per step':>12}{'steps':>10}{'hours':>8}")
hours = 0
for stage in GFC(size=128, width=0.125).stages("full"):
    count = operations(stage, 128, 1.0)
    seconds = count * stage.batch_size / RATE
    together = seconds * stage.steps / 3600
    hours += together
    print(f"{stage.name:12}{count / 1e9:12.0f}{seconds:12.3f}{stage.steps:10,}{together:8.1f}")
with torch.device("meta"):
    networks = {name: millions(network) for name, network in GFC(size=128, width=1.0).networks.items()}
held = 4 * 4 * sum(networks.values()) / 1000  # weights, gradients, Adam's two moments, 4 bytes each
print(f"together {hours:.0f} hours, and {held:.1f} GB for weights and optimizers; activations come on top")

# %% [markdown]
# (The paper does not say how many steps it took; the numbers are ours.) Most of it is the last stage: two
# discriminators, and a parsing network that is run for the drawn face, for the original, and backwards.
# `python3 course.py train gfc -p preset full -p data FOLDER` runs this notebook at that size; it goes on
# where it was when it is stopped and started again.
#
# ### On photographs
#
# The same code, trained for some ten minutes on photographs of faces (64 px; `experiments/gfc/photos.yaml`),
# and measured on photographs that it has not seen: of the same collection (`utk`, in colour) and of another
# one (`lfw`, grey). Numbers only: the images are not ours to show. **Predict:** will it be ahead of the
# classical fills on both?

# %%
photos = fc.experiments.load("gfc/photos")
steps_taken, learned = photos.card["run"]["steps"], photos.card["run"]["data"]
print(f"trained on {learned['faces']:,} photographs of {learned['name']}, {steps_taken:,} steps")
some = ("center", "gfc_o1", "gfc_o3", "gfc_o6")
for collection, means in photos.scores.groupby("dataset", sort=False):
    for metric in ("psnr_hole", "lpips", "identity"):
        display(fc.show.score_table(means, metric, columns=some, methods_in="rows", title=collection))

# %% [markdown]
# On the collection that it learned from, LPIPS prefers its blended completions to all classical fills on
# every kind of hole; identity does not. On grey photographs, the like of which it never saw, it is behind on
# most. A network knows what it was shown.
#
# But whoever keeps the training photographs does better without a network: by LPIPS the **nearest face**,
# blended, is ahead of gfc on every hole of both collections, by PSNR the **average face** is. Only by
# identity is gfc nearer than the nearest face, and about level with the average one. Ten minutes of training
# at 64 px have not earned their keep.
#
# ## 16. Exercises
#
# Write the body of each function and run the cell. `[OK]` means that the statement holds. Solutions: [03 ·
# Solutions](03_gfc_solutions.ipynb).
#
# **Exercise 1.** Max-unpooling at once: no loop, and no `max_unpool2d`. (`scatter` puts values at places.)


# %%
def unpool(values, places):
    """[B, C, H, W] and their places, counted row by row in the large map -> [B, C, 2H, 2W]."""
    # your code


random = torch.rand(2, 3, 8, 6, generator=torch.Generator().manual_seed(seed))
small, small_places = F.max_pool2d(random, 2, return_indices=True)
right = fc.exercises.verdict(
    "1",
    unpool(small, small_places),
    lambda value: {
        "the map is twice as high and wide": value.shape == random.shape,
        "it is what the loop makes of each map": all(
            torch.equal(value[b, c], unpool_loop(small[b, c], small_places[b, c]))
            for b in range(2)
            for c in range(3)
        ),
        "pooling it again gives the values back": torch.equal(F.max_pool2d(value, 2), small),
    },
)

# %% [markdown]
# **Exercise 2.** The arithmetic of section 9 for any size. Which weights do the *means* get, so that the
# objective is the paper's sum, divided by the number of values in an image?


# %%
def weights_of_means(size):
    """Side in px -> {"reconstruction": ..., "local": ..., "global": ..., "parsing": ...}."""
    # your code


right = fc.exercises.verdict(
    "2",
    weights_of_means(256),
    lambda value: {
        "L_r keeps its weight": value["reconstruction"] == 1,
        "at 256 px a discriminator weighs a quarter of what it does at 128": np.isclose(
            value["local"], weights_of_means(128)["local"] / 4
        ),
        "the parsing loss weighs the same at any size": np.isclose(
            value["parsing"], weights_of_means(64)["parsing"]
        ),
        "as the curriculum has them": weights_of_means(128)
        == dict(curriculum(128, (1, 1, 1))[-1].optimizers["generator"].losses),
    },
)

# %% [markdown]
# **Exercise 3.** Let the local discriminator judge its window of the *raw output*, not of the composite.
# Which pixels would its gradient reach then? Answer first without a network, from the mask alone.


# %%
def reached_in_raw(mask, side):
    """Mask [1, 1, H, W] and the window's side -> bool [H, W]."""
    # your code


def really_reached(mask, side):
    raw = torch.full((1, 3, *mask.shape[2:]), 0.5, requires_grad=True)
    torch.manual_seed(seed)
    generator_loss(
        Discriminator(side, 0.125)(crop(raw + 0.01 * torch.rand_like(raw), hole_corner(mask, side), side))
    ).backward()
    return raw.grad[0].abs().sum(0) > 0


square_hole = fc.masks.make("random_square", 64, seed=3)
one_eye = fc.masks.make("gfc_o5", 64)
right = fc.exercises.verdict(
    "3",
    reached_in_raw(one_eye, 32),
    lambda value: {
        "a truth value for each pixel": value.dtype == torch.bool and value.shape == (64, 64),
        "as the gradient says for one eye": torch.equal(value, really_reached(one_eye, 32)),
        "and for a square": torch.equal(reached_in_raw(square_hole, 32), really_reached(square_hole, 32)),
        "for the training square it is the hole itself": torch.equal(
            reached_in_raw(square_hole, 32), square_hole[0, 0] < 0.5
        ),
        "for one eye it is more than the hole": value.sum() > (one_eye < 0.5).sum(),
    },
)

# %% [markdown]
# **Exercise 4.** By which door does the noise get into the image: through the code of the bottleneck, or
# through the winners' places? Draw with the *code* of one filled image and the *winners* of another.


# %%
def crossed(generator, code_from, winners_from):
    """Two filled images [1, 3, S, S] -> what the generator draws from the code of one and the winners of
    the other, [1, 3, S, S]."""
    # your code


a, b = (shipped.complete(one.image, square, seed=k).extras["filled"] for k in (1, 2))
with torch.no_grad():
    drawn_a, drawn_b = shipped.generator(a), shipped.generator(b)
    answer = crossed(shipped.generator, a, b)
right = fc.exercises.verdict(
    "4",
    answer,
    lambda value: {
        "code and winners of one image draw that image": torch.allclose(
            crossed(shipped.generator, a, a), drawn_a, atol=1e-5
        ),
        "of two, neither's": not torch.allclose(value, drawn_a) and not torch.allclose(value, drawn_b),
    },
)
if right:
    missing = square.expand(1, 3, -1, -1) < 0.5
    for words, other in (
        ("the same code, other winners", drawn_a),
        ("the same winners, other code", drawn_b),
    ):
        print(f"{words}: they differ by {(answer - other).abs()[missing].mean():.4f}")

# %% [markdown]
# **Exercise 5.** A number for the seam. Average |difference| over all pairs of neighbouring pixels (right and
# below) of which one is known and the other missing.


# %%
def seam(image, mask):
    """[B, 3, H, W] and [B, 1, H, W] -> [B]."""
    # your code


flat, step_mask = torch.zeros(1, 3, 4, 4), torch.ones(1, 1, 4, 4)
step_mask[..., 2:] = 0
stepped = torch.where(step_mask > 0.5, flat, torch.tensor(0.5))
few = faces.batch(range(0, 300, 25))
few_holes = square.expand(len(few), -1, -1, -1)
few_raw = shipped.complete(few.image, few_holes, seed)
right = fc.exercises.verdict(
    "5",
    seam(few_raw.composite, few_holes),
    lambda value: {
        "one number per image": value.shape == (len(few),),
        "a flat image has none": seam(flat, step_mask).item() == 0,
        "a step of 0.5 is 0.5": np.isclose(seam(stepped, step_mask).item(), 0.5),
        "turning the image changes nothing": np.isclose(seam(stepped.mT, step_mask.mT).item(), 0.5),
        "blending takes most of it away": seam(blended(few.image, few_holes), few_holes).mean()
        < value.mean(),
    },
)

# %% [markdown]
# ## 17. Limits, and what the next lesson does about them
#
# - **A fixed size.** The fully connected layer ties the network to 128 px, and 96 of 100 weights to it. What
#   lets the halves of a face know of each other without one? Lesson 05 (lafin) and lesson 06 (oracle) use
#   attention.
# - **The output is a face redrawn**, known pixels too, and thrown away again. The network is never told where
#   the hole is.
# - **Squared error and discriminators pull in two directions**, and the weights that balance them are tuned
#   by hand.
# - **The parsing network knows what the generator needs**: where eyes belong. But it stands beside it and
#   only scolds. It sees more than the generator is told.
# - **One hole, one answer.** Noise changes little: the reconstruction loss forbids it.
#
# **Lesson 04** builds collagan, which takes the fourth point to heart: one network that completes the face,
# its parsing map and its landmarks *together*, so that what is learned for one helps the others.
