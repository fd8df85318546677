// Who holds the memory: the forest of holders as areas and as a tree. Rows are made when they come into view.
import { roleOf } from "./data.js";
import { bytes, count, percent, plural, shorten } from "./format.js";
import { choice, fill, h, legendKey, name } from "./dom.js";
import { parts, share, verdict } from "./cells.js";
import { Table } from "./table.js";
import { treemap } from "./treemap.js";
import {
  chooseHolder,
  holderMoments,
  holderName,
  holderPlace,
  holderRoles,
  lookedAt,
  mainHolders,
  momentTitle,
  selectedHolder,
} from "./holders_data.js";

const HEIGHT = 240; // of the areas
const OPEN = 0.1; // of all: what is larger is open at first

export function holdersView(root, model, store, scope) {
  const moments = holderMoments(model);
  const bar = h("div.bar");
  const words = h("p.lead");
  const map = h("div");
  root.append(words, bar, map);
  let moment = null;
  let open = new Set(); // rows whose parts are listed
  let depths = null;
  let listed = null; // rows in the tree, in its order
  let largest = 1;

  const rows = () => moment.rows;
  const text = (column) => (row) => model.text(rows()[column][row]);
  const growing = (row) => text("verdict")(row) === "growing";
  const matches = (row) =>
    !scope.search ||
    ["path", "type", "file", "kind", "verdict"].some(
      (column) => rows()[column][row] >= 0 && scope.hit[rows()[column][row]],
    );

  const table = new Table(
    root,
    [
      { title: "Holder", width: "minmax(260px, 1.4fr)", cell: nameCell },
      {
        title: "Keeps alive",
        hint: "What comes back when it lets go, and with it all that hold the same",
        width: "92px",
        number: true,
        cell: (row) =>
          rows().retained_bytes[row]
            ? share(rows().retained_bytes[row], largest, growing(row) ? "grow" : "plain")
            : h("span.muted", { title: "What it holds others hold as well" }, "shared"),
      },
      {
        title: "Itself",
        hint: "Without what the holders listed below it keep alive",
        width: "74px",
        number: true,
        cell: (row) => (rows().own_bytes[row] ? bytes(rows().own_bytes[row]) : h("span.muted", null, "–")),
      },
      { title: "Blocks", width: "52px", number: true, cell: (row) => count(rows().blocks[row]) },
      {
        title: "Verdict",
        hint: "What the births of its blocks say",
        width: "84px",
        cell: (row) => verdict(rows().retained_bytes[row] ? text("verdict")(row) : ""),
      },
      {
        title: "Per step",
        hint: "How much more it keeps after each step",
        width: "78px",
        number: true,
        cell: (row) => growth(row) ?? h("span.muted", null, "–"),
      },
      {
        title: "Roles",
        width: "104px",
        cell: (row) => (rows().retained_bytes[row] ? parts(holderRoles(moment, row)) : null),
      },
      { title: "Type", width: "minmax(110px, 0.7fr)", cell: (row) => name(shorten(text("type")(row), 60)) },
      {
        title: "Stored at",
        hint: "The statement that stores it",
        width: "minmax(126px, 0.5fr)",
        cell: (row) => name(shorten(holderPlace(model, moment, row), 22)),
      },
    ],
    {
      id: "holder",
      label: "Holders",
      tree: (row) => ({ level: depths[row] + 1, open: hasParts(row) ? isOpen(row) : null }),
      onToggle: toggle,
      parent: (row) => rows().parent[row],
      onSelect: (row) => store.set(chooseHolder(moment, row)),
      empty: () => (scope.search ? "No holder matches." : "No holder was found."),
    },
  );

  const hasParts = (row) => moment.below.get(row).length > 0;
  const isOpen = (row) => (scope.search ? moment.below.get(row).some((part) => listed.has(part)) : open.has(row));

  function growth(row) {
    if (!growing(row)) return null;
    const { bytes_per_step: step, bytes_per_second: second } = rows();
    return step[row] > 0
      ? h("b.growing", null, `+${bytes(step[row])}`)
      : second[row] > 0
        ? h("b.growing", null, `+${bytes(second[row])}/s`)
        : null;
  }

  function nameCell(row) {
    const twist = h("span.twist", { "aria-hidden": "true" }, hasParts(row) ? (isOpen(row) ? "▾" : "▸") : "");
    twist.style.marginLeft = `${depths[row] * 15}px`;
    return [
      twist,
      name(shorten(holderName(model, moment, row), 120), "bdi.held"),
      rows().count[row] > 1
        ? h("span.tag", { title: "objects that are alike" }, `× ${count(rows().count[row])}`)
        : null,
      moment.rows.also_held_by[row]
        ? h("span.tag", { title: "others hold the same: all must let go" }, "and others")
        : null,
    ];
  }

  /** The moment that was asked for, else that of the page, else the one that tells most. */
  function wanted() {
    const at = scope.moment();
    return (
      selectedHolder(model, store)?.moment ??
      moments.find((one) => one.key === at) ??
      (at === "peak" ? moments.find((one) => one.moment === "look") : null) ??
      mainHolders(model) ??
      moments[0]
    );
  }

  function take(next) {
    moment = next;
    open = new Set();
    depths = new Uint8Array(rows().length);
    for (let row = 0; row < rows().length; ++row) {
      const up = rows().parent[row];
      depths[row] = up < 0 ? 0 : depths[up] + 1;
      if (rows().retained_bytes[row] >= OPEN * moment.held && depths[row] < 3) open.add(row);
    }
    largest = moment.below.get(-1).reduce((most, row) => Math.max(most, rows().retained_bytes[row]), 1);
  }

  /** The rows in the order of the tree: what is open, or what the search finds, with all that leads there. */
  function list() {
    const { length: all, parent } = rows();
    const found = new Uint8Array(all).fill(scope.search ? 0 : 1);
    for (let row = all - 1; scope.search && row >= 0; --row) {
      if (!found[row] && !matches(row)) continue;
      found[row] = 1;
      if (parent[row] >= 0) found[parent[row]] = 1;
    }
    const order = [];
    const waiting = [...moment.below.get(-1)].reverse();
    while (waiting.length) {
      const row = waiting.pop();
      if (!found[row]) continue;
      order.push(row);
      if (scope.search || open.has(row)) for (const part of [...moment.below.get(row)].reverse()) waiting.push(part);
    }
    listed = new Set(order);
    const hidden = all - order.length;
    table.setRows(
      order,
      order.length,
      scope.search
        ? `${plural(hidden, "other holder")} do${hidden === 1 ? "es" : ""} not match.`
        : hidden
          ? `${count(hidden)} more in closed rows; their figures are part of those above them.`
          : "",
    );
  }

  function toggle(row, wish) {
    if (!hasParts(row) || scope.search || wish === open.has(row)) return;
    if (open.has(row)) open.delete(row);
    else open.add(row);
    list();
    table.select(row);
  }

  function reveal(row) {
    if (row < 0 || listed.has(row)) return;
    for (let up = rows().parent[row]; up >= 0; up = rows().parent[up]) open.add(up);
    list();
  }

  function node(row, selected) {
    const roles = holderRoles(moment, row);
    return {
      bytes: rows().retained_bytes[row],
      text: (growing(row) ? "▲ " : "") + holderName(model, moment, row),
      key: growing(row) ? "grow" : roleOf(roles[0]?.[0]).key,
      selected: row === selected,
      tip: [
        shorten(text("path")(row), 400),
        shorten(text("type")(row), 100),
        `${bytes(rows().retained_bytes[row])} in ${plural(rows().blocks[row], "block")}${growing(row) ? ", growing" : ""}`,
      ].join("\n"),
      parts: hasParts(row) ? () => [...moment.below.get(row).map((part) => node(part, selected)), itself(row)] : null,
      pick: () => store.set(chooseHolder(moment, row)),
    };
  }

  /** What a row keeps beside its parts. */
  function itself(row) {
    const left = { ...moment.rows.roles[row] };
    for (const part of moment.below.get(row)) for (const [role, size] of holderRoles(moment, part)) left[role] -= size;
    const [most] = Object.entries(left).sort((a, b) => b[1] - a[1]);
    return {
      bytes: rows().own_bytes[row],
      text: "itself",
      key: roleOf(most?.[0]).key,
      tip: `${shorten(text("path")(row), 400)}\nitself: ${bytes(rows().own_bytes[row])}`,
    };
  }

  function drawMap() {
    const tops = moment.below.get(-1);
    fill(
      map,
      treemap(
        "Holders by bytes; the tree below has the figures",
        tops.map((row) => node(row, selectedHolder(model, store)?.row ?? -1)),
        root.clientWidth || 900,
        HEIGHT,
      ),
    );
  }

  function head() {
    const tops = moment.below.get(-1).filter((row) => rows().retained_bytes[row] > 0);
    const sums = new Map();
    for (const row of tops)
      for (const [role, size] of holderRoles(moment, row)) sums.set(role, (sums.get(role) ?? 0) + size);
    fill(
      words,
      h("b", null, bytes(moment.held)),
      ` kept alive by ${plural(tops.length, "name")}${tops.length ? ", most of it by " : ""}`,
      tops.length ? h("b", null, name(shorten(holderName(model, moment, tops[0]), 80))) : null,
      tops.length ? ` (${percent(rows().retained_bytes[tops[0]], moment.held)}). ` : ". ",
      h(
        "span.muted",
        null,
        lookedAt(model, moment),
        model.devices.filter((device) => device >= 0).length > 1 ? " Of all devices." : "",
      ),
    );
    fill(
      bar,
      moments.length > 1
        ? choice(
            "Looked at",
            moments.map((one) => [one.key, momentTitle(one)]),
            moment.key,
            (key) =>
              store.set(
                chooseHolder(
                  moments.find((one) => one.key === key),
                  -1,
                ),
              ),
          )
        : null,
      h("button.quiet", { type: "button", disabled: Boolean(scope.search), onclick: () => fold(true) }, "Open all"),
      h("button.quiet", { type: "button", disabled: Boolean(scope.search), onclick: () => fold(false) }, "Close all"),
      h(
        "span.legend.inline",
        null,
        [...sums]
          .sort((a, b) => b[1] - a[1])
          .map(([role, size]) => legendKey(roleOf(role).key, `${roleOf(role).text} ${bytes(size)}`)),
        legendKey("grow", "▲ growing"),
      ),
    );
  }

  function fold(all) {
    open = new Set(all ? rows().path.keys() : []);
    list();
    table.select(selectedHolder(model, store)?.row ?? -1);
  }

  return {
    update(changed) {
      const next = wanted();
      const fresh = next !== moment;
      if (fresh) take(next);
      if (fresh || changed.has("query")) list();
      const chosen = selectedHolder(model, store);
      const row = chosen?.moment === moment ? chosen.row : -1;
      reveal(row);
      if (fresh || ["query", "holder", "theme"].some((key) => changed.has(key))) {
        head();
        drawMap();
      }
      table.select(row);
    },
    resize() {
      if (!moment) return;
      drawMap();
      table.draw(true);
    },
  };
}
