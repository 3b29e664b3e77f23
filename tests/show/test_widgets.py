"""Explorers: pure images, state that is checked, and answers to what a browser sends."""

from __future__ import annotations

import base64
import io
import tomllib
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import traitlets
from PIL import Image

from facecomp_lib import classical, faces, masks, nn, show
from facecomp_lib.show.widgets import attention, flow, mask_painter
from facecomp_lib.show.widgets.base import FOLDER, Explorer, levels, lossless

SIZE = 16


@pytest.fixture(scope="module")
def face() -> torch.Tensor:
    return torch.randint(0, 256, (1, 3, SIZE, SIZE), generator=torch.Generator().manual_seed(0)) / 255


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def browser_sends(widget: Explorer, **state: Any) -> None:
    """What arrives when the page has changed these traits and asks."""
    widget.set_state({**state, "asked": widget.asked + 1})


def still(height: int, width: int | None = None) -> torch.Tensor:
    """The flow [1, H, W, 2] that says of every pixel: the same place."""
    x, y = (torch.linspace(-1, 1, count) for count in (width or height, height))
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)[None]


def words(sheet: show.Sheet) -> list[str]:
    return [text.get_text() for ax in sheet.axes for text in [ax.title, *ax.texts] if text.get_text()]


# ---- what all share ----------------------------------------------------------------------------------------


def test_everything_that_show_promises_is_there() -> None:
    assert [name for name in show.__all__ if not hasattr(show, name)] == []


def test_scripts_and_styles_travel_with_the_package() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["*"]
    names = [path.name for path in FOLDER.iterdir() if path.is_file() and path.suffix != ".py"]
    assert len(names) > 5
    assert [name for name in names if not any(fnmatch(name, pattern) for pattern in patterns)] == []


def test_every_level_survives_the_way_to_the_browser(face: torch.Tensor) -> None:
    every = (torch.arange(256).float() / 255).view(1, 16, 16).expand(3, -1, -1)
    assert np.array_equal(pixels(lossless(every))[..., 0].ravel(), np.arange(256))
    assert np.array_equal(pixels(lossless(face[0])), (face[0] * 255).round().byte().permute(1, 2, 0))


def explorers(face: torch.Tensor) -> Mapping[str, Explorer]:
    """One of each kind."""
    return {
        "painter": show.MaskPainter(face, lambda image, mask: image * 0),
        "attention": show.AttentionExplorer(face, {"map": torch.full((16, 16), 1 / 16)}),
        "compare": show.BeforeAfter(face, 1 - face),
        "switch": show.MethodSwitch(face, {"inverse": 1 - face, "black": lambda: 0 * face}),
        "flow": show.FlowExplorer(face, still(SIZE)),
        "landmarks": show.LandmarkEditor(face, SOME_POINTS, lambda landmarks: 1 - face),
    }


SOME_POINTS = torch.rand(1, 68, 2, generator=torch.Generator().manual_seed(4)) * SIZE
KINDS = ("painter", "attention", "compare", "switch", "flow", "landmarks")


@pytest.mark.parametrize("kind", KINDS)
def test_an_explorer_brings_its_static_figure_and_stands_alone(kind: str, face: torch.Tensor) -> None:
    widget = explorers(face)[kind]
    data, metadata = widget._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    sort = "image/jpeg" if widget.many_colours else "image/png"
    width, height = Image.open(io.BytesIO(base64.b64decode(data[sort]))).size
    assert (width, height) == widget.static_figure().css_size and metadata[sort]["width"] == width
    assert data["text/plain"] == f"{type(widget).__name__}: run this cell to use it"
    assert "import " not in widget._esm and "export default { render }" in widget._esm
    assert widget.description


@pytest.mark.parametrize("kind", ["painter", "attention", "landmarks"])
@pytest.mark.parametrize("wrong", [torch.zeros(2, 3, 8, 8), torch.zeros(1, 8, 8), None])
def test_what_is_not_one_face_is_refused_in_a_sentence(kind: str, wrong: Any) -> None:
    make = {
        "painter": lambda: show.MaskPainter(wrong, lambda image, mask: image),
        "attention": lambda: show.AttentionExplorer(wrong, {"map": torch.ones(4, 4)}),
        "landmarks": lambda: show.LandmarkEditor(wrong, SOME_POINTS, lambda landmarks: landmarks),
    }
    with pytest.raises(ValueError, match="Give one face|image must be"):
        make[kind]()


# ---- painting holes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(16, 16), (5, 3), (13, 31)])
def test_a_hole_survives_packing(size: tuple[int, int]) -> None:
    mask = (torch.rand(1, 1, *size, generator=torch.Generator().manual_seed(1)) > 0.5).float()
    packed = mask_painter.pack(mask)
    assert len(packed) == -(-size[0] * size[1] // 8)
    assert torch.equal(mask_painter.unpack(packed, size), mask)
    with pytest.raises(ValueError, match="bytes"):
        mask_painter.unpack(packed + b"\0", size)


def test_a_stroke_becomes_a_mask_and_known_pixels_are_shown_as_they_are(face: torch.Tensor) -> None:
    painter = show.MaskPainter(face, lambda image, mask: classical.complete(image, mask, "mean"))
    assert torch.equal(painter.mask, torch.ones(1, 1, SIZE, SIZE)) and painter.result is None
    assert np.array_equal(pixels(painter.completed), levels(face[0]))

    mask, heard = masks.make("center", size=SIZE), []
    painter.observe(lambda change: heard.append(change["new"]), "mask")
    browser_sends(painter, hole=memoryview(mask_painter.pack(mask)))
    assert torch.equal(painter.mask, mask) and torch.equal(heard[0], mask)
    assert painter.answered == painter.asked == 1
    known = (mask[0, 0] == 1).numpy()
    shown = pixels(painter.completed)
    assert np.array_equal(shown[known], levels(face[0])[known])
    assert (shown[~known] != levels(face[0])[~known]).any()
    assert painter.result is not None and painter.note.startswith("25.0% missing, completed in ")


def test_a_mask_from_python_is_shown_and_one_that_is_none_is_refused(face: torch.Tensor) -> None:
    painter = show.MaskPainter(face, lambda image, mask: image * mask)
    painter.mask = masks.make("half_left", size=SIZE)
    assert painter.hole == mask_painter.pack(painter.mask) and painter.asked == 0
    before = painter.mask
    wrong = {
        r"\[8, 8\]": torch.ones(8, 8),
        "ndarray": np.ones((1, 1, SIZE, SIZE)),
        "1 for known": before * 0.5,
    }
    for sentence, value in wrong.items():
        with pytest.raises(traitlets.TraitError, match=sentence):
            painter.mask = value
    assert torch.equal(painter.mask, before)


def test_no_hole_shows_the_face_and_a_whole_one_a_sentence(face: torch.Tensor) -> None:
    def complete(image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        raise AssertionError("there is nothing to complete")

    painter = show.MaskPainter(face, complete, mask=torch.ones(1, 1, SIZE, SIZE))
    assert np.array_equal(pixels(painter.completed), levels(face[0])) and "the face itself" in painter.note
    browser_sends(painter, hole=memoryview(b"\xff" * (SIZE * SIZE // 8)))
    assert painter.mask.sum() == 0 and "Everything is missing" in painter.note


@pytest.mark.parametrize(
    ("complete", "note"),
    [
        (lambda image, mask: masks.check(image, mask[:, :, 1:]), "mask"),
        (lambda image, mask: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda image, mask: image[..., 1:], f"{SIZE - 1} x {SIZE} px"),
        (lambda image, mask: "text", "not str"),
    ],
)
def test_a_method_that_fails_leaves_a_sentence(complete: Any, note: str, face: torch.Tensor) -> None:
    painter = show.MaskPainter(face, complete)
    browser_sends(painter, hole=memoryview(mask_painter.pack(masks.make("center", size=SIZE))))
    assert note in painter.note and painter.result is None and painter.answered == 1
    assert len(np.unique(pixels(painter.completed))) == 1  # no face that nothing completed


def test_bytes_that_are_no_hole_change_nothing(face: torch.Tensor) -> None:
    painter = show.MaskPainter(face, lambda image, mask: image * 0)
    browser_sends(painter, hole=memoryview(b"\xff" * 3))
    assert painter.mask.all() and painter.note == "A hole of 16 x 16 px has 32 bytes, not 3."
    assert painter.answered == 1


def test_the_painted_face_is_the_face_where_it_is_known(face: torch.Tensor) -> None:
    mask = masks.make("half_left", size=SIZE)
    shown = mask_painter.painted(face, mask)
    assert np.array_equal(levels(shown)[:, SIZE // 2 :], levels(face[0])[:, SIZE // 2 :])
    assert "the hole, 50%" in words(mask_painter.painting(face, mask, face[0]))


# ---- attention ---------------------------------------------------------------------------------------------


def random_map(count: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.rand(count, count, generator=torch.Generator().manual_seed(2)).softmax(-1).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_the_numbers_shown_are_those_given_bit_for_bit(dtype: torch.dtype, face: torch.Tensor) -> None:
    given = {"short term": random_map(64, dtype), "long term": random_map(16, dtype)}
    widget = show.AttentionExplorer(face, given)
    for chosen, (name, side) in enumerate({"short term": 8, "long term": 4}.items()):
        for row in range(side):
            for column in range(side):
                spot = [(column + 0.5) * SIZE / side - 0.5, (row + 0.5) * SIZE / side - 0.5]
                browser_sends(widget, chosen=chosen, spot=spot)
                expected = given[name][row * side + column]
                assert widget.query == [row, column] and widget.layer == [side, side]
                assert torch.equal(widget.weights.flatten(), expected)
                sent = np.frombuffer(widget.row, np.float64)
                assert torch.equal(torch.from_numpy(sent.copy()), expected.double())
                drawn = attention.attention_image(face, expected.view(side, side))
                assert np.array_equal(pixels(widget.heat), levels(drawn))


def test_each_position_of_the_layer_is_a_block_of_its_own_colour() -> None:
    weights = (torch.randperm(16, generator=torch.Generator().manual_seed(3)) + 1.0).view(4, 4)
    black = torch.zeros(1, 3, SIZE, SIZE)
    for logarithmic in (False, True):
        shown = attention.attention_image(black, weights, logarithmic)
        blocks = shown.reshape(4, 4, 4, 4, 3).transpose(0, 2, 1, 3, 4).reshape(16, 16, 3)
        assert (blocks == blocks[:, :1]).all() and len(np.unique(blocks[:, 0], axis=0)) == 16
        lightness = blocks[:, 0].sum(-1)
        assert np.array_equal(lightness.argsort(), weights.flatten().numpy().argsort())


def test_brightness_is_the_share_of_the_largest_weight_or_three_decades_below_it() -> None:
    weights = torch.tensor([[1.0, 0.1], [0.001, 0.0]])
    assert np.allclose(attention.brightness(weights), weights)
    assert np.allclose(attention.brightness(weights, logarithmic=True), [[1, 2 / 3], [0, 0]], atol=1e-6)
    assert (attention.brightness(torch.zeros(2, 2), True) == 0).all()


def test_a_layer_finer_than_the_image_or_of_its_shape_is_shown_whole() -> None:
    wide = torch.zeros(1, 3, 4, 8)
    assert attention.attention_image(wide, torch.ones(8, 16)).shape == (8, 16, 3)
    assert attention.check("wide", random_map(32), (4, 8)) == (4, 8)
    assert attention.check("own shape", random_map(32), (8, 8), (8, 4)) == (8, 4)


def test_queries_are_inside_outside_or_on_the_rim_of_the_hole(face: torch.Tensor) -> None:
    mask = torch.ones(1, 1, SIZE, SIZE)
    mask[..., :6] = 0  # with cells of 4 px: the first column, and half of the second one
    widget = show.AttentionExplorer(face, {"even": torch.full((16, 16), 1 / 16)}, mask)
    for column, said in enumerate(
        ("inside the hole", "on the rim of the hole (50% of it)", "outside the hole")
    ):
        widget.spot = [4 * column + 1.5, 2.0]
        assert said in widget.note and "62% of its attention falls on known pixels" in widget.note
        assert widget.query == [0, column]


def test_a_position_that_looks_nowhere_is_called_so(face: torch.Tensor) -> None:
    widget = show.AttentionExplorer(face, {"none": torch.zeros(16, 16)})
    assert "looks nowhere" in widget.note and "hole" not in widget.note


@pytest.mark.parametrize(
    ("map_", "sentence"),
    [
        (torch.ones(16, 15), "one row for each query"),
        (torch.ones(2, 16, 16), "one row for each query"),
        (torch.ones(15, 15), "15 positions, which do not fill 4 rows of 3"),
        (torch.full((16, 16), torch.nan), "finite"),
        (-torch.ones(16, 16), "not negative"),
    ],
)
def test_maps_that_are_no_attention_are_refused(
    map_: torch.Tensor, sentence: str, face: torch.Tensor
) -> None:
    with pytest.raises(ValueError, match=sentence):
        show.AttentionExplorer(face, {"map": map_})


def test_the_border_of_a_hole_is_a_closed_line_around_it() -> None:
    mask = torch.ones(1, 1, 6, 6)
    mask[..., 2:4, 0:3] = 0  # 2 x 3 pixels, at the left edge of the image
    edges = attention.rim(mask)
    assert len(edges) == 2 * (2 + 3)
    corners, counts = np.unique(edges.reshape(-1, 2), axis=0, return_counts=True)
    assert (counts == 2).all()
    assert corners.min(0).tolist() == [-0.5, 1.5] and corners.max(0).tolist() == [2.5, 3.5]


def test_the_attention_figure_has_a_row_for_each_map_and_a_column_for_each_query(face: torch.Tensor) -> None:
    maps = {"short": random_map(64), "long": random_map(16)}
    sheet = show.AttentionExplorer(face, maps, masks.make("center", size=SIZE)).static_figure()
    assert len(sheet.axes) == 2 * 4
    assert {"short", "8 x 8 positions", "long", "4 x 4 positions"} <= set(words(sheet))


# ---- mirror flow -------------------------------------------------------------------------------------------


def shifted(height: int, width: int, right: float, down: float) -> torch.Tensor:
    """The flow that looks `right` and `down` px from each pixel's own place."""
    return still(height, width) + torch.tensor([2 * right / (width - 1), 2 * down / (height - 1)])


def test_displacements_are_in_pixels_of_the_image() -> None:
    assert np.allclose(flow.displacement(still(5, 9)), 0, atol=1e-6)
    assert np.allclose(flow.displacement(shifted(5, 9, 2, -1)), (2, -1), atol=1e-5)
    assert np.allclose(flow.targets(shifted(5, 9, 2, -1))[0, 3, 4], (6, 2), atol=1e-5)


def test_colours_tell_the_direction_and_paleness_the_length() -> None:
    ways = np.array([[1, 0], [0, 1], [-1, 0], [0, -1], [0, 0], [0.5, 0], [7, 0]], float)
    right, down, left, up, nowhere, half, far = flow.tint(ways, limit=1)
    assert np.allclose(right, (1, 0, 0)) and np.allclose(left, (0, 1, 1))
    assert down[1] == 1 and down[2] == 0 and up[2] == 1 and up[1] == 0  # green and yellow; blue and violet
    assert np.allclose(nowhere, 1) and np.allclose(half, (1, 0.5, 0.5)) and np.allclose(far, right)


def test_the_wheel_has_the_colour_of_the_way_to_each_place() -> None:
    wheel = flow.colour_wheel(65)
    for x, y in ((64, 32), (32, 64), (10, 20), (32, 32)):
        assert np.allclose(wheel[y, x], flow.tint(np.array([(x - 32) / 32, (y - 32) / 32]), 1))
    assert np.allclose(wheel[0, 0], 1)


def test_colours_are_grey_where_the_flow_means_nothing() -> None:
    valid = torch.ones(8, 8, dtype=torch.bool)
    valid[:, :3] = False
    colours = flow.flow_colours(shifted(8, 8, 2, 0)[0], valid, limit=2)
    assert np.allclose(colours[:, :3], 0.74) and np.allclose(colours[:, 3:], (1, 0, 0), atol=1e-4)
    assert (
        flow.farthest(shifted(8, 8, 1.2, 0), valid[None]) == 2 and flow.farthest(still(8), valid[None]) == 1
    )
    assert flow.farthest(still(8), torch.zeros(1, 8, 8, dtype=torch.bool)) == 1


def test_the_way_begins_at_the_flipped_face_and_ends_at_the_warped_one(face: torch.Tensor) -> None:
    moved, valid = shifted(SIZE, SIZE, 1.5, 0.5), torch.ones(1, SIZE, SIZE, dtype=torch.bool)
    assert np.array_equal(levels(flow.carried(face, moved, valid, 0)), levels(face[0].flip(-1)))
    whole = nn.mirror_warp(face, moved)[0].permute(1, 2, 0).numpy()
    assert np.allclose(flow.carried(face, moved, valid, 1), whole, atol=1e-5)
    half = nn.mirror_warp(face, shifted(SIZE, SIZE, 0.75, 0.25))[0].permute(1, 2, 0).numpy()
    assert np.allclose(flow.carried(face, moved, valid, 0.5), half, atol=1e-5)
    hidden = flow.carried(face, moved, torch.zeros_like(valid), 1)
    assert np.allclose(hidden, 0.74)


@pytest.mark.parametrize(("share", "there"), [(0, (8, 6)), (0.5, (6.5, 7)), (1, (5, 8))])
def test_a_partner_is_followed_on_its_way(share: float, there: tuple[float, float]) -> None:
    moved, valid = shifted(SIZE, SIZE, 3, -2)[0], torch.ones(SIZE, SIZE, dtype=torch.bool)
    found = flow.followed(moved, valid, (5, 8), share)
    assert np.allclose(found, there, atol=0.51)


def test_arrows_point_from_pixels_to_their_partners() -> None:
    sheet = flow.flow_arrows(
        torch.zeros(1, 3, 32, 32), shifted(32, 32, 4, 0), torch.ones(1, 32, 32).bool(), 4
    )
    (arrows,) = [part for part in sheet.axes[0].collections if hasattr(part, "U")]
    assert np.allclose(arrows.U, 4, atol=1e-4) and np.allclose(arrows.V, 0, atol=1e-4)
    assert len(arrows.U) == 256 and sheet.axes[0].get_xlim() == (-0.5, 31.5)


def test_a_clicked_pixel_tells_where_its_partner_is(face: torch.Tensor) -> None:
    batch, moved = face.expand(2, -1, -1, -1), shifted(SIZE, SIZE, 3, -2).expand(2, -1, -1, -1)
    valid = torch.ones(2, SIZE, SIZE, dtype=torch.bool)
    valid[1, :, :8] = False
    widget = show.FlowExplorer(batch, moved, valid, torch.zeros(2, 68, 2) + 4)
    assert widget.pixel == [4, 4] and widget.points == [[4.0, 4.0]] * 68
    browser_sends(widget, pixel=[5, 8])
    assert np.allclose(widget.target, (8, 6), atol=1e-4) and widget.seen and widget.there == widget.target
    assert widget.note.endswith("at (8.0, 6.0) in the flipped face, 3.0 px right and 2.0 px up.")
    browser_sends(widget, chosen=1)
    assert not widget.seen and widget.there == [] and "cannot be seen" in widget.note
    assert np.array_equal(pixels(widget.shown), levels(face[0].flip(-1)))
    browser_sends(widget, share=1.0, pixel=[12, 8])
    assert np.array_equal(pixels(widget.shown), levels(flow.carried(face, moved[:1], valid[1:], 1)))
    assert widget.there == [12.0, 8.0]
    widget.view = 1
    assert np.array_equal(pixels(widget.shown), levels(flow.flow_colours(moved[0], valid[1], widget.rim)))
    widget.view = 2
    assert pixels(widget.shown).shape == (640, 640, 3)


def test_a_pixel_at_its_own_partners_place_is_called_so(face: torch.Tensor) -> None:
    widget = show.FlowExplorer(face, still(SIZE))
    assert widget.note.endswith("in the flipped face, the same place.")


@pytest.mark.parametrize(
    "state", [{"pixel": [SIZE, 0]}, {"pixel": [1]}, {"chosen": 1}, {"view": 3}, {"share": 2}]
)
def test_a_place_outside_the_face_is_refused(state: dict[str, Any], face: torch.Tensor) -> None:
    widget = show.FlowExplorer(face, still(SIZE))
    (name,) = state
    before = getattr(widget, name)
    with pytest.raises(traitlets.TraitError):
        widget.set_state(state)
    assert getattr(widget, name) == before


def test_flows_that_do_not_belong_to_the_faces_are_refused(face: torch.Tensor) -> None:
    valid = torch.ones(1, SIZE, SIZE, dtype=torch.bool)
    for sentence, arguments in {
        r"\[B, 3, H, W\]": (face[0], still(SIZE)),
        r"flow must be \[1, 16, 16, 2\]": (face, still(8)),
        r"valid must be \[1, 16, 16\]": (face, still(SIZE), valid[:, 1:]),
        r"landmarks must be \[1, 68, 2\]": (face, still(SIZE), valid, torch.zeros(68, 2)),
        "finite": (face, still(SIZE) * torch.inf),
    }.items():
        with pytest.raises(ValueError, match=sentence):
            show.FlowExplorer(*arguments)


def test_the_flow_figure_has_a_row_for_each_face() -> None:
    batch = faces.embedded("test", size=64).batch([0, 1, 2])
    sheet = show.FlowExplorer(
        batch.image, batch.mirror_flow, batch.mirror_valid, batch.landmarks, static_rows=2
    ).static_figure()
    assert len(sheet.axes) == 2 * 6 and words(sheet).count("the face") == 1


@pytest.fixture(scope="module")
def people() -> faces.FaceBatch:
    """A frontal, a turned and another frontal face."""
    return faces.embedded("test").batch([0, 3, 5])


# ---- landmarks under the hand ------------------------------------------------------------------------------


def editor(people: faces.FaceBatch, **options: Any) -> show.LandmarkEditor:
    """An editor that draws white while the tip of the nose is left of x = 90."""

    def draw(landmarks: torch.Tensor) -> torch.Tensor:
        assert landmarks.shape == (1, 68, 2)
        return torch.full((3, 8, 8), float(landmarks[0, 30, 0] < 90))

    return show.LandmarkEditor(people.image[:1], people.landmarks[:1], draw, **options)


def orders(widget: show.LandmarkEditor, *what: dict[str, Any]) -> None:
    """The browser sends orders, numbered from the next question on."""
    first = widget.asked + 1
    numbered = [{"number": first + k, **order} for k, order in enumerate(what)]
    widget.set_state({"orders": numbered, "asked": widget.asked + len(what)})


def test_what_is_dragged_moves_and_nothing_else(people: faces.FaceBatch) -> None:
    widget, before = editor(people), people.landmarks[:1]
    heard: list[torch.Tensor] = []
    widget.observe(lambda change: heard.append(change["new"]), "landmarks")
    white = pixels(widget.drawn)
    orders(widget, {"do": "drag", "points": [30, 31], "by": [40.0, -2.5]})
    moved = [30, 31]
    assert torch.allclose(widget.landmarks[0, moved], before[0, moved] + torch.tensor([40, -2.5]))
    others = [k for k in range(68) if k not in moved]
    assert torch.equal(widget.landmarks[0, others], before[0, others])
    assert torch.equal(
        torch.frombuffer(bytearray(widget.points), dtype=torch.float32), widget.landmarks.flatten()
    )
    assert len(heard) == 1 and widget.answered == 1 and widget.undoable
    assert (white == 255).all() and (pixels(widget.drawn) == 0).all()
    assert widget.note.startswith("2 points moved, by up to 40.1 px; drawn in ")


def test_undo_goes_back_step_by_step_and_reset_to_the_beginning(people: faces.FaceBatch) -> None:
    widget = editor(people)
    states = [widget.landmarks]
    for step in range(3):
        orders(widget, {"do": "drag", "points": [step], "by": [1.0, 1.0]})
        states.append(widget.landmarks)
    for state in reversed(states[:-1]):
        orders(widget, {"do": "undo"})
        assert torch.equal(widget.landmarks, state)
    assert not widget.undoable
    orders(widget, {"do": "undo"})
    assert torch.equal(widget.landmarks, states[0])
    orders(widget, {"do": "drag", "points": [8], "by": [0, 3]}, {"do": "reset"})
    assert torch.equal(widget.landmarks, people.landmarks[:1]) and widget.undoable


def test_a_slider_draws_only_when_it_rests_and_dragged_points_stay_dragged(people: faces.FaceBatch) -> None:
    calls: list[torch.Tensor] = []

    def complete(landmarks: torch.Tensor) -> torch.Tensor:
        calls.append(landmarks)
        return people.image[:1]

    widget = show.LandmarkEditor(people.image[:1], people.landmarks[:1], complete)
    orders(widget, {"do": "drag", "points": [48], "by": [-5.0, 0.0]})
    for share in (0.2, 0.4):
        orders(widget, {"do": "edit", "expression": [share, 0, 0]})
    assert len(calls) == 2
    orders(widget, {"do": "edit", "expression": [0.5, 0, 0], "rest": True})
    assert len(calls) == 3 and widget.expression == [0.5, 0, 0]
    expected = faces.edit_landmarks(people.landmarks[:1], smile=0.5)
    expected[0, 48, 0] -= 5
    assert torch.allclose(widget.landmarks, expected, atol=1e-5) and torch.equal(calls[-1], widget.landmarks)
    orders(widget, {"do": "undo"})
    assert widget.expression == [0, 0, 0] and not torch.equal(widget.landmarks, people.landmarks[:1])


def test_orders_that_come_again_are_carried_out_once(people: faces.FaceBatch) -> None:
    widget, drag = editor(people), {"do": "drag", "points": [0], "by": [1.0, 0.0]}
    widget.set_state({"orders": [{"number": 1, **drag}], "asked": 1})
    widget.set_state({"orders": [{"number": 1, **drag}, {"number": 2, **drag}], "asked": 2})
    assert torch.allclose(widget.landmarks[0, 0], people.landmarks[0, 0] + torch.tensor([2, 0]))


def test_the_expression_of_another_face_is_copied(people: faces.FaceBatch) -> None:
    widget = editor(people, others={"the other": people.landmarks[2]})
    orders(widget, {"do": "edit", "expression": [1, 0, 0], "rest": True}, {"do": "copy", "name": "the other"})
    expected = faces.expression_from(people.landmarks[:1], people.landmarks[2:])
    assert torch.allclose(widget.landmarks, expected) and widget.expression == [0, 0, 0]


@pytest.mark.parametrize(
    "order",
    [
        {"do": "drag", "points": [68], "by": [0, 0]},
        {"do": "drag", "points": [], "by": [0, 0]},
        {"do": "drag", "points": [0], "by": [float("nan"), 0]},
        {"do": "drag", "points": [0], "by": [1e9, 0]},
        {"do": "drag"},
        {"do": "edit", "expression": [2, 0, 0]},
        {"do": "edit", "expression": [0, 0]},
        {"do": "copy", "name": "nobody"},
        {"do": "dance"},
        {},
    ],
    ids=str,
)
def test_orders_without_sense_change_nothing(order: dict[str, Any], people: faces.FaceBatch) -> None:
    widget = editor(people)
    orders(widget, order)
    assert torch.equal(widget.landmarks, people.landmarks[:1]) and widget.answered == 1
    assert widget.note and not widget.note.startswith("drawn")


def test_landmarks_from_python_are_shown_and_others_refused(people: faces.FaceBatch) -> None:
    widget = editor(people)
    widget.landmarks = people.landmarks[2:]
    assert torch.equal(widget.landmarks, people.landmarks[2:]) and widget.undoable
    assert bytes(widget.points) == people.landmarks[2].numpy().tobytes()
    for wrong in (people.landmarks, torch.full((1, 68, 2), torch.inf), None):
        with pytest.raises(traitlets.TraitError):
            widget.landmarks = wrong
    orders(widget, {"do": "undo"})
    assert torch.equal(widget.landmarks, people.landmarks[:1])


def test_an_expression_from_python_moves_the_sliders_and_the_points(people: faces.FaceBatch) -> None:
    widget = editor(people)
    widget.expression = [0.0, 1.0, 0.5]
    expected = faces.edit_landmarks(people.landmarks[:1], mouth_open=1, brow_raise=0.5)
    assert torch.equal(widget.landmarks, expected) and widget.undoable and "points moved" in widget.note
    for wrong in ([0.0, 2.0, 0.0], [0.0]):
        with pytest.raises(traitlets.TraitError):
            widget.expression = wrong
    assert widget.expression == [0.0, 1.0, 0.5]


def test_a_painter_of_faces_that_fails_leaves_a_sentence(people: faces.FaceBatch) -> None:
    widget = show.LandmarkEditor(people.image[:1], people.landmarks[:1], lambda landmarks: 1 / 0)
    assert widget.note == "ZeroDivisionError: division by zero" and widget.result is None
    assert len(np.unique(pixels(widget.drawn))) == 1
    assert {"landmarks", "edited", "drawn for the edited ones"} <= set(words(widget.static_figure()))


# ---- comparing ---------------------------------------------------------------------------------------------


def test_both_images_arrive_as_they_are(face: torch.Tensor) -> None:
    widget = show.BeforeAfter(face, 1 - face, names=("face", "negative"), position=0.25)
    assert np.array_equal(pixels(widget.before), levels(face[0]))
    assert np.array_equal(pixels(widget.after), levels(1 - face[0]))
    assert widget.names == ["face", "negative"]
    assert {"face", "half of each", "negative"} == set(words(widget.static_figure()))


def test_a_split_image_takes_each_pixel_from_its_side(face: torch.Tensor) -> None:
    from facecomp_lib.show.widgets.compare import split

    whole, other = face[0], 1 - face[0]
    assert np.array_equal(split(whole, other, 1.0), split(whole, whole, 0.3))
    assert np.array_equal(split(whole, other, 0.0), split(other, other, 0.3))
    quarter = split(whole, other, 0.25)
    assert np.array_equal(levels(quarter)[:, :4], levels(whole)[:, :4])
    assert np.array_equal(levels(quarter)[:, 4:], levels(other)[:, 4:])


def test_a_result_is_computed_when_it_is_chosen_and_kept(face: torch.Tensor) -> None:
    calls = []

    def slow() -> torch.Tensor:
        calls.append(1)
        return face * 0

    widget = show.MethodSwitch(face, {"inverse": 1 - face, "slow": slow})
    assert calls == [] and set(words(widget.static_figure())) == {"input", "inverse"}
    for chosen in (1, 0, 1):
        browser_sends(widget, chosen=chosen)
    assert len(calls) == 1 and (pixels(widget.after) == 0).all()
    assert set(words(widget.static_figure())) == {"input", "inverse", "slow"}
    widget.chosen = 0
    assert np.array_equal(pixels(widget.after), levels(1 - face[0]))


def test_a_completion_is_shown_by_its_composite(face: torch.Tensor) -> None:
    done = classical.complete(face, masks.make("center", size=SIZE), "mean")
    widget = show.MethodSwitch(face, {"mean": done, "later": lambda: done})
    assert np.array_equal(pixels(widget.after), levels(done.composite[0]))
    widget.chosen = 1
    assert np.array_equal(pixels(widget.after), levels(done.composite[0]))


def test_a_result_that_fails_or_does_not_fit_is_said(face: torch.Tensor) -> None:
    widget = show.MethodSwitch(face, {"fails": lambda: 1 / 0, "small": lambda: face[..., 1:]})
    assert widget.note == "fails: ZeroDivisionError: division by zero" and widget.after == b""
    browser_sends(widget, chosen=1)
    assert widget.note == "small: The image has 15 x 16 px, the face 16 x 16." and widget.after == b""
    with pytest.raises(ValueError, match="15 x 16 px"):
        show.BeforeAfter(face, face[..., 1:])
    with pytest.raises(ValueError, match="MethodSwitch takes functions"):
        show.BeforeAfter(face, lambda: face)
    with pytest.raises(ValueError, match="at least one"):
        show.MethodSwitch(face, {})


@pytest.mark.parametrize(
    ("trait", "value"), [("chosen", 7), ("chosen", -1), ("position", 1.5), ("position", "x")]
)
def test_a_position_out_of_range_is_refused(trait: str, value: Any, face: torch.Tensor) -> None:
    widget = show.BeforeAfter(face, 1 - face)
    before = getattr(widget, trait)
    with pytest.raises(traitlets.TraitError):
        widget.set_state({trait: value})
    assert getattr(widget, trait) == before


def test_the_first_face_of_the_course_can_be_painted() -> None:
    one = faces.embedded("test", size=64).batch([0])
    painter = show.MaskPainter(one.image, lambda image, mask: classical.complete(image, mask, "telea"))
    painter.mask = masks.make("random_square", size=64)
    known = (painter.mask[0, 0] == 1).numpy()
    assert np.array_equal(pixels(painter.completed)[known], levels(one.image[0])[known])
