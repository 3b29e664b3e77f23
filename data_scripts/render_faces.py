#!/usr/bin/env python3
"""Render people who do not exist to a prepared data set, with exact labels.

    python data_scripts/render_faces.py faces256 --size 256 --train 20000 --val 1000 --test 1000
    python data_scripts/render_faces.py turned --train 0 --val 0 --test 80 --per-person 1 --condition turned

The same arguments give the same bytes, whatever the number of workers. A run that was stopped goes on where
it was when started again. Called with nothing but a folder it renders the embedded pack.
"""

import argparse
import math
import multiprocessing
import os
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from facecomp_lib.faces.codec import encode_record
from facecomp_lib.faces.splits import SPLITS, split_of
from facecomp_lib.faces.store import MAX_SIZE
from facecomp_lib.faces.writer import Writer
from facecomp_lib.utils.checks import check_count
from facecomp_lib.utils.processes import end_with_parent

PACK_VERSION = "2"
PART = 250  # images in one file: what a stopped run may lose
SCALARS = ("age", "gender", "tone", "weight")


def lamps(x, y, z):
    """One white lamp towards which (x right, y up, z to the viewer) points, and little other light."""
    direction = np.array([x, y, z]) / np.linalg.norm([x, y, z])
    off = np.array([0, 1, 1]) / 2**0.5, np.zeros(3)
    return {"lamps": ((direction, np.full(3, 1.6)), off), "ambient": np.full(3, 0.06)}


CONDITIONS = {  # the same people and images, but for what these change
    "plain": lambda p: p,
    "turned": lambda p: replace(p, yaw=np.sign(p.yaw) * (45 + abs(p.yaw) % 15)),  # 45 to 60 degrees
    "tilted": lambda p: replace(p, pitch=25 * np.sign(p.pitch)),
    "side": lambda p: replace(p, **lamps(np.sign(p.yaw), 0.1, 0.15)),
    "below": lambda p: replace(p, **lamps(0, -1, 0.5)),
    "dark": lambda p: replace(p, exposure=p.exposure / 3),
}


def plan(counts, per_person):
    """Which images to draw: a list of (split, identity, k), whole people, split by a hash of the identity.

    Args:
        counts: {split: number of images}. per_person: images of each person.
    """
    wanted, people = dict(counts), {split: list[tuple]() for split in SPLITS}
    shares = {split: counts[split] / max(sum(counts.values()), 1) for split in SPLITS}
    identity = 0
    while any(wanted.values()):
        split = split_of(identity, shares["val"], shares["test"])
        if wanted[split]:
            images = min(per_person, wanted[split])
            people[split] += [(split, identity, k) for k in range(images)]
            wanted[split] -= images
        identity += 1
    return [face for split in SPLITS for face in people[split]]


@cache
def _renderer(device):
    from facecomp_lib.faces.render import Renderer

    return Renderer(device)


def draw(job):
    """One encoded record; runs in a worker."""
    split, identity, k, options = job
    from facecomp_lib.faces import render

    person = render.sample_person(np.random.default_rng([options.seed, identity]))
    scene = render.sample_scene(np.random.default_rng([options.seed, identity, k + 1]), person)
    scene = CONDITIONS[options.condition](scene)
    keeps_flow = options.flow in (split, "all")
    face = _renderer(options.device).render(person, scene, options.size, options.unaligned, mirror=keeps_flow)
    return encode_record(
        {
            "name": f"face-{identity:06d}-{k}",
            "split": split,
            "identity": identity,
            "image": face.image,
            "landmarks": face.landmarks,
            "parsing": face.parsing,
            "attributes": render.attributes(person, scene),
            "pose": face.pose,
            "lamps": face.lamps,
            "mirror_flow": face.mirror_flow,
            "mirror_valid": face.mirror_valid,
            "light_ratio": face.light_ratio,
            "scalars": {
                "age": person.age,
                "gender": person.gender,
                "tone": person.tone,
                "weight": person.weight,
            },
        },
        quality=options.quality,
    )


def parse(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder of the data set")
    parser.add_argument("--size", type=int, default=128, help="side in pixels (128)")
    for split, count in zip(SPLITS, (2000, 200, 300), strict=False):
        parser.add_argument(f"--{split}", type=int, default=count, help=f"images for {split} ({count})")
    parser.add_argument("--per-person", type=int, default=4, help="images of each person (4)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--flow",
        choices=[*SPLITS, "all", "none"],
        default="test",
        help="which split keeps mirror flow and light ratio (test)",
    )
    parser.add_argument("--quality", type=int, default=88, help="of the WebP images, 1 to 100 (88)")
    parser.add_argument("--unaligned", action="store_true", help="random shift, scale and rotation")
    parser.add_argument("--condition", choices=[*CONDITIONS], default="plain", help="of all images (plain)")
    parser.add_argument("--device", default="cpu", help="cpu, or cuda:0 (untested)")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count(), help="processes (all cores; 1 on CUDA)"
    )
    options = parser.parse_args(arguments)
    least = {
        "size": 16,
        "quality": 1,
        "per_person": 1,
        "workers": 1,
        "seed": 0,
        "train": 0,
        "val": 0,
        "test": 0,
    }
    most = {"size": MAX_SIZE, "quality": 100}
    try:
        for name, low in least.items():
            check_count(getattr(options, name), low, f"--{name.replace('_', '-')}", most.get(name, math.inf))
    except ValueError as error:
        parser.error(str(error))
    if options.train + options.val + options.test == 0:
        parser.error("there is nothing to render: all three counts are 0.")
    return options


def main(arguments=None):
    options = parse(arguments)
    try:
        render(options)
    except (ImportError, ValueError, OSError) as error:
        sys.exit(f"render_faces: {error}")
    except KeyboardInterrupt:
        print("render_faces: stopped; the same command goes on from here.", file=sys.stderr)
        sys.exit(130)


def render(options):
    """Write the data set, as far as it is not there."""
    from tqdm import tqdm

    from facecomp_lib.faces.render import ATTRIBUTES

    _renderer(options.device)  # compile once, before the workers need it
    faces = plan({split: getattr(options, split) for split in SPLITS}, options.per_person)
    writer = Writer(
        options.out,
        "rendered faces",
        options.size,
        ATTRIBUTES,
        SCALARS,
        quality=options.quality,
        version=PACK_VERSION,
        seed=options.seed,
        flow=options.flow,
        unaligned=options.unaligned,
        per_person=options.per_person,
        planned=len(faces),
        licence="CC0-1.0; shapes from MakeHuman/MPFB2 and Face Units (CC0)",
        **({} if options.condition == "plain" else {"condition": options.condition}),
    )
    parts = [faces[start : start + PART] for start in range(0, len(faces), PART)]
    workers = options.workers if options.device == "cpu" else 1
    options.out = None  # workers need it no more
    with writer, tqdm(total=len(faces), unit="face") as bar, _pool(workers) as run:
        for index, part in enumerate(parts):
            if writer.has_part(index):
                bar.update(len(part))
                continue
            records = []
            for record in run(draw, [(*face, options) for face in part]):
                records.append(record)
                bar.update()
            writer.add_part(index, records)
        if not writer.finished:
            writer.finish()


class _pool:
    """Ordered parallel map over fresh processes; in this process when one worker is enough."""

    def __init__(self, workers):
        context = multiprocessing.get_context("spawn")
        self.pool = context.Pool(workers, end_with_parent) if workers > 1 else None

    def __enter__(self):
        return map if self.pool is None else self._map

    def _map(self, function, jobs):
        assert self.pool is not None
        return self.pool.imap(function, jobs, chunksize=4)

    def __exit__(self, *_):
        if self.pool is not None:
            self.pool.terminate()
            self.pool.join()


if __name__ == "__main__":
    main()
