// Cells that several lists have.

import { attribute, h, text } from "/static/dom.js";
import { iso, clockTime } from "/static/format.js";

/** A cell whose content is set by `set(text, class)`. */
export function cell(kind, ...content) {
  const inner = h("span", {}, ...content);
  return {
    element: h("td", { class: kind }, inner),
    set(words, look = null) {
      text(inner, words);
      attribute(inner, "class", look);
    },
  };
}

export function timeCell() {
  const time = h("time", {});
  return {
    element: h("td", { class: "nowrap" }, time),
    set(ms) {
      text(time, clockTime(ms));
      attribute(time, "datetime", iso(ms));
      attribute(time, "title", iso(ms));
    },
  };
}

/** A cell that is a button: the way into a row for the keyboard too. */
export function buttonCell(kind, press) {
  const button = h("button", { class: "row-link", type: "button", onclick: press });
  return { element: h("td", { class: kind }, button), button };
}

const LOOKS = { delivered: "good", open: "accent", parked: "warn", retry: "warn", dead: "bad" };

/** Where a delivery is, as a pill; null = neither queue nor log know it any more. */
export const placePill = (place) => (place ? [place, `pill ${LOOKS[place] ?? ""}`] : ["forgotten", "pill"]);

const ERRORS = {
  timeout: "time-out",
  connection: "no connection",
  tls: "TLS",
  name_not_resolved: "name not resolved",
  address_refused: "address refused",
  bad_response: "bad response",
};

/** What an attempt came to. */
export const resultWords = (result) =>
  /^\d+$/.test(String(result)) ? `HTTP ${result}` : (ERRORS[result] ?? String(result ?? "–"));
