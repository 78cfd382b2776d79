"use strict";
// Filters rows, fills the table and hands each figure its points. The figures themselves are declared in Python.
const page = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const filters = byId("filters");
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const dash = "–";

function escape(text) {
  const node = document.createElement("span");
  node.textContent = text;
  return node.innerHTML.replaceAll('"', "&quot;");
}

function fixed(value, digits = 1) {
  return value === null || value === undefined ? dash : value.toFixed(digits);
}

function chosen() {
  const form = new FormData(filters);
  return { task: form.get("task"), seed: form.get("seed"), size: form.get("size"), methods: new Set(form.getAll("method")) };
}

function ofTask(task) {
  return page.rows.filter((row) => `${row.suite}/${row.task}` === task);
}

// Rows of the choice; under one seed all numbers are that seed's.
function selected() {
  const want = chosen();
  return ofTask(want.task)
    .filter((row) => want.methods.has(row.method) && (want.size === "" || row.size === 0 || String(row.size) === want.size))
    .filter((row) => want.seed === "" || row.seeds[want.seed])
    .map((row) => (want.seed === "" ? row : { ...row, ...row.seeds[want.seed], lacking: false }));
}

// The same placing as `points.pareto_points` and `labels.placed`: a test compares them.
function paretoPoints(rows, axis) {
  const shown = rows.filter((row) => row.score && row[axis]);
  const last = new Map([...shown].sort((a, b) => b[axis] - a[axis]).map((row) => [row.method, row.row]));
  const places = new Map([...last.keys()].map((method, place) => [method, place]));
  const middle = (places.size - 1) / 2;
  const points = shown.map((row) => ({
    x: row[axis] * (1 + (0.05 * (places.get(row.method) - middle)) / Math.max(1, middle)),
    left: row[axis], y: row.score.value, low: row.score.low, high: row.score.high, method: row.method, row: row.row,
    label: last.get(row.method) === row.row ? row.method : "",
  }));
  const values = points.map((point) => point.y);
  const spread = Math.max(...values) - Math.min(...values);
  const step = spread > 1e-6 * Math.max(...values.map(Math.abs)) ? 0.055 * spread : 0;  // less would move nothing
  const taken = [];
  for (const point of points.filter((each) => each.label).sort((a, b) => a.y - b.y)) {
    let y = point.y + step / 2;
    const near = (other) => Math.abs(y - other.y) < step && Math.max(other.x, point.x) < 1.9 * Math.min(other.x, point.x);
    while (step > 0 && taken.some(near)) y += step / 4;
    taken.push({ x: point.x, y });
    point.label_y = y;
  }
  return points;
}

// Draw a figure from its declaration, with points in the place of its own and titles in that of its marks.
function draw(id, name, points, titles = {}) {
  const target = byId(id);
  if (!points.length) { target.replaceChildren(); return Promise.resolve(); }
  let text = JSON.stringify(page.figures[name]);
  for (const [mark, title] of Object.entries(titles)) text = text.replaceAll(`__${mark}__`, JSON.stringify(title).slice(1, -1));
  const spec = JSON.parse(text);
  spec.data = { values: points };
  if (name === "pareto") around(spec, points.map((point) => point.y));
  const ink = getComputedStyle(document.body).color;
  const soft = { labelColor: ink, titleColor: ink, domainColor: ink, tickColor: ink };
  const config = { axis: soft, legend: { labelColor: ink, titleColor: ink }, text: { color: ink } };
  return vegaEmbed(target, lighten(spec), { actions: false, renderer: "svg", config }).catch((error) => console.error(error));
}

// Black and dark blue marks would hardly be seen on black.
function lighten(spec) {
  const text = JSON.stringify(spec).replaceAll('"#000000"', '"#f2f2f2"').replaceAll('"#0072B2"', '"#6db3f2"');
  return dark.matches ? JSON.parse(text) : spec;
}

function around(spec, values) {
  const margin = 0.12 * (Math.max(...values) - Math.min(...values)) || 1;
  const domain = [Math.min(...values) - margin, Math.max(...values) + 1.5 * margin];
  for (const layer of spec.layer) if (layer.encoding.y.scale && layer.encoding.y.scale.domain) layer.encoding.y.scale.domain = domain;
}

function source(record) {
  const file = record.file ? `<a href="${escape(record.file)}">${escape(record.key)}</a>` : escape(record.key);
  const size = record.real === null ? "" : `, ${record.real} % removed`;
  return `<p class="source">seed ${record.seed}: record ${file}, n = ${record.n} (${escape(record.data)})${size}; ` +
    `commit ${escape(record.commit)}, ${escape(record.finished)}, ${escape(record.machine)}, ` +
    `torch ${escape(record.torch)}, transformers ${escape(record.transformers)}</p>`;
}

function fillTable(rows) {
  byId("table").innerHTML = rows.map((row, index) => `
    <tr><th scope="row"><button type="button" class="open" aria-expanded="false" aria-controls="detail-${index}">${escape(row.row)}${row.lacking ? " †" : ""}</button></th>
    <td>${row.score_text}</td><td>${row.below_text}</td><td>${fixed(row.encoder)} %</td>
    <td>${fixed(row.all)} %</td><td>${fixed(row.macs)} %</td><td>${row.time === null ? dash : fixed(row.time) + " %"}</td>
    <td>${fixed(row.seconds, 0)} s</td><td>${row.records.length}</td></tr>
    <tr class="detail" id="detail-${index}" hidden><td colspan="9">${row.records.map(source).join("")}</td></tr>`).join("");
}

function masks(rows) {
  const known = rows.filter((row) => row.kept);
  const select = byId("mask-row");
  keepChoice(select, known.map((row) => row.row));
  byId("no-masks").hidden = known.length > 0;
  select.closest("p").hidden = known.length === 0;
  drawMasks(known.find((row) => row.row === select.value));
}

function drawMasks(row) {
  const heads = row && row.kept.heads ? row.kept.heads : [];
  draw("chart-heads", "heads", heads.flatMap((layer, i) => layer.map((share, j) => ({ layer: i + 1, head: j + 1, share: 100 * share }))));
  const ffn = row && row.kept.ffn ? row.kept.ffn : [];
  draw("chart-widths", "widths", ffn.map((units, i) => ({ layer: i + 1, units })));
  const curves = (row && row.curves) || { step: [] };
  byId("no-curves").hidden = curves.step.length > 0;
  byId("curves-of").textContent = curves.step.length ? `${row.row}: what the gates expect, what keeping by their sign gives, and the target; of the first seed, or of the one chosen.` : "";
  draw("chart-curves", "curves", ["expected", "real", "target"].flatMap((name) => (curves[name] || []).map((value, i) => ({ x: curves.step[i], y: 100 * value, name }))));
  byId("hidden-kept").textContent = row ? `FFN units, mean over the seeds chosen; hidden width ${fixed(row.kept.hidden, 0)}.` : "";
}

function tokens(rows) {
  const points = rows.filter((row) => row.tokens).flatMap((row) => row.tokens.map((share, i) => ({
    x: i + 1, y: 100 * share, method: row.method, row: row.row, label: i === row.tokens.length - 1 ? row.row : "",
  })));
  let lowest = -Infinity;
  for (const point of points.filter((each) => each.label).sort((a, b) => a.y - b.y)) {
    lowest = point.label_y = Math.max(point.y + 2, lowest + 6);
  }
  byId("no-tokens").hidden = points.length > 0;
  draw("chart-tokens", "lines", points);
}

// Sentences of the rows that note where each token is dropped; the earlier, the stronger the colour.
function words(rows) {
  const known = rows.filter((row) => row.words);
  keepChoice(byId("word-row"), known.map((row) => row.row));
  byId("words").hidden = known.length === 0;
  drawWords(known.find((row) => row.row === byId("word-row").value));
}

function drawWords(row) {
  const last = row ? row.tokens.length : 1;
  const token = ({ text, joined, layer }) => {
    const gap = joined ? "" : " ";
    if (!layer) return `${gap}<span class="token stays">${escape(text)}</span>`;
    const early = Math.round(90 - (70 * (layer - 1)) / Math.max(1, last - 1));
    return `${gap}<span class="token gone" style="--early: ${early}%">${escape(text)}<sub>${layer}</sub></span>`;
  };
  byId("sentences").innerHTML = (row ? row.words : []).map((each) => `<p class="sentence">${each.map(token).join("")}</p>`).join("");
}

// Options of a select; what was chosen stays so where it is still among them.
function keepChoice(select, values) {
  const before = select.value;
  select.innerHTML = values.map((value) => `<option>${escape(value)}</option>`).join("");
  if (values.includes(before)) select.value = before;
}

function refresh() {
  const rows = selected(), about = page.tasks[chosen().task], axis = byId("axis");
  byId("about").textContent = about.about;
  fillTable(rows);
  draw("chart-pareto", "pareto", paretoPoints(rows, axis.value), { X: axis.selectedOptions[0].text, Y: about.metric + (about.higher ? "" : " (less is better)") });
  masks(rows);
  tokens(rows);
  words(rows);
  draw("chart-cost", "costs", rows.filter((row) => row.cost > 0).map((row) => ({ row: row.row, cost: row.cost })));
}

// Another task has other methods, sizes and seeds.
function options() {
  const rows = ofTask(chosen().task);
  const unique = (values) => [...new Set(values)];
  const set = (name, values, first, text) => {
    filters.elements[name].innerHTML = `<option value="">${first}</option>` + values.map((v) => `<option value="${v}">${text(v)}</option>`).join("");
  };
  set("seed", unique(rows.flatMap((row) => Object.keys(row.seeds))).sort(), "mean of all", (seed) => `seed ${seed}`);
  set("size", unique(rows.map((row) => row.size).filter((size) => size > 0)).sort((a, b) => a - b), "all", (size) => `${size} %`);
  byId("methods").innerHTML = unique(rows.map((row) => row.method))
    .map((method) => `<label><input type="checkbox" name="method" value="${escape(method)}" checked> ${escape(method)}</label>`).join("");
}

filters.addEventListener("change", (event) => { if (event.target.name === "task") options(); refresh(); });
filters.addEventListener("reset", () => setTimeout(() => { options(); refresh(); }));
byId("axis").addEventListener("change", refresh);
byId("mask-row").addEventListener("change", () => drawMasks(selected().find((row) => row.row === byId("mask-row").value)));
byId("word-row").addEventListener("change", () => drawWords(selected().find((row) => row.row === byId("word-row").value)));
byId("table").addEventListener("click", (event) => {
  const button = event.target.closest("button.open");
  if (!button) return;
  const detail = byId(button.getAttribute("aria-controls"));
  detail.hidden = !detail.hidden;
  button.setAttribute("aria-expanded", String(!detail.hidden));
});
dark.addEventListener("change", () => { refresh(); sweeps(); });

function sweeps() {
  page.sweeps.forEach((sweep, index) => draw(`sweep-${index}`, "sweep", sweep.points, { X: sweep.name, Y: sweep.metric }));
}

// A page that loads itself again while a grid runs stays as it was: its choices, and the place it was read at.
const choices = ["axis", "mask-row", "word-row"];
function remember() {
  const form = [...new FormData(filters)].filter(([name]) => name !== "method");
  const off = [...filters.querySelectorAll("input[name=method]:not(:checked)")].map((box) => box.value);
  const state = { form, off, chosen: choices.map((id) => byId(id).value), top: window.scrollY };
  try { sessionStorage.setItem("choices", JSON.stringify(state)); } catch { /* a browser that keeps nothing */ }
}

function restore() {
  let state = null;
  try { state = JSON.parse(sessionStorage.getItem("choices")); } catch { /* likewise */ }
  const offered = (select, value) => [...select.options].some((option) => option.value === value);
  if (!state || !offered(filters.elements.task, state.form[0][1])) { options(); refresh(); return; }
  filters.elements.task.value = state.form[0][1];
  options();
  for (const [name, value] of state.form) if (offered(filters.elements[name], value)) filters.elements[name].value = value;
  for (const box of filters.querySelectorAll("input[name=method]")) box.checked = !state.off.includes(box.value);
  byId("axis").value = state.chosen[0];
  refresh();
  choices.slice(1).forEach((id, place) => {
    const select = byId(id), value = state.chosen[place + 1];
    if (offered(select, value)) { select.value = value; select.dispatchEvent(new Event("change")); }
  });
  requestAnimationFrame(() => window.scrollTo(0, state.top));
}
window.addEventListener("pagehide", remember);
restore();
sweeps();
