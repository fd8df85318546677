// Starts the page: reads the data block, makes the views, and keeps them in step with the one state.
import { $, fill, h, choice } from "./dom.js";
import { decode } from "./data.js";
import { Store } from "./state.js";
import { Scope } from "./scope.js";
import { header, verdictView } from "./verdict.js";
import { ledgerBars, ledgerView } from "./ledger.js";
import { timelineView } from "./timeline.js";
import { findingsView } from "./findings.js";
import { flameView } from "./flame.js";
import { nodeOfKey } from "./flame_tree.js";
import { sitesView } from "./sites.js";
import { tensorsView } from "./tensors.js";
import { segmentsView } from "./segments_view.js";
import { detailsView } from "./details.js";
import { aboutView, footer } from "./about.js";
import { installKeys, installTheme, tabKeys } from "./keys.js";
import { installPrint } from "./print.js";

const TABS = [
  { key: "findings", title: "Findings", view: findingsView },
  { key: "flame", title: "Flame graph", view: flameView },
  { key: "sites", title: "Call sites", view: sitesView },
  { key: "tensors", title: "Tensors", view: tensorsView },
  { key: "segments", title: "Segments", view: segmentsView },
  { key: "ledger", title: "Ledger", view: ledgerView },
  { key: "about", title: "About this run", view: aboutView },
];

function start() {
  const begun = performance.now();
  const model = decode($("data").textContent);
  const hasTensors = model.tensorLayer >= 0 && model.totals.some((t) => t.layer === "tensor" && t.allocated_count > 0);
  const first = model.tab || (model.findings.length ? "findings" : "flame");
  const store = new Store({ tab: first, layer: hasTensors ? "tensor" : "cuda", frames: model.frames.own.includes(1) ? "own" : "all" });
  if (!TABS.some((tab) => tab.key === store.get("tab"))) store.values.tab = first;
  const scope = new Scope(model, store);
  header($("what"), model);
  verdictView($("verdict"), model, store);
  footer($("foot"), model);
  const always = [ledgerBars($("ledger"), model, store), timelineView($("timeline"), model, store, scope)];
  const views = new Map();
  const strip = $("tabs");
  fill(strip, TABS.map((tab) => h("button", { type: "button", role: "tab", id: `tab-${tab.key}`, "aria-controls": `panel-${tab.key}`, onclick: () => store.set({ tab: tab.key }) }, tab.title, tab.key === "findings" && model.findings.length ? h("span.badge", null, String(model.findings.length)) : null)));
  for (const tab of TABS) $("panels").append(h("section.panel", { id: `panel-${tab.key}`, role: "tabpanel", "aria-labelledby": `tab-${tab.key}`, hidden: true }));
  const everything = new Set(Object.keys(store.values));
  const details = detailsView($("details"), model, store, scope, () => {
    const flame = views.get("flame")?.flame();
    return flame && { flame, node: nodeOfKey(flame, store.get("node")) };
  });

  function update(changed) {
    const active = store.get("tab");
    for (const tab of TABS) {
      const button = $(`tab-${tab.key}`);
      button.setAttribute("aria-selected", tab.key === active ? "true" : "false");
      button.tabIndex = tab.key === active ? 0 : -1;
      $(`panel-${tab.key}`).hidden = tab.key !== active;
    }
    scopeBar($("scope"), model, store, scope, hasTensors);
    for (const view of always) view.update(changed);
    let now = changed;
    if (!views.has(active)) {
      views.set(active, TABS.find((tab) => tab.key === active).view($(`panel-${active}`), model, store, scope));
      now = everything;
    }
    // A view that was hidden has missed changes: it gets them all when it comes back.
    for (const [key, view] of views) if (key !== active) view.missed = new Set([...(view.missed ?? []), ...changed]);
    const view = views.get(active);
    const missed = view.missed;
    view.missed = null;
    view.update(missed ? new Set([...missed, ...now]) : now);
    details.update();
    document.body.classList.toggle("wide", ["about", "ledger"].includes(active));
    if (changed.has("query") && $("search") !== document.activeElement) $("search").value = store.get("query");
  }

  store.listen(update);
  installKeys(store, TABS);
  tabKeys(strip, TABS, store);
  installTheme(() => {
    update(new Set([...everything, "theme"]));
  });
  installPrint(model, scope);
  update(everything);
  if (model.tab && !location.hash) $("views").scrollIntoView();
  let timer = 0;
  new ResizeObserver(() => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      for (const view of [...always, views.get(store.get("tab"))]) view.resize();
    }, 40);
  }).observe($("panels"));
  requestAnimationFrame(() => {
    document.documentElement.dataset.ready = (performance.now() - begun).toFixed(1);
  });
  // For the tests and for curious users: the model and the state, read only by convention.
  window.vramtrack = { model, store, scope, views };
}

/** What all tabs show: device, layer, moment. */
function scopeBar(root, model, store, scope, hasTensors) {
  const now = { exit: "At exit", peak: "At peak", oom: "When out of memory", live: "Now" }[model.at] ?? model.at;
  const moments = [["now", now]];
  if (model.at !== "peak") moments.push(["peak", "At peak", "What each call site held when the device was fullest"]);
  if (store.get("to") > store.get("from")) moments.push(["range", "Selected time", "Allocated in the selected time and still alive"]);
  fill(root,
    hasTensors ? choice("Layer", [["tensor", "Tensors", "Blocks that the caching allocator hands out"], ["cuda", "CUDA memory", "What was asked from CUDA itself: segments, libraries, pinned host memory"]], store.get("layer"), (layer) => store.set({ layer })) : null,
    model.devices.length > 1 ? choice("Device", [["all", "All"], ...model.devices.map((d) => [String(d), model.deviceName(d)])], store.get("device"), (device) => store.set({ device, ...(Number(device) < 0 ? { layer: "cuda" } : {}) })) : null,
    choice("Moment", moments, scope.moment(), (at) => store.set({ at })));
}

try {
  start();
} catch (error) {
  // A page that stays silent is worse than one that says why.
  document.body.prepend(h("p.warning", { role: "alert" }, `This page could not be shown: ${error?.message ?? error}`));
  throw error;
}
