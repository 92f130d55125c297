// The page: which view the address names, whether it is signed in, and how fresh what it shows is.

import { events, token } from "/static/api.js";
import { Alerts } from "/static/alerts.js";
import { attribute, text } from "/static/dom.js";
import { count, moment } from "/static/format.js";
import { gate } from "/static/gate.js";
import { History } from "/static/history.js";
import { Live } from "/static/live.js";
import { overview } from "/static/overview.js";
import { endpoints } from "/static/endpoints.js";
import { deliveries } from "/static/deliveries.js";
import { deadLetters } from "/static/dead_letters.js";
import { install as installTheme } from "/static/theme.js";

const VIEWS = { "": overview, endpoints, deliveries, "dead-letters": deadLetters };
const WORDS = {
  connecting: "connecting",
  live: "live",
  trouble: "no Redis",
  lost: "no connection",
  paused: "paused",
};

const main = document.getElementById("main");
const link = document.getElementById("link");
const leave = document.getElementById("leave");
const deadCount = document.getElementById("dead-count");
const alerts = new Alerts(document.getElementById("alerts"));
const shared = { live: new Live(), history: new History(), picture: null };
let view = null;

function start() {
  installTheme(document.getElementById("theme"));
  token.takeFromAddress();
  shared.live.addEventListener("stats", ({ detail }) => take(detail));
  shared.live.addEventListener("state", () => showState());
  events.addEventListener("unauthorized", () => signOut("That token is not the right one."));
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

function signOut(why) {
  token.forget();
  shared.live.stop();
  document.body.classList.add("signed-out");
  leave.hidden = true;
  alerts.clear();
  show(gate(why, signIn));
}

/** `#/endpoints?circuit=open` -> the view `endpoints` with what is behind the question mark. */
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

function take(picture) {
  shared.picture = picture;
  shared.history.add(picture);
  text(deadCount, count(picture.queue.dead));
  deadCount.hidden = !picture.queue.dead;
  alerts.show(picture);
  view?.update?.(picture);
}

/** What is shown is of now, or it is said of when, and looks like it. */
function showState() {
  const { kind, why, heardAt } = shared.live;
  const fresh = kind === "live";
  attribute(document.body, "data-stale", fresh || kind === "connecting" ? null : "");
  link.className = `link-state ${kind}`;
  text(link, WORDS[kind]);
  alerts.lost(fresh || kind === "connecting" ? "" : lostWords(kind, why, heardAt));
  if (!fresh) shared.history.gap();
}

function lostWords(kind, why, heardAt) {
  const since = heardAt ? ` since ${moment(heardAt)}` : "";
  const old = heardAt ? " What is shown is from then." : "";
  if (kind === "trouble") return `No figures${since}: ${why}${old}`;
  if (kind === "paused") return `Paused${since}: ${why}.${old}`;
  return `No connection${since}: ${why}. Trying again.${old}`;
}

start();
