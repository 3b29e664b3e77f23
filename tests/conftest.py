"""What every test may count on: no windows, no preset from outside, one thread a process, equal examples."""

import contextlib
import ctypes
import functools
import gc
import os
import sys

import pytest
from hypothesis import settings

os.environ["MPLBACKEND"] = "Agg"
os.environ.setdefault("OMP_NUM_THREADS", "1")

# What passes here passes for everybody.
settings.register_profile("course", derandomize=True, deadline=None)
settings.load_profile("course")


@pytest.fixture(scope="module", autouse=True)
def give_memory_back():
    """After each file of tests: the library forgets networks and faces that it keeps for the next call.

    Without it, a process that runs all files in turn holds them all at once.
    """
    yield
    for name, module in list(sys.modules.items()):
        for value in list(vars(module).values()) if name.startswith("facecomp_lib") else ():
            if isinstance(value, functools._lru_cache_wrapper) and value.__module__ == name:
                value.cache_clear()
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # glibc alone keeps freed memory until it is told
        ctypes.CDLL("libc.so.6").malloc_trim(0)
