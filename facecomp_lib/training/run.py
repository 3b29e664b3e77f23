"""A run that was trained: its method, its card, its log, and the weights after each stage."""

from __future__ import annotations

import copy
import hashlib
import warnings
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from facecomp_lib.methods import Method
from facecomp_lib.training.checkpoint import read_weights
from facecomp_lib.training.manifest import read_manifest
from facecomp_lib.training.run_dir import read_card, read_log, weights_path

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
        """What was trained, on what, for how long, and how it ended.

        Raises:
            ValueError: it is not as ``fit`` wrote it.
        """
        return read_card(self.run_dir)

    @property
    def log(self) -> dict[str, NDArray[Any]]:
        """Columns of ``log.csv``, a row per step: ``step`` (int), ``stage`` (str), then ``optimizer.term``,
        NaN where the stage or the step has none. A log that is not as it was written is warned about."""
        path, recorded = self.run_dir / "log.csv", read_manifest(self.run_dir).get("log")
        if recorded:
            before = path.read_bytes()[: recorded["bytes"]]
            if hashlib.sha256(before).hexdigest() != recorded["sha256"]:
                warnings.warn(f"{path} is damaged or was changed since it was written.", stacklevel=2)
        return read_log(self.run_dir)

    def after(self, stage: str) -> Method:
        """A copy of the method as it was after a stage, in eval mode.

        Raises:
            ValueError: the run has not finished such a stage, or its weights are damaged.
        """
        path = weights_path(self.run_dir, stage)
        if not path.exists():
            done = sorted(file.stem.removeprefix("weights-") for file in self.run_dir.glob("weights-*"))
            raise ValueError(f"No weights after a stage {stage!r}: finished are {', '.join(done) or 'none'}.")
        method = copy.deepcopy(self.method)
        recorded = read_manifest(self.run_dir).get("files", {}).get(path.name)
        method.load_state_dict(read_weights(path, recorded))
        return method.eval()

    def __repr__(self) -> str:
        return f"Run({self.method.name!r} in {str(self.run_dir)!r})"
