# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 03 · gfc: solutions
#
# > Try the exercises of [lesson 03](03_gfc.ipynb) first: a solution read is worth less than a wrong one
# > written. Other ways than these are as good if all lines say `[OK]`.

# %% tags=["parameters"]
import facecomp_lib as fc

seed = 0

# %% [markdown]
# The pieces that the lesson built, and the same faces.

# %%
import numpy as np
import torch
import torch.nn.functional as F

from facecomp_lib.nn import generator_loss
from facecomp_lib.papers.gfc import Discriminator, crop, curriculum, hole_corner

faces = fc.faces.embedded("test")
shipped = fc.methods.pretrained("gfc")
one = faces.batch([36])
square = fc.masks.make("center", size=128)


def unpool_loop(values, places):
    """[H, W] and places -> [2H, 2W]."""
    height, width = 2 * values.shape[0], 2 * values.shape[1]
    out = torch.zeros(height, width)
    for value, place in zip(values.flatten().tolist(), places.flatten().tolist(), strict=True):
        out[place // width, place % width] = value
    return out


def blended(image, mask):
    """M5: what M4 drew, blended into the known pixels."""
    return fc.classical.poisson_blend(image, shipped.complete(image, mask, seed).raw, mask)


# %% [markdown]
# **Exercise 1.** Flatten the large map; then places are plain indices.


# %%
# NBVAL_CHECK_OUTPUT
def unpool(values, places):
    """[B, C, H, W] and their places, counted row by row in the large map -> [B, C, 2H, 2W]."""
    batch, channels, height, width = values.shape
    flat = torch.zeros(batch, channels, 4 * height * width)
    return flat.scatter(2, places.flatten(2), values.flatten(2)).unflatten(2, (2 * height, 2 * width))


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
assert right

# %% [markdown]
# Winners of different blocks never share a place, so nothing is overwritten.
#
# **Exercise 2.** Dividing by n = 3 H W turns the sum L<sub>r</sub> into a mean. A discriminator's loss is one
# number per image and is simply divided. L<sub>p</sub> is a sum over n / 3 pixels.


# %%
# NBVAL_CHECK_OUTPUT
def weights_of_means(size):
    """Side in px -> {"reconstruction": ..., "local": ..., "global": ..., "parsing": ...}."""
    n = 3 * size**2
    return {"reconstruction": 1.0, "local": 300 / n, "global": 300 / n, "parsing": 0.005 / 3}


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
assert right

# %% [markdown]
# **Exercise 3.** Every pixel of the window, wherever the hole is: nothing stops the gradient any more.


# %%
# NBVAL_CHECK_OUTPUT
def reached_in_raw(mask, side):
    """Mask [1, 1, H, W] and the window's side -> bool [H, W]."""
    (y, x), reached = hole_corner(mask, side)[0].tolist(), torch.zeros(mask.shape[2:], dtype=torch.bool)
    reached[y : y + side, x : x + side] = True
    return reached


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
assert right

# %% [markdown]
# So the composite matters for holes that do not fill their window. In training they do, always: there the two
# are the same, and the paper's sentence 'only for the missing region' is true either way.
#
# **Exercise 4.** The generator's forward pass, with its two inputs to the decoder from different images.


# %%
def crossed(generator, code_from, winners_from):
    """Two filled images [1, 3, S, S] -> what the generator draws from the code of one and the winners of
    the other, [1, 3, S, S]."""
    features, _ = generator.encoder(code_from)
    _, winners = generator.encoder(winners_from)
    code = generator.bottleneck(features.flatten(1)).unflatten(1, generator.bottom)
    return torch.sigmoid(generator.to_image(generator.decoder(code, winners)))


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
assert right

# %% [markdown]
# The larger number tells by which door more noise gets in. Either way, code and winners of two noises fit
# together: the decoder still draws a face.
#
# **Exercise 5.** Neighbours to the right and below, of which exactly one is missing.


# %%
def seam(image, mask):
    """[B, 3, H, W] and [B, 1, H, W] -> [B]."""
    total, pairs = 0, 0
    for axis in (2, 3):
        rim = mask.diff(dim=axis).abs()  # 1 where exactly one of two neighbours is missing
        total = total + (image.diff(dim=axis).abs() * rim).sum((1, 2, 3))
        pairs = pairs + 3 * rim.sum((1, 2, 3))
    return total / pairs


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
assert right

# %% [markdown]
# Blending solves for exactly this: inside the hole the drawn *differences* stay, at the rim the colours are
# the known ones. What is left is the image's own texture: a true face has a 'seam' there, too.
