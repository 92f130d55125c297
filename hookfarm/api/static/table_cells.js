// Table cells shared by several lists.

import { attribute, h, text } from "/static/dom.js";
import { iso, clockTime } from "/static/format.js";

/** Returns a cell with `set(text, class)`. */
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
    set(at) {
      text(time, clockTime(at));
      attribute(time, "datetime", iso(at));
      attribute(time, "title", iso(at));
    },
  };
}

/** Returns a cell with a button that opens the row, also by keyboard. */
export function buttonCell(kind, press) {
  const button = h("button", { class: "row-link", type: "button", onclick: press });
  return { element: h("td", { class: kind }, button), button };
}

const LOOKS = { delivered: "good", open: "accent", parked: "warn", retry: "warn", dead: "bad" };

/** Returns the state of a delivery as a pill; null = trimmed. */
export const statePill = (state) => (state ? [state, `pill ${LOOKS[state] ?? ""}`] : ["trimmed", "pill"]);

const TRANSPORT_ERRORS = {
  timeout: "time-out",
  connection: "no connection",
  tls: "TLS",
  name_not_resolved: "name not resolved",
  address_refused: "address refused",
  bad_response: "bad response",
};

/** Returns the HTTP status or the error of an attempt. */
export const resultLabel = ({ status, error }) =>
  status ? `HTTP ${status}` : error ? (TRANSPORT_ERRORS[error] ?? error) : "–";
