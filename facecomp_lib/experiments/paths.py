"""Where experiments lie: ``experiments/<paper>/<name>.yaml`` in the repository, results beside them."""

import os
from pathlib import Path

ROOT = Path(os.environ.get("FACECOMP_EXPERIMENTS") or Path(__file__).parents[2] / "experiments")
