const data = JSON.parse(document.getElementById("exploration").textContent);
const byId = (name) => document.getElementById(name);
const text = (value, digits = 3) => {
  if (value === null) return "not defined";
  return value > 0 && value < 0.1 ? value.toPrecision(digits) : value.toFixed(digits);
};
const element = (tag, content, attributes = {}) => {
  const made = document.createElement(tag);
  made.textContent = content;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
};

// ---- Charts: the drawn ones stay until the live ones are ready, and where these fail.
const views = new Map();
const charts = [...document.querySelectorAll("script[data-chart]")].map(async (script) => {
  const slot = byId(script.dataset.chart), live = document.createElement("div");
  const made = await vegaEmbed(live, JSON.parse(script.textContent), {
    mode: "vega-lite", renderer: "svg", ast: true, actions: false, defaultStyle: false,
    tooltip: { disableDefaultStyle: true, theme: "page" },
  });
  // Vega finds the nearest point by cells around the points, which say nothing to a screen reader.
  for (const cells of live.querySelectorAll("[class*=voronoi]")) {
    cells.removeAttribute("role");
    cells.setAttribute("aria-hidden", "true");
  }
  slot.replaceChildren(live);
  views.set(script.dataset.chart, made.view);
});

// ---- The threshold, for all runs at once.
const { thresholds } = data.runs[0];
const slider = byId("threshold");
const nearest = (value) =>
  thresholds.reduce((best, each, n) => (Math.abs(each - value) < Math.abs(thresholds[best] - value) ? n : best), 0);
let threshold = 0.5;

function cellsAt(run, n) {
  const at = (name) => run.at[name][n];
  return [
    at("true_positives"), at("false_negatives"), at("false_positives"), at("true_negatives"),
    text(at("precision")), text(at("recall")), text(at("f1")), text(at("sensitivity")),
    text(at("false_positives_per_scan"), 2),
  ];
}

function pointAt(run, n) {
  const at = (name) => run.at[name][n];
  const negatives = at("false_positives") + at("true_negatives");
  return {
    run: run.name, threshold: thresholds[n], recall: at("recall"), precision: at("precision"),
    fpr: negatives ? at("false_positives") / negatives : null,
    rate: at("false_positives_per_scan"), sensitivity: at("sensitivity"),
  };
}

const CURVES = { froc: ["rate", "sensitivity"], roc: ["fpr", "recall"], pr: ["recall", "precision"] };

function showThreshold(n) {
  threshold = thresholds[n];
  slider.value = n;
  slider.setAttribute("aria-valuetext", `probability above ${Number(threshold.toPrecision(4))}`);
  byId("threshold-value").textContent = Number(threshold.toPrecision(4));
  byId("at-threshold").replaceChildren(
    ...data.runs.map((run) => {
      const row = document.createElement("tr");
      row.append(element("th", run.name, { scope: "row" }), ...cellsAt(run, n).map((cell) => element("td", cell)));
      return row;
    }),
  );
  const points = data.runs.map((run) => pointAt(run, n));
  for (const [name, [x, y]] of Object.entries(CURVES)) {
    // On the FROC's axis, which is logarithmic, no rate below 1/8 has a place.
    const drawn = points.filter(
      (each) => each[x] !== null && each[y] !== null && (x !== "rate" || (each.rate >= 0.125 && each.rate <= 8)),
    );
    views.get(name)?.data("chosen", drawn).run();
  }
  showTable();
}

slider.max = thresholds.length - 1;
slider.addEventListener("input", () => showThreshold(Number(slider.value)));
for (const button of document.querySelectorAll("button[data-threshold]")) {
  button.addEventListener("click", () => showThreshold(nearest(Number(button.dataset.threshold))));
}

// ---- The table of candidates.
const PAGE = 25;
const rows = data.scores.map(([run, place, fold, probability, calibrated]) => {
  const candidate = data.candidates[place];
  return {
    run, place, fold, probability, calibrated, candidate, name: data.runs[run].name, id: candidate.id,
    kind: candidate.nodule ? "nodule" : "no nodule", diameter: candidate.diameter, series: candidate.series,
  };
});
const outcome = (row) =>
  row.candidate.nodule ? (row.probability > threshold ? "found" : "missed") : row.probability > threshold ? "false alarm" : "dismissed";
let sorted = { by: "probability", falling: true }, page = 0, listed = [], current = null;

function passes(row) {
  const value = (name) => byId(`filter-${name}`).value.trim();
  const within = (name, number) =>
    (value(`${name}-from`) === "" || number >= Number(value(`${name}-from`))) &&
    (value(`${name}-to`) === "" || number <= Number(value(`${name}-to`)));
  return (
    (value("run") === "" || row.name === value("run")) &&
    (value("fold") === "" || row.fold === Number(value("fold"))) &&
    (value("kind") === "" || row.kind === value("kind")) &&
    (value("outcome") === "" || outcome(row) === value("outcome")) &&
    row.series.includes(value("series")) &&
    within("probability", row.probability) && within("diameter", row.diameter)
  );
}

function showTable() {
  const key = (row) => (sorted.by === "outcome" ? outcome(row) : row[sorted.by]);
  const compare = (a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0) || a.id - b.id || a.run - b.run;
  listed = rows.filter(passes).sort((a, b) => (sorted.falling ? compare(b, a) : compare(a, b)));
  const pages = Math.max(1, Math.ceil(listed.length / PAGE));
  page = Math.min(page, pages - 1);
  byId("candidates").replaceChildren(...listed.slice(page * PAGE, (page + 1) * PAGE).map(tableRow));
  byId("listed").textContent = `${listed.length} of ${rows.length} rows; page ${page + 1} of ${pages}`;
  byId("earlier").disabled = page === 0;
  byId("later").disabled = page >= pages - 1;
  for (const button of document.querySelectorAll("button[data-sort]")) {
    const isBy = button.dataset.sort === sorted.by;
    button.parentElement.setAttribute("aria-sort", isBy ? (sorted.falling ? "descending" : "ascending") : "none");
  }
}

function tableRow(row) {
  const made = document.createElement("tr");
  const button = element("button", row.id, { type: "button", "aria-label": `show candidate ${row.id} of run ${row.name}` });
  button.addEventListener("click", () => open(row, true));
  const first = document.createElement("td");
  first.append(button);
  made.append(
    first, element("td", row.name), element("td", row.fold), element("td", row.kind),
    element("td", outcome(row)), element("td", text(row.probability)), element("td", text(row.calibrated)),
    element("td", row.diameter > 0 ? row.diameter.toFixed(1) : ""), element("td", `…${row.series.slice(-12)}`, { title: row.series }),
  );
  if (row === current) made.setAttribute("aria-current", "true");
  return made;
}

for (const button of document.querySelectorAll("button[data-sort]")) {
  button.addEventListener("click", () => {
    const by = button.dataset.sort;
    sorted = { by, falling: sorted.by === by ? !sorted.falling : ["probability", "calibrated", "diameter"].includes(by) };
    page = 0;
    showTable();
  });
}
byId("filters").addEventListener("input", () => {
  page = 0;
  showTable();
});
byId("filters").addEventListener("submit", (event) => event.preventDefault());
byId("filters").addEventListener("reset", () => setTimeout(() => {
  page = 0;
  showTable();
}));
byId("earlier").addEventListener("click", () => {
  page -= 1;
  showTable();
});
byId("later").addEventListener("click", () => {
  page += 1;
  showTable();
});

// ---- One candidate: its slices, and its scores in all runs.
const WINDOWS = { lung: [-1000, 150], mediastinum: [-160, 240], all: data.hu };
const viewer = new Viewer(byId("candidate"));
const blocks = new Map(); // place -> promise of its voxels

async function open(row, moves) {
  current = row;
  const candidate = row.candidate;
  const title = `Candidate ${candidate.id}: ${row.kind}${candidate.diameter > 0 ? `, ${candidate.diameter.toFixed(1)} mm` : ""}`;
  byId("candidate-title").textContent = title;
  byId("candidate-facts").textContent =
    `Run ${row.name}, fold ${row.fold}: probability ${text(row.probability)}, calibrated ${text(row.calibrated)} (${outcome(row)}). ` +
    `Series ${candidate.series}, x ${candidate.xyz[0]}, y ${candidate.xyz[1]}, z ${candidate.xyz[2]} mm; ` +
    `index ${candidate.irc[0]}, row ${candidate.irc[1]}, column ${candidate.irc[2]}.`;
  const others = rows.filter((each) => each.place === row.place && each !== row);
  byId("candidate-others").replaceChildren(...others.map((other) => {
    const button = element("button", `${other.name}: ${text(other.probability)}`, { type: "button" });
    button.addEventListener("click", () => {
      open(other, false);
      byId("candidate-title").focus();
    });
    return button;
  }));
  byId("candidate-elsewhere").hidden = others.length === 0;
  byId("candidate").hidden = false;
  showTable();
  if (moves) {
    byId("candidate-title").focus({ preventScroll: true });
    byId("candidate").scrollIntoView({ block: "nearest" });
  }
  await draw();
}

async function draw() {
  const row = current, saliency = row.candidate.saliency[row.name];
  if (!blocks.has(row.place)) blocks.set(row.place, loadBlock(row.candidate.slices, data.shape, data.tiles));
  const block = await blocks.get(row.place);
  const wanted = byId("saliency").checked && saliency;
  byId("saliency").disabled = !saliency;
  const half = data.shape.map((size) => Math.ceil(size / 2));
  const map = wanted ? await loadBlock(saliency, half, data.tiles) : null;
  if (row !== current) return; // another one was opened meanwhile
  const [low, high] = WINDOWS[document.querySelector("input[name=window]:checked").value];
  const [black, white] = data.hu;
  const paint = (z, y, x) => {
    const hu = black + (block.at(z, y, x) / 255) * (white - black);
    const grey = Math.max(0, Math.min(255, (255 * (hu - low)) / (high - low)));
    if (!map) return [grey, grey, grey];
    const heat = map.at(z >> 1, y >> 1, x >> 1) / 255;
    return [grey + (255 - grey) * 0.75 * heat, grey * (1 - 0.35 * heat), grey * (1 - 0.75 * heat)];
  };
  viewer.show({ shape: block.shape, mm: row.candidate.mm, paint });
}

for (const input of document.querySelectorAll("input[name=window], #saliency")) input.addEventListener("change", draw);

function step(by) {
  const at = listed.indexOf(current), next = listed[Math.max(0, Math.min(listed.length - 1, at + by))];
  if (!next) return;
  page = Math.floor(listed.indexOf(next) / PAGE);
  open(next, false);
}
byId("candidate-before").addEventListener("click", () => step(-1));
byId("candidate-next").addEventListener("click", () => step(1));
// Only within the candidate: elsewhere these letters may be meant for something else.
byId("candidate").addEventListener("keydown", (event) => {
  if (!current || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "n") step(1);
  if (event.key === "p") step(-1);
  if (event.key === "r") viewer.reset();
  if (event.key === "c") {
    Viewer.crosses = !Viewer.crosses;
    viewer.draw();
  }
});

for (const part of document.querySelectorAll(".needs-script")) part.hidden = false;
for (const part of document.querySelectorAll(".without-script")) part.hidden = true;
showThreshold(nearest(0.5));
if (listed.length) open(listed[0], false);
Promise.allSettled(charts).then(() => {
  showThreshold(Number(slider.value));
  document.documentElement.dataset.ready = "yes";
});
