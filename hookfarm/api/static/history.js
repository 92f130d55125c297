// What the plots show: the last minutes, a sample for each picture, and rates made of totals that grow.

export const KEPT_MS = 5 * 60 * 1000;
const MEAN_MS = 5000;
const LEAST_MS = 2000; // Of less than that, one burst would be a rate.

/** Rates of one total, by the clock of whoever counts it. */
class Counter {
  constructor() {
    this.samples = [];
  }

  /** Takes the total at `at` (ms), unless it has it. One that fell is a farm that began anew; null = unknown. */
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

  /** Over the last seconds, so that a burst a block shows as its mean. */
  get mean() {
    const first = this.samples[0];
    const last = this.samples.at(-1);
    return first && last.at - first.at >= LEAST_MS ? (1000 * (last.total - first.total)) / (last.at - first.at) : null;
  }
}

export class History {
  constructor() {
    this.samples = [];
    this.counters = {};
  }

  /** Takes a picture; the samples before it that are too old go. */
  add(picture) {
    const {
      message_processor: processor,
      webhook_delivery: delivery,
      event_ingestor: ingestor,
    } = picture.services;
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

  /** A second, over the last seconds; null where that is not known. */
  mean(name) {
    return this.counters[name]?.mean ?? null;
  }

  /** Takes a total that a service told; returns its rate. */
  rate(name, service, total) {
    this.counters[name] ??= new Counter();
    this.counters[name].take(Date.parse(service.timestamp), total);
    return this.mean(name);
  }
}
