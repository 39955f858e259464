// What is pressed becomes the user's history, or a step of the session where nothing is recorded.

import { post } from "./api.js";
import { at, say } from "./dom.js";
import { hideProblem, showProblem } from "./problems.js";
import { refreshList } from "./list.js";
import { loadPast } from "./past.js";
import { changed, isRecorded, state } from "./state.js";
import { behaviorName, t } from "./texts.js";

const SEEN_MS = 1000; // a list that is gone sooner was not seen
const shown = new Set(); // ids of lists whose impressions were sent
let looking;

/** A new id: 128 random bits. */
function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

const session = `page-${newId()}`;

/** Now, or the step after the last one where the store's times are steps. */
function now() {
  if (!state.model?.relative) return new Date().toISOString();
  return Math.max(-1, ...state.events.map((event) => event.timestamp)) + 1;
}

/** Answer a slot of a list: recorded, or tried out. */
export async function press(item, response, list) {
  if (!isRecorded()) return step(item, response);
  const told = {
    feedback_id: newId(), user_id: state.user, item_id: item.item_id, timestamp: now(),
    response, list_id: list.list_id, rank: item.rank,
  };
  await send({ responses: [told] }, item, response);
}

/** Tell that an item was played or skipped, after `seconds`. */
export async function played(item, behavior, seconds, list) {
  if (!isRecorded()) return step(item, behavior, seconds);
  const told = {
    event_id: newId(), user_id: state.user, item_id: item.item_id, timestamp: now(),
    behavior, value: seconds, session_id: session, list_id: list.list_id,
  };
  await send({ events: [told] }, item, behavior);
}

async function send(feedback, item, behavior) {
  try {
    await post("/v1/feedback", { events: [], responses: [], ...feedback });
  } catch (problem) {
    // The same ids again: what had come through after all is not counted twice.
    showProblem("feedback", problem, () => send(feedback, item, behavior));
    return;
  }
  hideProblem("feedback");
  say(t("recorded", { behavior: behaviorName(behavior), title: item.title || item.item_id }));
  await loadPast();
  refreshList(0);
}

/** A step of the session: it moves the lists of this page and nothing else. */
export function step(item, behavior, value) {
  const { item_id, title, category } = item;
  state.session.push({ item_id, title, category, behavior, value, timestamp: now(), origin: "session" });
  say(t("tried", { behavior: behaviorName(behavior), title: title || item_id }));
  changed("session");
}

/** A list is shown: a second later that is told, once for each list. */
export function seeList(list) {
  const user = state.user;
  clearTimeout(looking);
  looking = setTimeout(() => tellSeen(list, user), SEEN_MS);
}

async function tellSeen(list, user) {
  if (user !== state.user || !isRecorded() || shown.has(list.list_id) || !list.items.length) return;
  shown.add(list.list_id);
  const responses = list.items.map((item) => ({
    feedback_id: newId(), user_id: user, item_id: item.item_id, timestamp: now(),
    response: "impression", list_id: list.list_id, rank: item.rank,
  }));
  try {
    await post("/v1/feedback", { events: [], responses });
  } catch (problem) {
    shown.delete(list.list_id);
    showProblem("impressions", problem, () => tellSeen(list, user));
    return;
  }
  hideProblem("impressions");
}

/** Let the reader choose whether presses are recorded. */
export function startFeedback() {
  at("recording").addEventListener("change", (event) => {
    state.recording = event.target.value === "yes";
  });
}
