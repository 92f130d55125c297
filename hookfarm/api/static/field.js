// A field of a form: label, hint and error.

import { h, text, uniqueId } from "/static/dom.js";

export class Field {
  /** `name`: as in problem documents. `hint`, `rows`, `choices`: see below; others: attributes of the input. */
  constructor(name, label, { hint = "", rows = 0, choices = null, ...attributes } = {}) {
    this.name = name;
    const id = uniqueId("field");
    const common = { id, name, "aria-describedby": `${id}-hint ${id}-error`, ...attributes };
    if (choices)
      this.input = h("select", common, ...choices.map(([value, words]) => h("option", { value }, words)));
    else if (rows) this.input = h("textarea", { rows, spellcheck: "false", ...common });
    else this.input = h("input", { type: "text", spellcheck: "false", autocomplete: "off", ...common });
    this.problem = h("p", { class: "field-error", id: `${id}-error` });
    const caption = h("label", { for: id }, label);
    const help = h("p", { class: "hint", id: `${id}-hint` }, hint);
    this.element =
      attributes.type === "checkbox"
        ? h("div", { class: "field check" }, this.input, caption, help, this.problem)
        : h("div", { class: "field" }, caption, this.input, help, this.problem);
    this.input.addEventListener("input", () => this.error(""));
  }

  get value() {
    return this.input.type === "checkbox" ? this.input.checked : this.input.value;
  }

  set value(given) {
    this.input.value = given;
  }

  error(words) {
    text(this.problem, words);
    this.input.setAttribute("aria-invalid", words ? "true" : "false");
  }

  focus() {
    this.input.focus();
  }
}

/** Shows a problem at its field and focuses it; returns false if no field matches. */
export function blame(fields, problem) {
  const named = problem.field || "";
  const meant = fields
    .filter(
      (field) => named === field.name || named.startsWith(`${field.name}[`) || named.startsWith(`${field.name}.`),
    )
    .sort((one, other) => other.name.length - one.name.length)[0];
  if (!meant) return false;
  const place = named.slice(meant.name.length);
  meant.error(place ? `${place}: ${problem.message}` : problem.message);
  meant.element.closest("details")?.setAttribute("open", "");
  meant.focus();
  return true;
}
