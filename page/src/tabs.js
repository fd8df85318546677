// The tab strip and the life of the views behind it: a view is made when it is first shown, and told all changes that
// it missed when it is shown again.
import { $, fill, h } from "./dom.js";
import { tabKeys } from "./keys.js";

/** tabs: [{key, title, badge, make(panel) -> {update(changed), resize()}}] */
export class Tabs {
  constructor(tabs, store) {
    this.tabs = tabs;
    this.store = store;
    this.views = new Map();
    this.everything = new Set(Object.keys(store.values));
    fill(
      $("tabs"),
      tabs.map((tab) =>
        h(
          "button",
          {
            type: "button",
            role: "tab",
            id: `tab-${tab.key}`,
            "aria-controls": `panel-${tab.key}`,
            onclick: () => this.open(tab.key),
          },
          tab.title,
          tab.badge ? h("span.badge", null, String(tab.badge)) : null,
        ),
      ),
    );
    for (const tab of tabs)
      $("panels").append(
        h("section.panel", {
          id: `panel-${tab.key}`,
          role: "tabpanel",
          "aria-labelledby": `tab-${tab.key}`,
          hidden: true,
        }),
      );
    tabKeys($("tabs"), tabs, store);
  }

  /** A view that opens below the window's edge is brought up. */
  open(key) {
    this.store.set({ tab: key });
    if ($("panels").getBoundingClientRect().top > innerHeight * 0.6) $("views").scrollIntoView();
  }

  active() {
    return this.views.get(this.store.get("tab"));
  }

  update(changed) {
    const active = this.store.get("tab");
    for (const tab of this.tabs) {
      const button = $(`tab-${tab.key}`);
      button.setAttribute("aria-selected", tab.key === active ? "true" : "false");
      button.tabIndex = tab.key === active ? 0 : -1;
      $(`panel-${tab.key}`).hidden = tab.key !== active;
    }
    let now = changed;
    if (!this.views.has(active)) {
      this.views.set(active, this.tabs.find((tab) => tab.key === active).make($(`panel-${active}`)));
      now = this.everything;
    }
    for (const [key, view] of this.views)
      if (key !== active) view.missed = new Set([...(view.missed ?? []), ...changed]);
    const view = this.active();
    const { missed } = view;
    view.missed = null;
    view.update(missed ? new Set([...missed, ...now]) : now);
  }
}

/** Calls back, once and a little later, when the room for the views has changed. */
export function onResize(callback) {
  let timer = 0;
  let width = 0;
  new ResizeObserver(() => {
    const before = width;
    width = $("panels").clientWidth;
    if (width === before || before === 0) return;
    clearTimeout(timer);
    timer = setTimeout(callback, 40);
  }).observe($("panels"));
}

/** Marks the page as drawn, for the tests and test/bench/page.py: milliseconds since `begun`. */
export function drawn(begun) {
  requestAnimationFrame(() => {
    performance.mark("vramtrack-drawn");
    document.documentElement.dataset.ready = (performance.now() - begun).toFixed(1);
  });
}

/** Runs the page; a page that stays silent is worse than one that says why. */
export function guarded(start) {
  try {
    start();
  } catch (error) {
    document.body.prepend(
      h("p.warning", { role: "alert" }, `This page could not be shown: ${error?.message ?? error}`),
    );
    throw error;
  }
}
