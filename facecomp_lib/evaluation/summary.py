"""From scores to means with intervals: which rows of a data frame belong together.

Scores are a tidy data frame, a row per number: ``method`` (or ``variant``), ``mask``, ``index``,
``identity``, ``metric``, ``value``, and where they come from training runs ``seed``, where from several data
sets ``dataset``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from facecomp_lib.evaluation.bootstrap import Estimate, bootstrap, bootstrap_runs
from facecomp_lib.evaluation.registry import metric as display_of

__all__ = ["estimate", "face_values", "name_column", "people_of", "summarize"]

FACE = ("dataset", "index", "identity")


def name_column(scores: pd.DataFrame) -> str:
    """``variant`` in results of experiments, else ``method``."""
    return "variant" if "variant" in scores else "method"


def summarize(
    scores: pd.DataFrame,
    metric: str,
    methods: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    across: str = "mask",
    by: str = "identity",
    baseline: str | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Means over faces and training runs, with 95 % intervals, of each method on each kind of mask.

    With several seeds, intervals count chance in faces and in runs, else in faces alone.

    Args:
        scores: tidy rows; or means that are recorded as such (columns ``mean, low, high, n``).
        metric: name.
        methods, columns: those wanted and their order; by default all, as they come.
        across: the column whose values become the columns of a table, ``mask`` or ``dataset``, say.
        by: what counts as independent, ``"identity"`` (people, where they are known) or ``"index"`` (faces).
        baseline: a method; then the others' paired differences from it.
        seed: of the bootstrap.

    Returns:
        DataFrame with a row per method and column: their names, ``mean, low, high, n, best``. Best are the
        best mean of a column and those whose paired difference from it may be chance.

    Raises:
        ValueError: nothing there of such a name.
    """
    name = name_column(scores)
    scores = scores[scores["metric"] == metric]
    methods = _known(scores, name, methods, metric)
    columns = _known(scores, across, columns, metric)
    if baseline is not None:
        _known(scores, name, [baseline], metric)
    scores = scores[scores[name].isin([*methods, baseline]) & scores[across].isin(columns)]
    if "mean" in scores:
        order = scores.set_index([name, across]).reindex(pd.MultiIndex.from_product([methods, columns]))
        order.index.names = [name, across]
        return order.reset_index()[[name, across, "mean", "low", "high", "n"]].dropna().assign(best=False)
    seeds = _seeds(scores)
    rows = []
    for column in columns:
        cells = {
            method: face_values(part)
            for method, part in scores[scores[across] == column].groupby(name, sort=False)
        }
        wanted = [method for method in methods if method in cells and method != baseline]
        if baseline is not None:
            wanted = [method for method in wanted if baseline in cells]
            cells = {method: cells[method] - cells[baseline] for method in wanted}
        means = {method: estimate(cells[method], by, seed, seeds) for method in wanted}
        best = [] if baseline else _best(cells, means, display_of(metric).sign, by, seed, seeds)
        rows += [
            {name: method, across: column, **vars(found), "best": method in best}
            for method, found in means.items()
        ]
    return pd.DataFrame(rows, columns=[name, across, "mean", "low", "high", "n", "best"])


def face_values(scores: pd.DataFrame) -> pd.DataFrame:
    """Values of one method and metric: a row per face ``(dataset, index, identity)``, a column per seed."""
    keys = [key for key in FACE if key in scores]
    if not keys:  # a number that somebody printed
        return scores[["value"]].reset_index(drop=True).set_axis([0], axis=1)
    if "seed" not in scores:
        return scores.set_index(keys)[["value"]].set_axis([0], axis=1).sort_index()
    return scores.pivot(index=keys, columns="seed", values="value")


def estimate(values: pd.DataFrame, by: str = "identity", seed: int = 0, seeds: int = 1) -> Estimate:
    """Mean and interval of :func:`face_values`; of several seeds, or of faces if there is but one.

    Args:
        values: ``[faces, seeds]``.
        by: "identity" or "index".
        seed: of the bootstrap.
        seeds: how many the others have; one that lacks some has no interval.
    """
    if by not in ("identity", "index"):
        raise ValueError(f"by must be 'identity' or 'index', not {by!r}.")
    table = values.to_numpy(np.float64).T  # [seeds, faces]
    groups = people_of(values.index) if by == "identity" else None
    if len(table) > 1 or seeds > 1:
        return bootstrap_runs(table, seed, groups)
    return bootstrap(table[0], seed, groups)


def people_of(faces: pd.Index) -> NDArray[np.int64] | None:
    """Who each face is ``[N]``; those whom nobody knows are people of their own."""
    if "identity" not in faces.names:
        return None
    people = faces.get_level_values("identity").to_numpy()
    unknown = people < 0
    return np.where(unknown, people.max(initial=-1) + 1 + np.cumsum(unknown), people)


def _best(
    cells: dict[str, pd.DataFrame], means: dict[str, Estimate], sign: int, by: str, seed: int, seeds: int
) -> list[str]:
    """The best method and what cannot be told from it; nothing if there is no contest."""
    known = [name for name, found in means.items() if not np.isnan(found.mean)]
    if not sign or len(known) < 2:
        return []
    first = max(known, key=lambda name: sign * means[name].mean)
    return [name for name in known if name == first or _tied(cells[name], cells[first], by, seed, seeds)]


def _tied(one: pd.DataFrame, best: pd.DataFrame, by: str, seed: int, seeds: int) -> bool:
    if one.shape != best.shape:
        return False
    with np.errstate(invalid="ignore"):  # two infinite values have no difference
        gap = estimate(one - best, by, seed, seeds)
    return gap.mean == 0 or (gap.n > 1 and not gap.significant)


def _seeds(scores: pd.DataFrame) -> int:
    return scores["seed"].nunique() if "seed" in scores else 1


def _known(scores: pd.DataFrame, column: str, wanted: Iterable[str] | None, metric: str) -> list[Any]:
    """The wanted values of a column, all of them by default; ValueError if one is not there."""
    offered = list(dict.fromkeys(scores[column]))
    several = offered if wanted is None else [wanted] if isinstance(wanted, str) else list(wanted)
    if unknown := [one for one in several if one not in offered]:
        there = ", ".join(map(str, offered)) or "nothing"
        raise ValueError(f"There is no {metric} of {', '.join(map(str, unknown))}; there is {there}.")
    if not several:
        raise ValueError(f"There is no {metric} in these scores.")
    return several
