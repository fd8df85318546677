// Paper has no tabs and no scrolling: when printing, the 40 largest call sites follow as a plain table.
import { $, fill, h, name } from "./dom.js";
import { siteLine, siteParts } from "./data.js";
import { bytes, count, plural } from "./format.js";

export function installPrint(model, scope) {
  window.addEventListener("beforeprint", () => {
    const { sites } = model;
    const rows = [...Array(sites.length).keys()]
      .filter((i) => scope.value[i] > 0)
      .sort((a, b) => scope.value[b] - scope.value[a]);
    const rest = rows.slice(40);
    fill(
      $("print"),
      h("h2", null, `Call sites, ${scope.momentText()}`),
      h(
        "table.plain",
        null,
        h(
          "thead",
          null,
          h(
            "tr",
            null,
            ["Bytes", "Blocks", "Verdict", "Call site"].map((t, i) =>
              h(i < 2 ? "th.number" : "th", { scope: "col" }, t),
            ),
          ),
        ),
        h(
          "tbody",
          null,
          rows.slice(0, 40).map((i) => {
            const parts = siteParts(model, i);
            return h(
              "tr",
              null,
              h("td.number", null, bytes(scope.value[i])),
              h("td.number", null, scope.moment() === "moment" ? "–" : count(scope.number[i])),
              h("td", null, model.text(sites.verdict[i])),
              h("td", null, name(siteLine(parts, 120))),
            );
          }),
        ),
      ),
      rest.length
        ? h(
            "p.note",
            null,
            `${plural(rest.length, "smaller call site")}: ${bytes(rest.reduce((sum, i) => sum + scope.value[i], 0))} in total.`,
          )
        : null,
    );
  });
}
