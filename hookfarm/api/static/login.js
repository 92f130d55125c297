// The form that asks for the token, once per tab.

import { call, token } from "/static/api.js";
import { Field } from "/static/field.js";
import { h } from "/static/dom.js";

/** Returns the form; calls `enter` once the API accepts the token. */
export function login(reason, enter) {
  const field = new Field("token", "API token", {
    type: "password",
    autocomplete: "current-password",
    required: true,
  });
  const button = h("button", { class: "primary", type: "submit" }, "Open the dashboard");
  const form = h(
    "form",
    { class: "login panel" },
    h("h1", {}, "hookfarm"),
    h(
      "p",
      { class: "muted" },
      "You'll find the token in the URL that ",
      h("code", {}, "hookfarm start"),
      " and ",
      h("code", {}, "hookfarm demo"),
      " print, in the file ",
      h("code", {}, "api-token"),
      " of the state directory, or in ",
      h("code", {}, "HOOKFARM_API_TOKEN"),
      ".",
    ),
    field.element,
    button,
  );
  field.error(reason);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const given = field.value.trim();
    if (!given) return field.error("Enter the token.");
    button.disabled = true;
    token.set(given);
    try {
      await call("GET", "/v1/stats");
      enter();
    } catch (problem) {
      // A wrong token shows this form again, with the reason.
      if (problem.status === 503) enter();
      else if (problem.status !== 401) field.error(problem.message);
    } finally {
      button.disabled = false;
    }
  });
  return { element: form, begin: () => field.focus() };
}
