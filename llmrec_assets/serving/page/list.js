// The list: asked for when what it hangs on changes; of several answers the newest wins.

import { post } from "./api.js";
import { card } from "./card.js";
import { at, el, fill, say } from "./dom.js";
import { seeList } from "./feedback.js";
import { learnCategories } from "./options.js";
import { hideProblem, showProblem } from "./problems.js";
import { changed, on, state, whose } from "./state.js";
import { number, t } from "./texts.js";

const PAUSE_MS = 120; // while a slider moves
let timer;
let running = null;
let ranks = new Map(); // of the list before, by item

/** Everything that the list is asked with. */
function request() {
  const rules = Object.entries(state.rules)
    .filter(([name, items]) => items.length && state.offered.options.has(name))
    .map(([name, items]) => [name, items.map((item) => item.item_id)]);
  const wanted = { ...whose(), ...state.options, ...Object.fromEntries(rules) };
  if (state.played.length) wanted.never = [...new Set([...(wanted.never ?? []), ...state.played])].slice(-100);
  return wanted;
}

/** Ask for the list, soon; resolves when this answer, or a newer one, is shown. */
export function refreshList(pause = PAUSE_MS) {
  clearTimeout(timer);
  at("items").setAttribute("aria-busy", "true");
  timer = setTimeout(load, pause);
}

async function load() {
  running?.abort();
  const mine = (running = new AbortController());
  try {
    const list = await post("/v1/recommendations", request(), mine.signal);
    if (mine !== running) return;
    const before = state.list;
    ranks = new Map(before?.items.map((item) => [item.item_id, item.rank]));
    state.list = list;
    hideProblem("list");
    learnCategories(list.items);
    changed("list");
    tell(list);
    seeList(list);
  } catch (problem) {
    if (mine === running) showProblem("list", problem, () => refreshList(0));
  } finally {
    if (mine === running) at("items").setAttribute("aria-busy", "false");
  }
}

function tell(list) {
  const fresh = ranks.size ? list.items.filter((item) => !ranks.has(item.item_id)).length : 0;
  say(t(list.items.length ? "list_told" : "empty_list", { n: list.items.length, fresh }));
}

function show() {
  const list = state.list;
  if (!list) return;
  at("made").textContent = t(`made_${list.source}`, { ms: number(list.took_ms, 1), model: list.model_version, package: list.package });
  fill(at("items"), list.items.length
    ? list.items.map((item) => card(item, list, ranks))
    : el("li", { class: "empty" }, t("empty_list")));
}

/** Show lists, and ask for a new one whenever something changes that it hangs on. */
export function startList() {
  on("list language", show);
  on("options session cart rules", () => refreshList());
}
