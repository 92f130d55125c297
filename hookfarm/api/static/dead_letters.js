// Dead letters with their reasons, to redrive or purge.

import { call } from "/static/api.js";
import { busy, confirm, toast } from "/static/dialog.js";
import { h, text } from "/static/dom.js";
import { count } from "/static/format.js";
import { buttonCell, cell, resultLabel, timeCell } from "/static/table_cells.js";
import { showDelivery } from "/static/delivery_detail.js";
import { choice, debounced, endpointInput, filterBar } from "/static/filters.js";
import { List } from "/static/list.js";

const HEADS = [
  ["Died", ""],
  ["Delivery", "wide"],
  ["Endpoint", ""],
  ["Attempts", "number"],
  ["Last", ""],
  ["Reason", ""],
  ["", "number"],
];
const REASONS = [
  ["", "All reasons"],
  ["exhausted", "Retries exhausted"],
  ["endpoint_gone", "Endpoint gone (410)"],
  ["endpoint_removed", "Endpoint removed"],
  ["endpoint_invalid", "Endpoint invalid"],
  ["worker_lost", "Workers lost"],
];

export function deadLetters(shared, given) {
  const list = new List({
    title: "Dead letters",
    path: "/v1/dead-letters",
    heads: HEADS,
    key: (one) => one.id,
    row: (one) => row(one, () => list.load()),
    empty: nothing,
    filters: given,
  });
  const endpoint = endpointInput(given.endpoint);
  const reason = choice("Reason", REASONS, given.reason);
  const chosen = () =>
    Object.fromEntries(
      Object.entries({ endpoint: endpoint.value.trim(), reason: reason.value }).filter(([, value]) => value),
    );
  const filter = () => list.filter(chosen());
  endpoint.addEventListener("input", debounced(filter));
  reason.addEventListener("change", filter);
  const actions = [
    busy(h("button", { class: "primary", type: "button" }, "Redrive all"), () =>
      all(shared, list, chosen(), REDRIVE),
    ),
    busy(h("button", { class: "danger", type: "button" }, "Purge all"), () => all(shared, list, chosen(), PURGE)),
  ];
  return {
    element: h("div", {}, filterBar("Dead letters", [endpoint, reason], actions), list.element),
    begin: () => list.begin(),
    close: () => list.close(),
  };
}

const REDRIVE = {
  path: "redrive",
  question: "Redrive these dead letters?",
  detail: "They keep their ids and get a new retry schedule.",
  action: "Redrive",
  counted: "redriven",
  done: "redriven",
};
const PURGE = {
  path: "purge",
  question: "Purge these dead letters?",
  detail: "They are deleted permanently.",
  action: "Purge",
  counted: "purged",
  done: "purged",
};

async function all({ snapshot }, list, filter, what) {
  const narrowed = Object.keys(filter).length > 0;
  const number = narrowed ? "All that match the filters" : `${count(snapshot?.queue.dead)} dead letters`;
  if (!(await confirm(what.question, `${number}. ${what.detail}`, what.action))) return;
  let done = 0;
  let cursor;
  do {
    const answer = await call("POST", `/v1/dead-letters/${what.path}`, cursor ? { ...filter, cursor } : filter);
    done += answer[what.counted];
    cursor = answer.next_cursor;
  } while (cursor);
  toast(`${count(done)} ${what.done}.`);
  await list.load();
}

function nothing(filters) {
  if (filters.endpoint || filters.reason) return h("p", {}, "No dead letters match.");
  return [
    h("p", {}, h("b", {}, "No dead letters.")),
    h(
      "p",
      {},
      "Deliveries that fail their last retry appear here with the reason. You can redrive them.",
    ),
  ];
}

function row(first, changed) {
  let letter = first;
  const path = () => `/v1/dead-letters/${encodeURIComponent(letter.id)}`;
  const time = timeCell();
  const id = buttonCell("wide mono", () => showDelivery(letter.id, changed));
  const [endpoint, number, last, reason] = [cell("mono"), cell("number"), cell(""), cell("")];
  const redrive = busy(h("button", { class: "plain small", type: "button" }, "Redrive"), async () => {
    await call("POST", `${path()}/redrive`);
    toast("Queued again under the same id.");
    changed();
  });
  const remove = busy(
    h(
      "button",
      { class: "quiet small", type: "button", "aria-label": "Purge this dead letter", title: "Purge" },
      "✕",
    ),
    async () => {
      if (!(await confirm("Purge this dead letter?", "It is deleted permanently.", "Purge"))) return;
      await call("DELETE", path());
      changed();
    },
  );
  return {
    element: h(
      "tr",
      {},
      time.element,
      id.element,
      endpoint.element,
      number.element,
      last.element,
      reason.element,
      h("td", { class: "number nowrap" }, redrive, " ", remove),
    ),
    update(one) {
      letter = one;
      const latest = one.attempts?.at(-1);
      time.set(one.at);
      text(id.button, one.id);
      endpoint.set(one.endpoint || "(invalid job)");
      number.set(count(one.attempts?.length));
      last.set(latest ? resultLabel(latest) : "–");
      reason.set(one.reason ?? "–");
      redrive.hidden = !one.endpoint;
    },
  };
}
