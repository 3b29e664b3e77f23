"""The rendering benchmark's own arithmetic; no timing is asserted."""

import numpy as np
import pytest

from benchmarks import rendering


def test_renderers_take_turns_on_the_same_faces_and_warm_up_unmeasured():
    calls, now = [], [0.0]

    def drawer(name, seconds):
        def draw(seed):
            calls.append((name, seed))
            now[0] += seconds

        return draw

    spent = rendering.measure([drawer("a", 0.25), drawer("b", 1.0)], rounds=2, faces=3, clock=lambda: now[0])
    assert spent.shape == (2, 2, 3)
    assert (spent[0] == 250).all() and (spent[1] == 1000).all()
    measured = calls[2 * rendering.WARM_UP :]
    assert [name for name, _ in measured] == ["a", "b"] * 6
    assert len({seed for _, seed in measured}) == 6
    assert not {seed for _, seed in measured} & {seed for _, seed in calls[: 2 * rendering.WARM_UP]}


def test_the_ratio_says_how_many_times_faster_we_are_in_each_round():
    assert rendering.ratios(
        np.array([[40.0, 80.0], [30, 30]]), np.array([[10.0, 20.0], [10, 20]])
    ).tolist() == [4, 2]


def test_a_missing_prototype_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"faces\.py"):
        rendering.prototype(tmp_path, 128)
