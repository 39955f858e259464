// Bars from zero, as a table: the drawing for those who see it, the numbers for all.

import { el, svg } from "./dom.js";
import { signed } from "./texts.js";

const WIDTH = 120;
const HEIGHT = 12;

function bar(value, least, most) {
  const scale = (WIDTH - 2) / (most - least || 1);
  const [zero, end] = [0, value].map((place) => 1 + (place - least) * scale);
  return svg("svg", { class: "bar", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true", preserveAspectRatio: "none" },
    svg("rect", { x: Math.min(zero, end), y: 1, width: Math.max(Math.abs(end - zero), 0.5), height: HEIGHT - 2, class: value < 0 ? "against" : "for" }),
    svg("line", { x1: zero, x2: zero, y1: 0, y2: HEIGHT, class: "zero" }));
}

/** A table of [label, value] with bars; `label` may be a node. */
export function bars(caption, rows) {
  const values = [0, ...rows.map(([, value]) => value)];
  const [least, most] = [Math.min(...values), Math.max(...values)];
  return el("table", { class: "bars" },
    el("caption", {}, caption),
    el("tbody", {}, rows.map(([label, value]) =>
      el("tr", {}, el("th", { scope: "row" }, label), el("td", { class: "drawn" }, bar(value, least, most)),
        el("td", { class: "value" }, signed(value))))));
}
