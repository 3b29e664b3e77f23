# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 01 · Faces and holes
#
# > **The question:** what exactly goes into a face-completion network, and what has to come out?<br>
# > **You will build** the composite that all five papers share, check it bit for bit, and meet what is known
# > about our faces: landmarks, parsing maps, mirror flow, light.<br>
# > **You need** lesson 00, and tensors as PyTorch writes them (`[B, 3, H, W]`).<br>
# > **It takes** 30 to 45 minutes with the exercises; all cells together run in some 15 seconds on two CPU
# > cores, no GPU needed.<br>
# > **What is simplified:** the faces are rendered, not photographed. Section 8 looks at what that leaves out.

# %% tags=["parameters"]
import facecomp_lib as fc

preset = fc.preset("lesson")
size = 128  # pixels; the embedded faces go up to 128
seed = 0

# %% [markdown]
# ## 1. A batch of faces
#
# A data set gives batches. A batch holds images and whatever is known about them; what is not known is
# `None`.

# %%
import numpy as np
import torch

faces = fc.faces.embedded("test", size=size)
points = faces.column("landmarks").reshape(-1, 68, 2)
gap = points[:, [40, 41, 46, 47], 1].mean(1) - points[:, [37, 38, 43, 44], 1].mean(1)
yaw = np.where(gap > 0.02 * size, faces.column("pose")[:, 0], np.inf)  # eyes open
numbers = [np.abs(yaw - angle).argmin() for angle in (0, -12, 15, -25)]  # from frontal to turned
batch = faces.batch(numbers)

for name, value in vars(batch).items():
    if isinstance(value, torch.Tensor):
        print(f"{name:13} {str(list(value.shape)):18} {str(value.dtype).removeprefix('torch.')}")
print("attributes    " + ", ".join(batch.attributes))

# %% [markdown]
# | field | what it says |
# |---|---|
# | `image` | RGB between 0 and 1 |
# | `landmarks` | 68 points (x, y) in pixels, in the order of the iBUG 300-W data set |
# | `parsing` | for each pixel one of 11 classes, in the order of the Helen data set |
# | `identity` | which person; several images show the same one |
# | `pose` | yaw, pitch, roll in degrees; yaw > 0 turns the face to the right of the image |
# | `lamps` | two lamps: direction and colour |
# | `mirror_flow`, `mirror_valid` | where each point's mirror partner is, and whether it can be seen |
# | `light_ratio` | how much more light falls here than on the mirror partner |
#
# For photographs one rarely knows more than the first four, and those only as a detector's guess. Ours are
# exact, because we drew the faces.

# %%
fc.show.overlay_landmarks(batch.image, batch.landmarks)

# %% [markdown]
# **Predict:** class 4 of the parsing map is called *left eye*. Is it on the left of the image?

# %%
fc.show.overlay_parsing(batch.image, batch.parsing, cell=128)

# %%
# NBVAL_CHECK_OUTPUT
column = torch.arange(size)
for label in (4, 5):
    where = batch.parsing[0] == label
    side = "right" if (where.sum(0) * column).sum() / where.sum() > size / 2 else "left"
    print(f"class {label}, {fc.faces.PARSING[label]}: on the {side} of the image")

# %% [markdown]
# Left and right are the **person's** in landmarks and parsing maps. In the names of holes (`half_left`)
# they are the **viewer's**. Papers mix both; we never do.
#
# All of it in one place; move the slider, tick the boxes:

# %%
fc.show.FaceExplorer(batch)

# %% [markdown]
# ## 2. Pixels and mirrors
#
# Whole numbers are pixel **centres**. In an image W pixels wide, x runs from 0 to W − 1, and a mirror
# sends x to W − 1 − x. (Not to W − x: that is off by one pixel, a classic mistake that no image shows,
# and every landmark loss pays for.)
#
# A mirrored face needs more than a flipped image: its landmarks change places in pairs, its left eyebrow
# becomes its right one, its yaw and the lamps' x change sign. `batch.mirror()` does all of it.
#
# **Predict:** mirrored twice, is it the same batch?

# %%
# NBVAL_CHECK_OUTPUT
twice = batch.mirror().mirror()
for name in ("image", "parsing", "pose", "lamps"):
    print(f"{name:9} bit for bit: {torch.equal(getattr(twice, name), getattr(batch, name))}")
for name in ("landmarks", "mirror_flow"):
    close = torch.allclose(getattr(twice, name), getattr(batch, name), atol=1e-4)
    print(f"{name:11} up to rounding: {close}")

# %%
both = torch.cat([batch.image[2:3], batch.mirror().image[2:3]])
points = torch.cat([batch.landmarks[2:3], batch.mirror().landmarks[2:3]])
fc.show.overlay_landmarks(both, points, ["a face", "mirrored: R and L changed places"])

# %% [markdown]
# ## 3. Mirror flow
#
# A face is nearly symmetric. If its left cheek is missing, the right one tells how it looked, if we know
# *where* each pixel's mirror partner is. On a frontal face: in the flipped image, at the same place. On a
# turned face: somewhere else. That somewhere is the **mirror flow** Φ: for each pixel a position in the
# flipped image.
#
# symmfc (Eq. 4 and 5) takes the flipped image *I*<sub>f</sub> and samples it along the flow:
# *I*<sub>f,w</sub>(i, j) = *I*<sub>f</sub>(Φ(i, j)). Positions run from −1 (centre of the first pixel) to 1
# (centre of the last one), as PyTorch's `grid_sample(..., align_corners=True)` wants them.
#
# A toy first. The flow below points **one pixel to the right** of each pixel's own place. **Predict** the
# first row of the warped image.

# %%
import torch.nn.functional as F

image = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.5, 0.6, 0.7, 0.8], [0.1, 0.3, 0.5, 0.7], [0.2, 0.4, 0.6, 0.8]])
line = torch.linspace(-1, 1, 4)
identity = torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1)  # [H, W, 2], (x, y)
flow = identity + torch.tensor([2 / 3, 0.0])  # one pixel is 2 / (W - 1)

flipped = image.flip(-1)
warped = F.grid_sample(flipped[None, None], flow[None], padding_mode="border", align_corners=True)[0, 0]
fc.show.matrices({"I": image, "flipped": flipped, "warped": warped})

# %%
# NBVAL_CHECK_OUTPUT
print("first row:", [round(value, 3) for value in warped[0].tolist()])

# %% [markdown]
# Each pixel fetches its right-hand neighbour of the *flipped* image; at the border the last one is
# repeated. Now faces: equal numbers mark mirror partners, and a number's tail begins at the same pixel as
# on the left.

# %%
two = batch[[0, 2]]
fc.show.mirror_flow(two.image, two.mirror_flow, two.mirror_valid, two.landmarks, cell=128)

# %% [markdown]
# Follow it yourself: click or drag on the left face, and the dot on the right is the mirror partner. The
# slider below carries the whole mirror image along the flow; *colours* and *arrows* show all of it at once.
#
# **Predict:** face 2 is turned to the left of the image. The tip of its nose is its own mirror partner. To
# which side does the flow lead from there? And from the edges of the cheeks?

# %%
pair = batch[[0, 3]]
fc.show.FlowExplorer(pair.image, pair.mirror_flow, pair.mirror_valid, pair.landmarks)

# %% [markdown]
# From the nose far to the right: in the flipped face it points the other way. What stands out in front of the
# eyes goes with it, what lies behind them goes to the other side. The eyes themselves hardly move, because
# aligned images have them in one place.
#
# Two things stand in the way of copying the other half:
#
# - The mirror partner may be **hidden**: behind the nose, beyond the cheek, under hair. Grey marks it. The
#   more a face is turned, the more is grey.
# - The partner is **lit differently**. The column *difference* above shows it: most of it is light.
#
# symmfc multiplies the warped image by a light ratio R before it uses it (Eq. 9). We know the true R.
# **Predict:** how much of the difference goes away?

# %%
mirrored = fc.nn.mirror_warp(batch.image, batch.mirror_flow)
relit = (mirrored * batch.light_ratio).clamp(0, 1)
seen = batch.mirror_valid[:, None]


def difference(images):
    """Mean absolute difference from the faces where the mirror partner is visible, as text per face."""
    gap = (images - batch.image).abs().mean(1, keepdim=True)
    return [f"difference {g[s].mean():.3f}" for g, s in zip(gap, seen, strict=True)]


grey = torch.full_like(batch.image, 0.74)
rows = [batch.image, torch.where(seen, mirrored, grey), torch.where(seen, relit, grey)]
titles = [f"{what} {n}" for what in ("face", "mirrored", "mirrored, relit") for n in range(1, 5)]
yaws = [f"yaw {angle:+d}°" for angle in batch.pose[:, 0].round().int().tolist()]
notes = yaws + difference(mirrored) + difference(relit)
fc.show.contact_sheet(torch.cat(rows), titles, columns=4, notes=notes)

# %% [markdown]
# Where the mirror partner can be seen, a well-lit copy of it is almost the face itself. That is the idea of
# lessons 07 and 08, where networks have to *find* flow and light by themselves.
#
# ## 4. A hole, and the composite
#
# A **mask** M says which pixels are known: **1 = known, 0 = missing**. (lafin's text uses the complement;
# four of the five papers and this course don't.) A network G paints a whole image; only its missing
# pixels are used. This is the composite, Eq. 5 of collagan, and every paper has it in some form:
#
# *I*<sub>comp</sub> = M ⊙ *I* + (1 − M) ⊙ G
#
# By hand, before any code. **Predict** the four middle numbers:

# %%
image = torch.tensor([[0.9, 0.8, 0.7, 0.6], [0.8, 0.5, 0.2, 0.6], [0.7, 0.4, 0.1, 0.5], [0.6, 0.6, 0.5, 0.4]])
raw = torch.full((4, 4), 0.3)
mask = torch.ones(4, 4)
mask[1:3, 1:3] = 0
composite = mask * image + (1 - mask) * raw
fc.show.matrices({"M": mask, "I": image, "1 − M": 1 - mask, "G": raw, "composite": composite}, joints="⊙+⊙=")

# %% [markdown]
# The same as a loop over pixels, straight from the sentence "known pixels from *I*, missing ones from G":


# %%
def composite_loop(image, raw, mask):
    """image, raw [B, 3, H, W], mask [B, 1, H, W] -> [B, 3, H, W], pixel by pixel."""
    result = torch.empty_like(image)
    for b in range(image.shape[0]):
        for y in range(image.shape[2]):
            for x in range(image.shape[3]):
                source = image if mask[b, 0, y, x] == 1 else raw
                result[b, :, y, x] = source[b, :, y, x]
    return result


def composite_formula(image, raw, mask):
    """The formula as it is printed."""
    return mask * image + (1 - mask) * raw  # [B, 1, H, W] spreads over the 3 channels


generator = torch.Generator().manual_seed(seed)
image, raw = torch.rand(2, 2, 3, 16, 16, generator=generator)
mask = fc.masks.make("random_square", size=16, n=2, seed=seed)
assert torch.equal(composite_loop(image, raw, mask), composite_formula(image, raw, mask))

# %% [markdown]
# They agree. Are we done? Networks sometimes paint infinities, early in training or in half precision.
# **Predict:** G holds one infinite value at a *known* pixel. What does the formula give there?

# %%
# NBVAL_CHECK_OUTPUT
image, raw, mask = torch.full((1, 3, 2, 2), 0.5), torch.full((1, 3, 2, 2), 0.3), torch.ones(1, 1, 2, 2)
raw[0, 0, 0, 0] = float("inf")
print("formula:", composite_formula(image, raw, mask)[0, 0].tolist())
print("choice: ", torch.where(mask == 1, image, raw)[0, 0].tolist())

# %% [markdown]
# Zero times infinity is not zero. `torch.where` *chooses* instead of adding, so nothing painted at a known
# pixel can reach the result. That is what the library does; and it must hold for every kind of hole and
# whatever is painted:

# %%
for kind in fc.masks.KINDS:
    mask = fc.masks.make(kind, size=size, n=len(batch), seed=seed, landmarks=batch.landmarks)
    wild = torch.randn(batch.image.shape, generator=generator) * 1e6
    result = fc.masks.composite(batch.image, wild, mask)
    known = (mask == 1).expand_as(result)
    assert torch.equal(result[known], batch.image[known]), kind
    assert torch.equal(result[~known], wild[~known]), kind
print("known pixels survive bit for bit:", "every kind of hole")

# %% [markdown]
# A classical fill in the same frame. The last column is computed, not promised: white pixels are identical.

# %%
mask = fc.masks.make("random_square", size=size, n=2, seed=seed)
filled = fc.classical.complete(batch.image[:2], mask, kind="telea")
fc.show.completion(batch.image[:2], mask, filled.raw, filled.composite)

# %% [markdown]
# ## 5. Kinds of holes
#
# Each paper trains and tests on its own holes, and numbers from different holes must not be compared. Here
# is one of every kind, with the table, figure or section of the paper that uses it.
#
# **Predict:** `gfc_o4` hides an eye. The person's left one, or the one on the left of the image?

# %%
face = fc.faces.embedded("test", size=96).batch(numbers[:1])
holes = {kind: fc.masks.make(kind, size=96, seed=seed, landmarks=face.landmarks) for kind in fc.masks.KINDS}
fc.show.mask_families(holes, fc.masks.SOURCES, face.image[0])

# %% [markdown]
# Three sorts. The first row lies anywhere, whatever the image shows. The two sets O1 to O6 (not the same
# six!), and things that people wear or hold, **follow the face**: given landmarks, they are placed by them;
# without, they lie where aligned images have their eyes and mouths. Irregular strokes come in bins of 10 to
# 20 % and so on, so that a table can show how methods fall as holes grow.
#
# Left and right are the viewer's, as in all names of holes.
#
# The same seed gives the same holes, on every machine; hole number k depends on the seed and on k alone, so
# a larger batch begins with the smaller one.

# %%
# NBVAL_CHECK_OUTPUT
few, many = (fc.masks.make("random_square", size=64, n=n, seed=5) for n in (2, 8))
print("a larger batch begins with the smaller one:", torch.equal(many[:2], few))
print("missing:", [f"{hole:.0%}" for hole in fc.masks.hole_fraction(many).tolist()])

# %% [markdown]
# ## 6. How the faces are made
#
# A head of 6,391 points is pulled and pushed by some 360 *shapes* (nose wider, chin longer, brow raised,
# older ...), each with a random strength. It gets skin, hair, clothes and two lamps, and is drawn at 128 x
# 128 px. Because the program knows which point of the head each pixel shows, all labels come for free and
# without error.
#
# **Predict:** what must *not* change when the light moves? And when the age changes?

# %%
from facecomp_lib.show.turntable import STOPS

text = {"yaw": "{:+d}°", "light": "{:+d}°", "age": "{:.2f}"}
fc.show.FrameSlider(fc.show.turntable, text=text, start={"yaw": 0, "light": -35, "age": 0.7}, **STOPS)

# %% [markdown]
# Landmarks, parsing map and mirror flow stay as they are when the light moves; only the light ratio
# changes. Age moves all of them a little.
#
# `light` is where the main lamp stands, `age` a number of the shape model: about 2/3 is a young adult, 1 is
# old. Eyes and mouth stay where they are while the head turns: all our faces are **aligned**, to the frame
# that CelebA-HQ and FFHQ made common. A network then needn't look for the face first.
#
# These frames were made before. With the renderer installed, you draw people nobody has seen:

# %%
from IPython.display import display

try:
    from facecomp_lib.faces import render
except ImportError:
    print("[--] the renderer is not installed; to try it: python3 course.py setup render")
else:
    from dataclasses import replace

    renderer = render.Renderer()

    def draw(person, yaw):
        who = render.sample_person(np.random.default_rng([seed, person]))
        how = render.sample_scene(np.random.default_rng([seed, person, 1]), who)
        return renderer.render(who, replace(how, yaw=float(yaw)), size, mirror=False).image

    stops = {"person": range(5), "yaw": [-30, 0, 30]}
    display(fc.show.FrameSlider(draw, text={"yaw": "{:+d}°"}, **stops))

# %% [markdown]
# ## 7. Augmentation
#
# A network that sees each face a little different every time learns faces, not images. Flip, shift,
# rotation, scale, crop, brightness and contrast are drawn anew in each step, and **labels move along**:
# look at the points.

# %%
augment = fc.faces.Augment(flip=0.5, rotate=15)
steps = [batch[2]] + [augment(batch[2], seed=seed, step=step) for step in range(4)]
fc.show.overlay_landmarks(
    torch.cat([one.image for one in steps]),
    torch.cat([one.landmarks for one in steps]),
    ["as it is"] + [f"step {step}" for step in range(4)],
)

# %% [markdown]
# ## 8. What these faces cover, and what they don't
#
# A network knows what it was shown. So look, before training anything on it. Sixteen of the training faces,
# at random:

# %%
train = fc.faces.embedded("train", size=size)
random = np.random.default_rng(seed).permutation(len(train))
fc.show.contact_sheet(train.batch(random[:16]).image, columns=8)


# %%
def shares(values, edges, names):
    """Share of the values between neighbouring edges, by name."""
    counts, _ = np.histogram(values, edges)
    return dict(zip(names, counts / counts.sum(), strict=True))


yaws = ["below -25°", "-25 to -10°", "-10 to 10°", "10 to 25°", "over 25°"]
ages = ["0.5 to 0.6", "0.6 to 0.7", "0.7 to 0.8", "0.8 to 0.9", "0.9 to 1.0"]
tones = ["lightest", "light", "middle", "dark", "darkest"]
panels = {
    "yaw": shares(train.column("pose")[:, 0], [-90, -25, -10, 10, 25, 90], yaws),
    "age (of the shape model)": shares(train.column("age"), np.linspace(0.5, 1, 6), ages),
    "skin tone": shares(train.column("tone"), np.linspace(0, 1, 6), tones),
}
fc.show.balance(panels)

# %% [markdown]
# Nobody is a child: the sampler begins at adults. Few faces are turned far, few are old. How does it stand
# with attributes?
#
# **Predict:** among the women, how many wear a beard? Among the men, how many wear make-up?

# %%
male = train.column("male")
groups = {"men": male, "women": ~male}
fc.show.balance(
    {
        f"{who} ({share.mean():.0%} of all)": {
            name: train.column(name)[share].mean() for name in train.attribute_names if name != "male"
        }
        for who, share in groups.items()
    },
    columns=2,
)

# %% [markdown]
# Some bars are exactly zero. In this world it is a **law** that who wears make-up has no beard, and a
# network that completes half of a face will learn it as firmly as 'eyes are above the mouth'. No long run
# cures that; only other data does.
#
# What else is missing, and not to be seen in any bar:
#
# - **Occlusions**: no hands, hats, scarves, veils or jewellery; of glasses only thin frames.
# - **Asymmetry**: left and right share nearly all of their shape. Real faces are less symmetric. symmfc
#   will find our faces easier than photographs, and lesson 08 has to say so.
# - **Variety of skin and hair**: a handful of procedural textures; no scars, vitiligo or acne; a few
#   haircuts.
# - **Everything around**: blurred colours instead of places, two lamps instead of the world's light.
# - Skin tone, features and hair come from one sampler with three 'ancestry' numbers. That is a convenience
#   of the shape model, not a statement about people.
# - CelebA's attribute *attractive* is left out on purpose: it is a judgement of whoever labelled it, not a
#   property of a face.
#
# So: a good place to learn in, to test code and to measure flow and light against the truth. **Not** a
# place to make claims about how a method treats real people. Those need photographs, and the data card
# (`docs/data_card.md`) has the figures.

# %% [markdown]
# ## 9. Exercises
#
# Write the body of each function and run the cell. `[OK]` means that the statement holds. Solutions: [01 ·
# Solutions](01_faces_and_holes_solutions.ipynb).
#
# **Exercise 1.** `gfc_o6` hides the lower half of the *face*. Make a mask that hides the lower half of the
# *image*.


# %%
def lower_half(size):
    """float32 [1, 1, size, size]: 1 = known, 0 in the lower half."""
    # your code


right = fc.exercises.verdict(
    "1",
    lower_half(8),
    lambda mask: {
        "float32 of shape [1, 1, 8, 8]": mask.shape == (1, 1, 8, 8) and mask.dtype == torch.float32,
        "the upper half is known": (mask[..., :4, :] == 1).all(),
        "the lower half is missing": (mask[..., 4:, :] == 0).all(),
    },
)

# %% [markdown]
# **Exercise 2.** Hide exactly the eyes, with a margin: missing is every pixel at most `margin` px (in x and
# in y) from a pixel of class 4 or 5. A hint: `F.max_pool2d` with stride 1 widens things.


# %%
def without_eyes(parsing, margin):
    """parsing [B, H, W] -> mask float32 [B, 1, H, W]."""
    # your code


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

# %% [markdown]
# **Exercise 3.** Mirror landmarks by hand. Reflect x, then bring the points into the order of the mirrored
# face: `fc.faces.LANDMARK_MIRROR[k]` is the number of the point that becomes number k.


# %%
def mirror_landmarks(landmarks, width):
    """[B, 68, 2] in pixels of an image `width` px wide -> those of the mirrored image."""
    # your code


right = fc.exercises.verdict(
    "3",
    mirror_landmarks(batch.landmarks, size),
    lambda points: {
        "the same as batch.mirror() gives": torch.allclose(points, batch.mirror().landmarks, atol=1e-4),
        "twice is the identity": torch.allclose(mirror_landmarks(points, size), batch.landmarks, atol=1e-4),
    },
)

# %% [markdown]
# **Exercise 4.** Beat a classical fill with one idea. The viewer's left half is missing. Where a mirror
# partner is visible *and known*, take its relit pixel; elsewhere, keep Telea's. (Is the partner known? Warp
# the flipped mask along with the image.)


# %%
def mirror_fill(faces, mask):
    """A FaceBatch and its mask [B, 1, H, W] -> composite [B, 3, H, W]."""
    # your code


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

# %% [markdown]
# **Exercise 5.** A fair test set. Choose 16 training faces: as many men as women, and in both groups as
# many smiling as not.


# %%
def fair(dataset):
    """16 numbers of faces."""
    # your code


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

# %% [markdown]
# ## 10. Limits, and what the next lesson does about them
#
# - We said that a completion is 'better' when its PSNR is higher. But a flat grey square scored well in
#   lesson 00. **Lesson 02** builds metrics that see structure, and the classical baselines that any
#   network has to beat.
# - Mirror flow and light were *given* here. On a photograph nobody gives them: **lessons 07 and 08** learn
#   them.
# - Nothing was learned yet. **Lesson 03** trains the first network, gfc.
