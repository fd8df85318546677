// The head of the page: what ran, and the verdict in plain words.
import { basename, bytes, count, plural, seconds, shorten, show } from "./format.js";
import { fill, h, name } from "./dom.js";
import { ROLES } from "./data.js";

export const SEVERITY = { error: "problem", warning: "warning", info: "note" };

const ENDS = {
  exit: (end) => `exit ${end.code ?? "?"}`,
  signal: (end) => `ended by signal ${end.code ?? "?"}`,
  killed: () => "killed",
  running: () => "still running",
};
export const endText = (end) => ENDS[end.kind]?.(end) ?? "end not seen";

export function header(root, model) {
  const { process } = model;
  const command = process.command.length ? process.command.join(" ") : process.executable || "a program";
  document.title = `${shorten(command, 60)} · vramtrack`;
  const facts = [
    model.ranks ? plural(model.ranks.members.length, "process", "processes") : `pid ${process.pid}`,
    process.rank !== null
      ? `rank ${process.rank}${process.world_size !== null ? ` of ${process.world_size}` : ""}`
      : null,
    seconds(process.duration),
    endText(process.end),
    model.environment.simulated ? "simulated GPU" : null,
  ];
  const words = process.command.length
    ? [basename(process.command[0]), ...process.command.slice(1)].join(" ")
    : command;
  fill(
    root,
    h("bdi.command", { title: shorten(command, 2000) }, shorten(words, 120)),
    h("span.muted", null, facts.filter(Boolean).join(" · ")),
  );
}

/** The finding that the verdict is about. */
export const worstOf = (model) =>
  ["error", "warning"].map((level) => model.findings.find((f) => f.severity === level)).find(Boolean);

export function verdictView(root, model, store) {
  const found = model.findings;
  const problems = found.filter((f) => f.severity === "error");
  const warnings = found.filter((f) => f.severity === "warning");
  const worst = worstOf(model);
  const title = worst ? h("h1", null, quoted(worst.title)) : h("h1.calm", null, `${model.none_found}.`);
  const lines = [];
  if (worst) lines.push(h("p", null, quoted(worst.message)));
  else lines.push(h("p", null, calmWords(model)));
  const chips = found.map((finding, index) =>
    h(
      `button.chip.s-${SEVERITY[finding.severity] ? finding.severity : "info"}`,
      { type: "button", onclick: () => open(model, store, index) },
      h("b", null, SEVERITY[finding.severity] ?? "note"),
      " ",
      show(finding.code),
      finding.file ? h("span.muted", null, " ", name(shorten(place(finding), 60))) : null,
      finding.bytes >= 1024 ? ` ${bytes(finding.bytes)}` : null,
    ),
  );
  fill(
    root,
    h(
      "div.verdict-words",
      null,
      title,
      lines,
      worst?.fix ? h("p.fix", null, h("b", null, "Fix "), quoted(worst.fix)) : null,
    ),
    h(
      "div.outline",
      null,
      h(
        "ul.facts",
        null,
        deviceFacts(model).map((fact) => h("li", null, fact)),
        model.ranks?.outlier ? h("li", null, name(shorten(model.ranks.outlier, 300))) : null,
      ),
      chips.length || model.ranks
        ? h(
            "div.chips",
            { role: "group", "aria-label": "Findings" },
            chips,
            model.ranks
              ? h(
                  "button.chip",
                  { type: "button", onclick: () => store.set({ tab: "ranks" }) },
                  h("b", null, "compare"),
                  " the ranks",
                )
              : null,
          )
        : null,
    ),
  );
  root.dataset.mood = problems.length ? "error" : warnings.length ? "warning" : "calm";
}

export const place = (finding) =>
  finding.file
    ? `${finding.file.slice(finding.file.lastIndexOf("/") + 1)}${finding.line ? `:${finding.line}` : ""}`
    : "";

/** Text in which `code` stands between backquotes. */
export function quoted(text) {
  return text
    .split("`")
    .map((part, i) =>
      part === "" ? null : i % 2 ? h("code", null, name(shorten(part, 400))) : name(shorten(part, 4000)),
    );
}

/** A device that was full is best looked at as it was then. */
export const momentOf = (finding) =>
  finding?.code === "out-of-memory" && finding.evidence?.n ? { at: `oom:${finding.evidence.n}` } : {};

export function open(model, store, index) {
  store.set({
    tab: "findings",
    site: model.byId(model.findings[index].site),
    block: -1,
    ...momentOf(model.findings[index]),
  });
  document.getElementById(`finding-${index}`)?.scrollIntoView({ block: "nearest" });
}

function calmWords(model) {
  const { sites } = model;
  const calm = sites.verdict.includes(model.growing) ? "" : " No call site grows.";
  if (!model.totals.some((t) => t.layer === "tensor" && t.allocated_count)) {
    const live = model.totals.reduce((sum, t) => sum + t.live_bytes, 0);
    return live
      ? `${bytes(live)} of CUDA memory were alive ${model.now}.${calm}`
      : `Nothing that was asked from CUDA was alive ${model.now}.`;
  }
  const held = new Float64Array(ROLES.length);
  let total = 0;
  for (let i = 0; i < sites.length; ++i) {
    if (sites.layer[i] !== model.tensorLayer) continue;
    held[sites.roleIndex[i]] += sites.live_bytes[i];
    total += sites.live_bytes[i];
  }
  if (!total) return `Nothing of the tensors was alive ${model.now}.`;
  const most = held.indexOf(Math.max(...held));
  return `${bytes(total)} of tensors were alive ${model.now}, most of it in ${ROLES[most][1]}.${calm}`;
}

function deviceFacts(model) {
  const facts = [];
  for (const device of model.devices) {
    if (device < 0) continue;
    const of = (layer) => {
      const rows = model.totals.filter((t) => t.device === device && t.layer === layer);
      return rows.length
        ? rows.reduce((a, b) => ({
            ...a,
            live_bytes: a.live_bytes + b.live_bytes,
            live_count: a.live_count + b.live_count,
            peak_bytes: Math.max(a.peak_bytes, b.peak_bytes),
            peak_at_time: a.peak_bytes >= b.peak_bytes ? a.peak_at_time : b.peak_at_time,
            peak_at_step: a.peak_bytes >= b.peak_bytes ? a.peak_at_step : b.peak_at_step,
          }))
        : null;
    };
    const main = of("tensor") ?? of("cuda");
    if (!main) continue;
    const entry = model.ledger.find((e) => e.device === device);
    facts.push([
      h("b", null, model.deviceName(device)),
      " live ",
      h("b", null, bytes(main.live_bytes)),
      ` in ${plural(main.live_count, "block")}`,
      "   peak ",
      h("b", null, bytes(main.peak_bytes)),
      model.steps.count ? ` at step ${count(main.peak_at_step)}` : ` after ${seconds(main.peak_at_time)}`,
      of("tensor") && entry
        ? ["   reserved ", h("b", null, bytes(entry.tensors_live_bytes + entry.cached_bytes))]
        : null,
    ]);
  }
  return facts;
}
