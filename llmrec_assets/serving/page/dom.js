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

/** Exchange what is in a node, and keep the focus where the same `data-focus` is there again. */
export function fill(node, ...children) {
  const held = node.contains(document.activeElement) && document.activeElement.dataset.focus;
  node.replaceChildren(...kept(children));
  if (held) node.querySelector(`[data-focus="${CSS.escape(held)}"]`)?.focus();
}

/** Tell those who do not see the page what happened. */
export function say(text) {
  at("status").textContent = text;
}
