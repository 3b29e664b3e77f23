"""Hairstyles as a table: what each one means for the growth of hair, and how often it is worn."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

#: How often men and women wear a hairstyle.
HAIRSTYLES = {
    "buzz": (0.12, 0.01),
    "crop": (0.20, 0.02),
    "side part": (0.20, 0.02),
    "swept back": (0.13, 0.01),
    "messy": (0.14, 0.02),
    "curly": (0.07, 0.08),
    "afro": (0.02, 0.03),
    "bald": (0.07, 0),
    "longish": (0.05, 0.06),
    "pixie": (0, 0.09),
    "bob": (0, 0.15),
    "long": (0, 0.26),
    "wavy": (0, 0.17),
    "fringe": (0, 0.10),
    "tied back": (0.0, 0.13),
}


@dataclass(frozen=True)
class Style:
    """How scalp hair grows. Lengths and heights in metres, lift in degrees from lying flat."""

    top: float = 0.04
    side: float = 0.015
    nape: float = 0.015
    lift: float = 20.0
    layer: float = 0.010  # how far hair may stand off the skull
    out: float = 1.0  # combing: away from the crown,
    back: float = 0.0  # backwards,
    across: float = 0.0  # to both sides of the parting,
    over: float = 0.0  # or all to one side
    parting: float = 0.0  # x of the parting
    weight: float = 0.5  # pull of gravity
    curl: float = 0.0  # radius of curls
    turns: float = 3.0
    frizz: float = 0.1
    clump: float = 0.3
    fringe: float = 0.0  # length of hair combed onto the forehead
    open_face: bool = True  # hair falls beside the face
    count: int = 3800


# An entry of the table is a number, a range (low, high), or one of the draws below. Draws know the hair's
# length `long`, drawn where the entry "long" stands, and one random side of the head (-1 or 1) per style.
Draw = Callable[[np.random.Generator, float, int], float]
Entry = float | tuple[float, float] | Draw


def _number(rng, low, high=None):
    return low if high is None else rng.uniform(low, high)


def of_long(low, high=None, plus=0.0) -> Draw:
    """A share of the hair's length, plus something."""
    return lambda rng, long, side: _number(rng, low, high) * long + plus


def to_side(low, high=None) -> Draw:
    """Towards the random side."""
    return lambda rng, long, side: side * _number(rng, low, high)


def to_other_side(low, high=None) -> Draw:
    """Away from the random side."""
    return lambda rng, long, side: -side * _number(rng, low, high)


def middle_or_side(low, high) -> Draw:
    """Zero, or something towards the random side: one as likely as the other."""
    return lambda rng, long, side: rng.choice([0, side * rng.uniform(low, high)])


def sometimes(chance, low, high=None) -> Draw:
    """Zero unless a coin falls."""
    return lambda rng, long, side: _number(rng, low, high) if rng.random() < chance else 0.0


def _bob(low, high) -> dict[str, Entry]:
    """Hair that ends between jaw and shoulders."""
    return {
        "parting": middle_or_side(0.015, 0.035),
        "long": (low, high),
        "top": of_long(1.15),
        "side": of_long(0.85),
        "nape": of_long(0.6),
        "lift": 10,
        "layer": (0.010, 0.020),
        "out": 0.5,
        "across": 1.2,
        "back": (0, 0.5),
        "curl": (0, 0.003),
        "turns": 2,
        "frizz": 0.08,
        "clump": 0.35,
        "weight": (0.8, 1.2),
        "fringe": sometimes(0.3, 0.05, 0.06),
    }


#: Entries are drawn from top to bottom: their order is part of what a seed means.
TABLE: Mapping[str, Mapping[str, Entry]] = {
    "buzz": {
        "top": (0.004, 0.008),
        "side": (0.003, 0.005),
        "nape": 0.003,
        "lift": 55,
        "layer": 0.006,
        "frizz": 0.25,
        "weight": 0,
        "count": 6500,
    },
    "crop": {
        "top": (0.018, 0.032),
        "side": (0.006, 0.014),
        "nape": 0.008,
        "lift": (15, 40),
        "layer": (0.008, 0.014),
        "over": (-0.6, 0.6),
        "frizz": 0.3,
        "weight": 0.2,
        "fringe": (0, 0.012),
    },
    "side part": {
        "top": (0.05, 0.075),
        "side": (0.014, 0.026),
        "nape": 0.014,
        "lift": (15, 30),
        "layer": (0.012, 0.020),
        "out": 0.35,
        "over": to_side(1.5),
        "back": (0.2, 0.9),
        "parting": to_other_side(0.015, 0.035),
        "frizz": 0.12,
        "weight": 0.3,
    },
    "swept back": {
        "top": (0.05, 0.085),
        "side": (0.010, 0.022),
        "nape": 0.016,
        "lift": (25, 55),
        "layer": (0.012, 0.024),
        "out": 0.1,
        "back": 2.0,
        "over": (-0.4, 0.4),
        "frizz": 0.12,
        "weight": 0.15,
    },
    "messy": {
        "top": (0.035, 0.06),
        "side": (0.018, 0.03),
        "nape": 0.02,
        "lift": (25, 50),
        "layer": (0.014, 0.024),
        "over": (-0.8, 0.8),
        "frizz": 0.55,
        "clump": 0.7,
        "weight": 0.25,
        "fringe": (0, 0.02),
    },
    "curly": {
        "long": (0.04, 0.16),
        "top": of_long(1.0),
        "side": of_long(0.4, 1),
        "nape": of_long(0.5, 1),
        "lift": 50,
        "layer": (0.018, 0.032),
        "curl": (0.004, 0.007),
        "turns": of_long(45, plus=3),
        "frizz": 0.45,
        "clump": 0.6,
        "weight": 0.25,
        "over": (-0.6, 0.6),
    },
    "afro": {
        "long": (0.03, 0.07),
        "top": of_long(1.0),
        "side": of_long(0.6, 1),
        "nape": of_long(0.8),
        "lift": 80,
        "layer": of_long(1.0),
        "curl": 0.004,
        "turns": 4,
        "frizz": 0.9,
        "clump": 0.2,
        "weight": 0,
        "count": 4800,
    },
    "bald": {"count": 0},
    "longish": _bob(0.09, 0.14),
    "pixie": {
        "top": (0.05, 0.08),
        "side": (0.025, 0.045),
        "nape": 0.025,
        "lift": (12, 25),
        "layer": (0.010, 0.018),
        "out": 0.5,
        "over": to_side(1.2),
        "parting": to_other_side(0.01, 0.03),
        "frizz": 0.2,
        "weight": 0.5,
        "fringe": (0.0, 0.03),
    },
    "bob": _bob(0.13, 0.19),
    "long": {
        "parting": middle_or_side(0.015, 0.035),
        "long": (0.24, 0.34),
        "top": of_long(1.0),
        "side": of_long(1.0),
        "nape": of_long(1.0),
        "lift": 10,
        "layer": (0.010, 0.018),
        "out": 0.5,
        "across": 1.2,
        "back": (0, 0.7),
        "curl": (0, 0.003),
        "turns": 2,
        "frizz": 0.07,
        "clump": 0.4,
        "weight": 1.0,
    },
    "wavy": {
        "parting": middle_or_side(0.015, 0.035),
        "long": (0.24, 0.32),
        "top": of_long(1.0),
        "side": of_long(1.0),
        "nape": of_long(1.0),
        "lift": 18,
        "layer": (0.014, 0.026),
        "out": 0.5,
        "across": 1.2,
        "back": (0, 0.8),
        "curl": (0.005, 0.010),
        "turns": (3, 6),
        "frizz": 0.14,
        "clump": 0.75,
        "weight": 0.7,
    },
    "fringe": {
        "parting": middle_or_side(0, 0),  # always the middle
        "long": (0.16, 0.32),
        "top": of_long(1.0),
        "side": of_long(1.0),
        "nape": of_long(1.0),
        "lift": 10,
        "layer": (0.010, 0.020),
        "out": 0.5,
        "across": 1.0,
        "frizz": 0.08,
        "clump": 0.35,
        "weight": 1.0,
        "fringe": (0.045, 0.062),
        "curl": (0, 0.002),
        "turns": 2,
    },
    "tied back": {
        "top": 0.14,
        "side": 0.10,
        "nape": 0.05,
        "lift": 2,
        "layer": (0.003, 0.005),
        "out": 0,
        "back": 2.0,
        "across": sometimes(0.5, 0.2),
        "frizz": 0.03,
        "weight": 0.04,
        "clump": 0.1,
    },
}


def style(name, rng):
    """A random `Style` of the named hairstyle.

    Args:
        name: a key of `HAIRSTYLES`; ValueError otherwise.
        rng: numpy Generator.
    """
    if name not in TABLE:
        raise ValueError(f"Unknown hairstyle {name!r}; choose one of: {', '.join(TABLE)}.")
    side = 1 if rng.random() < 0.5 else -1
    values: dict = {"long": 0.0}
    for key, entry in TABLE[name].items():
        if callable(entry):
            values[key] = entry(rng, values["long"], side)
        else:
            values[key] = rng.uniform(*entry) if isinstance(entry, tuple) else entry
    del values["long"]
    return Style(**values)
