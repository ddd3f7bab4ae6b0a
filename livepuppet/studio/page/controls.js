// Sliders, switches and choices, made from the session's own description of its settings.

import { session, set, on } from "./session.js";

const ELSEWHERE = new Set(["avatar", "freeze", "record"]); // the gallery and the bar have these
const FEW = 4, LONG = 14; // so many choices, each as short as that, lie side by side; others go into a list
const makers = { switch: makeSwitch, number: makeNumber, choice: makeChoice, text: makeText };
const shown = [];

export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** Fill every group of the page. `choose` is asked before a choice is set, and may do it in its own way. */
export function makeControls(choose) {
  for (const setting of session.model.settings) {
    const place = document.querySelector(`[data-group="${setting.group}"]`);
    if (!place || setting.window_only || ELSEWHERE.has(setting.name)) continue;
    const control = makers[setting.kind](setting, choose);
    control.node.dataset.setting = setting.name;
    place.append(control.node);
    shown.push({ name: setting.name, ...control });
  }
  on("state", show);
}

function show(state) {
  for (const control of shown) control.show(state.settings[control.name], state);
}

function makeSwitch(setting) {
  const input = element("input", { type: "checkbox" });
  input.setAttribute("role", "switch");
  input.addEventListener("change", () => set(setting.name, input.checked));
  const node = element("label", { className: "switch" }, element("span", { className: "name", textContent: setting.label }), input, help(setting));
  return { node, show: (value) => { input.checked = value; } };
}

function makeNumber(setting) {
  const name = `s-${setting.name}`;
  const input = element("input", { type: "range", id: name, min: setting.low, max: setting.high, step: setting.ratio ? 0.05 : setting.step });
  const output = element("output", {});
  output.htmlFor.add(name);
  let newest = null;
  const send = throttle(() => set(setting.name, newest));
  const write = (value) => {
    output.textContent = setting.percent ? `${Math.round(value * 100)} %` : Number(value).toFixed(setting.step < 0.1 || setting.step === 0.25 || setting.ratio ? 2 : 1);
    input.setAttribute("aria-valuetext", output.textContent);
    input.style.setProperty("--part", `${((value - setting.low) / (setting.high - setting.low)) * 100}%`);
  };
  input.addEventListener("input", () => { newest = input.valueAsNumber; write(newest); send(); });
  const label = element("label", { htmlFor: name, textContent: setting.label });
  const node = element("div", { className: "control" }, element("div", { className: "name" }, label, output), input, help(setting));
  return {
    node,
    show: (value, state) => {
      if (setting.name.startsWith("pan_")) input.disabled = state.settings.zoom <= 1;
      if (input.matches(":active")) return; // a hand is on it
      input.value = value;
      write(value);
    },
  };
}

function makeChoice(setting, choose) {
  const name = `s-${setting.name}`;
  const title = element("span", { id: name, textContent: setting.label });
  const head = element("div", { className: "name" }, title);
  const place = element("div", {});
  let options = [];
  const wish = (value) => choose(setting.name, value) || set(setting.name, value);
  const node = element("div", { className: "control" }, head, place, help(setting));
  const fill = () => {
    if (options.length < 2 || options.length > FEW || options.some((option) => option.length >= LONG) || options.join("").length > 36) {
      const select = element("select", {}, ...options.map((option) => new Option(option, option)));
      select.setAttribute("aria-labelledby", name);
      select.addEventListener("change", () => wish(select.value));
      place.className = "";
      place.replaceChildren(select);
    } else {
      place.className = "pick";
      place.setAttribute("role", "radiogroup");
      place.setAttribute("aria-labelledby", name);
      place.replaceChildren(...options.map((option) => {
        const input = element("input", { type: "radio", name, value: option });
        input.addEventListener("change", () => wish(option));
        return element("label", {}, input, option);
      }));
    }
  };
  return {
    node,
    show: (value, state) => {
      if (state.options[setting.name].join("\n") !== options.join("\n")) {
        options = state.options[setting.name];
        fill();
      }
      const select = place.querySelector("select");
      if (select) select.value = value;
      for (const input of place.querySelectorAll("input")) input.checked = input.value === value;
    },
  };
}

function makeText(setting) {
  const name = `s-${setting.name}`;
  const input = element("input", { type: "text", id: name, maxLength: setting.longest, autocomplete: "off", placeholder: "none" });
  input.addEventListener("change", () => set(setting.name, input.value));
  const label = element("label", { htmlFor: name, textContent: setting.label });
  const node = element("div", { className: "control" }, element("div", { className: "name" }, label), input, help(setting));
  return { node, show: (value) => { if (document.activeElement !== input) input.value = value; } };
}

function help(setting) {
  return element("span", { className: "help", textContent: setting.help });
}

/** At most one call in 50 ms; the last one is never lost. */
function throttle(call) {
  let waits = false, again = false;
  const turn = () => {
    if (waits) { again = true; return; }
    call();
    waits = true;
    setTimeout(() => { waits = false; if (again) { again = false; turn(); } }, 50);
  };
  return turn;
}
