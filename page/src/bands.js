// Memory over time by call site, role or phase, from the event history: the same plot as the timeline, with one layer for
// each of the largest sites and one for all others, or one for each role or phase.
import { column, roleOf, ROLES, siteLine, siteParts } from "./data.js";
import { bytes, plural } from "./format.js";
import { colour } from "./dom.js";

/** Colours of the phases: those of no role. */
const PHASES = { forward: "own", backward: "less-3", optimizer: "more-2", data: "lib", other: "context" };

const SUMS = {
  roles: ({ name }) => ({ name: roleOf(name).text, key: roleOf(name).key }),
  phases: ({ name }) => ({ name, key: PHASES[name] ?? "context" }),
};

/** What a device's history can be split by: "roles", "phases", "bands" (call sites). */
export const splitsOf = (model, device) =>
  ["roles", "phases", "bands"].filter((by) => model.history?.find((plot) => plot.device === device)?.[by].length);

/** The layers of one device, largest at the bottom; null without a history. */
export function bandsOf(model, device, by) {
  const raw = model.history?.find((plot) => plot.device === device);
  if (!raw) return null;
  const total = column(raw, "total");
  const layers =
    by === "bands"
      ? raw.bands
          .map((band) => ({ site: model.byId(band.site), bytes: column(band, "bytes") }))
          .filter((layer) => layer.site >= 0)
      : raw[by].map((one) => ({ site: -1, ...SUMS[by](one), bytes: column(one, "bytes") }));
  const sum = (values) => values.reduce((a, b) => a + b, 0);
  layers.forEach((layer) => (layer.sum = sum(layer.bytes)));
  layers.sort((a, b) => b.sum - a.sum);
  if (by === "bands") {
    const others = total.slice();
    for (const layer of layers) layer.bytes.forEach((value, i) => (others[i] -= value));
    layers.push({ site: -1, bytes: others, sum: sum(others) });
  }
  // Each drawn line is the sum of its own and all layers under it.
  const below = new Float64Array(total.length);
  for (const layer of layers) layer.top = Float64Array.from(layer.bytes, (value, i) => (below[i] += value));
  // Nothing is logged while nothing changes: the last level lasts until the end of the run.
  const time = Array.from(total, (_, i) => raw.start + i * raw.interval);
  const lasting = (values) => Float64Array.of(...values, values.at(-1));
  for (const layer of layers) [layer.bytes, layer.top] = [lasting(layer.bytes), lasting(layer.top)];
  return {
    time: [...time, Math.max(model.process.duration, time.at(-1) + raw.interval)],
    step: lasting(column(raw, "steps")),
    layers,
  };
}

/** A layer's colour: that of its role, growing sites in theirs; neighbours of one colour differ in strength. */
export function bandColour(model, layer, index) {
  if (layer.key) return colour(layer.key);
  if (layer.site < 0) return colour("context");
  const key =
    model.sites.verdict[layer.site] === model.growing
      ? "grow-line"
      : model.sites.layer[layer.site] === model.tensorLayer
        ? ROLES[model.sites.roleIndex[layer.site]][0]
        : "other";
  return `color-mix(in srgb, ${colour(key)} ${[100, 76, 88, 64][index % 4]}%, ${colour("panel")})`;
}

/** Which layer lies at this height. */
export const bandAt = (bands, index, value) =>
  bands.layers.findIndex((layer) => layer.bytes[index] > 0 && value <= layer.top[index]);

export function bandWords(model, layer, index, others) {
  const amount = bytes(layer.bytes[index]);
  if (layer.name) return `${layer.name}: ${amount}`;
  if (layer.site < 0) return `${plural(others, "smaller call site")}: ${amount}`;
  return `${bandName(model, layer, 90)}: ${amount}`;
}

/** Empty for the layer of all others. */
export function bandName(model, layer, limit) {
  if (layer.site < 0) return layer.name ?? "";
  return siteLine(siteParts(model, layer.site), limit);
}
