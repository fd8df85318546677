// Starts the report page: reads the data block, makes the views, and keeps them in step with the one state.
import { $, choice, fill } from "./dom.js";
import { decode } from "./data.js";
import { bytes, capital, rankName, seconds } from "./format.js";
import { Store } from "./state.js";
import { Scope } from "./scope.js";
import { Tabs, drawn, guarded, onResize } from "./tabs.js";
import { header, momentOf, verdictView, worstOf } from "./verdict.js";
import { ledgerBars, ledgerView } from "./ledger.js";
import { timelineView } from "./timeline.js";
import { findingsView } from "./findings.js";
import { flameView } from "./flame.js";
import { nodeOfKey } from "./flame_tree.js";
import { sitesView } from "./sites.js";
import { peakView } from "./peak.js";
import { holdersView } from "./holders.js";
import { ranksView } from "./ranks.js";
import { tensorsView } from "./tensors.js";
import { segmentsView } from "./segments_view.js";
import { detailsView } from "./details.js";
import { aboutView, footer } from "./about.js";
import { installKeys, installTheme } from "./keys.js";
import { installPrint } from "./print.js";

const TABS = [
  ["findings", "Findings", findingsView],
  ["ranks", "Ranks", ranksView], // of a merged report
  ["peak", "What it is made of", peakView],
  ["holders", "Holders", holdersView],
  ["flame", "Flame graph", flameView],
  ["sites", "Call sites", sitesView],
  ["tensors", "Tensors", tensorsView],
  ["segments", "Segments", segmentsView],
  ["ledger", "Ledger", ledgerView],
  ["about", "About this run", aboutView],
];

guarded(() => {
  const begun = performance.now();
  const model = decode($("data").textContent);
  const hasTensors = model.tensorLayer >= 0 && model.totals.some((t) => t.layer === "tensor" && t.allocated_count > 0);
  const first = model.tab || (model.findings.length ? "findings" : "flame");
  const has = {
    ranks: model.ranks,
    peak: model.breakdown.length || model.peak_breakdown.length,
    holders: model.holders.length,
  };
  const views = TABS.filter(([key]) => !(key in has) || has[key]);
  const store = new Store(
    {
      tab: first,
      layer: hasTensors ? "tensor" : "cuda",
      frames: model.frames.own.includes(1) ? "own" : "all",
      ...momentOf(worstOf(model)),
    },
    views.map(([key]) => key),
  );
  const scope = new Scope(model, store);
  header($("what"), model);
  verdictView($("verdict"), model, store);
  footer($("foot"), model);
  const always = [ledgerBars($("ledger"), model, store), timelineView($("timeline"), model, store, scope)];
  const tabs = new Tabs(
    views.map(([key, title, view]) => ({
      key,
      title,
      badge: key === "findings" ? model.findings.length : 0,
      make: (panel) => view(panel, model, store, scope),
    })),
    store,
  );
  const details = detailsView($("details"), model, store, scope, () => {
    const flame = tabs.views.get("flame")?.flame();
    return flame && { flame, node: nodeOfKey(flame, store.get("node")) };
  });

  function update(changed) {
    scopeBar($("scope"), model, store, scope, hasTensors);
    // First, for the views measure the room that this leaves them.
    document.body.classList.toggle(
      "bare",
      store.get("site") < 0 && store.get("block") < 0 && !store.get("node") && !/\d$/.test(store.get("holder")),
    );
    document.body.classList.toggle("wide", ["about", "ledger"].includes(store.get("tab")));
    for (const view of always) view.update(changed);
    tabs.update(changed);
    details.update();
    if (changed.has("query") && $("search") !== document.activeElement) $("search").value = store.get("query");
  }

  store.listen(update);
  installKeys(store, tabs.tabs);
  installTheme(() => update(new Set([...tabs.everything, "theme"])));
  installPrint(model, scope);
  update(tabs.everything);
  if (model.tab || /[#&]tab=/.test(location.hash)) $("views").scrollIntoView();
  onResize(() => [...always, tabs.active()].forEach((view) => view.resize()));
  drawn(begun);
  // For the tests and for curious users: the model and the state, read only by convention.
  window.vramtrack = { model, store, scope, views: tabs.views };
});

/** What all tabs show: device, layer, moment. */
function scopeBar(root, model, store, scope, hasTensors) {
  const moments = [["now", capital(model.now)]];
  if (model.knowsPeak) moments.push(["peak", "At peak", "What each call site held when the device was fullest"]);
  const ooms = model.at === "oom" ? [] : model.ooms.filter((oom) => oom.sites.length);
  for (const oom of ooms.slice(0, 4))
    moments.push([
      `oom:${oom.n}`,
      `Out of memory${oom.rank ? `, ${rankName(oom)}` : ooms.length > 1 ? ` ${oom.n}` : ""}`,
      `What each call site${oom.rank ? " of that process" : ""} held when ${bytes(oom.requested_bytes)} did not fit`,
    ]);
  if (scope.moment() === "moment")
    moments.push([
      "moment",
      `At ${seconds(store.get("from"))}`,
      "What each call site held then, from the event history",
    ]);
  if (store.get("to") > store.get("from"))
    moments.push(["range", "Selected time", "Allocated in the selected time and still alive"]);
  fill(
    root,
    hasTensors
      ? choice(
          "Layer",
          [
            ["tensor", "Tensors", "Blocks that the caching allocator hands out"],
            ["cuda", "CUDA memory", "What was asked from CUDA itself: segments, libraries, pinned host memory"],
          ],
          store.get("layer"),
          (layer) => store.set({ layer }),
        )
      : null,
    model.devices.length > 1
      ? choice(
          "Device",
          [["all", "All"], ...model.devices.map((d) => [String(d), model.deviceName(d)])],
          store.get("device"),
          (device) => store.set({ device, ...(Number(device) < 0 ? { layer: "cuda" } : {}) }),
        )
      : null,
    choice("Moment", moments, scope.moment(), (at) => store.set({ at })),
  );
}
