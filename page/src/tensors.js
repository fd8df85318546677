// Every live block: shape, type, name, role, holder, step. 100,000 rows and more.
import { ROLES, ROLE_KEYS, addressText, siteParts } from "./data.js";
import { bytes, count, plural, shorten } from "./format.js";
import { fill, h, name } from "./dom.js";
import { role, share, siteCell, verdict } from "./cells.js";
import { Table } from "./table.js";
import { download } from "./download.js";
import { holderBranch, selectedHolder } from "./holders_data.js";

export function tensorsView(root, model, store, scope) {
  const { blocks, sites } = model;
  const bar = h("div.bar");
  root.append(bar);
  let largest = 1;
  const siteText = (i) => {
    if (blocks.site[i] < 0) return "";
    const parts = siteParts(model, blocks.site[i]);
    return `${parts.place} ${parts.function}`;
  };
  const verdictOf = (i) => (blocks.site[i] < 0 ? "" : model.text(sites.verdict[blocks.site[i]]));
  const fact = (column, limit) => (i) =>
    blocks[column][i] < 0 || model.text(blocks[column][i]) === ""
      ? h("span.muted", null, "–")
      : name(shorten(model.text(blocks[column][i]).replace(/^__main__\./, ""), limit));
  const table = new Table(
    root,
    [
      {
        key: "bytes",
        title: "Bytes",
        width: "88px",
        number: true,
        value: (i) => blocks.bytes[i],
        cell: (i) => share(blocks.bytes[i], largest, verdictOf(i) === "growing" ? "grow" : "plain"),
      },
      {
        key: "shape",
        title: "Shape and type",
        width: "minmax(124px, 0.8fr)",
        value: (i) => `${model.text(blocks.shape[i])} ${model.text(blocks.dtype[i])}`,
        cell: (i) => [
          fact("shape", 40)(i),
          " ",
          blocks.dtype[i] < 0 ? null : name(shorten(model.text(blocks.dtype[i]), 20), "bdi.muted"),
        ],
      },
      {
        key: "role",
        title: "Role",
        width: "142px",
        value: (i) => ROLES[blocks.roleIndex[i]][1],
        cell: (i) =>
          blocks.layer[i] === model.tensorLayer
            ? role(blocks.roleIndex[i])
            : name(shorten(model.text(blocks.site[i] < 0 ? -1 : sites.owner[blocks.site[i]]), 30)),
      },
      {
        key: "name",
        title: "Name",
        hint: "Qualified name in its module",
        width: "minmax(120px, 1fr)",
        value: (i) => model.text(blocks.name[i]),
        cell: fact("name", 90),
      },
      {
        key: "holder",
        title: "Who holds it",
        hint: "The chain of references that keeps it alive",
        width: "minmax(150px, 1.2fr)",
        value: (i) => model.text(blocks.holder[i]),
        cell: fact("holder", 110),
      },
      {
        key: "step",
        title: "Step",
        hint: "Step in which it was allocated",
        width: "42px",
        number: true,
        value: (i) => blocks.step[i],
        cell: (i) => count(blocks.step[i]),
      },
      { key: "verdict", title: "Verdict", width: "78px", value: verdictOf, cell: (i) => verdict(verdictOf(i)) },
      {
        key: "site",
        title: "Allocated at",
        width: "minmax(116px, 1.3fr)",
        value: siteText,
        cell: (i) => siteCell(model, blocks.site[i]),
      },
    ],
    {
      id: "block",
      label: "Live blocks",
      sort: "bytes",
      count: blocks.length,
      onSelect: (block) => store.set({ block, site: blocks.site[block] }),
      empty: () => (blocks.length ? "No block matches." : "No live block is listed in this report."),
    },
  );

  function rows() {
    const { bytes: size, site, time, roleIndex } = blocks;
    const of = (key) => model.strings.indexOf(store.get(key));
    const [layer, device, from, to] = [of("layer"), store.get("device"), store.get("from"), store.get("to")];
    const [every, ranged, least] = [
      device === "all",
      scope.moment() === "range",
      store.get("layer") === "tensor" ? 0 : -1,
    ];
    const [role, judged] = [ROLE_KEYS.indexOf(store.get("roles")), store.get("verdict") ? of("verdict") : null];
    const only = store.get("only") ? store.get("site") : -1;
    const kept = store.get("only") && only < 0 ? heldOnly() : null;
    const matches = scope.blockMatches;
    const shown = new Int32Array(blocks.length);
    let [number, total, hidden] = [0, 0, 0];
    largest = 1;
    for (let i = 0; i < blocks.length; ++i) {
      if (blocks.layer[i] !== layer || (every ? blocks.device[i] < least : blocks.device[i] !== Number(device)))
        continue;
      if (ranged && (time[i] < from || time[i] > to)) continue;
      total += 1;
      if (
        (matches && !matches[i]) ||
        (role >= 0 && roleIndex[i] !== role) ||
        (judged !== null && sites.verdict[site[i]] !== judged) ||
        (only >= 0 && site[i] !== only) ||
        (kept && !kept[blocks.holder_id[i]])
      ) {
        hidden += size[i];
        continue;
      }
      shown[number++] = i;
      if (size[i] > largest) largest = size[i];
    }
    const notes = [];
    if (hidden) notes.push(`Filtered out: ${bytes(hidden)}.`);
    if (model.omitted.count)
      notes.push(
        `${plural(model.omitted.count, "smaller block")} (${bytes(model.omitted.bytes)}) are not in this report; --max-allocations raises the limit.`,
      );
    if (!scope.hasBlocks())
      notes.push(
        `These are the blocks of the report's own moment: of other moments only what each call site held is known${scope.moment().startsWith("oom:") ? `; “vramtrack report --at ${scope.moment()}” shows the blocks` : ""}.`,
      );
    table.setRows(shown.subarray(0, number), total, notes.join(" "));
  }

  /** The rows of the selected holder and below it, when blocks point to them. */
  function heldOnly() {
    const chosen = selectedHolder(model, store);
    return chosen?.row >= 0 && chosen.moment.main ? holderBranch(chosen.moment, chosen.row) : null;
  }

  function toolbar() {
    const holder = store.get("site") < 0 && heldOnly();
    const select = h(
      "select",
      { "aria-label": "Role", onchange: (event) => store.set({ roles: event.target.value }) },
      h("option", { value: "" }, "All roles"),
      ROLES.map(([key, text]) => h("option", { value: key, selected: store.get("roles") === key }, text)),
    );
    const verdicts = h(
      "select",
      { "aria-label": "Verdict", onchange: (event) => store.set({ verdict: event.target.value }) },
      h("option", { value: "" }, "All verdicts"),
      ["growing", "steady", "recent", "cache", "one-off"].map((key) =>
        h("option", { value: key, selected: store.get("verdict") === key }, key),
      ),
    );
    const only = h(
      "label.check",
      null,
      h("input", {
        type: "checkbox",
        checked: Boolean(store.get("only")),
        disabled: store.get("site") < 0 && !holder,
        onchange: (event) => store.set({ only: event.target.checked }),
      }),
      `only the selected ${holder ? "holder" : "call site"}`,
    );
    fill(
      bar,
      select,
      verdicts,
      only,
      h("button.quiet", { type: "button", onclick: () => save(model, table.rows) }, "Save as CSV"),
    );
  }

  return {
    update(changed) {
      const keys = [...changed].filter((key) => !["block", "node", "tab"].includes(key));
      const follow = keys.length === 1 && keys[0] === "site" && !store.get("only");
      toolbar();
      if (keys.length && !follow) rows();
      table.select(store.get("block"));
    },
    resize: () => table.draw(true),
  };
}

function save(model, rows) {
  const { blocks } = model;
  const lines = [
    [
      "address",
      "bytes",
      "layer",
      "device",
      "shape",
      "dtype",
      "role",
      "name",
      "holder",
      "step",
      "time",
      "site",
      "file_line",
    ],
  ];
  for (const i of rows) {
    const site = blocks.site[i];
    lines.push([
      addressText(model, i),
      blocks.bytes[i],
      model.text(blocks.layer[i]),
      blocks.device[i],
      model.text(blocks.shape[i]),
      model.text(blocks.dtype[i]),
      ROLES[blocks.roleIndex[i]][0],
      model.text(blocks.name[i]),
      model.text(blocks.holder[i]),
      blocks.step[i],
      blocks.time[i],
      site < 0 ? "" : model.sites.id[site],
      site < 0 ? "" : siteParts(model, site).place,
    ]);
  }
  download("vramtrack-blocks.csv", lines);
}
