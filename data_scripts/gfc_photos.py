"""Train gfc on photographs and measure it on held-out ones: numbers only, no picture leaves the folder.

    python data_scripts/prepare_folder.py utk.zip data/utk --size 128 --zoom 1.55 --labels labels.csv
    python data_scripts/gfc_photos.py runs/gfc-photos data/utk --also data/lfw

Photographs have no parsing labels: the parsing network is the shipped checkpoint's, which has seen rendered
faces only. A run that was stopped goes on where it was when started again.
"""

import argparse
import json
import sys
from pathlib import Path

from safetensors.torch import load_file

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data_scripts.models_by_seed import blended
from facecomp_lib import classical, evaluation, faces, methods, training
from facecomp_lib.papers.gfc import curriculum

RESULTS = Path(__file__).resolve().parents[1] / "facecomp_lib" / "results"
MEASURES = ("psnr", "ssim", "lpips", "psnr_hole", "ssim_hole", "identity")
HOLES = ("center", "random_square", "gfc_o1", "gfc_o3", "gfc_o6")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("faces", help="prepared folder; its train split is learned, its test split measured")
    parser.add_argument("--also", nargs="*", default=[], help="prepared folders of which all is test")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--width", type=float, default=0.25)
    parser.add_argument("--fc-dim", type=int, default=128)
    parser.add_argument("--steps", type=int, nargs=3, default=(4000, 2000, 1500), metavar="N")
    parser.add_argument("--parser", type=Path, help="weights of a parsing stage, instead of the shipped ones")
    parser.add_argument("--limit", type=int, default=300, help="test faces of each folder (%(default)s)")
    parser.add_argument("--precision", default="bf16-mixed")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()

    data = faces.folder(given.faces, "train", given.size)
    method = methods.build(
        "gfc", seed=given.seed, size=given.size, width=given.width, fc_dim=given.fc_dim, norm=True
    )
    if given.parser is None:
        method.parser.load_state_dict(methods.pretrained("gfc").parser.state_dict())
    else:
        own = {key: value for key, value in load_file(given.parser).items() if key.startswith("parser.")}
        method.load_state_dict({**method.state_dict(), **own})
    stages = curriculum(given.size, given.steps, lr=1e-3, critics=(given.size / 128) ** 2)
    run = training.fit(
        method, data, given.run_dir, stages=stages, seed=given.seed,
        validation=faces.folder(given.faces, "val", given.size), precision=given.precision,
    )  # fmt: skip

    fills = {
        "gfc": run.method,
        "gfc, blended": blended(run.method),
        **{kind: kind for kind in classical.KINDS},
    }
    sets = {Path(given.faces).name: faces.folder(given.faces, "test", given.size)}
    sets |= {Path(path).name: faces.folder(path, None, given.size) for path in given.also}
    rows = [row for name, test in sets.items() for row in measured(name, test, fills, given.limit)]
    card = {
        "run": run.card,
        "crop": data.meta.get("zoom"),
        "limit": given.limit,
        "critics": (given.size / 128) ** 2,
        "rows": rows,
    }
    RESULTS.mkdir(exist_ok=True)
    target = RESULTS / f"gfc_photos_{given.size}.json"
    target.write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    print(target)
    return 0


def measured(name, test, fills, limit):
    """A row per fill, hole and measure: mean and 95 % interval over the test faces."""
    comparison = evaluation.evaluate(fills, test, HOLES, MEASURES, min(limit, len(test)))
    print(name, comparison, sep="\n")
    for fill in fills:
        for hole in HOLES:
            for measure in MEASURES:
                found = comparison.estimate(measure, fill, hole)
                values = [round(value, 4) for value in (found.mean, found.low, found.high)]
                yield {"faces": name, "hole": hole, "fill": fill, "measure": measure, "n": found.n,
                       "mean": values[0], "low": values[1], "high": values[2]}  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
