"""How fast holes are drawn: each kind of mask, and where there is one, the ordinary way with Pillow.

    python benchmarks/masks.py [--size 128] [--n 200] [--repeats 7]

The ordinary way makes one mask at a time with Pillow's drawing functions: rectangles from their corners,
brush strokes added until enough is missing and begun anew when that is too much, noise enlarged until 20 to
30 % of it are dark. One thread; CPU time, so that a busy machine does not disturb it; the median over the
repeats, in microseconds per mask. Faces are those of the embedded test split.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable

import cv2
import numpy as np
import torch
from PIL import Image, ImageDraw

from facecomp_lib import faces, masks

# (random numbers, size, landmarks [68, 2]) -> image, white = known
Draw = Callable[[np.random.Generator, int, np.ndarray], Image.Image]

PARTS = {
    "gfc_o1": [*range(17, 22), *range(36, 42), *range(9), 27, 33, 51, 57],
    "gfc_o3": [*range(17, 27), *range(36, 48)],
    "gfc_o4": [*range(17, 22), *range(36, 42)],
    "gfc_o6": [*range(3, 14), *range(30, 36), *range(48, 68)],
}


def rectangle(box: tuple[float, float, float, float], size: int) -> Image.Image:
    image = Image.new("L", (size, size), 255)
    ImageDraw.Draw(image).rectangle(box, fill=0)
    return image


def random_rectangle(random: np.random.Generator, size: int, _: np.ndarray) -> Image.Image:
    height, width = random.integers(round(94 / 256 * size), size // 2 + 1, 2)
    top, left = random.integers(size - height + 1), random.integers(size - width + 1)
    return rectangle((left, top, left + width - 1, top + height - 1), size)


def part(numbers: list[int]) -> Draw:
    def draw(_: np.random.Generator, size: int, landmarks: np.ndarray) -> Image.Image:
        (left, top), (right, bottom) = landmarks[numbers].min(0), landmarks[numbers].max(0)
        return rectangle((left - 4, top - 4, right + 4, bottom + 4), size)

    return draw


def strokes(low: float, high: float) -> Draw:
    """Strokes are added until enough is missing, and all is begun anew if that is too much."""

    def draw(random: np.random.Generator, size: int, landmarks: np.ndarray) -> Image.Image:
        image = Image.new("L", (size, size), 255)
        brush = ImageDraw.Draw(image)
        while (missing := np.mean(np.asarray(image) == 0)) <= low:
            points: list[tuple[float, float]] = [tuple(random.random(2) * size)]
            width = int(random.integers(size // 20, size // 7))
            for _ in range(random.integers(1, 8)):
                angle, length = random.random() * 2 * math.pi, random.random() * size / 4
                x, y = points[-1]
                points.append((x + length * math.cos(angle), y + length * math.sin(angle)))
            brush.line(points, fill=0, width=width)
            for x, y in points:
                brush.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=0)
        return image if missing < high else draw(random, size, landmarks)

    return draw


def pattern(random: np.random.Generator, size: int, _: np.ndarray) -> Image.Image:
    while True:
        noise = Image.fromarray((random.random((10, 10)) * 255).astype(np.uint8))
        image = noise.resize((size, size), Image.Resampling.BICUBIC).point([0] * 90 + [255] * 166)
        if 0.2 < np.mean(np.asarray(image) == 0) < 0.3:
            return image


ORDINARY: dict[str, Draw] = {
    "center": lambda _, size, points: rectangle(
        (size // 4, size // 4, size * 3 // 4 - 1, size * 3 // 4 - 1), size
    ),
    "random_rectangle": random_rectangle,
    "half_left": lambda _, size, points: rectangle((0, 0, size // 2 - 1, size), size),
    **{kind: part(numbers) for kind, numbers in PARTS.items()},
    **{f"irregular_{low}_{low + 10}": strokes(low / 100, low / 100 + 0.1) for low in (10, 20, 30, 40, 50)},
    "pattern": pattern,
}


def one_by_one(draw: Draw, size: int, landmarks: np.ndarray) -> torch.Tensor:
    """Masks float32 [n, 1, H, W] as a data set's `__getitem__` would make them."""
    random = np.random.default_rng(0)
    single = [np.array(draw(random, size, points), np.float32) / 255 for points in landmarks]
    return torch.stack([torch.from_numpy(mask)[None] for mask in single])


def microseconds(work: Callable[[], torch.Tensor], n: int, repeats: int) -> float:
    times = []
    work()
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(1e6 * (time.process_time() - start) / n)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--n", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=7)
    wish = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)

    pack = faces.embedded("test")
    landmarks = pack.batch(np.arange(wish.n) % len(pack)).landmarks
    assert landmarks is not None
    landmarks = (landmarks + 0.5) * (wish.size / pack.size) - 0.5
    points = landmarks.numpy()
    print(f"{wish.n} masks of {wish.size} px; microseconds per mask")
    print(f"{'':18s} {'ours':>7s} {'Pillow':>8s} {'ratio':>7s}")
    for kind in masks.KINDS:
        ours = microseconds(
            lambda kind=kind: masks.make(kind, wish.size, wish.n, landmarks=landmarks), wish.n, wish.repeats
        )
        line = f"{kind:18s} {ours:7.0f}"
        if kind in ORDINARY:
            draw = ORDINARY[kind]
            theirs = microseconds(lambda draw=draw: one_by_one(draw, wish.size, points), wish.n, wish.repeats)
            line += f" {theirs:8.0f} {theirs / ours:6.1f}x"
        print(line)


if __name__ == "__main__":
    main()
