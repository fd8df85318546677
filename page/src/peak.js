// What the memory of a moment is made of: modules, within them roles, as areas, and the same as a table with its sum.
import { roleOf } from "./data.js";
import { bytes, count, percent, plural, rankName, shorten, show } from "./format.js";
import { choice, fill, h, legendKey, name } from "./dom.js";
import { treemap } from "./treemap.js";

const OUTSIDE = "outside of any module";
const HEIGHT = 360;
const MOST = 200; // rows of the table

export function peakView(root, model, store, scope) {
  const moments = [
    ["peak", "At the peak", model.peak_breakdown],
    ["now", "At this report's moment", model.breakdown],
    ...model.ooms.map((oom) => [
      `oom:${oom.n}`,
      `Out of memory${oom.rank ? `, ${rankName(oom)}` : model.ooms.length > 1 ? ` ${oom.n}` : ""}`,
      oom.breakdown,
    ]),
  ].filter(([, , rows]) => rows.length);
  const named = (key) => moments.find(([one]) => one === key);
  let picked = null; // until the page's moment changes
  const bar = h("div.bar");
  const body = h("div");
  root.append(bar, body);

  function build() {
    const [key, , all] = named(picked) ?? named(scope.moment()) ?? moments[0];
    const device = store.get("device");
    const shown = all
      .filter((row) => device === "all" || row.device === Number(device))
      .sort((a, b) => b.bytes - a.bytes);
    const total = shown.reduce((sum, row) => sum + row.bytes, 0);
    const ranged = shown.some((row) => row.range);
    const head = (titles) =>
      h(
        "thead",
        null,
        h(
          "tr",
          null,
          titles.map((title, i) => h(i < 3 ? "th.number" : "th", { scope: "col" }, title)),
        ),
      );
    fill(
      bar,
      choice(
        "Moment",
        moments.map(([one, text]) => [one, text]),
        key,
        (next) => {
          picked = next;
          build();
        },
      ),
      h("span.grow"),
      h("b", null, bytes(total)),
    );
    fill(
      body,
      h(
        "p.legend",
        null,
        [...sums(shown, (row) => roleOf(row.role))].map(([role, size]) =>
          legendKey(role.key, `${role.text} ${bytes(size)}`),
        ),
      ),
      treemap(
        `${plural(sums(shown, (row) => row.module).size, "module")} by bytes; the table below has the figures`,
        moduleNodes(shown),
        root.clientWidth || 900,
        HEIGHT,
      ),
      h(
        "table.plain",
        null,
        head(["Bytes", "Share", "Blocks", "What", "Phase", "Module", ...(ranged ? ["Your phase or range"] : [])]),
        h(
          "tbody",
          null,
          shown
            .slice(0, MOST)
            .map((row) =>
              h(
                "tr",
                null,
                h("td.number", null, bytes(row.bytes)),
                h("td.number", null, percent(row.bytes, total)),
                h("td.number", null, count(row.blocks)),
                h("td", null, roleOf(row.role).text),
                h("td", null, row.phase ?? ""),
                h("td", null, name(shorten(row.module ?? OUTSIDE))),
                ranged ? h("td", null, name(shorten(row.range ?? ""))) : null,
              ),
            ),
        ),
      ),
      shown.length > MOST ? h("p.note", null, `${plural(shown.length - MOST, "smaller row")} not shown.`) : null,
      key === "peak" ? advice() : null,
    );
  }

  function advice() {
    if (!model.advice.length) return null;
    return h(
      "section",
      null,
      h("h3", null, "What would lower the peak"),
      h(
        "ul.advice",
        null,
        model.advice.map((item) =>
          h(
            "li",
            null,
            h("b", null, bytes(item.saves_bytes)),
            ` less (${item.basis}): `,
            name(show(item.title)),
            ". ",
            name(show(item.fix)),
          ),
        ),
      ),
    );
  }

  return {
    update(changed) {
      if (changed.has("at")) picked = null;
      if (!body.firstChild || ["device", "at", "from", "theme"].some((key) => changed.has(key))) build();
    },
    resize: build,
  };
}

/** Bytes by what `of` says of a row, most first. */
function sums(rows, of) {
  const found = new Map();
  for (const row of rows) found.set(of(row), (found.get(of(row)) ?? 0) + row.bytes);
  return new Map([...found].sort((a, b) => b[1] - a[1]));
}

/** Modules in modules, by their names ("blocks.3.mlp"), and in each its roles. */
function moduleNodes(rows) {
  const root = { inner: new Map(), rows: [], bytes: 0 };
  for (const row of rows) {
    let at = root;
    for (const step of row.module === null ? [OUTSIDE] : row.module.split(".")) {
      if (!at.inner.has(step))
        at.inner.set(step, {
          text: step,
          path: at.path ? `${at.path}.${step}` : step,
          inner: new Map(),
          rows: [],
          bytes: 0,
        });
      at = at.inner.get(step);
      at.bytes += row.bytes;
    }
    at.rows.push(row);
  }
  const node = (one) => {
    let text = one.text;
    while (!one.rows.length && one.inner.size === 1) {
      // a module that only leads to another
      [one] = one.inner.values();
      text += `.${one.text}`;
    }
    const tip = `${shorten(one.path, 300)}: ${bytes(one.bytes)}`;
    const roles = () =>
      [...sums(one.rows, (row) => roleOf(row.role))].map(([role, size]) => ({
        bytes: size,
        text: role.text,
        key: role.key,
        tip: `${tip}\n${role.text}: ${bytes(size)}`,
      }));
    return {
      bytes: one.bytes,
      text,
      tip,
      parts: () => [...[...one.inner.values()].map(node), ...roles()],
      key: roleOf(one.rows[0]?.role).key,
    };
  };
  return [...root.inner.values()].map(node);
}
