// The window's keys, on the page: the session says which key does what.

import { press, session, set, step } from "./session.js";
import { element } from "./controls.js";

const NAMES = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down" };
const SIGNS = { left: "←", right: "→", up: "↑", down: "↓" };
const OFF = "livepuppet-keys-off";
const NOT_HERE = new Set(["esc", "close"]); // Esc closes what is open, as everywhere on the web

export function makeKeys() {
  const dialog = document.getElementById("keys");
  const on = document.getElementById("keys-on");
  const bindings = [...session.model.settings, ...session.model.actions].flatMap((control) => control.keys.map((binding) => ({ control, ...binding })));
  on.checked = localStorage.getItem(OFF) !== "yes";
  on.addEventListener("change", () => localStorage.setItem(OFF, on.checked ? "no" : "yes"));
  document.getElementById("open-keys").addEventListener("click", () => dialog.showModal());
  document.getElementById("keys-list").append(...bindings.filter(({ control }) => !control.window_only || control.name === "help").flatMap(({ control, keys, help }) => {
    const shown = keys.filter((key) => !NOT_HERE.has(key));
    const sign = shown.length > 3 ? [`${shown[0]} – ${shown.at(-1)}`] : shown.slice(0, 1).map((key) => SIGNS[key] ?? key);
    return [element("dt", {}, ...sign.map((one) => element("kbd", { textContent: one }))), element("dd", { textContent: help })];
  }));
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat && !NAMES[event.key] || document.querySelector("dialog[open]")) return;
    if (!on.checked || busy(event)) return;
    const key = NAMES[event.key] ?? event.key.toUpperCase();
    const binding = bindings.find(({ keys }) => keys.includes(key));
    if (!binding) return;
    event.preventDefault();
    if (binding.control.name === "help") dialog.showModal();
    else act(binding, key);
  });
}

/** Whether the element in focus wants this key itself. */
function busy(event) {
  const { target } = event;
  if (target.matches("input[type=text], select, textarea")) return true;
  return Boolean(NAMES[event.key]) && target.matches("input");
}

function act({ control, by }, key) {
  if (!control.kind) return press(control.name);
  if (by) return step(control.name, by);
  const option = session.state?.options[control.name]?.[Number(key) - 1];
  return option && set(control.name, option);
}
