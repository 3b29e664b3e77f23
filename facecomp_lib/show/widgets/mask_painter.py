"""Paint a hole on a face and see how a method completes it."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
import torch
import traitlets
from ipywidgets.widgets.trait_types import CByteMemoryView
from torch import Tensor

from facecomp_lib.completion import Completion
from facecomp_lib.show.canvas import ImageLike, Sheet, to_array
from facecomp_lib.show.figures import MISSING, contact_sheet
from facecomp_lib.show.widgets.base import CELL, Explorer, lossless, one_face, script, sentence, shown_of

PAINT = 0.75  # of the colour over a hole; the rest is the face below


def painted(image: Tensor, mask: Tensor) -> np.ndarray:
    """The face with colour over its hole, below which it can still be seen; float array [H, W, 3].

    Args:
        image: [1, 3, H, W].
        mask: [1, 1, H, W], 1 = known.
    """
    face = to_array(image[0])
    return np.where(to_array(mask[0]) > 0.5, face, (1 - PAINT) * face + PAINT * MISSING)


def painting(image: Tensor, mask: Tensor, completed: ImageLike, *, cell: int = 192) -> Sheet:
    """The face with a painted hole | what the method makes of it."""
    hole = f"the hole, {1 - float(mask.mean()):.0%}"
    return contact_sheet([painted(image, mask), to_array(completed)], [hole, "completed"], cell=cell)


def pack(mask: Tensor) -> bytes:
    """The missing pixels of a mask [1, 1, H, W] as one bit each, row by row, most significant bit first."""
    return np.packbits(mask.cpu().numpy().ravel() < 0.5).tobytes()


def unpack(hole: bytes | memoryview, size: tuple[int, int]) -> Tensor:
    """The mask [1, 1, H, W] whose missing pixels these bits are.

    Raises:
        ValueError: not as many bytes as such a mask has.
    """
    count = size[0] * size[1]
    bits = np.frombuffer(hole, np.uint8)
    if len(bits) != -(-count // 8):
        raise ValueError(f"A hole of {size[1]} x {size[0]} px has {-(-count // 8)} bytes, not {len(bits)}.")
    return torch.from_numpy(1 - np.unpackbits(bits, count=count).astype(np.float32)).view(1, 1, *size)


class MaskPainter(Explorer):
    """Paint a hole; when the stroke ends, the face is completed.

    Args:
        image: one face [1, 3, H, W] in [0, 1].
        complete: (image, mask) -> Completion or image, such as `method.complete`.
        mask: the hole to begin with, [1, 1, H, W], 1 = known; by default none.
        brush: diameter in pixels to begin with.

    Attributes:
        mask: float32 [1, 1, H, W], as painted so far. Assign another one to show it; `observe(f, "mask")` is
            told of each stroke.
        result: what `complete` returned last; None while nothing or everything is missing, or it failed.
    """

    _esm = script("mask_painter")
    face = traitlets.Bytes().tag(sync=True)
    completed = traitlets.Bytes().tag(sync=True)
    hole = CByteMemoryView().tag(sync=True, echo_update=False)
    brush = traitlets.Int().tag(sync=True)
    paint = traitlets.List(traitlets.Int()).tag(sync=True)  # red, green, blue, alpha in 0 ... 255
    mask: traitlets.Instance = traitlets.Instance(Tensor, ())

    def __init__(
        self,
        image: Tensor,
        complete: Callable[[Tensor, Tensor], Completion | ImageLike],
        *,
        mask: Tensor | None = None,
        brush: int | None = None,
        cell: int = CELL,
        description: str = "A face to paint holes on, and its completion",
    ) -> None:
        self.image = one_face(image)
        height, width = self.image.shape[2:]
        self.complete = complete
        self.result: Completion | ImageLike | None = None
        self._completed: ImageLike = self.image[0]
        super().__init__(
            (height, width),
            cell,
            face=lossless(self.image[0]),
            brush=brush or max(1, round(width / 10)),
            paint=[*(round(255 * level) for level in MISSING), round(255 * PAINT)],
            description=description,
        )
        self.mask = torch.ones(1, 1, height, width) if mask is None else mask

    def hear(self) -> None:
        self.mask = unpack(self.hole, (self.size[0], self.size[1]))

    @traitlets.validate("mask")
    def _check(self, proposal: Any) -> Tensor:
        mask, shape = proposal["value"], [1, 1, *self.image.shape[2:]]
        if list(mask.shape) != shape:
            raise traitlets.TraitError(f"The mask of this face is {shape}, not {list(mask.shape)}.")
        if not ((mask == 0) | (mask == 1)).all():
            raise traitlets.TraitError("A mask holds 1 for known and 0 for missing pixels, and nothing else.")
        return mask.detach().float().cpu()

    @traitlets.observe("mask")
    def _update(self, change: Any) -> None:
        missing = 1 - float(self.mask.mean())
        self.result, self._completed, note = (
            None,
            self.image[0],
            "Nothing is missing: this is the face itself.",
        )
        if missing == 1:
            self._completed = torch.full_like(self.image[0], 0.5)
            note = "Everything is missing: erase some of the hole, so that the method has something to go by."
        elif missing:
            note = f"{missing:.1%} missing"
            try:
                start = perf_counter()
                self.result = self.complete(self.image, self.mask.to(self.image.device))
                note += f", completed in {1000 * (perf_counter() - start):.0f} ms"
                self._completed = shown_of(self.result, tuple(self.size))
            except Exception as error:  # the student's method; the browser shows no traceback
                self.result, self._completed = None, torch.full_like(self.image[0], 0.5)
                note = sentence(error)
        with self.hold_sync():
            self.hole, self.completed, self.note = pack(self.mask), lossless(self._completed), note

    def static_figure(self) -> Sheet:
        return painting(self.image, self.mask, self._completed)
