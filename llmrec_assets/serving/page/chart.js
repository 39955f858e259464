// Bars to both sides of zero, as a table: the drawing for those who see it, the numbers for all.

import { el, svg } from "./dom.js";
import { signed } from "./texts.js";

const WIDTH = 120;
const HEIGHT = 12;

function bar(value, most) {
  const length = (Math.abs(value) / most) * (WIDTH / 2 - 1);
  const x = value < 0 ? WIDTH / 2 - length : WIDTH / 2;
  return svg("svg", { class: "bar", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true", preserveAspectRatio: "none" },
    svg("rect", { x, y: 1, width: Math.max(length, 0.5), height: HEIGHT - 2, class: value < 0 ? "against" : "for" }),
    svg("line", { x1: WIDTH / 2, x2: WIDTH / 2, y1: 0, y2: HEIGHT, class: "zero" }));
}

/** A table of [label, value] with bars; `label` may be a node. */
export function bars(caption, rows) {
  const most = Math.max(...rows.map(([, value]) => Math.abs(value)), 1e-9);
  return el("table", { class: "bars" },
    el("caption", {}, caption),
    el("tbody", {}, rows.map(([label, value]) =>
      el("tr", {}, el("th", { scope: "row" }, label), el("td", { class: "drawn" }, bar(value, most)),
        el("td", { class: "value" }, signed(value))))));
}
