// Elements from data. Text only ever becomes text: nothing here parses HTML.

const SVG = "http://www.w3.org/2000/svg";

const kept = (children) => children.flat(Infinity).filter((child) => child != null && child !== false);

function made(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...kept(children));
  return node;
}

/** An HTML element; `on…` attributes are listeners, strings among the children are text. */
export const el = (tag, attributes = {}, ...children) =>
  made(document.createElement(tag), attributes, children);

/** The same of SVG. */
export const svg = (tag, attributes = {}, ...children) =>
  made(document.createElementNS(SVG, tag), attributes, children);

/** The element of the page with this id. */
export const at = (id) => document.getElementById(id);

/** Exchange what is in a node; the focus stays at the same `data-focus`, else at the same place. */
export function fill(node, ...children) {
  const places = () => [...node.querySelectorAll("[data-focus]")];
  const place = places().indexOf(document.activeElement);
  const held = document.activeElement.dataset?.focus;
  node.replaceChildren(...kept(children));
  if (place < 0) return;
  const now = places();
  (now.find((other) => other.dataset.focus === held) ?? now[place] ?? now.at(-1))?.focus();
}

/** Tell those who do not see the page what happened. */
export function say(text) {
  at("status").textContent = text;
}
