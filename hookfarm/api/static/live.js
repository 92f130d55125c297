// The stream of stats: read, reconnected after a failure, with its state.

import { open, Problem } from "/static/api.js";

const SILENT_MS = 5000;
const RETRY_MS = [500, 1000, 2000, 5000];
const HIDDEN_MS = 60000;

/** Events: `stats` with a snapshot as `detail`; `state` when `kind` becomes connecting, live, unavailable, lost, paused. */
export class Live extends EventTarget {
  constructor() {
    super();
    this.kind = "connecting";
    this.reason = "";
    this.receivedAt = null; // Arrival of the last snapshot, ms.
    this.running = false;
    this.tries = 0;
    this.abort = null;
    this.timers = {};
    document.addEventListener("visibilitychange", () => this.visibility());
  }

  start() {
    if (this.running) return;
    this.running = true;
    this.tries = 0;
    this.connect();
  }

  stop() {
    this.running = false;
    clearTimeout(this.timers.retry);
    clearTimeout(this.timers.silence);
    this.abort?.abort();
  }

  /** Disconnects while the page is hidden. */
  visibility() {
    clearTimeout(this.timers.hidden);
    if (document.hidden && this.running) {
      this.timers.hidden = setTimeout(() => {
        this.stop();
        this.turn("paused", "this page was hidden");
      }, HIDDEN_MS);
    } else if (!document.hidden && this.kind === "paused") this.start();
  }

  async connect() {
    const abort = new AbortController();
    this.abort = abort;
    try {
      await this.read(abort);
      this.lost("the stream ended");
    } catch (error) {
      if (!this.running) return;
      if (error instanceof Problem && error.status === 401) return this.stop();
      this.lost(error.name === "AbortError" ? "no data for 5 s" : error.message);
    }
    return this.again();
  }

  again() {
    if (!this.running) return;
    const wait = RETRY_MS[Math.min(this.tries, RETRY_MS.length - 1)];
    this.tries += 1;
    this.timers.retry = setTimeout(() => this.connect(), wait);
  }

  async read(abort) {
    this.awaitSign(abort);
    const response = await open("GET", "/v1/stats/stream", undefined, {}, abort.signal);
    if (!response.ok) throw new Problem(response.status, `the API answered ${response.status}`);
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let unread = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      this.awaitSign(abort);
      const parts = (unread + value).split("\n\n");
      unread = parts.pop();
      parts.forEach((part) => this.take(part));
    }
  }

  /** Aborts the connection unless data or a heartbeat arrives in time. */
  awaitSign(abort) {
    clearTimeout(this.timers.silence);
    this.timers.silence = setTimeout(() => abort.abort(), SILENT_MS);
  }

  take(part) {
    const fields = Object.fromEntries(part.split("\n").map((line) => line.split(/: (.*)/s).slice(0, 2)));
    if (!fields.data) return;
    const data = JSON.parse(fields.data);
    this.tries = 0;
    if (fields.event === "stats") {
      this.receivedAt = Date.now();
      this.turn("live", "");
      this.dispatchEvent(new CustomEvent("stats", { detail: data }));
    } else if (fields.event === "unavailable") this.turn("unavailable", data.reason);
  }

  lost(reason) {
    clearTimeout(this.timers.silence);
    if (this.running) this.turn("lost", reason);
  }

  turn(kind, reason) {
    if (kind === this.kind && reason === this.reason) return;
    this.kind = kind;
    this.reason = reason;
    this.dispatchEvent(new Event("state"));
  }
}
