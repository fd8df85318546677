// What keeps the allocator's free memory from being given back to CUDA: the blocks that pin its segments.
import { bytes, count, plural, shorten } from "./format.js";
import { fill, h, name } from "./dom.js";
import { siteCell } from "./cells.js";
import { chooseHolder, mainHolders } from "./holders_data.js";

const MOST = 20; // rows

export function showPins(root, model, store, device) {
  const found = model.fragmentation.find((one) => one.device === device);
  if (!found?.pinned_by.length) return fill(root);
  const moment = mainHolders(model);
  const nothing = (text) => h("span.muted", null, text);
  const site = (id) =>
    id === null
      ? nothing("blocks of several call sites")
      : model.byId(id) < 0
        ? nothing("a call site that is not listed")
        : h(
            "button.link",
            { type: "button", onclick: () => store.set({ site: model.byId(id), block: -1 }) },
            siteCell(model, model.byId(id)),
          );
  const holder = (id) =>
    id === null || !moment
      ? nothing("–")
      : h(
          "button.link",
          { type: "button", onclick: () => store.set({ tab: "holders", ...chooseHolder(moment, id) }) },
          name(shorten(model.text(moment.rows.path[id]), 90)),
        );
  const row = (group) =>
    h(
      "tr",
      null,
      h("td.number", null, bytes(group.free_bytes)),
      h("td.number", null, count(group.segments)),
      h("td.number", null, bytes(group.segment_bytes)),
      h("td.number", null, count(group.blocks)),
      h("td", null, site(group.site)),
      h("td", null, holder(group.holder_id)),
    );
  fill(
    root,
    h("h3", null, "What keeps free memory from being given back"),
    h(
      "p.lead",
      null,
      "A segment goes back to CUDA only when nothing in it lives. ",
      h("b", null, bytes(found.pinned_bytes)),
      ` is free in ${plural(found.pinned_segments, "segment")} in which something lives`,
      found.unused_bytes
        ? `; ${bytes(found.unused_bytes)} more could be given back now (torch.cuda.empty_cache).`
        : ".",
    ),
    h(
      "table.plain",
      null,
      h(
        "thead",
        null,
        h(
          "tr",
          null,
          ["Free", "Segments", "Come back", "Blocks", "Kept by blocks from", "Held by"].map((title, i) =>
            h(
              i < 4 ? "th.number" : "th",
              { scope: "col", title: i === 2 ? "What can be given back when these blocks go" : null },
              title,
            ),
          ),
        ),
      ),
      h("tbody", null, found.pinned_by.slice(0, MOST).map(row)),
    ),
    found.pinned_by.length > MOST
      ? h("p.note", null, `${plural(found.pinned_by.length - MOST, "smaller row")} not shown.`)
      : null,
  );
}
