// A colour for each category, in the order in which they are met.

import { el } from "./dom.js";
import { t } from "./texts.js";

const COLOURS = 10;
const places = new Map();

/** The class that colours a category; those beyond the tenth share the colour of none. */
export function colour(category) {
  if (!category) return "c-none";
  if (!places.has(category)) places.set(category, places.size);
  const place = places.get(category);
  return place < COLOURS ? `c-${place}` : "c-none";
}

/** A category by colour and name. */
export const tag = (category) =>
  el("span", { class: `tag ${colour(category)}` }, category || t("no_category"));
