// A face whose pixels can be clicked, and beside it where the flow takes them, in one of several views.
function render({ model, el }) {
  const size = model.get("size"), [height, width] = size;
  const asks = stage(model, "click a pixel of the face"), leads = stage(model, "");
  follow(model, "face", asks.image);
  follow(model, "shown", leads.image);
  const MIRROR = 0, COLOURS = 1; // views

  // A dot on both pictures, and the way from the pixel's own place to its partner.
  const r = width / 55, dot = { r, fill: "#d55e00", stroke: "white", "stroke-width": 1.5 };
  const here = shape("circle", dot), there = shape("circle", dot);
  const ways = [["white", 5], ["#d55e00", 3]].map(([stroke, thickness]) =>
    shape("line", { stroke, "stroke-width": thickness, "stroke-linecap": "round" }));
  const marks = [asks, leads].map(({ overlay }) => overlay.appendChild(shape("g", { class: "landmarks" })));
  asks.overlay.append(here);
  leads.overlay.append(...ways, there);

  // What the colours mean.
  const wheel = make("img", { className: "wheel", alt: "" }), rim = make("span");
  follow(model, "wheel", wheel);
  const legend = make("div", { className: "legend" }, wheel, rim);
  rim.textContent = `The colour tells where the partner lies. White: at the same place; rim: ${model.get("rim")} px away or more; grey: hidden.`;

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
  const share = slider("carried along", { min: 0, max: 1, step: 0.02, value: model.get("share"), say: percent }, {
    move: (value) => ask(model, { view: MIRROR, share: value }),
  });
  leads.figure.append(make("div", { className: "foot" }, legend, share.element));
  const count = model.get("faces");
  const face = slider("face", { min: 1, max: count, step: 1, value: model.get("chosen") + 1 }, {
    move: (value) => ask(model, { chosen: value - 1 }),
  });
  const dots = make("input", { type: "checkbox", onchange: () => show() });

  const show = () => {
    const [x, y] = model.get("pixel"), now = model.get("view"), place = model.get("there"), seen = model.get("seen");
    alter(here, { cx: x, cy: y, "fill-opacity": seen ? 1 : 0 });
    const [toX, toY] = now === MIRROR ? place : seen ? model.get("target") : [];
    const way = toX !== undefined && now !== COLOURS;
    for (const line of ways) alter(line, { x1: x, y1: y, x2: toX ?? x, y2: toY ?? y, visibility: way ? "visible" : "hidden" });
    alter(there, { cx: now === COLOURS ? x : toX ?? x, cy: now === COLOURS ? y : toY ?? y, visibility: seen ? "visible" : "hidden" });
    const flipped = now === MIRROR && model.get("share") === 0;
    const titles = [`its mirror image${flipped ? "" : ", carried along"}`, "where the partners lie", "from some pixels to their partners"];
    leads.caption.textContent = titles[now];
    legend.hidden = now === MIRROR;
    share.element.hidden = now !== MIRROR;
    const places = dots.checked ? model.get("points") : [];
    const spots = [places, flipped ? places.map(([px, py]) => [width - 1 - px, py]) : []];
    marks.forEach((group, k) => group.replaceChildren(...spots[k].map(([cx, cy]) => shape("circle", { cx, cy, r: r / 2 }))));
    view.put(now);
    share.put(model.get("share"));
    face.put(model.get("chosen") + 1);
    leads.image.alt = `${leads.caption.textContent}. ${model.get("note")}`;
  };
  asks.image.alt = "The face";
  for (const trait of ["there", "target", "seen", "shown", "points", "view", "share", "chosen", "pixel"]) model.on(`change:${trait}`, show);
  show();
  const landmarks = model.get("points").length ? [make("label", {}, dots, "landmarks")] : [];
  arrange(
    model, el,
    "Click or drag on the left face. Keys: arrows move the pixel (Shift: by 8), + − another view, Enter flipped or carried.",
    make("div", { className: "row" }, ...(count > 1 ? [face.element] : []), view.element, ...landmarks),
    make("div", { className: "pictures" }, asks.figure, leads.figure),
  );
}
export default { render };
