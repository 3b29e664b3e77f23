"""How well the parsing network sees faces unlike those that it learned from: turned, tilted, badly lit.

    python data_scripts/parsing_beyond.py

Renders new people (another seed than any pack's), each in every condition, the same person and image but
for what the condition changes; F-scores go to facecomp_lib/results/gfc_parsing.json, three people in every
condition to gfc_parsing.webp. Needs the renderer.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data_scripts.models_by_seed import RESULTS, save_sheet, write_card
from data_scripts.parsing import coloured, parsing_network, parsing_scores
from facecomp_lib.faces import FaceBatch, render

SEED = 77


def lamp(x: float, y: float, z: float, strength: float):
    """A white lamp towards which (x right, y up, z to the viewer) points."""
    direction = np.array([x, y, z]) / np.linalg.norm([x, y, z])
    return direction, np.full(3, strength)


DARK = np.full(3, 0.06)  # light from everywhere
CONDITIONS: dict[str, Callable] = {
    "as in training": lambda scene: scene,
    "turned 45 to 60 degrees": lambda p: replace(p, yaw=np.sign(p.yaw) * (45 + abs(p.yaw) % 15)),
    "tilted 25 degrees": lambda p: replace(p, pitch=25 * np.sign(p.pitch)),
    "one lamp from the side": lambda p: replace(
        p, lamps=(lamp(np.sign(p.yaw), 0.1, 0.15, 1.6), lamp(0, 1, 1, 0)), ambient=DARK
    ),
    "one lamp from below": lambda p: replace(
        p, lamps=(lamp(0, -1, 0.5, 1.6), lamp(0, 1, 1, 0)), ambient=DARK
    ),
    "a third of the light": lambda p: replace(p, exposure=p.exposure / 3),
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", type=int, default=80, help="(%(default)s)")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument(
        "--weights", type=Path, help="weights of a parsing stage, instead of the checkpoint's"
    )
    given = parser.parse_args()
    network = parsing_network(given.weights)
    renderer = render.Renderer("cpu")
    scores, rows = {}, []
    for name, change in CONDITIONS.items():
        faces = images(renderer, change, given.people, given.size)
        scores[name] = parsing_scores(network, faces)
        print(f"{name:26} overall {scores[name]['overall']:.3f}", flush=True)
        with torch.no_grad():
            found = network(faces.image[:3]).argmax(1)
        rows.append(torch.cat([faces.image[:3], coloured(found)]))
    card = {"people": given.people, "seed": SEED, "size": given.size, "f_scores": scores}
    write_card(RESULTS / "gfc_parsing.json", card)
    save_sheet(torch.stack(rows).unbind(1), RESULTS / "gfc_parsing.webp")
    return 0


def images(renderer, change: Callable, people: int, size: int) -> FaceBatch:
    """Images and parsing maps of the same people in one condition."""
    images, labels = [], []
    for number in range(people):
        person = render.sample_person(np.random.default_rng([SEED, number]))
        scene = change(render.sample_scene(np.random.default_rng([SEED, number, 1]), person))
        face = renderer.render(person, scene, size)
        images.append(torch.from_numpy(face.image).permute(2, 0, 1).float() / 255)
        labels.append(torch.from_numpy(face.parsing).long())
    return FaceBatch(torch.stack(images), parsing=torch.stack(labels))


if __name__ == "__main__":
    sys.exit(main())
