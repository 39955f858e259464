// One item of a list, with what can be done about it.

import { colour, tag } from "./colours.js";
import { el } from "./dom.js";
import { press } from "./feedback.js";
import { addToCart } from "./session.js";
import { language, number, percent, t } from "./texts.js";
import { isOpen, toggleWhy } from "./why.js";
import { state } from "./state.js";

const PRESSES = ["like", "not_interested", "buy"];

function movement(item, ranks) {
  if (!ranks.size) return null;
  const before = ranks.get(item.item_id);
  if (before === undefined) return el("span", { class: "badge" }, t("new"));
  const steps = before - item.rank;
  if (!steps) return null;
  const words = t(steps > 0 ? "moved_up" : "moved_down", { n: Math.abs(steps) });
  return el("span", { class: steps > 0 ? "moved up" : "moved" },
    el("span", { "aria-hidden": "true" }, `${steps > 0 ? "▲" : "▼"}${Math.abs(steps)}`),
    el("span", { class: "unseen" }, words));
}

function facts(item) {
  const told = [
    item.brand,
    item.price != null && t("price", { price: number(item.price) }),
    t("probability", { p: percent(item.probability) }),
  ];
  return el("p", { class: "facts" }, tag(item.category),
    told.filter(Boolean).map((text) => el("span", {}, text)),
    item.source !== "model" && el("span", { class: "badge" }, t(`source_${item.source}`)));
}

function button(name, item, act, more = {}) {
  const title = item.title || item.item_id;
  return el("button", {
    type: "button", class: `press ${name}`, onclick: act, "data-focus": `${name} ${item.item_id}`,
    "aria-label": `${t(name)}: ${title}`, ...more,
  }, t(name));
}

/** The item's entry; `ranks` are those of the list before. */
export function card(item, list, ranks) {
  const title = item.title || item.item_id;
  const why = el("div", { class: "reasons", id: `why-${item.rank}`, hidden: true });
  const row = el("li", { class: `item ${colour(item.category)}`, "data-item": item.item_id },
    el("span", { class: "rank", "aria-hidden": "true" }, String(item.rank)),
    el("div", { class: "about" },
      el("h3", {}, title, " ", movement(item, ranks)), facts(item)),
    el("div", { class: "presses" },
      PRESSES.map((name) => button(name, item, () => press(item, name, list))),
      button("to_cart", item, () => addToCart(item)),
      state.offered.why && button("why", item, (event) => toggleWhy(item, why, event.currentTarget), {
        "aria-expanded": String(isOpen(item.item_id)), "aria-controls": why.id,
      })),
    why);
  if (isOpen(item.item_id)) toggleWhy(item, why, null);
  why.lang = language();
  return row;
}
