"""How well the parsing network sees faces unlike those that it learned from: turned, tilted, badly lit.

    python data_scripts/parsing_beyond.py

Renders new people (another seed than any pack's), each in every condition, the same person and picture but
for what the condition changes; F-scores go to facecomp_lib/results/gfc_parsing.json, three people in every
condition to gfc_parsing.webp. Needs the renderer.
"""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from facecomp_lib import evaluation, methods, show
from facecomp_lib.faces import render

RESULTS = Path(__file__).resolve().parents[1] / "facecomp_lib" / "results"
SEED = 77


def lamp(x: float, y: float, z: float, strength: float):
    """A white lamp towards which (x right, y up, z to the viewer) points."""
    direction = np.array([x, y, z]) / np.linalg.norm([x, y, z])
    return direction, np.full(3, strength)


DARK = np.full(3, 0.06)  # light from everywhere
CONDITIONS: dict[str, Callable] = {
    "as in training": lambda picture: picture,
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
    if given.weights is None:
        network = methods.pretrained("gfc", size=given.size).parser
    else:
        stored = {k.removeprefix("parser."): v for k, v in load_file(given.weights).items()}
        method = methods.build("gfc", size=given.size, width=0.25, fc_dim=8)
        network = method.parser.eval()
        network.load_state_dict({key: stored[key] for key in network.state_dict()})
    renderer = render.Renderer("cpu")
    scores, rows = {}, []
    for name, change in CONDITIONS.items():
        image, truth = pictures(renderer, change, given.people, given.size)
        with torch.no_grad():
            found = torch.cat([network(part).argmax(1) for part in image.split(20)])
        scores[name] = evaluation.f_scores(evaluation.confusion(found, truth))
        scores[name] = {key: round(value, 4) for key, value in scores[name].items()}
        print(f"{name:26} overall {scores[name]['overall']:.3f}", flush=True)
        seen = [picture.permute(1, 2, 0).numpy() for picture in image[:3]]
        rows.append(np.hstack([*seen, *(np.asarray(show.parsing_picture(labels)) for labels in found[:3])]))
    RESULTS.mkdir(exist_ok=True)
    card = {"people": given.people, "seed": SEED, "size": given.size, "f_scores": scores}
    (RESULTS / "gfc_parsing.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    sheet = np.uint8(np.round(255 * np.vstack(rows)))
    Image.fromarray(sheet).save(RESULTS / "gfc_parsing.webp", quality=88)
    return 0


def pictures(renderer, change: Callable, people: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Images ``[N, 3, S, S]`` and labels ``[N, S, S]`` of the same people in one condition."""
    images, labels = [], []
    for number in range(people):
        person = render.sample_person(np.random.default_rng([SEED, number]))
        picture = change(render.sample_picture(np.random.default_rng([SEED, number, 1]), person))
        face = renderer.render(person, picture, size)
        images.append(torch.from_numpy(face.image).permute(2, 0, 1).float() / 255)
        labels.append(torch.from_numpy(face.parsing).long())
    return torch.stack(images), torch.stack(labels)


if __name__ == "__main__":
    sys.exit(main())
