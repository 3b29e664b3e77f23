"""The renderer of synthetic faces: exact labels, no one's privacy. Needs the `render` extra (warp-lang)."""

import warp as wp

wp.config.quiet = True  # type: ignore[attr-defined]  # before the modules below, whose kernels announce themselves

from .person import (  # noqa: E402
    ATTRIBUTES,
    EXPRESSIONS,
    HAIRSTYLES,
    Person,
    Picture,
    attributes,
    sample_person,
    sample_picture,
)
from .scene import Renderer, Rendering  # noqa: E402

__all__ = [
    "ATTRIBUTES",
    "EXPRESSIONS",
    "HAIRSTYLES",
    "Person",
    "Picture",
    "Renderer",
    "Rendering",
    "attributes",
    "sample_person",
    "sample_picture",
]
