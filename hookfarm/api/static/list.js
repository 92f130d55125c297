// A page of a list as a table; the first page is refreshed while it is visible.

import { call, query } from "/static/api.js";
import { busy } from "/static/dialog.js";
import { h, text } from "/static/dom.js";

const REFRESH_MS = 2000;
const PAGE = 50;
const MAX_EMPTY_PAGES = 100;

export class List {
  /**
   * `path` of the list, `heads` of `[label, class]`, `key` of a row. `row` returns `{element, update(row)}`; `empty`
   * returns the text of an empty list for the filters.
   */
  constructor({ title, path, heads, key, row, empty, filters = {} }) {
    Object.assign(this, { path, key, row, empty, filters });
    this.rows = new Map();
    this.cursors = [];
    this.next = null;
    this.loading = false;
    this.looked = 1;
    this.body = h("tbody", {});
    this.nothing = h("div", { class: "empty", hidden: true });
    this.problem = h("p", { class: "alert", role: "alert", hidden: true });
    this.place = h("span", { class: "muted", "aria-live": "polite" });
    this.back = busy(h("button", { class: "plain", type: "button" }, "Newer"), () =>
      this.go(this.cursors.slice(0, -1)),
    );
    this.onwards = busy(h("button", { class: "plain", type: "button" }, "Older"), () =>
      this.go([...this.cursors, this.next]),
    );
    this.labels = heads.map(([words]) => words);
    const head = heads.map(([words, kind]) => h("th", { class: kind, scope: "col" }, words));
    this.table = h("table", { "aria-label": title }, h("thead", {}, h("tr", {}, ...head)), this.body);
    this.element = h(
      "section",
      { class: "panel list" },
      this.problem,
      h("div", { class: "scroll" }, this.table),
      this.nothing,
      h("footer", {}, this.place, this.back, this.onwards),
    );
  }

  begin() {
    this.timer = setInterval(() => {
      if (!this.cursors.length && !document.hidden && !this.loading && this.looked === 1) this.load();
    }, REFRESH_MS);
    return this.load();
  }

  close() {
    clearInterval(this.timer);
    this.closed = true;
  }

  /** Shows the first page with other filters. */
  filter(filters) {
    this.filters = filters;
    return this.go([]);
  }

  go(cursors) {
    this.cursors = cursors;
    return this.load();
  }

  /** Shows the response to the last request, also if an earlier one arrives later. */
  async load() {
    const asked = (this.asked = Symbol("asked"));
    this.loading = true;
    try {
      const page = await this.page(this.cursors.at(-1));
      if (this.asked === asked && !this.closed) this.show(page);
    } catch (problem) {
      if (this.asked !== asked || this.closed) return;
      this.problem.hidden = false;
      text(this.problem, problem.field ? `${problem.field}: ${problem.message}` : problem.message);
    } finally {
      if (this.asked === asked) this.loading = false;
    }
  }

  /** Returns the page after `cursor`, skipping empty ones: later pages may match the filters. A list with skipped
   * pages is not refreshed automatically. */
  async page(cursor) {
    for (this.looked = 1; ; this.looked += 1) {
      const page = await call("GET", query(this.path, { ...this.filters, limit: PAGE, cursor }));
      if (page.data.length || !page.next_cursor || this.looked === MAX_EMPTY_PAGES) return page;
      cursor = page.next_cursor;
      text(this.place, "Searching …");
    }
  }

  /** Labels the cells with their column, which narrow screens show beside them. */
  labelled(row) {
    [...row.element.children].forEach((cell, index) => cell.setAttribute("data-label", this.labels[index]));
    return row;
  }

  show({ data, next_cursor: next }) {
    this.problem.hidden = true;
    this.next = next;
    const known = new Map();
    for (const value of data) {
      const key = this.key(value);
      const row = this.rows.get(key) ?? this.labelled(this.row(value));
      row.update(value);
      known.set(key, row);
    }
    this.rows = known;
    place(
      this.body,
      [...known.values()].map((row) => row.element),
    );
    this.table.hidden = !data.length;
    this.nothing.hidden = data.length > 0;
    if (!data.length) this.nothing.replaceChildren(...[this.empty(this.filters)].flat());
    this.back.disabled = !this.cursors.length;
    this.onwards.disabled = !next;
    text(
      this.place,
      data.length ? `${this.cursors.length * PAGE + 1} to ${this.cursors.length * PAGE + data.length}` : "",
    );
  }
}

/** Moves only misplaced elements, because moved ones lose the focus. */
function place(parent, elements) {
  const wanted = new Set(elements);
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  elements.forEach((element, index) => {
    if (parent.children[index] !== element) parent.insertBefore(element, parent.children[index] ?? null);
  });
}
