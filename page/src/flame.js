// The flame graph of the report page: which bytes, which frames, which colours.
import { frameLabel, frameParts } from "./data.js";
import { bytes, count, percent, plural, shorten } from "./format.js";
import { announce, choice, colour, fill, h, hideTip, legendKey, name } from "./dom.js";
import { buildFlame, nodeOfKey, pathKey } from "./flame_tree.js";
import { FlameCanvas, searchFlame } from "./flame_canvas.js";

export function flameView(root, model, store, scope) {
  const bar = h("div.bar");
  const note = h("p.note");
  const holder = h("div.flame");
  const python = model.frames.native.includes(0);
  root.append(
    bar,
    h(
      "p.legend",
      null,
      legendKey("own", "your code"),
      python && legendKey("lib", "Python libraries"),
      legendKey("native", "native code"),
      legendKey("grow", "▲ mostly growing"),
      legendKey("hit", "matches the search"),
    ),
    holder,
    note,
  );
  let flame = null;
  let built = "";
  let found = null; // of the search
  let foundKey = "";
  let own = false; // the change comes from this view: zoom is as it should be
  let tints = {};

  const measure = () => (store.get("unit") === "count" ? count : bytes);
  const grows = (node) => node !== 0 && flame.growing[node] > 0.5 * flame.value[node];

  function label(node) {
    if (node === 0)
      return `${store.get("layer") === "tensor" ? "all tensors" : "all CUDA memory"}, ${scope.momentText()}`;
    return (grows(node) ? "▲ " : "") + shorten(frameLabel(model, flame.frame[node]), 160);
  }

  function paint(node) {
    const frame = flame.frame[node];
    if (found?.hit[node]) return [tints.hit, tints.hitInk];
    if (node === 0) return [tints.root, tints.ink];
    if (grows(node)) return [tints.grow, tints.growInk];
    if (frame < 0 || (model.frames.native[frame] && !model.frames.own[frame])) return [tints.native, tints.ink];
    return model.frames.own[frame] ? [tints.own, tints.ownInk] : [tints.lib, tints.ink];
  }

  function tip(node) {
    const parts = node ? frameParts(model, flame.frame[node]) : { function: label(0), place: "", source: "" };
    return [
      h("b", null, name(shorten(parts.function, 200))),
      parts.place ? h("div", null, name(shorten(parts.place, 200))) : null,
      parts.source ? h("code", null, name(shorten(parts.source, 200))) : null,
      h(
        "div",
        null,
        `${measure()(flame.value[node])} · ${percent(flame.value[node], flame.value[0])} of all`,
        flame.growing[node] ? h("span.growing", null, ` · ${measure()(flame.growing[node])} growing`) : null,
      ),
    ];
  }

  function selected(node, zoom) {
    const leaf = node > 0 && flame.start[node] === flame.start[node + 1];
    const parts = node > 0 ? frameParts(model, flame.frame[node]) : { function: "everything", place: "" };
    announce(
      `${shorten(`${parts.function} ${parts.place}`, 100)}, ${bytes(flame.value[node])}, ${percent(flame.value[node], flame.value[0])}`,
    );
    const site = leaf ? flame.leaf.indexOf(node) : -1;
    own = true;
    store.set({ site, block: -1, node: zoom || site < 0 ? pathKey(flame, node) : store.get("node") });
    own = false;
    toolbar();
  }

  const canvas = new FlameCanvas(
    holder,
    "Flame graph. Arrow keys move between frames, Enter zooms in, Escape zooms out. The Call sites tab has the same data as a table.",
    {
      label,
      paint,
      tip,
      selected,
      drawn,
      amount: (node) => `${measure()(flame.value[node])}  ${percent(flame.value[node], flame.value[0])}`,
      dim: (node) => Boolean(found) && !found.hit[node] && node !== 0,
      edges: () => tints,
    },
  );

  function rebuild() {
    const key = [scope.version, store.get("by"), store.get("unit"), store.get("frames")].join();
    if (key !== built) {
      const values = store.get("unit") === "count" && scope.totalNumber > 0 ? scope.number : scope.value;
      flame = buildFlame(model, values, { by: store.get("by"), frames: store.get("frames") });
      built = key;
    }
    const searched = `${scope.searchVersion}/${key}`;
    if (searched !== foundKey) found = scope.search ? searchFlame(flame, scope.frameMatches) : null;
    foundKey = searched;
    const zoom = nodeOfKey(flame, store.get("node"));
    const site = store.get("site");
    canvas.show(flame, zoom, zoom === 0 && site >= 0 && flame.leaf[site] > 0 ? flame.leaf[site] : zoom);
  }

  function draw() {
    for (const key of ["own", "own-ink", "lib", "native", "ink", "grow", "grow-ink", "hit", "hit-ink", "focus"])
      tints[key.replace(/-i/, "I")] = colour(key);
    tints.root = colour("lib-root");
    canvas.draw();
  }

  function drawn(tiny, tinyValue) {
    const parts = [];
    if (!flame.value[0])
      parts.push(
        scope.moment() === "range"
          ? "Nothing that was allocated in the selected time is still alive."
          : "Nothing was alive at this moment.",
      );
    if (found)
      parts.push(
        `${plural(found.matches, "frame")} match: ${measure()(found.matched)} (${percent(found.matched, flame.value[0])}).`,
      );
    if (scope.othersBytes)
      parts.push(`Smaller call sites, not told apart at this moment: ${bytes(scope.othersBytes)}.`);
    if (tiny) parts.push(`${plural(tiny, "frame")} narrower than a pixel not drawn: ${measure()(tinyValue)} in total.`);
    if (store.get("frames") !== "all")
      parts.push(
        `${plural(flame.hidden, "frame")} of ${store.get("frames") === "own" ? "libraries and the interpreter" : "native code"} folded away; “All frames” shows them.`,
      );
    if (scope.moment() === "range" && model.omitted.count)
      parts.push(
        `${plural(model.omitted.count, "small block")} (${bytes(model.omitted.bytes)}) are not listed one by one and are missing here.`,
      );
    fill(note, parts.join(" "));
  }

  function toolbar() {
    fill(
      bar,
      choice(
        "Direction",
        [
          ["caller", "From the program down", "Top: where the program starts"],
          ["leaf", "From the allocation up", "Top: the line that allocated"],
        ],
        store.get("by"),
        (by) => store.set({ by, node: "" }),
      ),
      choice(
        "Measure",
        [
          ["bytes", "Bytes"],
          ["count", "Blocks"],
        ],
        store.get("unit"),
        (unit) => store.set({ unit }),
      ),
      choice(
        "Frames",
        [
          ["own", "Your code", "Libraries folded to the function that was called"],
          ...(python ? [["python", "Python", "All Python frames"]] : []),
          ["all", "All frames", "Python and native"],
        ],
        store.get("frames"),
        (frames) => store.set({ frames, node: "" }),
      ),
      canvas.zoom ? h("button.quiet", { type: "button", onclick: () => canvas.select(0, true) }, "Reset zoom") : null,
    );
  }

  return {
    update() {
      if (own) return;
      rebuild();
      toolbar();
      draw();
      hideTip();
    },
    resize: () => flame && draw(),
    flame: () => flame,
  };
}
