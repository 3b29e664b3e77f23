"""Train lafin on photographs and measure it on held-out ones: numbers only, no image leaves the folders.

    python data_scripts/prepare_folder.py utk.zip data/utk --size 128 --zoom 1.55 --labels labels.csv
    python data_scripts/lafin_photos.py runs/lafin-photos data/utk --also data/lfw --steps 900 --limit 50

Landmarks are those that the folders were prepared with (dlib's, for instance), so NME says how well lafin
finds under a hole what the detector found without one. A run that was stopped goes on where it was when
started again.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data_scripts.locating import HOLES, MEASURES, average_face, compared, run_options, trained
from data_scripts.models_by_seed import RESULTS, carried_out, rows_of, write_card
from facecomp_lib import faces


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("faces", help="prepared folder; its train split is learned, its test split measured")
    parser.add_argument("--also", nargs="*", default=[], help="prepared folders of which all is test")
    run_options(parser, size=64, steps=1000, locate_steps=3000, dot=3)
    parser.add_argument("--limit", type=int, default=300, help="test faces of each folder (%(default)s)")
    parser.add_argument("--results", type=Path, help="default: facecomp_lib/results/lafin_photos_SIZE.json")
    given = parser.parse_args()
    return carried_out("lafin_photos", lambda: work(given))


def work(given: argparse.Namespace) -> None:
    """Train, measure, record."""
    data, validation, test = (
        faces.folder(given.faces, split, given.size) for split in ("train", "val", "test")
    )
    sets = {Path(given.faces).name: test}
    sets |= {Path(path).name: faces.folder(path, None, given.size) for path in given.also}
    run = trained(given.run_dir, data, validation, given)
    rows: list[dict[str, Any]] = []
    for name, seen in sets.items():
        comparison = compared(run.method, seen, HOLES, MEASURES, given.limit, average_face(data))
        print(name, comparison, sep="\n\n")
        rows += rows_of(name, comparison, {key: key for key in comparison.measures})
    card = {"predictor": run.predictor, "generator": run.generator, "limit": given.limit, "rows": rows}
    write_card(given.results or RESULTS / f"lafin_photos_{given.size}.json", card)


if __name__ == "__main__":
    sys.exit(main())
