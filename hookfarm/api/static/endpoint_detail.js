// One endpoint: settings, statistics and actions.

import { call } from "/static/api.js";
import { backfillsOf } from "/static/backfills.js";
import { busy, confirm, copyButton, drawer, toast } from "/static/dialog.js";
import { h } from "/static/dom.js";
import { count, plural, latency } from "/static/format.js";
import { resultLabel } from "/static/table_cells.js";
import { stateOf, subscriptionsLabel } from "/static/endpoint_labels.js";

/** Opens the endpoint; calls `changed` after each change. */
export function showEndpoint(endpoint, changed) {
  const { body, dialog, close } = drawer(endpoint.url);
  const path = `/v1/endpoints/${encodeURIComponent(endpoint.id)}`;
  const tests = h("div", { class: "tests", "aria-live": "polite" });
  const does = (label, look, work) => busy(h("button", { class: look, type: "button" }, label), work);
  const done = (words) => {
    toast(words);
    changed();
    close();
  };
  const [state, look] = stateOf(endpoint);
  body.append(
    h("p", {}, h("span", { class: look }, state), " ", h("code", {}, endpoint.id)),
    h(
      "div",
      { class: "actions" },
      does("Send a test", "primary", () => sendTest(endpoint.id, tests)),
      h(
        "a",
        {
          class: "button plain",
          href: `#/deliveries?endpoint=${encodeURIComponent(endpoint.id)}`,
          onclick: close,
        },
        "Deliveries",
      ),
      endpoint.enabled
        ? does("Disable", "plain", async () => {
            await call("POST", `${path}/disable`);
            done("Disabled. New events are not matched; queued deliveries wait.");
          })
        : does("Enable", "plain", async () => {
            await call("POST", `${path}/enable`);
            done("Enabled.");
          }),
      does("Rotate secret", "plain", async () => {
        if (!(await confirm("Rotate the secret?", "For a day, webhooks are signed with both secrets.", "Rotate")))
          return;
        const rotated = await call("POST", `${path}/rotate-secret`);
        body.prepend(secretBox(rotated.secret));
        changed();
      }),
      does("Remove", "danger", async () => {
        if (
          !(await confirm(
            "Remove this endpoint?",
            "Its queued deliveries become dead letters, and its secret is deleted.",
            "Remove",
          ))
        )
          return;
        await call("DELETE", path);
        done("Removed.");
      }),
    ),
    tests,
    facts(endpoint),
    backfillsOf(endpoint.id, dialog),
    h("h3", {}, plural(endpoint.subscriptions.length, "subscription")),
    ...endpoint.subscriptions.map((one) =>
      h(
        "details",
        { class: "subscription" },
        h("summary", {}, subscriptionsLabel([one])),
        h("pre", {}, JSON.stringify(one, null, 2)),
      ),
    ),
  );
}

function facts({ description, window, recent, created_at: created, disabled_reason: reason, ...endpoint }) {
  const rows = [
    ["Description", description],
    ["Disabled", endpoint.enabled ? "" : (reason ?? "yes")],
    ["Paused", window.paused_reason],
    ["Window", `${count(window.open)} open of ${count(window.limit)}, ${count(window.parked)} parked`],
    ["Failures in a row", window.failures ? count(window.failures) : ""],
    [
      "Last attempts",
      recent.attempts ? `${count(recent.succeeded)} of ${count(recent.attempts)} delivered` : "none",
    ],
    ["Time-out", `${endpoint.timeout_seconds} s`],
    ["In flight", endpoint.max_in_flight === null ? "" : `at most ${count(endpoint.max_in_flight)}`],
    ["Rate", endpoint.rate_limit_per_second === null ? "" : `at most ${endpoint.rate_limit_per_second} per second`],
    ["Order", endpoint.ordered ? "one at a time, in order" : ""],
    [
      "Headers",
      Object.entries(endpoint.headers ?? {})
        .map(([name, value]) => `${name}: ${value}`)
        .join(", "),
    ],
    ["Created", created],
  ];
  return h(
    "dl",
    { class: "facts" },
    ...rows
      .filter(([, value]) => value)
      .map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
  );
}

/** Returns the secret, which is shown once. */
export function secretBox(secret) {
  return h(
    "section",
    { class: "secret", role: "status" },
    h("h3", {}, "Signing secret"),
    h("p", {}, "Store it: it is not shown again. The receiver verifies webhooks with it (Standard Webhooks)."),
    h("div", { class: "copy" }, h("code", {}, secret), copyButton(secret)),
  );
}

/** Sends a test webhook per subscription and shows the replies. */
export async function sendTest(id, place) {
  place.replaceChildren(h("p", { class: "muted" }, "Sending…"));
  try {
    const answer = await call("POST", `/v1/endpoints/${encodeURIComponent(id)}/test`, {});
    const replies = Array.isArray(answer) ? answer : (answer.data ?? answer.replies ?? [answer]);
    place.replaceChildren(...replies.map(reply));
  } catch (problem) {
    place.replaceChildren(h("p", { class: "alert" }, problem.message));
  }
}

function reply(one) {
  return h(
    "div",
    { class: "reply" },
    h(
      "p",
      {},
      h("span", { class: `pill ${one.delivered ? "good" : "bad"}` }, resultLabel(one)),
      ` ${latency(one.duration_ms)} `,
      h("code", {}, one.subscription ?? ""),
    ),
    one.detail ? h("pre", {}, one.detail) : null,
  );
}
