"""Run methods over faces and masks, and measure what comes out. Lesson 02 uses it for the classical fills."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm.auto import tqdm

from facecomp_lib import classical
from facecomp_lib.completion import Completion
from facecomp_lib.evaluation.image import IMAGE_METRICS, score
from facecomp_lib.evaluation.registry import METRICS
from facecomp_lib.evaluation.sets import Features, extract_features, fid, kid
from facecomp_lib.faces.schema import FaceBatch
from facecomp_lib.masks import KINDS, composite, make
from facecomp_lib.utils.checks import check_near_unit_range
from facecomp_lib.utils.renamed import renamed

__all__ = ["evaluate", "select_faces"]

Completer = Callable[..., Any]
"""``(image, mask) -> Completion``, or just the image, or just extras (a mapping) where nothing is completed.

Its attribute ``conditions``, if it has one, names what it is told of the true faces, as keyword arguments:
``("landmarks",)``, say."""
MaskSampler = Callable[[Any, NDArray[np.int64], int], Tensor]
"""``(faces, numbers, seed) -> mask [B, 1, H, W]``; a face's mask should depend on its own number alone."""

SET_METRICS = ("fid", "kid")
KEYS = ["method", "mask", "index", "person"]  # of a wide table: there, identity is the name of a metric
_REAL = ("", "")  # the key of the true images among (method, mask)


@torch.no_grad()
@renamed(measures="metrics")
def evaluate(
    methods: Any,
    faces: Any,
    masks: str | Sequence[str] | Mapping[str, MaskSampler] = "center",
    metrics: str | Sequence[str] = IMAGE_METRICS,
    limit: int | None = None,
    seed: int = 0,
    batch_size: int = 16,
    progress: bool = True,
) -> pd.DataFrame:
    """Complete the same faces with the same masks by each method, and score every completion.

    Args:
        methods: the name of a classical fill, a method (``.complete(image, mask)``), or a function
            ``(image, mask) -> Completion`` (or image); or several: a list of these, or a mapping name -> one
            of them. None is shown what lies under the mask: zeros are there instead. What a method draws is
            clamped to [0, 1].
        faces: a data set of faces.
        masks: one or several of ``fc.masks.KINDS``, or ``"none"``. A face keeps its mask whatever the batch
            size and the other faces: masks are drawn by (seed, kind, face number). Or a mapping name ->
            function ``(faces, numbers, seed) -> mask [B, 1, H, W]``, for masks that have no name.
        metrics: names in :data:`METRICS`. Those that need an extra (landmarks, parsing) are computed for the
            methods that give it. ``fid`` and ``kid`` are one number per method and mask, of completions
            against the very faces that they complete; their rows have index and identity -1.
        limit: this many faces, drawn by ``seed`` without replacement; by default all.
        seed: not negative; of masks and of the draw of faces.
        batch_size: faces at a time.
        progress: show a bar if it takes more than two seconds.

    Returns:
        DataFrame with a row per number: ``method, mask, index`` (number of the face in the data set),
        ``identity`` (-1 if unknown), ``metric, value``. What cannot be measured (a face without any missing
        pixel) has no row.

    Raises:
        ValueError: unknown names, no faces, a method that gives no images, or metrics that the faces' labels
            or the methods' extras cannot support. FileNotFoundError: weights of a metric are missing.
    """
    completers = named_completers(methods)
    samplers = named_masks(masks)
    names = [metrics] if isinstance(metrics, str) else list(metrics)
    _check(names, len(faces), limit, batch_size)
    sets = [name for name in names if name in SET_METRICS]
    tables: list[pd.DataFrame] = []
    features: dict[tuple[str, str], list[Features]] = {}
    for batch, numbers, kind, mask in masked_batches(
        faces, samplers, limit, seed, batch_size, device_of(methods), progress
    ):
        if sets and kind == next(iter(samplers)):
            features.setdefault(_REAL, []).append(extract_features(batch.image, progress=False))
        for name, complete in completers.items():
            completion = completion_of(name, complete, batch, mask)
            scores = _scores(completion, batch, mask, names)
            person = -1 if batch.identity is None else batch.identity.cpu().numpy()
            keys = {"method": name, "mask": kind, "index": numbers, "person": person}
            tables.append(pd.DataFrame(keys | {key: value.cpu().double() for key, value in scores.items()}))
            if sets and completion.composite.numel():
                found = extract_features(completion.composite, progress=False)
                features.setdefault((name, kind), []).append(found)
    wide = pd.concat(tables, ignore_index=True)
    for name in names:
        if METRICS[name].needs and name not in wide:
            raise ValueError(f"No method gives {METRICS[name].needs!r} in its extras, which {name} needs.")
    return pd.concat([tidy(wide), *_set_rows(sets, features, seed)], ignore_index=True)


def tidy(wide: pd.DataFrame) -> pd.DataFrame:
    """A row per number, from a column per metric; what was not measured has none."""
    rows = wide.melt(KEYS, var_name="metric").dropna(subset="value", ignore_index=True)
    return rows.rename(columns={"person": "identity"})


def _scores(
    completion: Completion, batch: FaceBatch, mask: Tensor, names: Sequence[str]
) -> dict[str, Tensor]:
    """Metric -> ``[B]``, of those metrics that this completion has what is needed for."""
    of_image = [name for name in names if name in IMAGE_METRICS]
    scores = {}
    if completion.composite.numel() and of_image:
        scores = score(completion.composite, batch.image, mask, of_image)
    for name in names:
        one = METRICS[name]
        there = one.needs in completion.extras if one.needs else completion.composite.numel() > 0
        if name not in IMAGE_METRICS and one.compute and there:
            scores[name] = one.compute(completion, batch, mask)
    return scores


def _set_rows(
    sets: Sequence[str], features: Mapping[tuple[str, str], list[Features]], seed: int
) -> Iterator[pd.DataFrame]:
    """A row for each set metric, method and mask."""
    whole = {
        key: Features(parts[0].network, torch.cat([part.values for part in parts]))
        for key, parts in features.items()
    }
    for metric in sets:
        for (name, kind), found in whole.items():
            if (name, kind) != _REAL:
                real = whole[_REAL]
                distance = fid(real, found) if metric == "fid" else kid(real, found, seed=seed)
                row = {"method": name, "mask": kind, "index": -1, "identity": -1, "metric": distance.name}
                yield pd.DataFrame([row | {"value": distance.value}])


def masked_batches(
    faces: Any,
    samplers: Mapping[str, MaskSampler],
    limit: int | None = None,
    seed: int = 0,
    batch_size: int = 16,
    device: torch.device | str = "cpu",
    progress: bool = True,
) -> Iterator[tuple[FaceBatch, NDArray[np.int64], str, Tensor]]:
    """Every batch of faces under every kind of mask: (faces, their numbers, kind, mask ``[B, 1, H, W]``)."""
    chosen = select_faces(len(faces), limit, seed)
    with tqdm(total=len(chosen) * len(samplers), desc="faces", delay=2, disable=not progress) as bar:
        for numbers in np.split(chosen, range(batch_size, len(chosen), batch_size)):
            batch = faces.batch(numbers).to(device)
            for kind, sample in samplers.items():
                yield batch, numbers, kind, sample(batch, numbers, seed)
                bar.update(len(numbers))


def named_completers(methods: Any) -> dict[str, Completer]:
    """Name -> function ``(image, mask) -> Completion or image``."""
    if isinstance(methods, Mapping):
        return {str(name): _completer(method)[1] for name, method in methods.items()}
    several = methods if isinstance(methods, (list, tuple)) else [methods]
    completers = dict(_completer(method) for method in several)
    if len(completers) < len(several):
        raise ValueError(
            f"Two methods have one name among {', '.join(completers)}: give a mapping name -> method."
        )
    return completers


def _completer(method: Any) -> tuple[str, Completer]:
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


def _on_its_device(method: Any) -> Completer:
    device = next(method.parameters()).device if isinstance(method, torch.nn.Module) else None

    def complete(image: Tensor, mask: Tensor) -> Any:
        return method.complete(image.to(device), mask.to(device))

    return complete


def completion_of(name: str, complete: Completer, faces: FaceBatch, mask: Tensor) -> Completion:
    """What the method makes of the known pixels, clamped to [0, 1] and put into the true image."""
    image = faces.image
    conditions = {label: getattr(faces, label) for label in getattr(complete, "conditions", ())}
    result = complete(torch.where(mask > 0.5, image, torch.zeros_like(image)), mask, **conditions)
    if isinstance(result, Mapping):
        nothing = image.new_zeros(0)
        return Completion(nothing, nothing, {key: value.to(image.device) for key, value in result.items()})
    drawn = getattr(result, "composite", result)
    if not isinstance(drawn, Tensor) or drawn.shape != image.shape:
        shape = list(drawn.shape) if isinstance(drawn, Tensor) else type(drawn).__name__
        raise ValueError(f"The method {name!r} must give images {list(image.shape)}, not {shape}.")
    if not bool(drawn.isfinite().all()):
        raise ValueError(f"The method {name!r} gives images with NaN or infinite values.")
    check_near_unit_range(drawn, f"What the method {name!r} gives")
    extras = {key: value.to(image.device) for key, value in getattr(result, "extras", {}).items()}
    completed = composite(image, drawn.to(image).clamp(0, 1), mask)
    return Completion(completed, getattr(result, "raw", drawn), extras)


def device_of(methods: Any) -> torch.device | str:
    """Where the first network among the methods is; faces go there."""
    several = methods.values() if isinstance(methods, Mapping) else methods
    several = several if isinstance(several, Iterable) and not isinstance(several, str) else [several]
    modules = [method for method in several if isinstance(method, torch.nn.Module)]
    return next((weight.device for module in modules for weight in module.parameters()), "cpu")


def named_masks(kinds: str | Sequence[str] | Mapping[str, MaskSampler]) -> dict[str, MaskSampler]:
    """Name -> function ``(faces, numbers, seed) -> mask``."""
    if isinstance(kinds, Mapping) and kinds:
        return {str(name): sample for name, sample in kinds.items()}
    several = [kinds] if isinstance(kinds, str) else list(kinds)
    unknown = [kind for kind in several if kind not in (*KINDS, "none")]
    if unknown or not several:
        raise ValueError(f"Unknown mask kinds {unknown}: choose from {', '.join(KINDS)}, none.")
    return {kind: _nothing if kind == "none" else partial(_masks, kind) for kind in several}


def _nothing(faces: Any, numbers: NDArray[np.int64], seed: int) -> Tensor:
    """A mask that hides nothing: ``[B, 1, H, W]``."""
    return torch.ones_like(faces.image[:, :1])


def _masks(kind: str, faces: Any, numbers: NDArray[np.int64], seed: int) -> Tensor:
    """A mask for each face, ``[B, 1, H, W]``, by its own number."""
    height, width = faces.image.shape[2:]
    drawn = []
    for place, number in enumerate(numbers):
        own = int(np.random.SeedSequence([seed, *kind.encode(), int(number)]).generate_state(1)[0])
        points = None if faces.landmarks is None else faces.landmarks[place : place + 1]
        drawn.append(make(kind, (height, width), 1, own, points))
    return torch.cat(drawn).to(faces.image.device)


def select_faces(count: int, limit: int | None, seed: int) -> NDArray[np.int64]:
    """The numbers of ``limit`` faces among ``count``, ascending; a longer draw holds the shorter one."""
    order = np.random.default_rng([seed, count]).permutation(count)
    return np.sort(order[:limit])


def _check(metrics: list[str], count: int, limit: int | None, batch_size: int) -> None:
    offered = [name for name, one in METRICS.items() if one.compute or name in SET_METRICS]
    wrong = [name for name in metrics if name not in offered]
    if wrong or not metrics:
        raise ValueError(f"Unknown metrics {wrong}: choose from {', '.join(offered)}.")
    if not count or batch_size < 1 or (limit is not None and limit < 1):
        raise ValueError(
            f"There must be faces: {count} are there, the limit is {limit}, {batch_size} at a time."
        )
    least = count if limit is None else min(limit, count)
    if "kid" in metrics and least < 4:
        raise ValueError(f"KID needs 4 faces or more, not {least}.")
