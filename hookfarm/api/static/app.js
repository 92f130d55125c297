// The page: routes, sign-in and sign-out, and the age of the data.

import { events, token } from "/static/api.js";
import { Alerts } from "/static/alerts.js";
import { attribute, text } from "/static/dom.js";
import { count, clockTime } from "/static/format.js";
import { login } from "/static/login.js";
import { History } from "/static/history.js";
import { Live } from "/static/live.js";
import { overview } from "/static/overview.js";
import { endpoints } from "/static/endpoints.js";
import { deliveries } from "/static/deliveries.js";
import { deadLetters } from "/static/dead_letters.js";
import { install as installTheme } from "/static/theme.js";

const VIEWS = { "": overview, endpoints, deliveries, "dead-letters": deadLetters };
const LABELS = {
  connecting: "connecting",
  live: "live",
  unavailable: "Redis unavailable",
  lost: "no connection",
  paused: "paused",
};

const main = document.getElementById("main");
const link = document.getElementById("link");
const leave = document.getElementById("leave");
const deadCount = document.getElementById("dead-count");
const alerts = new Alerts(document.getElementById("alerts"));
const shared = { live: new Live(), history: new History(), snapshot: null };
let view = null;

function start() {
  installTheme(document.getElementById("theme"));
  token.takeFromAddress();
  shared.live.addEventListener("stats", ({ detail }) => take(detail));
  shared.live.addEventListener("state", () => showState());
  events.addEventListener("unauthorized", () => signOut("Invalid token."));
  leave.addEventListener("click", () => signOut(""));
  addEventListener("hashchange", () => {
    if (token.takeFromAddress()) signIn();
    else route();
  });
  if (token.get()) signIn();
  else signOut("");
}

function signIn() {
  document.body.classList.remove("signed-out");
  leave.hidden = false;
  shared.live.start();
  route();
}

function signOut(reason) {
  token.forget();
  shared.live.stop();
  document.body.classList.add("signed-out");
  leave.hidden = true;
  alerts.clear();
  show(login(reason, signIn));
}

/** Shows the view of the URL: `#/endpoints?circuit=open` is the view `endpoints` with its parameters. */
function route() {
  if (!token.get()) return;
  const [name, given] = location.hash.replace(/^#\/?/, "").split("?");
  const build = VIEWS[name] ?? overview;
  for (const tab of document.querySelectorAll("#tabs a")) {
    const named = tab.getAttribute("href").replace(/^#\/?/, "");
    attribute(tab, "aria-current", (VIEWS[name] ? name : "") === named ? "page" : null);
  }
  show(build(shared, Object.fromEntries(new URLSearchParams(given || ""))));
  scrollTo(0, 0);
}

function show(next) {
  view?.close?.();
  view = next;
  main.replaceChildren(next.element);
  next.begin?.();
}

function take(snapshot) {
  shared.snapshot = snapshot;
  shared.history.add(snapshot);
  text(deadCount, count(snapshot.queue.dead));
  deadCount.hidden = !snapshot.queue.dead;
  alerts.show(snapshot);
  view?.update?.(snapshot);
}

/** Shows since when the data is old; nothing while it is live. */
function showState() {
  const { kind, reason, receivedAt } = shared.live;
  const fresh = kind === "live";
  attribute(document.body, "data-stale", fresh || kind === "connecting" ? null : "");
  link.className = `link-state ${kind}`;
  text(link, LABELS[kind]);
  alerts.lost(fresh || kind === "connecting" ? "" : describeLoss(kind, reason, receivedAt));
  if (!fresh) shared.history.gap();
}

function describeLoss(kind, reason, receivedAt) {
  const since = receivedAt ? ` since ${clockTime(receivedAt)}` : "";
  const old = receivedAt ? " This page shows the data of that time." : "";
  if (kind === "unavailable") return `No data${since}: ${reason}${old}`;
  if (kind === "paused") return `Paused${since}: ${reason}.${old}`;
  return `No connection${since}: ${reason}. Reconnecting.${old}`;
}

start();
