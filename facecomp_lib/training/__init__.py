"""Training of methods: ``fit`` goes through their stages, ``Run`` comes out, ``collect`` compares runs.

run = fc.training.fit(method, faces, "runs/gfc", preset="lesson")
fc.training.add_metrics(run.run_dir, psnr=24.1)
fc.training.collect("runs")
"""

from facecomp_lib.training.fit import fit
from facecomp_lib.training.run import Run
from facecomp_lib.training.run_log import Callback
from facecomp_lib.training.sweep import Runs, add_metrics, collect
from facecomp_lib.utils.doors import doors

__all__ = ["Callback", "Run", "Runs", "add_metrics", "collect", "fit"]

doors(globals(), __all__)
