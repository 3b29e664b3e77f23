"""The renderer of synthetic faces: exact labels, no one's privacy. Needs the `render` extra (warp-lang)."""

from .person import Person, Picture, attributes, sample_person, sample_picture
from .scene import Renderer, Rendering

__all__ = ["Person", "Picture", "Renderer", "Rendering", "attributes", "sample_person", "sample_picture"]
