// Words, numbers and times in the language of the reader.

import en from "./texts.en.js";
import zh from "./texts.zh.js";

const TEXTS = { en, zh };
const kept = localStorage.getItem("llmrec.language");
let current = TEXTS[kept] ? kept : navigator.language.startsWith("zh") ? "zh" : "en";

export const language = () => current;

/** Speak another language from now on. */
export function setLanguage(name) {
  current = name;
  localStorage.setItem("llmrec.language", name);
}

/** The text of that name, with {name} replaced by values. */
export function t(name, values = {}) {
  const text = TEXTS[current][name] ?? name;
  return text.replace(/\{(\w+)\}/g, (_, key) => String(values[key] ?? ""));
}

/** What a behaviour is called; one that nobody named keeps its own name. */
export const behaviorName = (name) => TEXTS[current].behaviors[name] ?? name;

/** Put the texts into elements with data-t, data-t-label and data-t-placeholder. */
export function translate(root) {
  document.documentElement.lang = current === "zh" ? "zh-CN" : "en";
  for (const node of root.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
  for (const [mark, attribute] of [["tLabel", "aria-label"], ["tPlaceholder", "placeholder"]]) {
    const selector = `[data-t-${attribute === "placeholder" ? attribute : "label"}]`;
    for (const node of root.querySelectorAll(selector)) node.setAttribute(attribute, t(node.dataset[mark]));
  }
}

export const number = (value, digits = 2) =>
  new Intl.NumberFormat(current, { maximumFractionDigits: digits }).format(value);

export const signed = (value) =>
  new Intl.NumberFormat(current, { minimumFractionDigits: 2, maximumFractionDigits: 2, signDisplay: "exceptZero" }).format(value);

export const percent = (value) =>
  new Intl.NumberFormat(current, { style: "percent", maximumSignificantDigits: 2 }).format(value);

/** A time of the interface: ISO-8601, or a step where the store's times are relative. */
export function moment(value) {
  if (typeof value === "number") return t("step", { n: number(value) });
  return new Date(value).toLocaleString(current, { dateStyle: "medium", timeStyle: "short" });
}
