"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const say = (text) => { document.getElementById("status").textContent = text; };

  // Details start closed; without scripts they stand open.
  for (const button of all(".more")) {
    const sheet = document.getElementById(button.getAttribute("aria-controls"));
    sheet.hidden = true;
    button.addEventListener("click", () => {
      sheet.hidden = !sheet.hidden;
      button.setAttribute("aria-expanded", String(!sheet.hidden));
    });
  }

  // Measured rows and controls are sorted each among themselves; empty cells come last.
  const value = (entry, column) => {
    if (column < 0) return entry.dataset.name;
    const given = entry.rows[0].cells[column + 1].dataset.v;
    return given === undefined ? null : Number(given);
  };
  const isFinding = (entry, column) =>
    column < 0 || entry.rows[0].cells[column + 1].dataset.finding !== undefined;
  const sort = (button) => {
    const head = button.closest("th");
    const column = Number(button.dataset.column);
    const now = head.getAttribute("aria-sort");
    const first = button.dataset.first;
    const way = now === "none" ? first : now === "ascending" ? "descending" : "ascending";
    const sign = way === "ascending" ? 1 : -1;
    const table = head.closest("table");
    for (const kind of ["measured", "control"]) {
      const entries = all(`tbody.entry[data-kind="${kind}"]`, table);
      if (!entries.length) continue;
      const end = entries[entries.length - 1].nextSibling;
      const order = (a, b) => {
        const [x, y] = [value(a, column), value(b, column)];
        if (x === null || y === null) return (x === null) - (y === null);
        const ahead = isFinding(b, column) - isFinding(a, column); // findings stay on top
        if (ahead) return ahead;
        return sign * (column < 0 ? x.localeCompare(y) : x - y);
      };
      for (const entry of entries.sort(order)) table.insertBefore(entry, end);
    }
    for (const other of all("th[aria-sort]", table)) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", way);
    say(`Sorted by ${button.textContent.trim()}, ${way}.`);
  };
  for (const button of all(".sort")) button.addEventListener("click", () => sort(button));

  const filter = document.getElementById("filter");
  const apply = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const entries = all("[data-search]");
    for (const entry of entries) entry.hidden = !words.every((w) => entry.dataset.search.includes(w));
    const rows = entries.filter((entry) => entry.matches(".entry"));
    const shown = rows.filter((row) => !row.hidden).length;
    say(words.length ? `${shown} of ${rows.length} rows shown.` : "");
  };
  filter.addEventListener("input", apply);
  filter.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { filter.value = ""; apply(); }
  });

  const theme = document.getElementById("theme");
  const dark = () => {
    const chosen = document.documentElement.dataset.theme;
    return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  };
  const name = () => {
    theme.textContent = dark() ? "Light" : "Dark";
    theme.setAttribute("aria-label", `Switch to ${dark() ? "light" : "dark"} colours`);
  };
  theme.removeAttribute("aria-pressed");
  theme.addEventListener("click", () => {
    document.documentElement.dataset.theme = dark() ? "light" : "dark";
    name();
  });
  name();
})();
