// Begins: asks what the service offers, then shows the user that the address names, or nobody.

import { get } from "./api.js";
import { at } from "./dom.js";
import { startFeedback } from "./feedback.js";
import { refreshList, startList } from "./list.js";
import { startLooks } from "./looks.js";
import { loadModel, startModel } from "./model.js";
import { learnCategories, startOptions } from "./options.js";
import { loadPast, startPast } from "./past.js";
import { startPlaylist } from "./playlist.js";
import { hideProblem, showProblem } from "./problems.js";
import { clearSession, startSession } from "./session.js";
import { changed, state } from "./state.js";
import { startWhy } from "./why.js";

const SAMPLE = 200; // items whose categories can be chosen from the start

/** Show somebody, or a session of nobody. The id stays in the fragment, which no request holds. */
function choose(user) {
  state.user = user;
  state.list = null;
  at("user").value = user;
  at("recording").hidden = user === "";
  history.replaceState(null, "", user ? `#user=${encodeURIComponent(user)}` : "#");
  clearSession();
  changed("user");
  loadPast();
  refreshList(0);
}

async function begin() {
  try {
    const schema = await get("/openapi.json");
    const options = schema.components.schemas.SessionRequest.properties;
    state.offered.options = new Set(Object.keys(options));
    state.offered.why = "/v1/why" in schema.paths;
    await loadModel();
    startOptions();
    learnCategories((await get(`/v1/items?k=${SAMPLE}`)).items);
    hideProblem("begin");
  } catch (problem) {
    showProblem("begin", problem, begin);
    return;
  }
  const named = /^#user=(.+)$/.exec(location.hash);
  choose(named ? decodeURIComponent(named[1]) : "");
}

at("find").addEventListener("submit", (event) => {
  event.preventDefault();
  choose(at("user").value.trim());
});
at("nobody").addEventListener("click", () => choose(""));
startLooks();
startFeedback();
startSession();
startPast();
startList();
startWhy();
startPlaylist();
startModel();
if (matchMedia("(max-width: 800px)").matches) at("settings").open = false;
begin();
