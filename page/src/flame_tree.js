// The flame graph's tree: the stacks of the sites in scope, folded as asked, with bytes summed up. Columns, no objects
// per node; 50,000 stacks take some 30 ms.
import { BACKWARD, NO_STACK } from "./data.js";

/** Which frames stay: "all", "python" (and the program's own), or "own" code only. */
function kept(model, mode) {
  const { frames } = model;
  const keep = new Uint8Array(frames.length);
  for (let i = 0; i < frames.length; ++i) {
    keep[i] = mode === "all" || frames.own[i] || (mode === "python" && !frames.native[i]) ? 1 : 0;
  }
  return keep;
}

class Builder {
  constructor(frameCount) {
    this.stride = frameCount + 8; // synthetic frames are negative: -2, -3
    this.children = new Map();
    this.parent = [-1];
    this.frame = [-1];
  }

  child(parent, frame) {
    const key = parent * this.stride + frame + 4;
    let node = this.children.get(key);
    if (node === undefined) {
      node = this.parent.length;
      this.parent.push(parent);
      this.frame.push(frame);
      this.children.set(key, node);
    }
    return node;
  }
}

// The native frames that say what was computed, and those that only start threads and programs.
const OPERATION = /^(at::_ops::|torch::autograd::generated::|nccl[A-Z]|cublas|cudnn)/;
const STARTS = /^(clone|start_thread|_start$|__libc_start|Py_|execute_native_thread_routine)/;

/** The frame worth a name below the last kept one: a library's Python function, else the operation, else what was called. */
function callee(model, node, keep) {
  const { tree, frames } = model;
  let native = -1;
  let operation = -1;
  for (let at = node; at > 0 && !keep[tree.frame[at]]; at = tree.parent[at]) {
    const frame = tree.frame[at];
    if (!frames.native[frame]) return frame;
    const name = model.text(frames.function[frame]);
    if (OPERATION.test(name)) operation = frame;
    if (!STARTS.test(name)) native = frame;
  }
  return operation >= 0 ? operation : native;
}

/**
 * values: bytes (or blocks) per site, 0 = not in it. Gives columns parent, frame, value, growing (bytes of growing
 * sites), x-free; `leaf` is the node of each site (-1 = none) and `hidden` the number of frames folded away.
 */
export function buildFlame(model, values, { by, frames: mode }) {
  const { sites, tree } = model;
  const keep = kept(model, mode);
  const builder = new Builder(model.frames.length);
  const leaf = new Int32Array(sites.length).fill(-1);
  const fold = new Int32Array(tree.length).fill(-1);
  fold[0] = 0;
  const folded = (node) => {
    if (fold[node] >= 0) return fold[node];
    const parent = folded(tree.parent[node]);
    return (fold[node] = keep[tree.frame[node]] ? builder.child(parent, tree.frame[node]) : parent);
  };
  const caller = (site) => {
    const backward = sites.backward_of[site];
    let node = folded(sites.stack[site]);
    if (mode !== "all" && backward >= 0) node = builder.child(folded(backward), BACKWARD);
    if (node === 0 && sites.stack[site] === 0) return builder.child(0, NO_STACK);
    if (mode !== "all") {
      const below = callee(model, sites.stack[site], keep);
      if (below >= 0) node = builder.child(node, below);
    }
    return node;
  };
  const inverted = (site) => {
    let node = 0;
    const walk = (from) => {
      for (let at = from; at > 0; at = tree.parent[at])
        if (keep[tree.frame[at]]) node = builder.child(node, tree.frame[at]);
    };
    const backward = sites.backward_of[site];
    if (mode !== "all") {
      const below = callee(model, sites.stack[site], keep);
      if (below >= 0) node = builder.child(node, below);
    }
    walk(sites.stack[site]);
    if (mode !== "all" && backward >= 0) {
      node = builder.child(node, BACKWARD);
      walk(backward);
    }
    return node === 0 ? builder.child(0, NO_STACK) : node;
  };
  const place = by === "leaf" ? inverted : caller;
  for (let site = 0; site < sites.length; ++site) if (values[site] > 0) leaf[site] = place(site);
  const n = builder.parent.length;
  const bare = { n, parent: Int32Array.from(builder.parent), leaf };
  const value = sumUp(bare, (site) => values[site]);
  const growing = sumUp(bare, (site) => (sites.verdict[site] === model.growing ? values[site] : 0));
  let hidden = 0;
  for (let i = 0; i < keep.length; ++i) hidden += keep[i] ? 0 : 1;
  return layout({ ...bare, frame: Int32Array.from(builder.frame), value, growing, hidden });
}

/** What each node and all below it hold, by a figure of the sites. */
export function sumUp({ n, parent, leaf }, figure) {
  const sums = new Float64Array(n);
  for (let site = 0; site < leaf.length; ++site) if (leaf[site] >= 0) sums[leaf[site]] += figure(site);
  for (let node = n - 1; node > 0; --node) sums[parent[node]] += sums[node];
  return sums;
}

/** Adds where each node lies: x (fraction of the root, 0 to 1), width, depth; and children, largest first. */
export function layout(flame) {
  const { n, parent, value } = flame;
  const start = new Int32Array(n + 1);
  for (let node = 1; node < n; ++node) start[parent[node] + 1] += 1;
  for (let node = 0; node < n; ++node) start[node + 1] += start[node];
  const children = new Int32Array(Math.max(0, n - 1));
  const next = start.slice(0, n);
  for (let node = 1; node < n; ++node) children[next[parent[node]]++] = node;
  const x = new Float64Array(n);
  const width = new Float64Array(n);
  const depth = new Uint16Array(n);
  const total = value[0] || 1;
  width[0] = 1;
  // Level by level, each level from left to right: byDepth is the queue itself.
  const byDepth = new Int32Array(n);
  let queued = 1;
  for (let done = 0; done < queued; ++done) {
    const node = byDepth[done];
    const own = children.subarray(start[node], start[node + 1]);
    if (own.length > 1) own.sort((a, b) => value[b] - value[a] || a - b);
    let at = x[node];
    for (const child of own) {
      x[child] = at;
      width[child] = value[child] / total;
      depth[child] = depth[node] + 1;
      at += width[child];
      byDepth[queued++] = child;
    }
  }
  const deepest = depth[byDepth[n - 1]];
  const rows = new Int32Array(deepest + 2);
  for (let node = 0; node < n; ++node) rows[depth[node] + 1] += 1;
  for (let row = 0; row <= deepest; ++row) rows[row + 1] += rows[row];
  return { ...flame, x, width, depth, deepest, byDepth, rows, children, start };
}

/** A stable name of a node (frames from the root), for the address bar. */
export function pathKey(flame, node) {
  const frames = [];
  for (; node > 0; node = flame.parent[node]) frames.push(flame.frame[node]);
  return frames.reverse().join(".");
}

export function nodeOfKey(flame, key) {
  if (!key) return 0;
  let node = 0;
  for (const part of key.split(".")) {
    const frame = Number(part);
    let found = -1;
    for (let i = flame.start[node]; i < flame.start[node + 1]; ++i) {
      if (flame.frame[flame.children[i]] === frame) found = flame.children[i];
    }
    if (found < 0) return 0;
    node = found;
  }
  return node;
}
