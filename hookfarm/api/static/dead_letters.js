// What was given up, and why: sent again, or forgotten.

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
  ["exhausted", "Schedule exhausted"],
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
  question: "Send all of them again?",
  detail: "Under the same ids, on a schedule that begins anew.",
  action: "Redrive",
  counted: "redriven",
  done: "sent again",
};
const PURGE = {
  path: "purge",
  question: "Forget all of them?",
  detail: "What was never delivered is then lost for good.",
  action: "Purge",
  counted: "purged",
  done: "forgotten",
};

async function all({ snapshot }, list, filter, what) {
  const narrowed = Object.keys(filter).length > 0;
  const number = narrowed ? "Those that the filters leave" : `${count(snapshot?.queue.dead)} dead letters`;
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
  if (filters.endpoint || filters.reason) return h("p", {}, "No dead letter is like that.");
  return [
    h("p", {}, h("b", {}, "No dead letters.")),
    h(
      "p",
      {},
      "What is still not delivered after the last retry comes here with its reason, and can be sent again.",
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
    toast("It is sent again, under the same id.");
    changed();
  });
  const remove = busy(
    h(
      "button",
      { class: "quiet small", type: "button", "aria-label": "Forget this dead letter", title: "Forget it" },
      "✕",
    ),
    async () => {
      if (!(await confirm("Forget it?", "It was never delivered, and is then lost for good.", "Forget"))) return;
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
      endpoint.set(one.endpoint || "(no job)");
      number.set(count(one.attempts?.length));
      last.set(latest ? resultLabel(latest) : "–");
      reason.set(one.reason ?? "–");
      redrive.hidden = !one.endpoint;
    },
  };
}
