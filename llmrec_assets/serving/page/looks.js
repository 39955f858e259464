// Language and theme: what the system prefers, until somebody chooses.

import { at } from "./dom.js";
import { changed } from "./state.js";
import { language, setLanguage, t, translate } from "./texts.js";

const dark = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";

function showTheme() {
  at("theme").setAttribute("aria-pressed", String(isDark()));
  at("theme").textContent = t("dark");
}

function changeTheme() {
  const chosen = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = chosen;
  localStorage.setItem("llmrec.theme", chosen);
  showTheme();
}

function changeLanguage() {
  setLanguage(language() === "zh" ? "en" : "zh");
  translate(document);
  changed("language");
}

/** Show the page in its language and theme, and let both be changed. */
export function startLooks() {
  translate(document);
  showTheme();
  dark.addEventListener("change", showTheme);
  at("theme").addEventListener("click", changeTheme);
  at("language").addEventListener("click", changeLanguage);
}
