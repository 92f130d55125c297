// Elements from values. Text is set as text, never as HTML.

/** An element: `h("a", {href: "…", onclick: f, class: "x"}, "text", element, null)`. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && typeof value !== "string") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** Sets a text if it differs, so that live updates touch only changed elements. */
export function text(element, value) {
  const shown = String(value);
  if (element.textContent !== shown) element.textContent = shown;
}

/** Sets an attribute if it differs; null removes it. */
export function attribute(element, name, value) {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

/** Keeps one child per value: `make` creates missing ones, `update` sets each to its value. */
export function keep(parent, values, make, update) {
  while (parent.children.length > values.length) parent.lastElementChild.remove();
  values.forEach((value, index) => {
    if (index >= parent.children.length) parent.append(make(value));
    update(parent.children[index], value);
  });
}

let names = 0;

/** Returns an id that is unique on the page. */
export function uniqueId(prefix) {
  names += 1;
  return `${prefix}-${names}`;
}
