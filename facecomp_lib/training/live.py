"""A figure of the training that goes on, drawn seldom enough to cost next to nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from facecomp_lib.methods import Stage
from facecomp_lib.show.training import MOMENTS, is_loss, thin, training_figure
from facecomp_lib.training.run_dir import read_log
from facecomp_lib.training.run_log import Callback, Images
from facecomp_lib.utils.files import atomic_write

__all__ = ["DownsampledCurve", "LiveFigure"]

SHARE = 0.03  # of the elapsed time may go into drawing
FIRST = 0.2  # seconds that a drawing is taken to last before one was measured


class DownsampledCurve:
    """A curve in bounded memory: means over equally many values, which merge in pairs when they get too many.

    Args:
        most: points that are kept at most; an even number.
    """

    def __init__(self, most: int = 512) -> None:
        self.most, self.width = most, 1
        self._points: list[tuple[float, float]] = []  # mean step, mean value of `width` values each
        self._open: list[tuple[float, float]] = []  # what does not fill a point yet

    def add(self, step: int, value: float) -> None:
        self._open.append((step, value))
        if len(self._open) < self.width:
            return
        self._points.append(_mean(self._open))
        self._open = []
        if len(self._points) == self.most:
            self._points = [_mean(self._points[k : k + 2]) for k in range(0, self.most, 2)]
            self.width *= 2

    def points(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Steps and values; the last point stands for what was added since the one before."""
        points = self._points + ([_mean(self._open)] if self._open else [])
        steps, values = np.array(points, float).reshape(-1, 2).T
        return steps, values


def _mean(points: list[tuple[float, float]]) -> tuple[float, float]:
    return sum(p[0] for p in points) / len(points), sum(p[1] for p in points) / len(points)


class LiveFigure(Callback):
    """Losses by term and the same faces over time, in place while a run goes on.

    In a notebook the figure stands below the cell and stays there with its last frame. A script, or a process
    without a screen, finds the frames in ``run_dir/live.png``. A frame waits until all drawing together, it
    and the last frame included if they take as long as the one before, is below 3 % of the time since the
    figure was made; only the last frame is always drawn.
    """

    def __init__(self) -> None:
        self.file: Path | None = None
        self.stages: dict[str, int] = {}  # name -> its first step
        self.end = 0
        self.curves: dict[str, DownsampledCurve] = {}
        self.snapshots: dict[int, Tensor] = {}
        self.spent = 0.0  # seconds of drawing
        self.frames = 0
        self._began, self._next = time.perf_counter(), 2 * FIRST / SHARE
        self._handle: Any = None
        self._in_notebook = _in_notebook()

    def on_start(self, run_dir: Path, stages: Sequence[Stage], step: int, end: int) -> None:
        """Learn where ``live.png`` goes and which stages will come, and take an earlier part of the run."""
        self.file = run_dir / "live.png"
        first, *ends = np.cumsum([0, *(stage.steps for stage in stages)]).tolist()
        self.stages = dict(zip([stage.name for stage in stages], [first, *ends], strict=False))
        self.end = ends[-1]
        if (run_dir / "log.csv").exists():
            self.replay(read_log(run_dir), step)

    def on_step(self, step: int, stage: str, row: Mapping[str, float]) -> None:
        """Take a step's losses: a few microseconds, and now and then a drawing.

        ``optimizer.gradient`` and ``optimizer.lr`` are no losses and are left out."""
        self.stages.setdefault(stage, step)
        self._take(step, row)
        if self.due():
            self.draw()

    def _take(self, step: int, row: Mapping[str, float]) -> None:
        for name, value in row.items():
            if name in self.curves:
                self.curves[name].add(step, value)
            elif is_loss(name):
                self.curves[name] = DownsampledCurve()
                self.curves[name].add(step, value)

    def replay(self, log: Mapping[str, NDArray[Any]], before: int) -> None:
        """Take the steps below ``before`` of an earlier part of this run, from its ``run.log``."""
        terms = [name for name in log if name not in ("step", "stage")]
        for place in np.flatnonzero(log["step"] < before):
            self.stages.setdefault(str(log["stage"][place]), int(log["step"][place]))
            row = {name: float(log[name][place]) for name in terms}
            self._take(int(log["step"][place]), {k: v for k, v in row.items() if not np.isnan(v)})

    def on_images(self, step: int, stage: str, images: Images) -> None:
        """Take the completed faces: one copy to the CPU. Some are dropped when there are too many for the
        figure."""
        completed = images.completed.detach().clamp(0, 1)  # [N, 3, S, S]
        self.snapshots[step] = (completed * 255).round().byte().cpu()
        self.snapshots = thin(self.snapshots, MOMENTS)

    def due(self) -> bool:
        """Whether one more frame would still keep drawing below its share of the time."""
        return time.perf_counter() - self._began >= self._next

    def draw(self, last: bool = False) -> None:
        """Draw a frame now, whatever it costs."""
        if not (self.curves or self.snapshots):
            return
        start = time.perf_counter()
        self._show(last)
        self.frames += 1
        lasted = time.perf_counter() - start
        self.spent += lasted
        self._next = (self.spent + 2 * lasted) / SHARE  # one more, and the last one

    def on_end(self) -> None:
        """Draw the last frame."""
        self.draw(last=True)

    def _show(self, last: bool) -> None:
        from facecomp_lib.show.canvas import output

        curves = {name: curve.points() for name, curve in self.curves.items()}
        sheet = training_figure(curves, self.snapshots, stages=self.stages, end=self.end or None)
        if self._in_notebook:
            # JPEG is drawn in half the time; the frame that stays has whichever kind is smaller
            data, metadata = sheet._repr_mimebundle_() if last else output(sheet, "image/jpeg", sheet.jpeg())
            self._display(data, metadata)
        if self.file is not None and (last or not self._in_notebook):
            atomic_write(self.file, sheet.png() if last else sheet.quick_png())

    def _display(self, data: dict, metadata: dict) -> None:
        from IPython.display import display

        if self._handle is None:
            self._handle = display(data, metadata=metadata, raw=True, display_id=True)
        else:
            self._handle.update(data, metadata=metadata, raw=True)


def _in_notebook() -> bool:
    """Whether a Jupyter kernel runs this program: only then somebody can see what is displayed."""
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    return getattr(get_ipython(), "kernel", None) is not None
