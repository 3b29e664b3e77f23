"""Tables of scores and of claims: HTML in notebooks, aligned text elsewhere."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from facecomp_lib.evaluation.bootstrap import LEVEL
from facecomp_lib.evaluation.registry import Metric
from facecomp_lib.evaluation.registry import metric as display_of
from facecomp_lib.evaluation.summary import summarize

__all__ = ["TextTable", "claims_table", "score_table"]

INTERVAL = f"{100 * LEVEL:g} % interval"
BEST = "best, or not to be told from it"


@dataclass(frozen=True, eq=False)
class TextTable:
    """A table of texts that shows itself.

    Attributes:
        cells: the texts; rows and columns by name.
        small: what stands behind each text in small letters; of the same shape.
        marked: which cells are marked, bold in HTML and with a star in text.
        caption: what the numbers are.
        title: above all, if there is one.
        align: of the texts, "right" (numbers) or "left".
    """

    cells: pd.DataFrame
    small: pd.DataFrame
    marked: pd.DataFrame
    caption: str
    title: str = ""
    align: str = "right"

    def __str__(self) -> str:
        stars = self.marked.map(lambda marked: " *" if marked else "")
        small = self.small.map(lambda text: f" {text}" if text else "")
        lines = (self.cells + small + stars).to_string().splitlines()
        note = [f"* {BEST}"] if self.marked.any(axis=None) else []
        title = [self.title] if self.title else []
        return "\n".join([*title, self.caption, *(line.rstrip() for line in lines), *note])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        def escape(texts: pd.DataFrame) -> pd.DataFrame:
            return texts.map(html.escape)

        bold = self.marked.map(lambda marked: "b" if marked else "span")
        small = escape(self.small).map(
            lambda text: f" <small style='opacity:.75'>{text}</small>" if text else ""
        )
        cells = "<" + bold + ">" + escape(self.cells) + "</" + bold + ">" + small
        cells = cells.rename(index=html.escape, columns=html.escape)
        note = f"<br><small>bold: {BEST}</small>" if self.marked.any(axis=None) else ""
        title = f"<b>{html.escape(self.title)}</b>" if self.title else ""
        caption = f"<caption style='text-align:left'>{html.escape(self.caption)}{note}</caption>"
        body = cells.to_html(escape=False, border=0, justify=self.align, index_names=False)
        body = body.replace("<td>", f"<td style='text-align:{self.align};padding:2px 12px'>")
        head = "<table style='font-variant-numeric:tabular-nums'>"
        return title + body.replace('<table class="dataframe">', head + caption)


def score_table(
    scores: pd.DataFrame,
    metric: str,
    methods: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    *,
    methods_in: str = "columns",
    title: str = "",
    **options: Any,
) -> TextTable:
    """One metric, methods by masks: means with their 95 % intervals, the best marked.

    Args:
        scores, metric, methods, columns, options: as for :func:`fc.evaluation.summarize`.
        methods_in: "columns" or "rows" of the printed table.
        title: printed above.
    """
    summary = summarize(scores, metric, methods, columns, **options)
    shown, baseline = display_of(metric), options.get("baseline")
    name, across = summary.columns[:2]
    rows, heads = (across, name) if methods_in == "columns" else (name, across)
    signed = baseline is not None
    texts = summary.assign(
        text=[
            shown.text(mean, signed) if n else "–"
            for mean, n in zip(summary["mean"], summary["n"], strict=True)
        ],
        small=[interval_text(shown, low, high, signed) for low, high in summary[["low", "high"]].to_numpy()],
    )

    def grid(column: str, empty: Any) -> pd.DataFrame:
        table = texts.pivot(index=rows, columns=heads, values=column)
        table = table.reindex(index=_order(rows), columns=_order(heads)).rename_axis(index=None, columns=None)
        return table.astype(object).where(table.notna(), empty)

    def _order(key: str) -> list[str]:
        chosen = columns if key == across else methods
        return list(dict.fromkeys(summary[key])) if chosen is None else [x for x in chosen if x != baseline]

    return TextTable(
        grid("text", "–"), grid("small", ""), grid("best", False), _caption(shown, summary, baseline), title
    )


def interval_text(shown: Metric, low: float, high: float, signed: bool = False) -> str:
    """``[low, high]``, or nothing if there is no interval."""
    return "" if np.isnan(low) else f"[{shown.text(low, signed)}, {shown.text(high, signed)}]"


def _caption(shown: Metric, summary: pd.DataFrame, baseline: str | None) -> str:
    """What the numbers are, in one line."""
    title = shown.label if baseline is None else f"{shown.label}, difference from {baseline}"
    note = f" ({shown.note})" if shown.note else ""
    interval = f", mean [{INTERVAL}]" if summary["low"].notna().any() else ""
    counts = sorted({int(n) for n in summary["n"] if n})
    faces = "" if counts in ([], [1]) else f"; {_range(counts)} faces"
    return f"{title}{note}{interval}{faces}"


def _range(counts: list[int]) -> str:
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


def claims_table(claims: pd.DataFrame | Iterable[Any], title: str = "") -> TextTable:
    """Claims as rows: the metric, the paper's difference, ours with its interval, the verdict.

    Args:
        claims: of :func:`fc.experiments.claim`, or their data frame.
    """
    frame = claims if isinstance(claims, pd.DataFrame) else pd.DataFrame(list(claims))
    rows = []
    for one in frame.itertuples():
        shown = display_of(str(one.metric))
        unit = f" {shown.unit}" if shown.unit else ""
        ours = [shown.text(one.mean, True) + unit, interval_text(shown, one.low, one.high, True)]
        verdict = str(one.verdict)
        if one.seeds == 1:
            verdict += " (one run cannot tell)"
        elif one.seeds_needed == one.seeds_needed:
            verdict += f" (about {one.seeds_needed:.0f} seeds would decide)"
        rows.append(
            {
                "claim": one.text,
                "by": f"{shown.label} {'↑' if shown.sign > 0 else '↓'}",
                "paper": "–" if np.isnan(one.paper) else shown.text(one.paper, True) + unit,
                "ours": " ".join(filter(None, ours)),
                "verdict": verdict,
            }
        )
    cells = pd.DataFrame(rows).set_index("claim").rename_axis(index=None)
    seeds = "/".join(map(str, sorted(set(frame["seeds"]))))
    caption = f"ours: better minus worse [{INTERVAL} over faces and seeds], {seeds} run{'s' * (seeds != '1')}"
    empty = cells.map(lambda _: "")
    return TextTable(cells, empty, empty.astype(bool), caption, title, "left")
