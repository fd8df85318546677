// About this run: the process, the environment, what the recording lost, and the licences of what the page is made of.
import { bytes, count, plural, seconds, shorten, show } from "./format.js";
import { fill, h, name } from "./dom.js";
import { endText } from "./verdict.js";
import UPLOT_LICENCE from "../licences/uplot.txt";

const LOSSES = {
  dropped_events: ["event not recorded", "events not recorded"],
  unresolved_frames: ["frame without a name", "frames without a name"],
  unknown_frees: ["free of a block never seen", "frees of blocks never seen"],
  torn_records: ["record cut off in the middle of writing", "records cut off in the middle of writing"],
};
const lossWords = (losses) =>
  Object.entries(LOSSES)
    .filter(([key]) => losses[key] > 0)
    .map(([key, [one, many]]) => plural(losses[key], one, many));

export function aboutView(root, model) {
  const { process, environment, losses } = model;
  const rows = (list) =>
    h(
      "dl",
      null,
      list
        .filter(([, value]) => value !== null && value !== undefined && value !== "")
        .map(([key, value]) => [
          h("dt", null, key),
          h("dd", null, name(typeof value === "string" ? shorten(value, 4000) : value)),
        ]),
    );
  return {
    update() {
      if (root.firstChild) return;
      fill(
        root,
        h(
          "section",
          null,
          h("h3", null, "Process"),
          rows([
            ["Command", process.command.join(" ")],
            ["Executable", process.executable],
            ["Host", process.hostname],
            [
              "Process",
              `${process.pid}, started by ${process.ppid}${process.forked_from ? `, forked from ${process.forked_from}` : ""}`,
            ],
            [
              "Rank",
              process.rank === null
                ? null
                : `${process.rank} (local ${process.local_rank ?? "?"}) of ${process.world_size ?? "?"}`,
            ],
            ["Started", process.started_at],
            ["Ended", process.ended_at],
            ["Duration", seconds(process.duration)],
            ["End", endText(process.end)],
          ]),
        ),
        h(
          "section",
          null,
          h("h3", null, "Environment"),
          rows([
            ["Python", environment.python],
            ["PyTorch", environment.torch],
            ["CUDA runtime", environment.cuda_runtime],
            ["CUDA driver", environment.cuda_driver],
            ["GPU", environment.simulated ? "simulated: sizes are true, values are not computed" : "real"],
            ...environment.devices.map((d) => [`cuda:${d.index}`, `${show(d.name)}, ${bytes(d.total_bytes)}`]),
            [
              "Steps",
              model.steps.count
                ? `${count(model.steps.count)}, counted by the ${show(model.steps.source)}`
                : "no optimizer steps seen",
            ],
          ]),
        ),
        h(
          "section",
          null,
          h("h3", null, "What was recorded"),
          rows([
            ["Call sites", count(model.sites.length)],
            ["Live blocks listed", count(model.blocks.length)],
            [
              "Not listed",
              model.omitted.count
                ? `${plural(model.omitted.count, "smaller block")}, ${bytes(model.omitted.bytes)}`
                : "none",
            ],
            ["Timeline", plural(model.timeline.length, "point")],
          ]),
          lossList(losses),
        ),
        h(
          "section",
          null,
          h("h3", null, "This page"),
          h(
            "p",
            null,
            `Made by vramtrack ${model.version}. It makes no request and works offline; sharing it shares paths and names of the run.`,
          ),
          h("details", null, h("summary", null, "uPlot 1.6.32, MIT licence"), h("pre", null, UPLOT_LICENCE)),
        ),
      );
    },
    resize() {},
  };
}

function lossList(losses) {
  const lost = lossWords(losses);
  return [
    lost.length
      ? h(
          "ul",
          null,
          lost.map((text) => h("li", null, text)),
        )
      : h("p", null, "Nothing was lost: every event was recorded and every frame has a name."),
    losses.notes.length
      ? h(
          "ul",
          null,
          losses.notes.map((note) => h("li", null, name(shorten(note, 2000)))),
        )
      : null,
  ];
}

/** The line at the bottom of the page. */
export function footer(root, model) {
  const { losses } = model;
  const lost = lossWords(losses);
  fill(
    root,
    h("span", null, lost.length ? lost.join(", ") : "nothing lost in recording"),
    h("span", null, `vramtrack ${model.version}, Apache-2.0`),
    h("span", null, "plot: uPlot 1.6.32 © Leon Sorokin, MIT (text under About this run)"),
  );
}
