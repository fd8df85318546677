// The flame graph (icicle: callers on top, what they called below). One canvas; keyboard and pointer.
import { frameParts } from "./data.js";
import { bytes, count, percent, plural, shorten } from "./format.js";
import { $, announce, choice, colour, fill, fitCanvas, h, hideTip, name, showTip } from "./dom.js";
import { buildFlame, nodeOfKey, pathKey } from "./flame_tree.js";

const ROW = 22;
const FONT = '11.5px ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace';

export function flameView(root, model, store, scope) {
  const canvas = h("canvas", { tabindex: "0", role: "application", "aria-label": "Flame graph. Arrow keys move between frames, Enter zooms in, Escape zooms out. The Call sites tab has the same data as a table.", "aria-roledescription": "flame graph" });
  const bar = h("div.bar");
  const note = h("p.note");
  const holder = h("div.flame", null, canvas);
  root.append(bar, h("p.legend", null, h("span.key.own", null, "your code"), h("span.key.lib", null, "Python libraries"),
    h("span.key.native", null, "native code"), h("span.key.grow", null, "▲ mostly growing"), h("span.key.hit", null, "matches the search")), holder, note);
  const view = { flame: null, zoom: 0, focus: 0, built: "" };

  const measure = () => (store.get("unit") === "count" ? count : bytes);

  function rebuild() {
    const key = [scope.version, store.get("by"), store.get("unit"), store.get("frames")].join();
    if (key !== view.built) {
      const values = store.get("unit") === "count" && scope.totalNumber > 0 ? scope.number : scope.value;
      view.flame = buildFlame(model, values, { by: store.get("by"), frames: store.get("frames") });
      view.built = key;
      view.hits = "";
    }
    view.zoom = view.focus = nodeOfKey(view.flame, store.get("node"));
    if (view.zoom === 0 && store.get("site") >= 0 && view.flame.leaf[store.get("site")] > 0) view.focus = view.flame.leaf[store.get("site")];
    search();
  }

  /** Marks the frames that match, and sums what they hold. */
  function search() {
    const { flame } = view;
    const key = `${scope.searchVersion}/${view.built}`;
    if (view.hits === key) return;
    view.hits = key;
    view.hit = null;
    if (!scope.search) return;
    const hit = (view.hit = new Uint8Array(flame.n));
    const below = new Uint8Array(flame.n);
    view.matched = view.matches = 0;
    for (let node = 1; node < flame.n; ++node) {
      hit[node] = flame.frame[node] >= 0 ? scope.frameMatches[flame.frame[node]] : 0;
      below[node] = below[flame.parent[node]] | hit[node];
      if (hit[node]) view.matches += 1;
      if (hit[node] && !below[flame.parent[node]]) view.matched += flame.value[node];
    }
  }

  function colours() {
    const c = (key) => colour(key);
    return { own: c("own"), ownInk: c("own-ink"), lib: c("lib"), native: c("native"), ink: c("ink"), grow: c("grow"), growInk: c("grow-ink"),
      hit: c("hit"), hitInk: c("hit-ink"), edge: c("panel"), root: c("lib-root"), focus: c("focus") };
  }

  function style(node, c) {
    const { flame } = view;
    const frame = flame.frame[node];
    if (view.hit?.[node]) return [c.hit, c.hitInk];
    if (node === 0) return [c.root, c.ink];
    if (flame.growing[node] > 0.5 * flame.value[node]) return [c.grow, c.growInk];
    if (frame < 0) return [c.native, c.ink];
    return model.frames.own[frame] ? [c.own, c.ownInk] : model.frames.native[frame] ? [c.native, c.ink] : [c.lib, c.ink];
  }

  function label(node) {
    const { flame } = view;
    if (node === 0) return `${store.get("layer") === "tensor" ? "all tensors" : "all CUDA memory"}, ${scope.momentText()}`;
    const parts = frameParts(model, flame.frame[node]);
    return shorten(parts.place ? `${parts.function}  ${parts.place}` : parts.function, 120);
  }

  function draw() {
    const { flame } = view;
    const width = Math.max(320, holder.clientWidth);
    const zoom = view.zoom;
    const [from, span] = [flame.x[zoom], flame.width[zoom] || 1];
    const top = flame.depth[zoom];
    let deepest = top;
    const height = () => (deepest + 1) * ROW + 2;
    for (let depth = top; depth <= flame.deepest; ++depth) {
      let any = false;
      for (let i = flame.rows[depth]; i < flame.rows[depth + 1] && !any; ++i) {
        const node = flame.byDepth[i];
        const x = ((flame.x[node] - from) / span) * width;
        any = x < width && x + (flame.width[node] / span) * width > 0 && (flame.width[node] / span) * width >= 0.6;
      }
      if (!any) break;
      deepest = depth;
    }
    const context = fitCanvas(canvas, width, height());
    context.font = FONT;
    context.textBaseline = "middle";
    const letter = context.measureText("0").width;
    const c = colours();
    let tiny = 0;
    let tinyValue = 0;
    const tinyAbove = new Uint8Array(flame.n);
    view.width = width;
    for (let depth = 0; depth <= flame.deepest; ++depth) {
      const y = depth * ROW + 1;
      for (let i = flame.rows[depth]; i < flame.rows[depth + 1]; ++i) {
        const node = flame.byDepth[i];
        let x = ((flame.x[node] - from) / span) * width;
        let w = (flame.width[node] / span) * width;
        if (x + w <= 0.01 || x >= width - 0.01) continue;
        if (w < 0.6) {
          tiny += 1;
          tinyAbove[node] = 1;
          if (!tinyAbove[flame.parent[node]]) tinyValue += flame.value[node];
          continue;
        }
        if (depth > deepest) continue;
        if (x < 0) {
          w += x;
          x = 0;
        }
        w = Math.min(w, width - x);
        const [ground, ink] = style(node, c);
        context.globalAlpha = depth < top ? 0.55 : view.hit && !view.hit[node] && node !== 0 ? 0.42 : 1;
        context.fillStyle = ground;
        context.fillRect(x, y, w > 2 ? w - 0.8 : w, ROW - 1);
        context.globalAlpha = 1;
        if (w > 34) drawLabel(context, node, x, y, w, letter, ink);
        if (node === view.focus && (node !== 0 || document.activeElement === canvas)) {
          context.strokeStyle = c.focus;
          context.lineWidth = 2;
          context.strokeRect(x + 1, y + 1, Math.max(1, w - 2.8), ROW - 3);
        }
      }
    }
    canvas.dataset.nodes = String(flame.n);
    canvas.dataset.zoom = String(zoom);
    describe(tiny, tinyValue);
  }

  function drawLabel(context, node, x, y, w, letter, ink) {
    const { flame } = view;
    const grows = flame.growing[node] > 0.5 * flame.value[node] && node !== 0;
    const text = (grows ? "▲ " : "") + label(node);
    const amount = `${measure()(flame.value[node])}  ${percent(flame.value[node], flame.value[0])}`;
    const fits = Math.floor((w - 12) / letter);
    context.fillStyle = ink;
    const room = fits - amount.length - 2;
    if (room >= 14 || room >= text.length) {
      context.fillText(text.length > room ? text.slice(0, room - 1) + "…" : text, x + 6, y + ROW / 2);
      context.fillText(amount, x + w - 7 - amount.length * letter, y + ROW / 2);
    } else if (fits >= 3) {
      context.fillText(text.length > fits ? text.slice(0, fits - 1) + "…" : text, x + 6, y + ROW / 2);
    }
  }

  function describe(tiny, tinyValue) {
    const { flame } = view;
    const parts = [];
    if (tiny) parts.push(`${plural(tiny, "frame")} narrower than a pixel not drawn: ${measure()(tinyValue)} in total.`);
    if (store.get("frames") !== "all") parts.push(`${plural(flame.hidden, "frame")} of ${store.get("frames") === "own" ? "libraries and the interpreter" : "native code"} folded away; “All frames” shows them.`);
    if (store.get("unit") === "count" && scope.totalNumber === 0) parts.push("Block counts are known for the report's own moment only: bytes are shown.");
    if (scope.moment() === "range" && model.omitted.count) parts.push(`${plural(model.omitted.count, "small block")} (${bytes(model.omitted.bytes)}) are not listed one by one and are missing here.`);
    if (scope.search) parts.unshift(`${plural(view.matches, "frame")} match: ${measure()(view.matched)} (${percent(view.matched, flame.value[0])}).`);
    if (!flame.value[0]) parts.unshift(scope.moment() === "range" ? "Nothing that was allocated in the selected time is still alive." : "Nothing was alive at this moment.");
    fill(note, parts.join(" "));
  }

  function nodeAt(event) {
    const { flame } = view;
    const depth = Math.floor((event.offsetY - 1) / ROW);
    if (depth < 0 || depth > flame.deepest) return -1;
    const at = flame.x[view.zoom] + (event.offsetX / view.width) * (flame.width[view.zoom] || 1);
    let low = flame.rows[depth];
    let high = flame.rows[depth + 1] - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const node = flame.byDepth[middle];
      if (at < flame.x[node]) high = middle - 1;
      else if (at >= flame.x[node] + flame.width[node]) low = middle + 1;
      else return node;
    }
    return -1;
  }

  /** The one site that ends at this node, or -1. */
  function siteAt(node) {
    return view.flame.leaf.indexOf(node);
  }

  function select(node, zoom) {
    view.focus = node;
    if (zoom) view.zoom = node;
    const site = node > 0 && view.flame.start[node] === view.flame.start[node + 1] ? siteAt(node) : -1;
    const parts = node > 0 ? frameParts(model, view.flame.frame[node]) : { function: "everything", place: "" };
    announce(`${show(parts)}, ${bytes(view.flame.value[node])}, ${percent(view.flame.value[node], view.flame.value[0])}`);
    view.keep = true; // our own change: do not rebuild zoom from the hash
    store.set({ site, block: -1, node: zoom || site < 0 ? pathKey(view.flame, node) : store.get("node") });
    view.keep = false;
    draw();
  }
  const show = (parts) => shorten(`${parts.function} ${parts.place}`, 100);

  canvas.addEventListener("mousemove", (event) => {
    const node = nodeAt(event);
    canvas.classList.toggle("pointing", node >= 0);
    if (node < 0) return hideTip();
    const { flame } = view;
    const parts = node ? frameParts(model, flame.frame[node]) : { function: label(0), place: "", source: "" };
    showTip(event, h("b", null, name(shorten(parts.function, 200))), parts.place ? h("div", null, name(shorten(parts.place, 200))) : null,
      parts.source ? h("code", null, name(shorten(parts.source, 200))) : null,
      h("div", null, `${measure()(flame.value[node])} · ${percent(flame.value[node], flame.value[0])} of all`,
        flame.growing[node] ? h("span.growing", null, ` · ${measure()(flame.growing[node])} growing`) : null));
  });
  canvas.addEventListener("mouseleave", hideTip);
  canvas.addEventListener("click", (event) => {
    const node = nodeAt(event);
    if (node >= 0) select(node, true);
  });
  canvas.addEventListener("focus", () => draw());
  canvas.addEventListener("blur", () => draw());
  canvas.addEventListener("keydown", (event) => {
    const { flame, focus } = view;
    const siblings = flame.children.subarray(flame.start[flame.parent[focus]] ?? 0, focus ? flame.start[flame.parent[focus] + 1] : 0);
    const index = siblings.indexOf(focus);
    const to = {
      ArrowUp: focus ? flame.parent[focus] : 0,
      ArrowDown: flame.start[focus] < flame.start[focus + 1] ? flame.children[flame.start[focus]] : focus,
      ArrowLeft: index > 0 ? siblings[index - 1] : focus,
      ArrowRight: index >= 0 && index + 1 < siblings.length ? siblings[index + 1] : focus,
      Home: 0,
    }[event.key];
    if (to !== undefined) select(to, flame.depth[to] <= flame.depth[view.zoom] && to !== view.zoom);
    else if (event.key === "Enter") select(focus, true);
    else if (event.key === "Escape" && view.zoom) select(flame.parent[view.zoom], true);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });

  function toolbar() {
    fill(bar,
      choice("Direction", [["caller", "From the program down", "Top: where the program starts"], ["leaf", "From the allocation up", "Top: the line that allocated"]], store.get("by"), (by) => store.set({ by, node: "" })),
      choice("Measure", [["bytes", "Bytes"], ["count", "Blocks"]], store.get("unit"), (unit) => store.set({ unit })),
      choice("Frames", [["own", "Your code", "Libraries folded to the function that was called"], ["python", "Python", "All Python frames"], ["all", "All frames", "Python and native"]], store.get("frames"), (frames) => store.set({ frames, node: "" })),
      h("button.quiet", { type: "button", onclick: () => select(0, true), disabled: view.zoom === 0 }, "Reset zoom"));
  }

  return {
    update(changed) {
      if (view.keep && view.flame) return toolbar();
      rebuild();
      toolbar();
      draw();
      $("tip").hidden = true;
    },
    resize: () => view.flame && draw(),
    flame: () => view.flame,
  };
}
