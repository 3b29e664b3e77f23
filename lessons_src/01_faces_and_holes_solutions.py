# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 01 · Faces and holes: solutions
#
# > Try the exercises of [lesson 01](01_faces_and_holes.ipynb) first: a solution read is worth less than a
# > wrong one written. Other ways than these are as good if all lines say `[OK]`.

# %% tags=["parameters"]
import facecomp_lib as fc

preset = fc.preset("lesson")
size = 128
seed = 0

# %% [markdown]
# The same batch as in the lesson.

# %%
import numpy as np
import torch
import torch.nn.functional as F

faces = fc.faces.embedded("test", size=size)
points = faces.column("landmarks").reshape(-1, 68, 2)
gap = points[:, [40, 41, 46, 47], 1].mean(1) - points[:, [37, 38, 43, 44], 1].mean(1)
yaw = np.where(gap > 0.02 * size, faces.column("pose")[:, 0], np.inf)  # eyes open
numbers = [np.abs(yaw - angle).argmin() for angle in (0, -12, 15, -25)]  # from frontal to turned
batch = faces.batch(numbers)
train = fc.faces.embedded("train", size=size)

# %% [markdown]
# **Exercise 1.** Start from everything known, and take the lower rows away.


# %%
# NBVAL_CHECK_OUTPUT
def lower_half(size):
    """float32 [1, 1, size, size]: 1 = known, 0 in the lower half."""
    mask = torch.ones(1, 1, size, size)
    mask[:, :, size // 2 :] = 0
    return mask


right = fc.exercises.verdict(
    "1",
    lower_half(8),
    lambda mask: {
        "float32 of shape [1, 1, 8, 8]": mask.shape == (1, 1, 8, 8) and mask.dtype == torch.float32,
        "the upper half is known": (mask[..., :4, :] == 1).all(),
        "the lower half is missing": (mask[..., 4:, :] == 0).all(),
    },
)
assert right

# %% [markdown]
# **Exercise 2.** A maximum over a window of 2 · margin + 1 pixels is 1 wherever an eye is at most `margin`
# px away. Padding by `margin` keeps the size.


# %%
# NBVAL_CHECK_OUTPUT
def without_eyes(parsing, margin):
    """parsing [B, H, W] -> mask float32 [B, 1, H, W]."""
    eyes = ((parsing == 4) | (parsing == 5))[:, None].float()  # [B, 1, H, W]
    return 1 - F.max_pool2d(eyes, 2 * margin + 1, stride=1, padding=margin)


toy = torch.zeros(1, 7, 7, dtype=torch.long)
toy[0, 3, 3] = 4
eyes = (batch.parsing == 4) | (batch.parsing == 5)
right = fc.exercises.verdict(
    "2",
    without_eyes(toy, margin=1),
    lambda mask: {
        "shape [1, 1, 7, 7]": mask.shape == (1, 1, 7, 7),
        "a margin of 1 px makes 9 missing pixels": (mask == 0).sum() == 9,
        "they are the right ones": (mask[0, 0, 2:5, 2:5] == 0).all(),
        "without margin, only the eye is missing": (without_eyes(toy, 0) == 0).sum() == 1,
        "all eyes of the batch are hidden": (without_eyes(batch.parsing, 2)[:, 0][eyes] == 0).all(),
    },
)
assert right

# %%
fc.show.contact_sheet(fc.show.masked(batch.image, without_eyes(batch.parsing, margin=4)))

# %% [markdown]
# **Exercise 3.** Reflecting alone would leave the right eye's points under the numbers of the right eye,
# although they now lie on the *left* eye of the mirrored face.


# %%
# NBVAL_CHECK_OUTPUT
def mirror_landmarks(landmarks, width):
    """[B, 68, 2] in pixels of an image `width` px wide -> those of the mirrored image."""
    x, y = landmarks.unbind(-1)
    return torch.stack([width - 1 - x, y], dim=-1)[:, fc.faces.LANDMARK_MIRROR]


right = fc.exercises.verdict(
    "3",
    mirror_landmarks(batch.landmarks, size),
    lambda points: {
        "the same as batch.mirror() gives": torch.allclose(points, batch.mirror().landmarks, atol=1e-4),
        "twice is the identity": torch.allclose(mirror_landmarks(points, size), batch.landmarks, atol=1e-4),
    },
)
assert right

# %% [markdown]
# **Exercise 4.** A pixel is taken from the mirror if it is missing, its partner is visible, and the partner
# is known. The flow also carries the mask: flipped, warped, and kept where it is 1 all around (bilinear
# sampling mixes neighbours).


# %%
def mirror_fill(faces, mask):
    """A FaceBatch and its mask [B, 1, H, W] -> composite [B, 3, H, W]."""
    start = fc.classical.complete(faces.image, mask, "telea").composite
    partner = fc.nn.mirror_warp(faces.image * mask, faces.mirror_flow) * faces.light_ratio
    partner_known = fc.nn.mirror_warp(mask, faces.mirror_flow) > 0.999
    usable = partner_known & faces.mirror_valid[:, None]
    raw = torch.where(usable, partner.clamp(0, 1), start)
    return fc.masks.composite(faces.image, raw, mask)


half = fc.masks.make("half_left", size=size).expand(len(batch), -1, -1, -1)
known = half.bool().expand_as(batch.image)
blind = batch.replace(image=batch.image * half)  # black where the hole is
telea = fc.classical.complete(batch.image, half, "telea").composite
face = (batch.parsing > 0) & (batch.parsing < 10)  # not background, not hair
judged = 1 - ((half == 0) & face[:, None]).float()  # 0 where a pixel is missing and face
limit = fc.evaluation.psnr_hole(telea, batch.image, judged).mean() + 3
right = fc.exercises.verdict(
    "4",
    mirror_fill(batch, half),
    lambda result: {
        "known pixels are untouched": torch.equal(result[known], batch.image[known]),
        "what lies under the hole is not used": torch.equal(result, mirror_fill(blind, half)),
        f"over {limit:.1f} dB on the missing face, 3 more than Telea": (
            fc.evaluation.psnr_hole(result, batch.image, judged).mean() > limit
        ),
    },
)
assert right

# %%
ours = mirror_fill(batch, half)
rows = {"input": fc.show.masked(batch.image, half), "telea": telea, "mirrored": ours, "truth": batch.image}
titles = [name for name in rows for _ in range(4)]
notes = [" "] * 16
for row, result in ((1, telea), (2, ours)):
    on_face = fc.evaluation.psnr_hole(result, batch.image, judged)
    notes[4 * row : 4 * row + 4] = [f"face {value:.1f} dB" for value in on_face]
fc.show.contact_sheet(torch.cat(list(rows.values())), titles, columns=4, notes=notes)

# %% [markdown]
# No network, and it looks like a face, because we were *given* flow and light. Hair and background have no
# usable partner and stay smeared. The more the head is turned, the less the other half can tell. symmfc
# learns the flow, the light, and what to do about the rest.
#
# Now the same images, measured over the whole image as most papers do:

# %%
for name, result in (("telea", telea), ("mirrored", ours)):
    whole = fc.evaluation.psnr(result, batch.image)
    on_face = fc.evaluation.psnr_hole(result, batch.image, judged)
    print(f"{name:9} whole image {whole.mean():.1f} dB, missing face {on_face.mean():.1f} dB")

# %% [markdown]
# A face appeared, and the number for the whole image hardly noticed: smeared hair and background outweigh
# it. **What** is measured, and **where**, decides what a table says. Lesson 02 is about that.
#
# **Exercise 5.** Take the first four of each kind.


# %%
# NBVAL_CHECK_OUTPUT
def fair(dataset):
    """16 numbers of faces."""
    male, smiling = dataset.column("male"), dataset.column("smiling")
    kinds = [(male == m) & (smiling == s) for m in (True, False) for s in (True, False)]
    return np.concatenate([np.flatnonzero(kind)[:4] for kind in kinds])


right = fc.exercises.verdict(
    "5",
    fair(train),
    lambda chosen: {
        "16 different faces": len(set(map(int, chosen))) == 16,
        "4 of each kind": all(
            ((train.column("male")[chosen] == m) & (train.column("smiling")[chosen] == s)).sum() == 4
            for m in (True, False)
            for s in (True, False)
        ),
    },
)
assert right

# %% [markdown]
# Fair in two respects, and only in these: look at skin tone and age of your sixteen. And faces that follow
# each other in the data set show the same person: sixteen *people* would be better still.
# `dataset.column("identity")` tells.
