"""Try to break the project at random for some minutes, and print what happened as a table.

    python -m tools.campaign --minutes 60 --seed 0

Training is killed and must end with the bytes of a run that was left alone; disks are full; bits of a run's
files flip; several processes train in one folder; photographs, masks, prepared sets, checkpoints, records and
experiment files are mutated before they are read. A try hangs on the seed and its number alone:
`--only KIND --first N` repeats it.
"""

import argparse
import contextlib
import gzip
import hashlib
import io
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STEPS = 4  # of each stage
REFUSED = 3  # exit code of a training that was refused in a sentence


@dataclass(frozen=True)
class World:
    """What the tries start from, made once.

    Attributes:
        folder: holds a prepared set, a checkpoint, a finished run and one that is half done.
        sound: kind of file -> its bytes.
        ended: what the undisturbed run left.
    """

    folder: Path
    sound: dict[str, bytes]
    ended: dict[str, str]


# ---- training in a process of its own -----------------------------------------------------------------


def train(run_dir: Path, save_every: float = 1e9, limit: int | None = None) -> None:
    """A short run of gfc; ``limit`` is the size in bytes that no file may exceed."""
    os.environ["TQDM_DISABLE"] = "1"
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115 (the process ends with it)
    if limit is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        fit(run_dir, save_every)
    except (ValueError, OSError) as error:
        sys.exit(REFUSED if len(str(error)) < 500 else 1)


def fit(run_dir: Path, save_every: float = 1e9) -> None:
    import torch

    import facecomp_lib as fc
    from facecomp_lib.papers import gfc

    torch.set_num_threads(1)
    method = fc.methods.build("gfc", size=32, width=0.0625, fc_dim=8)
    stages = [gfc.parsing_stage(STEPS, batch_size=4), *gfc.curriculum(32, [STEPS] * 3, batch_size=4)]
    fc.training.fit(method, fc.faces.embedded("val", 32), run_dir, stages=stages, accelerator="cpu",
                    save_every=save_every, callbacks=(), num_samples=1)  # fmt: skip


def start(*args: Any) -> Any:
    process = multiprocessing.get_context("forkserver").Process(target=train, args=args)
    process.start()
    return process


def ended(run_dir: Path) -> dict[str, str]:
    """Digests of what a run leaves for ever: its weights and its log."""
    files = sorted([*run_dir.glob("weights-*.safetensors"), *run_dir.glob("log.csv")])
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def resumed(run_dir: Path, world: World) -> str:
    process = start(run_dir)
    process.join(300)
    if process.exitcode != 0:
        return f"the call after it ended with {process.exitcode}"
    return "" if ended(run_dir) == world.ended else "weights or log differ"


def stop(chance: random.Random, world: World, place: Path) -> str:
    """Up to three signals at random moments."""
    for _ in range(chance.randint(1, 3)):
        process = start(place / "run", chance.choice([0.0, 0.3, 1e9]))
        process.join(chance.uniform(0, 6))
        if process.is_alive():
            os.kill(
                process.pid, chance.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
            )
        process.join(60)
        if process.is_alive():
            process.kill()
            return "a signal did not stop it within a minute"
    return resumed(place / "run", world)


def full_disk(chance: random.Random, world: World, place: Path) -> str:
    process = start(place / "run", 0.0, int(2 ** chance.uniform(0, 19)))
    process.join(120)
    if process.exitcode not in (0, REFUSED):
        return f"a full disk ended it with {process.exitcode}"
    return resumed(place / "run", world)


def processes(chance: random.Random, world: World, place: Path) -> str:
    several = [start(place / "run", 0.0) for _ in range(chance.randint(2, 4))]
    for process in several:
        process.join(300)
    codes = [process.exitcode for process in several]
    if 0 not in codes or not {0, REFUSED}.issuperset(codes):
        return f"{len(several)} processes in one folder ended with {codes}"
    return "" if ended(place / "run") == world.ended else "weights or log differ"


def flip(chance: random.Random, world: World, place: Path) -> str:
    """One bit of one file of a run that is half done or finished; then it is called again."""
    run_dir = place / "run"
    shutil.copytree(world.folder / chance.choice(["half", "whole"]), run_dir)
    files = [file for file in sorted(run_dir.rglob("*")) if file.is_file() and file.stat().st_size]
    names = {"log.csv", "state.json", "config.json", "card.json"}
    kept = [file for file in files if file.name in names or file.suffix == ".safetensors"]
    file = chance.choice(kept)
    data = bytearray(file.read_bytes())
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    file.write_bytes(data)
    try:
        with quiet():
            fit(run_dir)
    except (ValueError, OSError) as error:
        return "" if str(place) in str(error) else f"{file.name}: {type(error).__name__}: {error}"
    except Exception as error:
        return f"{file.name}: {type(error).__name__}: {error}"
    return "" if ended(run_dir) == world.ended else f"a bit of {file.name} changed what came out, silently"


# ---- files that are read ----------------------------------------------------------------------------------


def mutate(sound: bytes, chance: random.Random) -> bytes:
    """Change, cut, repeat or insert some bytes."""
    data = bytearray(sound)
    for _ in range(chance.choice([1, 1, 2, 8])):
        at, length = chance.randrange(len(data) + 1), int(2 ** chance.uniform(0, 8))
        match chance.choice(["flip", "flip", "set", "cut", "end", "repeat", "insert"]):
            case "flip" if at < len(data):
                data[at] ^= 1 << chance.randrange(8)
            case "set" if at < len(data):
                data[at] = chance.choice([0, 1, 127, 128, 255])
            case "cut":
                del data[at : at + length]
            case "end":
                del data[at:]
            case "repeat":
                data[at:at] = data[at : at + length]
            case _:
                data[at:at] = chance.randbytes(length)
        data = data or bytearray(1)
    return bytes(data)


def read(file: Path, call: Callable[[], Any], name: str = "") -> str:
    """A mutated file may be read; if not, it is refused in a sentence that names it."""
    try:
        with quiet():
            call()
    except (ValueError, OSError) as error:
        known = (name or file.name) in str(error) and len(str(error)) < 500
        return "" if known else f"{type(error).__name__}: {str(error)[:300]}"
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:300]}"
    return ""


def photograph(chance: random.Random, world: World, place: Path) -> str:
    import numpy as np

    import facecomp_lib as fc

    kind = chance.choice(["png", "jpg", "webp", "gif", "tiff", "bmp"])
    file = place / f"photo.{kind}"
    file.write_bytes(mutate(world.sound[kind], chance))
    landmarks = np.random.default_rng(0).uniform(10, 50, (68, 2))
    return read(file, lambda: fc.faces.from_photo(file, 32, landmarks))


def mask(chance: random.Random, world: World, place: Path) -> str:
    import facecomp_lib as fc

    file = place / f"mask.{chance.choice(['png', 'jpg'])}"
    file.write_bytes(mutate(world.sound["mask"], chance))
    return read(file, lambda: fc.masks.make(place, 32), name=str(place))


def prepared(chance: random.Random, world: World, place: Path) -> str:
    import facecomp_lib as fc

    folder = shutil.copytree(world.folder / "set", place / "set")
    file = chance.choice(sorted(folder.glob("*.json")) + sorted(folder.glob("*.arrow")))
    file.write_bytes(mutate(file.read_bytes(), chance))
    return read(file, lambda: list(fc.faces.folder(folder)), name=str(folder))


def checkpoint(chance: random.Random, world: World, place: Path) -> str:
    import facecomp_lib as fc

    for file in (world.folder / "checkpoint").iterdir():
        shutil.copy(file, place)
    file = chance.choice(sorted(place.iterdir()))
    file.write_bytes(mutate(file.read_bytes(), chance))
    return read(file, lambda: fc.methods.load(place / "mine.safetensors"), name=str(place))


def record(chance: random.Random, world: World, place: Path) -> str:
    import facecomp_lib as fc

    results = place / "gfc" / "results"
    results.mkdir(parents=True)
    csv, card = results / "tiny.csv.gz", results / "tiny.json"
    csv.write_bytes(world.sound["csv"])
    card.write_bytes(world.sound["card"])
    file = chance.choice([csv, card])
    if file == csv and chance.random() < 0.5:  # a sound archive of a damaged table
        file.write_bytes(gzip.compress(mutate(gzip.decompress(world.sound["csv"]), chance)))
    else:
        file.write_bytes(mutate(file.read_bytes(), chance))
    return read(file, lambda: fc.experiments.load("gfc/tiny", place).scores, name="tiny")


def experiment(chance: random.Random, world: World, place: Path) -> str:
    import facecomp_lib as fc

    (place / "gfc").mkdir()
    file = place / "gfc" / "tiny.yaml"
    file.write_bytes(mutate(world.sound["yaml"], chance))
    return read(file, lambda: fc.experiments.read_experiment("gfc/tiny", root=place), name="tiny")


Try = Callable[[random.Random, World, Path], str]  # what went wrong, or nothing
TRAINING: dict[str, Try] = {
    "training is stopped": stop,
    "the disk is full": full_disk,
    "several processes": processes,
    "a bit of a run flips": flip,
}
READING: dict[str, Try] = {
    "photograph": photograph,
    "mask": mask,
    "prepared set": prepared,
    "checkpoint": checkpoint,
    "record": record,
    "experiment": experiment,
}
KINDS = TRAINING | READING
IN_A_ROW = 25  # tries of reading for one of training, which takes so much longer


# ---- the campaign ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def quiet():
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield


def make_world(folder: Path) -> World:
    """Sound files of all kinds, a finished run and one that was stopped half-way."""
    import numpy as np
    from PIL import Image

    import facecomp_lib as fc

    points = fc.faces.embedded("test", 32).batch(range(4)).landmarks
    image = (fc.faces.embedded("test", 64)[0].image[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)
    sound = {}
    for kind in ("png", "jpg", "webp", "gif", "tiff", "bmp"):
        data = io.BytesIO()
        Image.fromarray(image).save(data, {"jpg": "jpeg"}.get(kind, kind))
        sound[kind] = data.getvalue()
    data = io.BytesIO()
    Image.fromarray(np.uint8(255 * (np.indices((32, 32)).sum(0) > 30))).save(data, "png")
    sound["mask"] = data.getvalue()
    writer = fc.faces.Writer(folder / "set", "tiny", 32)
    rows = [
        {
            "name": f"{k}",
            "split": "train",
            "identity": k,
            "image": image[:32, :32],
            "landmarks": np.asarray(points)[k],
        }
        for k in range(4)
    ]
    writer.add_part(0, rows)
    writer.finish()
    method = fc.methods.build("gfc", size=32, width=0.0625, fc_dim=8)
    (folder / "checkpoint").mkdir()
    fc.methods.save(method, folder / "checkpoint" / "mine")
    home = Path(__file__).resolve().parents[1] / "experiments" / "gfc"
    for name in ("csv", "card", "yaml"):
        path = {"csv": "results/photos.csv.gz", "card": "results/photos.json", "yaml": "ablation.yaml"}[name]
        sound[name] = (home / path).read_bytes()
    process = start(folder / "whole", 0.0)
    half = folder / "half"
    while process.is_alive():  # a copy of the run as it is in its third stage
        time.sleep(0.005)
        stages = len(list((folder / "whole").glob("weights-*.safetensors")))
        if stages == 2 and not half.exists():
            os.kill(process.pid, signal.SIGSTOP)
            shutil.copytree(folder / "whole", half)
            os.kill(process.pid, signal.SIGCONT)
    if process.exitcode != 0 or not half.exists():
        raise RuntimeError("an undisturbed run failed: nothing can be compared with it")
    return World(folder, sound, ended(folder / "whole"))


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="tools.campaign", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=KINDS, help="one kind")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="begin with try number N")
    options = parser.parse_args(arguments)
    os.environ["FACECOMP_OFFLINE"] = "1"
    kinds = [options.only] if options.only else list(KINDS)
    tries, failures = dict.fromkeys(kinds, 0), dict.fromkeys(kinds, 0)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["facecomp_lib.training.fit", "facecomp_lib.papers.gfc", "pyarrow"])
    with tempfile.TemporaryDirectory() as folder:
        world = make_world(Path(folder))
        end, number = time.monotonic() + 60 * options.minutes, options.first
        while time.monotonic() < end:
            for kind in kinds:
                row = range(number, number + (IN_A_ROW if kind in READING else 1))
                troubles = {place: attempt(kind, options.seed, place, world) for place in row}
                tries[kind] += len(row)
                failures[kind] += sum(map(bool, troubles.values()))
                for place, trouble in troubles.items():
                    if trouble:
                        print(f"{kind} {place}: {trouble}", flush=True)
            number += IN_A_ROW
    print("| what | tries | failures |\n| --- | --- | --- |")
    for kind in kinds:
        print(f"| {kind} | {tries[kind]:,} | {failures[kind]} |")
    return int(any(failures.values()))


def attempt(kind: str, seed: int, number: int, world: World) -> str:
    with tempfile.TemporaryDirectory() as place:
        return KINDS[kind](random.Random(f"{seed} {kind} {number}"), world, Path(place))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
