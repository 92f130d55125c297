// The overview: flow, workers, plots, services and chains.

import { h } from "/static/dom.js";
import { duration, rate } from "/static/format.js";
import { Flow } from "/static/flow.js";
import { Plot } from "/static/plot.js";
import { Workers } from "/static/workers.js";
import { Backfills } from "/static/backfills.js";
import { Chains } from "/static/chains.js";
import { Census, Services } from "/static/services.js";

export function overview({ history, snapshot }) {
  const flow = new Flow();
  const workers = new Workers();
  const services = new Services();
  const chains = new Chains();
  const backfills = new Backfills();
  const census = new Census();
  const throughput = new Plot(
    "Throughput",
    [
      { name: "delivered", label: "delivered/s", colour: "accent", fill: true },
      { name: "failed", label: "failed/s", colour: "bad" },
    ],
    rate,
    1,
  );
  const latency = new Plot(
    "POST latency",
    [
      { name: "p99", label: "p99", colour: "warn" },
      { name: "p50", label: "p50", colour: "accent" },
    ],
    duration,
    1,
  );
  const plots = [throughput, latency];
  const redraw = () => plots.forEach((plot) => plot.draw());
  const view = {
    element: h(
      "div",
      { class: "overview" },
      h("h1", { class: "visually-hidden" }, "Overview"),
      flow.element,
      h("div", { class: "trio" }, workers.element, throughput.element, latency.element),
      h("div", { class: "pair" }, services.element, h("div", {}, chains.element, backfills.element, census.element)),
    ),
    update(now) {
      for (const part of [flow, workers, services, chains, backfills, census]) part.show(now, history);
      plots.forEach((plot) => plot.show(history.samples));
    },
    begin() {
      addEventListener("themechange", redraw);
      if (snapshot) view.update(snapshot);
    },
    close: () => removeEventListener("themechange", redraw),
  };
  return view;
}
