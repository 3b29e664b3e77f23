"""The figures of the data card, on cases that can be checked by hand."""

import numpy as np
import pytest
import torch

import facecomp_lib as fc
from data_scripts import measure_faces as script

SIZE = 16


def own_positions(size=SIZE):
    """The flow of a face whose mirror axis is the image's middle: every pixel maps onto itself."""
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, size)] * 2, indexing="ij")
    return torch.stack([x, y], -1)[None]


def test_distances_split_into_same_and_different():
    same, different = script.pair_distances(np.array([[0.0, 0], [3, 4], [0, 1]]), np.array([7, 7, 8]))
    assert same.tolist() == [5]
    np.testing.assert_allclose(different, [1, 18**0.5])


@pytest.mark.parametrize(
    ("same", "different", "expected"),
    [
        ([0.1, 0.2], [0.3, 0.9], 1.0),
        ([0.5, 0.6], [0.1], 0.0),
        ([0.3], [0.3], 0.5),
        ([0.1, 0.5], [0.3, 0.4], 0.5),
    ],
)
def test_auc_is_the_share_of_pairs_in_the_right_order(same, different, expected):
    assert script.auc(np.array(same), np.array(different)) == expected


def test_balanced_accuracy_does_not_care_how_many_pairs_differ():
    same, different = np.array([0.5, 0.7]), np.array([0.5, 0.8, 0.8, 0.8])
    assert script.balanced_accuracy(same, different, 0.6) == pytest.approx((0.5 + 0.75) / 2)


def test_the_best_threshold_lies_between_separable_pairs():
    assert 0.28 < script.best_threshold(np.array([0.25, 0.28]), np.array([0.34, 0.5])) < 0.34


def test_a_centred_mirror_axis_makes_a_perfect_round_trip():
    error = script.round_trip(own_positions(), torch.ones(1, SIZE, SIZE, dtype=torch.bool))
    assert error.shape == (1, SIZE, SIZE) and error.max() < 1e-4


def test_an_axis_off_the_middle_is_consistent_too():
    flow = own_positions()
    flow[..., 0] += 4 / (SIZE - 1)  # two pixels: the axis lies one pixel to the side
    error = script.round_trip(flow, (flow.abs() <= 1).all(-1))
    known = ~error.isnan()
    assert known.float().mean() > 0.7 and error[known].max() < 1e-4


def test_a_flow_that_always_points_one_pixel_down_errs_by_two():
    flow = own_positions()
    flow[..., 1] += 2 / (SIZE - 1)
    error = script.round_trip(flow, (flow.abs() <= 1).all(-1))
    known = ~error.isnan()
    assert known.any()
    np.testing.assert_allclose(error[known], 2, atol=1e-4)


def test_a_round_trip_through_an_invalid_pixel_counts_as_unknown():
    valid = torch.ones(1, SIZE, SIZE, dtype=torch.bool)
    valid[0, 3, 5] = False
    unknown = script.round_trip(own_positions(), valid).isnan()[0].nonzero().tolist()
    assert unknown == [[3, 5], [3, SIZE - 1 - 5]]


def symmetric_landmarks(axis):
    """68 points whose partners lie opposite a vertical axis, in pixels."""
    points = np.random.default_rng(0).uniform(1, 6, (68, 2))
    partner = fc.faces.LANDMARK_MIRROR
    points[:, 0] = np.where(np.arange(68) == partner, axis, points[:, 0])
    right = np.arange(68) > partner
    points[right] = points[partner[right]] * [-1, 1] + [2 * axis, 0]
    return torch.tensor(points, dtype=torch.float32)[None]


def test_the_flow_leads_from_each_landmark_to_its_partner():
    valid = torch.ones(1, SIZE, SIZE, dtype=torch.bool)
    middle = script.landmark_miss(own_positions(), valid, symmetric_landmarks((SIZE - 1) / 2))
    assert middle.shape == (1, 51) and middle.max() < 1e-4
    aside = script.landmark_miss(own_positions(), valid, symmetric_landmarks((SIZE - 1) / 2 - 1))
    np.testing.assert_allclose(aside, 2, atol=1e-4)
    assert script.landmark_miss(own_positions(), ~valid, symmetric_landmarks(7)).isnan().all()


def test_typology_orders_skin_from_light_to_dark():
    colours = np.array([[0.95, 0.85, 0.8], [0.78, 0.6, 0.48], [0.5, 0.35, 0.25], [0.2, 0.13, 0.1]])
    angles = script.typology_angle(colours)
    assert (np.diff(angles) < 0).all()
    shares = script.typology_shares(angles)
    assert sum(shares.values()) == 1
    assert shares["very light"] == 0.25 and shares["dark"] == 0.25


def test_skin_colour_looks_at_skin_alone():
    image = torch.zeros(2, 3, 4, 4)
    image[:, :, 1:3, 1:3] = torch.tensor([0.6, 0.4, 0.3])[:, None, None]
    parsing = torch.zeros(2, 4, 4, dtype=torch.int64)
    parsing[0, 1:3, 1:3] = 1
    colours = script.skin_colours(image, parsing)
    np.testing.assert_allclose(colours[0], [0.6, 0.4, 0.3], atol=1e-6)
    assert np.isnan(colours[1]).all()


def test_tables_are_markdown():
    assert script.table(["a", "b"], [["x", "1"]]) == "| a | b |\n| --- | ---: |\n| x | 1 |"


def test_a_section_is_replaced_and_the_rest_of_the_card_kept():
    card = "before\n<!-- measured: x -->\nold\n<!-- end: x -->\nafter \\1\n"
    once = script.replace_section(card, "x", r"new \1")
    assert once == "before\n<!-- measured: x -->\n\nnew \\1\n\n<!-- end: x -->\nafter \\1\n"
    assert script.replace_section(once, "x", r"new \1") == once
    with pytest.raises(ValueError, match="measured: y"):
        script.replace_section(card, "y", "new")


def test_the_card_has_a_place_for_every_section():
    text = script.CARD.read_text(encoding="utf-8")
    for name in ("pack", "balance", "identity", "mirror flow"):
        assert script.replace_section(text, name, "x") != text


def test_the_card_describes_the_pack_that_is_here():
    splits = [fc.faces.embedded(split) for split in ("train", "val", "test")]
    message = "the pack has changed: run python -m data_scripts.measure_faces"
    assert script.describe(splits) in script.CARD.read_text(encoding="utf-8"), message


def test_a_mosaic_reads_row_by_row_and_pads_with_white():
    images = torch.arange(3).float()[:, None, None, None].expand(3, 3, 2, 2) / 10
    sheet = script.mosaic(images, columns=2)
    assert sheet.shape == (4, 4, 3)
    assert sheet[::2, ::2, 0].tolist() == [[0, 26], [51, 255]]


def test_people_are_chosen_in_order():
    identities = np.array([4, 4, 2, 9, 4, 9, 9, 2])
    assert script.one_each(identities, 2) == [0, 2]
    assert script.several_each(identities, people=2, images=3) == [0, 1, 4, 3, 5, 6]


def test_a_data_set_is_measured_with_whatever_labels_it_has(tmp_path):
    flow = own_positions()[0].numpy()
    writer = fc.faces.Writer(tmp_path / "set", "tiny", SIZE, attribute_names=["male"], scalars=["tone"])
    record = {
        "split": "test",
        "image": np.full((SIZE, SIZE, 3), 150, np.uint8),
        "landmarks": symmetric_landmarks((SIZE - 1) / 2)[0].numpy(),
        "parsing": np.ones((SIZE, SIZE), np.uint8),
        "mirror_flow": flow,
        "mirror_valid": np.ones((SIZE, SIZE), bool),
    }
    own = [
        {"attributes": {"male": i < 1}, "scalars": {"tone": i / 4}, "pose": [20.0 * i, 0, 0]}
        for i in range(4)
    ]
    writer.add_part(0, [record | {"name": str(i), "identity": i // 2} | own[i] for i in range(4)])
    sections = script.measure(fc.faces.folder(writer.finish()), identities=False)
    assert set(sections) == {"balance", "mirror flow"}
    assert "| male | 25 % |" in sections["balance"] and "tone: 0.00 to 0.75" in sections["balance"]
    assert "| 0 to 10 | 1 | 100 % | 0.0" in sections["mirror flow"]
    assert "beyond 30 | 2 |" in sections["mirror flow"]
