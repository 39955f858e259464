// A session's steps, its cart and rules: items are found by their titles and put there.

import { get } from "./api.js";
import { chip } from "./chips.js";
import { tag } from "./colours.js";
import { at, el, fill, say } from "./dom.js";
import { step } from "./feedback.js";
import { hideProblem, showProblem } from "./problems.js";
import { changed, on, state } from "./state.js";
import { behaviorName, t } from "./texts.js";

const FOUND = 6;

/** Put an item into the cart, once. */
export function addToCart(item) {
  add(state.cart, item, "cart");
  say(t("in_cart", { title: item.title || item.item_id }));
}

function add(place, item, part) {
  if (!place.some((other) => other.item_id === item.item_id)) place.push(item);
  changed(part);
}

async function search() {
  const words = new URLSearchParams({ query: at("query").value, k: FOUND });
  try {
    const { items } = await get(`/v1/items?${words}`);
    hideProblem("search");
    fill(at("found"), items.length ? items.map(found) : el("li", { class: "empty" }, t("nothing_found")));
    say(t("n_found", { n: items.length }));
  } catch (problem) {
    showProblem("search", problem, search);
  }
}

function found(item) {
  const act = (name, does) => {
    const label = `${t(name)}: ${item.title || item.item_id}`;
    return el("button", { type: "button", onclick: does, "aria-label": label }, t(name));
  };
  const rule = (name) => state.offered.options.has(name) && act(name, () => add(state.rules[name], item, "rules"));
  return el("li", {}, el("span", { class: "name" }, item.title || item.item_id), tag(item.category),
    el("span", { class: "line" }, act("view", () => step(item, "view")),
      act("to_cart", () => addToCart(item)), rule("always"), rule("never")));
}

function show() {
  const chips = (items, part, note) => items.map((item, place) =>
    chip(item.title || item.item_id, () => {
      items.splice(place, 1);
      changed(part);
    }, note(item)));
  fill(at("steps"), chips(state.session, "session", (event) => behaviorName(event.behavior)),
    !state.session.length && el("li", { class: "hint" }, t("no_steps")));
  fill(at("cart"), chips(state.cart, "cart", () => ""),
    !state.cart.length && el("li", { class: "hint" }, t("no_cart")));
  const rules = Object.entries(state.rules).flatMap(([name, items]) => chips(items, "rules", () => t(name)));
  fill(at("rules"), rules);
  at("rules-title").hidden = !rules.length;
}

/** Forget what was tried out for somebody else. */
export function clearSession() {
  state.session.length = state.cart.length = 0;
  for (const items of Object.values(state.rules)) items.length = 0;
  changed("session");
}

/** Show the session whenever it changes. */
export function startSession() {
  at("search").addEventListener("submit", (event) => {
    event.preventDefault();
    search();
  });
  on("session cart rules language", show);
  on("language", () => fill(at("found")));
  show();
}
