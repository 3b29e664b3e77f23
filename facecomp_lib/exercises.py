"""How an exercise of a lesson stands: not done yet, right, or wrong in which point."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def verdict(exercise: str, answer: Any, statements: Callable[[Any], Mapping[str, Any]]) -> bool:
    """Print one line per statement about an answer; notebooks go on whatever the answer is.

    Args:
        exercise: its name, such as "1".
        answer: what the student's code gave; None counts as not done yet.
        statements: answer -> (sentence that should hold -> whether it does).

    Returns:
        whether the answer is there and all statements hold.
    """
    if answer is None:
        print(f"exercise {exercise}: not done yet")
        return False
    try:
        checked = {sentence: bool(holds) for sentence, holds in statements(answer).items()}
    except Exception as error:  # an answer of another kind can break its check in any way
        checked = {f"the answer can be checked ({type(error).__name__}: {error})": False}
    for sentence, holds in checked.items():
        print("[OK]" if holds else "[--]", f"exercise {exercise}: {sentence}")
    return all(checked.values())
