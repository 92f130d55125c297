// What is wrong, in a line each, above every view.

import { h, keep, text } from "/static/dom.js";
import { seconds } from "/static/format.js";

export const SILENT_SECONDS = 5;

export class Alerts {
  constructor(element) {
    this.element = element;
    this.connection = "";
    this.troubles = [];
  }

  /** What the services and chains of a picture say of themselves. */
  show(picture) {
    this.troubles = [...services(picture), ...chains(picture)];
    this.draw();
  }

  /** That the picture itself is old; "" = it is not. */
  lost(words) {
    this.connection = words;
    this.draw();
  }

  clear() {
    this.connection = "";
    this.troubles = [];
    this.draw();
  }

  draw() {
    const lines = this.connection ? [this.connection] : this.troubles;
    keep(
      this.element,
      lines,
      () => h("p", { class: "alert" }),
      (line, words) => text(line, words),
    );
  }
}

function services(picture) {
  return Object.entries(picture.services).flatMap(([name, said]) => {
    if (isSilent(said)) return [`${name}: nothing heard of it for more than ${SILENT_SECONDS} s`];
    if (said.ready || isAbsent(name, picture)) return [];
    return [`${name} is not ready${said.why ? `: ${said.why}` : ""}`];
  });
}

function chains(picture) {
  return picture.chains.filter((chain) => chain.reason).map((chain) => `chain ${chain.chain_id}: ${chain.reason}`);
}

export const isSilent = (said) => said.heard_seconds_ago !== null && said.heard_seconds_ago > SILENT_SECONDS;

/** A farm without a chain runs no ingestor, and lacks nothing. */
export const isAbsent = (name, picture) =>
  name === "event_ingestor" && picture.services[name].heard_seconds_ago === null && !picture.chains.length;

export function heard(said) {
  if (said.heard_seconds_ago === null) return "–";
  return said.heard_seconds_ago < 2 ? "just now" : `${seconds(said.heard_seconds_ago)} ago`;
}
