// The segment map: one line is a fixed number of bytes, so area is memory. Painted pixel by pixel by coverage, so that
// blocks smaller than a pixel blend instead of vanishing; only the rows in view are painted.
import { ROLES, addressText, siteParts } from "./data.js";
import { bytes, percent, plural, shorten } from "./format.js";
import { deviceChoice } from "./cells.js";
import { colour, fill, fitCanvas, h, hideTip, legendKey, name, showTip } from "./dom.js";
import { showPins } from "./pins.js";
import { findSegments, niceRow, place } from "./segments.js";

const ROW = 18;
const LINE = 15; // painted part of a row

export function segmentsView(root, model, store, scope) {
  const canvas = h("canvas", { role: "img" });
  const spacer = h("div.spacer", null, canvas);
  const area = h("div.map", { tabindex: "0", "aria-label": "Segment map" }, spacer);
  const bar = h("div.bar");
  const words = h("p.lead");
  const legend = h("p.legend");
  const note = h("p.note");
  const pins = h("section");
  root.append(words, bar, legend, area, note, pins);
  const view = { key: "", segments: [], rowBytes: 0, rows: 0 };

  const device = () =>
    store.get("device") !== "all" ? Number(store.get("device")) : (model.devices.find((d) => d >= 0) ?? 0);

  function rebuild() {
    if (view.key !== device()) {
      view.key = device();
      Object.assign(view, findSegments(model, device()));
      view.segments.sort((a, b) => b.bytes - a.bytes || a.address - b.address);
      view.total = view.segments.reduce((sum, s) => sum + s.bytes, 0);
      view.rowBytes = niceRow(view.total);
      describe();
      showPins(pins, model, store, device());
    }
    arrange();
  }

  function arrange() {
    view.width = Math.max(300, area.clientWidth - 2);
    view.rows = place(view.segments, view.rowBytes, (view.rowBytes / view.width) * 4);
    spacer.style.height = `${view.rows * ROW + 4}px`;
    area.style.setProperty("--wanted", `${view.rows * ROW + 6}px`);
  }

  function describe() {
    const { segments, total } = view;
    const live = segments.reduce((sum, s) => sum + s.live, 0);
    const hole = segments.reduce((most, s) => Math.max(most, s.hole), 0);
    const free = total - live;
    if (!segments.length) {
      fill(
        words,
        "This report has no segments of a caching allocator on this device. Programs that call cudaMalloc themselves have their memory in the Call sites tab under “CUDA memory”.",
      );
      fill(legend);
      fill(note);
      return;
    }
    fill(
      words,
      h("b", null, bytes(total)),
      ` reserved in ${plural(segments.length, "segment")}: `,
      h("b", null, bytes(live)),
      " in tensors, ",
      h("b", null, bytes(free)),
      ` free inside (cached, ${percent(free, total)}). The largest free piece is `,
      h("b", null, bytes(hole)),
      ": a bigger request needs new memory from the driver, however much is free in total.",
    );
    const sums = new Float64Array(ROLES.length);
    for (const segment of segments)
      for (const block of segment.blocks) sums[model.blocks.roleIndex[block]] += model.blocks.bytes[block];
    fill(
      legend,
      ROLES.map(([key, text], i) => (sums[i] ? legendKey(key, `${text} ${bytes(sums[i])}`) : null)),
      legendKey("cached", `free, cached ${bytes(free)}`),
    );
    canvas.setAttribute("aria-label", words.textContent);
    const notes = [];
    const inRange = segments.reduce((sum, s) => sum + s.blocks.length, 0);
    notes.push(`${plural(inRange, "live block")}; segments largest first, addresses left to right.`);
    if (view.outside)
      notes.push(`${plural(view.outside, "block")} (${bytes(view.outsideBytes)}) lie in no listed segment.`);
    if (model.omitted.count)
      notes.push(
        `${plural(model.omitted.count, "smaller block")} (${bytes(model.omitted.bytes)}) are not in this report and look free here.`,
      );
    if (!scope.hasBlocks())
      notes.push("The map shows the report's own moment: single blocks of other moments are not recorded.");
    fill(note, notes.join(" "));
  }

  function toolbar() {
    fill(
      bar,
      model.devices.length > 1 ? deviceChoice(model, store, device()) : null,
      h("span.muted", null, `one line = ${bytes(view.rowBytes)}`),
      h(
        "button.quiet",
        { type: "button", "aria-label": "Longer lines", disabled: view.rows <= 1, onclick: () => zoom(2) },
        "− smaller",
      ),
      h(
        "button.quiet",
        { type: "button", "aria-label": "Shorter lines", disabled: view.rowBytes <= 1 << 20, onclick: () => zoom(0.5) },
        "+ larger",
      ),
    );
  }

  function zoom(factor) {
    view.rowBytes = Math.max(1 << 20, view.rowBytes * factor);
    arrange();
    area.scrollTop = 0;
    draw();
    toolbar();
  }

  /** Tells whether a block is part of what is selected or searched. */
  function lighting() {
    const site = store.get("site");
    const matches = scope.blockMatches;
    if (site >= 0 && model.sites.layer[site] === model.tensorLayer) return (block) => model.blocks.site[block] === site;
    return matches ? (block) => matches[block] : () => true;
  }

  function draw() {
    const { segments, rowBytes, width } = view;
    const height = Math.min(area.clientHeight || 400, view.rows * ROW + 4);
    const top = area.scrollTop;
    canvas.style.top = `${top}px`;
    const context = fitCanvas(canvas, width, height);
    if (!segments.length) return;
    const pixels = canvas.width;
    const ratio = pixels / width;
    const image = context.createImageData(pixels, canvas.height);
    const paint = new Uint32Array(image.data.buffer);
    const c = palette();
    const lit = lighting();
    const rowOf = (map) => Math.floor(map / rowBytes);
    const firstRow = Math.floor(top / ROW);
    const lastRow = Math.min(view.rows - 1, Math.floor((top + height) / ROW));
    const perPixel = rowBytes / pixels;
    const line = { sum: new Float32Array(pixels * 4), kind: new Uint8Array(pixels) };
    for (let row = firstRow; row <= lastRow; ++row) {
      line.sum.fill(0);
      line.kind.fill(0);
      const begin = row * rowBytes;
      for (let i = firstAt(begin); i < segments.length && segments[i].start < begin + rowBytes; ++i) {
        if (rowOf(segments[i].start) <= row) paintSegment(line, segments[i], begin, perPixel, c, lit);
      }
      blend(
        line,
        paint,
        c,
        pixels,
        Math.round((row * ROW - top + 2) * ratio),
        Math.round(LINE * ratio),
        canvas.height,
        ratio,
      );
    }
    context.putImageData(image, 0, 0);
    canvas.dataset.rows = String(view.rows);
  }

  function firstAt(begin) {
    let [low, high] = [0, view.segments.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (view.segments[middle].start + view.segments[middle].bytes <= begin) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  // Adds what of the segment lies in the row [begin, begin + row): which pixels are segment, and how much of each
  // pixel which colour covers.
  function paintSegment(line, segment, begin, perPixel, c, lit) {
    const pixels = line.kind.length;
    const left = Math.max(0, (segment.start - begin) / perPixel);
    const right = Math.min(pixels, (segment.start + segment.bytes - begin) / perPixel);
    for (let x = Math.floor(left); x < right && x < pixels; ++x) line.kind[x] = 1;
    const shift = segment.start - segment.address - begin;
    const { address, bytes: size } = model.blocks;
    const list = segment.blocks;
    let [low, high] = [0, list.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (address[list[middle]] + size[list[middle]] + shift <= 0) low = middle + 1;
      else high = middle;
    }
    for (; low < list.length; ++low) {
      const block = list[low];
      const from = Math.max(0, (address[block] + shift) / perPixel);
      if (from >= pixels) break;
      const to = Math.min(pixels, (address[block] + size[block] + shift) / perPixel);
      const rgb = lit(block) ? c.roles[model.blocks.roleIndex[block]] : c.dim;
      // A thin seam at a block's end shows where one block stops, when there is room.
      const seam = to - from > 4 ? to - 1 : to;
      for (let x = Math.floor(from); x < to; ++x) {
        const cover = Math.min(x + 1, seam) - Math.max(x, from);
        if (cover <= 0) continue;
        line.sum[4 * x] += rgb[0] * cover;
        line.sum[4 * x + 1] += rgb[1] * cover;
        line.sum[4 * x + 2] += rgb[2] * cover;
        line.sum[4 * x + 3] += cover;
      }
    }
  }

  function blend(line, paint, c, pixels, y0, lines, height, ratio) {
    const step = Math.max(6, Math.round(7 * ratio));
    const band = Math.max(1, Math.round(1.6 * ratio));
    const { sum, kind } = line;
    for (let x = 0; x < pixels; ++x) {
      if (!kind[x]) continue;
      const all = sum[4 * x + 3];
      const [rest, over] = [Math.max(0, 1 - all), Math.max(1, all)];
      const mix = (ground, k) => sum[4 * x + k] / over + ground[k] * rest;
      const on = (ground) => 0xff000000 | (mix(ground, 2) << 16) | (mix(ground, 1) << 8) | mix(ground, 0);
      const [free, hatched] = [on(c.free), on(c.hatch)];
      for (let y = Math.max(0, y0); y < Math.min(y0 + lines, height); ++y)
        paint[y * pixels + x] = (x + y) % step < band ? hatched : free;
    }
  }

  function at(event) {
    const row = Math.floor((event.offsetY + area.scrollTop - 2) / ROW);
    const map = row * view.rowBytes + (event.offsetX / view.width) * view.rowBytes;
    const segment = view.segments[firstAt(map)];
    if (!segment || segment.start > map) return null;
    const address = segment.address + (map - segment.start);
    const half = view.rowBytes / view.width / 2;
    const block = segment.blocks.find(
      (b) =>
        model.blocks.address[b] - half <= address && address < model.blocks.address[b] + model.blocks.bytes[b] + half,
    );
    return { segment, block: block ?? -1 };
  }

  canvas.addEventListener("mousemove", (event) => {
    const hit = at(event);
    canvas.classList.toggle("pointing", Boolean(hit) && hit.block >= 0);
    if (!hit) return hideTip();
    const { segment, block } = hit;
    const where = h(
      "div.muted",
      null,
      `segment 0x${segment.address.toString(16)}: ${bytes(segment.bytes)}, ${percent(segment.live, segment.bytes)} used, largest hole ${bytes(segment.hole)}`,
    );
    if (block < 0) return showTip(event, h("b", null, "free, cached by the allocator"), where);
    const site = model.blocks.site[block];
    const parts = site < 0 ? { place: "", function: "" } : siteParts(model, site);
    showTip(
      event,
      h("b", null, `${bytes(model.blocks.bytes[block])} ${ROLES[model.blocks.roleIndex[block]][1]}`),
      h("div", null, name(shorten(model.text(model.blocks.name[block]), 120))),
      h("div", null, name(shorten(`${parts.place} ${parts.function}`, 160))),
      where,
      h("div.muted", null, addressText(model, block)),
    );
  });
  canvas.addEventListener("mouseleave", hideTip);
  canvas.addEventListener("click", (event) => {
    const hit = at(event);
    store.set(
      hit && hit.block >= 0 ? { block: hit.block, site: model.blocks.site[hit.block] } : { block: -1, site: -1 },
    );
  });
  area.addEventListener("scroll", () => draw(), { passive: true });

  return {
    update() {
      rebuild();
      toolbar();
      draw();
    },
    resize() {
      if (view.key === "") return;
      arrange();
      draw();
    },
  };
}

function palette() {
  const rgb = (key) => {
    const c = document.createElement("canvas").getContext("2d");
    c.fillStyle = colour(key);
    const hex = c.fillStyle;
    return [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
  };
  return { roles: ROLES.map(([key]) => rgb(key)), dim: rgb("dim"), free: rgb("cached"), hatch: rgb("cached-ink") };
}
