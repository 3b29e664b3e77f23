"""Errors that leave a public function: ours, the caller's and the machine's stay; others are explained."""

import pytest
import torch

import facecomp_lib as fc
from facecomp_lib.utils.doors import door, doors, is_refusal


def test_an_error_from_inside_becomes_a_sentence_about_the_argument():
    with pytest.raises(ValueError, match=r"fc.evaluation.mmd cannot use a=None: its docstring") as caught:
        fc.evaluation.mmd(None, torch.zeros(3, 2))
    assert is_refusal(caught.value) and isinstance(caught.value.__cause__, AttributeError)


def test_arguments_of_the_right_kind_are_told_with_their_shapes():
    with pytest.raises(ValueError, match=r"a=float32 \[3, 2\], b=float32 \[3, 7\]"):
        fc.evaluation.mmd(torch.zeros(3, 2), torch.zeros(3, 7))


def test_sentences_of_our_own_stay():
    with pytest.raises(ValueError, match="choose one of") as caught:
        fc.masks.make("centre")
    assert is_refusal(caught.value) and caught.value.__cause__ is None


def test_errors_of_the_callers_code_stay():
    def broken(image, mask):
        return image.nothing

    with pytest.raises(AttributeError, match="nothing"):
        fc.evaluation.evaluate({"mine": broken}, fc.faces.embedded("test", 32), limit=2, progress=False)


def test_errors_of_the_machine_stay(tmp_path):
    with pytest.raises(FileNotFoundError):
        door(open)(tmp_path / "nothing")


def test_a_call_that_does_not_fit_the_signature_gets_pythons_own_sentence():
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        fc.evaluation.mmd(torch.zeros(3, 2), colour="red")


def test_a_room_of_doors_leaves_results_names_and_signatures():
    def double(x):
        """Twice."""
        return 2 * x

    room = {"__name__": "facecomp_lib.room", "double": double, "LIST": [1]}
    doors(room, ["double", "LIST"])
    assert room["double"](3) == 6 and room["double"].__doc__ == "Twice." and room["LIST"] == [1]
    assert door(double, "fc.room.double").__wrapped__ is double
