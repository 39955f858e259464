// Why an item is listed: a sentence, the events that drove it, and what its parts are.

import { post } from "./api.js";
import { bars } from "./chart.js";
import { el, fill } from "./dom.js";
import { on, state, whose } from "./state.js";
import { behaviorName, language, moment, percent, t } from "./texts.js";

const MOST = 8;
const LEAST = 0.005; // smaller effects are written as 0
const open = new Set();

export const isOpen = (item) => open.has(item);

/** Open the reasons of an item in `node`, or close them where `pressed` is its button. */
export async function toggleWhy(item, node, pressed) {
  if (pressed && open.has(item.item_id)) {
    open.delete(item.item_id);
    node.hidden = true;
    pressed.setAttribute("aria-expanded", "false");
    return;
  }
  open.add(item.item_id);
  pressed?.setAttribute("aria-expanded", "true");
  node.hidden = false;
  fill(node, el("p", { class: "hint", role: "status" }, t("loading")));
  try {
    const told = await post("/v1/why", { ...whose(), item_id: item.item_id, language: language() });
    fill(node, reasons(told));
  } catch (problem) {
    fill(node, el("p", { class: "problem", role: "alert" }, t("no_reasons", { reason: problem.message })));
  }
}

function reasons(told) {
  const drivers = told.drivers
    .filter((driver) => Math.abs(driver.effect) >= LEAST)
    .sort((a, b) => Math.abs(b.effect) - Math.abs(a.effect))
    .slice(0, MOST)
    .map((driver) => [driverLabel(driver), driver.effect]);
  const parts = Object.entries(told.parts).map(([name, value]) => [t(`part_${name}`), value]);
  return [
    told.sentence && el("p", { class: "sentence" }, told.sentence),
    told.copy && el("p", { class: "copy" }, told.copy),
    el("div", { class: "charts" },
      drivers.length ? bars(t("drivers"), drivers) : el("p", { class: "hint" }, t("no_drivers")),
      parts.length > 0 && bars(t("parts"), parts)),
    told.nearest?.length > 0 && nearest(told.nearest),
  ];
}

function driverLabel(driver) {
  return [
    el("span", { class: "behavior" }, behaviorName(driver.behavior)), " ",
    el("span", { title: moment(driver.timestamp) }, driver.title || driver.item_id),
  ];
}

function nearest(items) {
  return el("p", { class: "facts" }, el("strong", {}, t("nearest")),
    items.map((item) => el("span", {}, `${item.title || item.item_id} (${percent(item.similarity)})`)));
}

/** Another user's reasons are closed. */
export function startWhy() {
  on("user", () => open.clear());
  on("list", () => {
    const listed = new Set(state.list.items.map((item) => item.item_id));
    for (const item of open) if (!listed.has(item)) open.delete(item);
  });
}
