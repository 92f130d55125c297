// The form that adds an endpoint. Errors are shown at their field, the secret is shown once.

import { call, idempotencyKey } from "/static/api.js";
import { busy, drawer } from "/static/dialog.js";
import { h, text } from "/static/dom.js";
import { count } from "/static/format.js";
import { secretBox, sendTest } from "/static/endpoint_detail.js";
import { blame, Field } from "/static/field.js";

const TRANSFER = "Transfer(address indexed from, address indexed to, uint256 value)";
const IN_SUBSCRIPTION = "subscriptions[0]";

/** Opens the form; `added` is called with the new endpoint. */
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
      h("legend", {}, "What it wants"),
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
    description: new Field("description", "Description", { hint: "For you; it is not sent." }),
    chain: new Field(within("chain_id"), "Chain", {
      inputMode: "numeric",
      hint: known.length ? `Watched now: ${known.join(", ")}` : "Its id: 1 is Ethereum.",
    }),
    event: new Field(within("event"), "Event", {
      placeholder: TRANSFER,
      hint: "The signature as the contract declares it, with indexed. Empty: any log.",
    }),
    addresses: new Field(within("addresses"), "Contracts", {
      rows: 2,
      placeholder: "0x…",
      hint: "One address a line. Empty: any.",
    }),
    where: new Field(within("where"), "Where", {
      placeholder: "value >= 1000000 and to == 0x…",
      hint: "A condition on the event's arguments. Empty: always.",
    }),
    confirmations: new Field(within("confirmations"), "Confirmations", {
      placeholder: "0",
      hint: "Blocks to wait for, or safe, or finalized. 0: at once, and log.removed if a reorg takes it back.",
    }),
    most: new Field("max_in_flight", "At most at once", {
      inputMode: "numeric",
      hint: "Empty: the setting max_in_flight.",
    }),
    rate: new Field("rate_limit_per_second", "At most a second", {
      inputMode: "decimal",
      hint: "Empty: no limit.",
    }),
    timeout: new Field("timeout_seconds", "Time-out in seconds", { inputMode: "decimal", placeholder: "15" }),
    ordered: new Field("ordered", "One at a time, in the order of events", { type: "checkbox" }),
  };
  if (known.length === 1) fields.chain.value = known[0];
  return fields;
}

/** The record to send. An invalid number is sent as it was typed: the API rejects it. */
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
        "Its deliveries",
      ),
      h("button", { class: "plain", type: "button", onclick: close }, "Done"),
    ),
    tests,
  );
  test.focus();
}

/** From which block on it takes effect, and what the API warns of. */
function effective(endpoint) {
  const blocks = endpoint.subscriptions.map((one) => one.effective_from_block).filter((block) => block != null);
  const from = blocks.length ? [h("p", { class: "muted" }, `Matched from block ${count(blocks[0])} on.`)] : [];
  return [...from, ...(endpoint.warnings ?? []).map((warning) => h("p", { class: "alert" }, warning))];
}
