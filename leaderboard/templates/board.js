"use strict";
// One section (dataset) is shown at a time. `state` is all that a reader chose; the address holds
// it, so a link reproduces the view. Only the rows in sight are in the document.

const ROW = 52, SPARE = 8, PRINTED = 500;
const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("data").textContent);
const say = (text) => { byId("status").textContent = text; };

// --- building elements: text is only ever set as text -------------------------------------------
const el = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") made.className = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat()) if (child !== null && child !== undefined) made.append(child);
  return made;
};
// A long name may go on in a second line, after the underscore that is nearest its middle.
const broken = (name) => {
  const off = (at) => Math.abs(name.length / 2 - at);
  const ends = Array.from(name.matchAll(/_/g), (match) => match.index + 1).sort((a, b) => off(a) - off(b));
  return name.length > 12 && ends.length ? [name.slice(0, ends[0]), el("wbr"), name.slice(ends[0])] : [name];
};
const hear = (text) => el("span", { class: "hear" }, text);

// --- numbers as the other formats write them ----------------------------------------------------
const shown = (value) => {
  const size = Math.abs(value);
  if (!Number.isFinite(value)) return "n/a";
  if (size >= 1e6) return value.toExponential(2).replace(/e([+-])(\d)$/, "e$10$2");
  if (size >= 1000) return Math.round(value).toLocaleString("en-US");
  if (size >= 10) return value.toFixed(1);
  const text = value.toFixed(3);
  if (Number(text) === 0) return ".000";
  return Math.abs(Number(text)) < 1 ? text.replace("0.", ".") : text;
};
const span = (low, high) => shown(low) + (low < 0 || high < 0 ? " to " : "–") + shown(high);
const signed = (value) => (value < 0 ? "" : "+") + shown(value);
const count = (n, noun) => `${n.toLocaleString("en-US")} ${noun}${n === 1 ? "" : "s"}`;
const sizes = (n) =>
  !n ? "" : n >= 1e9 ? `${(n / 1e9).toFixed(1)} B` : n >= 1e6 ? `${(n / 1e6).toFixed(0)} M`
    : n >= 1e3 ? `${(n / 1e3).toFixed(0)} k` : `${n}`;
const arrow = (up) => (up === true ? "↑" : up === false ? "↓" : "");

// --- reading the columns ------------------------------------------------------------------------
// One character stands for a small whole number, "!" for a gap.
const CHARACTERS = Array.from({ length: 92 }, (_, k) => String.fromCharCode(35 + k)).filter((c) => !"\\<>&".includes(c));
const NUMBER = new Map([...CHARACTERS.map((c, k) => [c, k]), ["!", null]]);
const numbers = (list) => (typeof list === "string" ? Array.from(list, (c) => NUMBER.get(c)) : list);
const reader = (list) => {
  if (Array.isArray(list)) return (i) => list[i];
  if ("all" in list) return () => list.all;
  const at = numbers(list.at);
  return (i) => list.of[at[i]];
};

const openColumn = (raw, size) => {
  const fine = raw.digits === 4, unit = 10 ** raw.digits, side = fine ? unit / 10 : unit;
  const middle = (i) => (fine ? Math.round(raw.v[i] / 10) : raw.v[i]); // as it is shown
  const value = new Float64Array(size).fill(NaN);
  for (let i = 0; i < size; i++) if (raw.v[i] !== null) value[i] = raw.v[i] / unit;
  const why = reader(raw.why), n = reader(raw.n), low = numbers(raw.low), high = numbers(raw.high);
  return {
    ...raw, value, n,
    name: `${raw.group} ${raw.metric}`,
    low: (i) => (low[i] === null ? null : (middle(i) - low[i]) / side),
    high: (i) => (high[i] === null ? null : (middle(i) + high[i]) / side),
    marks: (i) => why(i).split("\n")[0],
    because: (i) => why(i).split("\n")[1] || "",
    ranks: null,
  };
};

// Ranks are steps between findings, from the best down.
const ranksOf = (column) => {
  if (column.ranks) return column.ranks;
  const [bests, worsts] = column.rank.map((list) => (list === null ? null : numbers(list))), order = [];
  if (bests.length) {
    for (let i = 0; i < column.value.length; i++) if (column.state[i] === "f") order.push(i);
    const sign = column.up === false ? 1 : -1;
    order.sort((a, b) => sign * (column.value[a] - column.value[b]) || a - b);
  }
  column.ranks = new Map();
  let best = 0, worst = 0;
  bests.forEach((step, k) => {
    best += step;
    if (worsts) worst += worsts[k];
    column.ranks.set(order[k], [best, worsts ? worst : best]);
  });
  return column.ranks;
};

const opened = new Map();
const section = (number) => {
  if (!opened.has(number)) opened.set(number, openSection(data.sections[number]));
  return opened.get(number);
};
const openSection = (raw) => {
  const facts = {};
  for (const [name, list] of Object.entries(raw.rows)) facts[name] = reader(list);
  const checkpoint = facts.checkpoint;
  facts.checkpoint = (i) => checkpoint(i) || facts.label(i);
  const name = (i) => facts.label(i) + (facts.probe(i) === "empty-root" ? "" : ` / ${facts.probe(i)}`);
  const search = Array.from({ length: raw.size }, (_, i) =>
    [name(i), facts.probe(i), facts.adapter(i), facts.checkpoint(i), facts.family(i)].join(" ").toLowerCase());
  return {
    ...raw, facts, name, search,
    columns: raw.columns.map((column) => openColumn(column, raw.size)),
    kind: (i) => (i < raw.measured ? "measured" : "control"),
  };
};

// --- what the reader chose, and the address -----------------------------------------------------
const SIZES = [["under 100 M", 0, 1e8], ["100 to 500 M", 1e8, 5e8], ["0.5 to 2 B", 5e8, 2e9], ["over 2 B", 2e9, Infinity]];
const sizeOf = (n) => (n === null ? "not stated" : SIZES.find(([, low, high]) => n >= low && n < high)[0]);
const FILTERS = {
  size: ["Parameters", (s, i) => sizeOf(s.facts.params(i))],
  family: ["Family", (s, i) => s.facts.family(i)],
  probe: ["Probe", (s, i) => s.facts.probe(i)],
  geometry: ["Geometry", (s, i) => s.facts.geometry(i)],
  licence: ["Licence", (s, i) => s.facts.licence(i)],
  open: ["Weights", (s, i) => s.facts.open(i)],
  status: ["Standing", (s, i) => s.facts.status(i)],
};
const ORDERS = { given: "as given", model: "model", params: "parameters", date: "date" }; // besides columns
const fresh = (number) => {
  const s = section(number);
  const first = s.columns.flatMap((column, i) => (column.first ? [i] : []));
  return { section: number, search: "", sort: s.sort === null ? "given" : String(s.sort), up: s.sort !== null && s.columns[s.sort].up === false,
    columns: first, filters: {}, complete: false, controls: true, x: "params", open: null, beside: null };
};
let state = null;

// Links go by names, not by places: those of rows and columns change when a board grows.
const distinct = (names) => {
  const seen = new Map();
  return names.map((name) => {
    seen.set(name, (seen.get(name) ?? 0) + 1);
    return seen.get(name) === 1 ? name : `${name} (${seen.get(name)})`;
  });
};
const datasetNames = distinct(data.sections.map((s) => s.title));
const columnNames = (s) => (s.columnNames ??= distinct(s.columns.map((column) => column.name)));
const rowNames = (s) => (s.rowNames ??= distinct(Array.from({ length: s.size }, (_, i) =>
  s.facts.fingerprint(i).slice(0, 12) + (s.facts.probe(i) === "empty-root" ? "" : ` ${s.facts.probe(i)}`))));
const placeIn = (names, name) => (names.includes(name) ? names.indexOf(name) : null);

const address = () => {
  const usual = fresh(state.section), s = section(state.section), out = new URLSearchParams();
  if (state.section) out.set("dataset", datasetNames[state.section]);
  for (const key of ["search", "x"]) if (state[key] !== usual[key]) out.set(key, state[key]);
  if (state.sort !== usual.sort) out.set("sort", columnNames(s)[state.sort] ?? state.sort);
  if (state.up !== usual.up) out.set("up", Number(state.up));
  if (String(state.columns) !== String(usual.columns)) for (const c of state.columns) out.append("column", columnNames(s)[c]);
  for (const [key, value] of Object.entries(state.filters)) out.set(`f-${key}`, value);
  if (state.complete) out.set("complete", 1);
  if (!state.controls) out.set("controls", 0);
  for (const key of ["open", "beside"]) if (state[key] !== null) out.set(key, rowNames(s)[state[key]]);
  return out.toString();
};
const fromAddress = () => {
  const given = new URLSearchParams(location.hash.slice(1));
  const number = placeIn(datasetNames, given.get("dataset")) ?? 0;
  const made = fresh(number), s = section(number);
  made.search = given.get("search") ?? "";
  const sort = given.get("sort");
  const by = placeIn(columnNames(s), sort);
  if (by !== null) made.sort = String(by);
  else if (Object.hasOwn(ORDERS, sort ?? "")) made.sort = sort;
  if (given.has("up")) made.up = given.get("up") === "1";
  const wanted = given.getAll("column").map((name) => placeIn(columnNames(s), name)).filter((i) => i !== null);
  if (wanted.length) made.columns = [...new Set(wanted)].sort((a, b) => a - b);
  for (const key of Object.keys(FILTERS)) if (given.has(`f-${key}`)) made.filters[key] = given.get(`f-${key}`);
  made.complete = given.get("complete") === "1";
  made.controls = given.get("controls") !== "0";
  if (Object.hasOwn(AXES, given.get("x") ?? "")) made.x = given.get("x");
  if (given.has("open")) made.open = placeIn(rowNames(s), given.get("open"));
  if (made.open !== null && given.has("beside")) made.beside = placeIn(rowNames(s), given.get("beside"));
  return made;
};
const keep = () => {
  try { history.replaceState(null, "", `#${address()}`); } catch { /* an address that cannot change */ }
};

// --- filtering and sorting ----------------------------------------------------------------------
const kept = (s) => {
  const words = state.search.toLowerCase().split(/\s+/).filter(Boolean);
  const tests = Object.entries(state.filters).map(([key, wanted]) => [FILTERS[key][1], wanted]);
  const rows = [];
  for (const i of allSorted(s)) {
    if (!words.every((word) => s.search[i].includes(word))) continue;
    if (!tests.every(([fact, wanted]) => fact(s, i) === wanted)) continue;
    if (state.complete && !state.columns.every((c) => !Number.isNaN(s.columns[c].value[i]))) continue;
    rows.push(i);
  }
  return rows;
};
// Numbers in names count as numbers: clip-9 stands before clip-10.
const nameKey = (s, i) => s.name(i).toLowerCase().replace(/\d+/g, (digits) => digits.padStart(12, "0"));
const sortKey = (s) => {
  s.keys ??= Array.from({ length: s.size }, (_, i) => nameKey(s, i));
  const facts = { model: (i) => s.keys[i], date: s.facts.date, params: s.facts.params };
  return facts[state.sort];
};
// All rows in order, kept until the order changes: a filter only walks through it.
let order = { key: "", rows: [] };
const allSorted = (s) => {
  const key = `${state.section} ${state.sort} ${state.up}`;
  if (order.key !== key) order = { key, rows: sorted(s, Array.from({ length: s.measured }, (_, i) => i)) };
  return order.rows;
};
const sorted = (s, rows) => {
  if (state.sort === "given") return rows;
  const sign = state.up ? 1 : -1, key = sortKey(s);
  if (key) {
    return rows.sort((a, b) => {
      const [x, y] = [key(a), key(b)];
      if (x === null || y === null) return (x === null) - (y === null) || a - b;
      return sign * ((x > y) - (x < y)) || a - b;
    });
  }
  const column = s.columns[Number(state.sort)];
  const ranks = column.up !== null && !column.unranked; // findings stay on top
  const place = Uint8Array.from(rows, (i) => (Number.isNaN(column.value[i]) ? 2 : ranks && column.state[i] !== "f" ? 1 : 0));
  return rows.sort((a, b) => place[a] - place[b] || (place[a] === 2 ? 0 : sign * (column.value[a] - column.value[b])) || a - b);
};

// --- the table ----------------------------------------------------------------------------------
let view = [];
const headed = (s) => {
  const groups = [];
  for (const c of state.columns) {
    const last = groups[groups.length - 1];
    if (last && last[0] === s.columns[c].group) last[1] += 1;
    else groups.push([s.columns[c].group, 1]);
  }
  const sortable = (key, ...words) => el("th", { scope: "col", rowspan: key === "model" ? 2 : null, class: key === "model" ? "name" : null,
    "aria-sort": state.sort === key ? (state.up ? "ascending" : "descending") : "none" },
  el("button", { type: "button", class: "sort", "data-key": key, onclick: () => sortBy(key) }, words));
  return [
    el("tr", {}, sortable("model", "model"), groups.map(([name, width]) => el("th", { scope: "colgroup", colspan: width }, name))),
    el("tr", {}, state.columns.map((c) => {
      const head = sortable(String(c), ...broken(s.columns[c].metric), " ", el("span", { class: "way" }, arrow(s.columns[c].up)));
      head.title = s.columns[c].help;
      return head;
    })),
  ];
};
const EMPTY = { "-": "not run", e: "n/a", s: "skipped", x: "failed" };
const scales = new Map();
const scaleOf = (column) => {
  if (!scales.has(column)) {
    let low = Infinity, high = -Infinity;
    for (const value of column.value) if (Math.abs(value) < 1e9) { low = Math.min(low, value); high = Math.max(high, value); }
    scales.set(column, [low, high > low ? high : low + 1]);
  }
  return scales.get(column);
};
const bar = (column, i) => {
  const [low, high] = scaleOf(column), at = (v) => 100 * Math.min(1, Math.max(0, (v - low) / (high - low)));
  const drawn = el("span", { class: "bar", "aria-hidden": "true" });
  const from = column.low(i) ?? column.value[i], to = column.high(i) ?? column.value[i];
  drawn.style.setProperty("--from", `${at(from)}%`);
  drawn.style.setProperty("--to", `${Math.max(at(to), at(from) + 2)}%`);
  return drawn;
};
const cell = (s, column, i) => {
  const because = column.because(i);
  if (Number.isNaN(column.value[i])) {
    return el("td", { class: "empty", title: because }, EMPTY[column.state[i]] ?? "n/a");
  }
  const rank = ranksOf(column).get(i), finding = column.state[i] === "f";
  const unsure = column.up !== null && !finding && s.kind(i) === "measured";
  const best = finding && rank && rank[0] === 1;
  const marks = column.marks(i);
  return el("td", { class: best ? "best" : unsure ? "unsure" : null, title: because },
    el("span", { class: "value" }, shown(column.value[i]), marks ? el("sup", {}, marks) : null),
    unsure ? hear(marks ? " no finding" : " not known to be a finding") : null,
    rank ? el("span", { class: "rank" }, hear(" rank "), rank[0] === rank[1] ? rank[0] : `${rank[0]}–${rank[1]}`) : null,
    column.low(i) === null ? null : el("span", { class: "small" }, span(column.low(i), column.high(i))),
    bar(column, i));
};
const STANDING = { verified: "✓ verified", "verified from samples": "verified from samples" };
const facts = (s, i) => [
  s.facts.probe(i) === "empty-root" ? null : s.facts.probe(i), sizes(s.facts.params(i)), s.facts.date(i),
  STANDING[s.facts.status(i)], s.kind(i) === "measured" && !s.facts.twins(i) && !s.runs[i] ? "no twins" : null,
].filter(Boolean).join(" · ");
// A name too long for its column is cut in the middle: relatives differ at their ends.
const END = 7;
const ended = (name) => {
  const letters = Array.from(name), at = letters.length > 2 * END ? letters.length - END : 0;
  const parts = at ? [letters.slice(0, at), letters.slice(at)] : [letters];
  return el("bdi", { class: "ended" }, parts.map((part) => el("span", {}, part.join(""))));
};
const drawRow = (s, i, number) => el("tr", { class: "entry", "data-row": i, "data-kind": s.kind(i), "aria-rowindex": number },
  el("th", { scope: "row", class: "name" },
    el("button", { type: "button", class: "more", "aria-haspopup": "dialog", title: s.name(i), "aria-label": s.name(i), onclick: () => show(i) }, ended(s.facts.label(i))),
    el("span", { class: "small" }, facts(s, i))),
  state.columns.map((c) => cell(s, s.columns[c], i)));

// Ceilings, control encoders and the range of random-init twins: what a score must be beyond.
const bandRow = (name, words, cells) => el("tr", { class: "bound", "data-kind": "band" },
  el("th", { scope: "row", class: "name" }, el("span", { class: "band-name" }, name), el("span", { class: "small" }, words)), cells);
const ceilings = (s) => bandRow("Best blind score", "no image, no model", state.columns.map((c) => {
  const ceiling = s.columns[c].ceiling;
  return ceiling ? el("td", {}, el("span", { class: "value" }, shown(ceiling[1])), el("span", { class: "small" }, ceiling[0])) : el("td", { class: "empty" }, "–");
}));
const twins = (s, rows) => bandRow("Random-init twins", `lowest to highest of ${rows.length}`, state.columns.map((c) => {
  const values = rows.map((i) => s.columns[c].value[i]).filter((v) => !Number.isNaN(v));
  return values.length ? el("td", {}, el("span", { class: "value" }, span(Math.min(...values), Math.max(...values)))) : el("td", { class: "empty" }, "–");
}));
const band = (s) => {
  const controls = Array.from({ length: s.size - s.measured }, (_, k) => s.measured + k);
  const random = controls.filter((i) => s.facts.random(i) !== null);
  const others = controls.filter((i) => s.facts.random(i) === null).slice(0, 6);
  const rows = [];
  if (state.columns.some((c) => s.columns[c].ceiling)) rows.push(ceilings(s));
  if (random.length > 1) rows.push(twins(s, random.slice(0, 10000)));
  for (const i of [...others, ...(random.length === 1 ? random : [])]) rows.push(drawRow(s, i, null));
  return rows;
};

const spacer = (height) => {
  const made = el("tr", { "aria-hidden": "true", class: "space" }, el("td", { colspan: state.columns.length + 1 }));
  made.firstChild.style.height = `${height}px`;
  return made;
};
let drawn = "";
let printing = false; // every row is drawn then
const drawRows = () => {
  const s = section(state.section), scroll = byId("scroll"), body = byId("rows");
  const top = Math.max(0, scroll.scrollTop - byId("band").offsetHeight);
  const from = printing ? 0 : Math.max(0, Math.min(view.length - 1, Math.floor(top / ROW)) - SPARE);
  const to = Math.min(view.length, printing ? PRINTED : from + Math.ceil(scroll.clientHeight / ROW) + 2 * SPARE);
  const now = `${from}-${to}`;
  if (now === drawn) return;
  drawn = now;
  const focus = document.activeElement?.closest?.("tr.entry")?.dataset.row;
  const rows = [];
  if (from) rows.push(spacer(from * ROW));
  for (let k = from; k < to; k++) rows.push(drawRow(s, view[k], k + 3));
  if (to < view.length) rows.push(spacer((view.length - to) * ROW));
  if (!view.length) rows.push(el("tr", {}, el("td", { class: "empty", colspan: state.columns.length + 1 }, "No model is left by these filters.")));
  body.replaceChildren(...rows);
  if (focus !== undefined) body.querySelector(`tr[data-row="${focus}"] .more`)?.focus({ preventScroll: true });
};
const drawTable = () => {
  const s = section(state.section);
  byId("head").replaceChildren(...headed(s));
  byId("band").replaceChildren(...(state.controls ? band(s) : []));
  byId("table").setAttribute("aria-rowcount", view.length + 2);
  drawn = "";
  drawRows();
};

// --- what changes the view ----------------------------------------------------------------------
const sentence = (s) => `${view.length.toLocaleString("en-US")} of ${count(s.measured, "row")} shown.`;
const refresh = (words) => {
  const s = section(state.section);
  view = kept(s);
  byId("order").options[0].textContent = `${state.up ? "▴" : "▾"} ${ORDERS[state.sort] ?? s.columns[state.sort].metric}`;
  byId("scroll").scrollTop = 0;
  drawTable();
  say([words, sentence(s)].filter(Boolean).join(" "));
  keep();
  byId("reported").hidden = ![undefined, "reported"].includes(state.filters.status);
  later(() => drawPictures(s));
};
let waiting = 0;
const later = (work) => { clearTimeout(waiting); waiting = setTimeout(work, 60); };
const sortBy = (key) => {
  const s = section(state.section), column = s.columns[Number(key)];
  const first = key === "model" || key === "params" || column?.up === false;
  state.up = state.sort === key ? !state.up : first;
  state.sort = key;
  refresh(`Sorted by ${column ? `${column.metric} ${arrow(column.up)}`.trim() : key}, ${state.up ? "ascending" : "descending"}.`);
  byId("head").querySelector(`[data-key="${key}"]`)?.focus({ preventScroll: true });
};

// --- controls -----------------------------------------------------------------------------------
const choices = (s, key) => {
  const found = new Map();
  for (let i = 0; i < s.measured; i++) {
    const value = FILTERS[key][1](s, i);
    found.set(value, (found.get(value) ?? 0) + 1);
  }
  const order = key === "size" ? SIZES.map(([name]) => name) : [];
  return [...found].sort((a, b) => order.indexOf(a[0]) - order.indexOf(b[0]) || b[1] - a[1]).slice(0, 60);
};
const fillFilters = (s) => {
  byId("filters").replaceChildren(...Object.keys(FILTERS).map((key) => {
    const select = el("select", { id: `f-${key}`, onchange: () => {
      if (select.value) state.filters[key] = JSON.parse(select.value); else delete state.filters[key];
      refresh();
    } }, el("option", { value: "" }, "all"), choices(s, key).map(([value, n]) =>
      el("option", { value: JSON.stringify(value), selected: state.filters[key] === value }, `${value} (${n.toLocaleString("en-US")})`)));
    if (key === "status" && s.reported.length) select.append(el("option", { value: '"reported"', selected: state.filters[key] === "reported" }, `reported (${s.reported.length})`));
    return el("label", { class: "filter" }, FILTERS[key][0], select);
  }));
};
const fillColumns = (s) => {
  const groups = new Map();
  s.columns.forEach((column, c) => groups.set(column.group, [...(groups.get(column.group) ?? []), c]));
  const choose = (columns, on) => {
    state.columns = s.columns.map((_, c) => c).filter((c) => (columns.includes(c) ? on : state.columns.includes(c)));
    if (!state.columns.length) state.columns = fresh(state.section).columns;
    fillColumns(s);
    refresh();
  };
  const usual = el("button", { type: "button", class: "button", onclick: () => choose(s.columns.map((_, c) => c), false) }, "Headline columns");
  byId("columns").replaceChildren(usual, ...[...groups].map(([name, columns]) => el("fieldset", {}, el("legend", {}, name),
    el("button", { type: "button", class: "link", onclick: () => choose(columns, !columns.every((c) => state.columns.includes(c))) }, "all or none", hear(` of ${name}`)),
    columns.map((c) => {
      const box = el("input", { type: "checkbox", "data-column": c, onchange: () => {
        choose([c], box.checked);
        byId("columns").querySelector(`[data-column="${c}"]`)?.focus();
      } });
      box.checked = state.columns.includes(c);
      return el("label", {}, box, ` ${s.columns[c].metric}`);
    }))));
};
const fillNotes = (s) => {
  byId("facts").textContent = [s.title, `${count(s.measured, "row")}`, `data sha256 ${s.sha256.slice(0, 8)}`, s.revision && `revision ${s.revision.slice(0, 8)}`, `images: ${s.images}`].filter(Boolean).join(" · ");
  byId("notes").replaceChildren(...s.notes.map((note) => el("li", {}, note)));
  const metrics = [...new Set(s.reported.flatMap((figure) => Object.keys(figure.metrics)))];
  byId("reported").replaceChildren(...(s.reported.length ? [
    el("h2", {}, "Reported by papers, not measured here"),
    el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Reported figures" }, el("table", { class: "plain" },
      el("thead", {}, el("tr", {}, ["model", ...metrics, "source"].map((name) => el("th", { scope: "col" }, name)))),
      el("tbody", {}, s.reported.map((figure) => el("tr", {}, el("th", { scope: "row" }, figure.model),
        metrics.map((name) => el("td", {}, figure.metrics[name] ?? "–")),
        el("td", {}, figure.url ? el("a", { href: figure.url, rel: "noopener noreferrer" }, figure.source) : figure.source, figure.note ? ` (${figure.note})` : "")))))),
  ] : []));
};
const openDataset = (made) => {
  state = made;
  const s = section(state.section);
  byId("dataset").value = state.section;
  byId("search").value = state.search;
  byId("complete").checked = state.complete;
  byId("controls").checked = state.controls;
  fillFilters(s);
  fillColumns(s);
  fillNotes(s);
  fillAxes(s);
  refresh();
  if (state.open !== null) show(state.open, state.beside);
};

// --- CSV of what is shown -----------------------------------------------------------------------
const quoted = (value) => {
  let text = value === null || value === undefined || Number.isNaN(value) ? "" : String(value);
  if (typeof value === "string" && /^[=+\-@|%＝＋－＠]/.test(text)) text = `'${text}`;
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};
const table = () => {
  const s = section(state.section), F = s.facts;
  const known = ["label", "probe", "adapter", "checkpoint", "revision", "family", "licence", "geometry", "dtype", "params", "dim", "images_s", "texts_s", "status", "date"];
  const of = (column, i) => {
    const rank = ranksOf(column).get(i);
    return [column.value[i], column.low(i), column.high(i), { f: "yes", n: "no" }[column.state[i]] ?? "", rank?.[0], rank?.[1]];
  };
  const head = ["dataset", "split", ...known, ...state.columns.flatMap((c) => ["", " low", " high", " finding", " rank", " worst rank"].map((part) => s.columns[c].name + part))];
  const lines = view.map((i) => [s.dataset, s.split, ...known.map((name) => F[name](i)), ...state.columns.flatMap((c) => of(s.columns[c], i))]);
  return [head, ...lines].map((line) => line.map(quoted).join(",")).join("\n") + "\n";
};
const download = () => {
  const link = el("a", { href: URL.createObjectURL(new Blob([table()], { type: "text/csv" })), download: "hiereval-board.csv" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  say(`${count(view.length, "row")} written to hiereval-board.csv.`);
};
