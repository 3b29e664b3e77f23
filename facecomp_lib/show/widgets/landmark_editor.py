"""Move the landmarks of a face and see what a method draws for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import numpy as np
import torch
import traitlets
from ipywidgets.widgets.trait_types import CByteMemoryView
from torch import Tensor

from facecomp_lib.completion import Completion
from facecomp_lib.faces.expressions import edit_landmarks, expression_from
from facecomp_lib.show.canvas import ImageLike, Sheet, cell_size, grid, put
from facecomp_lib.show.labels import LANDMARK_GROUPS, LANDMARK_LINES, draw_landmarks
from facecomp_lib.show.widgets.base import CELL, Explorer, lossless, one_face, script, sentence, shown_of
from facecomp_lib.utils.checks import check_landmarks

SLIDERS = ("smile", "mouth open", "brow raise")
# first, last + 1: what is moved as a whole
PARTS = {"jaw": (0, 17), "right brow": (17, 22), "left brow": (22, 27), "nose": (27, 36),
         "right eye": (36, 42), "left eye": (42, 48), "mouth": (48, 68)}  # fmt: skip


@dataclass(frozen=True, eq=False)
class State:
    """Landmarks [1, 68, 2], an expression laid over them, and what hands moved after that."""

    points: Tensor
    moved: Tensor
    expression: tuple[float, ...] = (0.0, 0.0, 0.0)  # in the order of SLIDERS

    @classmethod
    def of(cls, points: Tensor) -> State:
        return cls(points, torch.zeros_like(points))

    @property
    def landmarks(self) -> Tensor:
        return edit_landmarks(self.points, *self.expression) + self.moved


def edited(image: Tensor, before: Tensor, after: Tensor, drawn: ImageLike, *, cell: int = 192) -> Sheet:
    """The face with its landmarks | with the edited ones, from grey dots where they were | what is drawn.

    Args:
        image: [1, 3, H, W].
        before, after: [1, 68, 2], (x, y) in pixels.
        drawn: the image made for `after`.
    """
    sheet, axes = grid(1, 3, cell_size(image.shape[-2:], cell), head=16)
    for ax, points, title in zip(axes[0], (before, after), ("landmarks", "edited"), strict=False):
        put(ax, image[0], title)
        if points is not before:
            start, moved = before[0].cpu().numpy(), (after - before)[0].norm(dim=-1).cpu().numpy() > 0.05
            ax.plot(*start[moved].T, "o", color="#ffffffa0", markersize=2, markeredgewidth=0)
        draw_landmarks(ax, points[0])
    put(axes[0, 2], drawn, "drawn for the edited ones")
    return sheet


class LandmarkEditor(Explorer):
    """Drag landmarks, or move them by sliders; when the hand lets go, the face is drawn anew.

    Args:
        image: one face [1, 3, H, W] in [0, 1].
        landmarks: [1, 68, 2], (x, y) in its pixels.
        complete: landmarks [1, 68, 2] -> Completion or image, such as lafin's generator given a mask.
        others: name -> landmarks [1, 68, 2] of faces whose expression can be copied.

    Attributes:
        landmarks: float32 [1, 68, 2] as they are now; assign others to show them, `observe(f, "landmarks")`.
        expression: what the sliders say: smile, mouth open, brow raise, each in [-1, 1]; may be set.
        result: what `complete` returned last; None if it failed.
    """

    _esm = script("landmark_editor")
    face = traitlets.Bytes().tag(sync=True)
    drawn = traitlets.Bytes().tag(sync=True)
    points = CByteMemoryView().tag(sync=True)  # float32, x and y of each
    start = CByteMemoryView().tag(sync=True)
    sliders: traitlets.List = traitlets.List(traitlets.Unicode(), list(SLIDERS)).tag(sync=True)
    expression: traitlets.List = traitlets.List(traitlets.Float(), [0.0, 0.0, 0.0]).tag(sync=True)
    parts: traitlets.List = traitlets.List([[*ends] for ends in PARTS.values()]).tag(sync=True)
    part_names: traitlets.List = traitlets.List([*PARTS]).tag(sync=True)
    lines: traitlets.List = traitlets.List([[*line] for line in LANDMARK_LINES]).tag(sync=True)
    groups: traitlets.List = traitlets.List([[*group] for group in LANDMARK_GROUPS]).tag(sync=True)
    others: traitlets.List = traitlets.List(traitlets.Unicode()).tag(sync=True)
    undoable = traitlets.Bool().tag(sync=True)
    # what the hand did, numbered like the questions; those that Python has not answered yet come again
    orders: traitlets.List = traitlets.List(traitlets.Dict()).tag(sync=True, echo_update=False)
    landmarks: traitlets.Instance = traitlets.Instance(Tensor, ())

    def __init__(
        self,
        image: Tensor,
        landmarks: Tensor,
        complete: Callable[[Tensor], Completion | ImageLike],
        *,
        others: Mapping[str, Tensor] | None = None,
        cell: int = CELL,
        description: str = "A face whose landmarks can be moved, and what is drawn for them",
    ) -> None:
        self.image, self.complete = one_face(image), complete
        self._others = {name: _points(points) for name, points in (others or {}).items()}
        self._begin = self._now = self._settled = State.of(_points(landmarks))
        self._past: list[State] = []
        self._shown = self._begin.landmarks
        self.result: Completion | ImageLike | None = None
        self._drawn: ImageLike = self.image[0]
        super().__init__(
            (self.image.shape[2], self.image.shape[3]),
            cell,
            face=lossless(self.image[0]),
            start=_bytes(self._begin.landmarks),
            others=list(self._others),
            description=description,
        )
        self._show(draw=True)

    def hear(self) -> None:
        """Carry out the orders that are new; draw once, if a hand let go in one of them."""
        new = [order for order in self.orders if order.get("number", 0) > self.answered]
        for order in new:
            self._carry_out(order)
        self._show(draw=any(order.get("do") != "edit" or order.get("rest") for order in new))

    def _carry_out(self, order: Mapping[str, Any]) -> None:
        match order.get("do"):
            case "drag":
                points = [int(point) for point in order["points"]]
                x, y = (float(step) for step in order["by"])
                reach = max(self.size)
                if not points or not 0 <= min(points) <= max(points) < 68 or not abs(x) + abs(y) <= 2 * reach:
                    raise ValueError("A drag names points from 0 to 67, and a way no longer than the image.")
                moved = self._now.moved.clone()
                moved[0, points] += torch.tensor([x, y])
                self._now = replace(self._now, moved=moved)
            case "edit":
                self._now = replace(self._now, expression=_amounts(order["expression"]))
                if not order.get("rest"):
                    return  # not yet something to come back to
            case "copy":
                if order["name"] not in self._others:
                    raise ValueError(f"There is no face {order['name']!r} to copy from.")
                self._now = State.of(expression_from(self._now.points, self._others[order["name"]]))
            case "reset":
                self._now = self._begin
            case "undo":
                self._now = self._settled = self._past.pop() if self._past else self._settled
                return
            case what:
                raise ValueError(f"The editor knows no order {what!r}.")
        self._past, self._settled = [*self._past, self._settled][-100:], self._now

    @traitlets.validate("landmarks")
    def _are_landmarks(self, proposal: Any) -> Tensor:
        try:
            return _points(proposal["value"])
        except ValueError as error:
            raise traitlets.TraitError(str(error)) from None

    @traitlets.validate("expression")
    def _are_amounts(self, proposal: Any) -> list[float]:
        return list(_amounts(proposal["value"], traitlets.TraitError))

    @traitlets.observe("expression")
    def _slid(self, change: Any) -> None:
        if tuple(change["new"]) != self._now.expression:  # assigned in Python
            self._carry_out({"do": "edit", "expression": change["new"], "rest": True})
            self._show(draw=True)

    @traitlets.observe("landmarks")
    def _assigned(self, change: Any) -> None:
        if not torch.equal(change["new"], self._shown):  # assigned in Python
            self._past, self._now = [*self._past, self._settled][-100:], State.of(change["new"])
            self._settled = self._now
            self._show(draw=True)

    def _show(self, draw: bool) -> None:
        self._shown = self._now.landmarks
        with self.hold_sync():
            self.landmarks = self._shown
            self.points, self.expression = _bytes(self._shown), list(self._now.expression)
            self.undoable = bool(self._past)
            if draw:
                self._draw()

    def _draw(self) -> None:
        start = perf_counter()
        try:
            self.result = self.complete(self.landmarks.clone())
            self._drawn = shown_of(self.result)
            note = f"drawn in {1000 * (perf_counter() - start):.0f} ms"
            moved = (self.landmarks - self._begin.landmarks)[0].norm(dim=-1)
            if count := int((moved > 0.05).sum()):
                points = "1 point" if count == 1 else f"{count} points"
                note = f"{points} moved, by up to {float(moved.max()):.1f} px; {note}"
        except Exception as error:  # the student's method; the browser shows no traceback
            self.result, self._drawn, note = None, torch.full_like(self.image[0], 0.5), sentence(error)
        self.drawn, self.note = lossless(self._drawn), note

    def static_figure(self) -> Sheet:
        return edited(self.image, self._begin.landmarks, self.landmarks, self._drawn)


def _points(landmarks: Tensor) -> Tensor:
    """Landmarks as float32 [1, 68, 2] on the CPU; takes [68, 2], too.

    Raises:
        ValueError: not the finite landmarks of one face.
    """
    check_landmarks(landmarks, (68, 2) if getattr(landmarks, "ndim", 3) == 2 else (1, 68, 2))
    return torch.as_tensor(landmarks).detach().float().cpu().reshape(1, 68, 2)


def _amounts(numbers: Any, error: type[Exception] = ValueError) -> tuple[float, ...]:
    """What the sliders may say."""
    amounts = tuple(float(amount) for amount in numbers)
    if len(amounts) != len(SLIDERS) or not all(-1 <= amount <= 1 for amount in amounts):
        raise error(f"{', '.join(SLIDERS)} go from -1 to 1.")
    return amounts


def _bytes(landmarks: Tensor) -> bytes:
    return np.ascontiguousarray(landmarks.numpy(), np.float32).tobytes()
