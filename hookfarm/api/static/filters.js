// The line above a list: title, filters and actions.

import { h } from "/static/dom.js";

export function filterBar(title, filters, actions) {
  return h(
    "div",
    { class: "toolbar" },
    h("h1", {}, title),
    h("div", { class: "filters", role: "search" }, ...filters),
    h("div", { class: "actions" }, ...actions),
  );
}

/** Returns a select of `[value, label]`; an unknown value selects the first one. */
export function choice(label, choices, chosen = "") {
  const select = h(
    "select",
    { "aria-label": label },
    ...choices.map(([value, words]) => h("option", { value }, words)),
  );
  select.value = choices.some(([value]) => value === chosen) ? chosen : "";
  return select;
}

/** Returns an input for an endpoint id. */
export function endpointInput(value) {
  return h("input", {
    type: "search",
    placeholder: "Endpoint id, ep_…",
    value: value ?? "",
    "aria-label": "Endpoint id",
  });
}

/** Calls `work` after a pause in typing. */
export function debounced(work) {
  let timer = null;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(work, 250);
  };
}
