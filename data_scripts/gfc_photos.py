"""Train gfc on photographs and measure it on held-out ones: numbers only, no image leaves the folder.

    python data_scripts/prepare_folder.py utk.zip data/utk --size 128 --zoom 1.55 --labels labels.csv
    python data_scripts/gfc_photos.py runs/gfc-photos data/utk --also data/lfw

Photographs have no parsing labels: the parsing network is the shipped checkpoint's, which has seen rendered
faces only. A run that was stopped goes on where it was when started again.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data_scripts.models_by_seed import RESULTS, fills_of, rows_of, write_card
from data_scripts.parsing import parsing_network
from facecomp_lib import evaluation, faces, methods, training
from facecomp_lib.papers.gfc import curriculum

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
    method.parser.load_state_dict(parsing_network(given.parser).state_dict())
    discriminators = (given.size / 128) ** 2
    stages = curriculum(given.size, given.steps, lr=1e-3, discriminators=discriminators)
    run = training.fit(
        method, data, given.run_dir, stages=stages, seed=given.seed,
        validation=faces.folder(given.faces, "val", given.size), precision=given.precision,
    )  # fmt: skip

    fills = fills_of({"gfc": run.method})
    sets = {Path(given.faces).name: faces.folder(given.faces, "test", given.size)}
    sets |= {Path(path).name: faces.folder(path, None, given.size) for path in given.also}
    rows = [row for name, test in sets.items() for row in measured(name, test, fills, given.limit)]
    card = {"run": run.card, "limit": given.limit, "critics": discriminators, "rows": rows}
    write_card(RESULTS / f"gfc_photos_{given.size}.json", card)
    return 0


def measured(name, test, fills, limit):
    """A row per fill, hole and measure: mean and 95 % interval over the test faces."""
    comparison = evaluation.evaluate(fills, test, HOLES, MEASURES, limit)
    print(name, comparison, sep="\n")
    return rows_of(name, comparison, {measure: measure for measure in MEASURES})


if __name__ == "__main__":
    sys.exit(main())
