# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 02 · Measuring completion
#
# > **The question:** how do we tell whether one completion is better than another?<br>
# > **You will build** the metrics of the five papers from toy arrays (PSNR, SSIM, LPIPS, Fréchet distance,
# > recognition, Dice, landmark error), see where they disagree with your eyes, and fill the first table with
# > the classical methods that every network has to beat.<br>
# > **You need** lesson 01: batches, masks, composites.<br>
# > **It takes** 45 to 60 minutes with the exercises; all cells together run in some 60 seconds on two CPU
# > cores, no GPU needed.<br>
# > **What is simplified:** 40 rendered faces stand for a test set (`preset="full"` takes all 300), and
# > distances of sets of images use a smaller network than the papers'.

# %% tags=["parameters"]
import facecomp_lib as fc

preset = fc.preset("lesson")
face_number = 36  # the face of the first images
seed = 0

# %% [markdown]
# ## 1. A question before all numbers
#
# The middle of this face was missing. A and B fill it in two ways, and the truth is between them.
#
# **Predict:** which of the two would you rather have painted? And which of the two has the better PSNR?
# Write both answers down; section 6 comes back to them.

# %%
import numpy as np
import torch
import torch.nn.functional as F

faces = fc.faces.embedded("test")
size = faces.size
count = {"smoke": 6, "lesson": 40, "full": len(faces)}[preset]
random = np.random.default_rng([seed, len(faces)])  # as fc.evaluation.evaluate draws, section 12
many = faces.batch(np.sort(random.permutation(len(faces))[:count]))
one = faces.batch([face_number])
square = fc.masks.make("center", size=size)  # [1, 1, H, W]


def blur(image, sigma):
    """[B, C, H, W], smoothed by a Gaussian window of `sigma` px along both axes."""
    if sigma == 0:
        return image
    reach = int(3 * sigma)
    weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    kernel = (weights / weights.sum()).expand(image.shape[1], 1, 1, -1)
    rows = F.conv2d(F.pad(image, (reach, reach, 0, 0), "replicate"), kernel, groups=image.shape[1])
    return F.conv2d(F.pad(rows, (0, 0, reach, reach), "replicate"), kernel.mT, groups=image.shape[1])


def moved(image, pixels):
    """[B, C, H, W], moved to the right by whole pixels."""
    return F.pad(image, (pixels, 0, 0, 0), "replicate")[..., : image.shape[-1]]


def fill_a(image):
    return fc.masks.composite(image, moved(image, 4), square.expand(len(image), -1, -1, -1))


def fill_b(image):
    return fc.masks.composite(image, blur(image, 6), square.expand(len(image), -1, -1, -1))


fc.show.duel(fill_a(one.image)[0], one.image[0], fill_b(one.image)[0], {})

# %% [markdown]
# ## 2. How far off is each pixel? MSE, PSNR, L1
#
# The **mean squared error** of a completion C against the truth T is MSE = mean (C − T)². **PSNR** (peak
# signal-to-noise ratio) says the same in decibels, relative to the largest possible value, here 1:
#
# PSNR = 10 log₁₀ (1² / MSE) = −10 log₁₀ MSE
#
# **L1** is mean |C − T|. The papers print it in per cent.
#
# By hand, on four pixels of which one is wrong. **Predict** MSE, PSNR and L1. (log₁₀ 0.01 is −2.)

# %%
truth = torch.tensor([[0.9, 0.5], [0.4, 0.2]])
completed = torch.tensor([[0.9, 0.7], [0.4, 0.2]])
error = (completed - truth).round(decimals=6)
fc.show.matrices(
    {"C": completed, "T": truth, "C − T": error, "(C − T)²": (error**2).round(decimals=6)}, "−=→"
)

# %%
# NBVAL_CHECK_OUTPUT
mse = (0 + 0.2**2 + 0 + 0) / 4
print(f"MSE {mse:.2f}, PSNR {-10 * np.log10(mse):.0f} dB, L1 {(0 + 0.2 + 0 + 0) / 4:.0%}")
print(f"half the error everywhere: {10 * np.log10(2**2):.1f} dB more")

# %% [markdown]
# The same as a loop over the pixels of real images, then at once, then ours. All three must agree.


# %%
def psnr_loop(prediction, target):
    """[B, 3, H, W] twice -> [B], pixel by pixel."""
    results = []
    for one_prediction, one_target in zip(prediction, target, strict=True):
        total, pixels = 0.0, 0
        for p, t in zip(one_prediction.flatten().tolist(), one_target.flatten().tolist(), strict=True):
            total, pixels = total + (p - t) ** 2, pixels + 1
        results.append(-10 * np.log10(total / pixels))
    return torch.tensor(results)


def psnr(prediction, target):
    """The same, at once."""
    return -10 * (prediction - target).square().flatten(1).mean(1).log10()


a, b = fill_a(one.image), fill_b(one.image)
assert torch.allclose(psnr_loop(a, one.image).float(), psnr(a, one.image), atol=1e-3)
assert torch.allclose(psnr(a, one.image), fc.evaluation.psnr(a, one.image), atol=1e-3)
assert torch.allclose((a - one.image).abs().mean(), fc.evaluation.l1(a, one.image))
print(f"A {psnr(a, one.image).item():.1f} dB, B {psnr(b, one.image).item():.1f} dB")

# %% [markdown]
# ### The whole image flatters
#
# Known pixels of a composite are the truth's own. They add nothing to the error, but they do count in the
# mean. If a share *s* of the image is missing,
#
# MSE<sub>whole</sub> = *s* · MSE<sub>hole</sub>, so
# PSNR<sub>whole</sub> = PSNR<sub>hole</sub> + 10 log₁₀ (1 / *s*).
#
# In the toy above, let only the wrong pixel be missing. **Predict:** PSNR of the missing pixel alone?
# (10 log₁₀ 4 is 6.)

# %%
# NBVAL_CHECK_OUTPUT
hole = torch.tensor([[1.0, 0.0], [1.0, 1.0]])  # 0 = missing
three = [x.expand(1, 3, 2, 2) for x in (completed, truth)]
whole, inside = fc.evaluation.psnr(*three), fc.evaluation.psnr_hole(*three, hole[None, None])
print(f"whole {whole.item():.2f} dB = missing pixels {inside.item():.2f} dB + {10 * np.log10(4):.2f} dB")

# %% [markdown]
# On faces: Telea's fill in squares of growing size. **Predict:** which of the two curves is the steeper one?

# %%
curves = {"whole image": [], "missing pixels": []}
for side in (12, 24, 40, 64, 90):
    mask = fc.masks.make("center", size=size, side=side).expand(len(many), -1, -1, -1)
    scores = fc.evaluation.score(
        fc.classical.complete(many.image, mask, "telea").composite, many.image, mask, ("psnr", "psnr_hole")
    )
    share = 100 * fc.masks.hole_fraction(mask)[0].item()
    curves["whole image"].append((share, scores["psnr"].mean().item()))
    curves["missing pixels"].append((share, scores["psnr_hole"].mean().item()))
    assert torch.allclose(scores["psnr"], scores["psnr_hole"] + 10 * np.log10(100 / share), atol=1e-3)
fc.show.lines(curves, "share of the image that is missing, %", "PSNR in dB of the same fills")

# %% [markdown]
# Same fills, same faces. Measured over the whole image, a smeared square of 1 % gets a number that sounds
# like perfection. Most papers print the upper curve; so whoever compares two of them compares hole sizes
# first, and methods second. **We print both, and believe the lower one.**

# %% [markdown]
# ## 3. Structure: SSIM
#
# Pixel errors do not care *how* an image is wrong. Structural similarity (Wang et al., 2004) compares
# windows, by three numbers of each: mean μ, variance σ², and the covariance σ<sub>xy</sub> of the two.
#
# SSIM = (2 μ<sub>x</sub> μ<sub>y</sub> + c₁) / (μ<sub>x</sub>² + μ<sub>y</sub>² + c₁) ·
# (2 σ<sub>xy</sub> + c₂) / (σ<sub>x</sub>² + σ<sub>y</sub>² + c₂), with c₁ = 0.01² and c₂ = 0.03²
#
# The first factor compares brightness, the second one contrast and structure. One window by hand: an edge,
# and four ways to get it wrong. **Predict:** 'brighter' and 'flat' have the same MSE. And the same SSIM?

# %%
edge = torch.tensor([0.2, 0.2, 0.6, 0.6]).repeat(4, 1)
wrong = {
    "brighter": edge + 0.2,
    "half contrast": 0.4 + (edge - 0.4) / 2,
    "flat": torch.full((4, 4), 0.4),
    "reversed": edge.flip(-1),
}
fc.show.matrices({"truth": edge, **wrong})

# %%
# NBVAL_CHECK_OUTPUT
C1, C2 = 0.01**2, 0.03**2


def ssim_window(x, y, weights):
    """Two windows and the weights of their pixels (adding up to 1) -> one number."""
    mean_x, mean_y = (weights * x).sum(), (weights * y).sum()
    var_x, var_y = (weights * (x - mean_x) ** 2).sum(), (weights * (y - mean_y) ** 2).sum()
    covariance = (weights * (x - mean_x) * (y - mean_y)).sum()
    brightness = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
    structure = (2 * covariance + C2) / (var_x + var_y + C2)
    return brightness * structure


for name, window in wrong.items():
    mse = (window - edge).square().mean()
    print(f"{name:14} MSE {mse:.2f}   SSIM {ssim_window(edge, window, torch.tensor(1 / 16)):5.2f}")

# %% [markdown]
# Check one: the edge has μ = 0.4 and σ² = 0.04; 'flat' has covariance 0 with it, which leaves c₂ / (0.04 +
# c₂) = 0.0009 / 0.0409 = 0.02.
#
# An image's SSIM is the mean over all windows of 11 x 11 pixels that lie inside it, weighted by a Gaussian
# of σ = 1.5 px. As a loop over windows, then as convolutions:

# %%
line = torch.exp(-0.5 * (torch.arange(-5.0, 6.0) / 1.5) ** 2)
window = torch.outer(line, line) / line.sum() ** 2  # [11, 11], adds up to 1


def ssim_loop(a, b):
    """[3, H, W] twice -> one number, window by window."""
    _, height, width = a.shape
    values = [
        ssim_window(a[c, y : y + 11, x : x + 11], b[c, y : y + 11, x : x + 11], window)
        for c in range(3)
        for y in range(height - 10)
        for x in range(width - 10)
    ]
    return torch.stack(values).mean()


def ssim_map(a, b):
    """[B, 3, H, W] twice -> [B, 3, H - 10, W - 10]; the variance is mean of squares minus square of mean."""

    def local_mean(x):
        return F.conv2d(x, window.expand(3, 1, 11, 11), groups=3)

    mean_a, mean_b = local_mean(a), local_mean(b)
    var_a, var_b = local_mean(a * a) - mean_a**2, local_mean(b * b) - mean_b**2
    covariance = local_mean(a * b) - mean_a * mean_b
    brightness = (2 * mean_a * mean_b + C1) / (mean_a**2 + mean_b**2 + C1)
    return brightness * (2 * covariance + C2) / (var_a + var_b + C2)


corner = (slice(None), slice(None), slice(50, 74), slice(50, 74))  # 24 x 24 px: the loop is slow
assert torch.isclose(
    ssim_loop(a[corner][0], one.image[corner][0]), ssim_map(a[corner], one.image[corner]).mean(), atol=1e-4
)
assert torch.allclose(ssim_map(a, one.image).mean((1, 2, 3)), fc.evaluation.ssim(a, one.image), atol=1e-4)

# %% [markdown]
# Before the mean is taken, it is an image: white where the windows agree, black where they have nothing in
# common. (Ours keeps the image's size by mirroring it at the border.)

# %%
shown = [a[0], fc.evaluation.ssim_map(a, one.image), b[0], fc.evaluation.ssim_map(b, one.image)]
notes = [f"SSIM {fc.evaluation.ssim(x, one.image).item():.3f}" for x in (a, b)]
fc.show.contact_sheet(shown, ["A", "map of A", "B", "map of B"], notes=["", notes[0], "", notes[1]], cell=160)

# %% [markdown]
# ## 4. What a network sees: LPIPS
#
# Networks trained to name what is in an image have layers that answer to edges, textures, and parts of
# things. LPIPS (Zhang et al., 2018) compares two images there. In each layer *l*, each position holds a
# vector of C features. Bring it to length 1, take squared differences, weigh each feature by
# *w*<sub>l</sub>, average over positions, and add up the layers:
#
# *d* = Σ<sub>l</sub> mean<sub>positions</sub> Σ<sub>c</sub> *w*<sub>lc</sub> (*x̂*<sub>lc</sub> −
# *ŷ*<sub>lc</sub>)²
#
# The weights were fitted to the choices of people who saw three patches and said which two are more alike.
#
# One layer by hand: two positions, two features. **Predict:** the second position has the same features in
# both images, only five times as strong. What does it add?

# %%
# NBVAL_CHECK_OUTPUT
x = torch.tensor([[3.0, 4.0], [0.0, 1.0]])  # [position, feature]
y = torch.tensor([[4.0, 3.0], [0.0, 5.0]])
w = torch.tensor([1.0, 0.5])


def layer_loop(x, y, w):
    """[positions, C] twice and [C] -> one number."""
    total = 0.0
    for here, there in zip(x.tolist(), y.tolist(), strict=True):
        length_x, length_y = sum(f * f for f in here) ** 0.5, sum(f * f for f in there) ** 0.5
        for weight, f, g in zip(w.tolist(), here, there, strict=True):
            total += weight * (f / length_x - g / length_y) ** 2
    return total / len(x)


def layer_distance(x, y, w):
    """The same, at once: features [..., C], averaged over all other axes."""
    return (w * (F.normalize(x, dim=-1) - F.normalize(y, dim=-1)) ** 2).sum(-1).mean()


assert abs(layer_loop(x, y, w) - layer_distance(x, y, w)) < 1e-6
print(f"by hand: (1 (0.6 - 0.8)² + 0.5 (0.8 - 0.6)² + 0) / 2 = {(0.2**2 + 0.5 * 0.2**2) / 2:.3f}")
print(f"the code says {layer_distance(x, y, w):.3f}")

# %% [markdown]
# The real thing: the five layers of AlexNet, our layer distance on each, and the sum against the library's.
# The weights come from outside; without them these cells say so and the lesson goes on.

# %%
has_lpips = fc.weights.available("lpips_alex")
perceptual = ("lpips",) if has_lpips else ()  # what the tables below can hold


@torch.no_grad()
def lpips_by_layers(prediction, target):
    """[1, 3, H, W] twice -> distance of each layer."""
    model = fc.weights.lpips_model("alex")
    both = model.scaling_layer(torch.cat([prediction, target]) * 2 - 1)  # the network wants [-1, 1]
    distances = []
    for features, weigh in zip(model.net(both), model.lins, strict=True):
        x, y = features.permute(0, 2, 3, 1)  # [H, W, C] each
        distances.append(layer_distance(x, y, weigh.model[-1].weight.flatten()).item())
    return distances


if has_lpips:
    for name, image in (("A", a), ("B", b)):
        parts = lpips_by_layers(image, one.image)
        assert abs(sum(parts) - fc.evaluation.lpips(image, one.image).item()) < 1e-4
        print(name, "layer by layer", " + ".join(f"{part:.3f}" for part in parts), f"= {sum(parts):.3f}")
else:
    print("[--] LPIPS is left out here and below: its weights come with python3 course.py setup")

# %% [markdown]
# ## 5. One PSNR, five images
#
# We move a face by two pixels, and then spoil it in four other ways, each just so much that the **PSNR is
# the same**.
#
# **Predict:** which one will SSIM like best? And LPIPS?


# %%
def spoil_until(spoil, image, decibels, most):
    """Find by halving the amount between 0 and `most` at which spoil(image, amount) has this PSNR."""
    low, high = 0.0, most
    for _ in range(20):
        middle = (low + high) / 2
        if fc.evaluation.psnr(spoil(image, middle), image).item() > decibels:
            low = middle
        else:
            high = middle
    return spoil(image, low)


noise = torch.randn(one.image.shape, generator=torch.Generator().manual_seed(seed))
ways = {
    "darker": (lambda image, amount: image * (1 - amount), 1),
    "less contrast": (lambda image, amount: image + amount * (image.mean() - image), 1),
    "blurred": (lambda image, amount: blur(image, amount), 10),
    "noisy": (lambda image, amount: (image + amount * noise).clamp(0, 1), 1),
}
spoiled = {"moved": moved(one.image, 2)}
decibels = fc.evaluation.psnr(spoiled["moved"], one.image).item()
spoiled |= {name: spoil_until(spoil, one.image, decibels, most) for name, (spoil, most) in ways.items()}


def facts(image):
    """SSIM and, where it can be had, LPIPS as text."""
    text = f"SSIM {fc.evaluation.ssim(image, one.image).item():.2f}"
    return text + (f"   LPIPS {fc.evaluation.lpips(image, one.image).item():.2f}" if has_lpips else "")


fc.show.contact_sheet(
    torch.cat([one.image, *spoiled.values()]),
    ["truth", *(f"{name}, {fc.evaluation.psnr(x, one.image).item():.1f} dB" for name, x in spoiled.items())],
    columns=3,
    notes=["", *map(facts, spoiled.values())],
)

# %% [markdown]
# PSNR has one opinion on all five. SSIM forgives a change of light or contrast and is hard on two pixels
# that nobody sees. LPIPS is hard on blur and noise. None of the three is 'the eye'; together they say more
# than one.
#
# ## 6. Where metrics disagree
#
# Back to the two completions of section 1. A is the true middle, moved by 4 px: sharp, every feature there,
# a little out of place. B is the true middle, blurred until nobody is left. Green marks the winner of each
# metric.

# %%
WANTED = ("psnr", "ssim", "l1", *perceptual)


def compare(sharp, blurred):
    """Two completions of the face -> metric -> (value of one, value of the other)."""
    left, right = (fc.evaluation.score(x, one.image, square, WANTED) for x in (sharp, blurred))
    return {name: (left[name].item(), right[name].item()) for name in WANTED}


fc.show.duel(a[0], one.image[0], b[0], compare(a, b), ("A: moved by 4 px", "truth", "B: blurred"))

# %% [markdown]
# An accident of this face?

# %%
left, right = (fc.evaluation.score(fill(many.image), many.image, square, WANTED) for fill in (fill_a, fill_b))
better = {"psnr": 1, "ssim": 1, "l1": -1, "lpips": -1}
for name in WANTED:
    share = (better[name] * (left[name] - right[name]) > 0).float().mean().item()
    print(f"{name:6} prefers the sharp face in {share:4.0%} of {len(many)} faces")

# %% [markdown]
# Why: where something is uncertain, **the squared error wants the mean of all possibilities**, and the mean
# of many faces is blurred. An edge at the wrong place costs twice: it is missing here, and it is wrong
# there. A network that is trained on squared error alone learns to blur (gfc's M1, lesson 03), and gets a
# good PSNR for it. That is why all five papers add a discriminator, and why their full models sometimes
# *lose* PSNR.
#
# Try it: where does each metric change its mind?

# %%
shifts, sigmas = range(9), range(9)


def draw(positions):
    shift, sigma = shifts[positions["A moved by"]], sigmas[positions["B blurred by"]]
    sharp = fc.masks.composite(one.image, moved(one.image, shift), square)
    smooth = fc.masks.composite(one.image, blur(one.image, sigma), square)
    return fc.show.duel(sharp[0], one.image[0], smooth[0], compare(sharp, smooth))


fc.show.Panel(
    draw,
    {
        "A moved by": [f"{shift} px" for shift in shifts],
        "B blurred by": [f"σ = {sigma} px" for sigma in sigmas],
    },
    start={"A moved by": 2, "B blurred by": 3},
    description="A moved and a blurred completion, and whom each metric prefers",
)

# %% [markdown]
# ## 7. Do the images look real *as a set*? Fréchet distance and KID
#
# Who completes half a face cannot know the other half. A good invention may differ from the truth in every
# pixel. So one also asks: do the completed images, all together, look like real images? Take features of
# a network for each image, and compare the two clouds of points.
#
# The **Fréchet distance** fits a Gaussian to each cloud and compares these. In one dimension:
#
# *d*² = (m₁ − m₂)² + (s₁ − s₂)²
#
# **Predict** the four distances before you read the titles.


# %%
def frechet_1d(first, second):
    """(mean, standard deviation) twice."""
    return (first[0] - second[0]) ** 2 + (first[1] - second[1]) ** 2


pairs = [((0, 1), (0, 1)), ((0, 1), (2, 1)), ((0, 1), (0, 0.5)), ((0, 1), (2, 0.5))]
names = ["the same", "off", "less variety", "both"]
fc.show.gaussians(
    {f"{name}\nd² = {frechet_1d(*pair):g}": pair for name, pair in zip(names, pairs, strict=True)}
)

# %% [markdown]
# 'Less variety' matters: a method that paints the same nice face into every hole is caught by it.
#
# What the formula means: the cheapest way to carry one heap of sand over to the other, cost = distance
# squared. In one dimension the cheapest way keeps the order, smallest to smallest. As a loop over sorted
# points; then the formula for D dimensions, with covariances A and B,
#
# *d*² = |m₁ − m₂|² + tr A + tr B − 2 tr (A B)<sup>1/2</sup>
#
# where the last trace is the sum of the roots of the eigenvalues of A B; then ours.

# %%
generator = torch.Generator().manual_seed(seed)
real = torch.randn(20_000, generator=generator).double()
fake = 2 + 0.5 * torch.randn(20_000, generator=generator).double()

moves = 0.0
for start, end in zip(real.sort().values.tolist(), fake.sort().values.tolist(), strict=True):
    moves += (start - end) ** 2 / len(real)


def frechet(first, second):
    """Clouds of points [N, D] and [M, D]."""
    mean = (first.mean(0) - second.mean(0)).square().sum()
    cov_1, cov_2 = (torch.atleast_2d(x.T.cov()) for x in (first, second))
    root = torch.linalg.eigvals(cov_1 @ cov_2).real.clamp(min=0).sqrt().sum()
    return (mean + cov_1.trace() + cov_2.trace() - 2 * root).item()


print(f"carried by hand {moves:.2f}, formula {frechet(real[:, None], fake[:, None]):.2f}, in theory 4.25")
cloud = torch.randn(500, 6, generator=generator).double()
other = torch.randn(400, 6, generator=generator).double() @ torch.randn(6, 6, generator=generator).double()
assert np.isclose(frechet(cloud, other), fc.evaluation.frechet(cloud, other))

# %% [markdown]
# **KID** asks without Gaussians: are points of one cloud as near to points of the *other* as to those of
# their own? 'Near' is a kernel k(x, y) = (x · y / D + 1)³, and
#
# KID = mean k(x, x′) + mean k(y, y′) − 2 mean k(x, y), pairs of *different* points within a cloud.
#
# By hand with two points each, in one dimension, then at once, then ours:


# %%
# NBVAL_CHECK_OUTPUT
def kid_loop(first, second):
    def kernel(x, y):
        return (sum(f * g for f, g in zip(x, y, strict=True)) / len(x) + 1) ** 3

    def among(points):
        values = [kernel(x, y) for i, x in enumerate(points) for j, y in enumerate(points) if i != j]
        return sum(values) / len(values)

    across = [kernel(x, y) for x in first for y in second]
    return among(first) + among(second) - 2 * sum(across) / len(across)


def kid(first, second):
    def kernel(x, y):
        return (x @ y.T / x.shape[1] + 1) ** 3

    def among(x):
        return (kernel(x, x).sum() - kernel(x, x).trace()) / (len(x) * (len(x) - 1))

    return (among(first) + among(second) - 2 * kernel(first, second).mean()).item()


first, second = torch.tensor([[0.0], [1.0]]), torch.tensor([[1.0], [2.0]])
print("k(0,1) + k(1,2) - 2 (k(0,1) + k(0,2) + k(1,1) + k(1,2)) / 4")
print("= 1 + 27 - (1 + 1 + 8 + 27) / 2 =", kid_loop(first.tolist(), second.tolist()))
assert np.isclose(kid(first, second), kid_loop(first.tolist(), second.tolist()))
assert np.isclose(kid(first, second), fc.evaluation.mmd(first, second))
assert np.isclose(kid(cloud[:50], other[:50]), kid_loop(cloud[:50].tolist(), other[:50].tolist()))

# %% [markdown]
# Two sets drawn from the **same** distribution have distance 0. **Predict:** what will the two say when the
# sets are small?

# %%
sizes, draws = (20, 50, 100, 300, 1000), 20
found = {"Fréchet distance": [], "KID": []}
for n in sizes:
    sets = torch.randn(draws, 2, n, 16, generator=generator).double()
    found["Fréchet distance"].append((n, np.mean([fc.evaluation.frechet(*pair) for pair in sets])))
    found["KID"].append((n, np.mean([fc.evaluation.mmd(*pair) for pair in sets])))
fc.show.lines(
    found, "images in each set (16 features)", "distance of two equal distributions", level=0, log=True
)

# %% [markdown]
# The Fréchet distance of small sets is far too large, by an amount that depends on their size; KID is right
# on average at any size. That is with 16 features. Inception has 2,048, so published FIDs use 10,000 and
# more images. Ours refuses to compute nonsense:

# %%
# NBVAL_CHECK_OUTPUT
toy = [fc.evaluation.Features("toy", torch.randn(40, 512, generator=generator).double()) for _ in range(2)]
try:
    fc.evaluation.fid(*toy)
except ValueError as error:
    print(error)

# %% [markdown]
# For small sets, then, KID, on 512 features of VGG-16. The set of completed images against the true ones:

# %%
has_vgg = fc.weights.available("lpips_vgg") or fc.weights.available("vgg16")
middle = square.expand(len(many), -1, -1, -1)
few = many[:16]
fills = {"A: moved": fill_a(few.image), "B: blurred": fill_b(few.image)}
if has_vgg:
    seen = fc.evaluation.extract_features(few.image, "vgg16", progress=False)
    for name, images in fills.items():
        seen_here = fc.evaluation.extract_features(images, "vgg16", progress=False)
        print(f"{name:10}", fc.evaluation.kid(seen, seen_here, seed=seed))
else:
    print("[--] KID on faces is left out: the weights come with python3 course.py setup")

# %% [markdown]
# ## 8. Is it still the same person?
#
# Networks for recognition turn a face into a vector (here 128 numbers) such that images of one person lie
# near to each other. Two questions follow: how far did completion move the vector (**identity distance**),
# and is an image of the right person among the K nearest in a **gallery** (**Top-K recognition**, gfc's
# section 4.4)?
#
# By hand with 2-D vectors: five people in the gallery, three probes, all of person 0. **Predict** Top-1,
# Top-3 and Top-5.

# %%
# NBVAL_CHECK_OUTPUT
gallery = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 3.0], [4.0, 4.0], [6.0, 1.0]])  # persons 0 to 4
probes = torch.tensor([[0.5, 0.2], [1.4, 0.1], [3.0, 2.5]])
for probe in probes.tolist():
    distances = [((x - probe[0]) ** 2 + (y - probe[1]) ** 2) ** 0.5 for x, y in gallery.tolist()]
    order = sorted(range(len(distances)), key=distances.__getitem__)
    print(f"({probe[0]:.1f}, {probe[1]:.1f}) ->", "  ".join(f"person {k}: {distances[k]:.1f}" for k in order))

order = torch.cdist(probes, gallery).argsort(1)  # [probe, place]
by_hand = {f"top{k}": (order[:, :k] == 0).any(1).float().mean().item() for k in (1, 3, 5)}
ours = fc.evaluation.recognition(gallery, torch.arange(5), probes, torch.zeros(3, dtype=torch.long))
assert by_hand == {name: hits.mean().item() for name, hits in ours.items()}
print({name: f"{share:.0%}" for name, share in by_hand.items()})

# %% [markdown]
# Now faces: one image of each person in the gallery, *another* image of the same people as probes, whole
# and with the middle filled. The embedding is dlib's. (gfc used OpenFace's; numbers of two embeddings must
# not be compared.) On photographs two images of one person are some 0.4 apart and two persons 0.8; rendered
# people are more alike.
#
# **Predict:** without eyes, nose and mouth, will the right person still be among five of twenty more often
# than by chance (25 %)?

# %%
people = {"smoke": 6, "lesson": 20, "full": 75}[preset]
identity = faces.column("identity")
numbers = {who: np.flatnonzero(identity == who) for who in np.unique(identity)[:people]}
known = faces.batch([own[0] for own in numbers.values()])
asked = faces.batch([own[1] for own in numbers.values()])
holes = square.expand(people, -1, -1, -1)
variants = {"whole face": asked.image} | {
    f"middle by {kind}": fc.classical.complete(asked.image, holes, kind).composite
    for kind in ("mean", "telea")
}

has_dlib = fc.weights.available("dlib_embedding")
if has_dlib:
    gallery = fc.evaluation.face_embedding(known.image, known.landmarks)
    vectors = {name: fc.evaluation.face_embedding(x, asked.landmarks) for name, x in variants.items()}
    table = torch.cdist(gallery, vectors["whole face"])  # [person, person], two images of everybody
    others = table[~torch.eye(people, dtype=torch.bool)].mean()
    print(f"two images of one person are {table.diag().mean():.2f} apart, two persons {others:.2f}")
    for name, vector in vectors.items():
        hits = fc.evaluation.recognition(gallery, known.identity, vector, asked.identity)
        top = "  ".join(f"Top-{key[3:]} {hit.mean():4.0%}" for key, hit in hits.items())
        apart = (vector - vectors["whole face"]).norm(dim=1).mean()  # paired by image
        print(f"{name:15} {top}   identity distance {apart:.2f}")
else:
    print("[--] recognition is left out: dlib's weights come with python3 course.py setup")

# %%
if has_dlib:
    from IPython.display import display

    order = {name: torch.cdist(vector, gallery).argsort(1)[:, :5] for name, vector in vectors.items()}
    hits = order["whole face"][:, 0] == torch.arange(people)
    chosen = int((hits & (order["middle by telea"][:, 0] != torch.arange(people))).int().argmax())
    nearest = [order[name][chosen] for name in order]
    shown = (..., slice(24, 104), slice(24, 104))
    figure = fc.show.ranking(
        [variants[name][chosen][shown] for name in order],
        [known.image[places][shown] for places in nearest],
        [(places == chosen).tolist() for places in nearest],
        [[f"{d:.2f}" for d in (gallery[places] - vectors[name][chosen]).norm(dim=1)]
         for name, places in zip(order, nearest, strict=True)],
        [name.replace(" by ", "\nby ") for name in order],
    )  # fmt: skip
    display(figure)

# %% [markdown]
# Better than chance: outline, hair and light of the face still tell something. But most people are lost with
# the middle of their faces, and a fill that is nicer to PSNR does not bring them back.
#
# ## 9. Labels: Dice, landmark error, NME
#
# collagan finds parsing maps and landmarks beside the image, gfc uses a parsing network, lafin draws faces
# after landmarks. **Dice** measures the overlap of a class in two maps, 2 |A ∩ B| / (|A| + |B|). By hand: a
# 'nose' (6) that was found one column too far to the right, on 'skin' (1).

# %%
true_map = torch.tensor([[1, 1, 1, 1], [1, 6, 6, 1], [1, 6, 6, 1], [1, 1, 1, 1]])
found_map = torch.tensor([[1, 1, 1, 1], [1, 1, 6, 6], [1, 1, 6, 6], [1, 1, 1, 1]])
fc.show.matrices(
    {"the true nose": (true_map == 6).float(), "the nose that was found": (found_map == 6).float()}
)


# %%
# NBVAL_CHECK_OUTPUT
def dice_loop(prediction, target, label):
    both = in_prediction = in_target = 0
    for p, t in zip(prediction.flatten().tolist(), target.flatten().tolist(), strict=True):
        both += p == t == label
        in_prediction += p == label
        in_target += t == label
    return 2 * both / (in_prediction + in_target)


def dice(prediction, target, label):
    p, t = prediction == label, target == label
    return (2 * (p & t).sum() / (p.sum() + t.sum())).item()


ours = fc.evaluation.dice(found_map[None], true_map[None])[0]  # [11], NaN for absent classes
for label, by_hand in ((6, "2 · 2 / (4 + 4)"), (1, "2 · 10 / (12 + 12)")):
    assert np.isclose(dice_loop(found_map, true_map, label), dice(found_map, true_map, label))
    assert np.isclose(dice(found_map, true_map, label), ours[label])
    print(f"{fc.faces.PARSING[label]:10} {by_hand:18} = {ours[label]:.2f}")
print(f"pixels that are right: {(found_map == true_map).float().mean():.0%}")

# %% [markdown]
# Three of four pixels are right, and half of the nose is missing: large classes flatter small ones, again.
#
# **Landmark error** is the mean distance of the 68 points from the true ones, in pixels. So it depends on
# the image's size; **NME** (normalised mean error) divides it by the distance of the outer eye corners.
# **Predict:** all points are off by 3 px to the right and 4 px down. Landmark error?

# %%
# NBVAL_CHECK_OUTPUT
true_points = torch.zeros(1, 68, 2)
true_points[0, 45, 0] = 50  # outer eye corners: point 36 at (0, 0), point 45 at (50, 0)
found_points = true_points + torch.tensor([3.0, 4.0])
error = (found_points - true_points).square().sum(-1).sqrt().mean(1)
normalised = error / (true_points[:, 36] - true_points[:, 45]).norm(dim=1)
assert torch.equal(error, fc.evaluation.landmark_error(found_points, true_points))
assert torch.equal(normalised, fc.evaluation.nme(found_points, true_points))
print(f"landmark error {error.item():g} px, NME {normalised.item():.0%}")

# %% [markdown]
# What an NME looks like: the true points of this face, scattered at random.

# %%
scatter = torch.randn(1, 68, 2, generator=torch.Generator().manual_seed(seed))
unit = fc.evaluation.nme(one.landmarks + scatter, one.landmarks).item()
levels = (0, 0.04, 0.10)
points = torch.cat([one.landmarks + scatter * level / unit for level in levels])
titles = ["true", *[f"NME {fc.evaluation.nme(p[None], one.landmarks).item():.0%}" for p in points[1:]]]
fc.show.overlay_landmarks(one.image.expand(len(levels), -1, -1, -1), points, titles)

# %% [markdown]
# ## 10. The classical fills
#
# Five methods that never saw a face, and what each of them believes:
#
# | fill | believes | by |
# |---|---|---|
# | `mean` | everything has the mean colour | |
# | `telea` | colours go on inwards from the rim, nearest first | Telea 2004 |
# | `navier_stokes` | lines of equal brightness flow on into the hole | Bertalmio et al. 2001 |
# | `biharmonic` | the image is as smooth as a bent sheet of metal | |
# | `patchmatch` | what is missing is like something seen elsewhere in the image | Barnes et al. 2009 |
#
# **Predict:** which one will be ahead with thin scratches, and what will the last one put where the eyes
# were?

# %%
KINDS = ("mean", "telea", "navier_stokes", "biharmonic", "patchmatch")
cases = {"irregular_10_20": 246, "glasses": 39, "center": 36, "half_left": 128}  # hole -> face
view = (..., slice(14, 110), slice(16, 112))  # what is shown
images, notes = {}, {}
for kind, number in cases.items():
    face = faces.batch([number])
    mask = fc.masks.make(kind, size=size, seed=seed, landmarks=face.landmarks)
    filled = [fc.classical.complete(face.image, mask, fill).composite for fill in KINDS]
    name = kind.replace("_", "\n", 1)
    images[name] = [x[view][0] for x in (fc.show.masked(face.image, mask), *filled, face.image)]
    notes[name] = ["", *[f"{fc.evaluation.psnr_hole(x, face.image, mask).item():.1f} dB" for x in filled], ""]
fc.show.rows(images, ("input", *KINDS, "truth"), notes)

# %% [markdown]
# (PSNR of the missing pixels.) Where each one breaks:
#
# - **mean** breaks everywhere, but never badly: a flat patch is a cautious guess.
# - **telea** and **navier_stokes** are good for some pixels inwards. Across a wide hole the colours of the
#   rim run on as streaks, and meet in the middle as a cross.
# - **biharmonic** is the best across scratches, where faces *are* smooth. In wide holes the sheet swings out:
#   a glow in colours that are nowhere around, worst where the hole reaches the border and nothing holds it.
# - **patchmatch** is the only one that is sharp, because it copies. A half face it repeats, as if faces were
#   wallpaper; and where both eyes are missing, there is no eye to copy, so hair must do.
#
# ### Poisson blending
#
# The other way round: somebody gives us a *face* for the hole, but its light and skin do not fit. Poisson
# blending (Pérez et al., 2003) keeps its **gradients** and takes the colours from the rim: inside the hole,
#
# Σ<sub>q</sub> (u<sub>p</sub> − u<sub>q</sub>) = Σ<sub>q</sub> (G<sub>p</sub> − G<sub>q</sub>)
#
# over the four neighbours q of each missing pixel p, and u = I where I is known.
#
# By hand in one dimension: known 0.2 and 0.8 at the ends, a drawn row 0.5, 0.6, 0.5, 0.6 with the same steps
# as the true one, at a wrong height. Two missing pixels, two equations:

# %%
# NBVAL_CHECK_OUTPUT
known_row, drawn_row = torch.tensor([0.2, 0.0, 0.0, 0.8]), torch.tensor([0.5, 0.6, 0.5, 0.6])
# 2 u1 - u2 = known[0] + (2 G1 - G0 - G2),   2 u2 - u1 = known[3] + (2 G2 - G1 - G3)
g = drawn_row
right_side = torch.stack([known_row[0] + 2 * g[1] - g[0] - g[2], known_row[3] + 2 * g[2] - g[1] - g[3]])
u = torch.linalg.solve(torch.tensor([[2.0, -1.0], [-1.0, 2.0]]), right_side)
print("blended:", [round(x, 2) for x in (0.2, *u.tolist(), 0.8)])

two_rows = [x.expand(1, 3, 2, 4) for x in (known_row, drawn_row)]  # the library wants an image
hole = torch.tensor([1.0, 0.0, 0.0, 1.0]).expand(1, 1, 2, 4)
assert torch.allclose(fc.classical.poisson_blend(*two_rows, hole)[0, 0, 0, 1:3], u, atol=1e-6)

# %% [markdown]
# Check: the drawn steps are +0.1, −0.1, +0.1. The ends ask for +0.6 in all instead of +0.1, and each of the
# three steps takes a third of the surplus.
#
# What can we paste that is a face? The **average** of 500 training faces, all aligned alike. Or **somebody
# else's** face.

# %%
train = fc.faces.embedded("train")
candidates = train.batch(range(0, len(train), 4)).image  # 500 faces
average = candidates.mean(0, keepdim=True)
somebody = 149  # of the candidates

face = faces.batch([cases["center"], cases["center"], cases["half_left"]])
holes = torch.cat([square, square, fc.masks.make("half_left", size=size)])
drawn = torch.cat([average, candidates[[somebody, somebody]]])
pasted = fc.masks.composite(face.image, drawn, holes)
blended = fc.classical.poisson_blend(face.image, drawn, holes)
images, notes = {}, {}
for k, name in enumerate(("average", "somebody\nelse", "somebody's\nhalf")):
    stages = (fc.show.masked(face.image, holes), drawn, pasted, blended, face.image)
    scores = [fc.evaluation.psnr_hole(x, face.image, holes)[k].item() for x in (pasted, blended)]
    images[name] = [stage[view][k] for stage in stages]
    notes[name] = ["", "", *[f"{score:.1f} dB" for score in scores], ""]
fc.show.rows(images, ("input", "drawn", "pasted", "blended", "truth"), notes)

# %% [markdown]
# The seams are gone, and the face takes on the skin and the light around it. But blending knows nothing of
# faces, either: where what was drawn and what is known do not fit (hair against background, in the last
# row), the difference **bleeds** into the hole.
#
# ## 11. How sure is a mean?
#
# Forty faces are a sample; forty others would give another mean. The **bootstrap** asks how different,
# without any formula: draw forty of the forty *with replacement*, many times, and look at how the mean
# scatters. 95 % of the means lie in the interval.

# %%
pair = ("telea", "navier_stokes")
kept = {kind: fc.classical.complete(many.image, middle, kind).composite for kind in pair}
scores = {kind: fc.evaluation.psnr_hole(x, many.image, middle).numpy() for kind, x in kept.items()}


def bootstrap_loop(values, resamples, seed):
    """Values [N] -> the means of `resamples` draws with replacement."""
    draws = np.random.default_rng(seed).integers(len(values), size=(resamples, len(values)))
    return np.array([np.mean([values[k] for k in draw]) for draw in draws.tolist()])


means = {kind: bootstrap_loop(values.astype(float), 2000, seed) for kind, values in scores.items()}
for kind, values in scores.items():
    low, high = np.quantile(means[kind], [0.025, 0.975])
    ours = fc.evaluation.bootstrap(values, seed=seed)
    assert np.allclose((low, high), (ours.low, ours.high), atol=0.02)
    print(f"{kind:13} {values.mean():.2f} dB, 95 % of the means in {low:.2f} to {high:.2f}")
fc.show.histograms(means, "mean PSNR of the missing pixels, dB: 2,000 draws with replacement")

# %% [markdown]
# Intervals that overlap do **not** say that the methods are alike. Both filled the *same* faces, and a hard
# face is hard for both. So look at the difference face by face. **Predict:** is 0 in its interval?

# %%
difference = scores["telea"].astype(float) - scores["navier_stokes"]
paired = bootstrap_loop(difference, 2000, seed)
low, high = np.quantile(paired, [0.025, 0.975])
print(f"telea minus navier_stokes: {difference.mean():.2f} dB, 95 % of the means in {low:.2f} to {high:.2f}")
ours = fc.evaluation.difference(scores["telea"], scores["navier_stokes"], seed=seed)
assert np.allclose((low, high), (ours.low, ours.high), atol=0.02)
fc.show.histograms(
    {"mean difference": paired},
    "telea minus navier_stokes, dB: 2,000 draws with replacement",
    {"no difference": 0},
)

# %% [markdown]
# A difference that no figure of two intervals would have shown, and that is hardly chance. It is also a
# fifth of a decibel, which nobody sees: *beyond chance* is not the same as *worth having*.

# %% [markdown]
# ## 12. The first table
#
# Five fills, on four kinds of masks, the same faces and masks for all; and two that look at training faces:
# the **average face** and the **nearest face** (the one whose known pixels are most alike), both blended.
# From now on, these two stand in every such table. `fc.evaluation.evaluate` runs them and gives a data frame
# (pandas): a row for every score of every face, from which tables and figures are made.
#
# **Predict:** is one of the classical fills the best on all holes?


# %%
import pandas as pd

masks = ("irregular_10_20", "irregular_50_60", "center", "half_left")
metrics = ("psnr", "psnr_hole", "ssim", *perceptual)
same = {"metrics": metrics, "limit": count, "seed": seed, "progress": False}
methods = {fill: fill for fill in KINDS if fill != "patchmatch"}
methods["average face"] = fc.evaluation.average_face(candidates)
methods["nearest face"] = fc.evaluation.nearest_face(candidates)
scores = fc.evaluation.evaluate(methods, faces, masks, **same)

searched = masks if preset == "full" else masks[2:]  # it takes a second a face where masks are ragged
slow = fc.evaluation.evaluate("patchmatch", faces, searched, **same)
scores = pd.concat([scores, slow], ignore_index=True)
scores.tail(3)

# %%
fc.show.score_table(scores, "psnr_hole", by="index")  # an interval counts faces; by="identity": people

# %%
fc.show.score_plot(scores, "psnr_hole", by="index")

# %%
perceived = "lpips" if has_lpips else "ssim"
fc.show.score_table(scores, perceived, by="index")

# %%
fc.show.score_plot(scores, perceived, by="index")

# %% [markdown]
# What the tables say:
#
# - **No classical fill is best everywhere.** Across scratches the bent sheet of `biharmonic` is ahead; in a
#   square, `telea` and `navier_stokes`. With half of the face missing, PSNR puts the flat `mean` level with
#   the best of them and the sharp `patchmatch` near the bottom: a cautious guess is never far off. LPIPS
#   turns that round. Section 6 was not a trick: the two disagree on real methods, too.
# - **Holes differ more than methods.** From scratches to squares, all but `mean` lose several decibels more
#   than lie between them. Numbers in one row can be compared; numbers of two rows say what is hard.
# - **Two faces of others are ahead where a face is missing**: by PSNR the blended average face, by LPIPS the
#   nearest face, which is sharp. They know nothing of this person but the known pixels. Whoever builds a
#   network should beat *them*.
#
# And as the papers print it, over the whole image:

# %%
fc.show.score_table(scores, "psnr", by="index")

# %% [markdown]
# ### Why these numbers cannot stand beside a paper's
#
# lafin reports 25.92 dB and an SSIM of .905 for center squares, gfc 20.0 dB for left halves. Ours may be
# above or below (the average face comes near lafin's); it means nothing, because nearly everything differs:
#
# | | papers | here |
# |---|---|---|
# | faces | photographs (CelebA, CelebA-HQ): hats, hands, any background | rendered; quiet backgrounds |
# | size | 128 (gfc, collagan) or 256 px (lafin, oracle, symmfc) | 128 px |
# | holes | each paper its own, partly drawn at random, files not published | ours, with a seed |
# | where | whole image, mostly; sometimes the raw output | composite; whole image *and* missing pixels |
# | SSIM | grey or colour, window and range not always said | colour, Gaussian window, range 1 |
# | L1 | % of 255, or of the range −1 ... 1 (twice as large) | % of the range 0 ... 1 |
# | FID | Inception features of 10,000 images or more | KID on VGG-16 features of 40 |
# | identity | OpenFace | dlib |
#
# What can be compared is the **order** of methods that were measured alike, on the same faces and holes.
# From lesson 03 on, we set out to confirm a paper's *claim* ('with the parsing loss it is better than
# without'), not its decimals.
#
# ## 13. Exercises
#
# Write the body of each function and run the cell. `[OK]` means that the statement holds. Solutions: [02 ·
# Solutions](02_measuring_completion_solutions.ipynb).
#
# **Exercise 1.** A paper prints a PSNR over the whole image and the share that was missing. What was it on
# the missing pixels?


# %%
def psnr_of_hole(whole, share):
    """PSNR of the whole composite in dB, missing share in (0, 1] -> PSNR of the missing pixels in dB."""
    # your code


right = fc.exercises.verdict(
    "1",
    psnr_of_hole(30.0, 0.1),
    lambda value: {
        "30 dB with 10 % missing are 20 dB": abs(value - 20) < 1e-6,
        "with everything missing it is the same": psnr_of_hole(17.0, 1.0) == 17.0,
        "lafin's 25.92 dB on center squares (25 %)": abs(psnr_of_hole(25.92, 0.25) - 19.90) < 0.01,
    },
)

# %% [markdown]
# **Exercise 2.** Landmarks in the hole are the hard ones; visible ones flatter, again. Compute the NME over
# those points only whose *true* place, rounded to whole pixels, is missing.


# %%
def nme_hole(prediction, target, mask):
    """Points [B, 68, 2] twice, mask [B, 1, H, W] -> [B]; NaN for a face without points in its hole."""
    # your code


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

# %% [markdown]
# **Exercise 3.** Complete by *finding* instead of drawing: look for the training face whose **known** pixels
# are nearest (squared error), paste its middle, blend. `candidates` holds 500 training faces.


# %%
def nearest_face(image, mask):
    """[B, 3, H, W] and [B, 1, H, W] -> composite [B, 3, H, W]."""
    # your code


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

# %% [markdown]
# **Exercise 4.** Is a method really better, or was it luck? Return the mean difference of two lists of
# scores, **paired**, and its 95 % interval from 2,000 bootstrap draws.


# %%
def paired_interval(first, second, seed=0):
    """Two arrays [N] -> (mean of first - second, low, high)."""
    # your code


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

# %% [markdown]
# ## 14. Limits, and what the next lesson does about them
#
# - **No metric knows what a face is.** LPIPS knows ImageNet, the embedding knows who, Dice knows where. A
#   face with three eyes can score well. Look at images as well as at tables, and at the worst ones first.
# - **One truth, many answers.** All metrics but KID and FID punish a good invention that is not *the*
#   truth. No number here says 'plausible'.
# - Metrics of networks are trained on photographs. On rendered faces they are a little off their ground.
# - The average face beats all classical fills in the middle of a face, and nobody would want it there. But
#   it has what they lack: it knows where eyes belong. **Lesson 03** builds gfc, a network that learns this
#   from faces, and a discriminator that will not accept an average.
#
# Next: lesson 03, gfc.
