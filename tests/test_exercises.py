"""A verdict on an exercise says what holds, whatever the answer is."""

from __future__ import annotations

import pytest

from facecomp_lib import exercises


@pytest.mark.parametrize(
    ("answer", "printed", "right"),
    [
        (None, ["exercise 1: not done yet"], False),
        (4, ["[OK] exercise 1: it is even", "[OK] exercise 1: it is small"], True),
        (104, ["[OK] exercise 1: it is even", "[--] exercise 1: it is small"], False),
    ],
)
def test_a_verdict_names_what_holds(answer: int | None, printed: list[str], right: bool, capsys) -> None:
    result = exercises.verdict("1", answer, lambda n: {"it is even": n % 2 == 0, "it is small": n < 100})
    assert capsys.readouterr().out.splitlines() == printed
    assert result is right


def test_a_verdict_survives_an_answer_of_another_kind(capsys) -> None:
    assert not exercises.verdict("2", "text", lambda tensor: {"it is large": tensor.sum() > 3})
    assert capsys.readouterr().out.startswith("[--] exercise 2: the answer can be checked (AttributeError")
