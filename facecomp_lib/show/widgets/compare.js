// Two images on top of each other; a line that a hand moves says how much of each is seen.
function render({ model, el }) {
  const [first, ...names] = model.get("names");
  const { figure, caption, frame, image, overlay } = stage(model, "");
  const after = make("img", { draggable: false });
  image.after(after);
  follow(model, "before", image);
  follow(model, "after", after);
  const [height, width] = model.get("size");
  const line = outline(overlay, "line", { y1: -0.5, y2: height - 0.5 });
  const round = { cy: (height - 1) / 2, r: width / 36, fill: "white", stroke: "black" };
  const knob = overlay.appendChild(shape("circle", round));
  const left = make("span"), right = make("span");
  caption.classList.add("ends");
  caption.append(left, right);

  const show = () => {
    const at = model.get("position"), x = at * width - 0.5, name = names[model.get("chosen")];
    after.style.clipPath = `inset(0 0 0 ${100 * at}%)`;
    line({ x1: x, x2: x });
    alter(knob, { cx: x });
    left.textContent = `◀ ${first}`;
    right.textContent = `${name} ▶`;
    methods.put(model.get("chosen"));
    image.alt = first;
    after.alt = name;
    alter(frame, {
      "aria-valuenow": Math.round(100 * at),
      "aria-valuetext": `${Math.round(100 * at)} % ${first}, the rest ${name}`,
    });
  };
  const move = (position) => {
    model.set("position", Math.min(Math.max(position, 0), 1));
    model.save_changes();
  };
  const choose = (index) => ask(model, { chosen: (index + names.length) % names.length });
  const follows = (event) => {
    const box = frame.getBoundingClientRect();
    move((event.clientX - box.left) / box.width);
  };
  drag(frame, { press: follows, move: follows });
  keys(frame, `How much of ${first} is seen`, {
    ...arrows((dx, dy, event) => move(model.get("position") + (dx - dy) * (event.shiftKey ? 0.1 : 0.02))),
    Home: () => move(0),
    End: () => move(1),
    Enter: () => move(model.get("position") < 0.5 ? 1 : 0),
    "+": () => choose(model.get("chosen") + 1),
    "-": () => choose(model.get("chosen") - 1),
  });
  alter(frame, { role: "slider", "aria-valuemin": 0, "aria-valuemax": 100 });

  const methods = choice("compare with", names, model.get("chosen"), choose);
  always(model, ["position", "chosen"], show);
  const several = names.length > 1;
  const another = several ? ", + − choose another result" : "";
  const hint = `Drag the line. Keys: ← → move it, Enter changes sides${another}.`;
  const row = several ? [make("div", { className: "row" }, methods.element)] : [];
  arrange(model, el, hint, ...row, figure);
}
export default { render };
