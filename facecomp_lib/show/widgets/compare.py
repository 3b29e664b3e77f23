"""Two images under one slider, and several results to choose the second one from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any

import numpy as np
import traitlets

from facecomp_lib.completion import Completion
from facecomp_lib.show.canvas import ImageLike, Sheet, to_array
from facecomp_lib.show.figures import contact_sheet
from facecomp_lib.show.widgets.base import Explorer, lossless, script, sentence, shown_of

Result = Completion | ImageLike


def split(before: ImageLike, after: ImageLike, position: float) -> np.ndarray:
    """`before` on the left up to this share of the width, `after` from there on; float array [H, W, 3]."""
    left, right = to_array(before), to_array(after)
    return np.where(np.arange(left.shape[1])[:, None] < round(position * left.shape[1]), left, right)


def before_after(
    before: ImageLike,
    after: ImageLike,
    names: tuple[str, str] = ("before", "after"),
    position: float = 0.5,
    *,
    cell: int = 192,
) -> Sheet:
    """Before | half of each | after."""
    half = split(before, after, position)
    return contact_sheet(
        [to_array(before), half, to_array(after)], [names[0], "half of each", names[1]], cell=cell
    )


class MethodSwitch(Explorer):
    """One image against several others, one at a time, under a slider.

    Args:
        before: the image on the left: the damaged face, or the original.
        results: name -> image, Completion (its composite is shown), or a function without arguments that
            makes one; it is called when it is first chosen, and its result kept.
        name: of the image on the left.
        position: where the slider begins, from 0 (all of the result) to 1 (all of `before`).

    Attributes:
        chosen: number of the result that is shown; may be set.
        position: of the slider; may be set.

    Where no kernel runs, `before` and all results that are there already stand side by side.
    """

    _esm = script("compare")
    before = traitlets.Bytes().tag(sync=True)
    after = traitlets.Bytes().tag(sync=True)
    names: traitlets.List = traitlets.List(traitlets.Unicode()).tag(sync=True)  # `before` first
    chosen = traitlets.Int().tag(sync=True)
    position = traitlets.Float().tag(sync=True)

    def __init__(
        self,
        before: Result,
        results: Mapping[str, Result | Callable[[], Result]],
        *,
        name: str = "input",
        position: float = 0.5,
        cell: int = 384,
        description: str = "",
    ) -> None:
        if not results:
            raise ValueError("There is nothing to compare with: give at least one result.")
        size = to_array(_single(before)).shape[:2]
        self._before = shown_of(before, size)
        self._results = dict(results)
        self._images = {  # what is given as an image has to fit now
            key: shown_of(result, size) for key, result in results.items() if not callable(result)
        }
        names = [name, *results]
        super().__init__(
            size,
            cell,
            before=lossless(self._before),
            names=names,
            position=position,
            description=description or f"{name}, compared with {', '.join(names[1:])} by a slider",
        )
        self._show()

    def image(self, name: str) -> ImageLike:
        """The result of that name, computed if it was not yet."""
        if name not in self._images:
            result: Any = self._results[name]
            self._images[name] = shown_of(result(), tuple(self.size))
        return self._images[name]

    def hear(self) -> None:
        self._show()

    @traitlets.validate("chosen")
    def _is_there(self, proposal: Any) -> int:
        if not 0 <= proposal["value"] < len(self._results):
            raise traitlets.TraitError(
                f"Results are numbered 0 to {len(self._results) - 1}, not {proposal['value']}."
            )
        return proposal["value"]

    @traitlets.validate("position")
    def _is_a_share(self, proposal: Any) -> float:
        if not 0 <= proposal["value"] <= 1:
            raise traitlets.TraitError(f"The position goes from 0 to 1, not {proposal['value']}.")
        return proposal["value"]

    @traitlets.observe("chosen")
    def _chosen(self, change: Any) -> None:
        if self.asked == self.answered:  # chosen in Python
            self._show()

    def _show(self) -> None:
        name = self.names[1 + self.chosen]
        waits, start = name not in self._images, perf_counter()
        try:
            after, note = lossless(self.image(name)), ""
            if waits:
                note = f"{name}: computed in {1000 * (perf_counter() - start):.0f} ms"
        except Exception as error:  # the student's function; no image is better than another one's
            after, note = b"", f"{name}: {sentence(error)}"
        with self.hold_sync():
            self.after, self.note = after, note

    def static_figure(self) -> Sheet:
        shown = {
            self.names[0]: self._before,
            **{k: self._images[k] for k in self._results if k in self._images},
        }
        return contact_sheet([to_array(face) for face in shown.values()], list(shown), cell=160)


class BeforeAfter(MethodSwitch):
    """Two images under one slider.

    Args:
        before, after: images of one size, or Completions.
        names: what they are.
        position: where the slider begins, from 0 (all of `after`) to 1 (all of `before`).
    """

    def __init__(
        self,
        before: Result,
        after: Result,
        *,
        names: tuple[str, str] = ("before", "after"),
        position: float = 0.5,
        cell: int = 384,
        description: str = "",
    ) -> None:
        if callable(after):
            raise ValueError("BeforeAfter takes images; MethodSwitch takes functions that make them.")
        options: dict[str, Any] = {"position": position, "cell": cell, "description": description}
        super().__init__(before, {names[1]: after}, name=names[0], **options)

    def static_figure(self) -> Sheet:
        after = self.image(self.names[1])
        return before_after(self._before, after, (self.names[0], self.names[1]), self.position)


def _single(result: Result) -> ImageLike:
    """The image in a result, before its size is known."""
    image = result.composite if isinstance(result, Completion) else result
    return image[0] if image.ndim == 4 and len(image) == 1 else image
