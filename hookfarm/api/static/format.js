// Numbers, durations and times as text; unknown values are a dash.

export const UNKNOWN = "–";
const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat("en-US", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const compact = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });
const unknown = (value) => value === null || value === undefined || Number.isNaN(value);

export function count(value) {
  if (unknown(value)) return UNKNOWN;
  return Math.abs(value) < 1e9 ? whole.format(value) : compact.format(value);
}

/** A rate per second, with two digits if small. */
export function rate(value) {
  if (unknown(value)) return UNKNOWN;
  return value < 100 ? tenths.format(value) : whole.format(value);
}

/** A duration in ms: `42 ms`, `3.1 s`, `5 min`, `2.5 h`. */
export function duration(ms) {
  if (unknown(ms)) return UNKNOWN;
  if (ms < 1000) return ms === 0 ? "0 s" : `${whole.format(ms)} ms`;
  const value = ms / 1000;
  if (value >= 5400) return `${tenths.format(value / 3600)} h`;
  if (value >= 90) return `${whole.format(value / 60)} min`;
  return value < 10 ? `${tenths.format(value)} s` : `${whole.format(value)} s`;
}

/** A measured duration in whole ms. */
export const latency = (ms) => (ms === 0 ? "<1 ms" : duration(ms));

/** Time of day, with the date unless it is today. `value` is an RFC 3339 text or ms. */
export function clockTime(value) {
  if (unknown(value)) return UNKNOWN;
  const at = new Date(value);
  const time = at.toLocaleTimeString("en-GB");
  if (at.toDateString() === new Date().toDateString()) return time;
  return `${at.toLocaleDateString("en-CA")} ${time}`;
}

/** RFC 3339 text for `title` and `datetime`. */
export const iso = (value) => (unknown(value) ? "" : new Date(value).toISOString());

export const percent = (share) => (unknown(share) ? UNKNOWN : `${tenths.format(100 * share)} %`);

export const plural = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;
