// Theme: light, dark, or the system's.

const KEY = "hookfarm-theme";

/** Connects the switch, and stores the choice. */
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

/** Redraws canvases, which CSS does not restyle. */
function changed() {
  dispatchEvent(new Event("themechange"));
}
