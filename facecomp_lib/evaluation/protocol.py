"""Run methods over faces and holes, and measure what comes out. Lesson 02 uses it for the classical fills."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm.auto import tqdm

from facecomp_lib import classical, masks
from facecomp_lib.evaluation.comparison import Comparison
from facecomp_lib.evaluation.distributions import Features, extract_features, kid
from facecomp_lib.evaluation.metrics import MEASURES, score
from facecomp_lib.evaluation.recognition import face_embedding

__all__ = ["evaluate"]

Fill = Callable[[Tensor, Tensor], Any]
Holes = Callable[[Any, NDArray[np.int64], int], Tensor]
"""``(faces, numbers, seed) -> mask [B, 1, H, W]``; a face's hole should depend on its own number alone."""
_REAL = ("", "")  # the key of the true images among (method, hole)


@torch.no_grad()
def evaluate(
    methods: Any,
    dataset: Any,
    mask_kinds: str | Sequence[str] | Mapping[str, Holes] = "center",
    measures: str | Sequence[str] = MEASURES,
    limit: int | None = None,
    seed: int = 0,
    batch: int = 16,
    progress: bool = True,
    by: str = "picture",
) -> Comparison:
    """Complete the same faces with the same holes by each method, and score every composite.

    Args:
        methods: the name of a classical fill, a method (``.complete(image, mask)``), or a function
            ``(image, mask) -> completion or image``; or several: a list of these, or a mapping name -> one
            of them. None is shown what lies under the hole: zeros are there instead. What a method draws is
            clamped to [0, 1].
        dataset: a data set of faces.
        mask_kinds: one or several of ``fc.masks.KINDS``. A face keeps its hole whatever the batch size and
            the other faces: holes are drawn by (seed, kind, face number). Or a mapping name -> function
            ``(faces, numbers, seed) -> mask [B, 1, H, W]``, for holes that have no name.
        measures: those of :func:`score`, and ``"identity"`` (embedding distance; needs landmarks) and
            ``"kid"`` (one number per hole and method: completions against the very faces they complete).
        limit: this many faces, drawn by ``seed`` without replacement; by default all.
        seed: not negative; of holes, of the draw of faces, and of the intervals.
        batch: faces at a time.
        progress: show a bar if it takes more than two seconds.
        by: what the intervals count as independent, ``"image"`` or ``"person"``.

    Returns:
        Comparison: same faces in the same order for all, so its differences are paired.

    Raises:
        ValueError: unknown names, no faces, a method that gives no images, or measures that the faces'
            labels cannot support. FileNotFoundError: weights of ``identity`` or ``kid`` are missing.
    """
    fills = named_fills(methods)
    holes = named_holes(mask_kinds)
    measures = [measures] if isinstance(measures, str) else list(measures)
    _check(measures, len(dataset), limit, batch)
    plain = [name for name in measures if name in MEASURES]
    chosen = drawn_faces(len(dataset), limit, seed)
    comparison = Comparison(seed=seed, groups=_groups(dataset, chosen, by))
    seen: dict[tuple[str, str], list[Features]] = {}
    device = device_of(methods)
    with tqdm(
        total=len(chosen) * len(holes) * len(fills), desc="faces", delay=2, disable=not progress
    ) as bar:
        for numbers in np.split(chosen, range(batch, len(chosen), batch)):
            faces = dataset.batch(numbers).to(device)
            true = face_embedding(faces.image, faces.landmarks) if "identity" in measures else None
            if "kid" in measures:
                seen.setdefault(_REAL, []).append(extract_features(faces.image, progress=False))
            for kind, hole in holes.items():
                mask = hole(faces, numbers, seed)
                for name, fill in fills.items():
                    composite = composite_of(name, fill, faces.image, mask)
                    scores = score(composite, faces.image, mask, plain)
                    if true is not None:
                        found = face_embedding(composite, faces.landmarks)
                        scores["identity"] = (found - true).norm(dim=1)
                    if scores:
                        comparison.add(name, kind, scores)
                    if "kid" in measures:
                        seen.setdefault((name, kind), []).append(extract_features(composite, progress=False))
                    bar.update(len(numbers))
    _add_kid(comparison, seen, seed)
    return comparison


def named_fills(methods: Any) -> dict[str, Fill]:
    """Name -> function ``(image, mask) -> completion or image``."""
    if isinstance(methods, Mapping):
        return {str(name): _fill(method)[1] for name, method in methods.items()}
    several = methods if isinstance(methods, (list, tuple)) else [methods]
    fills = dict(_fill(method) for method in several)
    if len(fills) < len(several):
        raise ValueError(
            f"Two methods have one name among {', '.join(fills)}: give a mapping name -> method."
        )
    return fills


def _fill(method: Any) -> tuple[str, Fill]:
    if isinstance(method, str):
        if method not in classical.KINDS:
            raise ValueError(f"Unknown fill {method!r}: choose one of {', '.join(classical.KINDS)}.")
        return method, lambda image, mask: classical.complete(image, mask, method)
    name = str(getattr(method, "name", "") or getattr(method, "__name__", "") or type(method).__name__)
    if callable(getattr(method, "complete", None)):
        return name, _on_its_device(method)
    if callable(method):
        return name, method
    raise ValueError(
        f"A method is a fill's name, an object with complete(image, mask) or a function, not {method!r}."
    )


def _on_its_device(method: Any) -> Fill:
    device = next(method.parameters()).device if isinstance(method, torch.nn.Module) else None

    def complete(image: Tensor, mask: Tensor) -> Any:
        return method.complete(image.to(device), mask.to(device))

    return complete


def composite_of(name: str, fill: Fill, image: Tensor, mask: Tensor) -> Tensor:
    """The method's image with the known pixels of the true one, which it was shown, and no others."""
    result = fill(torch.where(mask > 0.5, image, torch.zeros_like(image)), mask)
    filled = getattr(result, "composite", result)
    if not isinstance(filled, Tensor) or filled.shape != image.shape:
        shape = list(filled.shape) if isinstance(filled, Tensor) else type(filled).__name__
        raise ValueError(f"The method {name!r} must give images {list(image.shape)}, not {shape}.")
    if not bool(filled.isfinite().all()):
        raise ValueError(f"The method {name!r} gives images with NaN or infinite values.")
    return masks.composite(image, filled.to(image).clamp(0, 1), mask)


def device_of(methods: Any) -> torch.device | str:
    """Where the first network among the methods is; faces go there."""
    several = methods.values() if isinstance(methods, Mapping) else methods
    several = several if isinstance(several, Iterable) and not isinstance(several, str) else [several]
    modules = [method for method in several if isinstance(method, torch.nn.Module)]
    return next((weight.device for module in modules for weight in module.parameters()), "cpu")


def named_holes(mask_kinds: str | Sequence[str] | Mapping[str, Holes]) -> dict[str, Holes]:
    """Name -> function ``(faces, numbers, seed) -> mask``."""
    if isinstance(mask_kinds, Mapping) and mask_kinds:
        return {str(name): hole for name, hole in mask_kinds.items()}
    kinds = [mask_kinds] if isinstance(mask_kinds, str) else list(mask_kinds)
    unknown = [kind for kind in kinds if kind not in masks.KINDS]
    if unknown or not kinds:
        raise ValueError(f"Unknown mask kinds {unknown}: choose from {', '.join(masks.KINDS)}.")
    return {kind: partial(_masks, kind) for kind in kinds}


def _groups(dataset: Any, chosen: NDArray[np.int64], by: str) -> NDArray[np.int64] | None:
    """Who each chosen face is, if people count."""
    if by not in ("picture", "person"):
        raise ValueError(f"by must be 'image' or 'person', not {by!r}.")
    return identities(dataset)[chosen] if by == "person" else None


def identities(dataset: Any) -> NDArray[np.int64]:
    """Who each face is, ``[N]``; ValueError if the data set does not know of all."""
    people = np.asarray(dataset.column("identity"))
    if (people < 0).any():
        raise ValueError(f"{dataset.name} does not know who its faces are: count by image.")
    return people


def _check(measures: list[str], count: int, limit: int | None, batch: int) -> None:
    offered = (*MEASURES, "identity", "kid")
    wrong = [name for name in measures if name not in offered]
    if wrong or not measures:
        raise ValueError(f"Unknown measures {wrong}: choose from {', '.join(offered)}.")
    if not count or batch < 1 or (limit is not None and limit < 1):
        raise ValueError(f"There must be faces: {count} are there, the limit is {limit}, {batch} at a time.")
    least = count if limit is None else min(limit, count)
    if "kid" in measures and least < 4:
        raise ValueError(f"KID needs 4 faces or more, not {least}.")


def drawn_faces(count: int, limit: int | None, seed: int) -> NDArray[np.int64]:
    """The numbers of ``limit`` faces among ``count``, ascending; a longer draw holds the shorter one."""
    order = np.random.default_rng([seed, count]).permutation(count)
    return np.sort(order[:limit])


def _masks(kind: str, faces: Any, numbers: NDArray[np.int64], seed: int) -> Tensor:
    """A hole for each face, ``[B, 1, H, W]``, by its own number."""
    height, width = faces.image.shape[2:]
    drawn = []
    for place, number in enumerate(numbers):
        own = int(np.random.SeedSequence([seed, *kind.encode(), int(number)]).generate_state(1)[0])
        points = None if faces.landmarks is None else faces.landmarks[place : place + 1]
        drawn.append(masks.make(kind, (height, width), 1, own, points))
    return torch.cat(drawn).to(faces.image.device)


def _add_kid(comparison: Comparison, seen: Mapping[tuple[str, str], list[Features]], seed: int) -> None:
    sets = {key: Features(p[0].network, torch.cat([part.values for part in p])) for key, p in seen.items()}
    for key, features in sets.items():
        if key != _REAL:
            distance = kid(sets[_REAL], features, seed=seed)
            comparison.add(*key, {distance.name: distance.value})
