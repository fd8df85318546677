// Starts the diff page: two runs, what changed between them.
import { frameLabel, frameParts, siteParts, stackOf } from "./data.js";
import { CHANGES, decodeDiff, runCommand, runFacts, signed } from "./diff_data.js";
import { diffFlame } from "./diff_flame.js";
import { $, choice, fill, h, name } from "./dom.js";
import { bytes, count, plural, shorten, show } from "./format.js";
import { installKeys, installTheme } from "./keys.js";
import { Scope } from "./scope.js";
import { siteCell } from "./cells.js";
import { Store } from "./state.js";
import { Table } from "./table.js";
import { Tabs, drawn, guarded, onResize } from "./tabs.js";

guarded(() => {
  const begun = performance.now();
  const model = decodeDiff($("data").textContent);
  const hasTensors = model.sites.layer.includes(model.tensorLayer);
  const store = new Store(
    { tab: "flame", layer: hasTensors ? "tensor" : "cuda", frames: model.frames.own.includes(1) ? "own" : "all" },
    ["flame", "sites"],
  );
  const scope = new Scope(model, store);
  const [a, b] = [runCommand(model.a), runCommand(model.b)];
  fill(
    $("what"),
    name(shorten(a === b ? a : `A ${a}`, 90), "bdi.command"),
    a === b ? null : name(shorten(`B ${b}`, 90), "bdi.command"),
    h("span.muted", null, name(shorten(`A ${runFacts(model.a)} · B ${runFacts(model.b)}`, 200))),
  );
  document.title = `${shorten(model.b.command.join(" "), 50)} · vramtrack diff`;
  fill($("foot"), h("span", null, `vramtrack ${model.version}, Apache-2.0`));
  const tabs = new Tabs(
    [
      { key: "flame", title: "Flame graph", make: (panel) => diffFlame(panel, model, store, scope) },
      { key: "sites", title: "Call sites", make: (panel) => changesTable(panel, model, store, scope) },
    ],
    store,
  );

  function update(changed) {
    verdict($("verdict"), model, store, scope);
    fill(
      $("scope"),
      hasTensors && model.sites.layer.some((layer) => layer !== model.tensorLayer)
        ? choice(
            "Layer",
            [
              ["tensor", "Tensors"],
              ["cuda", "CUDA memory"],
            ],
            store.get("layer"),
            (layer) => store.set({ layer }),
          )
        : null,
      model.devices.length > 1
        ? choice(
            "Device",
            [["all", "All"], ...model.devices.map((d) => [String(d), model.deviceName(d)])],
            store.get("device"),
            (device) => store.set({ device }),
          )
        : null,
    );
    document.body.classList.toggle("bare", store.get("site") < 0 && !store.get("node"));
    tabs.update(changed);
    details($("details"), model, store);
  }
  store.listen(update);
  installKeys(store, tabs.tabs);
  installTheme(() => update(new Set([...tabs.everything, "theme"])));
  window.addEventListener("beforeprint", () => printed($("print"), model, scope));
  update(tabs.everything);
  onResize(() => tabs.active().resize());
  drawn(begun);
  window.vramtrack = { model, store, scope, views: tabs.views };
});

/** What changed, in words; each kind of change is a filter. */
function verdict(root, model, store, scope) {
  const { changes } = model;
  const of = Object.fromEntries(Object.keys(CHANGES).map((key) => [key, { number: 0, delta: 0 }]));
  let largest = -1;
  for (let i = 0; i < changes.length; ++i) {
    if (!scope.inside[i]) continue;
    const kind = of[model.text(changes.change[i])];
    kind.number += 1;
    kind.delta += changes.b[i] - changes.a[i];
    if (largest < 0 || Math.abs(changes.b[i] - changes.a[i]) > Math.abs(changes.b[largest] - changes.a[largest]))
      largest = i;
  }
  const delta = Object.values(of).reduce((sum, kind) => sum + kind.delta, 0);
  const what = store.get("layer") === "tensor" ? "tensor memory" : "CUDA memory";
  const verb = model.by === "allocated" ? "allocated" : "holds";
  root.dataset.mood = delta > 0 ? "error" : "calm";
  fill(
    root,
    h(
      "div.verdict-words",
      null,
      h(
        "h1",
        null,
        delta === 0
          ? `A and B hold the same ${what}.`
          : `B ${verb} ${bytes(Math.abs(delta))} ${delta > 0 ? "more" : "less"} ${what} than A.`,
      ),
      largest >= 0 && changes.a[largest] !== changes.b[largest]
        ? h(
            "p",
            null,
            "Largest change: ",
            h("code", null, name(shorten(frameLabel(model, model.sites.line[largest]), 160))),
            " ",
            h("b", null, signed(changes.b[largest] - changes.a[largest])),
          )
        : null,
    ),
    h(
      "div.outline",
      null,
      h(
        "ul.facts",
        null,
        model.totals.map((t) =>
          h(
            "li",
            null,
            h(
              "b",
              null,
              t.device < 0
                ? "host memory"
                : `${model.deviceName(t.device)} ${t.layer === "tensor" ? "tensors" : "CUDA memory"}`,
            ),
            `  ${bytes(t.a)} → `,
            h("b", null, bytes(t.b)),
            `  ${signed(t.b - t.a)}`,
          ),
        ),
      ),
      h(
        "div.chips",
        { role: "group", "aria-label": "Kinds of change" },
        Object.entries(of)
          .filter(([, kind]) => kind.number)
          .map(([key, kind]) =>
            h(
              `button.chip.s-${kind.delta > 0 ? "error" : "info"}`,
              {
                type: "button",
                title: CHANGES[key],
                "aria-pressed": store.get("verdict") === key ? "true" : "false",
                onclick: () => store.set({ verdict: store.get("verdict") === key ? "" : key }),
              },
              h("b", null, count(kind.number)),
              ` ${key}`,
              kind.delta ? ` ${signed(kind.delta)}` : null,
            ),
          ),
      ),
    ),
  );
}

function changesTable(root, model, store, scope) {
  const { changes, sites } = model;
  const delta = (i) => changes.b[i] - changes.a[i];
  const place = (i) => {
    const parts = siteParts(model, i);
    return `${parts.place} ${parts.function}`;
  };
  const table = new Table(
    root,
    [
      {
        key: "delta",
        title: "Change",
        hint: "B less A",
        width: "96px",
        number: true,
        value: (i) => Math.abs(delta(i)),
        cell: (i) =>
          h(delta(i) > 0 ? "b.growing" : delta(i) < 0 ? "b.shrinking" : "span.muted", null, signed(delta(i))),
      },
      {
        key: "kind",
        title: "Kind",
        width: "76px",
        value: (i) => model.text(changes.change[i]),
        cell: (i) => model.text(changes.change[i]),
      },
      {
        key: "a",
        title: "A",
        hint: "Bytes in A",
        width: "84px",
        number: true,
        value: (i) => changes.a[i],
        cell: (i) => bytes(changes.a[i]),
      },
      {
        key: "b",
        title: "B",
        hint: "Bytes in B",
        width: "84px",
        number: true,
        value: (i) => changes.b[i],
        cell: (i) => bytes(changes.b[i]),
      },
      {
        key: "blocks",
        title: "Blocks",
        hint: "Blocks in A and B",
        width: "110px",
        number: true,
        value: (i) => changes.count_b[i] - changes.count_a[i],
        cell: (i) => `${count(changes.count_a[i])} → ${count(changes.count_b[i])}`,
      },
      {
        key: "owner",
        title: "Owner",
        width: "80px",
        value: (i) => model.text(sites.owner[i]),
        cell: (i) => name(shorten(model.text(sites.owner[i]), 30)),
      },
      {
        key: "site",
        title: "Call site (your own line first)",
        width: "minmax(300px, 1fr)",
        value: place,
        cell: (i) => siteCell(model, i),
      },
    ],
    {
      id: "site",
      label: "Changed call sites",
      sort: "delta",
      onSelect: (site) => store.set({ site }),
      empty: () => "No call site matches.",
    },
  );
  return {
    update(changed) {
      if ([...changed].some((key) => !["site", "node", "tab"].includes(key))) {
        const wanted = store.get("verdict");
        const shown = [];
        let total = 0;
        for (let i = 0; i < sites.length; ++i) {
          if (!scope.inside[i]) continue;
          total += 1;
          if (scope.matches[i] && (!wanted || model.text(changes.change[i]) === wanted)) shown.push(i);
        }
        table.setRows(shown, total);
      }
      table.select(store.get("site"));
    },
    resize: () => table.draw(true),
  };
}

function details(root, model, store) {
  const site = store.get("site");
  if (site < 0 || site >= model.sites.length) {
    fill(
      root,
      h("h2", null, "Details"),
      h("p.note", null, "Select a frame or a call site: both figures and the full stack stand here."),
    );
    return;
  }
  const { changes, sites, frames } = model;
  const parts = siteParts(model, site);
  const rows = [
    ["A", `${bytes(changes.a[site])} in ${plural(changes.count_a[site], "block")}`],
    ["B", `${bytes(changes.b[site])} in ${plural(changes.count_b[site], "block")}`],
    ["Change", h("b", null, signed(changes.b[site] - changes.a[site]))],
    ["Kind", `${model.text(changes.change[site])}: ${CHANGES[model.text(changes.change[site])] ?? ""}`],
    ["Owner", name(show(model.text(sites.owner[site])).slice(0, 200))],
  ];
  fill(
    root,
    h("h2", null, "Call site"),
    h("p.title", null, name(shorten(parts.function, 300)), " ", name(shorten(parts.place, 300), "bdi.muted")),
    parts.source ? h("pre.source", null, name(shorten(parts.source, 600))) : null,
    h(
      "dl",
      null,
      rows.map(([key, value]) => [h("dt", null, key), h("dd", null, value)]),
    ),
    h("h3", null, "Stack, innermost first"),
    h(
      "ol.stack",
      null,
      stackOf(model, sites.stack[site]).map((frame) => {
        const at = frameParts(model, frame);
        const path = model.text(frames.file[frame]) || model.text(frames.module[frame]);
        return h(
          frames.own[frame] ? "li.own" : frames.native[frame] ? "li.native" : "li.lib",
          null,
          h("div", null, name(shorten(at.function, 160), "bdi.function")),
          h("div.path", null, name(shorten(path, 90) + (frames.line[frame] > 0 ? `:${frames.line[frame]}` : ""))),
        );
      }),
    ),
  );
}

function printed(root, model, scope) {
  const { changes } = model;
  const rows = [...Array(changes.length).keys()]
    .filter((i) => scope.inside[i] && changes.a[i] !== changes.b[i])
    .sort((a, b) => Math.abs(changes.b[b] - changes.a[b]) - Math.abs(changes.b[a] - changes.a[a]));
  fill(
    root,
    h("h2", null, "Changed call sites"),
    h(
      "table.plain",
      null,
      h(
        "tbody",
        null,
        rows
          .slice(0, 40)
          .map((i) =>
            h(
              "tr",
              null,
              h("td.number", null, signed(changes.b[i] - changes.a[i])),
              h("td", null, model.text(changes.change[i])),
              h("td", null, siteCell(model, i)),
            ),
          ),
      ),
    ),
    rows.length > 40 ? h("p.note", null, `${plural(rows.length - 40, "smaller change")} not printed.`) : null,
  );
}
