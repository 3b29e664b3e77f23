"""What every test may count on: no windows, no preset from outside, one thread a process, equal examples."""

import os

from hypothesis import settings

os.environ["MPLBACKEND"] = "Agg"
os.environ.setdefault("OMP_NUM_THREADS", "1")

# What passes here passes for everybody.
settings.register_profile("course", derandomize=True, deadline=None)
settings.load_profile("course")
