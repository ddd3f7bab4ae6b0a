// The session as the server tells it: state and figures pushed over one WebSocket, commands sent over the same.

const listeners = new Map();
let socket = null;
let number = 0;
let waiting = new Map();
let retry = 500;
let over = false;

export const session = { state: null, model: null };

/** Call `listener` for every message of that kind: "state", "figures", "said", "trouble", "connected", "lost", "ended". */
export function on(kind, listener) {
  if (!listeners.has(kind)) listeners.set(kind, []);
  listeners.get(kind).push(listener);
}

function tell(kind, value) {
  for (const listener of listeners.get(kind) ?? []) listener(value);
}

export function socketAddress(path) {
  return `ws://${location.host}${path}`;
}

export async function connect() {
  session.model = await ask("GET", "/api/controls");
  open();
}

function open() {
  socket = new WebSocket(socketAddress("/api/events"));
  socket.addEventListener("message", (event) => hear(JSON.parse(event.data)));
  socket.addEventListener("close", lose);
  socket.addEventListener("open", () => { retry = 500; tell("connected"); });
}

function hear(message) {
  if (message.type === "state") {
    session.state = message.state;
    tell("state", message.state);
    if (message.state.ended) { over = true; tell("ended", message.state.ended); }
  } else if (message.type === "figures") {
    tell("figures", message.figures);
  } else if (message.type === "done" || message.type === "error") {
    waiting.get(message.id)?.(message);
    waiting.delete(message.id);
    if (message.type === "error") tell("trouble", message.error);
  }
}

function lose() {
  if (over) return;
  tell("lost");
  setTimeout(open, retry);
  retry = Math.min(retry * 2, 5000);
}

/** Ask the session for something: {set: {...}}, {step: {...}} or {press: "..."}; resolves to what it answered. */
export function command(wish) {
  if (socket?.readyState !== WebSocket.OPEN) return Promise.resolve(null);
  const id = ++number;
  socket.send(JSON.stringify({ id, ...wish }));
  return new Promise((done) => waiting.set(id, done));
}

export const set = (name, value) => command({ set: { [name]: value } });
export const step = (name, by) => command({ step: { [name]: by } });
export const press = (name) => command({ press: name });

/** HTTP, for what is no setting. Throws an Error whose message is the server's line. */
export async function ask(method, path, body, type = "application/json") {
  const answer = await fetch(path, { method, body, headers: body === undefined ? {} : { "Content-Type": type } });
  const content = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(content.error ?? `the session answers ${answer.status}`);
  return content;
}
