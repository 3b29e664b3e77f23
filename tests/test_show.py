"""Figures draw what the tensors hold, and widgets show what the figures drew."""

from __future__ import annotations

import base64
import io
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from matplotlib.colors import to_rgb
from PIL import Image

from facecomp_lib import masks, show
from facecomp_lib.faces import embedded
from facecomp_lib.faces.schema import PARSING, FaceBatch
from facecomp_lib.show import canvas
from facecomp_lib.show.labels import LANDMARK_GROUPS, MARKS, PARSING_COLOURS

SIZE = 32


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    levels = torch.randint(0, 256, (5, 3, SIZE, SIZE), generator=torch.Generator().manual_seed(0))
    return levels / 255


@pytest.fixture(scope="module")
def faces(images: torch.Tensor) -> FaceBatch:
    grid = torch.stack(
        torch.meshgrid(torch.linspace(-1, 1, SIZE), torch.linspace(-1, 1, SIZE), indexing="xy"), -1
    )
    return FaceBatch(
        image=images,
        landmarks=torch.rand(5, 68, 2, generator=torch.Generator().manual_seed(1)) * (SIZE - 1),
        parsing=torch.arange(5 * SIZE * SIZE).reshape(5, SIZE, SIZE) % len(PARSING),
        pose=torch.tensor([[12.0, -3.0, 0.0]]).repeat(5, 1),
        attributes={"smiling": torch.tensor([True, False, True, False, True])},
        mirror_flow=grid.expand(5, -1, -1, -1).contiguous(),
        mirror_valid=torch.ones(5, SIZE, SIZE, dtype=torch.bool),
    )


def pixels(png: bytes) -> np.ndarray:
    """The image [H, W, 3] in a PNG."""
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def cell(sheet: show.Sheet, index: int, size: int = SIZE) -> np.ndarray:
    """Image number `index` of a sheet, [size, size, 3]: one sample for each of its data pixels."""
    drawn = pixels(sheet.png())
    box = sheet.axes[index].get_position()
    height, width = drawn.shape[:2]
    left, top = round(box.x0 * width), round((1 - box.y1) * height)
    zoom = round(box.width * width / size)
    area = drawn[top : top + zoom * size, left : left + zoom * size]
    return area[zoom // 2 :: zoom, zoom // 2 :: zoom]


def levels(image: torch.Tensor) -> np.ndarray:
    return (image * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()


def test_a_contact_sheet_holds_every_pixel_of_every_image(images: torch.Tensor) -> None:
    sheet = show.contact_sheet(images, [f"face {i}" for i in range(5)], columns=3)
    for index, image in enumerate(images):
        off = np.abs(cell(sheet, index).astype(int) - levels(image))
        assert off.max() <= 1  # matplotlib may round a level down


def test_a_sheet_has_two_device_pixels_for_each_css_pixel_and_equal_bytes_for_equal_tensors(
    images: torch.Tensor,
) -> None:
    sheet, again = (show.contact_sheet(images, columns=5, cell=64) for _ in range(2))
    width, height = sheet.css_size
    assert pixels(sheet.png()).shape == (2 * height, 2 * width, 3)
    assert sheet.png() == again.png()


def test_notebooks_get_drawings_as_png_and_faces_as_jpeg_when_that_is_smaller() -> None:
    drawing = show.matrices({"M": torch.eye(4)})
    data, metadata = drawing._repr_mimebundle_()
    assert base64.b64decode(data["image/png"]) == drawing.png()
    assert metadata["image/png"]["width"] == drawing.css_size[0]
    faces = show.contact_sheet([show.turntable(0, 0, 0.55)])
    data, metadata = faces._repr_mimebundle_()
    assert base64.b64decode(data["image/jpeg"]) == faces.jpeg()
    assert len(faces.jpeg()) < len(faces.png()) / 1.5
    assert metadata["image/jpeg"]["width"] == faces.css_size[0]


def test_a_sheet_of_many_faces_is_stored_no_larger_than_it_is_shown() -> None:
    faces = embedded("test", 128).batch(range(8)).image
    sheet = show.contact_sheet(list(faces))
    data, metadata = sheet._repr_mimebundle_()
    assert list(metadata) == ["image/jpeg"]
    shown = pixels(base64.b64decode(data["image/jpeg"]))
    assert shown.shape[:2] == sheet.css_size[::-1]
    assert np.abs(shown.astype(int) - pixels(sheet.png())[::2, ::2]).mean() < 3


def test_a_drawing_in_few_colours_is_light_and_keeps_every_pixel() -> None:
    drawing = show.matrices({"M": torch.eye(4)})
    plain = drawing._bytes("png", canvas.CSS * canvas.DENSITY)
    assert len(drawing.png()) < len(plain) / 1.5
    assert np.array_equal(pixels(drawing.png()), pixels(plain))


def test_shades_of_a_drawing_are_rounded_in_notebooks_by_what_nobody_sees() -> None:
    drawing = show.gaussians({"apart": [(0, 1), (2, 0.5)]})
    data, _ = drawing._repr_mimebundle_()
    shown, exact = pixels(base64.b64decode(data["image/png"])), pixels(drawing.png())
    assert len(data["image/png"]) < len(drawing.png())
    assert np.abs(shown.astype(int) - exact).max() <= 24 and np.abs(shown.astype(int) - exact).mean() < 0.1


def test_a_small_png_has_the_css_size_and_nearly_the_same_colours() -> None:
    sheet = show.contact_sheet([show.turntable(0, 0, 0.55)])
    small = pixels(sheet.small_png())
    assert small.shape[:2] == sheet.css_size[::-1]
    assert np.abs(small.astype(int) - pixels(sheet.png())[::2, ::2]).mean() < 3


def test_the_last_column_of_a_completion_marks_the_hole_and_nothing_else(images: torch.Tensor) -> None:
    mask = masks.make("center", size=SIZE)
    raw = 1 - images
    sheet = show.completion(images[:1], mask, raw[:1], masks.composite(images[:1], raw[:1], mask))
    marked = (cell(sheet, 5) != 255).any(-1)
    assert (marked == (mask[0, 0] == 0).numpy()).all()
    words = [text.get_text() for ax in sheet.axes for text in [ax.title, *ax.texts]]
    assert "hole 25%" in words and "25%" in words


def test_an_unchanged_image_is_called_identical(images: torch.Tensor) -> None:
    sheet = show.completion(images[:1], masks.make("center", size=SIZE), images[:1], images[:1])
    assert [text.get_text() for text in sheet.axes[4].texts] == ["identical"]
    assert (cell(sheet, 5) == 255).all()


def test_landmarks_lie_at_pixel_centres_in_the_colour_of_their_group() -> None:
    image = torch.zeros(1, 3, SIZE, SIZE)
    points = torch.zeros(1, 68, 2)
    points[0, :, 0] = torch.arange(68) % 20 + 6
    points[0, :, 1] = torch.arange(68) // 20 * 8 + 3
    drawn = cell(show.overlay_landmarks(image, points, cell=256), 0)
    for _, first, last, colour in LANDMARK_GROUPS:
        rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        middle = (first + last) // 2
        x, y = points[0, middle].int().tolist()
        assert np.abs(drawn[y, x].astype(int) - rgb).max() <= 2


def test_points_on_a_face_are_dots_and_the_truth_is_a_ring_around_it(images: torch.Tensor) -> None:
    side = 8 * SIZE
    points = torch.tensor([[[6.0, 5.0], [25.0, 12.0], [9.0, 24.0]]])
    truth = torch.tensor([[[6.0, 5.0], [25.0, 12.0], [23.0, 24.0]]])
    plain, dotted, ringed = (
        show.points_on(images[:1], *given, side=side)[0]
        for given in ((points[:, :0],), (points,), (points, truth))
    )
    assert plain.shape == (side, side, 3)
    smooth = F.interpolate(images[:1], size=(side, side), mode="bilinear")[0].permute(1, 2, 0)
    assert np.array_equal(plain, smooth.numpy())
    # pixel x of the face has its centre at 8 x + 3.5; the radius of a dot is a fortieth of the side
    line = np.arange(side)
    for k, (x, y) in enumerate(points[0].tolist()):
        away = np.hypot(line - 8 * x - 3.5, (line - 8 * y - 3.5)[:, None])
        for drawn in (dotted, ringed):
            assert np.allclose(drawn[away <= side / 40], to_rgb(MARKS[k]))
            assert (drawn[(away > side / 40) & (away <= side / 40 + side / 128)] == 1).all()
        painted = (dotted != plain).any(-1)
        near = away <= side / 40 + side / 128
        assert painted[near].mean() > 0.99
        plain = np.where(near[..., None], dotted, plain)
    assert np.array_equal(plain, dotted)  # nothing else was painted
    away = np.hypot(line - 8 * 23 - 3.5, (line - 8 * 24 - 3.5)[:, None])
    ring = (away > 1.7 * side / 40 - side / 128) & (away < 1.7 * side / 40)
    assert np.allclose(ringed[ring], to_rgb(MARKS[2]))
    middle, outside = away < side / 40, away > 1.7 * side / 40 + side / 128
    assert np.array_equal(ringed[middle], dotted[middle])
    left = np.broadcast_to(line < side / 2, (side, side)) & (line > side / 2)[:, None]
    assert np.array_equal(ringed[left & outside], dotted[left & outside])


def test_each_face_has_its_own_points_and_those_outside_are_not_drawn(images: torch.Tensor) -> None:
    points = torch.tensor([[[5.0, 5.0]], [[-40.0, 300.0]]])
    first, second = show.points_on(images[:2], points, side=64)
    (plain,) = show.points_on(images[1:2], points[:1, :0], side=64)
    assert np.allclose(first[10, 10], to_rgb(MARKS[0])) and np.array_equal(second, plain)


def test_landmarks_as_lines_have_the_colour_of_their_part_and_lie_over_the_white_truth() -> None:
    real = embedded("test", 64).batch([36, 80])
    images, points, side = real.image, real.landmarks, 256
    plain = F.interpolate(images[:2], size=(side, side), mode="bilinear").permute(0, 2, 3, 1)
    drawn = show.lines_on(images[:2], points, side=side)
    assert len(drawn) == 2 and drawn[0].shape == (side, side, 3) and drawn[0].dtype == np.uint8
    place = (4 * points + 1.5).numpy()  # pixel x of the face has its centre at 4 x + 1.5
    colours = np.array([to_rgb(colour) for *_, colour in LANDMARK_GROUPS])
    for face in range(2):
        part = (np.abs(drawn[face][..., None, :] / 255 - colours) < 0.01).all(-1)  # [side, side, group]
        assert (part.sum((0, 1)) > 20).all()
        for x, y in (
            place[face].round().astype(int)
        ):  # no point without a line; another part may lie over its own
            assert part[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].any()
        far = np.linalg.norm(place[face, :, None, None] - np.stack(np.mgrid[:side, :side][::-1], -1), axis=3)
        nothing = far.min(0) > side / 8
        assert nothing.any()
        assert np.abs(drawn[face] / 255 - plain[face].numpy())[nothing].max() < 0.003
    moved = show.lines_on(images[:2], points, points + 3, side=side)
    assert ((moved[0] == 255).all(-1) & (drawn[0] != 255).any(-1)).sum() > side  # the truth, where it differs
    same = show.lines_on(images[:2], points, points, side=side)
    x, y = place[0, 8].round().astype(int)
    assert (
        np.abs(same[0][y - 1 : y + 2, x].astype(int) - drawn[0][y - 1 : y + 2, x]).max() < 60
    )  # white only at the rim


def test_the_persons_right_is_marked_on_the_left_of_the_image(faces: FaceBatch) -> None:
    landmarks = faces.landmarks[:1].clone()
    landmarks[0, 1, 0], landmarks[0, 15, 0] = 4, SIZE - 5
    sheet = show.overlay_landmarks(faces.image[:1], landmarks)
    x = {text.get_text(): text.get_position()[0] for text in sheet.axes[0].texts}
    assert x["R"] < SIZE / 2 < x["L"]


def test_the_parsing_legend_names_all_classes_in_order(faces: FaceBatch) -> None:
    sheet = show.overlay_parsing(faces.image[:2], faces.parsing[:2])
    names = [text.get_text() for text in sheet.legends[0].get_texts()]
    assert names == [f"{number} {name}" for number, name in enumerate(PARSING)]


@pytest.mark.parametrize("sight", ["normal", "protan", "deutan"])
def test_parsing_colours_differ_for_all_eyes(sight: str) -> None:
    # Severe colour blindness as a matrix on linear RGB (Machado, Oliveira, Fernandes 2009).
    matrix = {
        "normal": np.eye(3),
        "protan": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
        "deutan": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    }[sight]
    rgb = np.array([[int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)] for colour in PARSING_COLOURS])
    seen = np.clip(rgb**2.2 @ np.array(matrix).T, 0, 1) ** (1 / 2.2)
    distance = np.linalg.norm(seen[:, None] - seen[None], axis=-1) + 9 * np.eye(len(rgb))
    assert distance.min() > 0.13


def test_the_mirror_figure_is_grey_where_the_mirror_point_is_hidden(faces: FaceBatch) -> None:
    valid = faces.mirror_valid[:1].clone()
    valid[:, :, : SIZE // 2] = False
    sheet = show.mirror_flow(faces.image[:1], faces.mirror_flow[:1], valid)
    carried = cell(sheet, 2)
    assert len(np.unique(carried[:, : SIZE // 2].reshape(-1, 3), axis=0)) == 1
    assert "50%" in sheet.axes[2].texts[0].get_text()


def test_masks_come_with_name_note_and_size_of_the_hole(images: torch.Tensor) -> None:
    holes = {kind: masks.make(kind, size=SIZE) for kind in ("center", "half_left")}
    sheet = show.mask_families(holes, {"center": "gfc"}, images[0])
    words = [text.get_text() for ax in sheet.axes for text in [ax.title, *ax.texts]]
    assert words == ["center", "25% missing\ngfc", "half_left", "50% missing"]
    half, known = cell(sheet, 1).astype(int), slice(SIZE // 2, None)
    assert len(np.unique(half[:, : SIZE // 2].reshape(-1, 3), axis=0)) == 1
    assert np.abs(half[:, known] - levels(images[0].mean(0, keepdim=True))[:, known]).max() <= 1


def test_bars_are_as_long_as_their_shares() -> None:
    sheet = show.balance({"age": {"young": 0.75, "old": 0.25}, "yaw": {"left": 0.5, "right": 0.5}})
    lengths = [[bar.get_width() for bar in ax.patches] for ax in sheet.axes]
    assert lengths == [[0.75, 0.25], [0.5, 0.5]]


def test_matrices_write_every_number() -> None:
    sheet = show.matrices({"M": torch.eye(2), "G": torch.full((2, 2), 0.25)}, joints="+")
    assert [t.get_text() for t in sheet.axes[0].texts] == ["1", "0", "0", "1", "+"]
    assert [t.get_text() for t in sheet.axes[1].texts] == ["0.25"] * 4


def test_photos_are_averaged_down_not_skipped_over() -> None:
    stripes = np.zeros((400, 300, 3), np.uint8)
    stripes[::2] = 255
    drawn = cell(show.photo_row([stripes], ["stripes"], height=100), 0, size=75)
    assert np.abs(drawn.astype(int) - 127).max() <= 1


def test_a_image_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\[2, 8, 8\]"):
        show.contact_sheet(torch.zeros(1, 2, 8, 8))
    with pytest.raises(ValueError, match="at least one"):
        show.contact_sheet([])


def shade(red: float, blue: float) -> torch.Tensor:
    return torch.tensor([red, 0.4, blue]).view(3, 1, 1).expand(3, 8, 8)


def test_a_slider_shows_what_the_figure_drew() -> None:
    widget = show.FrameSlider(shade, start={"red": 0.2}, red=[0.0, 0.2, 1.0], blue=[0.0, 1.0])
    assert widget.positions == {"red": 1, "blue": 1}
    assert widget.png == show.contact_sheet([shade(0.2, 1.0)], cell=256).png()
    widget.positions = {"red": 2, "blue": 0}
    assert widget.png == show.contact_sheet([shade(1.0, 0.0)], cell=256).png()


def test_the_explorer_shows_what_the_figure_drew(faces: FaceBatch) -> None:
    widget = show.FaceExplorer(faces)
    assert widget.png == show.face_view(faces, 0).png()
    widget.positions = {"face": 3, "landmarks": 1, "parsing": 0, "mirror": 1}
    assert widget.png == show.face_view(faces, 3, landmarks=True, mirror=True).png()


def test_the_explorer_offers_only_what_is_known(images: torch.Tensor) -> None:
    widget = show.FaceExplorer(FaceBatch(image=images))
    assert [control["name"] for control in widget.controls] == ["face"]
    assert show.labels(FaceBatch(image=images[:2])).css_size[0] < 250


def test_a_widget_brings_its_static_figure(faces: FaceBatch) -> None:
    data, metadata = show.FaceExplorer(faces, static_rows=1)._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    (kind,) = metadata
    shown = pixels(base64.b64decode(data[kind]))
    assert shown.shape[:2] == show.labels(faces[:1]).css_size[::-1], "no larger than it is shown"
    assert np.abs(shown.astype(int) - pixels(show.labels(faces[:1]).png())[::2, ::2]).mean() < 10
    assert metadata[kind]["width"] == show.labels(faces[:1]).css_size[0]
    assert (
        data["text/plain"]
        == "FaceExplorer(face, landmarks, parsing, mirror): run this cell to move the controls"
    )


def test_figures_need_neither_pyplot_nor_widgets() -> None:
    code = "import sys, facecomp_lib.show; print({'matplotlib.pyplot', 'anywidget'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


def test_cells_cover_whole_device_pixels() -> None:
    for side in (4, 48, 64, 128, 200, 256):
        for target in (64, 96, 128, 192, 320):
            width, _ = canvas.cell_size((side, side), target)
            assert width * canvas.DENSITY % side == 0 or side % 2


def test_the_turntable_has_a_frame_at_every_stop_and_says_so_elsewhere() -> None:
    from facecomp_lib.show.turntable import positions

    frames = torch.stack([show.turntable(*place) for place in positions()])
    assert frames.shape == (7 * 5 * 4, 3, 128, 128)
    assert len(np.unique(frames.flatten(1).mean(1).numpy())) == len(frames)
    with pytest.raises(ValueError, match="no frame at yaw=7"):
        show.turntable(7, 0, 0.55)


def test_turning_left_and_right_brings_other_sides_into_view() -> None:
    # the lamp's side is the brighter half of a frontal face
    for light, side in ((-70, slice(36, 60)), (70, slice(68, 92))):
        face = show.turntable(0, light, 0.55)[:, 50:110]
        other = slice(128 - side.stop, 128 - side.start)
        assert face[:, :, side].mean() > face[:, :, other].mean() + 0.05


def texts(sheet: show.Sheet) -> list[str]:
    """Titles and notes, axes by axes."""
    return [text.get_text() for ax in sheet.axes for text in [ax.title, *ax.texts] if text.get_text()]


def test_a_duel_marks_the_better_value_whichever_way_better_is(images: torch.Tensor) -> None:
    sheet = show.duel(*images[:3], {"psnr": (20.0, 21.0), "lpips": (0.1, 0.2), "ssim": (0.5, 0.5)})
    winners = [text.get_text() for ax in sheet.axes for text in ax.texts if text.get_fontweight() == "bold"]
    assert winners == ["0.100", "21.00"]
    assert np.abs(cell(sheet, 1).astype(int) - levels(images[1])).max() <= 1


def test_rows_hold_every_image_under_its_column(images: torch.Tensor) -> None:
    sheet = show.rows({"one": images[:2], "two": images[2:4]}, ("a", "b"), {"two": ["x", "y"]})
    assert texts(sheet) == ["a", "one", "b", "x", "two", "y"]
    for place in range(4):
        assert np.abs(cell(sheet, place).astype(int) - levels(images[place])).max() <= 1


def test_hits_of_a_ranking_are_framed_and_misses_are_not(images: torch.Tensor) -> None:
    right = [[False, True, True], [False, False, False]]
    sheet = show.ranking(images[:2], [images[2:], images[2:]], right, names=("p", "q"))
    assert [len(ax.patches) for ax in sheet.axes] == [0, 0, 1, 1, 0, 0, 0, 0]


def test_curves_have_their_peak_at_the_mean() -> None:
    sheet = show.gaussians({"same": [(0, 1), (0, 1)], "apart": [(0, 1), (2, 0.5)]}, ("here", "there"))
    peaks = [line.get_xdata()[line.get_ydata().argmax()] for line in sheet.axes[1].lines]
    assert np.allclose(peaks, (0, 2), atol=0.02)
    assert [len(ax.texts) for ax in sheet.axes] == [0, 2]  # named where they can be told apart


def test_lines_go_through_their_points() -> None:
    sheet = show.lines({"a": [(1, 2), (10, 5)], "b": [(1, 0), (10, 1)]}, "x", "y", level=0, log=True)
    level, *curves = sheet.axes[0].lines
    assert [curve.get_xydata().tolist() for curve in curves] == [[[1, 2], [10, 5]], [[1, 0], [10, 1]]]
    assert set(level.get_ydata()) == {0}


def test_a_histogram_counts_shares_and_marks_its_values() -> None:
    sheet = show.histograms({"a": [0.0, 0.1, 1.0], "b": torch.ones(7)}, "x", {"limit": 0.6}, bins=2)
    assert np.allclose([bar.get_height() for bar in sheet.axes[0].patches], [2 / 3, 1 / 3, 0, 1])
    assert sheet.axes[0].lines[0].get_xdata()[0] == 0.6
