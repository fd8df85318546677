// What is selected: numbers, the verdict's reason, the block's tensor, and the full stack with source lines.
import { BACKWARD, ROLES, addressText, frameParts, siteParts, stackOf } from "./data.js";
import { bytes, count, exactBytes, percent, plural, seconds, shorten, show } from "./format.js";
import { announce, fill, h, name } from "./dom.js";
import { growthRow, role, siteCell, verdict } from "./cells.js";
import { holdersOfSite, showHolder } from "./holder_details.js";
import { chooseHolder, mainHolders, selectedHolder } from "./holders_data.js";

export function detailsView(root, model, store, scope, flame) {
  const { sites, blocks } = model;

  function update() {
    const site = store.get("site");
    const block = store.get("block");
    const known = site >= 0 && site < sites.length;
    const chosen = selectedHolder(model, store);
    if (block >= 0 && block < blocks.length) showBlock(block, blocks.site[block]);
    else if (known) showSite(site);
    else if (chosen?.row >= 0) showHolder(root, model, store, chosen, rows, actions);
    else if (store.get("tab") === "flame" && flame()?.node > 0) showFrame(flame());
    else
      fill(
        root,
        h("h2", null, "Details"),
        h(
          "p.note",
          null,
          "Select a call site, a tensor, a holder, a frame of the flame graph or a block of the segment map: its numbers and its full stack stand here. All views follow the same selection.",
        ),
      );
  }

  const rows = (list) =>
    h(
      "dl",
      null,
      list.filter(Boolean).map(([key, value, title]) => [h("dt", null, key), h("dd", { title }, value)]),
    );

  const actions = (site, text) =>
    h(
      "p.actions",
      null,
      h("button.quiet", { type: "button", onclick: (event) => copy(event.target, text()) }, "Copy"),
      h("button.quiet", { type: "button", onclick: (event) => copy(event.target, location.href) }, "Copy link"),
      h(
        "button.quiet",
        { type: "button", onclick: () => store.set({ site: -1, block: -1, node: "", holder: "" }) },
        "Close",
      ),
    );

  function showSite(site) {
    const parts = siteParts(model, site);
    const whole = scope.inside[site] ? scope.total : 0;
    const growing = sites.verdict[site] === model.growing;
    fill(
      root,
      h("h2", null, "Call site"),
      heading(parts),
      rows([
        [
          "Alive",
          h(
            "b",
            null,
            bytes(sites.live_bytes[site]),
            whole && scope.moment() === "now" ? ` (${percent(sites.live_bytes[site], whole)})` : "",
          ),
          exactBytes(sites.live_bytes[site]),
        ],
        scope.moment() !== "now" && scope.moment() !== "peak" && scope.inside[site]
          ? ["Shown", `${bytes(scope.value[site])} ${scope.momentText()}`]
          : null,
        ["Blocks", `${count(sites.live_count[site])}, largest ${bytes(sites.largest_bytes[site])}`],
        sites.at_peak_bytes[site] >= 0
          ? ["At peak", bytes(sites.at_peak_bytes[site]), exactBytes(sites.at_peak_bytes[site])]
          : null,
        ["Most ever", bytes(sites.peak_bytes[site]), exactBytes(sites.peak_bytes[site])],
        ["In all", `${bytes(sites.allocated_bytes[site])} in ${plural(sites.allocated_count[site], "allocation")}`],
        ["Verdict", verdict(model.text(sites.verdict[site]))],
        model.text(sites.evidence[site]) ? ["Because", name(shorten(model.text(sites.evidence[site]), 400))] : null,
        growing ? growthRow(sites.bytes_per_step[site], sites.bytes_per_second[site]) : null,
        [
          "Layer",
          `${model.text(sites.layer[site]) === "tensor" ? "tensors" : "CUDA memory"}, ${show(model.text(sites.kind[site]))}, ${model.deviceName(sites.device[site])}`,
        ],
        ["Owner", name(shorten(model.text(sites.owner[site]), 120))],
        ...[
          ["Module", "module"],
          ["Phase", "phase"],
          ["Your phase or range", "range"],
        ].map(([title, column]) =>
          model.text(sites[column][site]) ? [title, name(shorten(model.text(sites[column][site]), 120))] : null,
        ),
        ["Seen", `${seconds(sites.first_time[site])} – ${seconds(sites.last_time[site])}`],
      ]),
      actions(site, () => siteText(site)),
      holders(site),
      biggest(site),
      stacks(site),
    );
  }

  function showBlock(block, site) {
    const fact = (column) => model.text(blocks[column][block]);
    const known = blocks.role[block] >= 0;
    fill(
      root,
      h("h2", null, "Live block"),
      h("p.title", null, name(shorten(fact("name") || addressText(model, block), 300))),
      rows([
        ["Size", h("b", null, bytes(blocks.bytes[block])), exactBytes(blocks.bytes[block])],
        known ? ["Tensor", name(`${shorten(fact("shape"), 80)}  ${shorten(fact("dtype"), 40)}`)] : null,
        blocks.layer[block] === model.tensorLayer ? ["Role", role(blocks.roleIndex[block])] : null,
        known
          ? [
              "Held by",
              fact("holder") ? heldBy(block, fact("holder")) : h("span.muted", null, "no Python name leads to it"),
            ]
          : null,
        ["Address", h("code", null, addressText(model, block))],
        [
          "Allocated",
          `${seconds(blocks.time[block])}${model.steps.count ? `, step ${count(blocks.step[block])}` : ""}, thread ${blocks.thread[block]}, stream ${blocks.stream[block]}`,
        ],
        ["Device", `${model.deviceName(blocks.device[block])}, ${show(fact("kind"))}`],
      ]),
      actions(
        site,
        () =>
          `${addressText(model, block)} ${bytes(blocks.bytes[block])} ${fact("name")} ${fact("shape")} ${fact("dtype")}\n${site >= 0 ? siteText(site) : ""}`,
      ),
      site >= 0
        ? [
            h("h3", null, "Its call site"),
            h("button.link", { type: "button", onclick: () => store.set({ block: -1 }) }, siteCell(model, site)),
            stacks(site),
          ]
        : null,
    );
  }

  function heldBy(block, holder) {
    const text = h("code", null, name(show(holder)));
    const moment = blocks.holder_id[block] < 0 ? null : mainHolders(model);
    return moment
      ? h(
          "button.link",
          {
            type: "button",
            onclick: () => store.set({ tab: "holders", ...chooseHolder(moment, blocks.holder_id[block]) }),
          },
          text,
        )
      : text;
  }

  function holders(site) {
    const list = holdersOfSite(model, site);
    return list.length
      ? [
          h("h3", null, "Held by"),
          h(
            "ul.growers",
            null,
            list.map(({ moment, row }) =>
              h(
                "li",
                null,
                h(
                  "button.link",
                  { type: "button", onclick: () => store.set({ tab: "holders", ...chooseHolder(moment, row) }) },
                  h("b", null, bytes(moment.rows.retained_bytes[row])),
                  " ",
                  name(shorten(model.text(moment.rows.path[row]), 120)),
                ),
              ),
            ),
          ),
        ]
      : null;
  }

  function showFrame({ flame: tree, node }) {
    const parts = frameParts(model, tree.frame[node]);
    const below = [];
    for (let i = 0; i < sites.length; ++i) {
      for (let at = tree.leaf[i]; at >= 0; at = tree.parent[at]) {
        if (at === node) {
          below.push(i);
          break;
        }
      }
    }
    below.sort((a, b) => scope.value[b] - scope.value[a]);
    const path = [];
    for (let at = node; at > 0; at = tree.parent[at]) path.push(tree.frame[at]);
    fill(
      root,
      h("h2", null, "Frame"),
      heading(parts),
      rows([
        [
          "Here and below",
          h(
            "b",
            null,
            `${store.get("unit") === "count" ? plural(tree.value[node], "block") : bytes(tree.value[node])} (${percent(tree.value[node], tree.value[0])})`,
          ),
        ],
        tree.growing[node] ? ["Of it growing", h("b.growing", null, bytes(tree.growing[node]))] : null,
        ["Call sites", count(below.length)],
      ]),
      actions(-1, () => path.map(frameText).join("\n")),
      h("h3", null, "Largest call sites below"),
      siteList(below.slice(0, 8)),
      below.length > 8 ? h("p.note", null, `${count(below.length - 8)} more.`) : null,
      h("h3", null, store.get("by") === "leaf" ? "From the allocation to here" : "From here up"),
      frameList(path),
    );
  }

  const siteList = (list) =>
    h(
      "ul.growers",
      null,
      list.map((site) =>
        h(
          "li",
          null,
          h(
            "button.link",
            { type: "button", onclick: () => store.set({ site, block: -1 }) },
            h("b", null, bytes(scope.value[site])),
            " ",
            siteCell(model, site),
          ),
        ),
      ),
    );

  const heading = (parts) => [
    h("p.title", null, name(shorten(parts.function, 300)), " ", name(shorten(parts.place, 300), "bdi.muted")),
    parts.source ? h("pre.source", null, name(shorten(parts.source, 600))) : null,
  ];

  /** The site's largest blocks, and a way to all of them. */
  function biggest(site) {
    const own = [...blocks.bySite.subarray(blocks.ofSite[site], blocks.ofSite[site + 1])].sort(
      (a, b) => blocks.bytes[b] - blocks.bytes[a],
    );
    if (!own.length) return null;
    return [
      h("h3", null, "Largest blocks"),
      h(
        "ul.growers",
        null,
        own
          .slice(0, 4)
          .map((block) =>
            h(
              "li",
              null,
              h(
                "button.link",
                { type: "button", onclick: () => store.set({ block, site }) },
                h("b", null, bytes(blocks.bytes[block])),
                " ",
                name(
                  shorten(
                    model.text(blocks.name[block]) || model.text(blocks.shape[block]) || addressText(model, block),
                    60,
                  ),
                ),
                " ",
                name(shorten(model.text(blocks.holder[block]), 60), "bdi.muted"),
              ),
            ),
          ),
      ),
      own.length > 4
        ? h(
            "p",
            null,
            h(
              "button.quiet",
              {
                type: "button",
                onclick: () =>
                  store.set({ only: true, block: -1, layer: model.text(sites.layer[site]), tab: "tensors" }),
              },
              `All ${count(own.length)} listed blocks`,
            ),
          )
        : null,
    ];
  }

  function stacks(site) {
    const out = [];
    const backward = sites.backward_of[site];
    if (backward >= 0)
      out.push(h("h3", null, "Forward line whose backward pass this is"), frameList(stackOf(model, backward)));
    out.push(h("h3", null, "Stack, innermost first"), frameList(stackOf(model, sites.stack[site])));
    return out;
  }

  function frameList(list) {
    if (!list.length) return h("p.note", null, "No stack was recorded.");
    return h(
      "ol.stack",
      null,
      list.map((frame) => {
        if (frame < 0) return h("li.lib", null, frame === BACKWARD ? "its backward pass" : "no stack recorded");
        const { frames } = model;
        const parts = frameParts(model, frame);
        const full = model.text(frames.function[frame]);
        const path = model.text(frames.file[frame]) || model.text(frames.module[frame]);
        return h(
          frames.own[frame] ? "li.own" : frames.native[frame] ? "li.native" : "li.lib",
          null,
          h(
            "div",
            { title: show(full).slice(0, 2000) },
            name(shorten(parts.function, 160), "bdi.function"),
            frames.inlined[frame] ? h("span.tag", null, "inlined") : null,
          ),
          h(
            "div.path",
            { title: show(path).slice(0, 2000) },
            name(shorten(path, 90) + (frames.line[frame] > 0 ? `:${frames.line[frame]}` : "")),
          ),
          parts.source && frames.own[frame] ? h("pre", null, name(shorten(parts.source, 240))) : null,
          longName(full),
        );
      }),
    );
  }

  // What was cut above is here in full.
  const longName = (full) =>
    full.length > 160
      ? h(
          "details",
          null,
          h("summary", null, `full name, ${count(full.length)} characters`),
          name(show(full), "bdi.full"),
        )
      : null;

  function frameText(frame) {
    if (frame < 0) return "(backward pass)";
    const { frames } = model;
    const file = model.text(frames.file[frame]) || model.text(frames.module[frame]);
    return `  ${model.text(frames.function[frame])}  ${file}${frames.line[frame] > 0 ? `:${frames.line[frame]}` : ""}`;
  }

  function siteText(site) {
    const parts = siteParts(model, site);
    const lines = [
      `${parts.place} ${parts.function}: ${bytes(sites.live_bytes[site])} in ${plural(sites.live_count[site], "block")}, most ever ${bytes(sites.peak_bytes[site])}, ${model.text(sites.verdict[site])}, mostly ${ROLES[sites.roleIndex[site]][1]}`,
    ];
    if (sites.backward_of[site] >= 0) lines.push("forward:", ...stackOf(model, sites.backward_of[site]).map(frameText));
    lines.push("stack, innermost first:", ...stackOf(model, sites.stack[site]).map(frameText));
    return lines.join("\n");
  }

  return { update, resize() {} };
}

async function copy(button, text) {
  let done = true;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // file:// without permission: the old way
    const area = h("textarea", { "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    area.select();
    done = document.execCommand("copy");
    area.remove();
  }
  const before = button.textContent;
  button.textContent = done ? "Copied" : "Could not copy";
  announce(button.textContent);
  setTimeout(() => (button.textContent = before), 1500);
}
