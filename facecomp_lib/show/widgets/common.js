// What all explorers share. The file of one of them follows in the same module.

// An element with properties, attributes and children: make("button", { title: "..." }, "text").
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element && name !== "list") element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

// A shape of an overlay, and another place or look for it.
const SVG = "http://www.w3.org/2000/svg";
const shape = (tag, attributes) => alter(document.createElementNS(SVG, tag), attributes);
function alter(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

// An outline that is seen on any image: one line on a wider one. Returns what alters both.
function outline(overlay, tag, { below = "black", above = "white", thickness = 2, ...attributes } = {}) {
  const lines = [[below, thickness + 2], [above, thickness]].map(([stroke, width]) =>
    shape(tag, { fill: "none", stroke, "stroke-width": width, ...attributes }));
  overlay.append(...lines);
  return (changes) => lines.forEach((line) => alter(line, changes));
}

// An image under its title; shapes on its overlay have pixel coordinates, whole numbers at pixel centres.
function stage(model, title) {
  const [height, width] = model.get("size");
  const image = make("img", { alt: title, draggable: false });
  const overlay = shape("svg", { viewBox: `-0.5 -0.5 ${width} ${height}`, "aria-hidden": true });
  const shaped = { className: "frame", style: `aspect-ratio: ${width} / ${height}` };
  const frame = make("div", shaped, image, overlay);
  const caption = make("figcaption", {}, title);
  const figure = make("figure", {}, caption, frame);
  figure.style.width = `${model.get("width")}px`;
  return { figure, caption, frame, image, overlay };
}

// Keep an image as the PNG bytes of a trait say; no bytes, no image.
function follow(model, trait, image) {
  let url = null;
  always(model, [trait], () => {
    const bytes = model.get(trait);
    if (url) URL.revokeObjectURL(url);
    url = bytes?.byteLength ? URL.createObjectURL(new Blob([bytes], { type: "image/png" })) : null;
    image.hidden = !url;
    if (url) image.src = url;
  });
}

// Where a pointer is, in pixel coordinates of a frame's image, held inside it.
function place(event, frame, [height, width]) {
  const box = frame.getBoundingClientRect();
  const inside = (value, last) => Math.min(Math.max(value, 0), last);
  return {
    x: inside(((event.clientX - box.left) / box.width) * width - 0.5, width - 1),
    y: inside(((event.clientY - box.top) / box.height) * height - 0.5, height - 1),
  };
}

// Mouse, pen and finger alike: press -> move while held -> lift. `press` may return false: not for us.
function drag(element, { press, move, lift }) {
  let held = null;
  const end = (event) => {
    if (event.pointerId !== held) return;
    held = null;
    lift?.(event);
  };
  element.addEventListener("pointerdown", (event) => {
    if (held !== null || event.button !== 0 || press?.(event) === false) return;
    held = event.pointerId;
    element.setPointerCapture(held);
    element.focus({ preventScroll: true });
    event.preventDefault();
  });
  element.addEventListener("pointermove", (event) => event.pointerId === held && move?.(event));
  element.addEventListener("pointerup", end);
  element.addEventListener("pointercancel", end);
}

// Make an element reachable by Tab; `table` maps a key to what it does (Shift and Ctrl are in the event).
function keys(element, label, table) {
  alter(element, { tabindex: 0, role: "application", "aria-label": label });
  element.addEventListener("keydown", (event) => {
    const action = table[event.key];
    if (!action || event.altKey || event.metaKey) return;
    event.preventDefault();
    action(event);
  });
}

// Arrow keys as a table for keys(): move(dx, dy, event).
const arrows = (move) => ({
  ArrowLeft: (event) => move(-1, 0, event),
  ArrowRight: (event) => move(1, 0, event),
  ArrowUp: (event) => move(0, -1, event),
  ArrowDown: (event) => move(0, 1, event),
});

// One of several, as radio buttons. `put` shows another one as chosen, without calling `choose`.
function choice(legend, options, chosen, choose) {
  const group = `facecomp-${Math.random().toString(36).slice(2)}`;
  const inputs = options.map((_, index) =>
    make("input", { type: "radio", name: group, onchange: () => choose(index) }),
  );
  const labels = options.map((text, index) => make("label", {}, inputs[index], text));
  const put = (index) => inputs[index] && (inputs[index].checked = true);
  put(chosen);
  return { element: make("fieldset", {}, make("legend", {}, legend), ...labels), put };
}

// A slider with its value beside it: `move` while it moves, `rest` when it is let go.
function slider(text, { min, max, step, value, say = String }, { move, rest }) {
  const input = make("input", { type: "range", min, max, step, value });
  const shown = make("output", {}, say(value));
  const put = (next) => {
    input.value = next;
    shown.textContent = say(Number(next));
  };
  input.addEventListener("input", () => {
    shown.textContent = say(Number(input.value));
    move?.(Number(input.value));
  });
  input.addEventListener("change", () => rest?.(Number(input.value)));
  const element = make("label", { className: "slider" }, make("span", {}, text), input, shown);
  return { element, input, put };
}

const button = (text, title, onclick) => make("button", { type: "button", title, onclick }, text);

// Do something now, and again whenever one of these traits has changed.
function always(model, traits, act) {
  for (const trait of traits) model.on(`change:${trait}`, act);
  act();
}

// Send changed traits and ask for what follows from them. While Python is busy, only the last question waits.
function ask(model, changes = {}) {
  for (const [name, value] of Object.entries(changes)) model.set(name, value);
  model.set("asked", model.get("asked") + 1);
  model.save_changes();
}

// Put an explorer on the page: its parts, what Python has to say, and how to use it.
function arrange(model, el, hint, ...parts) {
  const note = make("p", { className: "note", role: "status" });
  const box = make("div", { className: "facecomp-explore", role: "group" }, ...parts, note);
  box.append(make("p", { className: "hint" }, hint));
  // keys work here, not on JupyterLab's cells; it looks for this at whatever has the focus
  for (const part of [box, ...box.querySelectorAll("button, input, select, [tabindex]")])
    part.dataset.lmSuppressShortcuts = "true";
  box.setAttribute("aria-label", model.get("description"));
  let late;
  const wait = () => {
    const busy = model.get("answered") < model.get("asked");
    box.setAttribute("aria-busy", busy);
    box.classList.remove("late");
    clearTimeout(late);
    if (busy) late = setTimeout(() => box.classList.add("late"), 20_000);
  };
  always(model, ["note"], () => (note.textContent = model.get("note")));
  always(model, ["asked", "answered"], wait);
  el.append(box);
  return box;
}
