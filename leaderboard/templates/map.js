// The RE map of a row: the root in the middle, a ring for each tier at its mean radius, a bar across
// it for the middle half of its captions, and single chains as spokes where their radii are known.

const EDGE = 100, HOLE = 26; // of 120: where the largest radius lies; where a scale begins that leaves room out
const SHAPES = ["M-2.6,0a2.6,2.6 0 1,0 5.2,0a2.6,2.6 0 1,0 -5.2,0Z", "M-2.3,-2.3h4.6v4.6h-4.6Z", "M0,-3L3,2.4H-3Z", "M0,-3.3L3.3,0L0,3.3L-3.3,0Z",
  "M-2.6,0H2.6M0,-2.6V2.6", "M-2.2,-2.2L2.2,2.2M-2.2,2.2L2.2,-2.2"];
const shape = (tier) => SHAPES[tier % SHAPES.length];
// Distances are to scale where that leaves the rings apart; else a dashed circle stands for the
// smallest radius, and only what lies beyond it is to scale. Captions that lie far off, by more than
// 1.5 times what the middle half spans, do not press the others together: they stand at its end.
const scaled = (tiers, captions) => {
  const sorted = [...captions].sort((a, b) => a - b), quarter = (q) => sorted[Math.floor(q * (sorted.length - 1))];
  const off = 1.5 * (quarter(0.75) - quarter(0.25)), near = sorted.filter((v) => v >= quarter(0.25) - off && v <= quarter(0.75) + off);
  const values = [...tiers.flatMap((t) => [t.mean, t.low, t.high]), ...near];
  const low = Math.min(...values), high = Math.max(...values), whole = low >= 0 && low <= high / 2 && high > 0;
  const within = (v) => Math.min(high, Math.max(low, v));
  return { low, whole, off: sorted.filter((v) => v !== within(v)).length,
    at: whole ? (v) => EDGE * within(v) / high : (v) => HOLE + (EDGE - HOLE) * (within(v) - low) / (high - low || 1) };
};
// Three digits: the page holds no more of a radius.
const digits = (v) => v.toLocaleString("en-US", { minimumSignificantDigits: 3, maximumSignificantDigits: 3 }).replace(/^(-?)0\./, "$1.");
const polar = (length, turn) => [120 + length * Math.sin(2 * Math.PI * turn), 120 - length * Math.cos(2 * Math.PI * turn)].map((v) => v.toFixed(1));
const mark = (tier, [x, y] = [5, 5]) => drawing("path", { class: "caption", d: shape(tier), transform: `translate(${x} ${y})` });
const key = (tier) => drawing("svg", { viewBox: "0 0 10 10", class: "key", "aria-hidden": "true" }, mark(tier));

const rings = (s, i, tiers, spokes, scale) => {
  const bar = (tier, k) => {
    const turn = (k + 0.5) / tiers.length, [x, y] = polar(scale.at(tier.high) + 9, turn);
    const [[a, b], [c, d]] = [polar(scale.at(tier.low), turn), polar(scale.at(tier.high), turn)];
    return [drawing("line", { class: "half", x1: a, y1: b, x2: c, y2: d }), drawing("text", { class: "tick", x, y, "text-anchor": "middle", dy: 3.5 }, String(k + 1))];
  };
  const captions = spokes.flatMap((radii, j) => radii.map((radius, k) => mark(k, polar(scale.at(radius), j / spokes.length))));
  const words = tiers.map((t, k) => `tier ${k + 1} ${digits(t.mean)}`).join(", ");
  return drawing("svg", { viewBox: "0 0 240 240", role: "img", "aria-label": `${s.name(i)}: map of radii around the root, ${words}`, class: "map" },
    scale.whole ? "" : drawing("circle", { class: "cut", cx: 120, cy: 120, r: HOLE }),
    ...captions, ...tiers.map((t) => drawing("circle", { class: "ring", cx: 120, cy: 120, r: scale.at(t.mean).toFixed(1) })), ...tiers.flatMap(bar),
    drawing("circle", { class: "dot", cx: 120, cy: 120, r: 3.5 }), drawing("text", { class: "tick", x: 120, y: 134, "text-anchor": "middle" }, "root"));
};
const radiusMap = (s, i) => {
  const tiers = tiersOf(s, i), chains = s.points?.[i], spokes = chains?.of ?? [];
  const scale = scaled(tiers, spokes.flat());
  const said = ["The root is in the middle. A ring is a tier's mean radius, the bar across it the middle half of its captions.",
    scale.whole ? "" : `The dashed circle stands for a radius of ${digits(scale.low)}; distances are to scale beyond it alone.`,
    spokes.length ? `A spoke is one chain (${spokes.length} of ${chains.n.toLocaleString("en-US")}, in the data's order), its marks are its captions; the bars' angles mean nothing.` : "Angles mean nothing.",
    scale.off ? `Off the scale, at its end: ${count(scale.off, "caption")}.` : ""];
  const table = el("table", { class: "plain" }, el("thead", {}, el("tr", {}, ["tier", "mean radius", "middle half"].map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, tiers.map((t, k) => el("tr", {}, el("th", { scope: "row" }, String(k + 1), spokes.length ? key(k) : null),
      el("td", {}, digits(t.mean)), el("td", {}, `${digits(t.low)} to ${digits(t.high)}`)))));
  return el("figure", { class: "re-map" }, rings(s, i, tiers, spokes, scale), table, el("figcaption", { class: "small" }, said.filter(Boolean).join(" ")));
};
