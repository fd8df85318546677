// The marks and phases that the program set (vramtrack.mark, vramtrack.phase), in lanes above the plot of memory over
// time and as a list.
import { bytes, count, plural, seconds, shorten } from "./format.js";
import { colour, h, name } from "./dom.js";

const LANE = 15; // pixels
const MOST_LANES = 3; // of phases
const MOST_ROWS = 200; // of the list

/** Lanes of phases, those that overlap below each other, and one lane of marks. */
export class Named {
  constructor(model) {
    this.marks = model.marks;
    this.end = model.process.duration;
    this.lanes = [];
    this.shade = new Map(
      [...new Set(model.phases.map((phase) => phase.name))].map((one, i) => [one, [100, 62, 82, 48][i % 4]]),
    );
    this.left = 0; // phases that found no lane
    for (const phase of model.phases) {
      const one = { ...phase, end: phase.end ?? this.end };
      const lane = this.lanes.find((list) => list.at(-1).end <= one.begin);
      if (lane) lane.push(one);
      else if (this.lanes.length < MOST_LANES) this.lanes.push([one]);
      else this.left += 1;
    }
  }

  /** Pixels that the lanes take above the plot. */
  get height() {
    return LANE * (this.lanes.length + (this.marks.length ? 1 : 0));
  }

  draw(plot, ratio) {
    const { ctx, bbox } = plot;
    const x = (time) => Math.max(bbox.left, Math.min(bbox.left + bbox.width, plot.valToPos(time, "x", true)));
    ctx.textBaseline = "middle";
    ctx.textAlign = "left";
    ctx.setLineDash([]);
    ctx.font = `${10.5 * ratio}px system-ui, sans-serif`;
    const middle = (lane) => bbox.top - (lane + 0.5) * LANE * ratio;
    const [panel, own, ink] = [colour("panel"), colour("own"), colour("own-ink")];
    this.lanes.forEach((list, i) => {
      const y = middle(this.lanes.length - 1 - i);
      for (const phase of list) {
        const [left, right] = [x(phase.begin), x(phase.end)];
        if (phase.end < plot.scales.x.min || phase.begin > plot.scales.x.max) continue;
        ctx.fillStyle = `color-mix(in srgb, ${own} ${this.shade.get(phase.name)}%, ${panel})`;
        ctx.fillRect(left, y - 6.5 * ratio, Math.max(ratio, right - left - ratio), 13 * ratio);
        fit(ctx, phase.name, left + 4 * ratio, y, right - left - 8 * ratio, ink, ratio);
      }
    });
    if (this.marks.length) this.drawMarks(plot, middle(this.lanes.length), x, ratio);
  }

  drawMarks({ ctx, bbox, scales }, y, x, ratio) {
    const tint = colour("other");
    const inside = this.marks.filter(({ time }) => time >= scales.x.min && time <= scales.x.max);
    let free = -Infinity; // from here on a name has room
    inside.forEach((mark, i) => {
      const at = x(mark.time);
      ctx.fillStyle = ctx.strokeStyle = tint;
      ctx.lineWidth = ratio;
      ctx.beginPath();
      ctx.moveTo(at, y);
      ctx.lineTo(at, bbox.top + bbox.height);
      ctx.stroke();
      ctx.beginPath();
      ctx.arc(at, y, 2.5 * ratio, 0, 7);
      ctx.fill();
      if (at < free) return;
      const end = i + 1 < inside.length ? x(inside[i + 1].time) : bbox.left + bbox.width;
      if (fit(ctx, mark.name, at + 6 * ratio, y, end - at - 10 * ratio, colour("ink"), ratio)) free = end;
    });
  }

  /** What the time under the pointer is part of; `near`: seconds that are a few pixels. */
  at(time, near) {
    const mark = this.marks.find((one) => Math.abs(one.time - time) <= near);
    const inside = this.lanes
      .flatMap((list) => list.filter((phase) => phase.begin <= time && time <= phase.end))
      .map((phase) => shorten(phase.name, 60));
    return [
      inside.length ? h("span.key", null, "in ", name(inside.join(" › "))) : null,
      mark
        ? h(
            "span.key",
            null,
            "mark ",
            name(shorten(mark.name, 80)),
            mark.live_bytes === null ? "" : `, ${bytes(mark.live_bytes)} live`,
          )
        : null,
    ];
  }

  /** The same for those who do not see the plot, and to copy from. */
  list(pick) {
    const rows = [
      ...this.marks.map((mark) => ({
        begin: mark.time,
        words: mark.live_bytes === null ? "" : `${bytes(mark.live_bytes)} live`,
        name: mark.name,
        kind: "mark",
      })),
      ...this.lanes.flat().map((phase) => ({
        begin: phase.begin,
        words: `for ${seconds(phase.end - phase.begin)}`,
        name: phase.name,
        kind: "phase",
      })),
    ].sort((a, b) => a.begin - b.begin);
    if (!rows.length) return null;
    const more = rows.length - MOST_ROWS + this.left;
    return h(
      "details",
      null,
      h(
        "summary",
        null,
        [
          this.marks.length ? plural(this.marks.length, "mark") : "",
          rows.length > this.marks.length ? plural(rows.length - this.marks.length, "phase") : "",
        ]
          .filter(Boolean)
          .join(", "),
        " of the program",
      ),
      h(
        "ul.growers",
        null,
        rows
          .slice(0, MOST_ROWS)
          .map((row) =>
            h(
              "li",
              null,
              h(
                "button.link",
                { type: "button", onclick: () => pick(row.begin) },
                h("b", null, seconds(row.begin)),
                ` ${row.kind} `,
                name(shorten(row.name, 120)),
                " ",
                h("span.muted", null, row.words),
              ),
            ),
          ),
      ),
      more > 0 ? h("p.note", null, `${count(more)} more.`) : null,
    );
  }
}

/** Text that is cut to the room; nothing where a few letters would be left. */
function fit(ctx, text, x, y, room, ink, ratio) {
  if (room < 18 * ratio) return false;
  text = shorten(text, 60);
  while (text.length > 1 && ctx.measureText(text).width > room) text = `${text.slice(0, -2)}…`;
  ctx.fillStyle = ink;
  ctx.fillText(text, x, y);
  return true;
}
