// Calls of the API, with the token; failures are problem documents.

const KEY = "hookfarm-token";
const ADDRESS = /^#token=([^&]+)$/;

/** The token, stored for this tab only; closing the tab signs out. */
export const token = {
  get: () => sessionStorage.getItem(KEY),
  set: (value) => sessionStorage.setItem(KEY, value),
  forget: () => sessionStorage.removeItem(KEY),
  /** Moves the token from the page's URL to this tab's storage; returns whether the URL has one. */
  takeFromAddress() {
    const found = ADDRESS.exec(location.hash);
    if (!found) return false;
    this.set(decodeURIComponent(found[1]));
    history.replaceState(null, "", location.pathname);
    return true;
  },
};

/** A failed request; `field` is the invalid field of the problem document. */
export class Problem extends Error {
  constructor(status, title, detail, field) {
    super(detail || title);
    this.status = status;
    this.field = field || null;
  }
}

export const events = new EventTarget();

/** Returns the response's JSON, or null if it has none. Throws a Problem on failure. */
export async function call(method, path, body = undefined, headers = {}) {
  const response = await open(method, path, body, headers);
  const type = response.headers.get("content-type") || "";
  const answer = type.includes("json") ? await response.json() : null;
  if (!response.ok) {
    throw new Problem(response.status, answer?.title || response.statusText, answer?.detail, answer?.field);
  }
  return answer;
}

/** Returns the response itself, for a streamed body. */
export async function open(method, path, body = undefined, headers = {}, signal = undefined) {
  const sent = { Authorization: `Bearer ${token.get() || ""}`, ...headers };
  if (body !== undefined) sent["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, {
      method,
      headers: sent,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal,
      cache: "no-store",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "No connection", "hookfarm is unreachable");
  }
  if (response.status === 401) events.dispatchEvent(new Event("unauthorized"));
  return response;
}

/** Returns `path?name=value…` without empty values. */
export function query(path, values) {
  const given = Object.entries(values).filter(
    ([, value]) => value !== null && value !== undefined && value !== "",
  );
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}

/** Returns a new Idempotency-Key. */
export function idempotencyKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))]
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("");
}
