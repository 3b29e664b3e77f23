"""The benchmark of metrics compares what agrees; no timing is asserted."""

import numpy as np
import pytest
from metric_help import others

from benchmarks import metrics
from benchmarks.metrics import Duel


def test_both_sides_take_turns_and_warm_up_unmeasured():
    calls, now = [], [0.0]

    def side(name, seconds):
        def run():
            calls.append(name)
            now[0] += seconds
            return [1.0]

        return run

    duel = Duel("m", "other", side("ours", 0.5), side("theirs", 2.0), per=4, tolerance=0)
    assert metrics.measure(duel, repeats=3, clock=lambda: now[0]) == (0, 125, 500)
    assert calls == ["ours", "theirs"] * 4


@pytest.mark.parametrize("theirs", [[1.0, 2.5], [1.0], [1.0, np.nan]])
def test_what_disagrees_is_not_timed(theirs):
    duel = Duel("m", "other", lambda: [1.0, 2.0], lambda: theirs, per=1, tolerance=0.1)
    with pytest.raises(RuntimeError, match="m and other disagree"):
        metrics.measure(duel, repeats=1)


def test_all_that_is_timed_agrees():
    others()
    found = metrics.duels(faces=2, size=64)
    assert {duel.name for duel in found} >= {"psnr", "ssim", "f-score"}
    for duel in found:
        gap, ours, theirs = metrics.measure(duel, repeats=1)
        assert gap <= duel.tolerance and ours > 0 and theirs > 0
