// A table of any length: only the rows in view are in the document. Sorting and filtering work on row numbers.
import { count, plural } from "./format.js";
import { fill, h } from "./dom.js";

const ROW = 28;

/**
 * columns: [{key, title, hint, width (CSS track), number: bool, value(row) -> sort key, cell(row) -> Node or text}]
 * options: label, sort (column key), onSelect(row), empty() -> text; for long tables count (rows are 0 to count - 1) and
 * version() -> changes when the values do
 */
export class Table {
  constructor(root, columns, options) {
    this.columns = columns;
    this.options = options;
    this.sort = { key: options.sort, down: true };
    this.rows = new Int32Array(0);
    this.selected = -1;
    this.pool = [];
    this.header = h("div.tr.head", { role: "row" });
    this.spacer = h("div.spacer", { role: "presentation" });
    this.body = h("div.rows", { role: "rowgroup", tabindex: "0", "aria-label": `${options.label}: rows` }, this.spacer);
    this.note = h("p.note", { "aria-live": "polite" });
    this.grid = h("div.table", { role: "grid", "aria-label": options.label, "aria-colcount": columns.length }, h("div", { role: "rowgroup" }, this.header), this.body);
    this.grid.style.setProperty("--tracks", columns.map((c) => c.width).join(" "));
    this.grid.style.setProperty("--least", columns.reduce((sum, c) => sum + least(c.width), 0) + "px");
    root.append(h("div.scroll", null, this.grid), this.note);
    this.body.addEventListener("scroll", () => this.draw(), { passive: true });
    this.body.addEventListener("click", (event) => this.clicked(event));
    this.body.addEventListener("keydown", (event) => this.key(event));
    this.drawHeader();
  }

  drawHeader() {
    fill(this.header, this.columns.map((column) => {
      const active = this.sort.key === column.key;
      return h(column.number ? "div.th.number" : "div.th", { role: "columnheader", title: column.hint, "aria-sort": active ? (this.sort.down ? "descending" : "ascending") : "none" },
        h("button", { type: "button", onclick: () => this.sortBy(column) }, typeof column.title === "function" ? column.title() : column.title, h("span.arrow", { "aria-hidden": "true" }, active ? (this.sort.down ? " ▾" : " ▴") : "")));
    }));
  }

  sortBy(column) {
    this.sort = this.sort.key === column.key ? { key: column.key, down: !this.sort.down } : { key: column.key, down: Boolean(column.number) };
    this.drawHeader();
    this.arrange();
    this.body.scrollTop = 0;
    this.draw(true);
  }

  /** Shows these rows (numbers that value() and cell() understand) in the current order. */
  setRows(rows, total, note) {
    this.rows = Int32Array.from(rows);
    this.total = total;
    this.drawHeader();
    this.extra = note;
    this.arrange();
    this.draw(true);
  }

  arrange() {
    const total = this.options.count ?? 0;
    if (this.rows.length < 2000 || this.rows.length > total) {
      this.rows = this.sorted(this.rows);
    } else {
      // A search changes which rows are shown, not their order: sort all of them once.
      const id = [this.sort.key, this.sort.down, this.options.version?.()].join();
      if (this.orderId !== id) this.order = this.sorted(Int32Array.from({ length: total }, (_, i) => i));
      this.orderId = id;
      const shown = new Uint8Array(total);
      for (const row of this.rows) shown[row] = 1;
      this.rows = this.order.filter((row) => shown[row]);
    }
    const text = this.rows.length === 0 ? this.options.empty?.() ?? "Nothing matches." : this.rows.length === this.total ? `${plural(this.total, "row")}.` : `${count(this.rows.length)} of ${plural(this.total, "row")}.`;
    fill(this.note, [text, this.extra].filter(Boolean).join(" "));
  }

  sorted(rows) {
    const column = this.columns.find((c) => c.key === this.sort.key);
    const sign = this.sort.down ? -1 : 1;
    let values = Array.from(rows, column.value);
    if (!column.number) {
      // Many rows share a text: compare the distinct ones once, then sort by rank.
      const ranks = new Map([...new Set(values.map(String))].sort(collator.compare).map((text, rank) => [text, rank]));
      values = values.map((text) => ranks.get(String(text)));
    }
    values = Float64Array.from(values);
    return Int32Array.from(values.keys()).sort((a, b) => sign * (values[a] - values[b]) || rows[a] - rows[b]).map((i) => rows[i]);
  }

  draw(fresh) {
    const { body, rows } = this;
    const height = body.clientHeight || 400;
    this.spacer.style.height = `${rows.length * ROW}px`;
    body.style.setProperty("--wanted", `${Math.max(1, rows.length) * ROW + 2}px`);
    this.grid.setAttribute("aria-rowcount", String(rows.length + 1));
    const first = Math.max(0, Math.floor(body.scrollTop / ROW) - 4);
    const last = Math.min(rows.length, Math.ceil((body.scrollTop + height) / ROW) + 4);
    if (!fresh && first === this.first && last === this.last) return;
    this.first = first;
    this.last = last;
    while (this.pool.length < last - first) {
      const row = h("div.tr", { role: "row" });
      this.pool.push(row);
      this.spacer.append(row);
    }
    for (let i = 0; i < this.pool.length; ++i) {
      const element = this.pool[i];
      const index = first + i;
      element.hidden = index >= last;
      if (index >= last) continue;
      const row = rows[index];
      element.style.top = `${index * ROW}px`;
      element.dataset.row = String(row);
      element.dataset.index = String(index);
      element.id = `${this.options.id}-${index}`;
      element.setAttribute("aria-rowindex", String(index + 2));
      element.setAttribute("aria-selected", row === this.selected ? "true" : "false");
      fill(element, this.columns.map((column) => h(column.number ? "div.td.number" : "div.td", { role: "gridcell" }, column.cell(row))));
    }
  }

  clicked(event) {
    const row = event.target.closest(".tr");
    if (row) this.choose(Number(row.dataset.index));
  }

  choose(index) {
    if (index < 0 || index >= this.rows.length) return;
    this.body.setAttribute("aria-activedescendant", `${this.options.id}-${index}`);
    this.options.onSelect(this.rows[index]);
  }

  /** Marks a row and, when asked, scrolls to it. */
  select(row, reveal) {
    this.selected = row;
    const index = row < 0 ? -1 : this.rows.indexOf(row);
    if (reveal && index >= 0) {
      const top = index * ROW;
      const { scrollTop, clientHeight } = this.body;
      if (top < scrollTop || top + ROW > scrollTop + clientHeight) this.body.scrollTop = Math.max(0, top - clientHeight / 2);
    }
    this.draw(true);
  }

  key(event) {
    const page = Math.max(1, Math.floor(this.body.clientHeight / ROW) - 1);
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -1e9, End: 1e9 };
    if (!(event.key in moves) || this.rows.length === 0) return;
    event.preventDefault();
    const index = this.rows.indexOf(this.selected);
    const next = Math.max(0, Math.min(this.rows.length - 1, (index < 0 ? -1 : index) + moves[event.key]));
    this.choose(index < 0 && event.key === "ArrowUp" ? 0 : next);
  }
}

const collator = new Intl.Collator("en", { numeric: true });

const least = (width) => Number(/(\d+)px/.exec(width)?.[1] ?? 80) + 14;
