// Requests to the service that this page came from, and to nothing else.

import { at } from "./dom.js";

const KEY = "llmrec.key";

/** A refusal: `status` 0 where no answer came, and the reason that the service gave. */
export class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/** Ask the service; raises Problem. After a 401 a key is asked for, and the request comes again. */
export async function ask(method, path, body, signal) {
  const used = sessionStorage.getItem(KEY);
  const headers = { ...(used && { authorization: `Bearer ${used}` }) };
  if (body !== undefined) headers["content-type"] = "application/json";
  let response;
  try {
    response = await fetch(path, { method, headers, body: JSON.stringify(body), signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "");
  }
  if (response.status === 401) {
    await newKey(used);
    return ask(method, path, body, signal);
  }
  const told = await response.json().catch(() => ({}));
  if (!response.ok) throw new Problem(response.status, told.detail ?? "");
  return told;
}

export const get = (path, signal) => ask("GET", path, undefined, signal);
export const post = (path, body, signal) => ask("POST", path, body, signal);

/** A path of the interface with ids in it. */
export const path = (strings, ...ids) =>
  strings.reduce((whole, part, place) => whole + encodeURIComponent(ids[place - 1]) + part);

/** Resolves when there is another key than the one that was refused. */
function newKey(refused) {
  if (sessionStorage.getItem(KEY) !== refused) return Promise.resolve();
  const dialog = at("key");
  if (!dialog.open) {
    at("secret").value = "";
    dialog.showModal();
  }
  return new Promise((resolve) => {
    dialog.addEventListener(
      "close",
      () => {
        const given = at("secret").value.trim();
        if (given) sessionStorage.setItem(KEY, given);
        resolve();
      },
      { once: true },
    );
  });
}
