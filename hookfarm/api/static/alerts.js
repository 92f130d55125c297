// Problems of the farm, one line each, above every view.

import { h, keep, text } from "/static/dom.js";
import { duration } from "/static/format.js";

export const STALE_MS = 5000;

export class Alerts {
  constructor(element) {
    this.element = element;
    this.connection = "";
    this.problems = [];
  }

  /** Shows the problems of services and chains. */
  show(snapshot) {
    this.problems = [...services(snapshot), ...chains(snapshot)];
    this.draw();
  }

  /** Shows why the snapshot is old; "" = it is current. */
  lost(message) {
    this.connection = message;
    this.draw();
  }

  clear() {
    this.connection = "";
    this.problems = [];
    this.draw();
  }

  draw() {
    const lines = this.connection ? [this.connection] : this.problems;
    keep(
      this.element,
      lines,
      () => h("p", { class: "alert" }),
      text,
    );
  }
}

function services(snapshot) {
  return Object.entries(snapshot.services).flatMap(([name, service]) => {
    if (isStale(service)) return [`${name}: no status for more than ${STALE_MS / 1000} s`];
    if (service.ready || isAbsent(name, snapshot)) return [];
    return [`${name} is not ready${service.reason ? `: ${service.reason}` : ""}`];
  });
}

function chains(snapshot) {
  return snapshot.chains.filter((chain) => chain.reason).map((chain) => `chain ${chain.chain_id}: ${chain.reason}`);
}

export const isStale = (service) => service.status_age_ms !== null && service.status_age_ms > STALE_MS;

/** Whether a service is missing as planned: a farm without a chain has no ingestor. */
export const isAbsent = (name, snapshot) =>
  name === "event_ingestor" && snapshot.services[name].status_age_ms === null && !snapshot.chains.length;

export function statusAge(service) {
  if (service.status_age_ms === null) return "–";
  return service.status_age_ms < 2000 ? "just now" : `${duration(service.status_age_ms)} ago`;
}
