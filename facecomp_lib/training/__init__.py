"""Training of methods: ``fit`` goes through their stages, ``Run`` is what comes out.

run = fc.training.fit(method, faces, "runs/gfc", preset="lesson")
"""

from facecomp_lib.training.fit import fit
from facecomp_lib.training.run import Run

__all__ = ["Run", "fit"]
