// Two stacks of layers joined by lines. Drag a line, or press two layers; press a line to remove it.
// Layers are counted from 0, the lowest at the bottom. All text comes in by textContent.
const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 480, TOP = 36, BOTTOM = 32, BARS = 130, BOX = 80, RIGHT = WIDTH - BOX - 8;
const kept = new WeakMap(); // by root: what is armed, and the layer that holds the keyboard's place

function make(name, attributes, parent, words) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (words !== undefined) element.textContent = words;
  if (parent) parent.appendChild(element);
  return element;
}

export default function (component) {
  const { data, parentElement: root, setTriggerValue } = component;
  const holder = root.querySelector(".stacks"), said = root.querySelector(".said");
  const state = kept.get(root) ?? { armed: null, at: { teacher: 0, student: 0 }, focus: null };
  kept.set(root, state);
  const pairs = new Map(data.pairs.map(([teacher, student]) => [student, teacher]));
  const count = { teacher: data.teacher, student: data.student };
  const height = Math.min(640, Math.max(240, 26 * Math.max(count.teacher, count.student)));
  const LEFT = data.scores ? 140 : 48; // room for the bars
  const x = { teacher: LEFT, student: RIGHT };
  const step = (side) => height / count[side];
  const middle = (side, layer) => TOP + height - (layer + 0.5) * step(side);
  const other = (side) => (side === "teacher" ? "student" : "teacher");
  for (const side of ["teacher", "student"]) state.at[side] = Math.min(state.at[side], count[side] - 1);
  if (state.armed && state.armed.layer >= count[state.armed.side]) state.armed = null;

  function change(words) {
    said.textContent = words;
    const list = [...pairs].sort(([a], [b]) => a - b).map(([student, teacher]) => `${teacher}:${student}`);
    setTriggerValue("drawn", list.join(","));
    draw();
  }
  function pair(teacher, student) {
    state.armed = null;
    if (pairs.get(student) === teacher) {
      pairs.delete(student);
      change(`Teacher layer ${teacher} is no longer paired with student layer ${student}.`);
    } else {
      pairs.set(student, teacher);
      change(`Teacher layer ${teacher} is paired with student layer ${student}.`);
    }
  }
  function join(from, to) {
    pair(...(from.side === "teacher" ? [from.layer, to.layer] : [to.layer, from.layer]));
  }
  function press(side, layer) {
    state.at[side] = layer;
    state.focus = { side, layer };
    if (state.armed && state.armed.side !== side) return join(state.armed, { side, layer });
    const same = state.armed && state.armed.layer === layer;
    state.armed = same ? null : { side, layer };
    said.textContent = same ? "Selection cleared." : `${side} layer ${layer} selected: now press a ${other(side)} layer.`;
    draw();
  }
  function clear(side, layer) {
    const gone = [...pairs].filter(([student, teacher]) => (side === "student" ? student : teacher) === layer);
    if (!gone.length) return;
    gone.forEach(([student]) => pairs.delete(student));
    state.focus = { side, layer };
    change(`No line at ${side} layer ${layer} remains.`);
  }

  function curve(teacher, student) {
    const [x0, y0, x1, y1] = [x.teacher + BOX, middle("teacher", teacher), x.student, middle("student", student)];
    const bend = (x1 - x0) / 2;
    return `M${x0} ${y0} C${x0 + bend} ${y0} ${x1 - bend} ${y1} ${x1} ${y1}`;
  }
  function layerAt(event, svg) {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    for (const side of ["teacher", "student"]) {
      const layer = Math.floor((TOP + height - point.y) / step(side));
      if (point.x >= x[side] && point.x <= x[side] + BOX && layer >= 0 && layer < count[side]) return { point, side, layer };
    }
    return { point, side: null };
  }

  function box(svg, side, layer) {
    const partners = [...pairs].filter(([student, teacher]) => (side === "student" ? student : teacher) === layer);
    const armed = state.armed && state.armed.side === side && state.armed.layer === layer;
    const score = side === "teacher" && data.scores ? `, attribution ${data.scores[layer].toPrecision(3)}` : "";
    const joined = partners.length
      ? `, paired with ${other(side)} layer ${partners.map(([s, t]) => (side === "student" ? t : s)).join(" and ")}`
      : ", not paired";
    const group = make("g", {
      class: `layer ${side}${partners.length ? " joined" : ""}${armed ? " armed" : ""}`,
      role: "button",
      tabindex: state.at[side] === layer ? 0 : -1,
      "aria-label": `${side === "teacher" ? "Teacher" : "Student"} layer ${layer}${score}${joined}`,
      "aria-pressed": armed ? "true" : "false",
      "data-layer": `${side}-${layer}`,
    }, svg);
    const gap = step(side) > 8 ? 2 : 0.5;
    make("rect", { x: x[side], y: middle(side, layer) - step(side) / 2 + gap / 2, width: BOX, height: step(side) - gap, rx: 3 }, group);
    const every = Math.ceil(13 / step(side));
    if (layer % every === 0 || layer === count[side] - 1 && every === 1)
      make("text", { x: x[side] + BOX / 2, y: middle(side, layer), "text-anchor": "middle", "dominant-baseline": "central" }, group, String(layer));
    make("title", {}, group, group.getAttribute("aria-label"));
    group.onkeydown = (event) => {
      const move = { ArrowUp: 1, ArrowDown: -1 }[event.key];
      if (event.key === "Enter" || event.key === " ") press(side, layer);
      else if (event.key === "Delete" || event.key === "Backspace") clear(side, layer);
      else if (event.key === "Escape") { state.armed = null; state.focus = { side, layer }; draw(); }
      else if (move && layer + move >= 0 && layer + move < count[side]) {
        state.at[side] = layer + move;
        state.focus = { side, layer: layer + move };
        draw();
      } else return;
      event.preventDefault();
    };
    return group;
  }

  function bars(svg) {
    if (!data.scores) return;
    const most = Math.max(...data.high, 1e-12), long = (value) => (Math.max(0, value) / most) * (BARS - 12);
    const group = make("g", { class: "bars", "aria-hidden": "true" }, svg);
    data.scores.forEach((score, layer) => {
      const y = middle("teacher", layer), thick = Math.min(14, step("teacher") * 0.6), end = LEFT - 10;
      make("rect", { x: end - long(score), y: y - thick / 2, width: long(score), height: thick }, group);
      make("path", { d: `M${end - long(data.low[layer])} ${y}H${end - long(data.high[layer])}` }, group);
    });
    make("path", { class: "zero", d: `M${LEFT - 10} ${TOP}V${TOP + height}` }, group);
    make("text", { x: 2, y: TOP + height + 22 }, svg, `Attribution (nats), to ${most.toPrecision(2)}`);
  }

  function draw() {
    const svg = make("svg", { viewBox: `0 0 ${WIDTH} ${TOP + height + BOTTOM}`, role: "group", "aria-label": data.label });
    for (const side of ["teacher", "student"])
      make("text", { class: "head", x: x[side] + BOX / 2, y: 20, "text-anchor": "middle" }, svg, side === "teacher" ? "Teacher layer" : "Student layer");
    bars(svg);
    for (const [student, teacher] of pairs) {
      const line = make("g", { class: data.by_hand ? "line hand" : "line", "data-line": `${teacher}:${student}` }, svg);
      make("path", { d: curve(teacher, student) }, line);
      const wide = make("path", { class: "wide", d: curve(teacher, student) }, line);
      make("title", {}, wide, `Teacher layer ${teacher} is paired with student layer ${student}. Press to remove the line.`);
      wide.onclick = () => { state.focus = null; pair(teacher, student); };
    }
    for (const side of ["teacher", "student"])
      for (let layer = 0; layer < count[side]; layer++) box(svg, side, layer);
    const rubber = make("path", { class: "rubber" }, svg);

    let from = null, moved = false;
    svg.onpointerdown = (event) => {
      const at = layerAt(event, svg);
      if (!at.side) return;
      from = at;
      moved = false;
      svg.setPointerCapture(event.pointerId);
      event.preventDefault();
    };
    svg.onpointermove = (event) => {
      if (!from) return;
      const { point } = layerAt(event, svg);
      moved ||= Math.hypot(point.x - from.point.x, point.y - from.point.y) > 6;
      const start = from.side === "teacher" ? x.teacher + BOX : x.student;
      if (moved) rubber.setAttribute("d", `M${start} ${middle(from.side, from.layer)}L${point.x} ${point.y}`);
    };
    svg.onpointerup = (event) => {
      if (!from) return;
      const start = from, to = layerAt(event, svg);
      from = null;
      rubber.removeAttribute("d");
      if (to.side && to.side !== start.side) join(start, to);
      else if (to.side === start.side && to.layer === start.layer) press(to.side, to.layer);
    };
    svg.onpointercancel = () => { from = null; rubber.removeAttribute("d"); };

    const place = state.focus ? `${state.focus.side}-${state.focus.layer}` : root.activeElement?.dataset.layer;
    holder.replaceChildren(svg);
    if (place) svg.querySelector(`[data-layer="${place}"]`)?.focus({ preventScroll: true });
    state.focus = null;
  }
  draw();
}
