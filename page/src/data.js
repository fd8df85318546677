// The data block as the views use it: typed columns, the stack tree, and what follows from them (labels, roles).
// Written by page_data.cpp. The columns of sites, blocks, holders and frames are the fields of report.def.
import { basename, bareName, shorten } from "./format.js";

/** Colour and order of what can fill memory. The meaning of a colour is the same in every view. */
export const ROLES = [
  ["parameter", "parameters"],
  ["gradient", "gradients"],
  ["optimizer_state", "optimizer state"],
  ["saved_for_backward", "saved for backward"],
  ["buffer", "buffers"],
  ["python", "other tensors"],
  ["workspace", "library workspaces"], // no tensor: scratch memory of cuBLAS and its kin, from the tensors' allocator
  ["unknown", "tensors, holder unknown"],
];
export const ROLE_KEYS = ROLES.map(([key]) => key);

const AS_ROLE = new Map(ROLES.map(([key, text]) => [key, { key, text }]));
// What only the parts of a moment and the labels of call sites say.
AS_ROLE.set("activation", AS_ROLE.get("saved_for_backward")).set("temporary", { key: "other", text: "temporaries" });

/** Colour key and words of a role as the report names it. */
export const roleOf = (role) => AS_ROLE.get(role) ?? AS_ROLE.get("unknown");

const LETTER = new Uint8Array(128);
[..."ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"].forEach(
  (c, i) => (LETTER[c.charCodeAt(0)] = i),
);

const WORDS = { 8: Uint8Array, 16: Uint16Array, 32: Uint32Array };

function unpack(base64) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64);
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < bytes.length; ++i) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** A column in any of the forms that column_json.cpp writes; undefined: it is none. */
function decodeColumn(value, length) {
  if (Array.isArray(value)) return Float64Array.from(value);
  const out = new Float64Array(length);
  if (typeof value === "number") return out.fill(value);
  if (value.runs) {
    let at = 0;
    for (let i = 0; i < value.runs.length; i += 2) out.fill(value.runs[i], at, (at += value.runs[i + 1]));
  } else if (value.codes) {
    for (let i = 0; i < length; ++i) out[i] = value.of[LETTER[value.codes.charCodeAt(i)]];
  } else if (value.base64) {
    const { low, unit, per } = value;
    const numbers = new WORDS[value.bits](unpack(value.base64).buffer);
    if (low === 0 && unit === 1 && per === 1) return new Float64Array(numbers);
    for (let i = 0; i < length; ++i) out[i] = (low + unit * numbers[i]) / per;
  } else {
    return undefined;
  }
  return out;
}

export const column = (table, name) => decodeColumn(table[name], table.length);

/** All columns of a table. What only some rows have stays as it is: by row. */
export function columns(table) {
  const out = { length: table.length };
  for (const [name, value] of Object.entries(table))
    if (name !== "length") out[name] = decodeColumn(value, table.length) ?? value;
  return out;
}

/** The part that the report and the diff page share: strings, frames, stacks, sites. */
export function decodeStacks(raw) {
  const model = { ...raw };
  const strings = raw.strings;
  model.text = (id) => (id < 0 ? "" : strings[id]);
  model.frames = columns(raw.frames);
  const python = strings.indexOf("python");
  model.frames.native = Uint8Array.from(model.frames.kind, (kind) => (kind === python ? 0 : 1));
  model.tree = columns(raw.tree);
  model.tree.parent = model.tree.up.map((up, node) => node - up);
  model.sites = columns(raw.sites);
  model.siteById = new Map();
  for (let i = 0; i < model.sites.length; ++i) model.siteById.set(model.sites.id[i], i);
  model.byId = (id) => (id === null || id === undefined ? -1 : (model.siteById.get(id) ?? -1));
  model.growing = strings.indexOf("growing");
  model.tensorLayer = strings.indexOf("tensor");
  return model;
}

export function decode(text) {
  const raw = JSON.parse(text);
  const model = decodeStacks(raw);
  model.blocks = columns(raw.blocks);
  model.blocks.site = model.blocks.site.map(model.byId);
  model.blocks.address = addresses(model.blocks);
  model.timeline = columns(raw.timeline);
  model.knowsPeak = model.at !== "peak" && model.sites.at_peak_bytes.some((bytes) => bytes >= 0);
  addRoles(model, raw.strings);
  addDevices(model);
  return model;
}

function addresses({ address_step: steps, address_far: far }) {
  let at = 0;
  const addresses = steps.map((step) => (at += step));
  addresses.far = far;
  return addresses;
}

export function addressText(model, block) {
  return model.blocks.address.far[block] ?? "0x" + model.blocks.address[block].toString(16);
}

// A block's role as an index into ROLES (when the agent saw no tensor in it: a workspace if its site is kept as a cache,
// else unknown), and each site's role: that of most of its bytes, of one without blocks what its blocks were for.
function addRoles(model, strings) {
  const { blocks, sites } = model;
  const { length, bytes, role, site } = blocks;
  const { verdict } = sites;
  const kinds = ROLE_KEYS.length;
  const [unknown, workspace] = ["unknown", "workspace"].map((key) => ROLE_KEYS.indexOf(key));
  const cache = strings.indexOf("cache");
  const ofString = new Uint8Array(strings.length).fill(unknown);
  ROLE_KEYS.forEach((key, index) => (ofString[strings.indexOf(key)] = index)); // at -1: no element, nothing happens
  const roles = (blocks.roleIndex = new Uint8Array(length));
  const meant = Int32Array.from(strings, (text) => ROLE_KEYS.indexOf(roleOf(text).key));
  const most = (sites.roleIndex = verdict.map((text, i) =>
    text === cache ? workspace : sites.role[i] >= 0 && meant[sites.role[i]] >= 0 ? meant[sites.role[i]] : unknown,
  ));
  const sums = new Float64Array(sites.length * kinds);
  const highest = new Float64Array(sites.length);
  const start = (blocks.ofSite = new Int32Array(sites.length + 1)); // of each site's blocks in blocks.bySite
  for (let i = 0; i < length; ++i) {
    const at = site[i];
    const known = role[i] < 0 ? unknown : ofString[role[i]];
    roles[i] = known === unknown && at >= 0 && verdict[at] === cache ? workspace : known;
    if (at < 0) continue;
    start[at + 1] += 1;
    const sum = (sums[at * kinds + roles[i]] += bytes[i]);
    if (sum <= highest[at]) continue;
    highest[at] = sum;
    most[at] = roles[i];
  }
  for (let i = 0; i < sites.length; ++i) start[i + 1] += start[i];
  const fill = start.slice();
  const bySite = (blocks.bySite = new Int32Array(start[sites.length]));
  for (let i = 0; i < length; ++i) if (site[i] >= 0) bySite[fill[site[i]]++] = i;
}

function addDevices(model) {
  const seen = new Set(model.ledger.map((entry) => entry.device));
  for (const device of model.sites.device) seen.add(device);
  model.devices = [...seen].sort((a, b) => (a < 0) - (b < 0) || a - b);
  model.deviceName = (index) => (index < 0 ? "host memory" : `cuda:${index}`);
}

/** What stands for a frame on one line: function, place, and the source text when it is known. */
export function frameParts(model, frame) {
  const { frames } = model;
  if (frame < 0 || frame >= frames.length) return { function: SYNTHETIC[frame] ?? "?", place: "", source: "" };
  const file = model.text(frames.file[frame]);
  const line = frames.line[frame];
  const module = basename(model.text(frames.module[frame]));
  const name = model.text(frames.function[frame]) || "??";
  return {
    function: frames.native[frame] ? bareName(name) : name,
    place: file ? basename(file) + (line > 0 ? `:${line}` : "") : module,
    source: model.text(frames.source[frame]).trim(),
  };
}

/** A frame in one line. Code outside of functions has no name, and the text of an own line says more than any. */
export function frameLabel(model, frame) {
  const parts = frameParts(model, frame);
  const own = frame >= 0 && model.frames.own[frame] && parts.source;
  return [parts.function === "<module>" && own ? "" : parts.function, parts.place, own].filter(Boolean).join("  ");
}

// Nodes of the flame graph that no single frame stands for.
export const BACKWARD = -2;
export const NO_STACK = -3;
const SYNTHETIC = { [-1]: "all", [BACKWARD]: "its backward pass", [NO_STACK]: "no stack recorded" };

/** A site in one line: the user's own line first. */
export function siteParts(model, site) {
  const frame = model.sites.line[site];
  if (frame < 0) return { function: SYNTHETIC[NO_STACK], place: "", source: "" };
  const parts = frameParts(model, frame);
  return model.sites.backward_of[site] >= 0 ? { ...parts, backward: true } : parts;
}

/** The same as text. Code outside of functions has no name: its own text says more. */
export const siteLine = ({ place, function: called, source }, limit) =>
  shorten(`${place}  ${called === "<module>" && source ? source : called}`, limit);

/** The frames of a tree node, innermost first. */
export function stackOf(model, node) {
  const frames = [];
  for (; node > 0; node = model.tree.parent[node]) frames.push(model.tree.frame[node]);
  return frames;
}
