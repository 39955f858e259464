// Events on a line of time: one lane a behaviour, one colour a category.

import { colour, tag } from "./colours.js";
import { el, svg } from "./dom.js";
import { behaviorName, moment, t } from "./texts.js";

const LANE = 22;
const MOST_LANES = 8;
const TICKS = 4;

const seconds = (value) => (typeof value === "number" ? value : Date.parse(value) / 1000);

/** Places of times (oldest first) from 0 to 1: a long pause takes little more room than a short. */
export function places(times) {
  const gaps = times.slice(1).map((time, place) => time - times[place]);
  const usual = [...gaps].filter((gap) => gap > 0).sort((a, b) => a - b)[Math.floor(gaps.length / 2)] ?? 1;
  let sum = 0;
  const sums = [0, ...gaps.map((gap) => (sum += Math.log1p(gap / (usual || 1))))];
  return sums.map((value) => (sum ? value / sum : 0.5));
}

function lanes(events) {
  const counts = new Map();
  for (const { behavior } of events) counts.set(behavior, (counts.get(behavior) ?? 0) + 1);
  const names = [...counts.keys()].sort((a, b) => counts.get(b) - counts.get(a));
  return names.slice(0, MOST_LANES);
}

function dot(event, x, y) {
  const words = [behaviorName(event.behavior), event.title || event.item_id, event.category, moment(event.timestamp)];
  return svg("circle", { cx: x, cy: y, r: event.origin === "published" ? 5 : 6.5, class: `${colour(event.category)} ${event.origin}` },
    svg("title", {}, words.filter(Boolean).join(" · ")));
}

function ticks(events, xs, height) {
  const texts = [];
  let free = -Infinity;
  for (let place = 0; place < TICKS; place++) {
    const goal = xs[0] + ((xs.at(-1) - xs[0]) * place) / (TICKS - 1);
    const nearest = xs.reduce((best, x, i) => (Math.abs(x - goal) < Math.abs(xs[best] - goal) ? i : best), 0);
    if (xs[nearest] < free) continue;
    free = xs[nearest] + 88;
    const stamp = events[nearest].timestamp;
    const text = typeof stamp === "number" ? moment(stamp) : stamp.slice(0, 10);
    const anchor = place === TICKS - 1 ? "end" : place ? "middle" : "start";
    texts.push(svg("text", { x: xs[nearest], y: height - 4, "text-anchor": anchor, class: "tick" }, text));
  }
  return texts;
}

/** The drawing with its legend; `newest` events come newest first, `width` is in pixels. */
export function timeline(newest, width) {
  const events = [...newest].reverse();
  const names = lanes(events);
  const labels = width < 500 ? 84 : 112;
  const height = names.length * LANE + 26;
  const room = width - labels - 20;
  const xs = places(events.map((event) => seconds(event.timestamp))).map((x) => labels + 8 + x * room);
  const y = (behavior) => LANE * ((names.indexOf(behavior) + names.length) % names.length + 0.5) + 2;
  const rows = names.map((name) => [
    svg("line", { x1: labels, x2: width, y1: y(name), y2: y(name), class: "lane" }),
    svg("text", { x: 0, y: y(name) + 4 }, behaviorName(name)),
  ]);
  const dots = events.map((event, place) => dot(event, xs[place], y(event.behavior)));
  const label = t("timeline_label", {
    n: events.length, from: moment(events[0].timestamp), to: moment(events.at(-1).timestamp),
  });
  const categories = [...new Set(events.map((event) => event.category || ""))];
  return [
    svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label },
      rows.flat(), dots, ticks(events, xs, height)),
    el("p", { class: "legend" }, categories.map(tag), el("span", { class: "hint" }, t("pauses"))),
  ];
}
