// The endpoints: a searchable list, and the form for a new one.

import { attribute, h, text } from "/static/dom.js";
import { count, latency, percent } from "/static/format.js";
import { buttonCell, cell } from "/static/table_cells.js";
import { showEndpoint } from "/static/endpoint_detail.js";
import { addEndpoint } from "/static/endpoint_form.js";
import { stateOf, subscriptionsLabel } from "/static/endpoint_labels.js";
import { List } from "/static/list.js";
import { debounced, filterBar } from "/static/filters.js";

const HEADS = [
  ["Endpoint", "wide"],
  ["Subscriptions", "wants"],
  ["State", ""],
  ["Open / window", "number"],
  ["Parked", "number"],
  ["Retry", "number"],
  ["Delivered", "number"],
  ["POST p50", "number"],
  ["p99", "number"],
];
const STATES = [
  ["", "All"],
  ["enabled=true", "Enabled"],
  ["enabled=false", "Disabled"],
  ["circuit=open", "Circuit open"],
];

export function endpoints(shared, given) {
  const add = h(
    "button",
    { class: "primary", type: "button", onclick: () => addEndpoint(shared, () => list.load()) },
    "Add endpoint",
  );
  const list = new List({
    title: "Endpoints",
    path: "/v1/endpoints",
    heads: HEADS,
    key: (endpoint) => endpoint.id,
    row: (endpoint) => row(endpoint, () => list.load()),
    empty: (filters) => nothing(filters, shared, list),
    filters: given,
  });
  const search = h("input", {
    type: "search",
    placeholder: "URL, description or id",
    value: given.q ?? "",
    "aria-label": "Search endpoints",
  });
  const state = h(
    "select",
    { "aria-label": "State" },
    ...STATES.map(([value, words]) => h("option", { value }, words)),
  );
  state.value = given.circuit ? `circuit=${given.circuit}` : given.enabled ? `enabled=${given.enabled}` : "";
  const filter = () =>
    list.filter({ q: search.value.trim(), ...Object.fromEntries(new URLSearchParams(state.value)) });
  search.addEventListener("input", debounced(filter));
  state.addEventListener("change", filter);
  return {
    element: h("div", {}, filterBar("Endpoints", [search, state], [add]), list.element),
    begin: () => list.begin(),
    close: () => list.close(),
  };
}

function nothing(filters, shared, list) {
  if (filters.q || filters.enabled || filters.circuit) return h("p", {}, "No endpoints match.");
  return [
    h("p", {}, h("b", {}, "No endpoints yet.")),
    h("p", {}, "An endpoint is a URL with subscriptions. Add one, and send it a signed test."),
    h(
      "button",
      { class: "primary", type: "button", onclick: () => addEndpoint(shared, () => list.load()) },
      "Add the first endpoint",
    ),
  ];
}

function row(first, changed) {
  let endpoint = first;
  const name = buttonCell("wide", () => showEndpoint(endpoint, changed));
  const description = h("small", {});
  name.element.append(description);
  const [wants, state, open, parked, retry, success, p50, p99] = [
    cell("wants"),
    cell(""),
    ...Array.from({ length: 6 }, () => cell("number")),
  ];
  const cells = [name, wants, state, open, parked, retry, success, p50, p99];
  return {
    element: h("tr", {}, ...cells.map((one) => one.element)),
    update(now) {
      endpoint = now;
      const { window, recent } = now;
      text(name.button, now.url);
      text(description, now.description || now.id);
      wants.set(subscriptionsLabel(now.subscriptions));
      attribute(wants.element, "title", now.subscriptions.map((one) => subscriptionsLabel([one])).join("\n"));
      state.set(...stateOf(now));
      open.set(`${count(window.open)} / ${count(window.limit)}`);
      parked.set(count(window.parked), window.parked ? "some" : null);
      retry.set(count(window.retry), window.retry ? "some" : null);
      success.set(
        recent.attempts ? percent(recent.succeeded / recent.attempts) : "–",
        recent.succeeded < recent.attempts ? "some" : null,
      );
      p50.set(latency(recent.p50_ms));
      p99.set(latency(recent.p99_ms));
    },
  };
}
