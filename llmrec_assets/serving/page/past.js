// The history: what the pipeline published, what came since, and what this session tries out.

import { get, path } from "./api.js";
import { tag } from "./colours.js";
import { at, el, fill } from "./dom.js";
import { learnCategories } from "./options.js";
import { hideProblem, showProblem } from "./problems.js";
import { state, on, changed } from "./state.js";
import { behaviorName, moment, t } from "./texts.js";
import { timeline } from "./timeline.js";

const MOST = 200;
const FEW = 6;
let isWhole = false;

/** Ask for the history of the user; the newest answer wins. */
export async function loadPast() {
  const user = state.user;
  if (!user) {
    state.events = [];
  } else {
    try {
      const told = await get(`${path`/v1/users/${user}/history`}?limit=${MOST}`);
      if (user !== state.user) return;
      state.events = told.events;
      hideProblem("past");
    } catch (problem) {
      if (user === state.user) showProblem("past", problem, loadPast);
      return;
    }
  }
  learnCategories(state.events);
  changed("events");
}

/** All events, newest first. */
export const allEvents = () => [...state.session].reverse().concat(state.events);

function row(event) {
  const name = event.title || event.item_id;
  return el("li", {},
    el("span", { class: `behavior ${event.origin}` }, behaviorName(event.behavior)),
    el("span", { class: "name", title: event.item_id }, name),
    tag(event.category),
    el("time", typeof event.timestamp === "string" ? { datetime: event.timestamp } : {},
      moment(event.timestamp)),
    event.origin !== "published" && el("span", { class: "badge" }, t(`origin_${event.origin}`)));
}

function show() {
  const events = allEvents();
  at("past-count").textContent = events.length
    ? t(events.length >= MOST ? "newest_events" : "n_events", { n: events.length })
    : "";
  fill(at("timeline"), events.length
    ? timeline(events, at("timeline").clientWidth || 600)
    : el("p", { class: "empty" }, t(state.user ? "no_history" : "nobody_history")));
  fill(at("events"), events.slice(0, isWhole ? MOST : FEW).map(row));
  at("more").hidden = events.length <= FEW;
  at("more").textContent = t(isWhole ? "fewer" : "all_events", { n: events.length });
  at("more").setAttribute("aria-expanded", String(isWhole));
}

/** Show the history whenever it changes, and draw it anew where the room changes. */
export function startPast() {
  at("more").addEventListener("click", () => {
    isWhole = !isWhole;
    show();
  });
  let width = 0;
  new ResizeObserver(() => {
    if (Math.abs(at("timeline").clientWidth - width) < 2) return;
    width = at("timeline").clientWidth;
    show();
  }).observe(at("timeline"));
  on("events session language", show);
}
