// What the memory of a moment is made of: modules, within them roles, as areas, and the same as a table with its sum.
import { bytes, count, plural, show } from "./format.js";
import { choice, fill, h, legendKey, name } from "./dom.js";

/** Colour key and name of each role; the colours are those of the other views. */
const PARTS = [
  ["parameter", "parameter", "parameters"],
  ["gradient", "gradient", "gradients"],
  ["optimizer_state", "optimizer_state", "optimizer state"],
  ["activation", "saved_for_backward", "saved for backward"],
  ["temporary", "other", "temporaries"],
  ["buffer", "buffer", "buffers"],
  ["workspace", "workspace", "library workspaces"],
  ["python", "python", "held by Python"],
  ["unknown", "unknown", "unknown"],
];
const PART = new Map(PARTS.map(([role, colour, text]) => [role, { colour, text }]));
const part = (role) => PART.get(role) ?? { colour: "unknown", text: role };
const OUTSIDE = "outside of any module";
const HEIGHT = 360;

export function peakView(root, model, store) {
  const moments = [["peak", "At the peak", model.peak_breakdown], ["now", "At this report's moment", model.breakdown]].filter(([, , rows]) => rows?.length);
  let moment = moments[0]?.[0];
  const bar = h("div.bar");
  const body = h("div");
  root.append(bar, body);

  function rows() {
    const device = store.get("device");
    const all = moments.find(([key]) => key === moment)?.[2] ?? [];
    return all.filter((row) => device === "all" || row.device === Number(device));
  }

  function build() {
    if (!moments.length) return fill(body, h("p.note", null, "No tensor of PyTorch was alive, or the trace is of an older version."));
    const shown = rows();
    const total = shown.reduce((sum, row) => sum + row.bytes, 0);
    fill(bar, choice("Moment", moments.map(([key, text]) => [key, text]), moment, (key) => { moment = key; build(); }), h("span.grow"), h("b", null, bytes(total)));
    fill(body,
      h("p.legend", null, PARTS.filter(([role]) => shown.some((row) => row.role === role)).map(([role, colour, text]) => legendKey(colour, `${text} ${bytes(shown.reduce((sum, row) => sum + (row.role === role ? row.bytes : 0), 0))}`))),
      treemap(shown, root.clientWidth || 900, HEIGHT),
      h("table.plain", null,
        h("thead", null, h("tr", null, ["Bytes", "Share", "Blocks", "What", "Phase", "Module"].map((title) => h("th", null, title)))),
        h("tbody", null, [...shown].sort((a, b) => b.bytes - a.bytes).slice(0, 200).map((row) => h("tr", null, h("td.number", null, bytes(row.bytes)), h("td.number", null, `${((100 * row.bytes) / total).toFixed(1)} %`), h("td.number", null, count(row.blocks)), h("td", null, part(row.role).text), h("td", null, row.phase ?? ""), h("td", null, name(show(row.module ?? OUTSIDE), "bdi")))))),
      shown.length > 200 ? h("p.note", null, `${plural(shown.length - 200, "smaller row")} not shown.`) : null,
      model.at !== "oom" ? advice() : null);
  }

  function advice() {
    if (!model.advice?.length) return null;
    return h("section", null, h("h3", null, "What would lower the peak"), h("ul", null, model.advice.map((item) => h("li", null, h("b", null, bytes(item.saves_bytes)), ` less (${item.basis}): `, show(item.title), ". ", show(item.fix)))));
  }

  return {
    update(changed) {
      if (!body.firstChild || changed.has("device") || changed.has("theme")) build();
    },
    resize: build,
  };
}

/** Areas in proportion to bytes: rows of nearly square cells, largest first. Returns [{item, x, y, w, h}]. */
export function squarify(items, width, height) {
  const total = items.reduce((sum, item) => sum + item.bytes, 0);
  const cells = [];
  let [x, y, w, high, left] = [0, 0, width, height, total];
  for (let i = 0; i < items.length; ) {
    const along = Math.min(w, high);
    const scale = (w * high) / Math.max(left, 1);
    let sum = 0;
    let end = i;
    let worst = Infinity;
    for (; end < items.length; ++end) {
      const next = sum + items[end].bytes * scale;
      const side = next / along;
      const ratio = Math.max(...[items[i], items[end]].map((item) => Math.max((item.bytes * scale) / side / side, (side * side) / Math.max(item.bytes * scale, 1e-9))));
      if (end > i && ratio > worst) break;
      worst = ratio;
      sum = next;
    }
    const side = sum / along;
    let at = 0;
    for (let j = i; j < end; ++j) {
      const length = side > 0 ? (items[j].bytes * scale) / side : 0;
      cells.push(w >= high ? { item: items[j], x, y: y + at, w: side, h: length } : { item: items[j], x: x + at, y, w: length, h: side });
      at += length;
      left -= items[j].bytes;
    }
    if (w >= high) { x += side; w -= side; } else { y += side; high -= side; }
    i = end;
  }
  return cells;
}

function treemap(rows, width, height) {
  const modules = new Map();
  for (const row of rows) {
    const key = row.module ?? OUTSIDE;
    if (!modules.has(key)) modules.set(key, { key, bytes: 0, roles: new Map() });
    const module = modules.get(key);
    module.bytes += row.bytes;
    module.roles.set(row.role, (module.roles.get(row.role) ?? 0) + row.bytes);
  }
  const order = [...modules.values()].sort((a, b) => b.bytes - a.bytes);
  const box = h("div.treemap", { role: "img", "aria-label": `${plural(order.length, "module")} by bytes; the table below has the figures` });
  box.style.height = `${height}px`;
  for (const { item: module, x, y, w, h: high } of squarify(order, width, height)) {
    if (w < 1 || high < 1) continue;
    const cell = h("div", { title: `${module.key}: ${bytes(module.bytes)}` });
    place(cell, x, y, w, high);
    const roles = [...module.roles].map(([role, size]) => ({ role, bytes: size })).sort((a, b) => b.bytes - a.bytes);
    for (const { item, x: left, y: top, w: wide, h: tall } of squarify(roles, w, high)) {
      const area = h("i", { title: `${module.key}: ${part(item.role).text}, ${bytes(item.bytes)}` });
      area.style.background = `var(--${part(item.role).colour})`;
      place(area, left, top, wide, tall);
      cell.append(area);
    }
    if (w > 60 && high > 16) cell.append(h("span", null, name(show(module.key)), high > 32 ? h("br") : " ", bytes(module.bytes)));
    box.append(cell);
  }
  return box;
}

function place(element, x, y, w, high) {
  Object.assign(element.style, { left: `${x}px`, top: `${y}px`, width: `${w}px`, height: `${high}px` });
}
