// The differential flame graph: width is what a frame held in the run where it held more, colour is which way it went.
import { frameLabel, frameParts } from "./data.js";
import { bytes, percent, plural, shorten } from "./format.js";
import { announce, choice, colour, fill, h, hideTip, legendKey, name } from "./dom.js";
import { buildFlame, nodeOfKey, pathKey, sumUp } from "./flame_tree.js";
import { FlameCanvas, searchFlame } from "./flame_canvas.js";
import { signed } from "./diff_data.js";

export function diffFlame(root, model, store, scope) {
  const bar = h("div.bar");
  const note = h("p.note");
  const holder = h("div.flame");
  root.append(
    bar,
    h(
      "p.legend",
      null,
      legendKey("more-3", "B holds more"),
      legendKey("less-3", "B holds less"),
      legendKey("lib-root", "about the same"),
      legendKey("hit", "matches the search"),
    ),
    holder,
    note,
  );
  let flame = null;
  let found = null;
  let own = false;
  const tints = {};

  const delta = (node) => flame.b[node] - flame.a[node];

  function label(node) {
    if (node === 0) return `everything, ${model.byWords}`;
    return shorten(frameLabel(model, flame.frame[node]), 160);
  }

  // Three strengths each way: a frame's own change against what it held.
  function paint(node) {
    if (found?.hit[node]) return [tints.hit, tints["hit-ink"]];
    const part = flame.value[node] ? delta(node) / flame.value[node] : 0;
    const strength = Math.abs(part) < 0.02 ? 0 : Math.abs(part) < 0.25 ? 1 : Math.abs(part) < 0.75 ? 2 : 3;
    if (strength === 0) return [tints["lib-root"], tints.ink];
    return [tints[`${part > 0 ? "more" : "less"}-${strength}`], tints[strength === 3 ? "delta-ink" : "ink"]];
  }

  function tip(node) {
    const parts = node ? frameParts(model, flame.frame[node]) : { function: label(0), place: "", source: "" };
    return [
      h("b", null, name(shorten(parts.function, 200))),
      h("div", null, name(shorten(parts.place, 200))),
      parts.source ? h("code", null, name(shorten(parts.source, 200))) : null,
      h("div", null, `A ${bytes(flame.a[node])}, B ${bytes(flame.b[node])}: `, h("b", null, signed(delta(node)))),
    ];
  }

  function selected(node, zoom) {
    const leaf = node > 0 && flame.start[node] === flame.start[node + 1];
    announce(`${label(node)}, ${signed(delta(node))}`);
    const site = leaf ? flame.leaf.indexOf(node) : -1;
    own = true;
    store.set({ site, node: zoom || site < 0 ? pathKey(flame, node) : store.get("node") });
    own = false;
    toolbar();
  }

  const canvas = new FlameCanvas(
    holder,
    "Differential flame graph. Arrow keys move between frames, Enter zooms in, Escape zooms out. The Call sites tab has the same data as a table.",
    {
      label,
      paint,
      tip,
      selected,
      amount: (node) => signed(delta(node)),
      dim: (node) => Boolean(found) && !found.hit[node] && node !== 0,
      edges: () => tints,
      drawn(tiny, tinyValue) {
        const parts = [];
        if (!flame.value[0]) parts.push("Neither run held anything here.");
        if (found)
          parts.push(
            `${plural(found.matches, "frame")} match: ${bytes(found.matched)} (${percent(found.matched, flame.value[0])}).`,
          );
        if (tiny) parts.push(`${plural(tiny, "frame")} narrower than a pixel not drawn: ${bytes(tinyValue)} in total.`);
        if (store.get("frames") !== "all")
          parts.push(`${plural(flame.hidden, "frame")} folded away; “All frames” shows them.`);
        fill(note, parts.join(" "));
      },
    },
  );

  function toolbar() {
    fill(
      bar,
      choice(
        "Direction",
        [
          ["caller", "From the program down"],
          ["leaf", "From the allocation up"],
        ],
        store.get("by"),
        (by) => store.set({ by, node: "" }),
      ),
      choice(
        "Frames",
        [
          ["own", "Your code"],
          ["python", "Python"],
          ["all", "All frames"],
        ],
        store.get("frames"),
        (frames) => store.set({ frames, node: "" }),
      ),
      canvas.zoom ? h("button.quiet", { type: "button", onclick: () => canvas.select(0, true) }, "Reset zoom") : null,
    );
  }

  function draw() {
    for (const key of [
      "hit",
      "hit-ink",
      "ink",
      "lib-root",
      "focus",
      "delta-ink",
      "more-1",
      "more-2",
      "more-3",
      "less-1",
      "less-2",
      "less-3",
    ])
      tints[key] = colour(key);
    canvas.draw();
  }

  return {
    update() {
      if (own) return;
      const wanted = store.get("verdict");
      const shown = (site) => scope.inside[site] && (!wanted || model.text(model.changes.change[site]) === wanted);
      flame = buildFlame(
        model,
        scope.value.map((value, site) => (shown(site) ? value : 0)),
        { by: store.get("by"), frames: store.get("frames") },
      );
      flame.a = sumUp(flame, (site) => model.changes.a[site]);
      flame.b = sumUp(flame, (site) => model.changes.b[site]);
      found = scope.search ? searchFlame(flame, scope.frameMatches) : null;
      const zoom = nodeOfKey(flame, store.get("node"));
      canvas.show(
        flame,
        zoom,
        zoom === 0 && store.get("site") >= 0 && flame.leaf[store.get("site")] > 0
          ? flame.leaf[store.get("site")]
          : zoom,
      );
      toolbar();
      draw();
      hideTip();
    },
    resize: () => flame && draw(),
    flame: () => flame,
  };
}
