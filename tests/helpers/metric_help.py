"""Shared by the tests of measures: images to compare, and the way to other people's measures."""

import pytest
import torch

import facecomp_lib as fc
from facecomp_lib import weights


def others():
    """torchmetrics, which imports torchvision, which a CPU-only torch cannot import as it is."""
    from facecomp_lib.weights.torchvision_fix import ensure_torchvision

    ensure_torchvision()
    import torchmetrics

    return torchmetrics


def need(*names):
    """Skip unless these weights are here; nothing is fetched."""
    absent = [name for name in names if not weights.available(name)]
    if absent:
        pytest.skip(f"{absent} not in {weights.cache_dir()}: 'python3 course.py setup' brings them")


def fills(count=6, size=128, kind="telea"):
    """Completions of a centre hole, the true faces, and the masks."""
    faces = fc.faces.embedded("test", size)[:count]
    mask = fc.masks.make("center", size, count)
    return fc.classical.complete(faces.image, mask, kind).composite, faces.image, mask


def noise(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))
