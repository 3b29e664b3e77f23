"""What all explorers share: their script and style, lossless images, one sentence instead of a traceback.

Each explorer is one Python and one JavaScript file. Images travel to the browser as PNG bytes; only what a
hand changed travels back, and is checked here before it counts.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import torch
import traitlets
from PIL import Image
from torch import Tensor

from facecomp_lib.completion import Completion
from facecomp_lib.show.canvas import CSS, ImageLike, Sheet, cell_size, light_output, output, to_array
from facecomp_lib.utils.checks import check_image

FOLDER = Path(__file__).parent
CELL = 320  # CSS pixels: about the width of an image, so that two fit side by side


def script(name: str) -> str:
    """The JavaScript of one explorer: what all share, then its own."""
    return "\n".join((FOLDER / f"{part}.js").read_text(encoding="utf-8") for part in ("common", name))


class Explorer(anywidget.AnyWidget):
    """Images under a hand. A subclass says what it does with what the browser sent, and draws its static
    figure.

    The browser counts its questions in `asked`; when `answered` has the same number, what it shows is up to
    date. Questions that come while one is being answered are dropped, except for the last one.
    """

    many_colours = False  # whether its static figure shows more of them than a palette has
    _css = (FOLDER / "widgets.css").read_text(encoding="utf-8")
    size: traitlets.List = traitlets.List(traitlets.Int()).tag(sync=True)  # height, width in pixels
    width = traitlets.Int().tag(sync=True)  # of an image in CSS pixels
    description = traitlets.Unicode().tag(sync=True)
    note = traitlets.Unicode().tag(sync=True)
    asked = traitlets.Int().tag(sync=True)
    answered = traitlets.Int().tag(sync=True)

    def __init__(self, size: tuple[int, int], cell: int, **state: Any) -> None:
        super().__init__(size=list(size), width=cell_size(size, cell)[0], **state)

    def hear(self) -> None:
        """Take over what the browser sent and prepare what it shows next; ValueError if it makes no sense."""
        raise NotImplementedError

    def static_figure(self) -> Sheet:
        """The figure that stands in where no kernel runs."""
        raise NotImplementedError

    @traitlets.observe("asked")
    def _asked(self, change: Any) -> None:
        with self.hold_sync():  # one message back
            try:
                self.hear()
            except Exception as error:  # the browser shows no traceback, so that would be lost
                self.note = sentence(error)
            self.answered = change["new"]

    def __repr__(self) -> str:
        return f"{type(self).__name__}: run this cell to use it"

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        view = super()._repr_mimebundle_(**kwargs)
        data, metadata = view if isinstance(view, tuple) else (view or {}, {})
        static, static_metadata = static_output(self.static_figure(), self.many_colours)
        return data | static | {"text/plain": repr(self)}, metadata | static_metadata


def static_output(sheet: Sheet, many_colours: bool = False) -> tuple[dict, dict]:
    """A static figure as light notebook output; JPEG in full colour for many colours."""
    if not many_colours:
        return light_output(sheet)
    jpeg = sheet._bytes("jpeg", CSS, pil_kwargs={"quality": 88, "subsampling": 0})
    return output(sheet, "image/jpeg", jpeg)


def sentence(error: Exception) -> str:
    """What went wrong, in one line; errors that were not meant as sentences bring their type."""
    text = " ".join(str(error).split())
    return (
        text
        if isinstance(error, (ValueError, traitlets.TraitError)) and text
        else f"{type(error).__name__}: {text}"
    )


def levels(image: ImageLike) -> np.ndarray:
    """An image as uint8 [H, W, 3]; 8-bit levels / 255 come back as they were."""
    return np.round(to_array(image) * 255).astype(np.uint8)


def lossless(image: ImageLike) -> bytes:
    """An image as PNG, one pixel per pixel."""
    buffer = io.BytesIO()
    Image.fromarray(levels(image)).save(buffer, format="png", compress_level=1)
    return buffer.getvalue()


def one_face(image: Tensor) -> Tensor:
    """One face as [1, 3, H, W] float on the device it is on; takes [3, H, W], too.

    Raises:
        ValueError: no such image, or several of them.
    """
    image = image[None] if isinstance(image, Tensor) and image.ndim == 3 else image  # [1, 3, H, W]
    check_image(image)
    if len(image) != 1:
        raise ValueError(f"Give one face, [1, 3, H, W] or [3, H, W], not a batch of {len(image)}.")
    return image.detach().float()


def shown_of(result: Completion | ImageLike, size: tuple[int, int] | None = None) -> ImageLike:
    """The image in what a function gave: of a Completion the composite, of a batch the only one.

    Raises:
        ValueError: several images, none, or one of another size (height, width) than wanted.
    """
    image = result.composite if isinstance(result, Completion) else result
    if isinstance(image, torch.Tensor):
        image = image.detach()
        image = image[0] if image.ndim == 4 and len(image) == 1 else image
    if not isinstance(image, (torch.Tensor, np.ndarray)):
        raise ValueError(f"An image or a Completion is wanted, not {type(image).__name__}.")
    shape = to_array(image).shape[:2]
    if size is not None and shape != tuple(size):
        raise ValueError(f"The image has {shape[1]} x {shape[0]} px, the face {size[1]} x {size[0]}.")
    return image
