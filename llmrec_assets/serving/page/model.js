// What serves now, beside what would like to.

import { get } from "./api.js";
import { at, el, fill } from "./dom.js";
import { hideProblem, showProblem } from "./problems.js";
import { on, state, changed } from "./state.js";
import { moment, number, t } from "./texts.js";

/** Ask what serves. */
export async function loadModel() {
  try {
    state.model = await get("/v1/model");
    hideProblem("model");
    changed("model");
  } catch (problem) {
    showProblem("model", problem, loadModel);
  }
}

function fact(name, value) {
  return value != null && value !== "" && [el("dt", {}, t(name)), el("dd", {}, value)];
}

/** A model version, which may be told by its name alone or with its figures. */
function version(name, told) {
  const facts = typeof told === "string" ? { model_version: told } : told;
  const shown = facts && Object.entries(facts).map(([key, value]) =>
    fact(key, typeof value === "number" ? number(value, 4) : String(value ?? "")));
  return el("div", { class: "version" }, el("h3", {}, t(name)),
    shown ? el("dl", {}, shown) : el("p", { class: "hint" }, t(`no_${name}`)));
}

/** Only addresses of the web become links. */
function links(told) {
  const known = Object.entries(told ?? {}).filter(([, url]) => /^https?:\/\//.test(url ?? ""));
  return known.length > 0 && el("p", { class: "links" }, known.map(([name, url]) =>
    el("a", { href: url, rel: "noreferrer", target: "_blank" }, t(`link_${name}`))));
}

function show() {
  const told = state.model;
  if (!told) return;
  fill(at("model-facts"),
    el("div", { class: "versions" }, version("champion", told.champion), version("challenger", told.challenger)),
    el("dl", {},
      fact("model_version", told.model_version), fact("ranked_by", t(`by_${told.source}`)),
      fact("encoder", told.encoder), fact("package", told.package),
      fact("generated_at", moment(told.generated_at)),
      fact("items", number(told.items)), fact("users", number(told.users))),
    links(told.links));
}

/** Show the model, and ask anew when a list comes from another one. */
export function startModel() {
  on("model language", show);
  on("list", () => {
    if (state.model && state.list.package !== state.model.package) loadModel();
  });
}
