// Pictures of the rows that are shown. Scatter plots are drawn on a canvas, so that ten thousand
// points are one element; the front is listed as buttons for those who cannot see it.

const AXES = { params: ["parameters", (s, i) => s.facts.params(i), true], images_s: ["images a second", (s, i) => s.facts.images_s(i), true],
  texts_s: ["texts a second", (s, i) => s.facts.texts_s(i), true] };
const axis = (s, key) => {
  if (AXES[key]) return { name: AXES[key][0], of: (i) => AXES[key][1](s, i) ?? NaN, log: AXES[key][2], up: key !== "params" };
  const column = s.columns[Number(key)];
  return { name: column.name, of: (i) => column.value[i], log: false, up: column.up !== false, column };
};
const named = (s, metric) => {
  const c = s.columns.findIndex((column) => column.metric === metric);
  return c < 0 ? null : String(c);
};
const fillAxes = (s) => {
  const columns = s.columns.map((column, c) => [String(c), column.name]);
  const measures = Object.entries(AXES).map(([key, [name]]) => [key, name]);
  const main = s.sort === null ? "0" : String(s.sort);
  const usual = { "cost-x": state.x in AXES ? state.x : "params", "cost-y": main, "trade-x": named(s, "tau_d") ?? main, "trade-y": named(s, "recall") ?? columns.at(-1)?.[0] };
  for (const [id, value] of Object.entries(usual)) {
    byId(id).replaceChildren(...(id === "cost-x" ? measures : columns).map(([key, name]) => el("option", { value: key, selected: key === value }, name)));
  }
};
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// Rows that no other beats in both: x is better upwards for speed, downwards for size.
const frontOf = (points, x, y) => {
  const [sx, sy] = [x.up ? -1 : 1, y.up ? -1 : 1], found = [];
  let best = Infinity;
  for (const p of [...points].sort((a, b) => sx * (a.x - b.x) || sy * (a.y - b.y))) {
    if (sy * p.y < best) { best = sy * p.y; found.push(p); }
  }
  return found;
};
const ends = (values, log) => {
  const low = values.reduce((a, b) => Math.min(a, b), Infinity), high = values.reduce((a, b) => Math.max(a, b), -Infinity);
  const pad = log ? 0.08 * (Math.log10(high) - Math.log10(low)) || 0.3 : 0.06 * (high - low) || 0.5;
  return log ? [low / 10 ** pad, high * 10 ** pad] : [low - pad, high + pad];
};
const placed = (range, log, from, to) => (v) => {
  const f = log ? Math.log10 : (u) => u;
  return from + (to - from) * (f(v) - f(range[0])) / (f(range[1]) - f(range[0]));
};
const scatter = (s, canvas, list, x, y, front) => {
  const points = view.map((i) => ({ i, x: x.of(i), y: y.of(i), finding: y.column?.state[i] === "f" }))
    .filter((p) => Number.isFinite(p.x) && Number.isFinite(p.y) && (!x.log || p.x > 0));
  canvas.classList.toggle("bare", !points.length);
  const ratio = devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
  canvas.width = width * ratio; canvas.height = height * ratio;
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  pen.font = "11px system-ui, sans-serif";
  pen.fillStyle = colour("--soft");
  if (!points.length) { pen.fillText("No row shown has both.", 12, 24); list.replaceChildren(); canvas.setAttribute("aria-label", `${y.name} against ${x.name}: no row has both`); return; }
  const xs = ends(points.map((p) => p.x), x.log), ys = ends(points.map((p) => p.y), false);
  const px = placed(xs, x.log, 48, width - 12), py = placed(ys, false, height - 34, 24);
  frame(pen, width, height, xs, ys, x, y);
  const findings = points.filter((p) => p.finding);
  const best = front ? frontOf(findings.length ? findings : points, x, y) : [];
  if (best.length > 1) frontLine(pen, best, px, py);
  dots(pen, points, px, py);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `${y.name} against ${x.name}, ${count(points.length, "row")}` + (best.length ? `; best for their cost: ${best.slice(0, 12).map((p) => s.name(p.i)).join(", ")}` : ""));
  canvas.onclick = (event) => pick(event, canvas, points, px, py);
  canvas.onmousemove = (event) => hover(event, canvas, points, px, py, s, x, y);
  list.replaceChildren(...best.slice(0, 12).map((p) => el("li", {}, el("button", { type: "button", class: "link", onclick: () => show(p.i) }, s.name(p.i)))));
};
const frame = (pen, width, height, xs, ys, x, y) => {
  pen.strokeStyle = colour("--line");
  pen.strokeRect(48.5, 24.5, width - 60, height - 58);
  const write = (v) => (x.log ? sizes(Number(v.toPrecision(2))) : shown(v));
  pen.fillText(write(xs[0]), 48, height - 20);
  pen.textAlign = "right";
  pen.fillText(write(xs[1]), width - 12, height - 20);
  pen.fillText(shown(ys[1]), 44, 32);
  pen.fillText(shown(ys[0]), 44, height - 36);
  pen.textAlign = "center";
  pen.fillText(`${x.name}${x.log ? " (log)" : ""} →`, width / 2, height - 5);
  pen.textAlign = "left";
  pen.fillText(`↑ ${y.name}`, 48, 15);
};
const frontLine = (pen, best, px, py) => {
  pen.strokeStyle = colour("--accent");
  pen.setLineDash([5, 4]);
  pen.beginPath();
  best.forEach((p, k) => (k ? pen.lineTo(px(p.x), py(p.y)) : pen.moveTo(px(p.x), py(p.y))));
  pen.stroke();
  pen.setLineDash([]);
};
// Findings are filled, the others hollow.
const dots = (pen, points, px, py) => {
  const accent = colour("--accent"), soft = colour("--control"), r = points.length > 1000 ? 2 : 4;
  for (const p of points) {
    pen.beginPath();
    pen.arc(px(p.x), py(p.y), r, 0, 7);
    if (p.finding) { pen.fillStyle = accent; pen.fill(); } else { pen.strokeStyle = soft; pen.stroke(); }
  }
};
const nearest = (event, canvas, points, px, py) => {
  const box = canvas.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
  let found = null, least = 144;
  for (const p of points) {
    const away = (px(p.x) - x) ** 2 + (py(p.y) - y) ** 2;
    if (away < least) { least = away; found = p; }
  }
  return found;
};
const pick = (event, ...where) => { const p = nearest(event, ...where); if (p) show(p.i); };
const hover = (event, canvas, points, px, py, s, x, y) => {
  const p = nearest(event, canvas, points, px, py);
  canvas.title = p ? `${s.name(p.i)}: ${y.name} ${shown(p.y)}, ${x.name} ${x.log ? sizes(p.x) : shown(p.x)}` : "";
};

const SVG = "http://www.w3.org/2000/svg";
const drawing = (tag, attributes, ...children) => {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
};
const tiersOf = (s, i) => {
  const flat = s.facts.curve(i), tiers = [];
  for (let k = 0; k < flat.length; k += 3) tiers.push({ mean: flat[k], low: flat[k + 1], high: flat[k + 2] });
  return tiers;
};
// Radius by tier: the mean as a line, the middle half as a band; each row has its own scale.
const radii = (s, i) => {
  const tiers = tiersOf(s, i), [low, high] = [Math.min(...tiers.map((t) => Math.min(t.mean, t.low))), Math.max(...tiers.map((t) => Math.max(t.mean, t.high)))];
  const x = (k) => 34 + k * 132 / Math.max(1, tiers.length - 1), y = (v) => 96 - 88 * (v - low) / (high - low || 1);
  const points = (list) => list.map(([a, b]) => `${a.toFixed(1)},${b.toFixed(1)}`).join(" ");
  const upper = tiers.map((t, k) => [x(k), y(t.high)]), lower = tiers.map((t, k) => [x(k), y(t.low)]).reverse();
  const label = (at, words, anchor) => drawing("text", { class: "tick", x: at[0], y: at[1], "text-anchor": anchor }, words);
  const words = tiers.map((t, k) => `tier ${k + 1} ${shown(t.mean)}`).join(", ");
  return drawing("svg", { viewBox: "0 0 176 116", role: "img", "aria-label": `${s.name(i)}: mean radius ${words}`, class: "radii" },
    drawing("polygon", { class: "band", points: points([...upper, ...lower]) }),
    drawing("polyline", { class: "mean", points: points(tiers.map((t, k) => [x(k), y(t.mean)])) }),
    ...tiers.map((t, k) => drawing("circle", { class: "dot", cx: x(k), cy: y(t.mean), r: 2.4 })),
    ...tiers.map((t, k) => label([x(k), 112], String(k + 1), "middle")),
    label([27, 99], low.toPrecision(3), "end"), label([27, 12], high.toPrecision(3), "end"));
};
const panels = (s) => {
  const rows = view.filter((i) => s.facts.curve(i)).slice(0, 12);
  byId("panels").replaceChildren(...rows.map((i) => el("figure", { class: "panel" },
    el("figcaption", {}, el("bdi", { title: s.name(i) }, s.facts.label(i)), el("span", { class: "small" }, s.facts.probe(i))), radii(s, i))));
  byId("radius").hidden = !rows.length;
};
const drawPictures = (s) => {
  if (!s.columns.length) return;
  scatter(s, byId("cost"), byId("cost-front"), axis(s, byId("cost-x").value), axis(s, byId("cost-y").value), true);
  scatter(s, byId("trade"), byId("trade-front"), axis(s, byId("trade-x").value), axis(s, byId("trade-y").value), false);
  panels(s);
};
