// What the timeline draws, as plain numbers: the columns of one device, the time of its steps, the texts of its axes.

/** Columns over one time axis: tensors live, reserved by the allocator, all CUDA memory, step. */
export function series(model, device) {
  const { timeline } = model;
  const order = [];
  for (let i = 0; i < timeline.length; ++i) if (timeline.device[i] === device) order.push(i);
  order.sort((a, b) => timeline.time[a] - timeline.time[b] || a - b);
  const time = [],
    live = [],
    reserved = [],
    all = [],
    step = [];
  let [l, r, c] = [0, 0, 0];
  let tensors = false;
  for (const i of order) {
    if (timeline.layer[i] === model.tensorLayer) {
      tensors = true;
      l = timeline.live_bytes[i];
      r = Math.max(l, timeline.reserved_bytes[i] >= 0 ? timeline.reserved_bytes[i] : r);
    } else {
      c = timeline.live_bytes[i];
    }
    const last = time.length - 1;
    const at = last >= 0 && time[last] === timeline.time[i] ? last : last + 1;
    time[at] = timeline.time[i];
    live[at] = l;
    reserved[at] = r;
    all[at] = Math.max(c, r);
    step[at] = Math.max(timeline.step[i], step[at - 1] ?? 0); // the layers' clocks may differ by one
  }
  // Nothing is sampled while nothing changes: the level lasts until the end of the run.
  const end = model.process.duration;
  if (time.length && end > time.at(-1) && model.at !== "oom") {
    time.push(end);
    for (const values of [live, reserved, all, step]) values.push(values.at(-1));
  }
  return { time, live, reserved, all, step, tensors };
}

/** The time of the steps, which starting up and the end of the interpreter often dwarf: [from, to], or null. */
export function stepsSpan({ time, step }, ooms) {
  const first = step.findIndex((n) => n > step[0]);
  const last = Math.max(time[step.indexOf(step.at(-1))], ...ooms.map((oom) => oom.time));
  if (first < 1 || step.at(-1) - step[0] < 4 || !(last > time[first])) return null;
  const edge = (last - time[first]) * 0.08;
  return [Math.max(time[0], time[first] - edge), Math.min(time.at(-1), last + edge)];
}

/** Time on the axis: "2.5 s", "40 s", "12:30", with no more digits than the ticks need. */
export function clock(time, ticks) {
  if (time === 0) return "0";
  const step = ticks.length > 1 ? ticks[1] - ticks[0] : time;
  if (ticks.at(-1) >= 300) {
    const [h, m, s] = [Math.floor(time / 3600), Math.floor((time % 3600) / 60), Math.floor(time % 60)];
    return h ? `${h}:${String(m).padStart(2, "0")} h` : `${m}:${String(s).padStart(2, "0")} min`;
  }
  let digits = 0;
  while (digits < 4 && Math.abs(Math.round(step * 10 ** digits) - step * 10 ** digits) > 1e-6) ++digits;
  if (time >= 1 || step >= 1) return `${time.toFixed(digits)} s`;
  return `${(time * 1000).toFixed(step >= 0.001 ? 0 : 2)} ms`;
}

/** Round byte amounts for the axis: 4 to 7 of them, powers of two or their halves. */
export function splits(high) {
  let step = 1;
  while (high / step > 6) step *= 2;
  const out = [];
  for (let value = 0; value <= high; value += step) out.push(value);
  return out;
}
