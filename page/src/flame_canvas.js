// A flame graph on a canvas (icicle: the root on top): drawing, hit tests, keyboard. What a node is called, coloured
// and worth is the caller's.
import { fitCanvas, h, hideTip, showTip } from "./dom.js";

const ROW = 22;
const NARROW = 0.6; // pixels; narrower frames are counted instead of drawn
const FONT = '11.5px ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace';

/**
 * views: label(node), amount(node), paint(node) -> [ground, ink], dim(node), tip(node) -> nodes, selected(node, zoom),
 * edges() -> {focus}, drawn(number, value) of the frames left out
 */
export class FlameCanvas {
  constructor(holder, label, views) {
    this.holder = holder;
    this.views = views;
    this.zoom = this.focus = 0;
    this.canvas = h("canvas", {
      tabindex: "0",
      role: "application",
      "aria-label": label,
      "aria-roledescription": "flame graph",
    });
    holder.append(this.canvas);
    const { canvas } = this;
    canvas.addEventListener("mousemove", (event) => {
      const node = this.nodeAt(event);
      canvas.classList.toggle("pointing", node >= 0);
      if (node < 0) hideTip();
      else showTip(event, views.tip(node));
    });
    canvas.addEventListener("mouseleave", hideTip);
    canvas.addEventListener("click", (event) => {
      const node = this.nodeAt(event);
      if (node >= 0) this.select(node, true);
    });
    canvas.addEventListener("focus", () => this.draw());
    canvas.addEventListener("blur", () => this.draw());
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  show(flame, zoom, focus) {
    this.flame = flame;
    this.zoom = zoom;
    this.focus = focus;
  }

  select(node, zoom) {
    this.focus = node;
    if (zoom) this.zoom = node;
    this.views.selected(node, zoom);
    this.draw();
  }

  /** Draws what is below the zoomed frame, and reports the frames too narrow to draw and what they hold. */
  draw() {
    const { flame, zoom, canvas } = this;
    if (!flame) return;
    const width = (this.width = Math.max(320, this.holder.clientWidth));
    const [from, span] = [flame.x[zoom], flame.width[zoom] || 1];
    const top = flame.depth[zoom];
    const deepest = this.deepestShown(from, span, width, top);
    const context = fitCanvas(canvas, width, (deepest + 1) * ROW + 2);
    context.font = FONT;
    context.textBaseline = "middle";
    const letter = context.measureText("0").width;
    const { focus } = this.views.edges();
    const narrow = new Uint8Array(flame.n);
    let tiny = 0;
    let tinyValue = 0;
    for (let depth = 0; depth <= flame.deepest; ++depth) {
      const y = depth * ROW + 1;
      for (let i = flame.rows[depth]; i < flame.rows[depth + 1]; ++i) {
        const node = flame.byDepth[i];
        const left = ((flame.x[node] - from) / span) * width;
        const full = (flame.width[node] / span) * width;
        if (left + full <= 0.01 || left >= width - 0.01) continue;
        if (full < NARROW) {
          tiny += 1;
          narrow[node] = 1;
          if (!narrow[flame.parent[node]]) tinyValue += flame.value[node];
          continue;
        }
        if (depth > deepest) continue;
        const x = Math.max(0, left);
        const w = Math.min(left + full, width) - x;
        const [ground, ink] = this.views.paint(node);
        context.globalAlpha = depth < top ? 0.55 : this.views.dim(node) ? 0.42 : 1;
        context.fillStyle = ground;
        context.fillRect(x, y, w > 2 ? w - 0.8 : w, ROW - 1);
        context.globalAlpha = 1;
        if (w > 34) this.drawLabel(context, node, x, y, w, letter, ink);
        if (node === this.focus && (node !== 0 || document.activeElement === canvas)) {
          context.strokeStyle = focus;
          context.lineWidth = 2;
          context.strokeRect(x + 1, y + 1, Math.max(1, w - 2.8), ROW - 3);
        }
      }
    }
    canvas.dataset.nodes = String(flame.n);
    canvas.dataset.zoom = String(zoom);
    this.views.drawn(tiny, tinyValue);
  }

  /** The last row with anything wide enough to see. */
  deepestShown(from, span, width, top) {
    const { flame } = this;
    let deepest = top;
    for (let depth = top; depth <= flame.deepest; ++depth) {
      let any = false;
      for (let i = flame.rows[depth]; i < flame.rows[depth + 1] && !any; ++i) {
        const node = flame.byDepth[i];
        const x = ((flame.x[node] - from) / span) * width;
        const w = (flame.width[node] / span) * width;
        any = x < width && x + w > 0 && w >= NARROW;
      }
      if (!any) break;
      deepest = depth;
    }
    return deepest;
  }

  drawLabel(context, node, x, y, w, letter, ink) {
    const text = this.views.label(node);
    const amount = this.views.amount(node);
    const fits = Math.floor((w - 12) / letter);
    const room = fits - amount.length - 2;
    const middle = y + ROW / 2;
    context.fillStyle = ink;
    if (room >= 14 || room >= text.length) {
      context.fillText(text.length > room ? text.slice(0, room - 1) + "…" : text, x + 6, middle);
      context.fillText(amount, x + w - 7 - amount.length * letter, middle);
    } else if (fits >= 3) {
      context.fillText(text.length > fits ? text.slice(0, fits - 1) + "…" : text, x + 6, middle);
    }
  }

  nodeAt(event) {
    const { flame } = this;
    const depth = Math.floor((event.offsetY - 1) / ROW);
    if (!flame || depth < 0 || depth > flame.deepest) return -1;
    const at = flame.x[this.zoom] + (event.offsetX / this.width) * (flame.width[this.zoom] || 1);
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

  key(event) {
    const { flame, focus } = this;
    const siblings = focus
      ? flame.children.subarray(flame.start[flame.parent[focus]], flame.start[flame.parent[focus] + 1])
      : [0];
    const index = siblings.indexOf(focus);
    const to = {
      ArrowUp: focus ? flame.parent[focus] : 0,
      ArrowDown: flame.start[focus] < flame.start[focus + 1] ? flame.children[flame.start[focus]] : focus,
      ArrowLeft: siblings[Math.max(0, index - 1)],
      ArrowRight: siblings[Math.min(siblings.length - 1, index + 1)],
      Home: 0,
    }[event.key];
    // Moving above the zoomed frame zooms out with it: the focus is always in view.
    if (to !== undefined) this.select(to, flame.depth[to] <= flame.depth[this.zoom] && to !== this.zoom);
    else if (event.key === "Enter") this.select(focus, true);
    else if (event.key === "Escape" && this.zoom) this.select(flame.parent[this.zoom], true);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}

/** Which frames match the search, and what they hold without counting a frame below another match twice. */
export function searchFlame(flame, frameMatches) {
  const hit = new Uint8Array(flame.n);
  const below = new Uint8Array(flame.n);
  let matches = 0;
  let matched = 0;
  for (let node = 1; node < flame.n; ++node) {
    const parent = flame.parent[node];
    hit[node] = flame.frame[node] >= 0 ? frameMatches[flame.frame[node]] : 0;
    below[node] = below[parent] | hit[node];
    matches += hit[node];
    if (hit[node] && !below[parent]) matched += flame.value[node];
  }
  return { hit, matches, matched };
}
