// Services with their readiness, and the number of endpoints.

import { attribute, h, keep, text } from "/static/dom.js";
import { count } from "/static/format.js";
import { isAbsent, isStale, statusAge } from "/static/alerts.js";

/** Table that is updated each second, cell by cell. */
class Board {
  constructor(title, heads, empty) {
    this.body = h("tbody", {});
    this.empty = h("p", { class: "empty", hidden: true }, ...empty);
    this.table = h(
      "table",
      {},
      h("thead", {}, h("tr", {}, ...heads.map(([words, kind]) => h("th", { class: kind, scope: "col" }, words)))),
      this.body,
    );
    this.kinds = heads.map(([, kind]) => kind);
    this.element = h(
      "section",
      { class: "panel" },
      h("div", { class: "panel-head" }, h("h2", {}, title)),
      h("div", { class: "scroll" }, this.table),
      this.empty,
    );
  }

  /** Shows rows: each a list of texts, or of `[text, class]` for a pill. */
  write(rows) {
    this.empty.hidden = rows.length > 0;
    this.table.hidden = !rows.length;
    const make = () => h("tr", {}, ...this.kinds.map((kind) => h("td", { class: kind }, h("span", {}))));
    keep(this.body, rows, make, (line, cells) =>
      cells.forEach((cell, index) => {
        const [words, look] = Array.isArray(cell) ? cell : [cell, null];
        text(line.children[index].firstChild, words);
        attribute(line.children[index].firstChild, "class", look);
      }),
    );
  }
}

export class Services extends Board {
  constructor() {
    super(
      "Services",
      [
        ["Service", "mono"],
        ["State", ""],
        ["Processes", "number"],
        ["Host", ""],
        ["Status", "number"],
      ],
      [],
    );
  }

  show(snapshot) {
    this.write(
      Object.entries(snapshot.services).map(([name, service]) => {
        const processes = service.workers === undefined ? "–" : `${count(service.workers_up)} / ${count(service.workers)}`;
        return [name, stateOf(name, service, snapshot), processes, service.host ?? "–", statusAge(service)];
      }),
    );
  }
}

function stateOf(name, service, snapshot) {
  if (isStale(service)) return ["stale", "pill bad"];
  if (service.ready) return ["ready", "pill good"];
  if (isAbsent(name, snapshot)) return ["no chain", "pill"];
  return [service.status_age_ms === null ? "not running" : "not ready", "pill bad"];
}

/** Numbers of endpoints, linked to the lists. */
export class Census {
  constructor() {
    const link = (words, filter, name) => {
      const number = h("b", {}, "–");
      this[name] = { number, element: h("a", { href: `#/endpoints${filter}` }, number, h("span", {}, words)) };
      return this[name].element;
    };
    this.element = h(
      "section",
      { class: "panel" },
      h("div", { class: "panel-head" }, h("h2", {}, "Endpoints")),
      h(
        "div",
        { class: "census" },
        link("enabled", "?enabled=true", "enabled"),
        link("disabled", "?enabled=false", "disabled"),
        link("circuit open", "?circuit=open", "circuits"),
      ),
    );
  }

  show({ endpoints }) {
    text(this.enabled.number, count(endpoints.enabled));
    text(this.disabled.number, count(endpoints.total - endpoints.enabled));
    text(this.circuits.number, count(endpoints.circuit_open));
    attribute(this.circuits.element, "class", endpoints.circuit_open ? "bad" : null);
  }
}
