"""Figures about learning say what their tensors say."""

import numpy as np
import pytest
import torch

from facecomp_lib import show
from facecomp_lib.evaluation import Estimate


def images(sheet):
    """The images on a sheet, in the order in which they were drawn: arrays [H, W, 3 or 4]."""
    return [np.asarray(image.get_array()) for ax in sheet.axes for image in ax.images]


def words(sheet):
    return [text.get_text() for ax in sheet.axes for text in ax.texts]


def test_a_pooling_toy_shows_each_number_and_frames_the_winners_only():
    before = torch.tensor([[1.0, 5, 2, 0], [3, 2, 1, 7], [4, 8, 6, 3], [0, 1, 2, 5]])
    pooled, places = torch.tensor([[5.0, 7], [8, 6]]), torch.tensor([[1, 7], [9, 10]])
    after = torch.zeros(16).scatter(0, places.flatten(), pooled.flatten()).view(4, 4)
    sheet = show.pooling(before, pooled, places, after)
    bold = [{t.get_text() for t in ax.texts if t.get_weight() == "bold"} for ax in sheet.axes]
    assert bold[0] == bold[3] == {"5", "7", "8", "6"}
    assert [t.get_text() for t in sheet.axes[2].texts][:4] == ["1", "7", "9", "10"]


def test_a_heat_map_is_black_where_no_gradient_reaches_and_white_where_it_is_strongest():
    gradient = torch.zeros(8, 8)
    gradient[2:6, 2:6] = 1e-12  # however small all of it is
    face, heat = images(show.reach(torch.zeros(3, 8, 8), {"local": gradient}, (2, 2, 6, 6)))
    assert (heat[0, 0, :3] == 0).all() and (heat[3, 3, :3] == 1).all() and face.shape == (8, 8, 3)


def test_a_gradient_that_is_zero_everywhere_is_drawn_black():
    heat = images(show.reach(torch.zeros(3, 8, 8), {"none": torch.zeros(8, 8)}, (2, 2, 6, 6)))[1]
    assert (heat[..., :3] == 0).all()


def test_a_window_shows_what_lies_in_its_frame():
    face = torch.rand(3, 16, 16)
    whole, cut = images(show.windows([face], torch.tensor([[3, 5]]), 8, ["a"]))
    assert np.array_equal(cut, whole[3:11, 5:13])


def test_bars_are_as_long_as_their_parts_and_say_their_sum():
    sheet = show.shares({"one": {"a": 3.0, "b": 1.0}, "two": {"a": 1.0, "b": 0.5}}, "M")
    lengths = [bar.get_width() for bar in sheet.axes[0].patches]
    assert lengths == [3.0, 1.0, 1.0, 0.5]
    assert "4.0 M" in " ".join(words(sheet)) and "1.5 M" in " ".join(words(sheet))


def test_each_class_of_a_parsing_map_has_a_colour_of_its_own():
    colours = show.parsing_image(torch.arange(11)[None])
    assert len(np.unique(colours.reshape(-1, 3), axis=0)) == 11


@pytest.mark.parametrize(("measure", "up"), [("psnr", True), ("identity", False)])
def test_better_is_up_whatever_the_measure(measure, up):
    ours = {measure: [Estimate(0.5, 0.4, 0.6, 10)]}
    ax = show.model_steps({measure: [0.0, 1.0]}, ours, ("M1", "M2")).axes[0]
    low, high = ax.get_ylim()
    assert (low < high) == up


def test_the_marked_point_of_a_curve_carries_its_words():
    line = [(x / 10, (x / 10 - 0.4) ** 2) for x in range(11)]
    assert "least at 0.4" in words(show.curves({"L": line}, "x", "y", {"least at 0.4": (0.4, 0.0)}))
