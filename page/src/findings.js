// The findings, worst first: claim, evidence, next step.
import { bytes, count, plural, show, shorten } from "./format.js";
import { fill, h, name } from "./dom.js";
import { momentOf, place, quoted, SEVERITY } from "./verdict.js";
import { siteCell } from "./cells.js";

const CALM =
  "No finding: nothing that vramtrack knows how to recognise is wrong. The other tabs show where the memory is.";

export function findingsView(root, model, store) {
  let cards = [];
  function build() {
    cards = model.findings.map((finding, index) => card(model, store, finding, index));
    fill(root, cards.length ? cards : h("p.note", null, CALM), growers());
  }
  // Sites that grow but that no finding explains still belong on the first tab.
  function growers() {
    const { sites } = model;
    const explained = new Set(model.findings.map((f) => model.byId(f.site)));
    const more = [];
    for (let i = 0; i < sites.length; ++i) if (sites.verdict[i] === model.growing && !explained.has(i)) more.push(i);
    if (!more.length) return null;
    return h(
      "section",
      null,
      h("h3", null, `${plural(more.length, "more call site")} that ${more.length === 1 ? "grows" : "grow"}`),
      h(
        "ul.growers",
        null,
        more
          .slice(0, 20)
          .map((site) =>
            h(
              "li",
              null,
              h(
                "button.link",
                { type: "button", onclick: () => store.set({ site, block: -1 }) },
                bytes(sites.live_bytes[site]),
                " ",
                siteCell(model, site),
              ),
            ),
          ),
      ),
      more.length > 20 ? h("p.note", null, `${count(more.length - 20)} more in Call sites, verdict “growing”.`) : null,
    );
  }
  return {
    update() {
      if (!root.firstChild) build();
      cards.forEach((element, index) => {
        const site = model.byId(model.findings[index].site);
        element.classList.toggle("selected", site >= 0 && site === store.get("site"));
      });
    },
    resize() {},
  };
}

function card(model, store, finding, index) {
  const site = model.byId(finding.site);
  const level = SEVERITY[finding.severity] ? finding.severity : "info";
  const moment = momentOf(finding);
  const oom = "at" in moment;
  const facts = Object.entries(finding.evidence ?? {}).filter(([, value]) => value !== null);
  return h(
    `article.finding.s-${level}`,
    { id: `finding-${index}` },
    h(
      "header",
      null,
      h("span.level", null, SEVERITY[level]),
      h("h3", null, quoted(finding.title)),
      h("span.grow"),
      finding.bytes >= 1024 ? h("b", null, bytes(finding.bytes)) : null,
    ),
    h("p", null, quoted(finding.message)),
    finding.file
      ? h(
          "p.where",
          null,
          h("code", null, name(shorten(place(finding), 200))),
          finding.variable ? [" variable ", h("code", null, name(shorten(finding.variable, 120)))] : null,
        )
      : null,
    finding.fix ? h("p.fix", null, h("b", null, "Fix "), quoted(finding.fix)) : null,
    facts.length
      ? h(
          "details",
          null,
          h("summary", null, "Evidence"),
          h(
            "dl",
            null,
            facts.map(([key, value]) => [
              h("dt", null, show(key).replaceAll("_", " ")),
              h("dd", null, name(evidence(key, value))),
            ]),
          ),
        )
      : null,
    h(
      "p.actions",
      null,
      site >= 0
        ? [
            h(
              "button.quiet",
              { type: "button", onclick: () => store.set({ site, block: -1, ...moment }) },
              "Show the call site",
            ),
            h(
              "button.quiet",
              { type: "button", onclick: () => store.set({ site, block: -1, node: "", tab: "flame", ...moment }) },
              oom ? "What filled the device: flame graph" : "In the flame graph",
            ),
            oom
              ? h(
                  "button.quiet",
                  { type: "button", onclick: () => store.set({ site, block: -1, tab: "sites", ...moment }) },
                  "as a table",
                )
              : null,
            h(
              "button.quiet",
              {
                type: "button",
                onclick: () =>
                  store.set({
                    site,
                    block: -1,
                    only: true,
                    layer: model.text(model.sites.layer[site]),
                    tab: "tensors",
                  }),
              },
              "Its blocks",
            ),
          ]
        : null,
      finding.docs ? h("span.muted", null, show(finding.docs)) : null,
    ),
  );
}

function evidence(key, value) {
  if (typeof value === "number")
    return /bytes/.test(key)
      ? `${bytes(value)} (${count(value)})`
      : Number.isInteger(value)
        ? count(value)
        : value.toPrecision(4);
  return shorten(typeof value === "string" ? value : JSON.stringify(value), 1000);
}
