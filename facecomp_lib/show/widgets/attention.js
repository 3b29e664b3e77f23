// A face to point at, and where that position looks. Python sends one row of the map, and its image.
function render({ model, el }) {
  const size = model.get("size"), [height, width] = size;
  const asking = "point at a position: the query", looking = "where it looks";
  const asks = stage(model, asking), looks = stage(model, looking);
  follow(model, "face", asks.image);
  follow(model, "heat", looks.image);
  const cells = () => model.get("layer"); // of the row that is shown
  const border = { d: model.get("border"), fill: "none", stroke: "white", "stroke-width": 1.5 };
  looks.overlay.append(shape("path", border));
  const cellAt = ({ x, y }) => {
    const [rows, columns] = cells();
    return [Math.floor(((y + 0.5) * rows) / height), Math.floor(((x + 0.5) * columns) / width)];
  };

  // Frames around a cell: the query's on both images, and that of the weight under the pointer.
  const cellFrame = (overlay, colour) => {
    const rect = outline(overlay, "rect", { above: colour });
    return (cell) => {
      const [rows, columns] = cells(), tall = height / rows, wide = width / columns;
      const [row, column] = cell ?? [0, 0], visibility = cell ? "visible" : "hidden";
      rect({ x: column * wide - 0.5, y: row * tall - 0.5, width: wide, height: tall, visibility });
    };
  };
  const frames = [asks, looks].map(({ overlay }) => cellFrame(overlay, "#35e0ff"));
  const under = cellFrame(looks.overlay, "white");

  // Pointing asks at once; a click holds the query until the next click.
  let held = false;
  const point = (spot) => {
    const [x, y] = model.get("spot");
    if (String(cellAt(spot)) !== String(cellAt({ x, y }))) ask(model, { spot: [spot.x, spot.y] });
  };
  const hold = (value) => {
    held = value;
    asks.caption.textContent = held ? "the query is held; click to let it go" : asking;
  };
  asks.frame.addEventListener("pointermove", (event) => {
    if (!held || event.buttons) point(place(event, asks.frame, size));
  });
  drag(asks.frame, {
    press: (event) => {
      const spot = place(event, asks.frame, size), same = String(cellAt(spot)) === String(model.get("query"));
      hold(!(held && same));
      point(spot);
    },
  });
  const step = (dx, dy) => {
    const [rows, columns] = cells(), [row, column] = model.get("query");
    const next = (value, by, count) => Math.min(Math.max(value + by, 0), count - 1);
    hold(true);
    point({
      x: ((next(column, dx, columns) + 0.5) * width) / columns - 0.5,
      y: ((next(row, dy, rows) + 0.5) * height) / rows - 0.5,
    });
  };

  // The weight under the pointer, in the very numbers that Python sent.
  const weights = () => {
    const { buffer, byteOffset, byteLength } = model.get("row");
    return new Float64Array(buffer.slice(byteOffset, byteOffset + byteLength));
  };
  let hovered = null; // a place, which lies in another cell when the map changes
  const read = (event) => {
    if (event) hovered = place(event, looks.frame, size);
    const cell = hovered && cellAt(hovered);
    under(cell);
    looks.caption.textContent = looking;
    if (!cell) return;
    const weight = weights()[cell[0] * cells()[1] + cell[1]];
    looks.caption.textContent = `row ${cell[0]}, column ${cell[1]}: weight ${weight.toPrecision(4)}`;
    looks.caption.dataset.weight = weight;
  };
  looks.frame.addEventListener("pointermove", read);
  looks.frame.addEventListener("pointerdown", read);
  looks.frame.addEventListener("pointerleave", () => { hovered = null; read(); });

  // The scale of the colours.
  const ramp = make("img", { className: "ramp", alt: "" }), low = make("span"), high = make("span");
  follow(model, "ramp", ramp);
  const legend = make("div", { className: "legend" }, low, ramp, high);
  looks.figure.append(legend);

  const choose = (index) => ask(model, { chosen: (index + names.length) % names.length });
  const names = model.get("names"), maps = choice("map", names, model.get("chosen"), choose);
  const log = make("input", { type: "checkbox", onchange: () => ask(model, { logarithmic: log.checked }) });
  keys(asks.frame, `${model.get("description")}. Arrow keys move the query.`, {
    ...arrows(step),
    Enter: () => hold(!held),
    "+": () => choose(model.get("chosen") + 1),
    "-": () => choose(model.get("chosen") - 1),
    l: () => log.click(),
  });

  const say = (weight) => (weight && weight < 1e-3 ? weight.toExponential(1) : weight.toPrecision(2));
  const show = () => {
    for (const frame of frames) frame(model.get("query"));
    const top = Math.max(...weights());
    log.checked = model.get("logarithmic");
    low.textContent = log.checked ? say(top / 1000) : "0";
    high.textContent = say(top);
    maps.put(model.get("chosen"));
    looks.image.alt = `${names[model.get("chosen")]}. ${model.get("note")}`;
    read();
  };
  asks.image.alt = "The face; colour covers the hole";
  always(model, ["layer", "query", "row", "chosen", "logarithmic", "note"], show);
  const several = names.length > 1;
  const row = [...(several ? [maps.element] : []), make("label", {}, log, "logarithmic colours")];
  arrange(
    model, el,
    "Point at the left face, click to hold the query. Keys: arrows move it, Enter holds it, " +
      `L logarithmic colours${several ? ", + − another map" : ""}.`,
    make("div", { className: "row" }, ...row),
    make("div", { className: "images" }, asks.figure, looks.figure),
  );
}
export default { render };
