// What the page currently shows: which sites count (device, layer), by which bytes (moment), and which match the
// search. Computed once per change and shared by all views.

/** Whether a report block was born inside the selected range. */
const inRange = (time, from, to) => time >= from && time <= to;

export class Scope {
  constructor(model, store) {
    this.model = model;
    this.store = store;
    const sites = model.sites.count;
    this.value = new Float64Array(sites); // bytes of each site at the shown moment; 0 when out of scope
    this.number = new Float64Array(sites); // blocks of each site at the shown moment
    this.inside = new Uint8Array(sites); // of the chosen device and layer
    this.matches = new Uint8Array(sites).fill(1); // of the search
    this.blockMatches = null; // null: all match
    this.search = "";
    this.version = 0; // of inside, value and number
    this.searchVersion = 0;
    this.refresh();
    this.find(store.get("query"));
    store.listen((changed) => {
      if (["device", "layer", "at", "from", "to"].some((key) => changed.has(key))) this.refresh();
      if (changed.has("query")) this.find(store.get("query"));
    });
  }

  refresh() {
    const { model, store } = this;
    const { sites, blocks } = model;
    const device = store.get("device");
    const at = this.moment();
    const [from, to] = [store.get("from"), store.get("to")];
    this.total = this.totalNumber = 0;
    for (let i = 0; i < sites.count; ++i) {
      const inside = model.text(sites.layer[i]) === store.get("layer") && (device === "all" ? sites.device[i] >= 0 || store.get("layer") === "cuda" : sites.device[i] === Number(device));
      this.inside[i] = inside ? 1 : 0;
      const peak = at === "peak";
      this.value[i] = inside && at !== "range" ? Math.max(0, peak ? sites.peak[i] : sites.live[i]) : 0;
      this.number[i] = inside && at !== "range" ? Math.max(0, peak ? sites.count_peak[i] : sites.count_live[i]) : 0;
    }
    if (at === "range") {
      for (let i = 0; i < blocks.count; ++i) {
        const site = blocks.site[i];
        if (site < 0 || !this.inside[site] || !inRange(blocks.time[i], from, to)) continue;
        this.value[site] += blocks.bytes[i];
        this.number[site] += 1;
      }
    }
    for (let i = 0; i < sites.count; ++i) {
      this.total += this.value[i];
      this.totalNumber += this.number[i];
    }
    this.version += 1;
  }

  /** The moment shown; a range without an extent shows the report's own moment. */
  moment() {
    const { store } = this;
    const at = store.get("at");
    if (at === "range" && !(store.get("to") > store.get("from"))) return "now";
    return at === "peak" && !this.model.knowsPeak ? "now" : at;
  }

  momentText() {
    const { model } = this;
    const now = { exit: "at exit", peak: "at peak", oom: "when out of memory", live: "now" }[model.at] ?? model.at;
    return { now, peak: "at peak", range: "allocated in the selected time and still alive" }[this.moment()];
  }

  find(query) {
    this.search = query.trim().toLowerCase();
    this.searchVersion += 1;
    const { model } = this;
    const { sites, blocks, frames, tree } = model;
    if (!this.search) {
      this.matches.fill(1);
      this.blockMatches = this.frameMatches = null;
      return;
    }
    const hit = this.stringHits();
    const frameHit = (this.frameMatches = new Uint8Array(frames.count));
    for (let i = 0; i < frames.count; ++i) {
      frameHit[i] = hit[frames.function[i]] | hit[frames.file[i]] | hit[frames.module[i]] | (frames.source[i] >= 0 ? hit[frames.source[i]] : 0);
    }
    const place = /^(.*):(\d+)$/.exec(this.search); // "train.py:83"
    if (place) {
      for (let i = 0; i < frames.count; ++i) {
        if (frames.line[i] === Number(place[2]) && model.text(frames.file[i]).toLowerCase().endsWith(place[1])) frameHit[i] = 1;
      }
    }
    const nodeHit = new Uint8Array(tree.count);
    for (let node = 1; node < tree.count; ++node) nodeHit[node] = nodeHit[tree.parent[node]] | frameHit[tree.frame[node]];
    for (let i = 0; i < sites.count; ++i) {
      this.matches[i] = nodeHit[sites.node[i]] | (sites.backward[i] >= 0 ? nodeHit[sites.backward[i]] : 0) | hit[sites.owner[i]] | hit[sites.verdict[i]] | hit[sites.kind[i]];
    }
    this.blockMatches = new Uint8Array(blocks.count);
    const fact = (id) => (id >= 0 ? hit[id] : 0);
    for (let i = 0; i < blocks.count; ++i) {
      this.blockMatches[i] = (blocks.site[i] >= 0 ? this.matches[blocks.site[i]] : 0) | fact(blocks.name[i]) | fact(blocks.holder[i]) | fact(blocks.role[i]) | fact(blocks.dtype[i]) | fact(blocks.shape[i]);
    }
  }

  stringHits() {
    const { strings } = this.model;
    this.lower ??= strings.map((text) => text.toLowerCase());
    const hits = new Uint8Array(strings.length);
    for (let i = 0; i < hits.length; ++i) hits[i] = this.lower[i].includes(this.search) ? 1 : 0;
    return hits;
  }
}
