// The processes of a merged report side by side: what each held, and where they differ.
import { siteParts } from "./data.js";
import { bytes, count, plural, rankName, show, shorten } from "./format.js";
import { colour, fill, fitCanvas, h, name } from "./dom.js";
import { share, siteCell } from "./cells.js";
import { endText } from "./verdict.js";

const MOST = 256; // rows of processes

export function ranksView(root, model, store) {
  const { members, places, names, outlier, rest } = model.ranks;
  members.sort((a, b) => (a.rank ?? Infinity) - (b.rank ?? Infinity));
  const order = names.map((_, i) => i).sort((a, b) => names[a].localeCompare(names[b], "en", { numeric: true }));
  const label = (index) => rankName({ rank: names[index] });
  const most = Math.max(...members.map((one) => one.live), 1);
  const bars = []; // [canvas, values]

  const head = (titles, numbers) =>
    h(
      "thead",
      null,
      h(
        "tr",
        null,
        titles.map((t, i) => h(numbers.includes(i) ? "th.number" : "th", { scope: "col" }, t)),
      ),
    );

  function process(one) {
    const who = `pid ${one.pid}${one.hostname ? ` on ${show(one.hostname)}` : ""}`;
    return h(
      "tr",
      null,
      h("th", { scope: "row" }, one.rank === null ? "–" : `rank ${one.rank}`),
      h("td", null, name(who)),
      h("td", null, endText(one.end), one.ooms ? h("b.growing", null, ", out of memory") : null),
      h("td", null, share(one.live, most)),
      h("td.number", null, bytes(one.peak)),
      h("td.number", null, count(one.findings)),
    );
  }

  const spread = (values) => Math.max(...values) - Math.min(...values);

  /** What differs: what is live, else what was held at the peak. */
  function place({ site: id, live, peak }) {
    const site = model.byId(id);
    const values = spread(live) ? live : peak;
    const [least, top] = [Math.min(...values), Math.max(...values)];
    const canvas = h("canvas", {
      role: "img",
      "aria-label": `${siteParts(model, site).place}: ${order
        .slice(0, 16)
        .map((i) => `${label(i)} ${bytes(values[i])}`)
        .join(", ")}`,
    });
    canvas.title = canvas.getAttribute("aria-label");
    bars.push([canvas, order.map((i) => values[i])]);
    return h(
      "tr",
      null,
      h("td.number", null, h("b", null, bytes(top - least)), values === peak ? " at peak" : null),
      h("td", null, canvas),
      h(
        "td.number",
        null,
        `${label(values.indexOf(top))}: ${bytes(top)}`,
        h("br"),
        `${label(values.indexOf(least))}: ${bytes(least)}`,
      ),
      h(
        "td",
        null,
        site < 0
          ? null
          : [
              h(
                "button.link",
                { type: "button", onclick: () => store.set({ site, block: -1 }) },
                siteCell(model, site),
              ),
              model.text(model.sites.layer[site]) === "cuda" ? h("span.tag", null, "CUDA memory") : null,
            ],
      ),
    );
  }

  function build() {
    const differ = places.filter(({ live, peak }) => spread(live) || spread(peak));
    const lead = outlier ? h("b", null, name(shorten(outlier, 400))) : "No rank stands out from the others.";
    fill(
      root,
      h("p.lead", null, lead),
      h(
        "table.plain",
        null,
        h("caption", null, plural(members.length, "process", "processes")),
        head(["Rank", "Process", "End", "Live", "Peak", "Findings"], [4, 5]),
        h("tbody", null, members.slice(0, MOST).map(process)),
      ),
      members.length > MOST ? h("p.note", null, `${count(members.length - MOST)} more are not shown.`) : null,
      differ.length
        ? h(
            "table.plain",
            null,
            h("caption", null, "Where they differ, the widest spread first"),
            head(["Spread", "By rank", "Most and least", "Call site"], [0, 2]),
            h("tbody", null, differ.map(place)),
          )
        : null,
      rest
        ? h(
            "p.note",
            null,
            `${plural(rest, "call site")} with a smaller spread${places.length ? "" : ", or of more than 256 ranks,"} not shown.`,
          )
        : null,
    );
  }

  function draw() {
    const [plain, high] = [colour("tensor"), colour("grow-line")];
    for (const [canvas, values] of bars) {
      const context = fitCanvas(canvas, 180, 22);
      const top = Math.max(...values);
      const wide = 180 / values.length;
      values.forEach((value, i) => {
        context.fillStyle = value === top ? high : plain;
        const tall = Math.max(1, (22 * value) / top);
        context.fillRect(i * wide, 22 - tall, Math.max(1, Math.min(14, wide - 1)), tall);
      });
    }
  }

  return {
    update(changed) {
      const fresh = !root.firstChild;
      if (fresh) build();
      if (fresh || changed.has("theme")) draw();
    },
    resize() {},
  };
}
