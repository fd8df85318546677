// The call sites: who allocated, how much is alive, does it grow.
import { ROLES, siteParts } from "./data.js";
import { bytes, capital, count, plural, show } from "./format.js";
import { choice, fill, h, name } from "./dom.js";
import { role, share, siteCell, verdict, VERDICTS } from "./cells.js";
import { Table } from "./table.js";
import { download } from "./download.js";

export function sitesView(root, model, store, scope) {
  const { sites } = model;
  const bar = h("div.bar");
  root.append(bar);
  let largest = 1;
  let empty = 0; // call sites in scope that hold nothing at the moment
  const place = (site) => {
    const parts = siteParts(model, site);
    return `${parts.place} ${parts.function}`;
  };
  const title = () =>
    ({ range: "Of that time", moment: "Then" })[scope.moment()] ??
    capital(scope.momentText()).replace("When out of memory", "At OOM");
  const table = new Table(
    root,
    [
      {
        key: "live",
        title,
        hint: "Bytes alive at the chosen moment",
        width: "96px",
        number: true,
        value: (i) => scope.value[i],
        cell: (i) => share(scope.value[i], largest, isGrowing(i) ? "grow" : "plain"),
      },
      {
        key: "site",
        title: "Call site (your own line first)",
        width: "minmax(270px, 1fr)",
        value: place,
        cell: (i) => siteCell(model, i),
      },
      {
        key: "step",
        title: "Per step",
        hint: "How much more is alive after each step",
        width: "82px",
        number: true,
        value: (i) => (isGrowing(i) ? Math.max(sites.bytes_per_step[i], 0) : 0),
        cell: (i) =>
          isGrowing(i) && sites.bytes_per_step[i] > 0
            ? h("b.growing", null, `+${bytes(sites.bytes_per_step[i])}`)
            : h("span.muted", null, "–"),
      },
      {
        key: "verdict",
        title: "Verdict",
        hint: "What the births of the survivors say",
        width: "78px",
        value: (i) => model.text(sites.verdict[i]),
        cell: (i) => verdict(model.text(sites.verdict[i])),
      },
      {
        key: "role",
        title: "Holds mostly",
        hint: "What most of the bytes are",
        width: "150px",
        value: (i) =>
          sites.layer[i] === model.tensorLayer ? ROLES[sites.roleIndex[i]][1] : model.text(sites.owner[i]),
        cell: (i) =>
          sites.layer[i] === model.tensorLayer
            ? role(sites.roleIndex[i])
            : name(show(model.text(sites.owner[i])).slice(0, 60)),
      },
      {
        key: "peak",
        title: "At peak",
        hint: "Bytes this site held when the device was fullest",
        width: "82px",
        number: true,
        value: (i) => sites.at_peak_bytes[i],
        cell: (i) => (sites.at_peak_bytes[i] < 0 ? "–" : bytes(sites.at_peak_bytes[i])),
      },
      {
        key: "count",
        title: "Blocks",
        hint: "Blocks alive at the chosen moment",
        width: "56px",
        number: true,
        value: (i) => scope.number[i],
        cell: (i) => (scope.moment() === "moment" ? "–" : count(scope.number[i])),
      },
    ],
    {
      id: "site",
      label: "Call sites",
      sort: "live",
      count: sites.length,
      version: () => scope.version,
      onSelect: (site) => store.set({ site, block: -1 }),
      empty: () => "No call site matches.",
    },
  );

  const isGrowing = (i) => sites.verdict[i] === model.growing;

  function rows() {
    const wanted = store.get("verdict") ? model.strings.indexOf(store.get("verdict")) : null;
    const shown = [];
    let hidden = 0;
    let total = 0;
    empty = 0;
    largest = 1;
    for (let i = 0; i < sites.length; ++i) {
      if (!scope.inside[i]) continue;
      if (!scope.value[i]) {
        empty += 1;
        if (!store.get("empty")) continue;
      }
      total += 1;
      if (scope.matches[i] && (wanted === null || sites.verdict[i] === wanted)) {
        shown.push(i);
        largest = Math.max(largest, scope.value[i]);
      } else {
        hidden += scope.value[i];
      }
    }
    const notes = [];
    if (hidden) notes.push(`Filtered out: ${bytes(hidden)}.`);
    if (scope.othersBytes)
      notes.push(`Smaller call sites, not told apart at this moment: ${bytes(scope.othersBytes)}.`);
    if (empty && !store.get("empty"))
      notes.push(
        `${plural(empty, "call site")} that ${empty === 1 ? "holds" : "hold"} nothing ${scope.momentText()} ${empty === 1 ? "is" : "are"} not shown.`,
      );
    table.setRows(shown, total, notes.join(" "));
  }

  function toolbar() {
    const seen = new Set();
    for (let i = 0; i < sites.length; ++i) if (scope.inside[i]) seen.add(model.text(sites.verdict[i]));
    fill(
      bar,
      choice(
        "Verdict",
        [
          ["", "All"],
          ...Object.keys(VERDICTS)
            .filter((key) => seen.has(key))
            .map((key) => [key, key, VERDICTS[key]]),
        ],
        store.get("verdict"),
        (value) => store.set({ verdict: value }),
      ),
      empty
        ? h(
            "label.check",
            null,
            h("input", {
              type: "checkbox",
              checked: store.get("empty"),
              onchange: (event) => store.set({ empty: event.target.checked }),
            }),
            `also the ${count(empty)} that ${empty === 1 ? "holds" : "hold"} nothing now`,
          )
        : null,
      h("button.quiet", { type: "button", onclick: () => save(model, table.rows) }, "Save as CSV"),
    );
  }

  return {
    update(changed) {
      const other = [...changed].some((key) => !["site", "block", "node", "tab"].includes(key));
      if (other) {
        rows();
        toolbar();
      }
      table.select(store.get("site"));
    },
    resize: () => table.draw(true),
    count: () => plural(table.rows.length, "site"),
  };
}

function save(model, rows) {
  const { sites } = model;
  const lines = [
    [
      "site",
      "layer",
      "device",
      "owner",
      "verdict",
      "live_bytes",
      "live_count",
      "at_peak_bytes",
      "bytes_per_step",
      "file_line",
      "function",
    ],
  ];
  for (const i of rows) {
    const parts = siteParts(model, i);
    lines.push([
      sites.id[i],
      model.text(sites.layer[i]),
      sites.device[i],
      model.text(sites.owner[i]),
      model.text(sites.verdict[i]),
      sites.live_bytes[i],
      sites.live_count[i],
      sites.at_peak_bytes[i] < 0 ? "" : sites.at_peak_bytes[i],
      sites.bytes_per_step[i] < 0 ? "" : sites.bytes_per_step[i],
      parts.place,
      parts.function,
    ]);
  }
  download("vramtrack-sites.csv", lines);
}
