"""Where faces come from: the embedded pack, prepared folders, photographs, the renderer.

>>> faces = embedded("train", size=64)      # doctest: +SKIP
>>> batch = faces.batch([0, 1, 2])          # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from facecomp_lib.utils.doors import doors

if TYPE_CHECKING:
    from facecomp_lib.faces.augment import Augment as Augment
    from facecomp_lib.faces.dataset import FaceDataset as FaceDataset
    from facecomp_lib.faces.dataset import embedded as embedded
    from facecomp_lib.faces.dataset import folder as folder
    from facecomp_lib.faces.expressions import edit_landmarks as edit_landmarks
    from facecomp_lib.faces.expressions import expression_from as expression_from
    from facecomp_lib.faces.photo import Face as Face
    from facecomp_lib.faces.photo import astronaut as astronaut
    from facecomp_lib.faces.photo import from_photo as from_photo
    from facecomp_lib.faces.schema import LANDMARK_MIRROR as LANDMARK_MIRROR
    from facecomp_lib.faces.schema import PARSING as PARSING
    from facecomp_lib.faces.schema import FaceBatch as FaceBatch
    from facecomp_lib.faces.splits import split_of as split_of
    from facecomp_lib.faces.writer import Writer as Writer

# Public name -> module that defines it; imported at first use, so that `import facecomp_lib` stays quick.
_HOMES = {
    "FaceBatch": "schema",
    "PARSING": "schema",
    "LANDMARK_MIRROR": "schema",
    "FaceDataset": "dataset",
    "embedded": "dataset",
    "folder": "dataset",
    "Augment": "augment",
    "Writer": "writer",
    "edit_landmarks": "expressions",
    "expression_from": "expressions",
    "split_of": "splits",
    "Face": "photo",
    "from_photo": "photo",
    "astronaut": "photo",
}
_MODULES = ("alignment", "augment", "dataset", "landmarks", "photo", "render", "schema", "splits", "store")
__all__ = list(_HOMES)


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name not in _HOMES:
        raise AttributeError(f"facecomp_lib.faces has no {name!r}; it has {', '.join(sorted(_HOMES))}.")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    doors(globals(), [name])
    return globals()[name]


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_HOMES) | set(_MODULES))
