// The images that a row does best and worst on, each with its path of captions: in pages that were
// made with pictures.

const shot = (item) => el("li", { class: "shot" },
  el("div", {}, typeof item.image === "number"
    ? el("img", { src: `data:image/jpeg;base64,${data.thumbnails[item.image]}`, alt: item.alt || "no caption", width: 112, height: 112, decoding: "async" })
    : el("p", { class: "no-image" }, item.image), el("span", { class: "small" }, item.score)),
  el("div", {}, item.path.length ? el("ol", {}, item.path.map(([caption, said]) => el("li", {}, el("bdi", {}, caption), el("span", { class: "small" }, said)))) : el("p", {}, "no captions in the samples"),
    item.left ? el("span", { class: "small" }, `${item.left} more, left out here`) : null));
const group = (name, heading, items) => (items.length ? [el("h4", {}, heading), el("ul", { class: "shots", "aria-label": `${heading}: ${name}` }, items.map(shot))] : []);
const album = (s, i) => {
  const heading = el("h3", {}, `Best and worst images of ${s.name(i)}`), tasks = s.album[i];
  if (!tasks) return [heading, el("p", {}, "No pictures: a row needs samples beside its records ('hiereval run --log-samples'), and the first rows that have some fill a page.")];
  return [heading, ...tasks.flatMap((task) => [
    el("p", { class: "small" }, `${task.task}: ranked by ${task.by}; of equal items the earlier in the data comes first. Paths go from general to specific.${task.seed === null ? "" : ` Seed ${task.seed}.`}`),
    ...(task.best.length ? [] : [el("p", {}, "No item has a score.")]),
    ...group(s.name(i), `${task.task}, best`, task.best), ...group(s.name(i), `${task.task}, worst`, task.worst)])];
};
