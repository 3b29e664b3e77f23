"""Train collagan on photographs and measure it on held-out ones: numbers only, no image leaves the folders.

    python data_scripts/prepare_folder.py utk.zip data/utk --size 128 --zoom 1.55 --labels labels.csv
    python data_scripts/collagan_photos.py runs/collagan-photos data/utk --also data/lfw

Photographs have landmarks, but no parsing maps. As in the paper, gfc's parsing network draws them: by default
the shipped checkpoint's, which has seen rendered faces only. Each folder is copied into run_dir together with
its maps, once. Dice is measured against that network's maps of the undamaged photographs, so it says how well
collagan does under a hole what the network does without one, not how right either is (`dice_to_parser`).

M*_isd and M_i are trained, and measured on photographs out of place. A run that was stopped goes on where it
was when started again.
"""

import argparse
import hashlib
import io
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from tqdm.auto import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data_scripts.models_by_seed import RESULTS, rows_of, short, write_card
from data_scripts.parsing import parsing_network
from data_scripts.understanding import IMAGE, LR, SIDE, compared
from facecomp_lib import faces, methods, training
from facecomp_lib.faces.store import Store, Writer
from facecomp_lib.papers.collagan import UNALIGNED, together

MODELS: dict[str, dict[str, Any]] = {
    "M*_isd": {"tasks": "isd"},
    "M_i": {"tasks": "i", "concentrated": False},
}
HOLES = ("random_square", "collagan_o1", "collagan_o3", "collagan_o4", "collagan_o6", "pattern")
MEASURES = IMAGE
UNDERSTOOD = {  # as measured -> as recorded
    "dice": "dice_to_parser",
    "dice_hole": "dice_hole_to_parser",
    "landmark_error": "landmark_error",
    "landmark_error_hole": "landmark_error_hole",
}
PART = 250  # faces


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("faces", help="prepared folder; its train split is learned, its test split measured")
    parser.add_argument("--also", nargs="*", default=[], help="prepared folders of which all is test")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--width", type=float, default=0.25)
    parser.add_argument("--steps", type=int, default=6000, help="of each model (%(default)s)")
    parser.add_argument("--models", nargs="+", choices=[short(name) for name in MODELS], help="(all)")
    parser.add_argument("--parser", type=Path, help="weights with a parsing network, instead of the shipped")
    parser.add_argument("--parser-size", type=int, default=128, help="px that it looks at (%(default)s)")
    parser.add_argument("--limit", type=int, default=300, help="test faces of each folder (%(default)s)")
    parser.add_argument("--precision", default="bf16-mixed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--results", type=Path, help="default: facecomp_lib/results/collagan_photos_SIZE.json"
    )
    given = parser.parse_args()

    network = parsing_network(given.parser)
    copies = {
        Path(path).name: labelled(
            path, given.run_dir / "labelled" / Path(path).name, network, given.parser_size
        )
        for path in (given.faces, *given.also)
    }
    home, *others = copies
    names = [name for name in MODELS if not given.models or short(name) in given.models]
    runs = {name: trained(name, given, copies[home]) for name in names}
    sets = {home: faces.folder(copies[home], "test", given.size)}
    sets |= {name: faces.folder(copies[name], None, given.size) for name in others}
    models = {name: run.method for name, run in runs.items()}
    card = {
        "runs": {name: run.card for name, run in runs.items()},
        "parser": {"sha256": digest(network), "size": given.parser_size},
        "moved": asdict(UNALIGNED),
        "limit": given.limit,
        "landmark_error": f"px of {SIDE}",
        "rows": [
            row
            for name, data in sets.items()
            for row in measured(name, data.with_augmentation(UNALIGNED, seed=0), models, given.limit)
        ],
    }
    write_card(given.results or RESULTS / f"collagan_photos_{given.size}.json", card)
    return 0


# ------------------------------------------------------------------------------------------ parsing maps


def digest(network: nn.Module) -> str:
    """Of the weights, to tell one network from another."""
    values = (value.cpu().numpy().tobytes() for value in network.state_dict().values())
    return hashlib.sha256(b"".join(values)).hexdigest()


@torch.no_grad()
def labelled(source: str, target: Path, network: nn.Module, size: int) -> Path:
    """A copy of a prepared folder with the parsing maps that a network draws; as far as it is not there.

    Args:
        source, target: folders.
        network: ``[B, 3, size, size]`` -> logits ``[B, 11, size, size]``.
        size: px of what the network looks at.
    """
    store = Store(source)
    seen = faces.folder(source, None, size)
    columns = {name: store.column(name) for name in ("name", "split", "identity", "landmarks")}
    origin = {"version": str(store.meta.get("version", "")), "parser": digest(network), "parser_size": size}
    writer = Writer(target, str(store.meta["name"]), store.size, **origin)
    starts = range(0, len(store), PART)
    for index, start in enumerate(tqdm(starts, desc=f"parsing maps of {store.folder.name}")):
        if writer.has_part(index):
            continue
        numbers = range(start, min(start + PART, len(store)))
        batches = [seen.batch(numbers[k : k + 25]).image for k in range(0, len(numbers), 25)]
        maps = torch.cat([network(batch).argmax(1) for batch in batches])
        maps = F.interpolate(maps[:, None].float(), (store.size, store.size)).byte()[:, 0]  # the nearest
        records = [
            {
                **{name: column[number] for name, column in columns.items()},
                "image": bytes(store.encoded("image", number)),
                "parsing": png(drawn.numpy()),
            }
            for number, drawn in zip(numbers, maps, strict=True)
        ]
        writer.add_part(index, records)
    return writer.finish()


def png(labels: np.ndarray) -> bytes:
    """A parsing map, uint8 ``[S, S]``, as it is stored."""
    file = io.BytesIO()
    Image.fromarray(labels).save(file, "PNG")
    return file.getvalue()


# ---------------------------------------------------------------------------------- training, measuring


def trained(name: str, given: argparse.Namespace, copy: Path) -> training.Run:
    """Train one model, as far as that is not done."""
    method = methods.build("collagan", seed=given.seed, size=given.size, width=given.width, **MODELS[name])
    return training.fit(
        method, faces.folder(copy, "train", given.size), given.run_dir / short(name),
        stages=[together(MODELS[name]["tasks"], given.steps, lr=LR)], seed=given.seed,
        validation=faces.folder(copy, "val", given.size), precision=given.precision,
    )  # fmt: skip


def measured(
    name: str, test: faces.FaceDataset, models: Mapping[str, methods.Method], limit: int
) -> Iterator[dict[str, Any]]:
    """A row per fill, hole and measure: mean and 95 % interval over people."""
    comparison = compared(models, test, HOLES, MEASURES, limit)
    known = [measure for measure in (*MEASURES, *UNDERSTOOD) if measure in comparison.measures]
    print(name, *(comparison.table(measure) for measure in known), sep="\n\n")
    return rows_of(name, comparison, {measure: UNDERSTOOD.get(measure, measure) for measure in known})


if __name__ == "__main__":
    sys.exit(main())
