// A brush on a face. The stroke is drawn here; when it ends, one bit per pixel goes to Python.
function render({ model, el }) {
  const size = model.get("size"), [height, width] = size, count = height * width;
  const face = stage(model, "paint a hole here"), done = stage(model, "completed");
  follow(model, "face", face.image);
  follow(model, "completed", done.image);

  // The hole: 1 where a pixel is missing, and a canvas that shows it.
  let hole = new Uint8Array(count);
  const canvas = make("canvas", { width, height }), context = canvas.getContext("2d");
  const colours = context.createImageData(width, height);
  const cover = new Uint32Array(colours.data.buffer); // four bytes a pixel: red, green, blue, alpha
  const [paint] = new Uint32Array(new Uint8Array(model.get("paint")).buffer);
  face.image.after(canvas);
  let due = false;
  const repaint = () => {
    if (due) return;
    due = true;
    requestAnimationFrame(() => {
      due = false;
      for (let k = 0; k < count; k++) cover[k] = hole[k] ? paint : 0;
      context.putImageData(colours, 0, 0);
    });
  };
  const pack = () => {
    const bits = new Uint8Array(Math.ceil(count / 8));
    for (let k = 0; k < count; k++) if (hole[k]) bits[k >> 3] |= 128 >> (k & 7);
    return bits;
  };
  const unpack = ({ buffer, byteOffset, byteLength }) => {
    const bits = new Uint8Array(buffer, byteOffset, byteLength);
    return hole.map((_, k) => (bits[k >> 3] >> (7 - (k & 7))) & 1);
  };

  // What was there before each stroke.
  const past = [];
  const undo = button("Undo", "Take back the last stroke (Ctrl+Z)", () => {
    if (!past.length) return;
    hole = past.pop();
    send();
  });
  const clear = button("Clear", "No hole (Delete)", () => change(() => hole.fill(0)));
  const remember = () => past.push(hole.slice()) > 50 && past.shift();
  const change = (edit) => { remember(); edit(); send(); };
  const send = () => {
    undo.disabled = !past.length;
    repaint();
    ask(model, { hole: new DataView(pack().buffer) });
  };
  const receive = () => {
    const next = unpack(model.get("hole"));
    if (next.every((bit, k) => bit === hole[k])) return; // what was sent from here
    remember();
    undo.disabled = false;
    hole = next;
    repaint();
  };

  // The brush: a disc, and a line of discs between two places.
  let erasing = false, at = { x: (width - 1) / 2, y: (height - 1) / 2 };
  const dab = ({ x, y }) => {
    const radius = model.get("brush") / 2;
    for (let j = Math.max(0, Math.ceil(y - radius)); j <= Math.min(height - 1, y + radius); j++)
      for (let i = Math.max(0, Math.ceil(x - radius)); i <= Math.min(width - 1, x + radius); i++)
        if ((i - x) ** 2 + (j - y) ** 2 <= radius ** 2) hole[j * width + i] = erasing ? 0 : 1;
  };
  const stroke = (from, to) => {
    const steps = Math.max(1, Math.ceil(Math.hypot(to.x - from.x, to.y - from.y)));
    for (let k = 0; k <= steps; k++)
      dab({ x: from.x + ((to.x - from.x) * k) / steps, y: from.y + ((to.y - from.y) * k) / steps });
    repaint();
  };
  const ring = outline(face.overlay, "circle", { thickness: 1.5, class: "aim" });
  const aim = (next = at) => {
    at = next;
    ring({ cx: at.x, cy: at.y, r: model.get("brush") / 2 });
  };
  drag(face.frame, {
    press: (event) => { remember(); aim(place(event, face.frame, size)); stroke(at, at); },
    move: (event) => {
      for (const point of event.getCoalescedEvents?.() ?? [event]) {
        const next = place(point, face.frame, size);
        stroke(at, next);
        aim(next);
      }
    },
    lift: send,
  });
  face.frame.addEventListener("pointermove", (event) => aim(place(event, face.frame, size)));

  // Controls, and the same by keys: with Enter held down, arrows draw.
  const tools = ["Brush", "Eraser"].map((text, k) =>
    button(text, "Change between them with E", () => use(k === 1)));
  const use = (eraser) => {
    erasing = eraser;
    tools.forEach((tool, k) => tool.setAttribute("aria-pressed", eraser === (k === 1)));
  };
  const largest = Math.round(width / 2), say = (px) => `${px} px`;
  const resize = (diameter) => {
    model.set("brush", Math.min(Math.max(diameter, 1), largest));
    model.save_changes();
  };
  const sizes = { min: 1, max: largest, step: 1, value: model.get("brush"), say };
  const bar = slider("size", sizes, { move: resize });
  let holding = false;
  keys(face.frame, `${model.get("description")}. Arrow keys move the brush, Enter paints.`, {
    ...arrows((dx, dy, event) => {
      const step = event.shiftKey ? 8 : 2, old = at;
      const inside = (value, last) => Math.min(Math.max(value, 0), last);
      aim({ x: inside(at.x + dx * step, width - 1), y: inside(at.y + dy * step, height - 1) });
      if (holding) stroke(old, at);
    }),
    Enter: (event) => {
      if (event.repeat) return;
      holding = true;
      remember();
      stroke(at, at);
    },
    "+": () => resize(model.get("brush") + 2),
    "-": () => resize(model.get("brush") - 2),
    e: () => use(!erasing),
    z: (event) => event.ctrlKey && undo.click(),
    Delete: () => clear.click(),
  });
  const release = () => { if (holding) { holding = false; send(); } };
  face.frame.addEventListener("keyup", (event) => event.key === "Enter" && release());
  face.frame.addEventListener("blur", release);

  face.image.alt = "The face, with colour over the hole";
  hole = unpack(model.get("hole"));
  undo.disabled = true;
  repaint();
  use(false);
  model.on("change:hole", receive);
  always(model, ["brush"], () => { bar.put(model.get("brush")); aim(); });
  always(model, ["note"], () => (done.image.alt = `The completed face. ${model.get("note")}`));
  const buttons = (...some) => make("div", { className: "buttons" }, ...some);
  arrange(
    model, el,
    "Keys: arrows move the brush, hold Enter to paint with it, + − size, E eraser, Ctrl+Z undo, Delete clear.",
    make("div", { className: "row" }, buttons(...tools), bar.element, buttons(undo, clear)),
    make("div", { className: "images" }, face.figure, done.figure),
  );
}
export default { render };
