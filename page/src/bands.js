// Memory over time by call site, from the event history: the same plot as the timeline, with one layer for each of the
// largest sites and one for all others.
import { column, ROLES, siteLine, siteParts } from "./data.js";
import { bytes, plural } from "./format.js";
import { colour } from "./dom.js";

/** The layers of one device, largest at the bottom; null without a history. */
export function bandsOf(model, device) {
  const raw = model.history?.find((plot) => plot.device === device);
  if (!raw) return null;
  const total = column(raw, "total");
  const layers = raw.bands.map((band) => ({ site: model.byId(band.site), bytes: column(band, "bytes") })).filter((layer) => layer.site >= 0);
  const sum = (values) => values.reduce((a, b) => a + b, 0);
  layers.forEach((layer) => (layer.sum = sum(layer.bytes)));
  layers.sort((a, b) => b.sum - a.sum);
  const others = total.slice();
  for (const layer of layers) layer.bytes.forEach((value, i) => (others[i] -= value));
  layers.push({ site: -1, bytes: others, sum: sum(others) });
  // Each drawn line is the sum of its own and all layers under it.
  const below = new Float64Array(total.length);
  for (const layer of layers) layer.top = Float64Array.from(layer.bytes, (value, i) => (below[i] += value));
  // Nothing is logged while nothing changes: the last level lasts until the end of the run.
  const time = Array.from(total, (_, i) => raw.start + i * raw.interval);
  const lasting = (values) => Float64Array.of(...values, values.at(-1));
  for (const layer of layers) [layer.bytes, layer.top] = [lasting(layer.bytes), lasting(layer.top)];
  return { time: [...time, Math.max(model.process.duration, time.at(-1) + raw.interval)], step: lasting(column(raw, "steps")), layers };
}

/** A layer's colour: that of its role, growing sites in theirs; neighbours of one colour differ in strength. */
export function bandColour(model, layer, index) {
  if (layer.site < 0) return colour("context");
  const key = model.sites.verdict[layer.site] === model.growing ? "grow-line" : model.sites.layer[layer.site] === model.tensorLayer ? ROLES[model.sites.role[layer.site]][0] : "other";
  return `color-mix(in srgb, ${colour(key)} ${[100, 76, 88, 64][index % 4]}%, ${colour("panel")})`;
}

/** Which layer lies at this height. */
export const bandAt = (bands, index, value) => bands.layers.findIndex((layer) => layer.bytes[index] > 0 && value <= layer.top[index]);

export function bandWords(model, layer, index, others) {
  const amount = bytes(layer.bytes[index]);
  if (layer.site < 0) return `${plural(others, "smaller call site")}: ${amount}`;
  return `${bandName(model, layer, 90)}: ${amount}`;
}

export function bandName(model, layer, limit) {
  return siteLine(siteParts(model, layer.site), limit);
}
