// A face whose pixels can be clicked, and beside it where the flow takes them, in one of several views.
function render({ model, el }) {
  const size = model.get("size"), [height, width] = size;
  const asks = stage(model, "click a pixel of the face"), leads = stage(model, "");
  follow(model, "face", asks.image);
  follow(model, "shown", leads.image);
  const MIRROR = 0, COLOURS = 1; // views

  // A dot on both images, and the way from the pixel's own place to its partner.
  const orange = "#d55e00", r = width / 55, dot = { r, fill: orange, stroke: "white", "stroke-width": 1.5 };
  const marks = [asks, leads].map(({ overlay }) => overlay.appendChild(shape("g", { class: "landmarks" })));
  const thick = { below: "white", above: orange, thickness: 3, "stroke-linecap": "round" };
  const way = outline(leads.overlay, "line", thick);
  const here = asks.overlay.appendChild(shape("circle", dot));
  const there = leads.overlay.appendChild(shape("circle", dot));

  // What the colours mean.
  const wheel = make("img", { className: "wheel", alt: "" }), rim = make("span");
  follow(model, "wheel", wheel);
  const legend = make("div", { className: "legend" }, wheel, rim);
  rim.textContent =
    `The colour tells where the partner lies. White: at the same place; rim: ${model.get("rim")} px away ` +
    "or more; grey: hidden.";

  const point = ([x, y]) => {
    const pixel = [Math.min(Math.max(x, 0), width - 1), Math.min(Math.max(y, 0), height - 1)];
    if (String(pixel) !== String(model.get("pixel"))) ask(model, { pixel });
  };
  const follows = (event) => {
    const { x, y } = place(event, asks.frame, size);
    point([Math.round(x), Math.round(y)]);
  };
  drag(asks.frame, { press: follows, move: follows });
  const look = (view) => ask(model, { view: (view + views.length) % views.length });
  keys(asks.frame, `${model.get("description")}. Arrow keys choose the pixel.`, {
    ...arrows((dx, dy, { shiftKey }) => {
      const [x, y] = model.get("pixel"), step = shiftKey ? 8 : 1;
      point([x + dx * step, y + dy * step]);
    }),
    "+": () => look(model.get("view") + 1),
    "-": () => look(model.get("view") - 1),
    Enter: () => ask(model, { view: MIRROR, share: model.get("share") < 0.5 ? 1 : 0 }),
  });

  const views = model.get("views"), view = choice("show", views, model.get("view"), look);
  const percent = (share) => `${Math.round(100 * share)} %`;
  const whole = { min: 0, max: 1, step: 0.02, value: model.get("share"), say: percent };
  const share = slider("carried along", whole, {
    move: (value) => ask(model, { view: MIRROR, share: value }),
  });
  leads.figure.append(make("div", { className: "foot" }, legend, share.element));
  const count = model.get("faces");
  const face = slider("face", { min: 1, max: count, step: 1, value: model.get("chosen") + 1 }, {
    move: (value) => ask(model, { chosen: value - 1 }),
  });
  const dots = make("input", { type: "checkbox", onchange: () => show() });

  const show = () => {
    const [x, y] = model.get("pixel"), seen = model.get("seen"), now = model.get("view");
    const mirror = now === MIRROR, flipped = mirror && model.get("share") === 0;
    // colours belong to the face's own pixels; otherwise the way leads to the partner, if it can be seen
    const [toX, toY] = !seen || now === COLOURS ? [x, y] : mirror ? model.get("there") : model.get("target");
    alter(here, { cx: x, cy: y, "fill-opacity": Number(seen) });
    alter(there, { cx: toX, cy: toY, visibility: seen ? "visible" : "hidden" });
    way({ x1: x, y1: y, x2: toX, y2: toY, visibility: toX === x && toY === y ? "hidden" : "visible" });
    const mirrored = `its mirror image${flipped ? "" : ", carried along"}`;
    leads.caption.textContent = [mirrored, "where the partners lie", "from some pixels to their partners"][now];
    leads.image.alt = `${leads.caption.textContent}. ${model.get("note")}`;
    legend.hidden = mirror;
    share.element.hidden = !mirror;
    const points = dots.checked ? model.get("points") : [];
    const flippedPoints = flipped ? points.map(([px, py]) => [width - 1 - px, py]) : [];
    for (const [group, places] of [[marks[0], points], [marks[1], flippedPoints]])
      group.replaceChildren(...places.map(([cx, cy]) => shape("circle", { cx, cy, r: r / 2 })));
    view.put(now);
    share.put(model.get("share"));
    face.put(model.get("chosen") + 1);
  };
  asks.image.alt = "The face";
  const state = ["there", "target", "seen", "shown", "points", "view", "share", "chosen", "pixel", "note"];
  always(model, state, show);
  const landmarks = model.get("points").length ? [make("label", {}, dots, "landmarks")] : [];
  arrange(
    model, el,
    "Click or drag on the left face. Keys: arrows move the pixel (Shift: by 8), + − another view, " +
      "Enter flipped or carried.",
    make("div", { className: "row" }, ...(count > 1 ? [face.element] : []), view.element, ...landmarks),
    make("div", { className: "images" }, asks.figure, leads.figure),
  );
}
export default { render };
