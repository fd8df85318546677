// Where a device's memory is: one bar that adds up to the device's total, and the same as a table.
import { ROLES } from "./data.js";
import { bytes, count, exactBytes, percent, show } from "./format.js";
import { fill, ground, h, name, swatch } from "./dom.js";

const WORDS = {
  cached:
    "Reserved by the caching allocator for reuse, no tensor in it now. nvidia-smi counts it as used; it is not a leak.",
  context:
    "CUDA context, kernels' code, and other processes: what the driver reports as used beyond all that was traced.",
  free: "Free on the device.",
  parameter: "Weights that an optimizer updates or a module holds.",
  gradient: "The .grad of parameters. zero_grad() frees them.",
  optimizer_state: "What the optimizer keeps for each parameter, such as Adam's two averages.",
  saved_for_backward: "Activations that autograd keeps until backward() has used them.",
  buffer: "Tensors of modules that no optimizer updates.",
  python: "Tensors that Python variables or containers hold.",
  workspace: "Scratch memory of cuBLAS and the like, made once and kept. Not a leak.",
  unknown: "Tensors whose role the agent does not know.",
};

/** The rows of one device's ledger; their bytes add up to the device's total. */
export function ledgerRows(model, entry) {
  const { blocks } = model;
  const sums = new Float64Array(ROLES.length);
  for (let i = 0; i < blocks.length; ++i) {
    if (blocks.device[i] === entry.device && blocks.layer[i] === model.tensorLayer)
      sums[blocks.roleIndex[i]] += blocks.bytes[i];
  }
  const known = sums.reduce((a, b) => a + b, 0);
  const rows = [];
  const unknown = ROLES.findIndex(([key]) => key === "unknown");
  sums[unknown] += entry.tensors_live_bytes - known; // blocks that are not listed one by one
  ROLES.forEach(([key, text], i) => {
    if (sums[i] > 0) rows.push({ key, text, bytes: sums[i], why: WORDS[key] });
  });
  if (entry.cached_bytes)
    rows.push({
      key: "cached",
      text: "cached, no tensor in it",
      short: "cached",
      bytes: entry.cached_bytes,
      why: `${WORDS.cached} Largest free piece: ${bytes(entry.largest_free_cached_block_bytes)}.`,
    });
  // torch's own entry is the segments that the rows above already divide.
  for (const owner of entry.owners) {
    if (owner.owner === "torch" && entry.tensors_live_bytes + entry.cached_bytes > 0) continue;
    if (owner.bytes)
      rows.push({
        key: "other",
        owner: true,
        text: owner.owner,
        bytes: owner.bytes,
        why: "Memory that this library or program asked CUDA for itself.",
      });
  }
  if (entry.context_and_other_bytes)
    rows.push({
      key: "context",
      text: "CUDA context and other processes",
      short: "context, others",
      bytes: entry.context_and_other_bytes,
      why: WORDS.context,
    });
  const used = rows.reduce((sum, row) => sum + row.bytes, 0);
  const free = entry.total_bytes - used;
  if (free > 0)
    rows.push({
      key: "free",
      text: entry.driver_used_bytes === null ? "free, or used by others (driver not asked)" : "free",
      bytes: free,
      why: WORDS.free,
    });
  return { rows, used, over: free < 0 && entry.total_bytes ? -free : 0 };
}

const label = (row) => (row.owner ? name(show(row.text).slice(0, 60)) : row.text);

export function ledgerBars(root, model, store) {
  const draw = () =>
    fill(
      root,
      model.ledger
        .filter(
          (entry) =>
            store.get("device") === "all" ||
            Number(store.get("device")) === entry.device ||
            Number(store.get("device")) < 0,
        )
        .map((entry) => deviceBar(model, entry)),
    );
  return { update: (changed) => (changed.has("device") || !root.firstChild) && draw(), resize: () => {} };
}

function deviceBar(model, entry) {
  const { rows, used, over } = ledgerRows(model, entry);
  const whole = Math.max(entry.total_bytes, used) || 1;
  const device = model.environment.devices.find((d) => d.index === entry.device);
  const magnified = used < 0.45 * whole;
  const segments = (list, sum, withText) =>
    list.map((row) => {
      const part = h(
        `div.part.k-${row.key}`,
        { title: `${row.text}: ${bytes(row.bytes)} (${percent(row.bytes, whole)} of the device)` },
        withText && row.bytes / sum > 0.02
          ? h(
              "span",
              null,
              h("bdi", null, row.owner ? show(row.text).slice(0, 60) : (row.short ?? row.text)),
              h("b", null, bytes(row.bytes)),
            )
          : null,
      );
      part.style.background = ground(row.key);
      part.style.flexGrow = String(row.bytes / sum);
      return part;
    });
  const inUse = rows.filter((row) => row.key !== "free");
  const bars = [];
  if (magnified && inUse.length) {
    const lens = h("div.lens", { "aria-hidden": "true" });
    lens.style.setProperty("--share", `${Math.max(0.4, (100 * used) / whole)}%`);
    bars.push(
      h("div.total.thin", { "aria-hidden": "true" }, segments(rows, whole, false)),
      lens,
      h("div.total", { "aria-hidden": "true" }, segments(inUse, used, true)),
    );
  } else {
    bars.push(h("div.total", { "aria-hidden": "true" }, segments(rows, whole, true)));
  }
  return h(
    "section.device",
    { "aria-label": `Memory of ${model.deviceName(entry.device)}` },
    h(
      "div.head",
      null,
      h("h2", null, "Where the memory is"),
      h(
        "span.muted",
        null,
        `${model.now}, ${model.deviceName(entry.device)} `,
        device ? name(show(device.name)) : null,
      ),
      h("span.grow"),
      h(
        "span",
        null,
        h("b", null, bytes(used)),
        entry.total_bytes
          ? ` of ${bytes(entry.total_bytes)} (${percent(used, whole)})`
          : " in use (the size of the device is not known)",
        magnified ? h("span.muted", null, ", enlarged below") : null,
      ),
    ),
    bars,
    h(
      "ul.legend",
      null,
      rows.map((row) =>
        h("li.key", { title: row.why }, swatch(row.key), label(row), " ", h("b", null, bytes(row.bytes))),
      ),
    ),
    over
      ? h(
          "p.warning",
          null,
          `These add up to ${bytes(over)} more than the device has: part was measured at another moment.`,
        )
      : null,
  );
}

/** The Ledger tab: the same rows with their meaning and exact bytes. */
export function ledgerView(root, model) {
  let built = false;
  return {
    update() {
      if (built) return;
      built = true;
      fill(
        root,
        model.ledger.length
          ? model.ledger.map((entry) => {
              const { rows } = ledgerRows(model, entry);
              const whole = rows.reduce((sum, row) => sum + row.bytes, 0);
              return h(
                "table.plain",
                null,
                h(
                  "caption",
                  null,
                  `${model.deviceName(entry.device)}: what fills ${entry.total_bytes ? bytes(entry.total_bytes) : "it"}`,
                ),
                h(
                  "thead",
                  null,
                  h(
                    "tr",
                    null,
                    ["What", "Memory", "Share", "What it means"].map((t, i) =>
                      h(i === 1 || i === 2 ? "th.number" : "th", { scope: "col" }, t),
                    ),
                  ),
                ),
                h(
                  "tbody",
                  null,
                  rows.map((row) =>
                    h(
                      "tr",
                      null,
                      h("th", { scope: "row" }, swatch(row.key), label(row)),
                      h("td.number", { title: exactBytes(row.bytes) }, bytes(row.bytes)),
                      h("td.number", null, percent(row.bytes, whole)),
                      h("td", null, row.why),
                    ),
                  ),
                ),
                h(
                  "tfoot",
                  null,
                  h(
                    "tr",
                    null,
                    h("th", { scope: "row" }, "Total"),
                    h("td.number", { title: exactBytes(whole) }, bytes(whole)),
                    h("td.number", null, "100 %"),
                    h(
                      "td",
                      null,
                      entry.driver_used_bytes === null
                        ? "The driver was not asked how much is used."
                        : `The driver reports ${bytes(entry.driver_used_bytes)} used.`,
                    ),
                  ),
                ),
              );
            })
          : h("p.note", null, "No device memory was recorded."),
        totalsTable(model),
      );
    },
    resize() {},
  };
}

function totalsTable(model) {
  return h(
    "table.plain",
    null,
    h("caption", null, "Totals by layer and kind (the two layers overlap: never add them)"),
    h(
      "thead",
      null,
      h(
        "tr",
        null,
        ["Layer", "Kind", "Device", "Live", "Blocks", "Peak", "Allocated in all", "Allocations"].map((t, i) =>
          h(i > 2 ? "th.number" : "th", { scope: "col" }, t),
        ),
      ),
    ),
    h(
      "tbody",
      null,
      model.totals.map((t) =>
        h(
          "tr",
          null,
          h("td", null, show(t.layer)),
          h("td", null, show(t.kind)),
          h("td", null, model.deviceName(t.device)),
          ...[
            [t.live_bytes, true],
            [t.live_count],
            [t.peak_bytes, true],
            [t.allocated_bytes, true],
            [t.allocated_count],
          ].map(([v, size]) => h("td.number", { title: size ? exactBytes(v) : null }, size ? bytes(v) : count(v))),
        ),
      ),
    ),
  );
}
