"""Which split a person belongs to: a hash of the identity; neither order nor later additions move it."""

from __future__ import annotations

import hashlib

__all__ = ["SPLITS", "split_of"]

SPLITS = ("train", "val", "test")


def split_of(identity: str | int, val: float = 0.08, test: float = 0.12, salt: str = "") -> str:
    """``"train"``, ``"val"`` or ``"test"`` for a person; the same for all images of that person.

    Args:
        identity: number or name of the person; an image's name where people are unknown.
        val, test: shares of the people, in [0, 1], together at most 1.
        salt: another text gives another split.
    """
    if not (0 <= val <= 1 and 0 <= test <= 1 and val + test <= 1):
        raise ValueError(f"val and test are shares that sum to at most 1, not {val} and {test}.")
    digest = hashlib.sha256(f"{salt}/{identity}".encode("utf-8", "surrogatepass")).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    if place < test:
        return "test"
    return "val" if place < test + val else "train"
