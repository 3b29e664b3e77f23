"""The widgets in a real browser: JupyterLab, Chromium, a hand on a widget, another image, Python told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tools import browser

pytestmark = pytest.mark.skipif(browser.chromium() is None, reason="needs Chromium or Chrome, found neither")

SLIDER = """
import torch
from facecomp_lib import show
grey = torch.full((1, 3, 16, 16), 0.4)
def shade(red, blue):
    return torch.tensor([red, 0.4, blue]).view(3, 1, 1).expand(3, 8, 8)
show.FrameSlider(shade, start={"red": 0.0, "blue": 0.0}, red=[0.0, 0.2, 1.0], blue=[0.0, 1.0])
"""
PAINTER = """
painter = show.MaskPainter(grey, lambda image, mask: torch.where(mask > 0.5, image, 1.0), brush=4,
                           cell=320, description="painter")
painter
"""
ATTENTION = """
maps = {"same": torch.eye(16), "next": torch.eye(16).roll(1, 1)}
attention = show.AttentionExplorer(grey, maps, description="attention")
attention
"""
FLOW = """
line = torch.linspace(-1, 1, 16)
still = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1)[None]
half = torch.where(torch.arange(16) < 8, 0.0, 1.0).expand(1, 3, 16, 16)
flow = show.FlowExplorer(half, still - torch.tensor([8 / 15, 0]), description="flow")  # 4 px to the left
flow
"""
EDITOR = """
from facecomp_lib import faces
people = faces.embedded("test", size=64).batch([0, 5])
def dots(landmarks):
    image = torch.zeros(3, 64, 64)
    x, y = landmarks[0].round().long().clamp(0, 63).T
    image[:, y, x] = 1
    return image
editor = show.LandmarkEditor(people.image[:1], people.landmarks[:1], dots, description="editor",
                             others={"another": people.landmarks[1:]})
editor
"""
SWITCH = """
switch = show.MethodSwitch(grey, {"white": 0 * grey + 1, "black": lambda: 0 * grey}, description="switch")
switch
"""
CELLS = [SLIDER, PAINTER, ATTENTION, FLOW, EDITOR, SWITCH]

# the colour of one pixel of an image: "red,green,blue", or nothing as long as there is no image
COLOUR = """([image, x, y]) => {
    if (!image?.complete || !image.naturalWidth) return '';
    const canvas = document.createElement('canvas');
    canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
    const context = canvas.getContext('2d');
    context.drawImage(image, 0, 0);
    return [...context.getImageData(x * canvas.width, y * canvas.height, 1, 1).data].slice(0, 3).join();
}"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A notebook with one widget in each cell; one server and one kernel for all tests."""
    pytest.importorskip("playwright.sync_api", reason="needs playwright: python3 course.py setup test")
    with (
        browser.lab(tmp_path_factory.mktemp("lab"), CELLS) as address,
        browser.notebook(address, viewport={"width": 1200, "height": 3000}, has_touch=True) as page,
    ):
        page.wait_for_selector("[aria-label=switch]", timeout=120_000)
        yield page


class Widget:
    """One widget on the page: its images by number, places on them as shares of their sides."""

    def __init__(self, page: Any, selector: str) -> None:
        self.page, self.box = page, page.locator(selector)

    def shows(self, colour: str, x: float = 0.5, y: float = 0.5, image: int = 0) -> None:
        """Wait until an image has this colour at a place."""
        image = self.box.locator("img").nth(image).element_handle()
        self.page.wait_for_function(
            f"wanted => ({COLOUR})(wanted) === wanted[3]", arg=[image, x, y, colour], polling=50
        )

    def point(self, x: float, y: float, frame: int = 0) -> None:
        """Move the pointer to a place on an image that hands work on."""
        self.box.locator(".frame").nth(frame).scroll_into_view_if_needed()
        box = self.box.locator(".frame").nth(frame).bounding_box()
        self.page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])

    def drag(self, *places: tuple[float, float]) -> None:
        self.point(*places[0])
        self.page.mouse.down()
        for place in places[1:]:
            self.point(*place)
        self.page.mouse.up()

    def says(self, text: str) -> None:
        self.box.get_by_text(text).first.wait_for()

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def python(self, expression: str) -> str:
        """The value of an expression in the kernel, once Python has answered all that was asked."""
        if self.box.get_attribute("aria-busy"):
            self.page.wait_for_function("box => box.ariaBusy === 'false'", arg=self.box.element_handle())
        return browser.ask(self.page, f"print({expression})")

    def reaches(self, expression: str, value: str) -> None:
        """Wait until an expression has this value in the kernel."""
        for _ in range(100):
            if (found := self.python(expression)) == value:
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"{expression} is {found}, not {value}")


def test_a_moved_slider_changes_the_image(page: Any) -> None:
    panel = Widget(page, ".facecomp-panel")
    panel.shows("0,102,0")
    red, blue = panel.box.locator("input[type=range]").all()
    red.press("ArrowRight")
    panel.shows("51,102,0")
    red.press("End")
    blue.press("End")
    panel.shows("255,102,255")
    assert panel.box.locator("output").all_inner_texts() == ["1.0", "1.0"]


def test_a_stroke_is_completed_and_reaches_python(page: Any) -> None:
    painter = Widget(page, "[aria-label=painter]")
    painter.shows("102,102,102", image=1)
    painter.drag((0.25, 0.5), (0.75, 0.5))  # a brush of 4 px, from x = 3.5 to 11.5, at y = 7.5
    painter.shows("255,255,255", image=1)
    painter.shows("102,102,102", y=0.2, image=1)
    row = "painter.mask[0, 0, 7].int().tolist()"
    assert painter.python(row) == str([1] * 2 + [0] * 12 + [1] * 2)

    painter.box.get_by_role("button", name="Eraser").click()
    painter.drag((0.25, 0.5), (0.5, 0.5))
    painter.shows("102,102,102", x=0.3, image=1)
    painter.shows("255,255,255", x=0.75, image=1)
    painter.press("Control+z")
    painter.shows("255,255,255", x=0.3, image=1)
    assert painter.python(row) == str([1] * 2 + [0] * 12 + [1] * 2)
    painter.press("Delete")
    painter.says("Nothing is missing")
    assert painter.python("painter.mask.mean().item()") == "1.0"


def test_keys_paint_too_and_a_mask_from_python_is_shown(page: Any) -> None:
    painter = Widget(page, "[aria-label=painter]")
    painter.box.get_by_role("button", name="Brush").click()
    painter.box.locator(".frame").first.focus()
    painter.press("-", "-", "-")  # down to 1 px
    painter.press(*["Shift+ArrowLeft"] * 2, *["Shift+ArrowUp"] * 2)  # to the first pixel
    page.keyboard.down("Enter")
    painter.press("ArrowRight")
    page.keyboard.up("Enter")
    painter.shows("255,255,255", x=0, y=0, image=1)
    assert painter.python("(painter.mask == 0).nonzero()[:, 2:].tolist()") == "[[0, 0], [0, 1], [0, 2]]"
    painter.python("setattr(painter, 'mask', 0 * painter.mask)")
    painter.says("Everything is missing")
    painter.box.get_by_role("button", name="Undo").click()
    painter.says("1.2% missing")


def test_a_finger_paints_and_does_not_scroll_the_page(page: Any) -> None:
    painter = Widget(page, "[aria-label=painter]")
    painter.box.get_by_role("button", name="Clear").click()
    painter.says("Nothing is missing")
    painter.python("setattr(painter, 'brush', 4)")
    painter.says("4 px")
    painter.point(0, 0)  # scrolls it into view
    frame = painter.box.locator(".frame").first
    before = frame.bounding_box()
    finger = page.context.new_cdp_session(page)
    for kind, y in (("Start", 0.2), ("Move", 0.4), ("Move", 0.6), ("Move", 0.8), ("End", None)):
        place = {"x": before["x"] + before["width"] / 2, "y": before["y"] + (y or 0) * before["height"]}
        points = [] if y is None else [place]
        finger.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points})
    painter.shows("255,255,255", x=0.5, y=0.5, image=1)
    assert frame.bounding_box() == before
    column = "(painter.mask[0, 0] == 0).any(1).nonzero().flatten().tolist()"
    assert painter.python(column) == str(list(range(1, 15)))  # from y = 2.7 to 12.3, and 2 px more


def test_pointing_shows_where_a_position_looks(page: Any) -> None:
    attention = Widget(page, "[aria-label=attention]")
    attention.point(0.6, 0.4)  # row 1, column 2 of 4 x 4
    attention.shows("252,255,164", x=0.6, y=0.4, image=1)
    assert attention.python("attention.query, attention.weights.argmax().item()") == "[1, 2] 6"
    attention.box.get_by_label("next").check()
    attention.shows("252,255,164", x=0.9, y=0.4, image=1)
    attention.point(0.9, 0.4, frame=1)
    attention.says("row 1, column 3: weight 1.000")
    attention.point(0.1, 0.1)
    page.mouse.down()  # holds the query
    page.mouse.up()
    attention.point(0.9, 0.9)
    attention.press("ArrowDown", "-")
    attention.shows("252,255,164", x=0.1, y=0.4, image=1)
    assert attention.python("attention.query, attention.chosen") == "[1, 0] 0"


def test_a_clicked_pixel_is_followed_by_the_flow(page: Any) -> None:
    flow = Widget(page, "[aria-label=flow]")
    flow.shows("255,255,255", x=0.4, image=1)  # the flipped face: white, then black
    flow.point(9.5 / 16, 2.5 / 16)
    page.mouse.down()
    page.mouse.up()
    flow.says("Pixel (9, 2): its mirror partner is at (5.0, 2.0) in the flipped face, 4.0 px left.")
    dot = flow.box.locator(".frame").nth(1).locator("circle")
    assert abs(float(dot.get_attribute("cx")) - 5) < 1e-3
    flow.press("ArrowDown", "Shift+ArrowLeft")
    flow.says("Pixel (1, 3):")
    assert flow.python("flow.pixel, flow.seen") == "[1, 3] True"

    slider = flow.box.get_by_role("slider")
    slider.press("End")
    flow.shows("255,255,255", x=0.6, image=1)  # carried along, by 4 px
    flow.shows("0,0,0", x=0.9, image=1)
    slider.press("ArrowLeft")
    assert flow.python("round(flow.share, 3)") == "0.98"
    flow.box.get_by_label("colours").check()
    flow.shows("0,255,255", x=0.2, image=1)  # to the left
    flow.box.get_by_label("arrows").check()
    flow.shows("0,0,0", x=0.01, y=0.01, image=1)
    assert flow.python("flow.view") == "2"


def test_a_dragged_point_is_drawn_where_it_is_let_go(page: Any) -> None:
    editor = Widget(page, "[aria-label=editor]")

    def at(point: int) -> tuple[float, float]:
        x, y = eval(editor.python(f"editor.landmarks[0, {point}].round().tolist()"))
        return (x + 0.5) / 64, (y + 0.5) / 64

    x, y = at(8)  # the chin
    editor.shows("255,255,255", x, y, image=1)
    editor.drag((x, y), (x - 0.1, y), (x - 0.25, y))
    editor.says("1 point moved, by up to 16.0 px")
    editor.shows("255,255,255", x - 0.25, y, image=1)
    editor.shows("0,0,0", x, y, image=1)
    assert abs(at(8)[0] - (x - 0.25)) < 0.02

    editor.box.get_by_role("button", name="Undo").click()
    editor.shows("255,255,255", x, y, image=1)
    editor.box.get_by_label("whole parts").check()
    editor.drag((x, y), (x, y - 0.2))
    editor.says("17 points moved")
    editor.press("+", "Shift+ArrowUp")  # a brow
    editor.says("22 points moved")
    editor.press("Delete")
    editor.shows("255,255,255", x, y, image=1)
    assert editor.python("torch.equal(editor.landmarks, people.landmarks[:1])") == "True"


def test_sliders_and_other_faces_change_the_expression(page: Any) -> None:
    editor = Widget(page, "[aria-label=editor]")
    editor.box.get_by_role("slider", name="mouth open").press("End")
    editor.says("points moved")
    same = "torch.allclose(editor.landmarks, {}, atol=1e-3)"
    opened = same.format("faces.edit_landmarks(people.landmarks[:1], mouth_open=1)")
    assert editor.python(opened) == "True"
    editor.box.get_by_role("button", name="Undo").click()
    editor.says("drawn in")
    editor.box.get_by_label("copy an expression").select_option("another")
    editor.says("points moved")
    copied = same.format("faces.expression_from(people.landmarks[:1], people.landmarks[1:])")
    assert editor.python(copied) == "True"
    assert editor.box.locator("output").first.inner_text() == "0.00"


def test_the_line_between_two_images_follows_hand_and_keys(page: Any) -> None:
    switch = Widget(page, "[aria-label=switch]")
    switch.shows("255,255,255", image=1)
    switch.drag((0.5, 0.5), (0.25, 0.5))
    switch.reaches("round(switch.position, 2)", "0.25")
    clip = switch.box.locator("img").nth(1).evaluate("image => image.style.clipPath")
    assert clip.startswith("inset(0px 0px 0px 2")
    switch.press("End", "Shift+ArrowLeft", "+")
    switch.shows("0,0,0", image=1)
    switch.says("black: computed in")
    assert switch.python("round(switch.position, 3), switch.chosen") == "0.9 1"


def test_keys_are_not_taken_by_jupyterlab(page: Any) -> None:
    # it looks for this attribute at the element that has the focus, and at those around it
    control = ".facecomp-explore :is(button, input, [tabindex])"
    assert page.locator(control).count() > 10
    assert page.locator(f"{control}:not([data-lm-suppress-shortcuts])").count() == 0
