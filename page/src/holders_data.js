// The holders as the views use them: for each moment at which they were looked at a forest of rows. Read when a view
// first asks. Written by page_holders.cpp.
import { columns } from "./data.js";
import { capital, plural, seconds, show } from "./format.js";

const WORDS = { exit: "at exit", request: "now", out_of_memory: "out of memory", look: "during the run" };

/** All moments; of one: key, words, main (the blocks of the report point to its rows), held bytes, and the rows. */
export function holderMoments(model) {
  return (model.holderMoments ??= model.holders.map((raw) => {
    const rows = columns(raw.rows);
    for (const [row, ids] of Object.entries(rows.sites))
      rows.sites[row] = ids.map(model.byId).filter((site) => site >= 0);
    const below = new Map([[-1, []]]);
    for (let row = 0; row < rows.length; ++row) {
      below.set(row, []);
      below.get(rows.parent[row]).push(row);
    }
    return { ...raw, rows, below, key: raw.oom ? `oom:${raw.oom}` : raw.moment, words: wordsOf(raw) };
  }));
}

function wordsOf({ moment, oom, time }) {
  return `${WORDS[moment] ?? show(moment)}${oom > 1 ? ` ${oom}` : ""}${moment === "look" && time > 0 ? `, ${seconds(time)}` : ""}`;
}

/** The selected holder, as the state keeps it ("moment/row"): {moment, row}; row -1: none. Null when it names nothing. */
export function selectedHolder(model, store) {
  const [key, number] = store.get("holder").split("/");
  const moment = key ? holderMoments(model).find((one) => one.key === key) : null;
  const row = /^\d+$/.test(number) ? Number(number) : -1;
  return moment ? { moment, row: row < moment.rows.length ? row : -1 } : null;
}

export const holderKey = (moment, row) => `${moment.key}/${row < 0 ? "" : row}`;

/** The patch of the state that selects a holder. */
export const chooseHolder = (moment, row) => ({ holder: holderKey(moment, row), site: -1, block: -1, node: "" });

/** The moment whose rows the blocks of the report point to. */
export const mainHolders = (model) => holderMoments(model).find((moment) => moment.main) ?? null;

/** The rows of a holder and of all below it: 1 for each. */
export function holderBranch(moment, top) {
  const inside = new Uint8Array(moment.rows.length);
  inside[top] = 1;
  for (let row = top + 1; row < inside.length; ++row)
    if (moment.rows.parent[row] >= 0) inside[row] = inside[moment.rows.parent[row]];
  return inside;
}

/** A holder's name: what its path adds to that of its parent, or all of it. */
export function holderName(model, moment, row) {
  const { path, parent, variable, cycle } = moment.rows;
  if (model.text(cycle[row])) return `a cycle: ${model.text(variable[row])}`;
  const own = model.text(path[row]);
  const above = parent[row] < 0 ? "" : model.text(path[parent[row]]);
  if (above && own.startsWith(above) && own.length > above.length) return own.slice(above.length);
  const last = LAST_STEP.exec(own); // of `state['a'].grad` below `state[]`: `.grad`
  return last && blank(own.slice(0, last.index)) === blank(above) ? last[0] : own.replace(/^__main__\./, "");
}

const LAST_STEP = /(?:\.[^.[\]{}]+|\[[^[\]]*\]|\{[^{}]*\})$/;
const blank = (path) => path.replace(/\[[^[\]]*\]|\{[^{}]*\}/g, "[]");

export function holderPlace(model, moment, row) {
  const { file, line } = moment.rows;
  const path = model.text(file[row]);
  return path ? path.slice(path.lastIndexOf("/") + 1) + (line[row] > 0 ? `:${line[row]}` : "") : "";
}

/** [[role, bytes]], most first. */
export const holderRoles = (moment, row) => Object.entries(moment.rows.roles[row] ?? {}).sort((a, b) => b[1] - a[1]);

export function lookedAt(model, { moment, oom, time, step }) {
  const when =
    {
      exit: "at the end of the script",
      request: "now",
      out_of_memory: `when memory ran out${oom > 1 ? ` (${oom})` : ""}`,
      look: "while it ran, when most was alive",
    }[moment] ?? show(moment);
  return (
    `Seen ${when}` +
    (time > 0 ? `, ${seconds(time)}${model.steps.count ? ` and ${plural(step, "step")}` : ""} after the start.` : ".")
  );
}

export const momentTitle = (moment) => capital(moment.words);
