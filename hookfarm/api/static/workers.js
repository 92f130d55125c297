// Delivery processes as cells, in the order of slots.

import { attribute, h, keep, text } from "/static/dom.js";
import { count } from "/static/format.js";

const STATES = {
  b: ["blocked", "blocked in BRPOP"],
  p: ["posting", "posting"],
  r: ["restarting", "restarting"],
  s: ["stalled", "stalled"],
};
const UNKNOWN = ["unknown", "unknown state"];
const DENSE = 200;

export class Workers {
  constructor() {
    this.title = h("h2", {}, "Workers");
    this.grid = h("div", { class: "workers", role: "img" });
    this.counts = {};
    const legend = Object.entries(STATES).map(([letter, [name, words]]) => {
      this.counts[letter] = h("b", {}, "–");
      return h("li", {}, h("i", { class: `cell ${name}` }), this.counts[letter], ` ${words}`);
    });
    this.element = h(
      "section",
      { class: "panel" },
      h("div", { class: "panel-head" }, this.title),
      this.grid,
      h("ul", { class: "states" }, ...legend),
    );
  }

  show({ delivery }) {
    const letters = [...delivery.activity];
    text(this.title, letters.length ? `${count(letters.length)} workers` : "Workers");
    attribute(this.grid, "data-dense", letters.length > DENSE ? "" : null);
    keep(
      this.grid,
      letters,
      () => h("i", {}),
      (cell, letter) => {
        const [name, words] = STATES[letter] ?? UNKNOWN;
        attribute(cell, "class", `cell ${name}`);
        attribute(cell, "title", words);
      },
    );
    const labels = Object.entries(STATES).map(([letter, [, words]]) => {
      const number = letters.filter((found) => found === letter).length;
      text(this.counts[letter], count(number));
      return `${number} ${words}`;
    });
    attribute(this.grid, "aria-label", letters.length ? labels.join(", ") : "No delivery processes.");
  }
}
