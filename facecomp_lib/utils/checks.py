"""Checks of arguments. A wrong one raises ``ValueError`` with one sentence that says what to do.

Each kind of argument is checked here and nowhere else. Checks of values (finite, in range, 0 or 1) wait for
the device, so a path that runs often checks once and then calls unchecked functions.
"""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facecomp_lib.utils.files import expand

__all__ = [
    "check_choice",
    "check_count",
    "check_finite",
    "check_image",
    "check_images_match",
    "check_indices",
    "check_landmarks",
    "check_mask",
    "check_near_unit_range",
    "check_path",
    "check_range",
    "check_shape",
    "check_unit_range",
    "describe",
    "kind_of",
    "shown",
]

_CHANNEL_HINTS = {1: ": repeat a grey image three times", 4: ": drop the alpha channel"}
_SLACK = 1e-3  # resizing and rounding may leave [0, 1] by a hair
_LONGEST = 80  # characters of a wrong value that a message shows


def check_image(image: Any, name: str = "image", smallest: int = 1) -> None:
    """Refuse what is not a batch of RGB images, float ``[B, 3, H, W]``. Values are not looked at.

    Args:
        name: of the argument, for the message.
        smallest: least height and width, px.
    """
    if not isinstance(image, Tensor):
        raise ValueError(f"{name} must be a float tensor [B, 3, H, W], not {type(image).__name__}.")
    if image.ndim != 4 or image.shape[1] != 3:
        hint = _CHANNEL_HINTS.get(image.shape[1], "") if image.ndim == 4 else ""
        raise ValueError(f"{name} must be RGB, [B, 3, H, W], not {list(image.shape)}{hint}.")
    if not image.is_floating_point():
        raise ValueError(f"{name} must be float in [0, 1], not {kind_of(image)}: divide 8-bit images by 255.")
    height, width = image.shape[2:]
    if min(height, width) < smallest:
        raise ValueError(f"{name} must be at least {smallest}x{smallest} px, not {height}x{width}.")


def check_finite(values: Any, name: str) -> None:
    """Refuse NaN and infinite values in a tensor or array."""
    finite = torch.isfinite(values) if isinstance(values, Tensor) else np.isfinite(values)
    if not bool(finite.all()):
        raise ValueError(f"{name} has NaN or infinite values: all must be finite.")


def check_unit_range(image: Tensor, name: str = "image") -> None:
    """Refuse an image with values that are not finite or leave [0, 1] by more than rounding does."""
    if not image.numel():
        return
    low, high = (float(value) for value in image.aminmax())  # NaN and infinities show in these, too
    if not (abs(low) < math.inf and abs(high) < math.inf):
        check_finite(image, name)
    if low < -_SLACK or high > 1 + _SLACK:
        raise ValueError(f"{name} must lie in [0, 1], not {low:.3g} ... {high:.3g}: rescale it first.")


def check_images_match(prediction: Any, target: Any) -> None:
    """Refuse images that cannot be compared: of other kinds, shapes or devices; the target out of [0, 1].

    A raw prediction may leave [0, 1] a little, but it must be finite.
    """
    check_image(prediction, "prediction")
    check_image(target, "target")
    if prediction.shape != target.shape:
        raise ValueError(
            "prediction and target must have one shape [B, 3, H, W], "
            f"not {list(prediction.shape)} and {list(target.shape)}."
        )
    _check_device("prediction", prediction, "target", target)
    check_finite(prediction, "prediction")
    check_near_unit_range(prediction, "prediction")
    check_unit_range(target, "target")


def check_near_unit_range(image: Tensor, name: str) -> None:
    """Refuse an image of another range than [0, 1]; half a unit beyond it is what networks may draw."""
    if not image.is_floating_point():
        raise ValueError(f"{name} must be floating point in [0, 1], not {image.dtype}: divide it by 255.")
    if image.numel() and bool(((image < -0.5) | (image > 1.5)).any()):
        low, high = float(image.min()), float(image.max())
        raise ValueError(
            f"{name} has values from {low:.3g} to {high:.3g}, and images are in [0, 1]: divide 8-bit "
            "images by 255, and map images in [-1, 1] by (image + 1) / 2."
        )


def check_mask(mask: Any, image: Tensor, name: str = "image", binary: bool = True) -> None:
    """Refuse a mask that is not ``[B, 1, H, W]`` (or one ``[1, 1, H, W]`` for all) like the image.

    Args:
        image: ``[B, 3, H, W]``, checked already.
        name: what the message calls the image.
        binary: it must be float and hold 0 and 1 only.
    """
    shape = [image.shape[0], 1, *image.shape[2:]]
    if not isinstance(mask, Tensor):
        raise ValueError(f"mask must be {shape}, not {type(mask).__name__}: make one with fc.masks.make.")
    if binary and not mask.is_floating_point():
        raise ValueError(f"mask must be float, 0 or 1, not {kind_of(mask)}: use mask.float().")
    if list(mask.shape) not in (shape, [1, *shape[1:]]):
        raise ValueError(f"mask must be {shape}, not {list(mask.shape)}: one per {name}, of its shape.")
    _check_device(name, image, "mask", mask)
    if binary and not bool(((mask == 0) | (mask == 1)).all()):
        raise ValueError("mask must hold 1 (known) and 0 (missing) only: masks.read makes one of an image.")


def check_landmarks(
    landmarks: Any,
    shape: Sequence[int | str] = ("B", 68, 2),
    name: str = "landmarks",
    finite: bool = True,
    tensor: bool = False,
) -> None:
    """Refuse what is not 68 points (x, y) per face: a tensor or array of this shape, finite.

    Args:
        shape: a letter stands for any length, ``"..."`` in front for any number of axes.
        finite: look at the values, too.
        tensor: an array will not do.
    """
    check_shape(landmarks, shape, name, tensor=tensor)
    if finite:
        check_finite(landmarks, name)


def check_shape(
    value: Any,
    shape: Sequence[int | str],
    name: str,
    lengths: dict[str, int] | None = None,
    tensor: bool = False,
) -> None:
    """Refuse what is not a tensor or array of this shape.

    Args:
        shape: lengths of the axes; a letter stands for any length, the same one wherever it stands again;
            ``"..."`` in front for any number of axes.
        lengths: letter -> length as far as they are known, for fields that must agree; extended.
        tensor: an array will not do.
    """
    known = dict(lengths or {})
    right = Tensor if tensor else (Tensor, np.ndarray)
    if isinstance(value, right) and _fits(value.shape, shape, {} if lengths is None else lengths):
        return
    expected = "[" + ", ".join(str(known.get(str(axis), axis)) for axis in shape) + "]"
    if not isinstance(value, right):
        raise ValueError(f"{name} must be a tensor {expected}, not {type(value).__name__}.")
    raise ValueError(f"{name} must be {expected}, not {list(value.shape)}.")


def check_range(value: Any, least: float, most: float, name: str, unit: str = "") -> None:
    """Refuse what is not a number from ``least`` to ``most``; the sentence names the range."""
    if not _is_number(value) or not least <= value <= most or value == math.inf:
        span = f"be {least:g} or more{unit}" if most == math.inf else f"lie in {least:g} ... {most:g}{unit}"
        raise ValueError(f"{name} must {span}, not {shown(value)}.")


def check_count(value: Any, least: int, name: str, most: float = math.inf) -> None:
    """Refuse what is not a whole number from ``least`` to ``most``."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or not least <= int(value) <= most:
        span = f"{least} or more" if most == math.inf else f"{least} ... {most}"
        raise ValueError(f"{name} must be a whole number, {span}, not {shown(value)}.")


def check_indices(indices: Iterable[int] | Tensor, count: int) -> NDArray[np.int64]:
    """Numbers of faces among ``count``, int64 ``[B]`` from 0 up; negative ones count from the end.

    Raises:
        ValueError: no flat list of whole numbers. IndexError: a number out of range.
    """
    if not isinstance(indices, (Tensor, np.ndarray)):
        indices = list(indices)
    chosen = np.asarray(indices)
    if chosen.ndim != 1 or (chosen.size and chosen.dtype.kind not in "iu"):
        raise ValueError("indices must be a flat list of whole numbers.")
    chosen = chosen.astype(np.int64)
    outside = chosen[(chosen < -count) | (chosen >= count)]
    if outside.size:
        raise IndexError(f"Face {outside[0]} of {count}: count from 0 to {count - 1}.")
    return chosen % max(count, 1)


def check_choice(value: Any, choices: Iterable[str], name: str) -> None:
    """Refuse what is none of the choices; the sentence names them."""
    if not isinstance(value, str) or value not in (choices := list(choices)):
        raise ValueError(f"Unknown {name} {shown(value)}: choose one of {', '.join(choices)}.")


def check_path(path: Any, name: str) -> Path:
    """A path as it was meant: ``~`` is the user's folder. Refuse what is no path."""
    if not isinstance(path, (str, os.PathLike)):
        raise ValueError(f"{name} must be a path, not {type(path).__name__}.")
    return expand(path)


def describe(value: Any) -> str:
    """Kind and shape of a value for a message: ``uint8 [4, 3, 64, 64]``, or the name of its type."""
    if isinstance(value, (Tensor, np.ndarray)):
        return f"{kind_of(value)} {list(value.shape)}"
    return type(value).__name__


def kind_of(value: Any) -> str:
    """``float32`` and the like of a tensor or array; of anything else the name of its type."""
    if isinstance(value, (Tensor, np.ndarray)):
        return str(value.dtype).removeprefix("torch.")
    return type(value).__name__


def shown(value: Any) -> str:
    """A wrong value as a message shows it; only plain ones, because others can be without end."""
    if _is_number(value):
        return str(value)
    if isinstance(value, (str, bytes, bool, type(None))):
        return repr(value[:_LONGEST] if isinstance(value, (str, bytes)) else value)
    return describe(value)


def _fits(sides: Sequence[int], axes: Sequence[int | str], lengths: dict[str, int]) -> bool:
    """Whether these lengths are those of the axes; letters that are new get their length."""
    if axes[0] == "...":
        axes = axes[1:]
        sides = sides[-len(axes) :]
    if len(sides) != len(axes):
        return False
    for axis, side in zip(axes, sides, strict=True):
        if side != (lengths.setdefault(axis, side) if isinstance(axis, str) else axis):
            return False
    return True


def _check_device(one_name: str, one: Tensor, other_name: str, other: Tensor) -> None:
    if one.device != other.device:
        raise ValueError(
            f"{one_name} is on {one.device}, {other_name} on {other.device}: move one with .to(...)."
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
