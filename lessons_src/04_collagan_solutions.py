# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 04 · collagan: solutions
#
# > Try the exercises of [lesson 04](04_collagan.ipynb) first: a solution read is worth less than a wrong one
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

from facecomp_lib.faces import Augment
from facecomp_lib.papers.collagan import five_points, heat_maps, one_hot

faces = fc.faces.embedded("test").moved(Augment(flip=0, shift=0.1, rotate=20, scale=0.2), seed)
shipped = fc.methods.pretrained("collagan")

# %% [markdown]
# **Exercise 1.** Of the exponent, each line knows its own part: exp(a + b) = exp a · exp b.


# %%
def heat_by_lines(points, size, sigma):
    """Like heat_maps: [B, N, 2] in px -> [B, N, size, size], from -1 to 1."""
    line = torch.arange(size)
    x, y = (torch.exp(-(line - points[..., k, None]).square() / (2 * sigma**2)) for k in (0, 1))  # [B, N, S]
    return 2 * y[..., :, None] * x[..., None, :] - 1


some_points = five_points(faces.batch([3, 36]).landmarks)
right = fc.exercises.verdict(
    "1",
    heat_by_lines(some_points, 128, 6.0),
    lambda value: {
        "a map for each point": tuple(value.shape) == (2, 5, 128, 128),
        "equal to heat_maps": torch.allclose(value, heat_maps(some_points, 128, 6.0), atol=1e-5),
        "for another size and width, too": torch.allclose(
            heat_by_lines(some_points / 2, 64, 1.0), heat_maps(some_points / 2, 64, 1.0), atol=1e-5
        ),
    },
)
assert right

# %% [markdown]
# **Exercise 2.** (h + 1)² = 4 exp(−r²/σ²). The integral of exp(−r²/σ²) over the plane is πσ²; spread over S²
# pixels, that is 4πσ²/S²: 0.028 for σ = 6 px at 128 px.


# %%
def cost_of_minus_one(sigma, size):
    """Mean of (h + 1)² over an image of size x size px, for a point far from the border: a number."""
    return 4 * np.pi * sigma**2 / size**2


centre = torch.tensor([[[64.0, 64.0]]])
right = fc.exercises.verdict(
    "2",
    cost_of_minus_one(6.0, 128),
    lambda value: {
        "as counted on pixels": abs(value - (heat_maps(centre, 128, 6.0) + 1).square().mean().item()) < 1e-6,
        "twice the width costs four times as much": np.isclose(cost_of_minus_one(12.0, 128), 4 * value),
        "no matter at which size, if σ grows with it": np.isclose(cost_of_minus_one(3.0, 64), value),
    },
)
assert right

# %% [markdown]
# **Exercise 3.** What is known is taken out of both maps; then it is Dice as in lesson 02.


# %%
def dice_in_hole(prediction, truth, mask):
    """Labels [B, H, W] and [B, H, W], mask [B, 1, H, W] with 1 = known -> [B]."""
    hole = (mask[:, 0] < 0.5)[:, None]
    predicted, true = (F.one_hot(x, 11).movedim(3, 1)[:, 1:10].bool() & hole for x in (prediction, truth))
    both, either = (predicted & true).sum((2, 3)), predicted.sum((2, 3)) + true.sum((2, 3))
    there = either > 0
    return (2 * both / either.clamp(min=1) * there).sum(1) / there.sum(1).clamp(min=1)


ones = torch.ones(1, 1, 2, 2)
left_known = torch.tensor([[1.0, 0.0], [1.0, 0.0]]).view(1, 1, 2, 2)
a, b = torch.tensor([[[6, 6], [6, 1]]]), torch.tensor([[[1, 6], [1, 6]]])
few = faces.batch([3, 80, 121, 200])
eyes_gone = fc.masks.make("collagan_o3", 128, n=len(few), landmarks=few.landmarks)
guess = shipped.complete(few.image, eyes_gone, seed).extras["parsing"]
right = fc.exercises.verdict(
    "3",
    dice_in_hole(a, b, left_known),
    lambda value: {
        "one number per image": tuple(value.shape) == (1,),
        "nose: 2 · 1 / (1 + 2); skin: 0; mean 1/3": np.isclose(value.item(), 1 / 3),
        "the truth itself gets 1": np.allclose(dice_in_hole(few.parsing, few.parsing, eyes_gone), 1),
        "harder than the whole image": dice_in_hole(guess, few.parsing, eyes_gone).mean()
        < fc.evaluation.dice(guess, few.parsing)[:, 1:10].nanmean(),
    },
)
assert right

# %% [markdown]
# **Exercise 4.** Equation 6 with a square. Why not do it? What the network says of *visible* labels is easy
# to check and easy to learn, and needs the same features: where is the face, how is it turned? These
# gradients reach the trunk from the whole image; the hole alone would be a poorer teacher.


# %%
def concentrated_l2(drawn, truth, mask):
    """[B, C, H, W], [B, C, H, W], [B, 1, H, W] -> a scalar; missing pixels weigh as in a mean."""
    return ((drawn - truth) * (1 - mask)).square().mean()


head = torch.zeros(1, 11, 64, 64, requires_grad=True)
target = one_hot(fc.faces.embedded("test", size=64).batch([36]).parsing)
hole = fc.masks.make("irregular_20_30", 64, seed=seed)


def reached(loss):
    return torch.autograd.grad(loss, head)[0].abs().sum(1)[0] > 0


right = fc.exercises.verdict(
    "4",
    concentrated_l2(head, target, hole),
    lambda value: {
        "nothing known: the plain mean": torch.isclose(
            concentrated_l2(head, target, torch.zeros(1, 1, 64, 64)), F.mse_loss(head, target)
        ),
        "its gradient reaches the hole, all of it, and nothing else": torch.equal(
            reached(value), hole[0, 0] < 0.5
        ),
    },
)
assert right
