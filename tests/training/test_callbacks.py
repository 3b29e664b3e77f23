"""Who follows a run: told of everything in order, and no reason for a run to fail."""

import pytest
import tiny_method

from facecomp_lib.training import Callback, fit
from facecomp_lib.training.live import LiveFigure


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    return tiny_method.data(tmp_path_factory.mktemp("faces"))


class Note(Callback):
    """Remembers which hooks were called."""

    def __init__(self):
        self.hooks = []

    def on_start(self, run_dir, stages, step, end):
        self.hooks.append(("start", [stage.name for stage in stages], step, end))

    def on_step(self, step, stage, row):
        self.hooks.append((step, stage))

    def on_images(self, step, stage, images):
        self.hooks.append(("images", step, stage, images.completed.shape[0]))

    def on_end(self):
        self.hooks.append("end")


def train(faces, run_dir, callbacks, **options):
    return fit(tiny_method.build(), faces, run_dir, "smoke", callbacks=callbacks, **options)


def test_a_callback_is_told_of_start_steps_images_and_end(faces, tmp_path):
    note, stages = Note(), ["alone", "against"]
    train(faces, tmp_path, [note], until="alone", num_samples=2)
    steps = [hook for k in range(4) for hook in ((k, "alone"), ("images", k + 1, "alone", 2))]
    assert note.hooks == [("start", stages, 0, 4), *steps, "end"]
    again = Note()
    train(faces, tmp_path, [again], num_samples=0)
    assert again.hooks == [("start", stages, 4, 8), *((k, "against") for k in range(4, 8)), "end"]


@pytest.mark.parametrize("hook", ["on_start", "on_step", "on_images", "on_end"])
def test_a_callback_that_fails_is_warned_about_once_and_told_no_more(faces, tmp_path, hook):
    def fail(*_):
        calls.append(hook)
        raise RuntimeError("no screen")

    calls, broken, note = [], Callback(), Note()
    setattr(broken, hook, fail)
    with pytest.warns(UserWarning, match=r"Callback stopped \(RuntimeError: no screen\); the run goes on"):
        run = train(faces, tmp_path, [broken, note])
    assert calls == [hook] and run.card["steps"] == 8 and note.hooks[-1] == "end"


def test_a_live_figure_that_cannot_be_written_does_not_stop_the_run(faces, tmp_path):
    fit(tiny_method.build(), faces, tmp_path, "smoke", until="alone", callbacks=())
    (tmp_path / "live.png").mkdir()  # a folder where the file should be
    with pytest.warns(UserWarning, match="LiveFigure stopped"):
        assert train(faces, tmp_path, None).card["steps"] == 8


def test_a_callback_may_stop_a_run_as_ctrl_c_does(faces, tmp_path):
    class Enough(LiveFigure):
        def on_step(self, step, stage, row):
            super().on_step(step, stage, row)
            if step == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(faces, tmp_path, [Enough()])
    assert (tmp_path / "live.png").exists() and not (tmp_path / "card.json").exists()


def test_what_is_no_callback_is_refused_before_anything_is_written(faces, tmp_path):
    with pytest.raises(TypeError, match="must be a fc.training.Callback, not builtin_function"):
        train(faces, tmp_path / "run", [print])
    assert not (tmp_path / "run").exists()
