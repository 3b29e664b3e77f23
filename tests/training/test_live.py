"""The live figure: it tells the losses as they were, costs little, and never stops a run."""

import io
import itertools

import nbformat
import numpy as np
import pytest
import torch
from PIL import Image

from facecomp_lib import show
from facecomp_lib.methods import OptimizerConfig, Stage
from facecomp_lib.show.training import MOMENTS, _running_mean, thin
from facecomp_lib.training import live
from facecomp_lib.training.live import DownsampledCurve, LiveFigure
from facecomp_lib.training.run_log import Images


def faces(level=0.5, count=2, size=8):
    return torch.full((count, 3, size, size), float(level))


def images(completed):
    return Images(completed, completed, completed)


def plan(**steps):
    """Stages of these names and numbers of steps."""
    optimizer = OptimizerConfig(("network",), {"term": 1.0})
    return [Stage(name, count, {"optimizer": optimizer}) for name, count in steps.items()]


def pixels(sheet):
    return np.asarray(Image.open(io.BytesIO(sheet.png())).convert("RGB")).astype(int)


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still unless it is moved, and drawings that take `clock.costs` seconds of it."""

    class Clock:
        now, costs, drawn = 0.0, 0.5, 0

        def draw(self, figure, last):
            self.now += self.costs
            self.drawn += 1

    clock = Clock()
    monkeypatch.setattr(live.time, "perf_counter", lambda: clock.now)
    monkeypatch.setattr(LiveFigure, "_show", lambda figure, last: clock.draw(figure, last))
    return clock


# ---- curves ------------------------------------------------------------------------------------------------


def test_a_short_curve_keeps_every_value():
    trace = DownsampledCurve()
    for step in range(300):
        trace.add(step, step**2)
    steps, values = trace.points()
    assert steps.tolist() == list(range(300)) and values.tolist() == [step**2 for step in range(300)]


def test_a_long_curve_keeps_its_mean_its_shape_and_a_bounded_length():
    trace = DownsampledCurve(most=64)
    count = 12_345
    for step in range(count):
        trace.add(step, 3.0 * step)
    steps, values = trace.points()
    assert len(steps) <= 64 and np.all(np.diff(steps) > 0) and steps[-1] <= count - 1
    assert values == pytest.approx(3 * steps)
    full = [trace.width] * (len(steps) - 1)
    weights = [*full, count - sum(full)]
    assert np.average(values, weights=weights) == pytest.approx(3 * (count - 1) / 2)


def test_an_empty_curve_has_no_points():
    assert [len(part) for part in DownsampledCurve().points()] == [0, 0]


def test_the_running_mean_of_a_constant_is_the_constant_and_skips_what_is_not_finite():
    values = np.full(200, 2.5)
    values[[3, 70, 71]] = np.nan, np.inf, -np.inf
    assert _running_mean(values) == pytest.approx(np.full(200, 2.5))


# ---- the figure --------------------------------------------------------------------------------------------


def test_the_first_and_last_moments_stay_and_the_others_lie_evenly():
    kept = list(thin({step: faces() for step in range(0, 1001, 10)}, 6))
    assert len(kept) == 6 and kept[0] == 0 and kept[-1] == 1000
    assert max(np.diff(kept)) <= 4 * min(np.diff(kept))


def test_thinning_as_moments_come_never_loses_the_spread():
    kept = {}
    for step in range(0, 1001, 10):
        kept = thin({**kept, step: faces()}, 6)
    assert list(kept)[0] == 0 and list(kept)[-1] == 1000 and max(np.diff(list(kept))) <= 500


def test_faces_are_drawn_in_their_own_colour_moment_by_moment():
    sheet = show.training_figure({}, {0: faces(0.2), 50: faces(0.8)})
    found = {int(value) for value in np.unique(pixels(sheet)[..., 0])}
    assert {round(0.2 * 255), round(0.8 * 255)} <= found


def test_faces_of_any_size_take_the_same_room():
    sizes = {size: show.training_figure({}, {0: faces(size=size)}).css_size for size in (16, 64, 100, 256)}
    assert len(set(sizes.values())) == 1


def test_the_figure_keeps_its_size_while_moments_come():
    log = {"generator.l1": ([0, 1], [1.0, 0.5])}
    few, many = (
        show.training_figure(log, {step: faces() for step in range(count)}) for count in (1, MOMENTS + 3)
    )
    assert few.css_size == many.css_size


def test_each_term_has_a_panel_and_a_optimizers_terms_share_a_colour():
    log = {name: ([0, 1, 2], [3.0, 2.0, 1.0]) for name in ("g.l1", "g.adversarial", "d.real")}
    sheet = show.training_figure(log)
    titles = {ax.get_title(loc="left"): ax.lines[1].get_color() for ax in sheet.axes}
    assert set(titles) == {"g · l1", "g · adversarial", "d · real"}
    assert titles["g · l1"] == titles["g · adversarial"] != titles["d · real"]


@pytest.mark.parametrize(
    "values, scale",
    [
        (np.geomspace(1, 1e-3, 200), "log"),
        (np.linspace(1, 2, 200), "linear"),
        (np.linspace(-5, 90, 200), "linear"),
    ],
)
def test_axes_are_logarithmic_where_a_positive_loss_falls_by_more_than_a_factor_of_ten(values, scale):
    sheet = show.training_figure({"g.l1": (np.arange(200), values)})
    assert sheet.axes[0].get_yscale() == scale


def test_stages_are_marked_where_they_begin_and_named_before_they_do():
    log = {"g.l1": (np.arange(100), np.ones(100))}
    ax = show.training_figure(log, stages={"blur": 0, "texture": 60, "whole": 140}, end=200).axes[0]
    marks = [line.get_xdata()[0] for line in ax.lines if len(set(line.get_xdata())) == 1]
    assert marks == [60, 140] and ax.get_xlim() == (0, 200)
    assert [text.get_text() for text in ax.texts] == ["blur", "texture", "whole"]


def test_the_mean_does_not_blur_a_jump_between_stages():
    values = np.where(np.arange(200) < 100, 5.0, 1.0)
    ax = show.training_figure({"g.l1": (np.arange(200), values)}, stages={"a": 0, "b": 100}).axes[0]
    assert set(np.concatenate([line.get_ydata() for line in ax.lines[1:4:2]])) == {5.0, 1.0}


@pytest.mark.parametrize("values", [[np.nan], [np.inf, 1.0, np.nan], [0.0, 0.0, 0.0], [-1e30, 1e30], [7.0]])
def test_odd_values_are_drawn(values):
    assert show.training_figure({"g.l1": (range(len(values)), values)}).png()


def test_the_log_of_a_run_is_drawn_as_it_is():
    log = {
        "step": np.arange(4),
        "stage": np.array(["texture", "texture", "blur", "blur"]),
        "g.l1": np.array([4.0, 3.0, 2.0, 1.0]),
        "d.real": np.array([np.nan, np.nan, 1.3, 1.4]),
    }
    first, second = show.training_figure(log).axes
    assert [text.get_text() for text in first.texts] == ["texture", "blur"]
    drawn = [xy for line in second.lines[:4:2] for xy in line.get_xydata().tolist()]
    assert drawn == [[2.0, 1.3], [3.0, 1.4]]


def test_nothing_to_draw_is_told():
    with pytest.raises(ValueError, match="nothing to draw"):
        show.training_figure({})


# ---- live --------------------------------------------------------------------------------------------------


def test_drawing_takes_less_than_three_per_cent_of_the_time(clock):
    figure = LiveFigure()
    for step in range(20_000):
        clock.now += 0.05
        clock.costs = 0.4 + 0.3 * (step % 7 == 0)
        figure.on_step(step, "blur", {"g.l1": 1.0})
        assert figure.spent <= 0.03 * clock.now + 0.4  # a frame may last longer than the one before
    assert 0.028 * clock.now < figure.spent
    figure.on_end()
    assert figure.spent < 0.03 * clock.now


def test_the_last_frame_is_drawn_even_of_a_run_that_was_short(clock):
    figure = LiveFigure()
    figure.on_step(0, "blur", {"g.l1": 1.0})
    assert clock.drawn == 0
    figure.on_end()
    assert clock.drawn == 1


def test_a_figure_without_data_draws_nothing(clock):
    LiveFigure().on_end()
    assert clock.drawn == 0


def test_a_script_finds_the_frames_as_a_file_that_is_always_whole(tmp_path, monkeypatch):
    figure = LiveFigure()
    figure.on_start(tmp_path / "run", plan(blur=4), 0, 4)
    figure.on_step(0, "blur", {"g.l1": 1.0})
    figure.draw()
    before = (tmp_path / "run" / "live.png").read_bytes()
    figure.on_images(1, "blur", images(faces()))
    figure.on_end()
    after = (tmp_path / "run" / "live.png").read_bytes()
    assert 2 * Image.open(io.BytesIO(before)).size[0] < Image.open(io.BytesIO(after)).size[0]
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["live.png"]


def test_only_a_few_moments_are_kept_in_memory_as_bytes():
    figure = LiveFigure()
    for step in range(40):
        figure.on_images(step, "blur", images(torch.rand(4, 3, 8, 8, requires_grad=True) * 3 - 1))
    assert len(figure.snapshots) == MOMENTS
    assert {snapshot.dtype for snapshot in figure.snapshots.values()} == {torch.uint8}


def test_only_losses_have_a_curve():
    figure = LiveFigure()
    figure.on_step(0, "blur", {"g.l1": 1.0, "g.validation": 1.0, "g.gradient": 1.0, "g.lr": 1e-4})
    assert set(figure.curves) == {"g.l1", "g.validation"}


def test_stages_that_were_not_announced_begin_where_they_come(clock):
    figure = LiveFigure()
    for step, stage in enumerate("aaabbc"):
        figure.on_step(step, stage, {"g.l1": 1.0})
    assert figure.stages == {"a": 0, "b": 3, "c": 5}


def test_a_run_that_goes_on_shows_what_went_before(clock):
    log = {
        "step": np.arange(4),
        "stage": np.array(["a", "a", "b", "b"]),
        "g.l1": np.array([4.0, 3.0, 2.0, 9.0]),
        "d.real": np.array([np.nan, np.nan, 1.3, 9.0]),
    }
    figure = LiveFigure()
    figure.replay(log, before=3)
    figure.on_step(3, "b", {"g.l1": 1.0})
    assert [part.tolist() for part in figure.curves["g.l1"].points()] == [[0, 1, 2, 3], [4, 3, 2, 1]]
    assert [part.tolist() for part in figure.curves["d.real"].points()] == [[2], [1.3]]
    assert figure.stages == {"a": 0, "b": 2}


def test_announced_stages_know_where_they_will_begin(tmp_path):
    figure = LiveFigure()
    figure.on_start(tmp_path, plan(blur=100, texture=50), 0, 150)
    assert figure.stages == {"blur": 0, "texture": 100} and figure.end == 150


CELL = """
import torch
from facecomp_lib.training.live import LiveFigure
from facecomp_lib.training.run_log import Images
figure = LiveFigure()
for step in range(4):
    figure.on_step(step, "blur", {"g.l1": 1.0 / (step + 1)})
    figure.on_images(step, "blur", Images(*[torch.full((1, 3, 8, 8), 0.5)] * 3))
    figure.draw()
figure.on_end()
"""


def test_a_notebook_executed_without_a_screen_keeps_the_last_frame_alone():
    from nbclient import NotebookClient

    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    NotebookClient(book, kernel_name="python3", timeout=60).execute()
    outputs = book.cells[0].outputs
    kinds = list(itertools.chain.from_iterable(output.data for output in outputs))
    assert len(outputs) == 1 and len({"image/png", "image/jpeg"} & set(kinds)) == 1
