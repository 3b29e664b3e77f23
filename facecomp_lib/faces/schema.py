"""What one batch of faces holds, whatever its source: embedded pack, prepared folder, renderer, photo.

Conventions (all of the library's): images are RGB in [0, 1]; pixel coordinates are ``(x, y)`` with whole
numbers at pixel *centres*, so mirroring sends ``x`` to ``W - 1 - x``; 'left' and 'right' in labels are the
subject's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from facecomp_lib.utils.checks import check_shape, describe, kind_of

__all__ = ["LANDMARK_MIRROR", "PARSING", "PARSING_MIRROR", "FaceBatch"]

PARSING = (
    "background",
    "face skin",
    "left eyebrow",  # the subject's left, as in the Helen data set: on the right of the image
    "right eyebrow",
    "left eye",
    "right eye",
    "nose",
    "upper lip",
    "inner mouth",
    "lower lip",
    "hair",
)

PARSING_MIRROR = np.array([0, 1, 3, 2, 5, 4, 6, 7, 8, 9, 10])
"""Class of the mirrored face at the place of class ``i``: brows and eyes change sides."""


def _landmark_mirror() -> np.ndarray:
    """The left/right partner of each of the 68 iBUG points; its own inverse."""
    pairs = [(i, 16 - i) for i in range(8)]  # jaw
    pairs += [(17 + i, 26 - i) for i in range(5)]  # brows
    pairs += [(31, 35), (32, 34)]  # nostrils
    pairs += [(36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)]  # eyes
    pairs += [(48, 54), (49, 53), (50, 52), (55, 59), (56, 58)]  # outer lip line
    pairs += [(60, 64), (61, 63), (65, 67)]  # inner lip line
    partner = np.arange(68)
    for a, b in pairs:
        partner[[a, b]] = b, a
    return partner


LANDMARK_MIRROR = _landmark_mirror()

# Shape of each field with B, H, W as letters, and what kind of numbers it holds.
_FIELDS: dict[str, tuple[tuple[str | int, ...], str]] = {
    "image": (("B", 3, "H", "W"), "float"),
    "landmarks": (("B", 68, 2), "float"),
    "parsing": (("B", "H", "W"), "int64"),
    "identity": (("B",), "int64"),
    "pose": (("B", 3), "float"),
    "lamps": (("B", 2, 6), "float"),
    "light_ratio": (("B", 3, "H", "W"), "float"),
    "mirror_flow": (("B", "H", "W", 2), "float"),
    "mirror_valid": (("B", "H", "W"), "bool"),
}


@dataclass(frozen=True, eq=False)
class FaceBatch:
    """A batch of B aligned faces and what is known about them; what is unknown is ``None``.

    Attributes:
        image: float32 ``[B, 3, H, W]``, RGB in [0, 1].
        landmarks: float32 ``[B, 68, 2]``, (x, y) in pixels, iBUG order.
        parsing: int64 ``[B, H, W]``, index into :data:`PARSING`; labels are what one sees (hair over an eye
            is hair).
        identity: int64 ``[B]``, unique over all splits of a data set.
        attributes: name -> bool ``[B]``.
        pose: float32 ``[B, 3]``, yaw, pitch, roll in degrees; yaw > 0 turns the face to the image right.
        lamps: float32 ``[B, 2, 6]``, unit direction towards each lamp (x right, y up, z to the viewer), then
            its RGB.
        light_ratio: float32 ``[B, 3, H, W]``, light on this side over light on the mirrored side.
        mirror_flow: float32 ``[B, H, W, 2]``. At the pixel that shows a surface point: where the *flipped*
            image shows that point's mirror partner; absolute, in [-1, 1], for ``grid_sample(...,
            align_corners=True)``.
        mirror_valid: bool ``[B, H, W]``, where the mirror partner is visible, so that the flow means
            something.

    Raises:
        ValueError: a field has another shape, another kind of numbers, or another batch or image size.
    """

    image: Tensor
    landmarks: Tensor | None = None
    parsing: Tensor | None = None
    identity: Tensor | None = None
    attributes: dict[str, Tensor] | None = None
    pose: Tensor | None = None
    lamps: Tensor | None = None
    light_ratio: Tensor | None = None
    mirror_flow: Tensor | None = None
    mirror_valid: Tensor | None = None

    def __post_init__(self) -> None:
        sizes: dict[str, int] = {}
        for name, (shape, kind) in _FIELDS.items():
            value = getattr(self, name)
            if value is not None or name == "image":
                _check(name, value, shape, kind, sizes)
        for name, value in (self.attributes or {}).items():
            _check(f"attributes[{name!r}]", value, ("B",), "bool", sizes)
        if (self.mirror_flow is None) != (self.mirror_valid is None):
            raise ValueError("mirror_flow and mirror_valid belong together: give both or neither.")

    def __len__(self) -> int:
        return int(self.image.shape[0])

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images in pixels."""
        return int(self.image.shape[2]), int(self.image.shape[3])

    @property
    def device(self) -> torch.device:
        return self.image.device

    def to(self, device: torch.device | str, non_blocking: bool = False) -> FaceBatch:
        """The same batch on another device."""
        return self._map(lambda _, value: value.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> FaceBatch:
        """The same batch in page-locked memory, from where it travels to a GPU without waiting."""
        return self._map(lambda _, value: value.pin_memory())

    def __getitem__(self, index: int | slice | Sequence[int] | np.ndarray | Tensor) -> FaceBatch:
        """Some of the faces, still as a batch: an ``int`` keeps the batch axis (B = 1)."""
        if isinstance(index, (int, np.integer)):
            if not -len(self) <= index < len(self):
                raise IndexError(f"Face {index} of a batch of {len(self)}: count from 0.")
            index = [int(index) % len(self)]
        if not isinstance(index, slice):
            chosen = torch.as_tensor(index, device=self.device)
            index = chosen if chosen.numel() else chosen.long()
        return self._map(lambda _, value: value[index])

    def replace(self, **changes: object) -> FaceBatch:
        """A copy with some fields changed; checked like a new batch."""
        return replace(self, **changes)  # type: ignore[arg-type]

    def mirror(self, where: Tensor | None = None) -> FaceBatch:
        """The same faces as a mirror shows them.

        Images, labels and light flip; landmarks, brows and eyes change sides; yaw, roll and the lamps' x
        change sign; the mirror flow turns into the flow of the mirrored image.

        Args:
            where: bool ``[B]``, the faces to mirror; by default all. Mirroring twice gives the same batch
                back.
        """
        if where is None:
            return self._map(self._mirrored)
        if where.shape != (len(self),) or where.dtype != torch.bool:
            raise ValueError(
                f"where must be a bool tensor [{len(self)}], one flag per face, not {describe(where)}."
            )

        def some(name: str, value: Tensor) -> Tensor:
            value = value.clone()
            value[where] = self._mirrored(name, value[where])
            return value

        return self._map(some)

    @staticmethod
    def cat(batches: Sequence[FaceBatch]) -> FaceBatch:
        """One batch of all faces, in order; a field or attribute that one batch lacks becomes unknown."""
        if not batches:
            raise ValueError("cat needs at least one batch.")
        sizes = sorted({batch.size for batch in batches})
        if len(sizes) > 1:
            raise ValueError(f"cat needs faces of one size, not {', '.join(f'{h}x{w}' for h, w in sizes)}.")
        joined: dict[str, object] = {}
        for name in _FIELDS:
            values = [getattr(batch, name) for batch in batches]
            joined[name] = None if any(value is None for value in values) else torch.cat(values)
        if all(batch.attributes is not None for batch in batches):
            tables = [batch.attributes or {} for batch in batches]
            shared = [key for key in tables[0] if all(key in table for table in tables)]
            joined["attributes"] = {key: torch.cat([table[key] for table in tables]) for key in shared}
        return FaceBatch(**joined)  # type: ignore[arg-type]

    def _mirrored(self, name: str, value: Tensor) -> Tensor:
        if name in ("image", "light_ratio"):
            return value.flip(-1)
        if name == "mirror_valid":
            return value.flip(-1)
        if name == "parsing":
            return torch.as_tensor(PARSING_MIRROR, device=value.device)[value.flip(-1)]
        if name == "landmarks":
            value = value[:, torch.as_tensor(LANDMARK_MIRROR, device=value.device)]
            return torch.stack([self.size[1] - 1 - value[..., 0], value[..., 1]], -1)
        if name == "mirror_flow":
            return value.flip(2) * value.new_tensor([-1.0, 1.0])
        if name == "pose":
            return value * value.new_tensor([-1.0, 1.0, -1.0])
        if name == "lamps":
            return value * value.new_tensor([-1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
        return value  # identity and attributes stay

    def _map(self, function: Callable[[str, Tensor], Tensor]) -> FaceBatch:
        """A batch with ``function(name, tensor)`` in place of each known tensor."""
        changed: dict[str, object] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, dict):
                changed[field.name] = {key: function(field.name, item) for key, item in value.items()}
            else:
                changed[field.name] = None if value is None else function(field.name, value)
        return FaceBatch(**changed)  # type: ignore[arg-type]


def _check(name: str, value: Any, shape: tuple[str | int, ...], kind: str, sizes: dict[str, int]) -> None:
    """Compare one field with its declared shape and kind; letters must mean the same number in all fields."""
    check_shape(value, shape, name, sizes, tensor=True)
    kinds = {
        "float": value.is_floating_point(),
        "int64": value.dtype == torch.int64,
        "bool": value.dtype == torch.bool,
    }
    if not kinds[kind]:
        hint = " (divide 8-bit images by 255)" if name == "image" else ""
        raise ValueError(f"{name} must hold {kind} numbers, not {kind_of(value)}{hint}.")
