// Wiring: every control of the page, and the first view.

const dark = () => {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
};
const remembered = (value) => {
  try {
    if (value) localStorage.setItem("hiereval-theme", value);
    return localStorage.getItem("hiereval-theme");
  } catch { return null; } // a browser that keeps nothing
};
const theme = (value) => {
  if (value === "dark" || value === "light") document.documentElement.dataset.theme = value;
  byId("theme").textContent = dark() ? "Light" : "Dark";
  byId("theme").setAttribute("aria-label", `Switch to ${dark() ? "light" : "dark"} colours`);
};
const copyLink = async () => {
  keep();
  try { await navigator.clipboard.writeText(location.href); say("The link to this view was copied."); }
  catch { say(`The address of this page is the link to this view: ${location.href}`); }
};
// Arrow keys walk through the names, also those that are not yet drawn.
const walk = (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key], entry = event.target.closest("#rows tr.entry");
  if (!step || !entry) return;
  const k = view.indexOf(Number(entry.dataset.row)) + step, scroll = byId("scroll");
  if (k < 0 || k >= view.length) return;
  event.preventDefault();
  const top = byId("band").offsetHeight + k * ROW, room = scroll.clientHeight - byId("head").offsetHeight;
  if (top < scroll.scrollTop) scroll.scrollTop = top;
  else if (top + ROW > scroll.scrollTop + room) scroll.scrollTop = top + ROW - room;
  drawRows();
  byId("rows").querySelector(`tr[data-row="${view[k]}"] .more`)?.focus({ preventScroll: true });
};
const wire = () => {
  byId("search").addEventListener("input", (event) => { state.search = event.target.value; refresh(); });
  byId("search").addEventListener("keydown", (event) => { if (event.key === "Escape") { state.search = event.target.value = ""; refresh(); } });
  byId("complete").addEventListener("change", (event) => { state.complete = event.target.checked; refresh(); });
  byId("controls").addEventListener("change", (event) => { state.controls = event.target.checked; refresh(); });
  byId("dataset").addEventListener("change", (event) => openDataset(fresh(Number(event.target.value))));
  byId("order").addEventListener("change", (event) => { if (event.target.value) sortBy(event.target.value); event.target.value = ""; });
  byId("clear").addEventListener("click", () => openDataset(fresh(state.section)));
  byId("csv").addEventListener("click", download);
  byId("link").addEventListener("click", copyLink);
  byId("theme").addEventListener("click", () => {
    const wanted = dark() ? "light" : "dark";
    remembered(wanted); theme(wanted); drawPictures(section(state.section));
  });
  let asked = false;
  byId("scroll").addEventListener("scroll", () => {
    if (!asked) requestAnimationFrame(() => { asked = false; drawRows(); });
    asked = true;
  }, { passive: true });
  byId("rows").addEventListener("keydown", walk);
  for (const id of ["cost-x", "cost-y", "trade-x", "trade-y"]) byId(id).addEventListener("change", () => {
    if (id === "cost-x") { state.x = byId(id).value; keep(); }
    drawPictures(section(state.section));
  });
  byId("beside").addEventListener("input", offer);
  byId("close").addEventListener("click", () => byId("sheet").close());
  byId("sheet").addEventListener("close", closed);
  addEventListener("resize", () => later(() => { drawRows(); drawPictures(section(state.section)); }));
  addEventListener("beforeprint", () => { printing = true; drawRows(); });
  addEventListener("afterprint", () => { printing = false; drawn = ""; drawRows(); });
  addEventListener("hashchange", () => { if (location.hash.slice(1) !== address()) openDataset(fromAddress()); });
};

theme(remembered());
if (data.sections.length) {
  byId("dataset").replaceChildren(...data.sections.map((s, k) => el("option", { value: k }, s.title)));
  wire();
  openDataset(fromAddress());
}
