// The API as the page calls it: a token, problem documents, nothing else.

const KEY = "hookfarm-token";
const ADDRESS = /^#token=([^&]+)$/;

/** The token is kept for this tab alone; closing the tab signs out. */
export const token = {
  get: () => sessionStorage.getItem(KEY),
  set: (value) => sessionStorage.setItem(KEY, value),
  forget: () => sessionStorage.removeItem(KEY),
  /** Takes it from the address that `hookfarm start` printed, and out of the address bar at once; true if there. */
  takeFromAddress() {
    const found = ADDRESS.exec(location.hash);
    if (!found) return false;
    this.set(decodeURIComponent(found[1]));
    history.replaceState(null, "", location.pathname);
    return true;
  },
};

/** Why a request failed. `field` is the invalid field, as in the problem document. */
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

/** The response itself, for a body that is read as it comes. */
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
    throw new Problem(0, "No connection", "hookfarm does not answer");
  }
  if (response.status === 401) events.dispatchEvent(new Event("unauthorized"));
  return response;
}

/** `path?name=value…` with the values that are there. */
export function query(path, values) {
  const given = Object.entries(values).filter(
    ([, value]) => value !== null && value !== undefined && value !== "",
  );
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}

/** A key under which the same creation, sent twice, is done once. */
export function idempotencyKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))]
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("");
}
