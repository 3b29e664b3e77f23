// Landmarks to drag. They follow the hand here; what it did goes to Python as an order when it lets go.
function render({ model, el }) {
  const size = model.get("size"), [height, width] = size, COUNT = 68;
  const edit = stage(model, "drag the points"), done = stage(model, "what is drawn for them");
  follow(model, "face", edit.image);
  follow(model, "drawn", done.image);
  const read = (trait) => {
    const { buffer, byteOffset, byteLength } = model.get(trait);
    const numbers = new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength));
    return Array.from({ length: COUNT }, (_, k) => [numbers[2 * k], numbers[2 * k + 1]]);
  };

  // Orders that are on their way; they show here at once.
  let waiting = [];
  const open = () => (waiting = waiting.filter(({ number }) => number > model.get("answered")));
  const order = (what) => {
    const rest = open().filter((other) => other.do !== "edit" || what.do !== "edit"); // the last one counts
    waiting = [...rest, { number: model.get("asked") + 1, ...what }];
    ask(model, { orders: waiting });
  };
  let held = null; // what the hand moves now: { points, by }
  const places = () => {
    const now = read("points");
    for (const { points, by } of [...open(), held].filter((moving) => moving?.points))
      for (const k of points) now[k] = [now[k][0] + by[0], now[k][1] + by[1]];
    return now;
  };

  // Lines through the parts, thin where they were at first; a dot for each point; a ring for the chosen one.
  const colour = (k) => model.get("groups").find(([, first, end]) => k >= first && k < end)[3];
  const add = (tag, attributes) => edit.overlay.appendChild(shape(tag, attributes));
  const thin = { fill: "none", stroke: "#fff9", "stroke-width": 1, "stroke-dasharray": "2 2" };
  const before = model.get("lines").map(() => add("polyline", thin));
  const after = model.get("lines").map(([first]) =>
    add("polyline", { fill: "none", stroke: colour(first), "stroke-width": 1.5 }));
  const dots = Array.from({ length: COUNT }, (_, k) =>
    add("circle", { r: width / 110, fill: colour(k), "stroke-width": 0.8 }));
  const ring = outline(edit.overlay, "circle", { r: width / 55, class: "aim" });
  const lay = (lines, now) => model.get("lines").forEach(([first, end, closed], k) => {
    const points = now.slice(first, end);
    alter(lines[k], { points: [...points, ...(closed ? [points[0]] : [])].join(" ") });
  });
  let chosen = 30, whole = false;
  const part = (k) => model.get("parts").findIndex(([first, end]) => k >= first && k < end);
  const grip = () => {
    const [first, end] = whole ? model.get("parts")[part(chosen)] : [chosen, chosen + 1];
    return Array.from({ length: end - first }, (_, k) => first + k);
  };
  const paint = () => {
    const now = places(), gripped = new Set(grip());
    lay(after, now);
    ring({ cx: now[chosen][0], cy: now[chosen][1] });
    dots.forEach((dot, k) => {
      alter(dot, { cx: now[k][0], cy: now[k][1], stroke: whole && gripped.has(k) ? "white" : "#000b" });
    });
  };

  // By hand: the nearest point is gripped.
  const let_go = () => {
    const { points, by } = held ?? {};
    held = null;
    if (points && (by[0] || by[1])) order({ do: "drag", points, by });
    paint();
  };
  let from = null;
  drag(edit.frame, {
    press: (event) => {
      from = place(event, edit.frame, size);
      const far = ([x, y]) => Math.hypot(x - from.x, y - from.y), now = places();
      const nearest = now.reduce((best, at, k) => (far(at) < far(now[best]) ? k : best), 0);
      if (far(now[nearest]) > width / 10) return false;
      chosen = nearest;
      held = { points: grip(), by: [0, 0] };
      paint();
    },
    move: (event) => {
      const { x, y } = place(event, edit.frame, size);
      if (held) held.by = [x - from.x, y - from.y];
      paint();
    },
    lift: let_go,
  });

  // By keys: arrows move until they are let go.
  const step = (dx, dy, { shiftKey }) => {
    const far = shiftKey ? 5 : 1;
    held ??= { points: grip(), by: [0, 0] };
    held.by = [held.by[0] + dx * far, held.by[1] + dy * far];
    paint();
  };
  const next = (way) => {
    let_go();
    const parts = model.get("parts"), other = (part(chosen) + way + parts.length) % parts.length;
    chosen = whole ? parts[other][0] : (chosen + way + COUNT) % COUNT;
    paint();
  };
  const grab = choice("move", ["single points", "whole parts"], 0, (k) => { whole = k === 1; paint(); });
  const undo = button("Undo", "Take back the last change (Ctrl+Z)", () => order({ do: "undo" }));
  const reset = button("Reset", "The landmarks as they were at first (Delete)", () => order({ do: "reset" }));
  keys(edit.frame, `${model.get("description")}. Plus and minus choose a point, arrow keys move it.`, {
    ...arrows(step),
    "+": () => next(1),
    "-": () => next(-1),
    Enter: let_go,
    p: () => { whole = !whole; grab.put(Number(whole)); paint(); },
    z: (event) => event.ctrlKey && !undo.disabled && undo.click(),
    Delete: () => reset.click(),
  });
  edit.frame.addEventListener("keyup", (event) => event.key.startsWith("Arrow") && let_go());
  edit.frame.addEventListener("blur", let_go);

  // By sliders: the points follow at once, the face when they rest.
  const amounts = () => bars.map(({ input }) => Number(input.value));
  const say = (value) => (value > 0 ? "+" : "") + value.toFixed(2);
  const bars = model.get("sliders").map((name, k) =>
    slider(name, { min: -1, max: 1, step: 0.05, value: model.get("expression")[k], say }, {
      move: () => order({ do: "edit", expression: amounts() }),
      rest: () => order({ do: "edit", expression: amounts(), rest: true }),
    }));
  const others = model.get("others"), select = make("select", { "aria-label": "copy an expression" });
  for (const name of ["copy the expression of …", ...others]) select.append(make("option", {}, name));
  select.addEventListener("change", () => {
    if (select.selectedIndex) order({ do: "copy", name: others[select.selectedIndex - 1] });
    select.selectedIndex = 0;
  });

  const settle = () => {
    const moving = open().some((other) => other.do === "edit");
    if (!moving) bars.forEach((bar, k) => bar.put(model.get("expression")[k]));
    undo.disabled = !model.get("undoable");
    paint();
  };
  edit.image.alt = "The face below its landmarks";
  lay(before, read("start"));
  always(model, ["points", "expression", "undoable", "answered"], settle);
  always(model, ["note"], () => (done.image.alt = `What is drawn for the landmarks. ${model.get("note")}`));
  edit.figure.append(make("div", { className: "bars" }, ...bars.map(({ element }) => element)));
  const copy = others.length ? [select] : [], buttons = make("div", { className: "buttons" }, undo, reset);
  arrange(
    model, el,
    "Keys: + − choose a point, arrows move it (Shift: by 5), P single points or whole parts, Ctrl+Z undo, " +
      "Delete reset.",
    make("div", { className: "row" }, grab.element, buttons, ...copy),
    make("div", { className: "images" }, edit.figure, done.figure),
  );
}
export default { render };
