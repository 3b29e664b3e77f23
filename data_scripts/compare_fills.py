"""Compare the classical fills: complete held-out faces, print a table per measure, save every score as CSV.

    python data_scripts/compare_fills.py --csv runs/fills.csv
    python data_scripts/compare_fills.py --faces data/utk --split test --limit 200 --holes center half_left

Intervals are bootstrapped over faces. The scores of an image are numbers, no images are kept.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from facecomp_lib import classical, evaluation, faces, masks

MEASURES = ("psnr", "psnr_hole", "ssim", "ssim_hole", "l1", "l1_hole", "lpips")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faces", help="prepared data set; default: the embedded faces")
    parser.add_argument("--split", default="test", help="train, val, test (%(default)s), or all of a folder")
    parser.add_argument("--size", type=int, help="side in pixels (the data set's)")
    parser.add_argument("--limit", type=int, help="so many faces, drawn by the seed (all)")
    parser.add_argument("--fills", nargs="+", default=list(classical.KINDS), metavar="FILL")
    parser.add_argument("--holes", nargs="+", default=list(masks.KINDS), metavar="KIND")
    parser.add_argument(
        "--measures",
        nargs="+",
        default=list(MEASURES),
        metavar="NAME",
        help=f"of {', '.join((*evaluation.MEASURES, 'identity', 'kid'))} (default: all but the last two)",
    )
    parser.add_argument("--baseline", help="print differences from this fill, too")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=16, help="faces at a time (%(default)s)")
    parser.add_argument("--csv", help="save the scores of every image here")
    given = parser.parse_args()
    try:
        if given.baseline and given.baseline not in given.fills:
            raise ValueError(f"--baseline {given.baseline} is not among the fills: {', '.join(given.fills)}.")
        dataset = _dataset(given)
        comparison = evaluation.evaluate(
            given.fills, dataset, given.holes, given.measures, given.limit, given.seed, given.batch
        )
        _show(given, dataset, comparison)
    except (ValueError, OSError, ImportError) as error:
        print(f"compare_fills: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("compare_fills: stopped; nothing is saved.", file=sys.stderr)
        return 130
    return 0


def _show(given: argparse.Namespace, dataset: faces.FaceDataset, comparison: evaluation.Comparison) -> None:
    print(dataset, comparison, sep="\n\n")
    if given.baseline:
        tables = (comparison.differences(measure, given.baseline) for measure in comparison.measures)
        print("", *tables, sep="\n\n")
    if given.csv:
        comparison.to_csv(given.csv)
        print(f"\nevery score: {given.csv}")


def _dataset(given: argparse.Namespace) -> faces.FaceDataset:
    if given.faces is None:
        return faces.embedded(given.split, **({"size": given.size} if given.size else {}))
    return faces.folder(given.faces, None if given.split == "all" else given.split, given.size)


if __name__ == "__main__":
    sys.exit(main())
