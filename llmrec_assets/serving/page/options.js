// The controls of a list: only those that the service takes.

import { at, el, fill } from "./dom.js";
import { state, changed, on } from "./state.js";
import { chip } from "./chips.js";
import { t, translate, number } from "./texts.js";

const SHARE = { type: "range", min: 0, max: 1, step: 0.05, value: 0 };
const CONTROLS = {
  diversity: SHARE,
  calibration: SHARE,
  long_tail: SHARE,
  freshness: SHARE,
  k: { type: "number", min: 1, max: 50, value: 10 },
  max_per_category: { type: "number", min: 1, max: 50 },
  min_price: { type: "number", min: 0, step: "any" },
  max_price: { type: "number", min: 0, step: "any" },
};
const categories = new Set();

function control(name) {
  const attributes = { ...CONTROLS[name] };
  if (name === "diversity") attributes.value = state.model?.diversity ?? 0;
  const shown = attributes.type === "range" && el("span", { "aria-hidden": "true" }, number(attributes.value));
  const input = el("input", {
    id: name, ...attributes,
    oninput: () => {
      if (shown) shown.textContent = number(input.valueAsNumber);
      if (!input.checkValidity()) return;
      set(name, input.value === "" ? undefined : input.valueAsNumber);
    },
  });
  return el("div", { class: attributes.type === "range" ? "slider" : "amount" },
    el("label", { for: name, "data-t": name }), shown, input);
}

function set(name, value) {
  if (value === undefined) delete state.options[name];
  else state.options[name] = value;
  changed("options");
}

function seen() {
  const box = el("input", {
    id: "exclude_seen", type: "checkbox", checked: state.model?.exclude_seen ?? true,
    onchange: () => set("exclude_seen", box.checked),
  });
  return el("label", { class: "check" }, box, el("span", { "data-t": "exclude_seen" }));
}

function category() {
  const input = el("input", { id: "category", list: "categories", autocomplete: "off" });
  const add = () => {
    const name = input.value.trim();
    if (!name) return;
    set("category", [...new Set([...(state.options.category ?? []), name])]);
    input.value = "";
    showCategories();
  };
  const enter = (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    add();
  };
  input.addEventListener("keydown", enter);
  return el("div", {},
    el("label", { for: "category", "data-t": "category" }),
    el("div", { class: "line" }, input, el("button", { type: "button", onclick: add, "data-t": "add" })),
    el("datalist", { id: "categories" }), el("ul", { id: "chosen", class: "chips" }));
}

function showCategories() {
  if (!at("chosen")) return;
  const left = (name) => {
    const others = state.options.category.filter((other) => other !== name);
    set("category", others.length ? others : undefined);
    showCategories();
  };
  fill(at("chosen"), (state.options.category ?? []).map((name) => chip(name, () => left(name))));
  fill(at("categories"), [...categories].sort().map((name) => el("option", { value: name })));
}

/** Remember categories that items have, to be chosen from. */
export function learnCategories(items) {
  const before = categories.size;
  for (const item of items) if (item.category) categories.add(item.category);
  if (categories.size !== before) showCategories();
}

/** Show the controls that the service takes. */
export function startOptions() {
  const has = (name) => state.offered.options.has(name);
  fill(at("options"),
    Object.keys(CONTROLS).filter(has).map(control),
    has("exclude_seen") && seen(), has("category") && category());
  at("options").addEventListener("submit", (event) => event.preventDefault());
  translate(at("options"));
  showCategories();
  on("language", showCategories);
}
