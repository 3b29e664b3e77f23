# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 05 · lafin: solutions
#
# > Try the exercises of [lesson 05](05_lafin.ipynb) first: a solution read is worth less than a wrong one
# > written. Other ways than these are as good if all lines say `[OK]`.

# %% tags=["parameters"]
import facecomp_lib as fc

seed = 0

# %% [markdown]
# The pieces that the lesson built, and the same faces.

# %%
import torch

from facecomp_lib.nn import attend, perceptual_loss, style_loss
from facecomp_lib.papers.lafin import landmark_map

faces = fc.faces.embedded("test")
shipped = fc.methods.pretrained("lafin")

# %% [markdown]
# **Exercise 1.** Squared distances add up: those along x and those along y, each on a line; a pixel is near
# if any of the 68 points is.


# %%
def disc_map(points, size, radius):
    """[B, 68, 2] px -> [B, 1, size, size] of 0 and 1."""
    line = torch.arange(size)
    x, y = ((line - points[..., k, None]).square() for k in (0, 1))  # [B, 68, S] each
    near = y[..., :, None] + x[..., None, :] <= radius**2 + 1e-6
    return near.any(1, keepdim=True).float()


def disc(place, radius):
    """How many pixels of 16 x 16 the disc about (place, place) has."""
    return disc_map(torch.full((1, 68, 2), place), 16, radius).sum().item()


some_points = faces.batch([3, 36]).landmarks
right = fc.exercises.verdict(
    "1",
    disc_map(some_points, 128, 2.0),
    lambda value: {
        "one map per face": tuple(value.shape) == (2, 1, 128, 128),
        "nothing but 0 and 1": set(value.unique().tolist()) == {0.0, 1.0},
        "radius 1 about a pixel: a cross of five": disc(5.0, 1.0) == 5,
        "radius 2.5: a disc of 21": disc(5.0, 2.5) == 21,
        "radius 0.8 about a corner of four pixels: these four": disc(5.5, 0.8) == 4,
        "single pixels lie inside": bool((value >= landmark_map(some_points, 128)).all()),
        "points outside draw what reaches in": disc(-1.0, 2.0) == 1 and disc(-9.0, 2.0) == 0,
    },
)
assert right

# %% [markdown]
# **Exercise 2.** Rows of the matrix do not know of each other: softmax works row by row.


# %%
from torch.overrides import TorchFunctionMode


def attend_in_parts(query, values, rows):
    """[B, D, N], [B, V, N] -> [B, V, N]; no more than [B, rows, N] of the matrix at a time."""
    parts = [values @ (part.mT @ query).softmax(2).mT for part in query.split(rows, 2)]
    return torch.cat(parts, 2)


generator = torch.Generator().manual_seed(3)
query, values = torch.randn(2, 8, 100, generator=generator), torch.randn(2, 6, 100, generator=generator)


class Watch(TorchFunctionMode):
    """Notes how many numbers the largest tensor has that is made."""

    def __init__(self):
        super().__init__()
        self.most = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor):
            self.most = max(self.most, made.numel())
        return made


def largest(rows):
    with Watch() as watch:
        attend_in_parts(query, values, rows)
    return watch.most


right = fc.exercises.verdict(
    "2",
    attend_in_parts(query, values, 30),
    lambda value: {
        "the same as attend": torch.allclose(value, attend(query, values), atol=1e-5),
        "for any number of rows": all(
            torch.allclose(attend_in_parts(query, values, rows), value, atol=1e-5)
            for rows in (1, 7, 100, 1000)
        ),
        "never more than 30 rows of two matrices": 0 < largest(30) <= 2 * 30 * 100,
    },
)
assert right

# %% [markdown]
# **Exercise 3.** A Gram matrix sums over places. Whoever moves whole columns of features from place to place,
# all channels alike, changes no sum.


# %%
def scrambled(features, seed):
    """[B, C, H, W] -> the same shape, other features at (nearly) all places, the same Gram matrix."""
    order = torch.randperm(features[0, 0].numel(), generator=torch.Generator().manual_seed(seed))
    return features.flatten(2)[..., order].view_as(features)


deep = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(4))
right = fc.exercises.verdict(
    "3",
    scrambled(deep, 0),
    lambda value: {
        "the same shape": value.shape == deep.shape,
        "other features at nearly all places": ((value - deep).abs().sum(1) > 1e-6).float().mean() > 0.8,
        "not only other signs": ((value.abs() - deep.abs()).abs().sum(1) > 1e-6).float().mean() > 0.8,
        "the style loss does not notice": style_loss([value], [deep]) < 1e-5,
        "the perceptual loss does": perceptual_loss([value], [deep]) > 0.5,
    },
)
assert right

# %% [markdown]
# **Exercise 4.** The face has its own down. It is found from the points themselves, so a turned face opens
# its mouth in its own direction.


# %%
def open_mouth(points, amount):
    """[B, 68, 2] -> [B, 68, 2]."""
    down = points[:, 8] - points[:, 36:48].mean(1)
    down = down / down.norm(dim=1, keepdim=True)
    moved = points.clone()
    for part in (range(55, 60), range(65, 68), range(5, 12)):
        moved[:, list(part)] += amount * down[:, None]
    return moved


two = faces.batch([36, 3])
hole = fc.masks.make("gfc_o6", 128, n=2, landmarks=two.landmarks)
moving = [*range(5, 12), *range(55, 60), *range(65, 68)]
staying = [k for k in range(68) if k not in moving]


def told(points):
    return shipped.complete(two.image, hole, landmarks=points).composite


def downwards(points):
    """How far down its face the chin of each has moved."""
    down = two.landmarks[:, 8] - two.landmarks[:, 36:48].mean(1)
    return ((points - two.landmarks)[:, 8] * down).sum(1)


right = fc.exercises.verdict(
    "4",
    open_mouth(two.landmarks, 4.0),
    lambda value: {
        "5 + 3 + 7 = 15 points move, by 4 px": torch.allclose(
            (value - two.landmarks)[:, moving].norm(dim=2), torch.tensor(4.0), atol=1e-4
        ),
        "the others stay": torch.equal(value[:, staying], two.landmarks[:, staying]),
        "down, not up": bool((downwards(value) > 0).all()),
        "down the face, also if it is turned by 90 degrees": torch.allclose(
            open_mouth(two.landmarks.flip(2), 4.0), value.flip(2), atol=1e-3
        ),
        "the generator follows": (told(value) - told(two.landmarks)).abs().max() > 0.02,
    },
)
assert right
