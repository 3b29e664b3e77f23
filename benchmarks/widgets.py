"""How long an explorer takes from the hand's last event to the new image, in JupyterLab in Chromium.

    python benchmarks/widgets.py [--size 128] [--repeats 30] [--only painter flow]

Measured in the page: from the event's own time stamp until Python has answered and the images are loaded.
What methods compute is left out: they are replaced by something instant. Each row is compared with the
shortest way that there is: a widget whose answer is an image of one pixel. Needs the extra `test` and
Chromium.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tools import browser

SETUP = """
import torch, traitlets
from facecomp_lib import faces, show
from facecomp_lib.show.widgets.base import Explorer, lossless
size = {size}
batch = faces.embedded("test", size=min(size, 128)).batch([0, 3])
image = torch.nn.functional.interpolate(batch.image, size)
"""
PIXEL = """
class Pixel(Explorer):
    _esm = '''
export default {{ render({{ model, el }}) {{
  const box = document.createElement("div"), image = document.createElement("img");
  const button = document.createElement("button");
  box.setAttribute("aria-label", "pixel");
  button.onclick = () => {{
    box.ariaBusy = "true";
    model.set("asked", model.get("asked") + 1);
    model.save_changes();
  }};
  model.on("change:answered", () => {{
    image.src = URL.createObjectURL(new Blob([model.get("png")]));
    box.ariaBusy = "false";
  }});
  button.append("ask");
  box.append(button, image);
  el.append(box);
}} }};'''
    png = traitlets.Bytes().tag(sync=True)
    def hear(self):
        self.png = lossless(torch.full((3, 1, 1), float(self.asked % 2)))
    def static_figure(self):
        return show.contact_sheet([torch.zeros(3, 8, 8)])
Pixel((1, 1), 64)
"""
CELLS = {
    "pixel": PIXEL,
    "painter": """
show.MaskPainter(image[:1], lambda image, mask: torch.where(mask > 0.5, image, 0.5), description="painter")
""",
    "attention": """
show.AttentionExplorer(image[:1], {{"map": torch.rand(4096, 4096)}}, description="attention")
""",
    "flow": """
line = torch.linspace(-1, 1, size)
still = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1)[None]
show.FlowExplorer(image[:1], still * 0.9, description="flow")
""",
    "landmarks": """
points = batch.landmarks[:1] * size / batch.size[0]
draw = lambda points: image[:1] * points[0, 30, 0] / size
show.LandmarkEditor(image[:1], points, draw, description="landmarks")
""",
    "switch": """
show.MethodSwitch(image[:1], {{"a": image[:1] * 0.5, "b": 1 - image[:1]}}, description="switch")
""",
}
# Notes in `times` how long each answer took, from the last event before its question to loaded images.
WATCH = """box => {
    let last = 0, begin = null;
    for (const type of ['pointerdown', 'pointermove', 'pointerup', 'keydown', 'click', 'input', 'change'])
        window.addEventListener(type, event => last = event.timeStamp, true);
    const loaded = image => image.complete ? null : new Promise(done => image.addEventListener('load', done));
    new MutationObserver(async () => {
        if (box.ariaBusy === 'true') { begin ??= last; return; }
        if (begin === null) return;
        const since = begin;
        begin = null;
        await Promise.all([...box.querySelectorAll('img:not([hidden])')].map(loaded));
        box.times.push(performance.now() - since);
    }).observe(box, { attributeFilter: ['aria-busy'] });
}"""

Act = Callable[[Any, Any, int], None]


def point(page: Any, box: Any, x: float, y: float) -> None:
    """Move the pointer to a place on a widget's first image."""
    frame = box.locator(".frame").first.bounding_box()
    page.mouse.move(frame["x"] + x * frame["width"], frame["y"] + y * frame["height"])


def stroke(page: Any, box: Any, k: int) -> None:
    point(page, box, 0.2 + 0.02 * (k % 30), 0.3)
    page.mouse.down()
    point(page, box, 0.25 + 0.02 * (k % 30), 0.7)
    page.mouse.up()


def hover(page: Any, box: Any, k: int) -> None:
    point(page, box, 0.1 + 0.02 * (k % 40), 0.5)


def click(page: Any, box: Any, k: int) -> None:
    hover(page, box, k)
    page.mouse.down()
    page.mouse.up()


def slide(page: Any, box: Any, k: int) -> None:
    box.get_by_role("slider").first.press("ArrowRight" if k % 40 < 20 else "ArrowLeft")


def nose(page: Any, box: Any, k: int) -> None:
    box.locator(".frame").first.press("ArrowRight" if k % 2 else "ArrowLeft")


def choose(page: Any, box: Any, k: int) -> None:
    box.locator("input[type=radio]").nth((k + 1) % 2).check()


# what is measured -> the widget, and what the hand does
ACTIONS: dict[str, tuple[str, Act]] = {
    "one pixel (the shortest way)": ("pixel", lambda page, box, k: box.get_by_role("button").click()),
    "MaskPainter, a stroke ends": ("painter", stroke),
    "AttentionExplorer, 64 x 64, hover": ("attention", hover),
    "FlowExplorer, a pixel": ("flow", click),
    "FlowExplorer, carried along": ("flow", slide),
    "LandmarkEditor, a slider moves": ("landmarks", slide),
    "LandmarkEditor, a point is let go": ("landmarks", nose),
    "MethodSwitch, another result": ("switch", choose),
}


def measure(page: Any, box: Any, act: Act, repeats: int) -> list[float]:
    """Milliseconds of each round trip; three more, before them, warm up."""
    element = box.element_handle()
    times: list[float] = []
    for k in range(repeats + 3):
        page.evaluate("box => box.times = []", element)
        act(page, box, k)
        page.wait_for_function("box => box.times.length && box.ariaBusy !== 'true'", arg=element, polling=20)
        times.append(page.evaluate("box => box.times.at(-1)", element))
    return times[3:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=128, help="of the faces, px")
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--only", nargs="*", choices=list(CELLS), default=list(CELLS))
    options = parser.parse_args()
    if browser.chromium() is None:
        sys.exit("This needs Chromium or Chrome; neither was found.")
    names = ["pixel", *(name for name in options.only if name != "pixel")]
    cells = [cell.format(size=options.size) for cell in (SETUP, *(CELLS[name] for name in names))]
    with (
        tempfile.TemporaryDirectory() as folder,
        browser.lab(Path(folder), cells) as address,
        browser.notebook(address, viewport={"width": 1200, "height": 900}) as page,
    ):
        boxes = {name: page.locator(f"[aria-label={name}]") for name in names}
        page.wait_for_selector(f"[aria-label={names[-1]}]", timeout=180_000)
        for box in boxes.values():
            page.evaluate(WATCH, box.element_handle())
        print(f"faces of {options.size} px, {options.repeats} repeats, milliseconds")
        print(f"{'':36} {'median':>7} {'90 %':>7} {'x one pixel':>12}")
        floor = 0.0
        for what, (name, act) in ACTIONS.items():
            if name in boxes:
                boxes[name].scroll_into_view_if_needed()
                times = measure(page, boxes[name], act, options.repeats)
                median, late = statistics.median(times), statistics.quantiles(times, n=10)[-1]
                floor = floor or median
                print(f"{what:36} {median:7.0f} {late:7.0f} {median / floor:12.1f}", flush=True)


if __name__ == "__main__":
    main()
