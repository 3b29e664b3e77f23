"""Tables and figures of scores say what the data frames hold."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from facecomp_lib import show
from facecomp_lib.evaluation import summarize
from facecomp_lib.experiments import Claim
from facecomp_lib.show.scores import STYLES


def scores(names=("telea", "biharmonic"), masks=("center", "half_left"), metric="psnr", faces=40):
    draws = np.random.default_rng(0)
    parts = []
    for mask in masks:
        hard = draws.normal(20, 4, faces)
        for step, name in enumerate(names):
            values = hard + step * draws.normal(1, 0.3, faces)
            keys = {"method": name, "mask": mask, "index": np.arange(faces), "identity": -1}
            parts.append(pd.DataFrame({**keys, "metric": metric, "value": values}))
    return pd.concat(parts, ignore_index=True)


CLAIMS = [
    Claim("B is nearer", "psnr", 1.5, 1.0, 0.7, 1.3, "holds", 60, 3, np.nan, (1.0, 1.1, 0.9)),
    Claim("<b> is sharper", "lpips", np.nan, 0.01, -0.01, 0.03, "undecided", 60, 3, 9.0, (0.0, 0.0, 0.03)),
]


def test_printed_tables_say_unit_direction_interval_and_number():
    lines = str(show.score_table(scores(), "psnr", title="Ours")).splitlines()
    assert lines[0] == "Ours"
    assert lines[1] == "PSNR (dB, more is better), mean [95 % interval]; 40 faces"
    assert lines[2].split() == ["telea", "biharmonic"]
    assert lines[3].startswith("center") and lines[3].endswith("*")
    (first, *_) = summarize(scores(), "psnr").itertuples()
    assert f"{first.mean:.2f} [{first.low:.2f}, {first.high:.2f}]" in lines[3]
    assert lines[-1] == "* best, or not to be told from it"


def test_methods_may_be_rows_and_what_is_lacking_is_a_dash():
    part = scores().query("method == 'telea' or mask == 'center'")
    table = show.score_table(part, "psnr", ["biharmonic", "telea"], methods_in="rows")
    assert list(table.cells.index) == ["biharmonic", "telea"]
    assert list(table.cells.columns) == ["center", "half_left"]
    assert table.cells.loc["biharmonic", "half_left"] == "–"


def test_percentages_are_printed_as_such_and_differences_carry_their_sign():
    share = scores(metric="l1_hole").assign(value=lambda d: d["value"] / 1000)
    assert "L1, missing pixels (%, less is better)" in str(show.score_table(share, "l1_hole"))
    table = show.score_table(scores(), "psnr", baseline="telea")
    assert "difference from telea" in str(table) and list(table.cells.columns) == ["biharmonic"]
    assert table.cells.loc["center", "biharmonic"].startswith("+1.0")


def test_html_is_a_table_and_names_cannot_break_out():
    page = show.score_table(scores(("<i>&", "telea")), "psnr", title="The <paper>")._repr_html_()
    assert page.startswith("<b>The &lt;paper&gt;</b><table") and page.count("<td") == 4
    assert "&lt;i&gt;&amp;" in page and "<i>" not in page
    assert "<b>" in page.split("<tbody>")[1]  # the best is bold
    claims = show.claims_table(CLAIMS)._repr_html_()
    assert "&lt;b&gt; is sharper" in claims


def test_claims_are_rows_with_the_papers_number_ours_and_the_verdict():
    for claims in (CLAIMS, pd.DataFrame(CLAIMS), iter(CLAIMS)):
        lines = str(show.claims_table(claims)).splitlines()
        assert "95 % interval over faces and seeds], 3 runs" in lines[0]
        assert lines[2].split("  ")[0] == "B is nearer" and lines[2].endswith("holds")
        assert "PSNR ↑" in lines[2] and "+1.50 dB" in lines[2] and "+1.00 dB [+0.70, +1.30]" in lines[2]
        assert "LPIPS ↓" in lines[3] and "undecided (about 9 seeds would decide)" in lines[3]
        assert "nan" not in str(lines)
    once = Claim("", "psnr", np.nan, 1.0, np.nan, np.nan, "undecided", 60, 1, np.nan, (1.0,))
    assert "one run cannot tell" in str(show.claims_table([once])) and "nan" not in str(
        show.claims_table([once])
    )


# ------------------------------------------------------------------------------------------------- figures


def points(axes, colour):
    """x of the dots and ends of the bars of one colour, in data coordinates."""
    lines = [
        line for line in axes.lines if line.get_color() == colour and line.get_transform() == axes.transData
    ]
    dots = [line.get_xdata()[0] for line in lines if len(line.get_xdata()) == 1]
    bars = [tuple(line.get_xdata()) for line in lines if len(line.get_xdata()) == 2]
    return dots, bars


def words(sheet):
    return " ".join(text.get_text() for text in sheet.findobj(Text))


def test_dots_and_bars_are_the_summarys():
    sheet, summary = show.score_plot(scores(), "psnr"), summarize(scores(), "psnr")
    for (colour, _), name in zip(STYLES, ("telea", "biharmonic"), strict=False):
        own = summary[summary["method"] == name]
        dots, bars = points(sheet.axes[0], colour)
        assert dots == own["mean"].tolist()
        assert bars == list(zip(own["low"], own["high"], strict=True))
    for word in ("PSNR", "dB, more is better", "95 % interval", "telea", "biharmonic", "half_left"):
        assert word in words(sheet)


def test_a_method_keeps_its_colour():
    dots, _ = points(show.score_plot(scores(), "psnr", baseline="telea").axes[0], STYLES[1][0])
    assert dots == summarize(scores(), "psnr", baseline="telea")["mean"].tolist()


MANY = ("mean", "navier_stokes", "biharmonic", "patchmatch", "telea", "lafin (128 px)", "one more")


@pytest.mark.parametrize(
    "draw",
    [
        lambda: show.score_plot(scores(), "psnr", baseline="telea"),
        lambda: show.score_plot(scores(MANY, ["random_rectangle"], "lpips"), "lpips"),
        lambda: show.forest_plot(CLAIMS),
    ],
)
def test_no_text_leaves_the_sheet_and_equal_tables_are_equal_bytes(draw):
    sheet = draw()
    sheet.draw_without_rendering()
    width, height = sheet.bbox.size
    texts = [text for text in sheet.findobj(Text) if text.get_text().strip() and text.get_visible()]
    assert len(texts) > 6
    for text in texts:
        box = text.get_window_extent()
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height, text
    assert sheet.png() == draw().png()


def test_right_is_as_claimed_for_distances_too():
    sheet = show.forest_plot(CLAIMS)
    by_psnr, by_lpips = sheet.axes
    assert points(by_psnr, STYLES[0][0]) == ([1.0], [(0.7, 1.3)])
    assert points(by_lpips, "#666666") == ([-0.01], [(0.01, -0.03)])
    assert "holds" in words(sheet) and "undecided" in words(sheet)


def test_nothing_finite_cannot_be_drawn():
    with pytest.raises(ValueError, match="psnr has no finite mean"):
        show.score_plot(scores().assign(value=np.inf), "psnr")
