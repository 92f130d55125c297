// A plot of the last minutes on a canvas, in the page's colours.

import { h, text } from "/static/dom.js";
import { clockTime } from "/static/format.js";
import { KEPT_MS } from "/static/history.js";

const LEFT = 54;
const BOTTOM = 18;
const TOP = 6;

/** `series`: list of `{name, label, colour, fill}`, `colour` a CSS variable; `format` returns a value as text. */
export class Plot {
  constructor(title, series, format, minTop) {
    this.series = series;
    this.format = format;
    this.minTop = minTop;
    this.samples = [];
    this.pointer = null;
    this.canvas = h("canvas", { role: "img", "aria-label": title });
    this.values = series.map(() => h("b", {}, "–"));
    this.when = h("span", { class: "muted" });
    const legend = series.map((one, index) =>
      h("span", { class: "key" }, h("i", { class: `swatch ${one.colour}` }), `${one.label} `, this.values[index]),
    );
    this.element = h(
      "section",
      { class: "panel plot" },
      h("div", { class: "panel-head" }, h("h2", {}, title), h("p", { class: "legend" }, this.when, ...legend)),
      h("div", { class: "canvas" }, this.canvas),
    );
    this.title = title;
    this.canvas.addEventListener("pointermove", (event) => this.point(event.offsetX));
    this.canvas.addEventListener("pointerleave", () => this.point(null));
    new ResizeObserver(() => this.draw()).observe(this.canvas.parentElement);
  }

  show(samples) {
    this.samples = samples;
    this.draw();
  }

  point(x) {
    this.pointer = x;
    this.draw();
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.canvas.parentElement;
    if (!width || !height) return;
    const scale = devicePixelRatio || 1;
    this.canvas.width = Math.round(width * scale);
    this.canvas.height = Math.round(height * scale);
    const pen = this.canvas.getContext("2d");
    pen.scale(scale, scale);
    this.area = { left: LEFT, right: width - 4, top: TOP, bottom: height - BOTTOM };
    this.end = this.samples.at(-1)?.at ?? Date.now();
    this.top = niceTop(
      Math.max(this.minTop, ...this.samples.flatMap((s) => this.series.map((one) => s[one.name] ?? 0))),
    );
    this.colours = getComputedStyle(this.canvas);
    this.grid(pen);
    this.series.forEach((one) => this.line(pen, one));
    this.readOut(pen);
  }

  colour(name) {
    return this.colours.getPropertyValue(`--${name}`).trim();
  }

  x(at) {
    return this.area.right - ((this.end - at) / KEPT_MS) * (this.area.right - this.area.left);
  }

  y(value) {
    return this.area.bottom - (value / this.top) * (this.area.bottom - this.area.top);
  }

  grid(pen) {
    pen.font = `11px ${this.colours.fontFamily}`;
    pen.lineWidth = 1;
    pen.strokeStyle = this.colour("line");
    pen.fillStyle = this.colour("muted");
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    for (const share of [0, 0.5, 1]) {
      const y = Math.round(this.y(this.top * share)) + 0.5;
      pen.beginPath();
      pen.moveTo(this.area.left, y);
      pen.lineTo(this.area.right, y);
      pen.stroke();
      pen.fillText(this.format(this.top * share), this.area.left - 8, Math.max(y, 8));
    }
    pen.textBaseline = "alphabetic";
    const minutes = KEPT_MS / 60000;
    for (let minute = 0; minute <= minutes; minute += this.area.right - this.area.left < 340 ? minutes : 1) {
      const label = minute ? `−${minute} min` : "now";
      pen.textAlign = minute ? (minute === minutes ? "left" : "center") : "right";
      pen.fillText(label, this.x(this.end - minute * 60000), this.area.bottom + 14);
    }
  }

  /** Draws one line, broken at gaps. */
  line(pen, one) {
    for (const run of runs(this.samples, one.name)) {
      pen.beginPath();
      run.forEach((sample, index) =>
        pen[index ? "lineTo" : "moveTo"](this.x(sample.at), this.y(sample[one.name])),
      );
      pen.strokeStyle = this.colour(one.colour);
      pen.lineWidth = 1.5;
      pen.lineJoin = "round";
      pen.stroke();
      if (!one.fill) continue;
      pen.lineTo(this.x(run.at(-1).at), this.area.bottom);
      pen.lineTo(this.x(run[0].at), this.area.bottom);
      pen.globalAlpha = 0.12;
      pen.fillStyle = this.colour(one.colour);
      pen.fill();
      pen.globalAlpha = 1;
    }
  }

  /** The values at the pointer, or the latest. */
  readOut(pen) {
    let shown = this.samples.at(-1);
    if (this.pointer !== null && this.samples.length) {
      const distance = (sample) => Math.abs(this.x(sample.at) - this.pointer);
      shown = this.samples.reduce((best, sample) => (distance(sample) < distance(best) ? sample : best));
      pen.strokeStyle = this.colour("muted");
      pen.beginPath();
      pen.moveTo(Math.round(this.x(shown.at)) + 0.5, this.area.top);
      pen.lineTo(Math.round(this.x(shown.at)) + 0.5, this.area.bottom);
      pen.stroke();
    }
    text(this.when, this.pointer !== null && shown ? clockTime(shown.at) : "");
    const values = this.series.map((one) => this.format(shown?.[one.name]));
    values.forEach((value, index) => text(this.values[index], value));
    this.canvas.setAttribute(
      "aria-label",
      `${this.title}, the last 5 minutes; now ${this.series.map((one, i) => `${one.label} ${values[i]}`).join(", ")}`,
    );
  }
}

/** Returns the next of 1, 2 and 5 times a power of ten. */
function niceTop(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((top) => top >= value * 0.999);
}

function runs(samples, name) {
  const found = [[]];
  for (const sample of samples) {
    if (sample[name] === null || sample[name] === undefined) found.push([]);
    else found.at(-1).push(sample);
  }
  return found.filter((run) => run.length);
}
