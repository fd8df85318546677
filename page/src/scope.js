// What the page currently shows: which sites count (device, layer), by which bytes (moment), and which match the
// search. Computed once per change and shared by all views.

import { column } from "./data.js";
import { rankName, seconds } from "./format.js";

/** Whether a report block was born inside the selected range. */
const inRange = (time, from, to) => time >= from && time <= to;

export class Scope {
  constructor(model, store) {
    this.model = model;
    this.store = store;
    const sites = model.sites.length;
    this.value = new Float64Array(sites); // bytes of each site at the shown moment; 0 when out of scope
    this.number = new Float64Array(sites); // blocks of each site at the shown moment
    this.inside = new Uint8Array(sites); // of the chosen device and layer
    this.matches = new Uint8Array(sites).fill(1); // of the search
    this.foundBlocks = null;
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
    this.total = this.totalNumber = this.othersBytes = 0;
    const [held, number] = this.held(at);
    const layer = model.strings.indexOf(store.get("layer"));
    const [every, host, only] = [device === "all", store.get("layer") === "cuda", Number(device)];
    for (let i = 0; i < sites.length; ++i) {
      const inside = sites.layer[i] === layer && (every ? host || sites.device[i] >= 0 : sites.device[i] === only);
      this.inside[i] = inside ? 1 : 0;
      this.value[i] = inside ? Math.max(0, held[i]) : 0;
      this.number[i] = inside ? Math.max(0, number[i]) : 0;
    }
    if (at === "range") {
      for (let i = 0; i < blocks.length; ++i) {
        const site = blocks.site[i];
        if (site < 0 || !this.inside[site] || !inRange(blocks.time[i], from, to)) continue;
        this.value[site] += blocks.bytes[i];
        this.number[site] += 1;
      }
    }
    for (let i = 0; i < sites.length; ++i) {
      this.total += this.value[i];
      this.totalNumber += this.number[i];
    }
    this.version += 1;
  }

  /** What each site held then, in bytes and blocks; for "range" nothing: single blocks tell. */
  held(at) {
    const { sites } = this.model;
    if (at === "now") return [sites.live_bytes, sites.live_count];
    if (at === "peak") return [sites.at_peak_bytes, sites.at_peak_count];
    const [held, number] = [new Float64Array(sites.length), new Float64Array(sites.length)];
    const list = this.model.ooms.find((oom) => at === `oom:${oom.n}`)?.sites ?? [];
    for (let i = 0; i < list.length; i += 3) {
      const site = this.model.byId(list[i]);
      if (site >= 0) [held[site], number[site]] = [list[i + 1], list[i + 2]];
    }
    if (at === "moment") this.fromHistory(held);
    return [held, number];
  }

  /** The event history knows what the largest sites held at any time; the small ones are counted together. */
  fromHistory(held) {
    const { model, store } = this;
    for (const plot of model.history) {
      if (store.get("device") !== "all" && plot.device !== Number(store.get("device"))) continue;
      if (plot.layer !== store.get("layer")) continue;
      plot.bandColumns ??= plot.bands.map((band) => column(band, "bytes"));
      plot.totalColumn ??= column(plot, "total");
      const at = Math.max(
        0,
        Math.min(plot.totalColumn.length - 1, Math.floor((store.get("from") - plot.start) / plot.interval)),
      );
      let known = 0;
      plot.bands.forEach((band, i) => {
        const site = model.byId(band.site);
        if (site < 0) return;
        held[site] = plot.bandColumns[i][at];
        known += held[site];
      });
      this.othersBytes += store.get("from") < plot.start ? 0 : plot.totalColumn[at] - known;
      if (store.get("from") < plot.start) held.fill(0);
    }
  }

  /** The moment shown; a range without an extent shows the report's own moment. */
  moment() {
    const { model, store } = this;
    const at = store.get("at");
    const [from, to] = [store.get("from"), store.get("to")];
    const can =
      at === "range"
        ? to > from
        : at === "moment"
          ? from >= 0 && model.history?.some((plot) => plot.layer === store.get("layer"))
          : at === "peak"
            ? model.knowsPeak
            : at.startsWith("oom:") && model.ooms.some((oom) => at === `oom:${oom.n}` && oom.sites.length);
    return can ? at : "now";
  }

  /** Single blocks are known of the report's own moment only. */
  hasBlocks() {
    return ["now", "range"].includes(this.moment());
  }

  momentText() {
    const { model } = this;
    const at = this.moment();
    if (at.startsWith("oom:")) {
      const oom = model.ooms.find((one) => at === `oom:${one.n}`);
      return `when ${oom.rank ? `${rankName(oom)} was ` : ""}out of memory${model.ooms.length > 1 && !oom.rank ? ` (${oom.n})` : ""}`;
    }
    return {
      now: model.now,
      peak: "at peak",
      range: "allocated in the selected time and still alive",
      moment: `at ${seconds(this.store.get("from"))}`,
    }[at];
  }

  find(query) {
    this.search = query.trim().toLowerCase();
    this.searchVersion += 1;
    const { model } = this;
    const { sites, frames, tree } = model;
    if (!this.search) {
      this.matches.fill(1);
      this.foundBlocks = this.frameMatches = null;
      return;
    }
    const hit = (this.hit = this.stringHits());
    this.foundBlocks = null;
    const frameHit = (this.frameMatches = new Uint8Array(frames.length));
    for (let i = 0; i < frames.length; ++i) {
      frameHit[i] = hit[frames.function[i]] | hit[frames.file[i]] | hit[frames.module[i]] | hit[frames.source[i]];
    }
    const place = /^(.*):(\d+)$/.exec(this.search); // "train.py:83"
    if (place) {
      for (let i = 0; i < frames.length; ++i) {
        if (frames.line[i] === Number(place[2]) && model.text(frames.file[i]).toLowerCase().endsWith(place[1]))
          frameHit[i] = 1;
      }
    }
    const nodeHit = new Uint8Array(tree.length);
    for (let node = 1; node < tree.length; ++node)
      nodeHit[node] = nodeHit[tree.parent[node]] | frameHit[tree.frame[node]];
    for (let i = 0; i < sites.length; ++i) {
      this.matches[i] =
        nodeHit[sites.stack[i]] |
        (sites.backward_of[i] >= 0 ? nodeHit[sites.backward_of[i]] : 0) |
        hit[sites.owner[i]] |
        hit[sites.verdict[i]] |
        hit[sites.kind[i]] |
        hit[sites.module[i]] |
        hit[sites.range[i]];
    }
  }

  /** Which blocks match the search; null: all. Found when a view asks: half of them show no blocks. */
  get blockMatches() {
    if (!this.search || this.foundBlocks) return this.foundBlocks;
    const { hit, matches } = this;
    const { length, site, name, holder, role, dtype, shape } = this.model.blocks;
    const found = new Uint8Array(length);
    // No text is -1: its place is the last, which never matches.
    const at = (id) => (id < 0 ? hit.length - 1 : id);
    for (let i = 0; i < length; ++i) {
      found[i] =
        (site[i] >= 0 && matches[site[i]]) ||
        hit[at(name[i])] | hit[at(holder[i])] | hit[at(role[i])] | hit[at(dtype[i])] | hit[at(shape[i])];
    }
    return (this.foundBlocks = found);
  }

  stringHits() {
    const { strings } = this.model;
    this.lower ??= strings.map((text) => text.toLowerCase());
    const hits = new Uint8Array(strings.length + 1);
    for (let i = 0; i < strings.length; ++i) hits[i] = this.lower[i].includes(this.search) ? 1 : 0;
    return hits;
  }
}
