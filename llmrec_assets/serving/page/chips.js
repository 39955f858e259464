// Things that were chosen, each with a button that takes it away again.

import { el } from "./dom.js";
import { t } from "./texts.js";

/** One chosen thing; `note` says what was done to it. */
export function chip(name, remove, note = "") {
  return el("li", { class: "chip" },
    note && el("em", {}, note), el("span", {}, name),
    el("button", {
      type: "button", class: "quiet", "aria-label": t("remove", { name }), "data-focus": `-${name}`,
      onclick: remove,
    }, "×"));
}
