#!/usr/bin/env python3
"""Draw the frames of lesson 01's sliders: one person at every stop of yaw, light and age.

    python data_scripts/make_turntable.py [--seed 20] [--quality 82]

Needs the renderer (python3 course.py setup render) and about 15 s; writes facecomp_lib/show/turntable.webp.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from facecomp_lib.show.turntable import RIM, SHEET, SIZE, STOPS, positions


def draw_all(seed: int) -> np.ndarray:
    """All frames as one sheet, a row for each yaw, uint8 [H, W, 3]."""
    from facecomp_lib.faces import render
    from facecomp_lib.faces.render.person import HAIR_COLOURS, direction

    renderer = render.Renderer()
    person = render.sample_person(np.random.default_rng(seed))
    scene = render.sample_scene(np.random.default_rng([seed, 1]), person)
    (_, key), (_, fill) = scene.lamps
    frames = []
    for yaw, light, age in positions():
        old = np.clip((age - 0.75) / 0.25, 0, 1)
        grey = person.hair * (1 - old) + np.array(HAIR_COLOURS["grey"]) * old
        lamps = ((direction(light, 25), key), (direction(-light, 10), fill * 0.5))
        scene = replace(scene, yaw=yaw, pitch=0.0, gaze=(0.0, 0.0), lamps=lamps)
        frames.append(renderer.render(replace(person, age=age, hair=grey), scene, SIZE, mirror=False).image)
    # a rim of their own pixels keeps the codec's blocks from mixing neighbours
    padded = np.pad(np.stack(frames), ((0, 0), (RIM, RIM), (RIM, RIM), (0, 0)), mode="edge")
    rows, step = len(STOPS["yaw"]), SIZE + 2 * RIM
    return padded.reshape(rows, -1, step, step, 3).transpose(0, 2, 1, 3, 4).reshape(rows * step, -1, 3)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=20, help="which person (20)")
    parser.add_argument("--quality", type=int, default=82, help="of the WebP file (82)")
    options = parser.parse_args()
    Image.fromarray(draw_all(options.seed)).save(SHEET, quality=options.quality, method=6)
    print(f"{SHEET}: {len(positions())} frames, {SHEET.stat().st_size / 1024:.0f} KB")


if __name__ == "__main__":
    main()
