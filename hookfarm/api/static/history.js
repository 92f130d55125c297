// Data of the plots: one sample per snapshot of the last minutes, and rates of growing totals.

export const KEPT_MS = 5 * 60 * 1000;
const MEAN_MS = 5000;
const MIN_MS = 2000; // Shorter: one burst would look like a rate.

/** Rate of one total, by the clock of its service. */
class Counter {
  constructor() {
    this.samples = [];
  }

  /** Adds the total at `at` (ms) once. A falling total means a restarted farm; null = unknown. */
  take(at, total) {
    if (total === null || total === undefined || Number.isNaN(at)) {
      this.samples = [];
      return;
    }
    const last = this.samples.at(-1);
    if (last && total < last.total) this.samples = [];
    else if (last && at <= last.at) return;
    this.samples.push({ at, total });
    this.samples = this.samples.filter((sample) => sample.at >= at - MEAN_MS);
  }

  /** The mean of the last seconds, so that one burst per block is smoothed. */
  get mean() {
    const first = this.samples[0];
    const last = this.samples.at(-1);
    return first && last.at - first.at >= MIN_MS ? (1000 * (last.total - first.total)) / (last.at - first.at) : null;
  }
}

export class History {
  constructor() {
    this.samples = [];
    this.counters = {};
  }

  /** Adds a snapshot and drops old samples. */
  add(snapshot) {
    const {
      message_processor: processor,
      webhook_delivery: delivery,
      event_ingestor: ingestor,
    } = snapshot.services;
    const published = snapshot.chains.reduce((sum, chain) => sum + chain.events_published, 0);
    const at = Date.parse(snapshot.timestamp);
    this.rate("events", ingestor, snapshot.chains.length ? published : null);
    this.rate("jobs", processor, processor.jobs_enqueued);
    this.samples.push({
      at,
      delivered: this.rate("delivered", delivery, snapshot.delivery.delivered),
      failed: this.rate("failed", delivery, snapshot.delivery.failed_attempts),
      p50: snapshot.delivery.post_ms.p50,
      p99: snapshot.delivery.post_ms.p99,
    });
    this.samples = this.samples.filter((sample) => sample.at > at - KEPT_MS);
  }

  /** Leaves a gap until the next sample. */
  gap() {
    const last = this.samples.at(-1);
    if (last && last.delivered !== undefined) this.samples.push({ at: last.at + 1 });
  }

  /** Returns the rate per second over the last seconds; null = unknown. */
  mean(name) {
    return this.counters[name]?.mean ?? null;
  }

  /** Adds a service's total; returns its rate. */
  rate(name, service, total) {
    this.counters[name] ??= new Counter();
    this.counters[name].take(Date.parse(service.timestamp), total);
    return this.mean(name);
  }
}
