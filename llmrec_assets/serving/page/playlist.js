// The list as a playlist: what was played moves the next list, and its first item goes on.

import { tag } from "./colours.js";
import { at, el, fill, say } from "./dom.js";
import { played } from "./feedback.js";
import { changed, on, state } from "./state.js";
import { t } from "./texts.js";

const LENGTHS = [3, 15, 30]; // seconds that an item is played
const TICK_MS = 250;
const SHORT = 0.5; // who goes on before this share was played has skipped it
let player = null; // {item, list, seconds, length, isPaused, timer}

const bar = el("progress", { max: 1, value: 0 });

function start() {
  if (!state.list?.items.length) return;
  player = { item: null, list: null, seconds: 0, length: LENGTHS[0], isPaused: false };
  player.timer = setInterval(tick, TICK_MS);
  take();
  at("player").querySelector("button").focus();
}

function stop() {
  clearInterval(player?.timer);
  player = null;
  state.played = [];
  show();
  at("start").focus();
}

/** Play the first item of the newest list that was not played. */
function take() {
  const next = state.list.items.find((item) => !state.played.includes(item.item_id));
  Object.assign(player, { item: next ?? null, list: state.list, seconds: 0 });
  if (next) say(t("plays", { title: next.title || next.item_id }));
  show();
}

function tick() {
  if (!player.item || player.isPaused) return;
  player.seconds += TICK_MS / 1000;
  bar.value = player.seconds / player.length;
  if (player.seconds >= player.length) goOn();
}

/** The item is over: tell it, and wait for the next list. */
async function goOn() {
  const { item, list, seconds, length } = player;
  player.item = null;
  state.played.push(item.item_id);
  show();
  await played(item, seconds >= SHORT * length ? "play" : "skip", seconds, list);
}

function pause() {
  player.isPaused = !player.isPaused;
  show();
}

function show() {
  at("start").hidden = player !== null;
  at("player").hidden = player === null;
  if (!player) return;
  bar.value = player.seconds / player.length;
  bar.setAttribute("aria-label", t("played_share"));
  const button = (name, act, more = {}) =>
    el("button", { type: "button", "data-focus": name, onclick: act, ...more }, t(name));
  fill(at("player"),
    el("p", { class: "now" }, el("em", {}, t("now_playing")),
      el("strong", {}, player.item ? player.item.title || player.item.item_id : t("loading")),
      player.item && tag(player.item.category)),
    bar,
    el("div", { class: "line" },
      button(player.isPaused ? "go_on" : "pause", pause, { "data-focus": "pause" }),
      button("next", goOn, { disabled: player.item === null }),
      button("stop", stop), lengths()));
}

function lengths() {
  const choose = (event) => {
    player.length = Number(event.target.value);
  };
  return el("label", {}, `${t("item_seconds")} `,
    el("select", { onchange: choose, "data-focus": "length" },
      LENGTHS.map((n) => el("option", { value: n, selected: n === player.length }, t("seconds", { n })))));
}

/** Let the list be played. */
export function startPlaylist() {
  at("start").addEventListener("click", start);
  on("language", show);
  on("user", () => player && stop());
  on("list", () => player && !player.item && take());
}
