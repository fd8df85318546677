// The selected holder in full: what it is, when its memory was born, who else holds it, and the ways to its call sites
// and blocks.
import { addressText, roleOf } from "./data.js";
import { bytes, count, exactBytes, percent, plural, seconds, shorten, show } from "./format.js";
import { fill, h, name, swatch } from "./dom.js";
import { growthRow, siteCell, verdict } from "./cells.js";
import { chooseHolder, holderBranch, holderMoments, holderName, holderRoles } from "./holders_data.js";

const KINDS = {
  global: "a global variable",
  local: "a local variable",
  attribute: "an attribute",
  item: "an element of a container",
  graph: "a node of an autograd graph",
  module: "a module of the model",
  library: "an object of a library",
  cxx: "C++ code: no Python name leads to it",
  ipc: "memory shared with another process",
  context: "a CUDA context",
};

export function showHolder(root, model, store, { moment, row }, rows, actions) {
  const { blocks, sites } = model;
  const of = moment.rows;
  const text = (column) => model.text(of[column][row]);
  const growing = text("verdict") === "growing";
  const births =
    of.first_step[row] >= 0 && model.steps.count
      ? `, step ${count(of.first_step[row])}${of.last_step[row] > of.first_step[row] ? ` – ${count(of.last_step[row])}` : ""}`
      : "";
  const link = (other, label) =>
    h(
      "button.link",
      { type: "button", onclick: () => store.set(chooseHolder(moment, other)) },
      of.retained_bytes[other] ? h("b", null, bytes(of.retained_bytes[other])) : null,
      " ",
      label ?? name(shorten(model.text(of.path[other]), 120)),
    );
  const listing = (title, list, make) =>
    list.length
      ? [
          h("h3", null, title),
          h(
            "ul.growers",
            null,
            list.slice(0, 8).map((one) => h("li", null, make(one))),
          ),
          list.length > 8 ? h("p.note", null, `${count(list.length - 8)} more.`) : null,
        ]
      : null;
  const file = text("file");
  const held = moment.main ? heldBlocks() : [];

  /** Call sites of one line of the user's are shown as one. */
  function byLine(list) {
    const lines = new Map();
    for (const site of list) {
      const line = `${sites.line[site]} ${sites.backward_of[site] >= 0}`;
      lines.set(line, [...(lines.get(line) ?? []), site]);
    }
    return [...lines.values()];
  }

  /** The listed blocks below it, largest first. */
  function heldBlocks() {
    const inside = holderBranch(moment, row);
    return [...blocks.holder_id.keys()]
      .filter((block) => blocks.holder_id[block] >= 0 && inside[blocks.holder_id[block]])
      .sort((a, b) => blocks.bytes[b] - blocks.bytes[a]);
  }

  fill(
    root,
    h("h2", null, "Holder"),
    h("p.title", null, name(shorten(text("path"), 400))),
    rows([
      [
        "Keeps alive",
        h("b", null, `${bytes(of.retained_bytes[row])} (${percent(of.retained_bytes[row], moment.held)})`),
        exactBytes(of.retained_bytes[row]),
      ],
      ["Itself", bytes(of.own_bytes[row]), exactBytes(of.own_bytes[row])],
      ["Blocks", count(of.blocks[row])],
      [
        "What it is",
        [KINDS[text("kind")] ?? show(text("kind")), of.count[row] > 1 ? `, ${count(of.count[row])} alike` : ""],
      ],
      text("type") ? ["Type", name(shorten(text("type"), 200))] : null,
      file ? ["Stored at", name(shorten(file, 200) + (of.line[row] > 0 ? `:${of.line[row]}` : ""))] : null,
      text("variable") && text("variable") !== text("path")
        ? ["In the code", h("code", null, name(shorten(text("variable"), 200)))]
        : null,
      text("cycle") ? ["Cycle", name(shorten(text("cycle"), 400))] : null,
      ["Verdict", verdict(text("verdict"))],
      text("evidence") ? ["Because", name(shorten(text("evidence"), 400))] : null,
      growing && (of.bytes_per_step[row] > 0 || of.bytes_per_second[row] > 0)
        ? growthRow(of.bytes_per_step[row], of.bytes_per_second[row])
        : null,
      of.blocks[row] ? ["Born", `${seconds(of.first_time[row])} – ${seconds(of.last_time[row])}${births}`] : null,
      ...holderRoles(moment, row).map(([role, size]) => [
        h("span", null, swatch(roleOf(role).key), roleOf(role).text),
        bytes(size),
      ]),
      text("known") ? ["Known as", name(shorten(text("known"), 300))] : null,
      text("fix") ? ["What to do", name(shorten(text("fix"), 400))] : null,
    ]),
    actions(
      -1,
      () =>
        `${text("path")} (${text("type")}): ${bytes(of.retained_bytes[row])} in ${plural(of.blocks[row], "block")}, ${text("verdict")}${file ? `\n${file}:${of.line[row]}` : ""}`,
    ),
    listing("Also held by: all must let go", moment.rows.also_held_by[row] ?? [], (other) => link(other)),
    listing("Its parts", moment.below.get(row), (part) =>
      link(part, name(shorten(holderName(model, moment, part), 120))),
    ),
    listing("Allocated at", byLine(moment.rows.sites[row] ?? []), ([site, ...alike]) =>
      h(
        "button.link",
        { type: "button", onclick: () => store.set({ site, block: -1 }) },
        siteCell(model, site),
        alike.length ? h("span.tag", { title: "call sites of this line" }, `× ${alike.length + 1}`) : null,
      ),
    ),
    held.length
      ? [
          h("h3", null, "Largest blocks"),
          h(
            "ul.growers",
            null,
            held
              .slice(0, 4)
              .map((block) =>
                h(
                  "li",
                  null,
                  h(
                    "button.link",
                    { type: "button", onclick: () => store.set({ block, site: blocks.site[block] }) },
                    h("b", null, bytes(blocks.bytes[block])),
                    " ",
                    name(
                      shorten(
                        model.text(blocks.name[block]) || model.text(blocks.shape[block]) || addressText(model, block),
                        60,
                      ),
                    ),
                  ),
                ),
              ),
          ),
          h(
            "p",
            null,
            h(
              "button.quiet",
              { type: "button", onclick: () => store.set({ only: true, layer: "tensor", tab: "tensors" }) },
              `${held.length === 1 ? "The" : "All"} ${plural(held.length, "listed block")}`,
            ),
          ),
        ]
      : moment.main || sites.length === 0
        ? null
        : h("p.note", null, "Single blocks are known of the report's own moment only."),
  );
}

/** The holders that keep what a site allocated: those with no part that does. At most four, most first. */
export function holdersOfSite(model, site) {
  const moment = holderMoments(model).find((one) => one.main);
  if (!moment) return [];
  const has = (row) => moment.rows.sites[row]?.includes(site);
  return [...moment.rows.path.keys()]
    .filter((row) => has(row) && !moment.below.get(row).some(has))
    .map((row) => ({ moment, row }))
    .slice(0, 4);
}
