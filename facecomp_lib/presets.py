"""How big a lesson's run is: seconds for a check, minutes for a student, the paper's own size for a GPU."""

import os

PRESETS = ("smoke", "lesson", "full")
VARIABLE = "FACECOMP_PRESET"


def preset(name: str = "lesson") -> str:
    """The preset a lesson should use: `name`, unless the environment variable FACECOMP_PRESET says another.

    `smoke` takes seconds and only shows that every cell runs, `lesson` trains at most some two minutes on two
    CPU cores, `full` has the paper's sizes and schedule and wants a GPU. Raises ValueError for another name,
    whether it came from the argument or from the variable.
    """
    _check(name, "preset")
    return _check(os.environ.get(VARIABLE) or name, VARIABLE)


def _check(name: str, where: str) -> str:
    if not isinstance(name, str) or name not in PRESETS:
        shown = repr(name) if isinstance(name, str) else type(name).__name__
        raise ValueError(f"{where} is {shown[:80]}; choose one of {', '.join(PRESETS)}")
    return name
