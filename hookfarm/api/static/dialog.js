// Layers above a view: a drawer with details, a confirmation, short messages.

import { h, text, uniqueId } from "/static/dom.js";

/** Opens a drawer over the view. Returns `{body, dialog, title, close}`. */
export function drawer(title, className = "drawer") {
  const id = uniqueId("drawer");
  const heading = h("h2", { id }, title);
  const body = h("div", { class: "drawer-body" });
  const close = h("button", { class: "quiet", type: "button", "aria-label": "Close" }, "✕");
  const dialog = h("dialog", { class: className, "aria-labelledby": id }, h("header", {}, heading, close), body);
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return { body, dialog, title: (words) => text(heading, words), close: () => dialog.close() };
}

/** Asks for confirmation; returns whether `action` was chosen. */
export function confirm(question, detail, action) {
  return new Promise((resolve) => {
    const id = uniqueId("question");
    const form = h(
      "form",
      { method: "dialog" },
      h("h2", { id }, question),
      h("p", {}, detail),
      h(
        "div",
        { class: "actions" },
        h("button", { value: "no", class: "plain" }, "Cancel"),
        h("button", { value: "yes", class: "danger" }, action),
      ),
    );
    const dialog = h("dialog", { class: "question", "aria-labelledby": id }, form);
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** Shows a message for a few seconds. */
export function toast(words, failed = false) {
  const place = document.getElementById("toasts");
  const line = h("p", { class: failed ? "toast failed" : "toast" }, words);
  place.append(line);
  setTimeout(() => line.remove(), failed ? 10000 : 5000);
}

/** Runs a button's action, once at a time, and shows its failure. */
export function busy(button, work) {
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await work();
    } catch (problem) {
      toast(problem.message, true);
    } finally {
      button.disabled = false;
    }
  });
  return button;
}

/** Returns a button that copies `value`. */
export function copyButton(value) {
  const button = h("button", { class: "plain", type: "button" }, "Copy");
  button.addEventListener("click", async () => {
    text(button, (await copied(value, button)) ? "Copied" : "Select it and copy");
    setTimeout(() => text(button, "Copy"), 3000);
  });
  return button;
}

/** Without TLS, pages away from localhost have only the old clipboard API. */
async function copied(value, beside) {
  try {
    await navigator.clipboard.writeText(value);
    return true;
  } catch {
    const area = h("textarea", { class: "visually-hidden", value });
    beside.after(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}
