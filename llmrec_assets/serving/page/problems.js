// What went wrong, in words, and how to go on.

import { at, el, fill } from "./dom.js";
import { t } from "./texts.js";

const open = new Map(); // by the part of the page

function show() {
  const box = at("problem");
  box.hidden = open.size === 0;
  const told = new Set([...open.values()].map(({ problem }) => words(problem)));
  fill(box, [...told].map((text) => el("p", {}, text)),
    el("button", { type: "button", onclick: again }, t("again")));
}

function again() {
  for (const one of [...open.values()]) one.again();
}

function words(problem) {
  if (problem.status === 0) return t("unreachable");
  if (problem.status === 503) return t("not_ready", { reason: problem.message });
  return t("refused", { status: problem.status ?? "", reason: problem.message });
}

/** Show that a part of the page failed; `again` is what is tried once more. */
export function showProblem(part, problem, again) {
  if (problem.name === "AbortError") return;
  if (problem.status === undefined) console.error(problem);
  open.set(part, { problem, again });
  show();
}

/** That part works again. */
export function hideProblem(part) {
  if (open.delete(part)) show();
}
