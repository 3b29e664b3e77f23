"""facecomp: five face-completion papers, built piece by piece.

    import facecomp_lib as fc

    faces = fc.faces.embedded("test")                     # rendered faces that travel with the course
    mask = fc.masks.make("center", size=128)              # 1 = known pixel, 0 = missing
    fc.classical.complete(faces[0].image, mask, "telea")

Submodules load when they are first used, so importing the package itself costs nothing.
"""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

from facecomp_lib.presets import preset

if TYPE_CHECKING:
    from facecomp_lib import (
        classical,
        evaluation,
        exercises,
        faces,
        masks,
        methods,
        nn,
        show,
        training,
        weights,
    )

__version__ = "0.1.0"

__all__ = [
    "classical",
    "evaluation",
    "exercises",
    "faces",
    "masks",
    "methods",
    "nn",
    "preset",
    "show",
    "training",
    "weights",
]


def __getattr__(name: str) -> ModuleType:
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
