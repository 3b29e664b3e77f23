# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 00 · Start here
#
# > **You will** check that everything works, complete a face with a hole, and repair a real photograph.<br>
# > **You need** some Python. Nothing else yet: no GPU, no data set, no network.<br>
# > **It takes** about 10 minutes to read; all cells together run in some 10 seconds on two CPU cores.<br>
# > **What is simplified:** nothing in this lesson has ever learned what a face is. That is its point.
#
# Every lesson is a notebook. Run a cell with Shift+Enter, change it, run it again: nothing can break, and
# *Kernel → Restart* brings everything back.

# %% tags=["parameters"]
import facecomp_lib as fc

preset = fc.preset("lesson")
face_number = 0  # which of the test faces loses its middle

# %% [markdown]
# ## 1. Does everything work?
#
# `[OK]` is there. `[--]` is left out for now: this lesson and the next do without it, and the line says how
# to get it.

# %%
import importlib.util
import platform

import torch


def report(there, what, otherwise=""):
    print("[OK]" if there else "[--]", what + ("" if there or not otherwise else f": {otherwise}"))


faces = fc.faces.embedded("test")
device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
needed = {"cv2": "OpenCV", "skimage": "scikit-image", "pyarrow": "Arrow", "anywidget": "widgets"}
setup = "python3 course.py setup"

report(True, f"Python {platform.python_version()}")
report(True, f"PyTorch {torch.__version__.split('+')[0]}, the device for training is {device}")
for module, name in needed.items():
    report(importlib.util.find_spec(module), name, setup)
report(len(faces), f"{len(faces)} rendered test faces of {faces.size} px travel with the course")
weights = [name for name in fc.weights.REGISTRY if fc.weights.available(name)]
report(weights, f"{len(weights)} of {len(fc.weights.REGISTRY)} sets of weights from outside", setup)
report(importlib.util.find_spec("warp"), "the renderer of new faces", f"optional; {setup} render")

# %% [markdown]
# ## 2. A face with a hole
#
# We take a face, cut out a square as large as a quarter of the image, and let a classical method fill it.
# The method (Telea, 2004) walks inwards from the rim of the hole and gives each missing pixel a weighted
# average of the known pixels around it.
#
# **Predict before you run:** what will be where the eyes were?

# %%
face = faces.batch([face_number])
mask = fc.masks.make("center", size=faces.size)
completed = fc.classical.complete(face.image, mask, kind="telea")

fc.show.completion(face.image, mask, completed.raw, completed.composite)

# %% [markdown]
# Skin, smeared together from four sides, and no face. Nothing in the method knows that a face has two eyes,
# a nose and a mouth, where they belong, or that the left half resembles the right one. **That knowledge is
# what the five papers of this course put into networks**, each in its own way.
#
# The last image is a promise that every method of the course keeps: outside the hole *not one pixel*
# changes.

# %%
# NBVAL_CHECK_OUTPUT
known = mask.bool().expand_as(face.image)
print("missing:", f"{1 - mask.mean().item():.0%} of the image")
print("known pixels are bit for bit the same:", torch.equal(completed.composite[known], face.image[known]))

# %% [markdown]
# Three classical fills on the same hole. PSNR (peak signal-to-noise ratio, in decibels) compares them with
# the true image, more is better: PSNR = −10 log₁₀(mean squared error), with pixels between 0 and 1.
#
# **Predict:** one of the three simply paints the mean colour of the known pixels. Will it be the worst?

# %%
kinds = ("mean", "telea", "biharmonic")
fills = {kind: fc.classical.complete(face.image, mask, kind).composite for kind in kinds}
images = {"input": fc.show.masked(face.image, mask), **fills, "truth": face.image}
psnr = {kind: fc.evaluation.psnr(fills[kind], face.image).item() for kind in kinds}
notes = ["", *[f"PSNR {value:.1f} dB" for value in psnr.values()], ""]

fc.show.contact_sheet(torch.cat(list(images.values())), list(images), columns=5, notes=notes, cell=192)

# %% [markdown]
# One face is an anecdote. Twenty:

# %%
some = faces.batch(range(20))
for kind in kinds:
    psnr = fc.evaluation.psnr(fc.classical.complete(some.image, mask, kind).composite, some.image)
    print(f"{kind:10} {psnr.mean():.1f} dB on average, {psnr.min():.1f} to {psnr.max():.1f}")

# %% [markdown]
# A flat square, the least face-like of the three, is not far behind and sometimes ahead. So none of these
# methods completes a face, and PSNR alone is a poor judge of whether one does. Lesson 02 is about better
# ones.
#
# And a network that *has* seen faces? Here is one that you will build, lafin of lesson 05. It learned to
# draw in eleven minutes on a GPU, and was never shown this person.

# %%
lafin = fc.methods.pretrained("lafin")
drawn = lafin.complete(face.image, mask)
blended = fc.classical.poisson_blend(face.image, drawn.raw, mask)  # colours of the rim made to meet
images = [fc.show.masked(face.image, mask), fills["telea"], drawn.composite, blended, face.image]
fc.show.contact_sheet(torch.cat(images), ["input", "telea", "lafin", "lafin, blended", "truth"], cell=192)

# %% [markdown]
# Not the true face, but *a* face. Now paint holes of your own: press and draw; when you let go, the face is
# completed.

# %%
fc.show.MaskPainter(face.image, lafin.complete, mask=mask)

# %% [markdown]
# *Try:* another `face_number` in the first cell (0 to 299), and `"half_left"` instead of `"center"`.

# %% [markdown]
# ## 3. A real photograph
#
# Photographs come in any size, and the face is anywhere in them. Three steps make them fit:
#
# 1. **Find** 68 landmarks on the face.
# 2. **Align**: turn, scale and shift the photograph (a *similarity*: no stretching) until eyes and mouth
#    lie where they lie in all our faces.
# 3. After completing the aligned crop: **paste back**, along the same way, into the photograph at its full
#    size.
#
# The portrait is of the astronaut Eileen Collins (NASA, public domain). Its landmarks travel with the
# course, so that this lesson needs no detector.

# %%
astronaut = fc.faces.astronaut(size=256)
height, width = astronaut.photo.shape[:2]
print(f"photograph {width} x {height} px -> aligned crop {astronaut.size} x {astronaut.size} px")
fc.show.overlay_landmarks(astronaut.image, astronaut.landmarks, cell=256)

# %% [markdown]
# We damage it twice: with scratches some 8 px wide, and with a patch over one eye.
#
# **Predict:** where will the classical fill do well, and where not?

# %%
import numpy as np
from PIL import Image, ImageDraw


def draw_hole(*shapes):
    """A mask [1, 1, 256, 256]: 0 along lines (lists of points) and in boxes (left, top, right, bottom)."""
    canvas = Image.new("L", (256, 256), 1)
    for shape in shapes:
        if isinstance(shape, tuple):
            ImageDraw.Draw(canvas).rectangle(shape, fill=0)
        else:
            ImageDraw.Draw(canvas).line(shape, fill=0, width=8)
    return torch.from_numpy(np.array(canvas)).float()[None, None]


scratches = draw_hole([(40, 70), (120, 105), (215, 90)], [(70, 230), (110, 160), (190, 150)])
patch = draw_hole((122, 98, 194, 150))
holes = torch.cat([scratches, patch])

crops = astronaut.image.repeat(2, 1, 1, 1)
repaired = fc.classical.complete(crops, holes, kind="telea")
damaged = fc.show.masked(crops, holes)
images = [damaged[0], repaired.composite[0], damaged[1], repaired.composite[1]]
fc.show.contact_sheet(images, ["scratches", "completed", "patch", "completed"], cell=256)

# %% [markdown]
# Scratches all but vanish: across 8 px, skin continues as skin. Under the patch there was something that
# its surroundings do not tell. Small holes are a solved problem; **this course is about the other kind**.
#
# Back into the photograph, with a feathered seam:

# %%
scratched = astronaut.paste(damaged[:1], scratches, feather=0)
pasted = astronaut.paste(repaired.composite[:1], scratches)
photos = {"photograph": astronaut.photo, "with scratches": scratched, "completed, pasted back": pasted}
fc.show.photo_row(list(photos.values()), list(photos))

# %%
# NBVAL_CHECK_OUTPUT
untouched = (scratched == astronaut.photo).all(axis=-1)
print("size of the photograph kept:", pasted.shape == astronaut.photo.shape)
print("outside the scratches, bit for bit:", bool((pasted[untouched] == astronaut.photo[untouched]).all()))

# %% [markdown]
# ## 4. What the course builds
#
# | lesson | you build | after | CPU time | |
# |---|---|---|---|---|
# | **00 start here** | a first completed face | - | 10 s | here |
# | **01 faces and holes** | the data, masks and compositing that all papers share | 00 | 15 s | here |
# | **02 measuring completion** | the metrics of the five papers, the classical fills | 01 | 60 s | here |
# | **03 gfc** | an encoder-decoder, two discriminators and a face-parsing loss | 02 | 3 min | here |
# | **04 collagan** | one generator that completes, segments and finds landmarks at once | 03 | 90 s | here |
# | **05 lafin** | landmarks first, then the face around them; attention | 03 | 3 min | here |
# | 06 oracle | attention that is told by the true image where to look | 05 | | coming |
# | 07 symmfc: flow and light | where a pixel's mirror point is, and how it is lit | 03 | | coming |
# | 08 symmfc: completion | fill from the other half of the face, invent the rest | 07 | | coming |
# | 09 side by side | all five on the same faces and holes | 03 to 08 | | coming |
# | 10 your own photo | from a file on your disk to a completed image | 09 | | coming |
# | 11 full runs and many GPUs | the papers' own sizes and schedules | 03 | | coming |
#
# *coming* is meant literally: these lessons are not written yet, and nothing in lessons 00 to 02
# depends on them.
#
# The papers:
#
# - **gfc**: Y. Li, S. Liu, J. Yang, M.-H. Yang. Generative Face Completion. CVPR 2017.
# - **collagan**: H. Liao, G. Funka-Lea, Y. Zheng, J. Luo, S. K. Zhou. Face Completion with Semantic
#   Knowledge and Collaborative Adversarial Learning. ACCV 2018.
# - **lafin**: Y. Yang, X. Guo, J. Ma, L. Ma, H. Ling. LaFIn: Generative Landmark Guided Face Inpainting.
#   2019.
# - **oracle**: T. Zhou, C. Ding, S. Lin, X. Wang, D. Tao. Learning Oracle Attention for High-fidelity Face
#   Completion. CVPR 2020.
# - **symmfc**: X. Li, G. Hu, J. Zhu, W. Zuo, M. Wang, L. Zhang. Learning Symmetry Consistent Deep CNNs for
#   Face Completion. IEEE Transactions on Image Processing 2020.

# %% [markdown]
# ## 5. Limits, and what comes next
#
# - A method that only continues colours cannot invent an eye. Every later lesson works on that.
# - The faces are rendered, not photographed: nobody's privacy is touched, and labels are exact. But a model
#   trained on them meets photographs it was not made for. Lesson 01 looks at what they cover and what not.
# - Completing the face of a real person shows *a* face, not *the* face: what was under the hole is gone,
#   and the result must not be passed off as that person's image. `RESPONSIBLE_USE.md` says more.
#
# **If a cell failed:** run `python3 course.py setup` once more and restart the kernel; its message names
# what is missing.
#
# Next: [01 · Faces and holes](01_faces_and_holes.ipynb)
