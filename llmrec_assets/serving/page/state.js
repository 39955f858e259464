// What the page knows. Whoever changes it tells which part changed; whoever shows it listens.

export const state = {
  user: "", // an empty id is a session of nobody
  recording: true, // whether what is pressed is sent as the user's
  events: [], // the user's history as the service told it, newest first
  session: [], // events that are not recorded: {item_id, title, behavior, value?}
  cart: [], // {item_id, title}
  rules: { always: [], never: [] }, // {item_id, title}
  played: [], // item ids that the playlist has had
  options: {}, // of lists, by the names of the interface
  list: null, // the newest answer
  offered: { options: new Set(), why: false },
  model: null,
};

const bus = new EventTarget();

/** Call `listener` whenever one of the named parts changes. */
export function on(parts, listener) {
  for (const part of parts.split(" ")) bus.addEventListener(part, listener);
}

/** Tell that a part changed. */
export function changed(part) {
  bus.dispatchEvent(new Event(part));
}

/** Whether what is pressed becomes the user's history. */
export function isRecorded() {
  return state.user !== "" && state.recording;
}

/** The part of a request that says whose list is asked for. */
export function whose() {
  const session = state.session.map(({ item_id, behavior, value }) => ({ item_id, behavior, value }));
  const cart = state.cart.map((item) => item.item_id);
  return { ...(state.user && { user_id: state.user }), session, cart };
}
