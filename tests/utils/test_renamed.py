"""Earlier names of arguments still work, and say what they are called now."""

import inspect

import pytest

import facecomp_lib as fc
from facecomp_lib.utils.renamed import renamed


@renamed(colour="color")
def paint(thing, color="red"):
    """Paint it."""
    return thing, color


def test_an_earlier_name_reaches_the_argument_with_a_warning():
    with pytest.warns(FutureWarning, match="colour of paint is called color now"):
        assert paint("door", colour="blue") == ("door", "blue")
    assert paint("door", color="blue") == paint("door", "blue") == ("door", "blue")


def test_both_names_at_once_are_refused():
    with pytest.raises(TypeError, match="give color alone"):
        paint("door", color="blue", colour="blue")


def test_the_signature_shows_the_names_of_today():
    assert list(inspect.signature(paint).parameters) == ["thing", "color"]
    assert {"callbacks", "num_samples"} < set(inspect.signature(fc.training.fit).parameters)


def test_a_face_still_answers_to_its_earlier_names():
    face = fc.faces.astronaut(64)
    with pytest.warns(FutureWarning, match="photo_landmarks now"):
        assert face.picture_landmarks is face.photo_landmarks
    with pytest.raises(AttributeError, match="no attribute 'photograph'"):
        face.photograph  # noqa: B018
