"""Numbers as a reader wants them: units, digits, what is better, and tables of holes by methods."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from facecomp_lib.evaluation.bootstrap import Estimate

__all__ = ["Display", "Table", "display"]


@dataclass(frozen=True)
class Display:
    """How a measure is shown: ``scale`` times its value, in ``unit``; ``better`` is +1, -1 or 0 (unknown)."""

    label: str
    unit: str = ""
    better: int = 0
    digits: int = 3
    scale: float = 1

    @property
    def note(self) -> str:
        """Unit and direction, as in 'dB, more is better'."""
        direction = {1: "more is better", -1: "less is better", 0: ""}[self.better]
        return ", ".join(part for part in (self.unit, direction) if part)

    def number(self, value: float, sign: bool = False) -> str:
        return f"{self.scale * value:{'+' if sign else ''}.{self.digits}f}"


_SHOWN = {
    "psnr": Display("PSNR", "dB", 1, 2),
    "ssim": Display("SSIM", "", 1, 3),
    "l1": Display("L1", "%", -1, 2, 100),
    "lpips": Display("LPIPS", "", -1, 3),
    "identity": Display("identity distance", "", -1, 3),
    "landmark_error": Display("landmark error", "px", -1, 2),
    "nme": Display("NME", "%", -1, 2, 100),
    "nme_hole": Display("NME, hidden points", "%", -1, 2, 100),
    "dice": Display("Dice", "%", 1, 1, 100),
    "fid": Display("FID", "", -1, 2),
    "kid": Display("KID x 1000", "", -1, 2, 1000),
    "top": Display("Top-", "%", 1, 1, 100),
}


def display(measure: str) -> Display:
    """How to show a measure: ``psnr``, ``psnr_hole``, ``dice_nose``, ``kid_vgg16``, ``top5`` ...; others by
    their name."""
    if measure in _SHOWN:
        return _SHOWN[measure]
    if measure.startswith("top") and measure[3:].isdigit():
        return _relabelled(_SHOWN["top"], f"Top-{measure[3:]}")
    known = max((name for name in _SHOWN if measure.startswith(f"{name}_")), key=len, default=None)
    if known is None:
        return Display(measure)
    detail = measure.removeprefix(f"{known}_")
    detail = {"hole": "missing pixels"}.get(detail, detail.replace("_", " "))
    return _relabelled(_SHOWN[known], f"{_SHOWN[known].label}, {detail}")


def _relabelled(shown: Display, label: str) -> Display:
    return Display(label, shown.unit, shown.better, shown.digits, shown.scale)


@dataclass(frozen=True, eq=False)
class Table:
    """One measure, holes by methods; ``table[method, hole]`` is an :class:`Estimate`.

    Attributes:
        measure: its name; units and digits follow from it.
        methods, holes: in the order in which they were added.
        cells: (method, hole) -> estimate, in the measure's own scale (L1 as a fraction), where there is one.
        best: cells of the best mean of their hole, and those whose paired difference from it may be chance.
        baseline: set if the cells are differences from this method.
        level: of the intervals.
        palette: all methods of the comparison; a method keeps its colour by its place among them.
        rows: printed as rows, ``"holes"`` or ``"methods"``.
        title: printed above, if there is one.
    """

    measure: str
    methods: tuple[str, ...]
    holes: tuple[str, ...]
    cells: Mapping[tuple[str, str], Estimate]
    best: frozenset[tuple[str, str]] = field(default_factory=frozenset)
    baseline: str | None = None
    level: float = 0.95
    palette: tuple[str, ...] = ()
    rows: str = "holes"
    title: str = ""

    def titled(self, title: str) -> Table:
        """The same table with a title, as in ``table.titled("The paper")``."""
        return replace(self, title=title)

    def __getitem__(self, key: tuple[str, str]) -> Estimate:
        if key not in self.cells:
            raise KeyError(f"no {self.measure} of {key!r}: methods {self.methods}, holes {self.holes}")
        return self.cells[key]

    @property
    def caption(self) -> str:
        """What the numbers are, in one line."""
        shown = display(self.measure)
        title = shown.label if self.baseline is None else f"{shown.label}, difference from {self.baseline}"
        counts = sorted({cell.n for cell in self.cells.values() if cell.n})
        images = "" if not counts or counts == [1] else f"; {_range(counts)} images"
        interval = any(not np.isnan(cell.low) for cell in self.cells.values())
        with_interval = f", mean [{100 * self.level:g} % interval]" if interval else ""
        note = f" ({shown.note})" if shown.note else ""
        return f"{title}{note}{with_interval}{images}"

    def __str__(self) -> str:
        head, body = self._layout()
        rows = [["", *head], *([name, *(self._text(*key) for key in keys)] for name, keys in body)]
        widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
        lines = ["  ".join(map(str.ljust, row, widths)) for row in rows]
        mark = ["* best of its hole, or not to be told from it"] if self.best else []
        title = [self.title] if self.title else []
        return "\n".join([*title, self.caption, *(line.rstrip() for line in lines), *mark])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        align = "text-align:right;padding:2px 12px"
        columns, rows = self._layout()
        head = "".join(f"<th style='{align}'>{html.escape(name)}</th>" for name in columns)
        body = ""
        for name, keys in rows:
            cells = "".join(f"<td style='{align}'>{self._cell(*key)}</td>" for key in keys)
            body += f"<tr><th style='text-align:left'>{html.escape(name)}</th>{cells}</tr>"
        mark = "<br><small>bold: best of its hole, or not to be told from it</small>" if self.best else ""
        title = f"<b>{html.escape(self.title)}</b>" if self.title else ""
        return (
            f"{title}<table style='font-variant-numeric:tabular-nums'><caption style='text-align:left'>"
            f"{html.escape(self.caption)}{mark}</caption><thead><tr><th></th>{head}</tr></thead>"
            f"<tbody>{body}</tbody></table>"
        )

    def _layout(self) -> tuple[tuple[str, ...], list[tuple[str, list[tuple[str, str]]]]]:
        """Names of the columns; each row's name and the keys (method, hole) of its cells."""
        if self.rows == "methods":
            return self.holes, [(name, [(name, hole) for hole in self.holes]) for name in self.methods]
        return self.methods, [(hole, [(name, hole) for name in self.methods]) for hole in self.holes]

    def _parts(self, method: str, hole: str) -> tuple[str, str]:
        """The mean and its interval as texts, empty where there are none."""
        cell = self.cells.get((method, hole))
        if cell is None or cell.n == 0:
            return "", ""
        shown, sign = display(self.measure), self.baseline is not None
        if np.isnan(cell.low):
            return shown.number(cell.mean, sign), ""
        low, high = (shown.number(value, sign) for value in (cell.low, cell.high))
        return shown.number(cell.mean, sign), f"[{low}, {high}]"

    def _text(self, method: str, hole: str) -> str:
        mean, interval = self._parts(method, hole)
        star = " *" if (method, hole) in self.best else ""
        return " ".join(part for part in (mean or "-", interval) if part) + star

    def _cell(self, method: str, hole: str) -> str:
        mean, interval = self._parts(method, hole)
        mean = f"<b>{mean}</b>" if (method, hole) in self.best else mean or "&ndash;"
        return f"{mean} <small style='opacity:.65'>{interval}</small>" if interval else mean


def _range(counts: list[int]) -> str:
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
