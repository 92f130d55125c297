// Numbers and moments for people; what is unknown is a dash.

export const UNKNOWN = "–";
const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat("en-US", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const compact = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });
const unknown = (value) => value === null || value === undefined || Number.isNaN(value);

export function count(value) {
  if (unknown(value)) return UNKNOWN;
  return Math.abs(value) < 1e9 ? whole.format(value) : compact.format(value);
}

/** Per second: two digits while they matter. */
export function rate(value) {
  if (unknown(value)) return UNKNOWN;
  return value < 100 ? tenths.format(value) : whole.format(value);
}

/** A length of time: `840 µs`, `1.2 ms`, `42 ms`, `3.1 s`, `5 min`, `2.5 h`. */
export function seconds(value) {
  if (unknown(value)) return UNKNOWN;
  if (value === 0) return "0 s";
  if (value >= 5400) return `${tenths.format(value / 3600)} h`;
  if (value >= 90) return `${whole.format(value / 60)} min`;
  for (const [factor, unit] of [
    [1e6, "µs"],
    [1e3, "ms"],
  ]) {
    const amount = value * factor;
    if (amount < 1000)
      return `${amount < 10 && unit === "ms" ? tenths.format(amount) : whole.format(amount)} ${unit}`;
  }
  return value < 10 ? `${tenths.format(value)} s` : `${whole.format(value)} s`;
}

/** Whole milliseconds as a log keeps them. */
export const milliseconds = (ms) => (unknown(ms) ? UNKNOWN : ms === 0 ? "<1 ms" : seconds(ms / 1000));

/** Time of day, with the date where it is not today's; from RFC 3339 or Unix milliseconds. */
export function moment(time) {
  if (unknown(time)) return UNKNOWN;
  const at = new Date(time);
  const clock = at.toLocaleTimeString("en-GB");
  if (at.toDateString() === new Date().toDateString()) return clock;
  return `${at.toLocaleDateString("en-CA")} ${clock}`;
}

/** For `title` and `datetime`. */
export const iso = (time) => (unknown(time) ? "" : new Date(time).toISOString());

export const percent = (share) => (unknown(share) ? UNKNOWN : `${tenths.format(100 * share)} %`);

export const plural = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;
