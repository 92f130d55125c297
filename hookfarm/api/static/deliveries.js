// Attempts of the delivery log, newest first, with the current state of their deliveries.

import { attribute, h, text } from "/static/dom.js";
import { latency } from "/static/format.js";
import { buttonCell, cell, statePill, resultLabel, timeCell } from "/static/table_cells.js";
import { showDelivery } from "/static/delivery_detail.js";
import { choice, debounced, endpointInput, filterBar } from "/static/filters.js";
import { List } from "/static/list.js";

const HEADS = [
  ["When", ""],
  ["Delivery", "wide"],
  ["Endpoint", ""],
  ["Attempt", "number"],
  ["Result", ""],
  ["Duration", "number"],
  ["State", ""],
];
const STATUSES = [
  ["", "All attempts"],
  ["delivered", "Delivered"],
  ["failed", "Failed"],
  ["open", "Open now"],
  ["retry", "In retry now"],
  ["dead", "Dead now"],
];
const NOW = ["open", "retry", "dead"];
const SPANS = [
  ["", "Any time"],
  ["5", "Last 5 minutes"],
  ["60", "Last hour"],
  ["1440", "Last day"],
];

export function deliveries(_shared, given) {
  const list = new List({
    title: "Deliveries",
    path: "/v1/deliveries",
    heads: HEADS,
    key: (one) => `${one.id} ${one.attempt} ${one.at}`,
    row: (one) => row(one, () => list.load()),
    empty: nothing,
    filters: given,
  });
  const endpoint = endpointInput(given.endpoint);
  const status = choice("Result", STATUSES, given.status);
  const span = choice("Time", SPANS, "");
  const filter = () => {
    span.disabled = NOW.includes(status.value); // States are current: no time filter.
    list.filter({
      endpoint: endpoint.value.trim(),
      status: status.value,
      since: span.disabled ? "" : since(span.value),
    });
  };
  endpoint.addEventListener("input", debounced(filter));
  for (const select of [status, span]) select.addEventListener("change", filter);
  return {
    element: h("div", {}, filterBar("Deliveries", [endpoint, status, span], []), list.element),
    begin: () => list.begin(),
    close: () => list.close(),
  };
}

const since = (minutes) => (minutes ? new Date(Date.now() - minutes * 60000).toISOString() : "");

function nothing(filters) {
  if (filters.endpoint || filters.status || filters.since) return h("p", {}, "No attempts match.");
  return [
    h("p", {}, h("b", {}, "No attempts yet.")),
    h(
      "p",
      {},
      "Attempts appear here once an event matches a subscription. ",
      h("a", { href: "#/endpoints" }, "Add an endpoint"),
      ", or test one.",
    ),
  ];
}

function row(first, changed) {
  let attempt = first;
  const time = timeCell();
  const id = buttonCell("wide mono", () => showDelivery(attempt.id, changed));
  const endpoint = h("a", { class: "mono" });
  const [number, result, duration, state] = [cell("number"), cell(""), cell("number"), cell("")];
  const cells = [
    time.element,
    id.element,
    h("td", {}, endpoint),
    number.element,
    result.element,
    duration.element,
    state.element,
  ];
  return {
    element: h("tr", {}, ...cells),
    update(one) {
      attempt = one;
      time.set(one.at);
      text(id.button, one.id);
      text(endpoint, one.endpoint);
      attribute(endpoint, "href", `#/deliveries?endpoint=${encodeURIComponent(one.endpoint)}`);
      number.set(`#${one.attempt}`);
      const attempted = one.status !== null || one.error !== null;
      result.set(resultLabel(one), attempted ? `pill ${one.delivered ? "good" : "bad"}` : null);
      duration.set(latency(one.duration_ms));
      state.set(...statePill(one.state));
    },
  };
}
