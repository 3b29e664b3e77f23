"""Damaged files."""

import numpy as np


def mutated(data, random):
    """A file with one to four random changes: bytes replaced, dropped, put in.

    Args:
        data: bytes.
        random: a NumPy generator.
    """
    data = bytearray(data)
    for _ in range(random.integers(1, 5)):
        at, width = random.integers(len(data)), random.integers(1, 9)
        new = random.integers(0, 256, width, np.uint8).tobytes()
        data[at : at + width * random.integers(0, 2)] = new if random.random() < 0.7 else b""
    return bytes(data)
