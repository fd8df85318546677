// The one state of the page: what is shown and what is selected. All views read it, and the URL's hash mirrors it, so
// that a copied address opens at the same place.

const DEFAULTS = {
  tab: "findings",
  device: "all", // "all" or a device's index as text
  layer: "tensor",
  at: "now", // "now" (the report's moment) | "peak" | "oom:N" | "moment" (from the history) | "range" (its survivors)
  from: -1, // selected range in seconds; from == to is a moment
  to: -1,
  site: -1, // selected site, by its index
  block: -1, // selected block, by its index
  node: "", // selected flame frame: key of its path
  holder: "", // selected holder: "moment/row"; see holders_data.js
  query: "",
  by: "caller", // flame: caller | leaf
  unit: "bytes", // flame: bytes | count
  frames: "own", // flame: own | python | all
  roles: "", // tensors: filters
  only: false,
  empty: false, // call sites: also those that hold nothing
  verdict: "",
};

const FLAGS = new Set(["only", "empty"]);
const NUMBERS = new Set(["from", "to", "site", "block"]);

export class Store {
  /** `tabs`: the keys that "tab" may have. */
  constructor(initial, tabs) {
    this.tabs = tabs;
    this.values = { ...DEFAULTS, ...initial };
    this.base = { ...this.values };
    this.listeners = [];
    this.readHash();
    window.addEventListener("hashchange", () => {
      if (this.readHash()) this.emit(new Set(Object.keys(this.values)));
    });
  }

  get(key) {
    return this.values[key];
  }

  listen(callback) {
    this.listeners.push(callback);
  }

  set(patch) {
    // A holder is one of a moment: with another moment it is no longer what is meant.
    if (patch.at !== undefined && patch.at !== this.values.at) patch = { holder: "", ...patch };
    const changed = new Set();
    for (const [key, value] of Object.entries(patch)) {
      if (this.values[key] !== value) {
        this.values[key] = value;
        changed.add(key);
      }
    }
    if (changed.size === 0) return;
    this.emit(changed);
    // The address costs as much as a small view: it follows when the change is drawn.
    clearTimeout(this.writing);
    this.writing = setTimeout(() => this.writeHash(), 50);
  }

  emit(changed) {
    for (const callback of this.listeners) callback(changed);
  }

  writeHash() {
    const parts = [];
    for (const key of Object.keys(DEFAULTS)) {
      if (this.values[key] !== this.base[key]) parts.push(`${key}=${encodeURIComponent(this.values[key])}`);
    }
    const hash = parts.length ? "#" + parts.join("&") : "";
    this.written = hash;
    try {
      history.replaceState(null, "", hash || location.pathname + location.search);
    } catch {
      // Chromium limits replaceState to 200 calls in 30 s; the address is then a moment old.
    }
  }

  /** Takes the hash over; true when anything differs. Unknown keys and broken escapes are ignored. */
  readHash() {
    if (location.hash === this.written) return false;
    const next = { ...this.base };
    for (const part of location.hash.slice(1).split("&")) {
      const [key, value] = part.split("=");
      if (!Object.hasOwn(DEFAULTS, key) || value === undefined) continue;
      try {
        const text = decodeURIComponent(value);
        next[key] = FLAGS.has(key)
          ? text === "true"
          : NUMBERS.has(key)
            ? Number.isFinite(Number(text))
              ? Number(text)
              : -1
            : text;
      } catch {
        // not ours
      }
    }
    if (!this.tabs.includes(next.tab)) next.tab = this.base.tab;
    const differs = Object.keys(DEFAULTS).some((key) => next[key] !== this.values[key]);
    this.values = next;
    return differs;
  }
}
