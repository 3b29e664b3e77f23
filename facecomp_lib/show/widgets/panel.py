"""Widgets: thin shells over the figures.

A widget owns controls and one PNG, and asks a pure function for that PNG whenever a control moves. On a
static page, a static figure is shown instead, drawn by the same functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anywidget
import traitlets

from facecomp_lib.faces.schema import FaceBatch
from facecomp_lib.show.canvas import ImageLike, Sheet, light_output
from facecomp_lib.show.figures import contact_sheet, sweep
from facecomp_lib.show.labels import VIEWS, face_view, labels

_ESM = """
// An image above its controls. It comes from Python as PNG bytes; only control positions travel back.
function render({ model, el }) {
  const box = document.createElement("div");
  box.className = "facecomp-panel";
  const image = document.createElement("img");
  box.append(image);
  let url = null;
  const paint = () => {
    const next = URL.createObjectURL(new Blob([model.get("png")], { type: "image/png" }));
    image.src = next;
    image.alt = model.get("description");
    image.width = model.get("width");
    if (url) URL.revokeObjectURL(url);
    url = next;
  };
  const move = (name, position) => {
    model.set("positions", { ...model.get("positions"), [name]: position });
    model.save_changes();
  };
  for (const { name, stops } of model.get("controls")) {
    const label = document.createElement("label"), input = document.createElement("input");
    const text = document.createElement("span"), value = document.createElement("output");
    text.textContent = name;
    input.dataset.lmSuppressShortcuts = "true";  // arrow keys move the slider, not JupyterLab's cell cursor
    label.append(text, input, value);
    const show = () => {
      const at = model.get("positions")[name];
      if (stops) { input.value = at; value.textContent = stops[at]; } else input.checked = at === 1;
    };
    if (stops) { input.type = "range"; input.min = 0; input.max = stops.length - 1; input.step = 1; }
    else input.type = "checkbox";
    input.addEventListener("input", () => move(name, stops ? Number(input.value) : Number(input.checked)));
    model.on("change:positions", show);
    show();
    box.append(label);
  }
  model.on("change:png", paint);
  paint();
  el.append(box);
  return () => { if (url) URL.revokeObjectURL(url); };
}
export default { render };
"""

_CSS = """
.facecomp-panel { display: inline-flex; flex-direction: column; gap: 4px; padding: 6px; }
.facecomp-panel img { background: white; max-width: 100%; }
.facecomp-panel label { display: grid; grid-template-columns: 6em 1fr 5em; gap: 8px; align-items: center;
  font-family: var(--jp-ui-font-family, sans-serif); font-size: 13px; color: var(--jp-ui-font-color1, #222); }
.facecomp-panel input[type=checkbox] { justify-self: start; }
"""


class Panel(anywidget.AnyWidget):
    """An image with sliders and switches.

    Args:
        draw: positions (name -> index of the stop, or 0/1 of a switch) -> figure.
        controls: name -> the slider's stops as text, or None for a switch.
        start: positions to begin with; 0 where not given.
        static: draws the figure that stands in where no kernel runs; by default the one shown first.
        description: the image's alternative text.
    """

    _esm = _ESM
    _css = _CSS
    png = traitlets.Bytes().tag(sync=True)
    width = traitlets.Int().tag(sync=True)
    controls: traitlets.List = traitlets.List().tag(sync=True)
    positions = traitlets.Dict().tag(sync=True)
    description = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        draw: Callable[[Mapping[str, int]], Sheet],
        controls: Mapping[str, Sequence[str] | None],
        *,
        start: Mapping[str, int] | None = None,
        static: Callable[[], Sheet] | None = None,
        description: str = "",
    ) -> None:
        positions = dict.fromkeys(controls, 0) | dict(start or {})
        self._draw, self._static = draw, static
        self._drawn: dict[tuple[int, ...], bytes] = {}
        super().__init__(
            controls=[{"name": name, "stops": stops and list(stops)} for name, stops in controls.items()],
            positions=positions,
            png=self.image(positions),
            width=draw(positions).css_size[0],
            description=description,
        )

    def image(self, positions: Mapping[str, int]) -> bytes:
        """The PNG at these positions; each is drawn once."""
        key = tuple(positions.values())
        if key not in self._drawn:
            self._drawn[key] = self._draw(positions).png()
        return self._drawn[key]

    @traitlets.observe("positions")
    def _moved(self, change: Any) -> None:
        self.png = self.image(change["new"])

    def __repr__(self) -> str:
        names = ", ".join(control["name"] for control in self.controls)
        return f"{type(self).__name__}({names}): run this cell to move the controls"

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        view = super()._repr_mimebundle_(**kwargs)
        data, metadata = view if isinstance(view, tuple) else (view or {}, {})
        sheet = self._static() if self._static else self._draw(self.positions)
        static, static_metadata = light_output(sheet)
        return data | static | {"text/plain": repr(self)}, metadata | static_metadata


class FrameSlider(Panel):
    """Sliders over one image: `draw(yaw=..., light=...)` is asked for the frame at each position.

    The static figure shows one row of frames per slider, the others held at their start.

    Args:
        draw: keyword values -> image; a renderer, or a look-up in frames made before.
        start: value of each slider to begin with; its middle stop where not given.
        text: format of a slider's values, such as {"yaw": "{:+d}°"}.
        stops: name -> the values of that slider.
    """

    def __init__(
        self,
        draw: Callable[..., ImageLike],
        *,
        start: Mapping[str, Any] | None = None,
        text: Mapping[str, str] | None = None,
        cell: int = 256,
        **stops: Sequence[Any],
    ) -> None:
        names = {
            name: [(text or {}).get(name, "{}").format(value) for value in values]
            for name, values in stops.items()
        }
        begin = {name: len(values) // 2 for name, values in stops.items()}
        begin |= {name: list(stops[name]).index(value) for name, value in (start or {}).items()}

        def frame(positions: Mapping[str, int]) -> ImageLike:
            return draw(**{name: stops[name][at] for name, at in positions.items()})

        def rows() -> dict[str, list[tuple[str, ImageLike]]]:
            return {
                name: [(label, frame({**begin, name: at})) for at, label in enumerate(texts)]
                for name, texts in names.items()
            }

        super().__init__(
            lambda positions: contact_sheet([frame(positions)], cell=cell),
            names,
            start=begin,
            static=lambda: sweep(rows()),
            description=f"An image that changes with {', '.join(names)}",
        )


class FaceExplorer(Panel):
    """Page through a batch and switch on what is known about each face: landmarks, parsing, mirrored side."""

    def __init__(self, faces: FaceBatch, *, cell: int = 320, static_rows: int = 3) -> None:
        known = [name for name, field in VIEWS.items() if getattr(faces, field) is not None]

        def view(positions: Mapping[str, int]) -> Sheet:
            switches = {name: bool(positions[name]) for name in known}
            return face_view(faces, positions["face"], cell=cell, **switches)

        super().__init__(
            view,
            {"face": [str(index) for index in range(len(faces))], **dict.fromkeys(known)},
            static=lambda: labels(faces[:static_rows]),
            description="A face under the chosen overlays",
        )
