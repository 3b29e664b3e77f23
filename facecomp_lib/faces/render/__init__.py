"""The renderer of synthetic faces: exact labels, no one's privacy. Needs the `render` extra (warp-lang)."""

from .person import ATTRIBUTES, EXPRESSIONS, HAIRSTYLES, Person, Picture, attributes, sample_person, sample_picture
from .scene import Renderer, Rendering

__all__ = ["ATTRIBUTES", "EXPRESSIONS", "HAIRSTYLES", "Person", "Picture", "Renderer", "Rendering", "attributes", "sample_person", "sample_picture"]
