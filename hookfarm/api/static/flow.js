// Diagram from chain to webhook: the depth of each hop, and the rates between them.

import { attribute, h, keep, text } from "/static/dom.js";
import { count, duration, latency, plural, rate } from "/static/format.js";

/** States of waiting jobs: name, label, reason, link. */
const HELD = [
  ["unconfirmed", "Unconfirmed", "waits for confirmations", null],
  ["parked", "Parked", "over the endpoint's window, or paused", "#/endpoints"],
  ["retry", "Retry", "waits for its next attempt", "#/deliveries?status=retry"],
  ["dead", "Dead", "given up; kept with the reason", "#/dead-letters"],
  ["backfill", "Backfill", "past events, behind live ones", null],
];

export class Flow {
  constructor() {
    this.stages = ["Chain", "Stream", "Queue", "Workers", "Delivered"].map(stage);
    this.pipes = ["events", "jobs", "attempts", "delivered"].map(pipe);
    const diagram = this.stages.flatMap((one, index) => (index ? [this.pipes[index - 1], one] : [one]));
    this.held = HELD.map(([name, title, hint, href]) => held(name, title, hint, href));
    this.element = h(
      "section",
      { class: "panel flow", "aria-label": "From chain to webhook" },
      h("ol", { class: "stages" }, ...diagram.map((one) => one.element)),
      h("dl", { class: "held", "aria-label": "Held back" }, ...this.held.map((one) => one.element)),
    );
  }

  show(snapshot, history) {
    const [chain, stream, queue, workers, delivered] = this.stages;
    showChain(chain, snapshot.chains);
    showStream(stream, snapshot.streams);
    const { queued, open } = snapshot.queue;
    fill(queue, "Queue", count(open), [
      ["in the list", count(queued)],
      ["in workers", count(Math.max(0, open - queued))],
    ]);
    showWorkers(workers, snapshot);
    const times = snapshot.delivery.queued_to_delivered_ms;
    fill(delivered, "Delivered", count(snapshot.delivery.delivered), [
      ["failed attempts", count(snapshot.delivery.failed_attempts)],
      ["p50 from queue", latency(times.p50)],
      ["p99 from queue", latency(times.p99)],
    ]);
    const done = history.mean("delivered");
    const failed = history.mean("failed");
    const rates = [
      history.mean("events"),
      history.mean("jobs"),
      done === null ? null : done + (failed ?? 0),
      done,
    ];
    rates.forEach((value, index) => this.pipes[index].show(value));
    for (const one of this.held) one.show(snapshot.queue[one.name]);
    const backfill = this.held.at(-1);
    backfill.element.hidden = !snapshot.queue.backfill && !snapshot.backfills?.length;
  }
}

function stage() {
  const title = h("h2", {});
  const number = h("p", { class: "big" }, "–");
  const rows = h("dl", {});
  return { element: h("li", { class: "stage" }, title, number, rows), title, number, rows };
}

function pipe(unit) {
  const number = h("b", {}, "–");
  const element = h(
    "li",
    { class: "pipe" },
    h("span", {}, number, "/s"),
    h("i", { "aria-hidden": "true" }),
    h("small", {}, unit),
  );
  return {
    element,
    show(value) {
      text(number, rate(value));
      attribute(element, "data-flows", value ? "" : null);
    },
  };
}

function held(name, title, hint, href) {
  const number = h("dd", {}, "–");
  const label = href ? h("a", { href }, title) : title;
  const element = h("div", { class: name }, h("dt", {}, label), number, h("dd", { class: "hint" }, hint));
  return {
    element,
    name,
    show(value) {
      text(number, count(value));
      attribute(element, "data-some", value ? "" : null);
    },
  };
}

function fill(one, title, number, rows) {
  text(one.title, title);
  text(one.number, number);
  keep(
    one.rows,
    rows,
    () => h("div", {}, h("dt"), h("dd")),
    (row, [label, value]) => {
      text(row.firstChild, label);
      text(row.lastChild, value);
    },
  );
}

function showChain(one, chains) {
  if (!chains.length) return fill(one, "Chain", "none", [["start --chain ID=URL", ""]]);
  const worst = chains.reduce((most, chain) => (chain.lag_blocks > most.lag_blocks ? chain : most));
  const lag = [
    ["behind", plural(worst.lag_blocks, "block")],
    ["late by", duration(worst.lag_ms)],
  ];
  if (worst.catch_up) lag.push(["caught up in", duration(worst.catch_up.remaining_ms)]);
  if (chains.length > 1) {
    return fill(one, "Chains", count(chains.length), [
      ["most behind", String(worst.chain_id)],
      ...lag.slice(0, 1),
    ]);
  }
  return fill(one, `Chain ${worst.chain_id}`, count(worst.head), lag);
}

function showStream(one, streams) {
  const sum = (name) =>
    streams.length ? streams.reduce((total, stream) => total + (stream[name] ?? 0), 0) : null;
  fill(one, streams.length > 1 ? "Streams" : "Stream", count(sum("length")), [
    ["unread", count(sum("lag"))],
    ["being matched", count(sum("pending"))],
  ]);
}

function showWorkers(one, snapshot) {
  const letters = snapshot.delivery.activity;
  const number = (letter) => [...letters].filter((found) => found === letter).length;
  const busy = letters ? `${count(number("p"))} / ${count(letters.length)}` : "–";
  fill(one, "Workers", busy, [
    ["blocked in BRPOP", count(number("b"))],
    ["restarting", count(number("r") + number("s"))],
  ]);
}
