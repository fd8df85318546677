// The diff page's data block: the sites of both runs with both figures.
import { basename, bytes } from "./format.js";
import { columns, decodeStacks } from "./data.js";

export const CHANGES = {
  appeared: "only in B",
  grew: "more in B",
  shrank: "less in B",
  went: "only in A",
  same: "equal in both",
};

export const signed = (value) => (value === 0 ? "±0" : (value > 0 ? "+" : "−") + bytes(Math.abs(value)));

export function decodeDiff(text) {
  const model = decodeStacks(JSON.parse(text));
  model.changes = columns(model.changes);
  model.at = "exit";
  model.byWords =
    { live: "alive at the compared moment", peak: "at peak", allocated: "allocated over the run" }[model.by] ??
    model.by;
  // The scope of the report page also counts blocks: a diff has none.
  model.blocks = { length: 0 };
  model.devices = [...new Set(model.sites.device)].sort((a, b) => a - b);
  model.deviceName = (index) => (index < 0 ? "host memory" : `cuda:${index}`);
  return model;
}

export const runCommand = (run) =>
  run.command.length ? [basename(run.command[0]), ...run.command.slice(1)].join(" ") : run.executable || "a program";

/** What tells two runs of one command apart. */
export const runFacts = (run) =>
  `pid ${run.pid}${run.started_at ? `, ${run.started_at.replace("T", " ").replace("Z", " UTC")}` : ""}`;
