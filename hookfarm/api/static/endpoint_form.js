// Form that adds an endpoint. Errors appear at their field; the secret is shown once.

import { call, idempotencyKey } from "/static/api.js";
import { busy, drawer } from "/static/dialog.js";
import { h, text } from "/static/dom.js";
import { count } from "/static/format.js";
import { secretBox, sendTest } from "/static/endpoint_detail.js";
import { blame, Field } from "/static/field.js";

const TRANSFER = "Transfer(address indexed from, address indexed to, uint256 value)";
const IN_SUBSCRIPTION = "subscriptions[0]";

/** Opens the form; calls `added` with the new endpoint. */
export function addEndpoint({ snapshot }, added) {
  const { body, title, close } = drawer("Add endpoint");
  const fields = makeFields(snapshot?.chains ?? []);
  const problem = h("p", { class: "alert", role: "alert", hidden: true });
  const submit = h("button", { class: "primary", type: "submit" }, "Add endpoint");
  const key = idempotencyKey();
  const form = h(
    "form",
    { noValidate: true },
    problem,
    fields.url.element,
    fields.description.element,
    h(
      "fieldset",
      {},
      h("legend", {}, "Subscription"),
      fields.chain.element,
      fields.event.element,
      fields.addresses.element,
      fields.where.element,
      fields.confirmations.element,
    ),
    h(
      "details",
      {},
      h("summary", {}, "Limits and order"),
      fields.most.element,
      fields.rate.element,
      fields.timeout.element,
      fields.ordered.element,
    ),
    h(
      "div",
      { class: "actions" },
      submit,
      h("button", { class: "plain", type: "button", onclick: close }, "Cancel"),
    ),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    submit.disabled = true;
    problem.hidden = true;
    try {
      const endpoint = await call("POST", "/v1/endpoints", record(fields), { "Idempotency-Key": key });
      title("Endpoint added");
      showAdded(body, endpoint, close);
      added(endpoint);
    } catch (refusal) {
      if (blame(Object.values(fields), refusal)) return;
      problem.hidden = false;
      text(problem, refusal.field ? `${refusal.field}: ${refusal.message}` : refusal.message);
    } finally {
      submit.disabled = false;
    }
  });
  body.append(form);
  fields.url.focus();
}

function makeFields(chains) {
  const known = chains.map((chain) => String(chain.chain_id));
  const within = (name) => `${IN_SUBSCRIPTION}.${name}`;
  const fields = {
    url: new Field("url", "URL", { type: "url", placeholder: "https://hooks.example/transfers", required: true }),
    description: new Field("description", "Description", { hint: "Not sent to the endpoint." }),
    chain: new Field(within("chain_id"), "Chain", {
      inputMode: "numeric",
      hint: known.length ? `Watched now: ${known.join(", ")}` : "Chain id, such as 1 for Ethereum.",
    }),
    event: new Field(within("event"), "Event", {
      placeholder: TRANSFER,
      hint: "Signature as declared in the contract, with indexed. Empty: any log.",
    }),
    addresses: new Field(within("addresses"), "Contracts", {
      rows: 2,
      placeholder: "0x…",
      hint: "One address per line. Empty: any.",
    }),
    where: new Field(within("where"), "Where", {
      placeholder: "value >= 1000000 and to == 0x…",
      hint: "Condition on the event's arguments. Empty: none.",
    }),
    confirmations: new Field(within("confirmations"), "Confirmations", {
      placeholder: "0",
      hint: "Blocks to wait, or safe, or finalized. 0: sent at once, and log.removed after a reorg.",
    }),
    most: new Field("max_in_flight", "Max in flight", {
      inputMode: "numeric",
      hint: "Empty: the setting max_in_flight.",
    }),
    rate: new Field("rate_limit_per_second", "Max per second", {
      inputMode: "decimal",
      hint: "Empty: no limit.",
    }),
    timeout: new Field("timeout_seconds", "Time-out in seconds", { inputMode: "decimal", placeholder: "15" }),
    ordered: new Field("ordered", "One at a time, in the order of events", { type: "checkbox" }),
  };
  if (known.length === 1) fields.chain.value = known[0];
  return fields;
}

/** Returns the record to send. An invalid number is sent as typed: the API rejects it. */
function record(fields) {
  const subscription = {
    chain_id: number(fields.chain.value),
    event: given(fields.event.value),
    where: given(fields.where.value),
    addresses: fields.addresses.value.split(/[\s,]+/).filter(Boolean),
    confirmations: number(fields.confirmations.value) ?? 0,
  };
  const made = { url: fields.url.value.trim(), subscriptions: [subscription] };
  if (given(fields.description.value)) made.description = fields.description.value.trim();
  for (const field of [fields.most, fields.rate, fields.timeout]) {
    if (given(field.value)) made[field.name] = number(field.value);
  }
  if (fields.ordered.value) made.ordered = true;
  return made;
}

const given = (value) => value.trim() || null;
const number = (value) => (/^\d+(\.\d+)?$/.test(value.trim()) ? Number(value) : given(value));

function showAdded(body, endpoint, close) {
  const tests = h("div", { class: "tests", "aria-live": "polite" });
  const test = busy(h("button", { class: "primary", type: "button" }, "Send a test"), () =>
    sendTest(endpoint.id, tests),
  );
  body.replaceChildren(
    h("p", {}, h("b", {}, endpoint.url), " ", h("code", {}, endpoint.id)),
    secretBox(endpoint.secret),
    ...effective(endpoint),
    h(
      "div",
      { class: "actions" },
      test,
      h(
        "a",
        {
          class: "button plain",
          href: `#/deliveries?endpoint=${encodeURIComponent(endpoint.id)}`,
          onclick: close,
        },
        "Deliveries",
      ),
      h("button", { class: "plain", type: "button", onclick: close }, "Done"),
    ),
    tests,
  );
  test.focus();
}

/** Returns the first matched block, and the API's warnings. */
function effective(endpoint) {
  const blocks = endpoint.subscriptions.map((one) => one.effective_from_block).filter((block) => block != null);
  const from = blocks.length ? [h("p", { class: "muted" }, `Matched from block ${count(blocks[0])} on.`)] : [];
  return [...from, ...(endpoint.warnings ?? []).map((warning) => h("p", { class: "alert" }, warning))];
}
