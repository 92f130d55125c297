// What the plots show: the last minutes, a sample for each picture, and rates made of totals that grow.

export const KEPT_MS = 5 * 60 * 1000;
const MEAN_MS = 5000;

/** Rates of one total, by the clock of whoever counts it. */
class Counter {
  constructor() {
    this.samples = [];
  }

  /** Takes the total at `at` (ms); returns its rate since the last one, null where there is none. */
  take(at, total) {
    if (total === null || total === undefined || Number.isNaN(at)) return null;
    const last = this.samples.at(-1);
    if (last && total < last.total) this.samples = [];
    else if (last && at <= last.at) return this.last ?? null;
    this.samples.push({ at, total });
    this.samples = this.samples.filter((sample) => sample.at >= at - MEAN_MS);
    this.last = last && this.samples.length > 1 ? (1000 * (total - last.total)) / (at - last.at) : null;
    return this.last;
  }

  /** Over the last seconds, so that a burst a block shows as its mean. */
  get mean() {
    const first = this.samples[0];
    const last = this.samples.at(-1);
    return first && last.at > first.at ? (1000 * (last.total - first.total)) / (last.at - first.at) : null;
  }
}

export class History {
  constructor() {
    this.samples = [];
    this.counters = {};
  }

  /** Takes a picture; the samples before it that are too old go. */
  add(picture) {
    const { message_processor: processor, webhook_delivery: delivery, event_ingestor: ingestor } = picture.services;
    const published = picture.chains.reduce((sum, chain) => sum + chain.events_published, 0);
    const at = Date.parse(picture.timestamp);
    this.rate("events", ingestor, picture.chains.length ? published : null);
    this.rate("jobs", processor, processor.jobs_enqueued);
    this.samples.push({
      at,
      delivered: this.rate("delivered", delivery, picture.delivery.delivered),
      failed: this.rate("failed", delivery, picture.delivery.failed_attempts),
      p50: picture.delivery.post_seconds.p50,
      p99: picture.delivery.post_seconds.p99,
    });
    this.samples = this.samples.filter((sample) => sample.at > at - KEPT_MS);
  }

  /** Nothing is known of the time until the next sample. */
  gap() {
    const last = this.samples.at(-1);
    if (last && last.delivered !== undefined) this.samples.push({ at: last.at + 1 });
  }

  mean(name) {
    return this.counters[name]?.mean ?? null;
  }

  rate(name, service, total) {
    this.counters[name] ??= new Counter();
    return this.counters[name].take(Date.parse(service.timestamp), total);
  }
}
