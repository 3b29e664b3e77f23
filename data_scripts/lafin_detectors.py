"""Do completed faces teach a landmark detector (lafin, section 4)? From few labelled faces, and from all.

    python data_scripts/lafin_detectors.py --labelled 500 all --steps 3000 --seeds 3
    python data_scripts/lafin_detectors.py --labelled 500 --steps 2000 --faces more128 \\
        --generator runs/lafin_models/full-1500-seed0 --also data/utk data/lfw --limit 300
    python data_scripts/lafin_detectors.py --labelled 500 --steps 2000 --faces data/utk \\
        --generator runs/lafin-photos/generator --also data/utk data/lfw --limit 300 \\
        --results facecomp_lib/results/lafin_detectors_photos

The second and the third are the recorded ones.

The detector is lafin's predictor, shown undamaged faces. 'augmented' ones see, beside each labelled face,
one that the generator has completed from its landmarks, with a new hole each time; the others see twice as
many labelled faces instead. All take the same number of steps, the last third of them with a tenth of the
learning rate, and see as many images. Which faces the few are depends on the seed. The generator is the
shipped checkpoint's, or a run's, or that of a .safetensors with its card; its size is the detectors'. It has
usually learned from more labelled faces than the few: the question is what its completions are good for.

NME is measured on undamaged test faces, on those turned by more than --turned degrees ('challenging') and on
the others ('common'), and on prepared folders of photographs with landmarks, all of their faces (of the one
given as --faces, the test split). They should be cut out like the faces that are learned from: the average
face, measured as well, tells. A run that was stopped goes on where it was when the script is started again;
what is finished is not done again. Each face's error, and a card, go to
facecomp_lib/results/lafin_detectors.*; no image leaves the folders.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data_scripts.locating import AVERAGE, EXACT, Locator, average_face, locator, plan_facts
from data_scripts.models_by_seed import (
    Job,
    arguments,
    carried_out,
    data_of,
    finished,
    jobs_of,
    record,
    restored,
    show_tables,
    train,
    training_facts,
)
from facecomp_lib import evaluation, faces, methods
from facecomp_lib.evaluation.protocol import drawn_faces
from facecomp_lib.faces.dataset import PACK
from facecomp_lib.faces.store import Store
from facecomp_lib.methods import checkpoints
from facecomp_lib.papers.lafin import detecting

ALL = "all"
AUGMENTED = " augmented"
IMAGES = 8  # of a step
FULL, COMMON, CHALLENGING = "full", "common", "challenging"


def main() -> int:
    parser = arguments(__doc__, "lafin_detectors", steps=3000)
    parser.add_argument(
        "--labelled", nargs="+", default=["500", ALL], help="so many labelled faces, or all (500 and all)"
    )
    parser.add_argument("--generator", type=Path, help="checkpoint or run (the shipped lafin)")
    parser.add_argument("--lr", type=float, default=1e-3, help="(%(default)s)")
    parser.add_argument("--ema", type=float, default=0.99, help="(%(default)s)")
    parser.add_argument("--predictor-width", type=float, default=0.5, help="(%(default)s)")
    parser.add_argument("--also", nargs="*", default=[], help="prepared folders of photographs, to test on")
    parser.add_argument("--turned", type=float, default=20, help="degrees (%(default)s)")
    given = parser.parse_args()

    def work() -> None:
        jobs = jobs_of(given, [kind + more for kind in kinds(given) for more in ("", AUGMENTED)])
        provide_generator(given.out, given.generator)
        tests = test_faces(given, new(jobs[0], given).size)
        for job, seconds in finished(partial(do, given=given), jobs, given.jobs):
            print(f"{job.model}, seed {job.seed}: {job.steps} steps in {seconds:.0f} s", flush=True)
        conclude(jobs, given, tests)

    return carried_out("lafin_detectors", work)


def kinds(given: argparse.Namespace) -> list[str]:
    """Names of the detectors that see no completed faces: ``["500 faces", "all faces"]``.

    Raises:
        ValueError: something else than numbers and 'all'.
    """
    for count in given.labelled:
        if count != ALL and not (count.isdigit() and int(count)):
            raise ValueError(f"--labelled takes numbers of faces and {ALL!r}, not {count!r}.")
    return [f"{count} faces" for count in given.labelled]


# ------------------------------------------------------------------------------------------ the generator


def provide_generator(out: Path, source: Path | None) -> None:
    """``out/generator.safetensors`` with its card: what is there stays, else the given one, or the shipped.

    Raises:
        ValueError: the given one is another than the one that earlier runs in ``out`` used.
        FileNotFoundError: there is no such checkpoint or run.
    """
    path = out / "generator.safetensors"
    if source is None and path.exists():
        return
    method = generator_of(source)
    facts = {key: method.card[key] for key in ("data", "steps", "seed") if key in method.card}
    with tempfile.TemporaryDirectory() as folder:
        offered = methods.save(method, Path(folder) / path.name, ("generator",)).read_bytes()
    if not path.exists():
        methods.save(method, path, ("generator",), **facts)
    elif offered != path.read_bytes():
        raise ValueError(f"Runs in {out} use another generator: choose another --out.")


def generator_of(source: Path | None) -> methods.Method:
    """The shipped lafin, or one from a run's folder or from a checkpoint."""
    if source is None:
        return methods.pretrained("lafin")
    if not source.is_dir():
        return checkpoints.load(source)
    card = json.loads((source / "card.json").read_text(encoding="utf-8"))
    method = methods.build("lafin", **card["config"])
    method.load_state_dict(load_file(source / f"weights-{card['finished'][-1]}.safetensors"))
    method.card = card
    return method


# ----------------------------------------------------------------------------------------------- training


class SomeFaces(faces.FaceDataset):
    """So many faces of a data set's train split, drawn by a seed.

    Args:
        path: of the data set, None for the embedded one.
        size: px.
        count, seed: of the draw.

    Raises:
        ValueError: more than there are, or none.
    """

    def __init__(self, path: str | None, size: int, count: int, seed: int) -> None:
        self.drawn = (count, seed)
        super().__init__(Store(path or PACK), "train", size)

    def _select(self, split: str | None) -> np.ndarray:
        rows = super()._select(split)
        count, seed = self.drawn
        if not 1 <= count <= len(rows):
            raise ValueError(f"{count} labelled faces cannot be drawn from {len(rows)}.")
        return rows[drawn_faces(len(rows), count, seed)]


def new(job: Job, given: argparse.Namespace) -> methods.Method:
    """A job's model before training: a fresh predictor beside the generator."""
    source = checkpoints.load(job.out / "generator.safetensors")
    options = source.config | {"perceptual": None, "predictor_width": given.predictor_width}
    method = methods.build("lafin", seed=job.seed, **options)
    method.generator.load_state_dict(source.generator.state_dict())
    return method


def do(job: Job, given: argparse.Namespace) -> float:
    """Train one detector, as far as that is not done; seconds of training."""
    method = new(job, given)
    count = job.model.split()[0]
    data = None if count == ALL else SomeFaces(job.faces, method.size, int(count), job.seed)
    return train(job, method, stages(job, given), EXACT, data).card["seconds"]


def stages(job: Job, given: argparse.Namespace) -> list[methods.Stage]:
    """Two thirds of the steps, then the last ones with a tenth of the learning rate."""
    augmented, last = job.model.endswith(AUGMENTED), job.steps // 3
    batch_size = IMAGES // 2 if augmented else IMAGES
    settle = detecting(last, augmented, batch_size, given.lr / 10, given.ema)
    return [
        detecting(job.steps - last, augmented, batch_size, given.lr, given.ema),
        replace(settle, name="settle"),
    ]


# ---------------------------------------------------------------------------------------------- measuring


@dataclass
class Undamaged:
    """Some faces of a data set, to be shown as they are.

    Attributes:
        data: the faces.
        numbers: of those that are measured.
    """

    data: faces.FaceDataset
    numbers: np.ndarray

    def column(self, name: str) -> np.ndarray:
        return self.data.column(name)[self.numbers]

    @torch.no_grad()
    def errors(self, locate: Locator) -> np.ndarray:
        """NME of each face."""
        found: list[Tensor] = []
        for some in np.split(self.numbers, range(25, len(self.numbers), 25)):
            seen = self.data.batch(some)
            points = locate(seen.image, torch.ones(len(seen), 1, *seen.size))
            found.append(evaluation.nme(points.cpu(), seen.landmarks))
        return torch.cat(found).double().numpy()


def test_faces(given: argparse.Namespace, size: int) -> dict[str, Undamaged]:
    """Name -> faces; the embedded ones first.

    Raises:
        ValueError: folders without landmarks, or of one name.
    """
    found = {FULL: faces.embedded("test", size)}
    for path in given.also:
        learned = given.faces is not None and Path(path).resolve() == Path(given.faces).resolve()
        name, data = Path(path).name, faces.folder(path, "test" if learned else None, size)
        if name in (*found, COMMON, CHALLENGING):
            raise ValueError(f"Two sets of test faces are called {name!r}: rename a folder.")
        if not np.isfinite(data.column("landmarks")).all():
            raise ValueError(f"{path} has faces without landmarks: there is nothing to measure against.")
        found[name] = data
    return {name: Undamaged(data, drawn_faces(len(data), given.limit, 0)) for name, data in found.items()}


def members(tests: Mapping[str, Undamaged], turned: float) -> dict[str, np.ndarray]:
    """Name of a set -> which of all faces, one data set after the other, belong to it: bool ``[N]``."""
    which = np.repeat([*tests], [len(test.numbers) for test in tests.values()])
    yaw = np.zeros(len(which))
    yaw[which == FULL] = np.abs(tests[FULL].column("pose")[:, 0])
    sets = {name: which == name for name in tests}
    full = sets.pop(FULL)
    return {FULL: full, COMMON: full & (yaw <= turned), CHALLENGING: full & (yaw > turned), **sets}


def people(tests: Mapping[str, Undamaged]) -> np.ndarray:
    """Who all faces are ``[N]``; those whom nobody knows are people of their own."""
    found = np.empty(0, np.int64)
    for test in tests.values():
        own = test.column("identity").astype(np.int64)
        own = np.where(own < 0, own.max() + 1 + np.arange(len(own)), own)
        found = np.concatenate([found, own + found.max(initial=-1) + 1])
    return found


def conclude(jobs: Sequence[Job], given: argparse.Namespace, tests: Mapping[str, Undamaged]) -> None:
    """Measure all detectors, record their errors and print means and verdicts.

    Each set of faces is a 'hole' of the comparison, in which the faces of other sets have no error.
    """
    sets, who = members(tests, given.turned), people(tests)
    runs = {job.seed: evaluation.Comparison(groups=who) for job in jobs}

    def add(seed: int, name: str, locate: Locator) -> None:
        errors = np.concatenate([test.errors(locate) for test in tests.values()])
        for key, own in sets.items():
            runs[seed].add(name, key, {"nme": np.where(own, errors, np.nan)})

    for job in jobs:
        add(job.seed, job.model, locator(restored(job, new(job, given), "settle")))
    for seed in runs:
        add(seed, AVERAGE, average_face(data_of(given.faces, tests[FULL].data.size)))
    counts = {name: int(own.sum()) for name, own in sets.items()}
    record(given.results, runs, card_of(jobs, given, counts))
    show_tables(runs, ["nme"])
    print("", claims(runs, kinds(given)), sep="\n")


def claims(runs: Mapping[int, evaluation.Comparison], kinds: Sequence[str]) -> evaluation.Claims:
    """That completed faces help, for each number of labelled faces and each set of test faces."""
    sets = next(iter(runs.values())).holes
    return evaluation.Claims(
        evaluation.claim(f"completed faces help, {kind}, {name}", runs, "nme", kind + AUGMENTED, kind, name)
        for kind in kinds
        for name in sets
    )


def card_of(jobs: Sequence[Job], given: argparse.Namespace, counts: Mapping[str, int]) -> dict[str, Any]:
    """How the errors of so many faces of each set came about."""
    source = checkpoints.load(jobs[0].out / "generator.safetensors").card
    learners = {job.model: job.card["stages"][0]["players"]["predictor"] for job in jobs}
    return {
        "method": "lafin",
        "nme": "share of the distance between the outer corners of the eyes",
        "generator": {key: source[key] for key in ("config", "sha256", "data", "steps") if key in source},
        "predictor_width": given.predictor_width,
        "images_per_step": IMAGES,
        **{key: value for key, value in plan_facts(jobs[0].card).items() if key != "batch_size"},
        "losses": {name: learner["losses"] for name, learner in learners.items()},
        "labelled_faces": {job.model: job.card["data"]["faces"] for job in jobs},
        "test_faces": counts,
        CHALLENGING: f"those of {FULL} that are turned by more than {given.turned:g} degrees",
        **training_facts(jobs),
    }


if __name__ == "__main__":
    sys.exit(main())
