// Backfills: progress, or the reason for no progress.

import { call, query } from "/static/api.js";
import { attribute, h, keep, text } from "/static/dom.js";
import { count, duration, percent, rate } from "/static/format.js";

const REFRESH_MS = 2000;
const LOOKS = { running: "pill good", stopped: "pill warn", done: "pill" };

/** Panel of all unfinished backfills; hidden without any. */
export class Backfills {
  constructor() {
    this.list = h("ul", { class: "backfills" });
    this.element = h(
      "section",
      { class: "panel", hidden: true, "aria-label": "Backfills" },
      h("div", { class: "panel-head" }, h("h2", {}, "Backfills")),
      this.list,
    );
  }

  show({ backfills = [] }) {
    this.element.hidden = !backfills.length;
    keep(this.list, backfills, () => line(true), showLine);
  }
}

/** Backfills of one endpoint, also finished ones; refreshed while the dialog is open. */
export function backfillsOf(endpoint, dialog) {
  const list = h("ul", { class: "backfills" });
  const element = h("section", { hidden: true, "aria-label": "Backfills" }, h("h3", {}, "Backfills"), list);
  const load = async () => {
    if (document.hidden) return;
    try {
      const { data } = await call("GET", query("/v1/backfills", { endpoint, limit: 20 }));
      element.hidden = !data.length;
      keep(list, data, () => line(false), showLine);
    } catch {
      // Keep the list; the alerts show that the API is unreachable.
    }
  };
  const timer = setInterval(load, REFRESH_MS);
  dialog.addEventListener("close", () => clearInterval(timer));
  load();
  return element;
}

function line(named) {
  const owner = named ? h("a", { class: "mono" }) : null;
  const bar = h("progress", { max: 1 });
  return h("li", {}, h("p", {}, h("span", {}), " ", owner, " ", h("span", {})), bar, h("p", { class: "muted" }));
}

function showLine(element, backfill) {
  const [head, bar, below] = element.children;
  const [state, span] = head.querySelectorAll("span");
  const owner = head.querySelector("a");
  const share = backfill.blocks / backfill.total;
  text(state, backfill.state);
  attribute(state, "class", LOOKS[backfill.state] ?? "pill");
  if (owner) {
    text(owner, backfill.endpoint);
    attribute(owner, "href", `#/endpoints?q=${encodeURIComponent(backfill.endpoint)}`);
  }
  text(span, `chain ${backfill.chain_id}, blocks ${count(backfill.from_block)} to ${count(backfill.to_block)}`);
  bar.value = share;
  attribute(bar, "aria-label", `${percent(share)} of the blocks`);
  text(below, describe(backfill, share));
}

function describe(backfill, share) {
  return [
    `${count(backfill.blocks)} of ${count(backfill.total)} blocks, ${percent(share)}`,
    backfill.blocks_per_second === null ? "" : `${rate(backfill.blocks_per_second)} blocks/s`,
    backfill.remaining_ms === null ? "" : `${duration(backfill.remaining_ms)} left`,
    `${count(backfill.logs_received)} logs read`,
    `${count(backfill.delivered_new)} queued`,
    `${count(backfill.queued)} in the backfill queue`,
    reasonFor(backfill),
  ]
    .filter(Boolean)
    .join(" · ");
}

function reasonFor(backfill) {
  if (backfill.state !== "stopped") return backfill.reason;
  const silent = `no heartbeat for ${duration(backfill.since_heartbeat_ms)}`;
  const lock = backfill.lock_ms;
  return lock === null ? silent : `${silent}, locks its endpoint for ${duration(lock)} more`;
}
