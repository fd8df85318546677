// A table of any length: only the rows in view are in the document. Sorting and filtering work on row numbers.
import { count, plural } from "./format.js";
import { fill, h } from "./dom.js";

const ROW = 28;

/**
 * columns: [{key, title, hint, width (CSS track), number: bool, value(row) -> sort key, cell(row) -> Node or text}]
 * options: label, sort (column key), onSelect(row), empty() -> text; for long tables count (rows are 0 to count - 1) and
 * version() -> changes when the values do. A tree is in the order of setRows and has tree(row) -> {level, open (null: no
 * parts)}, onToggle(row, open: undefined for the other of the two) and parent(row).
 */
export class Table {
  constructor(root, columns, options) {
    this.columns = columns;
    this.options = options;
    this.sort = { key: options.sort, down: true };
    this.rows = new Int32Array(0);
    this.selected = -1;
    this.top = 0; // scrolled by so much
    this.pool = [];
    this.header = h("div.tr.head", { role: "row" });
    this.spacer = h("div.spacer", { role: "presentation" });
    this.body = h("div.rows", { role: "rowgroup", tabindex: "0", "aria-label": `${options.label}: rows` }, this.spacer);
    this.note = h("p.note", { "aria-live": "polite" });
    this.grid = h(
      "div.table",
      { role: options.tree ? "treegrid" : "grid", "aria-label": options.label, "aria-colcount": columns.length },
      h("div", { role: "rowgroup" }, this.header),
      this.body,
    );
    this.grid.style.setProperty("--tracks", columns.map((c) => c.width).join(" "));
    this.grid.style.setProperty("--least", columns.reduce((sum, c) => sum + least(c.width), 0) + "px");
    root.append(h("div.scroll", null, this.grid), this.note);
    this.body.addEventListener(
      "scroll",
      () => {
        this.top = this.body.scrollTop;
        this.draw();
      },
      { passive: true },
    );
    this.body.addEventListener("click", (event) => this.clicked(event));
    this.body.addEventListener("keydown", (event) => this.key(event));
    this.drawHeader();
  }

  drawHeader() {
    fill(
      this.header,
      this.columns.map((column) => {
        if (this.options.tree)
          return h(
            column.number ? "div.th.number" : "div.th",
            { role: "columnheader", title: column.hint },
            column.title,
          );
        const active = this.sort.key === column.key;
        return h(
          column.number ? "div.th.number" : "div.th",
          {
            role: "columnheader",
            title: column.hint,
            "aria-sort": active ? (this.sort.down ? "descending" : "ascending") : "none",
          },
          h(
            "button",
            { type: "button", onclick: () => this.sortBy(column) },
            typeof column.title === "function" ? column.title() : column.title,
            h("span.arrow", { "aria-hidden": "true" }, active ? (this.sort.down ? " ▾" : " ▴") : ""),
          ),
        );
      }),
    );
  }

  sortBy(column) {
    this.sort =
      this.sort.key === column.key
        ? { key: column.key, down: !this.sort.down }
        : { key: column.key, down: Boolean(column.number) };
    this.drawHeader();
    this.arrange();
    this.body.scrollTop = this.top = 0;
    this.draw(true);
  }

  /** Takes these rows (numbers that value() and cell() understand) in the current order; select() then draws them. */
  setRows(rows, total, note) {
    this.rows = Int32Array.from(rows);
    this.total = total;
    this.drawHeader();
    this.extra = note;
    this.arrange();
    this.stale = true;
  }

  arrange() {
    const total = this.options.count ?? 0;
    if (this.options.tree) {
      // in the order that was given
    } else if (this.rows.length < 2000 || this.rows.length > total) {
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
    const text =
      this.rows.length === 0
        ? (this.options.empty?.() ?? "Nothing matches.")
        : this.rows.length === this.total
          ? `${plural(this.total, "row")}.`
          : `${count(this.rows.length)} of ${plural(this.total, "row")}.`;
    fill(this.note, [text, this.extra].filter(Boolean).join(" "));
  }

  sorted(rows) {
    const column = this.columns.find((c) => c.key === this.sort.key);
    rows = Int32Array.from(rows).sort();
    const values = Array.from(rows, column.value);
    // Many rows share a value: only the distinct ones are compared, then each row is put where its rank begins.
    const distinct = column.number
      ? Float64Array.from(new Set(values)).sort()
      : [...new Set(values)].sort((collator ??= new Intl.Collator("en", { numeric: true })).compare);
    if (this.sort.down) distinct.reverse();
    const ranks = new Map();
    distinct.forEach((value, rank) => ranks.set(value, rank));
    const next = new Int32Array(distinct.length + 1);
    const rank = Int32Array.from(values, (value) => ranks.get(value));
    for (const at of rank) next[at + 1] += 1;
    for (let at = 0; at < distinct.length; ++at) next[at + 1] += next[at];
    const order = new Int32Array(rows.length);
    for (let i = 0; i < rank.length; ++i) order[next[rank[i]]++] = rows[i];
    return order;
  }

  draw(fresh) {
    const { body, rows } = this;
    const wanted = Math.max(1, rows.length) * ROW + 2;
    // As the style sheet has it: asking the element would lay out the page in the middle of a change.
    const height = (this.height = Math.min(wanted, Math.max(300, innerHeight * 0.62)));
    const top = (this.top = Math.max(0, Math.min(this.top, wanted - height)));
    const first = Math.max(0, Math.floor(top / ROW) - 4);
    const last = Math.min(rows.length, Math.ceil((top + height) / ROW) + 4);
    if (!fresh && first === this.first && last === this.last) return;
    this.stale = false;
    this.spacer.style.height = `${rows.length * ROW}px`;
    body.style.setProperty("--wanted", `${wanted}px`);
    this.grid.setAttribute("aria-rowcount", String(rows.length + 1));
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
      this.setLevel(element, row);
      fill(
        element,
        this.columns.map((column) =>
          h(column.number ? "div.td.number" : "div.td", { role: "gridcell" }, column.cell(row)),
        ),
      );
    }
  }

  setLevel(element, row) {
    if (!this.options.tree) return;
    const { level, open } = this.options.tree(row);
    element.setAttribute("aria-level", String(level));
    if (open === null) element.removeAttribute("aria-expanded");
    else element.setAttribute("aria-expanded", String(open));
  }

  clicked(event) {
    const row = event.target.closest(".tr");
    if (!row) return;
    if (event.target.closest(".twist")) this.options.onToggle(Number(row.dataset.row));
    else this.choose(Number(row.dataset.index));
  }

  choose(index) {
    if (index < 0 || index >= this.rows.length) return;
    this.body.setAttribute("aria-activedescendant", `${this.options.id}-${index}`);
    this.options.onSelect(this.rows[index]);
  }

  /** Marks a row, scrolls to it, and draws what has changed. */
  select(row) {
    if (row === this.selected && !this.stale) return;
    this.selected = row;
    this.draw(true);
    const at = row < 0 ? -1 : this.rows.indexOf(row) * ROW;
    if (at >= 0 && (at < this.top || at + ROW > this.top + this.height)) this.body.scrollTop = at - this.height / 2;
  }

  key(event) {
    const page = Math.max(1, Math.floor(this.height / ROW) - 1);
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -1e9, End: 1e9 };
    const index = this.rows.indexOf(this.selected);
    if (this.options.tree && index >= 0 && this.treeKey(event.key)) return event.preventDefault();
    if (!(event.key in moves) || this.rows.length === 0) return;
    event.preventDefault();
    const next = Math.max(0, Math.min(this.rows.length - 1, (index < 0 ? -1 : index) + moves[event.key]));
    this.choose(index < 0 && event.key === "ArrowUp" ? 0 : next);
  }

  /** Right opens a row and goes into it, left closes it and goes up. */
  treeKey(key) {
    const { tree, onToggle, parent } = this.options;
    if (key !== "ArrowRight" && key !== "ArrowLeft") return false;
    const [row, wish] = [this.selected, key === "ArrowRight"];
    const { open } = tree(row);
    if (open === !wish) onToggle(row, wish);
    else if (wish && open) this.choose(this.rows.indexOf(row) + 1);
    else if (!wish && parent(row) >= 0) this.choose(this.rows.indexOf(parent(row)));
    return true;
  }
}

let collator; // made when first needed: its tables take the browser a while to load

const least = (width) => Number(/(\d+)px/.exec(width)?.[1] ?? 80) + 14;
