"""Prepare a folder or zip of photographs: aligned faces with landmarks, for `facecomp_lib.faces.folder`.

    python data_scripts/prepare_folder.py photos/ data/photos --size 256
    python data_scripts/prepare_folder.py utk.zip data/utk --size 128 --zoom 1.55 --labels labels.csv

A killed run goes on when it is started again. manifest.csv in the result lists every image, also of formats
that cannot be read, with the reason where it was rejected. Keep in mind whose faces these are: see
RESPONSIBLE_USE.md.
"""

import argparse
import os
import sys
import warnings
from concurrent.futures import BrokenExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from facecomp_lib.faces import prepare
from facecomp_lib.utils.files import printable


def main() -> int:
    defaults = prepare.Options()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", help="folder or zip file of images")
    parser.add_argument("folder", help="the prepared data set: a fresh folder, or one to go on with")
    parser.add_argument("--size", type=int, default=defaults.size, help="side in pixels (%(default)s)")
    parser.add_argument(
        "--zoom",
        type=float,
        default=defaults.zoom,
        help="1 is the course's frame; more cuts tighter, for tightly cut sources (%(default)s)",
    )
    parser.add_argument(
        "--labels", help="CSV: file, identity, split, attributes, numbers (on disk or in the zip)"
    )
    parser.add_argument("--landmarks", help=".npy [N, 68, 2] of known landmarks, instead of a detector")
    parser.add_argument("--detector", choices=("dlib", "face-alignment"), help="default: the best to be had")
    parser.add_argument("--min-face", type=int, help="least side of the cut square in the photo (size / 2)")
    parser.add_argument(
        "--max-outside",
        type=float,
        default=defaults.max_outside,
        help="share of an image that may lie beyond the photo's edge (%(default)s)",
    )
    parser.add_argument("--limit", type=int, help="the first so many images only")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (%(default)s)")
    given = parser.parse_args()
    warnings.formatwarning = lambda message, *_: f"prepare_folder: {message}\n"
    try:
        options = prepare.Options(
            size=given.size,
            zoom=given.zoom,
            min_face=given.min_face,
            limit=given.limit,
            max_outside=given.max_outside,
            detector=given.detector,
        )
        counts = prepare.prepare(
            given.source, given.folder, options, given.labels, given.landmarks, given.workers
        )
    except (ValueError, OSError, ImportError) as error:
        print(f"prepare_folder: {error}", file=sys.stderr)
        return 1
    except BrokenExecutor:
        print(
            "prepare_folder: a process died, perhaps for lack of memory; the same command goes on from here, "
            "--workers 1 needs least.",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print("prepare_folder: stopped; the same command goes on from here.", file=sys.stderr)
        return 130
    total, kept = sum(counts.values()), counts.pop("kept")
    print(f"{printable(given.folder)}: {kept} of {total} images kept")
    for reason, count in counts.items():
        print(f"  {count} rejected: {reason}")
    if counts.get("leaves the image", 0) > total / 4:
        print("  The images are cut tighter than the frame: try --zoom 1.5, or --max-outside 0.6.")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
