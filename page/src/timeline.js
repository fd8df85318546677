// Memory over time, one plot for a device: live, cached, other owners; marks for peak, OOM and steps. A drag selects a
// range, a click a moment; both are shared with the other views.
import uPlot from "uplot";
import { bandAt, bandColour, bandName, bandWords, bandsOf, splitsOf } from "./bands.js";
import { bytes, count, plural, seconds } from "./format.js";
import { deviceChoice } from "./cells.js";
import { choice, colour, fill, h, hatch, legendKey, name } from "./dom.js";
import { Named } from "./named.js";
import { clock, series, splits, stepsSpan } from "./timeline_data.js";

const HEIGHT = 170;
const SPLITS = {
  roles: ["By role", "What the memory was for, by what each call site mostly holds"],
  phases: ["By phase", "In which part of a step it was allocated"],
  bands: ["By call site", "What each call site held over time, from the event history"],
};

export function timelineView(root, model, store, scope) {
  const head = h("div.head");
  const box = h("div.plot", { role: "img" });
  const readout = h("p.readout"); // a row of its own: nothing moves while its words change under the pointer
  const foot = h("p.note");
  const named = new Named(model);
  const list = h("div.named");
  root.append(head, readout, box, foot, list);
  fill(
    list,
    named.list((time) => choose(time)),
  );
  const view = { whole: false, by: "", steps: null, device: null, plot: null, bands: null };
  const device = () =>
    store.get("device") !== "all" && Number(store.get("device")) >= 0
      ? Number(store.get("device"))
      : (model.devices.find((d) => d >= 0) ?? -1);
  const total = () => model.ledger.find((entry) => entry.device === view.device)?.total_bytes ?? 0;
  const peak = () =>
    model.totals
      .filter((t) => t.device === view.device && t.layer === (view.data.tensors ? "tensor" : "cuda"))
      .sort((a, b) => b.peak_bytes - a.peak_bytes)[0];

  function build() {
    view.device = device();
    view.data = series(model, view.device);
    view.bands = view.by ? bandsOf(model, view.device, view.by) : null;
    view.plot?.destroy();
    view.plot = null;
    box.replaceChildren();
    const { data } = view;
    root.hidden = data.time.length < 2;
    if (root.hidden) return;
    const { bands } = view;
    view.span = stepsSpan(
      data,
      model.ooms.filter((oom) => oom.device === view.device),
    );
    view.steps ??= Boolean(view.span) && view.span[1] - view.span[0] < 0.6 * (data.time.at(-1) - data.time[0]);
    const highest = bands ? Math.max(...bands.layers.at(-1).top, 1) : Math.max(...data.all, 1);
    const top = view.whole ? Math.max(total(), highest) : highest * 1.16;
    const c = {
      tensor: colour("tensor"),
      other: colour("other"),
      ink: colour("ink"),
      muted: colour("muted"),
      line: colour("line"),
      grow: colour("grow-line"),
      panel: colour("panel"),
    };
    const axis = {
      stroke: c.muted,
      grid: { stroke: c.line, width: 1 },
      ticks: { stroke: c.line, width: 1, size: 4 },
      font: "11px system-ui, sans-serif",
    };
    const stepped = uPlot.paths.stepped({ align: 1 });
    const area = (stroke, inside, width = 1) => ({
      stroke,
      width,
      fill: inside,
      paths: stepped,
      points: { show: false },
    });
    // Later series are drawn over earlier ones: the highest line first.
    const drawn = bands
      ? bands.layers.map((layer, i) => area(colour("panel"), bandColour(model, layer, i), 0.5)).reverse()
      : null;
    const fillOf = (make) => (plot) => make(plot.ctx);
    view.plot = new uPlot(
      {
        width: Math.max(300, box.clientWidth),
        height: HEIGHT + named.height,
        padding: [16 + named.height, 26, 0, 0],
        legend: { show: false },
        cursor: { drag: { x: true, y: false, setScale: false }, points: { show: false }, y: false },
        scales: {
          x: { time: false, range: (_, low, high) => (view.steps && view.span ? view.span : [low, high]) },
          y: { range: [0, top] },
        },
        axes: [
          { ...axis, size: 30, values: (_, ticks) => ticks.map((t) => clock(t, ticks)), space: 70 },
          {
            ...axis,
            size: 62,
            values: (_, ticks) => ticks.map((t) => (t ? bytes(t).replace(/\.0+ /, " ") : "0")),
            splits: (_, __, low, high) => splits(high),
            space: 30,
          },
        ],
        series: [
          {},
          ...(drawn ?? [
            area(c.other, c.other),
            area(
              c.muted,
              fillOf((ctx) => hatch(ctx, colour("cached-ink"), colour("cached"))),
            ),
            area(c.tensor, c.tensor),
          ]),
        ],
        hooks: {
          draw: [(plot) => marks(plot, c)],
          setCursor: [read],
          setSelect: [picked],
          ready: [(plot) => plot.over.addEventListener("click", (event) => clicked(plot, event))],
        },
      },
      bands
        ? [bands.time, ...bands.layers.map((layer) => layer.top).reverse()]
        : [data.time, data.all, data.reserved, data.live],
      box,
    );
    showSelection();
    const top1 = peak();
    box.setAttribute(
      "aria-label",
      `Memory over time on ${model.deviceName(view.device)}: peak ${bytes(top1?.peak_bytes ?? highest)}${top1 ? ` after ${seconds(top1.peak_at_time)}` : ""}, at the end ${bytes(data.live.at(-1))} in tensors.`,
    );
  }

  function marks(plot, c) {
    const { ctx } = plot;
    const { left, top, width, height } = plot.bbox;
    const ratio = devicePixelRatio || 1;
    ctx.save();
    ctx.textBaseline = "bottom";
    const mark = (time, text, tint, dash) => {
      const x = Math.round(plot.valToPos(time, "x", true));
      if (x < left - 1 || x > left + width + 1) return;
      ctx.strokeStyle = ctx.fillStyle = tint;
      ctx.lineWidth = 1.5 * ratio;
      ctx.setLineDash(dash ? [4 * ratio, 3 * ratio] : []);
      ctx.beginPath();
      ctx.moveTo(x, top);
      ctx.lineTo(x, top + height);
      ctx.stroke();
      const room = ctx.measureText(text).width;
      ctx.textAlign = "left";
      ctx.fillText(text, Math.max(left, Math.min(x - room / 2, left + width - room)), top - (3 + named.height) * ratio);
    };
    if (view.bands) names(plot, c, ratio);
    stepTicks(plot, c, ratio);
    ctx.save();
    named.draw(plot, ratio);
    ctx.restore();
    ctx.font = `600 ${11 * ratio}px system-ui, sans-serif`;
    const p = peak();
    const ooms = model.ooms.filter((oom) => oom.device === view.device);
    const near =
      p && ooms.some((oom) => Math.abs(plot.valToPos(oom.time, "x") - plot.valToPos(p.peak_at_time, "x")) < 150);
    if (p && p.peak_bytes && p.peak_at_time > 0)
      mark(
        p.peak_at_time,
        near ? "" : `peak ${bytes(p.peak_bytes)} of ${view.data.tensors ? "tensors" : "memory"}`,
        c.ink,
        true,
      );
    for (const oom of ooms)
      mark(
        oom.time,
        `✕ out of memory: asked ${bytes(oom.requested_bytes)}${near ? `, at the peak of ${bytes(p.peak_bytes)}` : ""}`,
        c.grow,
        false,
      );
    const limit = plot.valToPos(total(), "y", true);
    if (total() && limit >= top) {
      ctx.strokeStyle = c.grow;
      ctx.setLineDash([6 * ratio, 4 * ratio]);
      ctx.beginPath();
      ctx.moveTo(left, limit);
      ctx.lineTo(left + width, limit);
      ctx.stroke();
      rimmed(ctx, `the device: ${bytes(total())}`, left + 6 * ratio, limit + 15 * ratio, c.grow, c.panel, ratio);
    }
    ctx.restore();
  }

  // Small ticks above the time axis, one a step while they fit, else every 2nd, 5th, 10th ...
  function stepTicks(plot, c, ratio) {
    const { time, step } = view.bands ?? view.data;
    const { ctx } = plot;
    const { left, top, width, height } = plot.bbox;
    const [low, high] = [plot.scales.x.min, plot.scales.x.max];
    const shown = step.filter((_, i) => time[i] >= low && time[i] <= high);
    const steps = shown.at(-1) - shown[0];
    if (!(steps > 0)) return;
    let every = 1;
    for (let i = 0; (steps / every) * 9 * ratio > width; ++i) every = [1, 2, 5][i % 3] * 10 ** Math.floor(i / 3);
    const label = every * Math.max(1, Math.ceil(70 / ((width / ratio) * (every / steps))));
    ctx.fillStyle = c.ink;
    ctx.textAlign = "left";
    ctx.font = `${10 * ratio}px system-ui, sans-serif`;
    let labelled = left - 1e3;
    for (let i = 1; i < time.length; ++i) {
      if (Math.floor(step[i] / every) === Math.floor(step[i - 1] / every)) continue;
      const x = Math.round(plot.valToPos(time[i], "x", true));
      if (x < left || x > left + width) continue;
      const big = x - labelled > 62 * ratio && Math.floor(step[i] / label) !== Math.floor(step[i - 1] / label);
      ctx.lineWidth = ratio;
      ctx.strokeStyle = c.ink;
      ctx.beginPath();
      ctx.moveTo(x, top + height);
      ctx.lineTo(x, top + height - (big ? 9 : 4) * ratio);
      ctx.stroke();
      if (big) labelled = x;
      if (!big || x > left + width - 60 * ratio) continue;
      const text = `step ${count(Math.floor(step[i] / label) * label)}`;
      rimmed(ctx, text, x + 3 * ratio, top + height - 2 * ratio, c.ink, c.panel, ratio);
    }
  }

  // The name of a layer, where it is thickest, if there is room for the letters.
  function names(plot, c, ratio) {
    const { ctx, bbox } = plot;
    const y = (value) => plot.valToPos(value, "y", true);
    ctx.font = `${11 * ratio}px system-ui, sans-serif`;
    for (const layer of view.bands.layers) {
      const text = bandName(model, layer, 44);
      if (!text) continue;
      const room = (i) =>
        view.bands.time[i] < plot.scales.x.min || view.bands.time[i] > plot.scales.x.max ? 0 : layer.bytes[i];
      const at = layer.bytes.reduce((best, _, i) => (room(i) > room(best) ? i : best), 0);
      const top = y(layer.top[at]);
      const bottom = Math.min(y(layer.top[at] - room(at)), bbox.top + bbox.height - 14 * ratio); // the steps' numbers are below
      if (bottom - top < 13 * ratio) continue;
      const x = Math.max(
        bbox.left + 4 * ratio,
        Math.min(
          plot.valToPos(view.bands.time[at], "x", true),
          bbox.left + bbox.width - ctx.measureText(text).width - 6 * ratio,
        ),
      );
      rimmed(ctx, text, x, (top + bottom) / 2 + 7 * ratio, c.ink, c.panel, ratio);
    }
  }

  const indexAt = (time) => {
    const times = view.data.time;
    let [low, high] = [0, times.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (times[middle] <= time) low = middle;
      else high = middle - 1;
    }
    return low;
  };

  function values(index, time) {
    const { data } = view;
    const out = [h("b", null, seconds(data.time[index])), model.steps.count ? ` step ${count(data.step[index])}` : ""];
    if (data.tensors)
      out.push(
        legendKey("tensor", `tensors ${bytes(data.live[index])}`),
        legendKey("cached", `cached ${bytes(data.reserved[index] - data.live[index])}`),
      );
    const other = data.all[index] - data.reserved[index];
    if (time !== undefined) out.push(named.at(time, 4 * (view.plot.posToVal(1, "x") - view.plot.posToVal(0, "x"))));
    if (other || !data.tensors)
      out.push(legendKey("other", `${data.tensors ? "other CUDA memory" : "CUDA memory"} ${bytes(other)}`));
    return out;
  }

  /** The layer under the pointer, and its bucket. */
  function pointed(plot) {
    const index = plot.cursor.idx;
    const at =
      index === null || index === undefined ? -1 : bandAt(view.bands, index, plot.posToVal(plot.cursor.top, "y"));
    return at < 0 ? null : { layer: view.bands.layers[at], index };
  }

  function read(plot) {
    const index = plot.cursor.idx;
    if (view.bands) {
      const hit = pointed(plot);
      if (hit)
        return fill(
          readout,
          h("b", null, seconds(view.bands.time[hit.index])),
          " ",
          name(bandWords(model, hit.layer, hit.index, model.sites.length - view.bands.layers.length + 1)),
        );
    }
    if (index === null || index === undefined) return showHead(null);
    const time = plot.posToVal(plot.cursor.left, "x");
    showHead(indexAt(time), time);
  }

  function showHead(index, time) {
    const moment =
      store.get("to") >= 0 && store.get("to") === store.get("from")
        ? indexAt(store.get("to"))
        : view.data.time.length - 1;
    fill(
      readout,
      values(index ?? moment, time),
      index === null && moment === view.data.time.length - 1 ? h("span.muted", null, " at the end") : null,
    );
  }

  function picked(plot) {
    if (view.quiet || plot.select.width < 4) return;
    const [from, to] = [plot.posToVal(plot.select.left, "x"), plot.posToVal(plot.select.left + plot.select.width, "x")];
    view.dragged = true;
    store.set({ from: round(from), to: round(to), at: "range" });
  }

  function clicked(plot, event) {
    if (view.dragged) {
      view.dragged = false;
      return;
    }
    const time = plot.posToVal(plot.cursor.left, "x");
    const hit = view.bands && pointed(plot);
    if (hit?.layer.site >= 0) store.set({ site: hit.layer.site, block: -1 });
    const p = peak();
    const near = (other) => Math.abs(plot.valToPos(other, "x") - plot.cursor.left) < 7;
    const oom = model.ooms.find((one) => one.device === view.device && near(one.time));
    choose(time, oom ? `oom:${oom.n}` : p && near(p.peak_at_time) ? "peak" : null);
    event.preventDefault();
  }

  /** A moment; what was alive then is known where there is a history. */
  function choose(time, at) {
    store.set({ at: at ?? (model.history?.length ? "moment" : "now"), from: round(time), to: round(time) });
  }

  const round = (time) => Math.round(time * 1000) / 1000;

  function showSelection() {
    const { plot } = view;
    if (!plot) return;
    const [from, to] = [store.get("from"), store.get("to")];
    view.quiet = true;
    const x = (time) => plot.valToPos(time, "x");
    plot.setSelect(
      from >= 0
        ? { left: x(from), width: Math.max(2, x(to) - x(from)), top: 0, height: plot.over.clientHeight }
        : { left: 0, width: 0, top: 0, height: 0 },
      false,
    );
    view.quiet = false;
    fill(
      head,
      h("h2", null, "Memory over time"),
      deviceChoice(model, store, view.device),
      h("span.grow"),
      to > from && from >= 0 ? h("span", null, `${seconds(from)} – ${seconds(to)} selected `) : null,
      from >= 0
        ? h(
            "button.quiet",
            {
              type: "button",
              onclick: () =>
                store.set({
                  from: -1,
                  to: -1,
                  at: ["range", "moment"].includes(store.get("at")) ? "now" : store.get("at"),
                }),
            },
            "Clear",
          )
        : null,
      splitsOf(model, view.device).length
        ? choice(
            "Layers",
            [["", "Totals"], ...splitsOf(model, view.device).map((by) => [by, ...SPLITS[by]])],
            view.by,
            (by) => {
              view.by = by;
              build();
            },
          )
        : null,
      view.span
        ? choice(
            "Time",
            [
              [true, "Steps", "From the first step to the last"],
              [false, "Whole run"],
            ],
            view.steps,
            (steps) => {
              view.steps = steps;
              build();
            },
          )
        : null,
      total()
        ? choice(
            "Scale",
            [
              [false, "Fit"],
              [true, "Whole device", `Up to its ${bytes(total())}`],
            ],
            view.whole,
            (whole) => {
              view.whole = whole;
              build();
            },
          )
        : null,
    );
    showHead(null);
    const hint =
      from < 0
        ? `${model.history?.length ? "Click a moment: flame graph and call sites then show what was alive. " : ""}Drag to select a time: flame graph and tables then show what was allocated in it and is still alive.`
        : "";
    fill(
      foot,
      `${plural((view.bands ?? view.data).time.length, "point")}. `,
      view.by === "bands"
        ? `The ${view.bands.layers.length - 1} largest call sites and all others; a click on a layer selects its site. `
        : "",
      hint,
    );
  }

  return {
    update(changed) {
      if (!view.plot || changed.has("device") || changed.has("theme")) build();
      else if (["from", "to", "at"].some((key) => changed.has(key))) showSelection();
    },
    resize: () => view.plot?.setSize({ width: Math.max(300, box.clientWidth), height: HEIGHT + named.height }),
  };
}

/** Text with a rim: the ground changes along it. */
function rimmed(ctx, text, x, y, ink, rim, ratio) {
  ctx.setLineDash([]);
  ctx.lineWidth = 3 * ratio;
  ctx.strokeStyle = rim;
  ctx.fillStyle = ink;
  ctx.textAlign = "left";
  ctx.strokeText(text, x, y);
  ctx.fillText(text, x, y);
}
