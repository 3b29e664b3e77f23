# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 02 · Measuring completion: solutions
#
# > Try the exercises of [lesson 02](02_measuring_completion.ipynb) first: a solution read is worth less than
# > a wrong one written. Other ways than these are as good if all lines say `[OK]`.

# %% tags=["parameters"]
import facecomp_lib as fc

preset = fc.preset("lesson")
face_number = 36
seed = 0

# %% [markdown]
# The same faces and holes as in the lesson.

# %%
import numpy as np
import torch

faces = fc.faces.embedded("test")
size = faces.size
count = {"smoke": 6, "lesson": 40, "full": len(faces)}[preset]
random = np.random.default_rng([seed, len(faces)])
many = faces.batch(np.sort(random.permutation(len(faces))[:count]))
one = faces.batch([face_number])
middle = fc.masks.make("center", size=size).expand(len(many), -1, -1, -1)
train = fc.faces.embedded("train")
candidates = train.batch(range(0, len(train), 4)).image  # 500 faces

# %% [markdown]
# **Exercise 1.** MSE<sub>hole</sub> = MSE<sub>whole</sub> / *s*, so the decibels of 1 / *s* go away.


# %%
# NBVAL_CHECK_OUTPUT
def psnr_of_hole(whole, share):
    """PSNR of the whole composite in dB, missing share in (0, 1] -> PSNR of the missing pixels in dB."""
    return whole + 10 * np.log10(share)


right = fc.exercises.verdict(
    "1",
    psnr_of_hole(30.0, 0.1),
    lambda value: {
        "30 dB with 10 % missing are 20 dB": abs(value - 20) < 1e-6,
        "with everything missing it is the same": psnr_of_hole(17.0, 1.0) == 17.0,
        "lafin's 25.92 dB on center squares (25 %)": abs(psnr_of_hole(25.92, 0.25) - 19.90) < 0.01,
    },
)
assert right

# %% [markdown]
# A mean of PSNRs is not the PSNR of a mean: over many images with holes of *one* size this is exact, for
# irregular bins (10 to 20 %, say) only about right.
#
# **Exercise 2.** Look the points up in the mask, then average over those that lie in the hole. 0 / 0 is NaN,
# as wanted.


# %%
# NBVAL_CHECK_OUTPUT
def nme_hole(prediction, target, mask):
    """Points [B, 68, 2] twice, mask [B, 1, H, W] -> [B]; NaN for a face without points in its hole."""
    height, width = mask.shape[2:]
    x = target[..., 0].round().long().clamp(0, width - 1)  # a jaw may leave the image
    y = target[..., 1].round().long().clamp(0, height - 1)
    face = torch.arange(len(target))[:, None]
    missing = (mask[face, 0, y, x] < 0.5).float()  # [B, 68]
    error = (prediction - target).norm(dim=2)
    eyes = (target[:, 36] - target[:, 45]).norm(dim=1)
    return (error * missing).sum(1) / missing.sum(1) / eyes


brows = ((torch.arange(68) > 16) & (torch.arange(68) < 27)).float()[:, None]
only_brows = one.landmarks + 2 * brows  # these are off by (2, 2) px, all others are right
everything = torch.zeros(1, 1, size, size)
lower = torch.ones(1, 1, size, size)
lower[..., int(one.landmarks[0, 36:48, 1].max()) + 2 :, :] = 0  # brows and eyes are known
right = fc.exercises.verdict(
    "2",
    nme_hole(only_brows, one.landmarks, everything),
    lambda value: {
        "one number per face": value.shape == (1,),
        "with everything missing it is the NME": torch.allclose(
            value, fc.evaluation.nme(only_brows, one.landmarks)
        ),
        "points in the known half do not count": (nme_hole(only_brows, one.landmarks, lower) == 0).all(),
        "without a hole there is nothing to measure": nme_hole(only_brows, one.landmarks, 1 - everything)
        .isnan()
        .all(),
    },
)
assert right

# %% [markdown]
# **Exercise 3.** One face at a time, the distance to all candidates over the known pixels. Blending wants
# the drawn image at the rim, too: give it the whole candidate.


# %%
def nearest_face(image, mask):
    """[B, 3, H, W] and [B, 1, H, W] -> composite [B, 3, H, W]."""
    places = [
        ((candidates - image) * known).square().sum((1, 2, 3)).argmin()
        for image, known in zip(image, mask, strict=True)
    ]
    return fc.classical.poisson_blend(image, candidates[torch.stack(places)], mask)


few, few_holes = many[:12], middle[:12]
blind = few.image * few_holes  # black where the hole is
keep = few_holes.bool().expand_as(few.image)
telea = fc.classical.complete(few.image, few_holes, "telea").composite
right = fc.exercises.verdict(
    "3",
    nearest_face(few.image, few_holes),
    lambda result: {
        "known pixels are untouched": torch.equal(result[keep], few.image[keep]),
        "what lies under the hole is not used": torch.allclose(
            result, nearest_face(blind, few_holes), atol=1e-5
        ),
        "a better PSNR than Telea's": (
            fc.evaluation.psnr(result, few.image).mean() > fc.evaluation.psnr(telea, few.image).mean()
        ),
    },
)
assert right


# %% [markdown]
# It looks like a face, because it is one: somebody else's. How do the metrics like it, beside the average
# face?


# %%
def average_face(image, mask):
    average = candidates.mean(0, keepdim=True)
    return fc.classical.poisson_blend(image, average.expand_as(image), mask)


view = (..., slice(14, 110), slice(16, 112))
methods = {"telea": "telea", "average face": average_face, "nearest face": nearest_face}
fills = {
    name: fill(many.image, middle)
    if callable(fill)
    else fc.classical.complete(many.image, middle, fill).composite
    for name, fill in methods.items()
}
rows = {}
for k in range(3):
    shown = (fc.show.masked(many.image, middle), *fills.values(), many.image)
    rows[f"face {k}"] = [x[view][k] for x in shown]
fc.show.rows(rows, ("input", *methods, "truth"))

# %%
import pandas as pd
from IPython.display import display

perceptual = ("lpips",) if fc.weights.available("lpips_alex") else ()
parts = []
for name, images in fills.items():
    found = fc.evaluation.score(images, many.image, middle, ("psnr_hole", "ssim", *perceptual))
    if fc.weights.available("dlib_embedding"):
        own = (images[:12], many.image[:12], many.landmarks[:12])
        found["identity"] = torch.full((len(many),), torch.nan)
        found["identity"][:12] = fc.evaluation.identity_distance(*own)
    table = pd.DataFrame({key: values.double() for key, values in found.items()}).rename_axis("index")
    parts.append(table.reset_index().melt("index", var_name="metric").assign(method=name, mask="center"))
scores = pd.concat(parts).dropna()
for metric in scores["metric"].unique():
    display(fc.show.score_table(scores, metric, by="index"))

# %% [markdown]
# PSNR and SSIM prefer the average, which is blurred; LPIPS prefers the nearest face, which is sharp: section
# 6 again, now with completions that one could have made. And identity distance hardly tells the two apart,
# although one of them has the features of *a certain other person*. A network that remembers its training
# faces would look like this in a table: good. One sees it only by looking for the training face beside it.
#
# **Exercise 4.** Subtract first, draw then: each draw takes a face with *both* its scores.


# %%
# NBVAL_CHECK_OUTPUT
def paired_interval(first, second, seed=0):
    """Two arrays [N] -> (mean of first - second, low, high)."""
    difference = np.asarray(first) - np.asarray(second)
    draws = np.random.default_rng(seed).integers(len(difference), size=(2000, len(difference)))
    low, high = np.quantile(difference[draws].mean(1), [0.025, 0.975])
    return difference.mean(), low, high


rng = np.random.default_rng(0)
hard = rng.normal(20, 5, 50)  # some faces are hard for everybody
better_by_half = hard + 0.5 + rng.normal(0, 0.3, 50)
by_library = fc.evaluation.difference(better_by_half, hard)
right = fc.exercises.verdict(
    "4",
    paired_interval(better_by_half, hard),
    lambda answer: {
        "the mean is right": np.isclose(answer[0], (better_by_half - hard).mean()),
        "half a decibel is found to be beyond chance": answer[1] > 0,
        "the interval is ours, up to chance": np.allclose(
            answer[1:], (by_library.low, by_library.high), atol=0.02
        ),
    },
)
assert right

# %% [markdown]
# And not paired? The interval of the difference of two *independent* means, for the same numbers:

# %%
# NBVAL_CHECK_OUTPUT
rng = np.random.default_rng(1)
apart = [rng.choice(better_by_half, 50).mean() - rng.choice(hard, 50).mean() for _ in range(2000)]
low, high = np.quantile(apart, [0.025, 0.975])
print(
    f"paired {paired_interval(better_by_half, hard)[1]:.2f} to {paired_interval(better_by_half, hard)[2]:.2f}"
)
print(f"not paired {low:.1f} to {high:.1f}: the half decibel drowns in the difference between faces")
