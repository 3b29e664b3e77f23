"""A run that was trained: its method, its card, its log, and the weights after each stage."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from facecomp_lib.methods import Method
from facecomp_lib.training.checkpoint import read_weights
from facecomp_lib.training.run_dir import read_json, read_log, weights_path

__all__ = ["Run"]


class Run:
    """What ``fc.training.fit`` returns.

    Attributes:
        method: trained so far, in eval mode.
        run_dir: everything that the run wrote.
    """

    def __init__(self, method: Method, run_dir: Path) -> None:
        self.method, self.run_dir = method, run_dir

    @property
    def card(self) -> dict[str, Any]:
        """What was trained, on what, for how long, and how it ended."""
        return read_json(self.run_dir / "card.json")

    @property
    def log(self) -> dict[str, NDArray[Any]]:
        """Columns of ``log.csv``, a row per step: ``step`` (int), ``stage`` (str), then ``optimizer.term``,
        NaN where the stage or the step has none."""
        return read_log(self.run_dir)

    def after(self, stage: str) -> Method:
        """A copy of the method as it was after a stage, in eval mode.

        Raises:
            ValueError: the run has not finished such a stage.
        """
        path = weights_path(self.run_dir, stage)
        if not path.exists():
            done = sorted(file.stem.removeprefix("weights-") for file in self.run_dir.glob("weights-*"))
            raise ValueError(f"No weights after a stage {stage!r}: finished are {', '.join(done) or 'none'}.")
        method = copy.deepcopy(self.method)
        method.load_state_dict(read_weights(path))
        return method.eval()

    def __repr__(self) -> str:
        return f"Run({self.method.name!r} in {str(self.run_dir)!r})"
