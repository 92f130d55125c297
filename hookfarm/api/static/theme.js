// Light, dark, or as the system is.

const KEY = "hookfarm-theme";

/** Makes the switch work, and keeps what was chosen. */
export function install(select) {
  select.value = localStorage.getItem(KEY) || "auto";
  apply(select.value);
  select.addEventListener("change", () => {
    localStorage.setItem(KEY, select.value);
    apply(select.value);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => changed());
}

function apply(choice) {
  if (choice === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = choice;
  changed();
}

/** What is drawn with colours rather than styled has to be drawn again. */
function changed() {
  dispatchEvent(new Event("themechange"));
}
