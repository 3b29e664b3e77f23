"""Copy a prepared folder and add parsing maps, which gfc's parser draws: photographs have none of their own.

    python data_scripts/parse_folder.py data/utk data/utk-parsed

The parser is the shipped checkpoint's, which has seen rendered faces only. A run that was stopped goes on
where it was when it is started again.
"""

import argparse
import hashlib
import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from tqdm.auto import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from facecomp_lib import faces, methods
from facecomp_lib.faces.store import Store
from facecomp_lib.faces.writer import Writer

PART, BATCH = 250, 25  # faces in a file, faces at a time


@torch.no_grad()
def parse_folder(source: Path, target: Path, parser: nn.Module, size: int) -> Path:
    """A copy of a prepared folder with parsing maps, as far as it is not there.

    Args:
        source, target: folders.
        parser: ``[B, 3, size, size]`` in [0, 1] -> logits ``[B, 11, size, size]``.
        size: px of what the parser sees.
    """
    store, seen = Store(source), faces.folder(source, None, size)
    columns = {name: store.column(name) for name in ("name", "split", "identity", "landmarks")}
    known = {name: store.known(name) for name in columns}
    origin: dict[str, Any] = {
        "version": str(store.meta.get("version", "")),
        "parser": digest(parser),
        "parser_size": size,
    }
    with Writer(target, str(store.meta["name"]), store.size, **origin) as writer:
        for part, start in enumerate(tqdm(range(0, len(store), PART), desc=f"parsing maps of {source}")):
            if writer.has_part(part):
                continue
            numbers = np.arange(start, min(start + PART, len(store)))
            batches = np.split(numbers, range(BATCH, len(numbers), BATCH))
            maps = torch.cat([parser(seen.batch(batch).image).argmax(1) for batch in batches])  # [B, S', S']
            maps = F.interpolate(maps[:, None].float(), (store.size, store.size)).byte()[:, 0]  # [B, S, S]
            records = [
                {
                    **{name: column[number] for name, column in columns.items() if known[name][number]},
                    "image": bytes(store.encoded("image", number)),
                    "parsing": encode(labels.numpy()),
                }
                for number, labels in zip(numbers, maps, strict=True)
            ]
            writer.add_part(part, records)
        return target if writer.finished else writer.finish()


def encode(labels: np.ndarray) -> bytes:
    """A parsing map, uint8 ``[S, S]``, as it is stored."""
    file = io.BytesIO()
    Image.fromarray(labels).save(file, "PNG")
    return file.getvalue()


def digest(network: nn.Module) -> str:
    """Of the weights, to tell one network from another."""
    values = (value.cpu().numpy().tobytes() for value in network.state_dict().values())
    return hashlib.sha256(b"".join(values)).hexdigest()


def main() -> int:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("source", type=Path, help="prepared folder")
    arguments.add_argument("target", type=Path, help="folder of the copy")
    given = arguments.parse_args()
    method = methods.pretrained("gfc")
    try:
        print(parse_folder(given.source, given.target, method.networks["parser"], method.size))
    except (ValueError, OSError) as error:
        print(f"parse_folder: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
