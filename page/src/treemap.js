// A treemap: areas in proportion to bytes, within each the areas of its parts, down to what is large enough to see.
import { ground, h, name } from "./dom.js";
import { bytes, shorten } from "./format.js";

const STRIP = 18; // pixels on top of an area for its name, where its parts are drawn below
const ROOM = [34, 15]; // the least width and height for a name
const LEAST = 3; // pixels; smaller areas are not drawn

/**
 * nodes: [{bytes, text, tip, key: the colour's, parts() -> nodes that add up to it (none: the area is one), pick() when
 * clicked, selected}]
 */
export function treemap(label, nodes, width, height) {
  const box = h("div.treemap", { role: "img", "aria-label": label });
  box.style.height = `${height}px`;
  draw(box, nodes, width, height);
  return box;
}

function draw(box, nodes, width, height) {
  const shown = nodes.filter((node) => node.bytes > 0).sort((a, b) => b.bytes - a.bytes);
  for (const { item: node, x, y, w, h: high } of squarify(shown, width, height)) {
    if (w < LEAST || high < LEAST) continue;
    const cell = h(node.selected ? "div.selected" : "div", { title: node.tip });
    Object.assign(cell.style, { left: `${x}px`, top: `${y}px`, width: `${w}px`, height: `${high}px` });
    const [wide, tall] = [w - 4, high - STRIP - 3];
    const parts = node.parts && wide > ROOM[0] && tall > ROOM[1] ? node.parts() : [];
    if (parts.length) cell.classList.add("whole");
    else if (node.key) {
      cell.classList.add(`k-${node.key}`);
      cell.style.background = ground(node.key);
    }
    if (node.pick) {
      cell.classList.add("pointing");
      cell.addEventListener("click", (event) => {
        event.stopPropagation();
        node.pick();
      });
    }
    if (w > ROOM[0] && high > ROOM[1] && node.text)
      cell.append(
        h(
          "span",
          null,
          name(shorten(node.text, 90)),
          high > 2 * STRIP && !parts.length ? h("br") : " ",
          h("b", null, bytes(node.bytes)),
        ),
      );
    if (parts.length) {
      const inner = h("div.parts");
      Object.assign(inner.style, { left: "1px", top: `${STRIP}px`, width: `${wide}px`, height: `${tall}px` });
      draw(inner, parts, wide, tall);
      cell.append(inner);
    }
    box.append(cell);
  }
}

/** Rows of nearly square cells, largest first. Returns [{item, x, y, w, h}]. */
export function squarify(items, width, height) {
  const cells = [];
  let left = items.reduce((sum, item) => sum + item.bytes, 0);
  let [x, y, w, high] = [0, 0, width, height];
  for (let i = 0; i < items.length; ) {
    const along = Math.min(w, high);
    const scale = (w * high) / Math.max(left, 1);
    let sum = 0;
    let end = i;
    let worst = Infinity;
    for (; end < items.length; ++end) {
      const next = sum + items[end].bytes * scale;
      const side = next / along;
      const ratio = Math.max(
        ...[items[i], items[end]].map((item) =>
          Math.max((item.bytes * scale) / side / side, (side * side) / Math.max(item.bytes * scale, 1e-9)),
        ),
      );
      if (end > i && ratio > worst) break;
      worst = ratio;
      sum = next;
    }
    const side = sum / along;
    let at = 0;
    for (let j = i; j < end; ++j) {
      const length = side > 0 ? (items[j].bytes * scale) / side : 0;
      cells.push(
        w >= high
          ? { item: items[j], x, y: y + at, w: side, h: length }
          : { item: items[j], x: x + at, y, w: length, h: side },
      );
      at += length;
      left -= items[j].bytes;
    }
    if (w >= high) {
      x += side;
      w -= side;
    } else {
      y += side;
      high -= side;
    }
    i = end;
  }
  return cells;
}
