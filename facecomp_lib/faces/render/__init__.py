"""The renderer of synthetic faces: exact labels, no one's privacy. Needs the `render` extra (warp-lang)."""

import os

try:
    import warp as wp
except ImportError as error:
    raise ImportError(
        "Rendering needs the extra 'render' (warp-lang): python3 course.py setup render."
    ) from error


def _start_quietly() -> None:
    """Start Warp without its greeting, which names a folder of this machine, and without the native part's
    complaint about machines that have no NVIDIA card."""
    wp.config.quiet = True  # type: ignore[attr-defined]  # what older versions ask
    wp.config.log_level = getattr(wp, "LOG_ERROR", 40)  # type: ignore[attr-defined]
    errors, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        wp.init()
    finally:
        os.dup2(errors, 2)
        os.close(errors)
        os.close(nowhere)


_start_quietly()

from .person import (  # noqa: E402
    ATTRIBUTES,
    EXPRESSIONS,
    HAIRSTYLES,
    Person,
    Scene,
    attributes,
    sample_person,
    sample_scene,
)
from .scene import Renderer, Rendering  # noqa: E402

__all__ = [
    "ATTRIBUTES",
    "EXPRESSIONS",
    "HAIRSTYLES",
    "Person",
    "Scene",
    "Renderer",
    "Rendering",
    "attributes",
    "sample_person",
    "sample_scene",
]
