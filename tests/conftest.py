"""What every test may count on: no windows, no preset from outside, one thread per process."""

import os

os.environ["MPLBACKEND"] = "Agg"
os.environ.setdefault("OMP_NUM_THREADS", "1")
