// A row's sheet: everything that is known of it, and the commands that make it again.

const word = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'"'"'`)}'`);
const commands = (s, i) => {
  const F = s.facts, model = `hiereval run --model ${word(`${F.adapter(i)}:${F.checkpoint(i)}`)}`;
  const revision = F.revision(i) ? ` --revision ${word(F.revision(i))}` : "";
  const dataset = ` --dataset ${word(s.split ? `${s.dataset}:${s.split}` : s.dataset)}`;
  const tasks = new Set(s.columns.filter((column) => column.state[i] !== "-").map((column) => column.task));
  return [...tasks].map((task) => `${model}${revision} ${F.options(i)}${dataset} ${s.tasks[task].options}`);
};
const card = (s, i) => {
  const F = s.facts, none = "not stated";
  return [
    ["checkpoint", F.checkpoint(i)], ["adapter", F.adapter(i)], ["revision", F.revision(i) || "none"],
    ["weights sha256", F.weights(i) || "none"], ["fingerprint", F.fingerprint(i)], ["family", F.family(i)],
    ["licence", F.licence(i)], ["availability", F.open(i)], ["standing", F.status(i)],
    ["precision", F.dtype(i)], ["geometry", F.geometry(i) + (F.curvature(i) === null ? "" : ` (curvature ${F.curvature(i)})`)],
    ["dimensions, parameters", `${F.dim(i) ?? none}, ${F.params(i)?.toLocaleString("en-US") ?? none}`],
    ["speed", [F.images_s(i) && `${shown(F.images_s(i))} images/s`, F.texts_s(i) && `${shown(F.texts_s(i))} texts/s`].filter(Boolean).join(", ") || "not measured"],
    ["random weights, seed", F.random(i)], ["code from the hub", F.remote(i) ? "run (--trust-remote-code)" : null],
    ["probe", [F.probe(i), F.fitted(i)].filter(Boolean).join(", ")], ["random-init twins", String(F.twins(i))],
    ["dataset sha256", s.sha256], ["texts truncated", `${F.truncated(i) ?? "unknown"} of ${F.texts(i).toLocaleString("en-US")} (context ${F.context(i) ?? "?"})`],
    ["measured", F.date(i)], ["environment", F.environment(i)],
  ].filter(([, value]) => value !== null);
};
const scores = (s, rows) => {
  const there = s.columns.filter((column) => rows.some((i) => column.state[i] !== "-"));
  const told = (column, i) => {
    if (Number.isNaN(column.value[i])) return el("td", { class: "empty" }, EMPTY[column.state[i]] ?? "n/a", column.because(i) ? ` (${column.because(i)})` : "");
    const trained = column.trained[i], rank = ranksOf(column).get(i);
    return el("td", {}, el("b", {}, shown(column.value[i])), column.marks(i) ? el("sup", {}, column.marks(i)) : null,
      column.low(i) === null ? "" : ` [${shown(column.low(i))}, ${shown(column.high(i))}]`, rank ? ` rank ${rank[0] === rank[1] ? rank[0] : rank.join("–")}` : "",
      trained ? ` · ${count(trained[0], "seed")}${trained[1] === null ? "" : ` ±${shown(trained[1])}`}` : "",
      trained && trained[2] !== null ? ` · ${signed(trained[2])} over ${trained[3]}` : "",
      column.because(i) ? el("span", { class: "small" }, column.because(i)) : null);
  };
  const better = (column) => {
    const [a, b] = rows.map((i) => column.value[i]);
    if (!Number.isFinite(a - b)) return "–";
    const [i, j] = rows, turned = i > j;
    const pair = (s.pairs[s.columns.indexOf(column)] ?? []).find(([x, y]) => x === Math.min(i, j) && y === Math.max(i, j));
    if (!pair) return signed(b - a);
    const [low, high] = turned ? [-pair[3], -pair[2]] : [pair[2], pair[3]];
    return `${signed(b - a)} [${signed(low)}, ${signed(high)}], p ${pair[4] < 0.001 ? "< .001" : shown(pair[4])}`;
  };
  return el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "All tasks" }, el("table", { class: rows.length > 1 ? "plain two" : "plain" },
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "metric"), rows.map((i) => el("th", { scope: "col" }, s.name(i))), rows.length > 1 ? el("th", { scope: "col" }, "difference") : null)),
    el("tbody", {}, there.map((column) => el("tr", {}, el("th", { scope: "row", title: column.help }, `${column.group} `, broken(column.metric), ` ${arrow(column.up)}`), rows.map((i) => told(column, i)), rows.length > 1 ? el("td", {}, better(column)) : null)))));
};
const single = (s, i) => {
  const runs = s.runs[i];
  if (!runs) return null;
  const line = (run) => {
    const values = Object.entries(run.values).map(([name, [value, low, high]]) => `${name} ${value === null ? "n/a" : shown(value)}${low === null || high === null ? "" : ` [${shown(low)}, ${shown(high)}]`}`);
    return el("li", {}, el("b", {}, `${s.tasks[run.task]?.name ?? "not scored"}, seed ${run.seed}${run.shuffled ? ", tiers shuffled" : ""}`), `: ${run.reason || values.join(", ")}`);
  };
  return [el("h3", {}, "Single runs"), el("ul", { class: "runs" }, [...runs].sort((a, b) => a.task - b.task || a.shuffled - b.shuffled || a.seed - b.seed).map(line))];
};
const filled = (s, rows) => [
  el("h2", {}, rows.map((i) => s.name(i)).join(" beside ")), scores(s, rows),
  el("div", { class: "cards" }, rows.map((i) => el("section", {}, el("h3", {}, rows.length > 1 ? s.name(i) : "Card"),
    el("div", { class: "card" }, s.facts.curve(i) ? el("div", { class: "drawings" }, radii(s, i), radiusMap(s, i)) : null,
      el("dl", {}, card(s, i).map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, el("bdi", {}, String(value)))))))))),
  ...rows.map((i) => single(s, i)).filter(Boolean).flat(),
  ...(s.album ? rows.flatMap((i) => album(s, i)) : []),
  el("h3", {}, "Commands that make these rows again"),
  ...rows.map((i) => el("pre", { tabindex: 0, "aria-label": `Commands for ${s.name(i)}` }, commands(s, i).join("\n"))),
];
const show = (i, beside = null) => {
  const s = section(state.section), sheet = byId("sheet"), other = byId("beside");
  state.open = i;
  state.beside = beside;
  byId("sheet-content").replaceChildren(...filled(s, beside === null ? [i] : [i, beside]));
  sheet.setAttribute("aria-label", s.name(i));
  other.value = beside === null ? "" : s.name(beside);
  if (!sheet.open) sheet.showModal();
  sheet.scrollTop = 0;
  keep();
};
const offer = () => {
  const s = section(state.section), given = byId("beside").value;
  const found = [];
  for (let i = 0; i < s.size && found.length < 30; i++) if (s.search[i].includes(given.toLowerCase())) found.push(i);
  byId("names").replaceChildren(...found.map((i) => el("option", { value: s.name(i) })));
  const exact = found.find((i) => s.name(i) === given);
  if (exact !== undefined && exact !== state.open) show(state.open, exact);
};
const closed = () => {
  const row = state.open;
  state.open = state.beside = null;
  keep();
  byId("rows").querySelector(`tr[data-row="${row}"] .more`)?.focus();
};
