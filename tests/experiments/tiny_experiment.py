"""A method that learns in no time, and an experiment with it."""

import tiny_faces
import yaml
from tiny_method import SIZE, Tiny

from facecomp_lib.experiments import read_experiment
from facecomp_lib.methods import OptimizerConfig, Stage


def paint(steps, lr=1e-2):
    """The painter alone."""
    painter = OptimizerConfig(("painter",), {"reconstruction": 1.0}, lr=lr)
    return Stage("paint", steps, {"painter": painter}, batch_size=4)


def contest(steps):
    """The painter alone, then against the discriminator."""
    discriminator = OptimizerConfig(("discriminator",), {"gap": 1.0})
    both = OptimizerConfig(("painter",), {"reconstruction": 1.0, "adversarial": 0.1})
    return [
        paint(steps),
        Stage("against", steps, {"discriminator": discriminator, "painter": both}, batch_size=4),
    ]


class Sketch(Tiny):
    """The tiny method, with stages that an experiment can name."""

    name = "sketch"
    STAGES = {"paint": paint, "contest": contest}


def content(folder, **changes):
    """An experiment's keys: two variants, two seeds, a baseline; its faces lie in ``folder``."""
    if not (folder / "faces" / "meta.json").exists():
        tiny_faces.write(folder / "faces", range(18), size=SIZE)
    source = str(folder / "faces")
    return {
        "about": "a test",
        "method": "sketch",
        "data": {"train": source, "test": {"tiny": source}},
        "seeds": [0, 1],
        "stages": [{"stage": "paint", "steps": 4}],
        "variants": {"plain": None, "wide": {"options": {"width": 6}}},
        "evaluate": {"masks": ["center"], "metrics": ["psnr", "l1_hole"], "limit": 3, "baselines": ["mean"]},
    } | changes


def write(folder, **changes):
    """The experiment tiny/first as a file; its root."""
    root = folder / "experiments"
    (root / "tiny").mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(content(folder, **changes), sort_keys=False)
    (root / "tiny" / "first.yaml").write_text(text)
    return root


def read(folder, *sets, **changes):
    return read_experiment("tiny/first", sets, write(folder, **changes))


__all__ = ["Sketch", "content", "read", "write"]
