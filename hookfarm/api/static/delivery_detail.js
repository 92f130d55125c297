// One delivery: state, attempts and payload; redelivery.

import { call } from "/static/api.js";
import { busy, drawer, toast } from "/static/dialog.js";
import { h } from "/static/dom.js";
import { iso, clockTime, latency } from "/static/format.js";
import { statePill, resultLabel } from "/static/table_cells.js";

/** Opens the delivery; calls `changed` after a redelivery. */
export async function showDelivery(id, changed) {
  const { body } = drawer(id);
  const path = `/v1/deliveries/${encodeURIComponent(id)}`;
  const load = async () => {
    try {
      const delivery = await call("GET", path);
      body.replaceChildren(...content(delivery, again));
    } catch (problem) {
      body.replaceChildren(h("p", { class: "alert" }, problem.message));
    }
  };
  const again = async () => {
    await call("POST", `${path}/redeliver`);
    toast("Queued again under the same id.");
    changed();
    await load();
  };
  await load();
}

function content(delivery, again) {
  const [state, look] = statePill(delivery.state);
  const sendable = delivery.endpoint && ["delivered", "dead", "retry"].includes(delivery.state);
  const due = delivery.state === "retry" && delivery.at ? `, next attempt at ${clockTime(delivery.at)}` : "";
  return [
    h("p", {}, h("span", { class: look }, state), due, delivery.reason ? ` ${delivery.reason}` : ""),
    h(
      "p",
      {},
      delivery.endpoint
        ? h(
            "a",
            { class: "mono", href: `#/deliveries?endpoint=${encodeURIComponent(delivery.endpoint)}` },
            delivery.endpoint,
          )
        : "An invalid job, without an endpoint.",
    ),
    sendable
      ? h("div", { class: "actions" }, busy(h("button", { class: "primary", type: "button" }, "Redeliver"), again))
      : null,
    h("h3", {}, "Attempts"),
    delivery.attempts.length
      ? h("ol", { class: "attempts" }, ...delivery.attempts.map(attempt))
      : h("p", { class: "muted" }, "No attempts yet."),
    h("h3", {}, "Payload"),
    h("pre", { class: "payload", tabindex: "0" }, shown(delivery.payload)),
  ].filter(Boolean);
}

function attempt(one) {
  const good = one.status >= 200 && one.status < 300;
  return h(
    "li",
    {},
    h(
      "p",
      {},
      h("time", { datetime: iso(one.at), title: iso(one.at) }, clockTime(one.at)),
      " ",
      h("span", { class: `pill ${good ? "good" : "bad"}` }, resultLabel(one)),
      ` ${latency(one.duration_ms)}`,
    ),
    one.detail ? h("pre", {}, one.detail) : null,
  );
}

const shown = (payload) => (typeof payload === "string" ? payload : JSON.stringify(payload, null, 2));
