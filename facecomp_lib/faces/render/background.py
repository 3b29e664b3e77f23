"""Out-of-focus backgrounds: colour fields like those behind portraits, indoors, outdoors and in a studio."""

import colorsys

import numpy as np

GRID = 48  # backgrounds are blurred: a coarse grid carries them


def _tone(rng, hue, spread, saturation, value):
    """A linear RGB colour near `hue`."""
    h = (hue + rng.normal(0, spread)) % 1
    return np.array(colorsys.hsv_to_rgb(h, float(np.clip(saturation, 0, 1)), float(np.clip(value, 0.004, 1))))


def _disc(image, rng, colour, x, y, radius, strength):
    yy, xx = np.mgrid[:GRID, :GRID] / GRID
    inside = 1 / (1 + np.exp((np.hypot(xx - x, yy - y) - radius) * 90))
    image += (colour - image) * (strength * inside)[..., None]


def _box(image, colour, x0, x1, y0, y1, strength=1.0):
    a, b, c, d = (int(round(np.clip(v, 0, 1) * GRID)) for v in (x0, x1, y0, y1))
    image[c:d, a:b] += (colour - image[c:d, a:b]) * strength


def _studio(rng):
    colour = _tone(rng, rng.random(), 0, rng.beta(1, 3) * 0.7, rng.beta(1.2, 1.5))
    yy, xx = np.mgrid[:GRID, :GRID] / GRID
    glow = np.exp(
        -(((xx - rng.uniform(0.2, 0.8)) ** 2 + (yy - rng.uniform(0.2, 0.8)) ** 2) / rng.uniform(0.1, 0.5))
    )
    return colour * (rng.uniform(0.25, 0.8) + rng.uniform(0.3, 0.8) * glow[..., None])


def _outdoors(rng):
    yy = (np.mgrid[:GRID, :GRID][0] / GRID)[..., None]
    season = rng.choice([0.27, 0.30, 0.12, 0.07])  # greens, autumn, sand
    sky = _tone(rng, 0.58, 0.03, rng.uniform(0.05, 0.5), rng.uniform(0.5, 1.0))
    land = _tone(rng, season, 0.03, rng.uniform(0.3, 0.7), rng.uniform(0.05, 0.35))
    horizon = rng.uniform(-0.2, 0.8)
    image = sky + (land - sky) / (1 + np.exp(-(yy - horizon) * rng.uniform(8, 30)))
    for _ in range(rng.integers(10, 30)):  # leaves and gaps of light
        bright = rng.random() < 0.3
        colour = _tone(
            rng,
            season,
            0.04,
            rng.uniform(0.2, 0.7),
            rng.uniform(0.35, 0.8) if bright else rng.uniform(0.01, 0.25),
        )
        _disc(
            image,
            rng,
            colour,
            rng.random(),
            rng.uniform(horizon - 0.3, 1.1),
            rng.uniform(0.02, 0.14),
            rng.uniform(0.3, 0.9),
        )
    return image


def _indoors(rng):
    hue = rng.choice([0.08, 0.11, 0.58, rng.random()])
    wall = _tone(rng, hue, 0.02, rng.beta(1.3, 4), rng.uniform(0.08, 0.75))
    image = np.tile(wall, (GRID, GRID, 1)).astype(float)
    for _ in range(rng.integers(2, 6)):  # doors, shelves, frames, windows
        x, width = rng.uniform(-0.1, 1), rng.uniform(0.05, 0.4)
        y, height = rng.choice([-0.1, rng.uniform(0, 0.6)]), rng.uniform(0.2, 1.2)
        colour = _tone(
            rng,
            rng.choice([hue, 0.08, 0.06, rng.random()]),
            0.05,
            rng.uniform(0, 0.6),
            rng.choice([0.03, 0.12, 0.3, 0.9]),
        )
        _box(image, colour, x, x + width, y, y + height, rng.uniform(0.4, 1))
    for _ in range(rng.integers(0, 5)):  # lamps
        _disc(
            image,
            rng,
            _tone(rng, 0.10, 0.03, 0.3, 1.0) * 1.5,
            rng.random(),
            rng.uniform(0, 0.6),
            rng.uniform(0.01, 0.05),
            0.9,
        )
    return image


def background(rng, size):
    """Linear RGB float32 [size, size, 3], >= 0; blurred like the far side of a short depth of field."""
    import cv2

    kind = rng.choice([_studio, _outdoors, _indoors], p=[0.3, 0.35, 0.35])
    image = np.clip(kind(rng), 0.002, 2).astype(np.float32)
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.9, 3.5), borderType=cv2.BORDER_REFLECT)
    image *= rng.uniform(0.55, 1.15)
    return np.clip(cv2.resize(image, (size, size), interpolation=cv2.INTER_CUBIC), 0.001, 2)
