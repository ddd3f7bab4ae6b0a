// What is sent where, on which device, recordings to save, and what the doctor found.

import { ask, on } from "./session.js";
import { element } from "./controls.js";
import { icon } from "./gallery.js";

export function makePanels() {
  on("state", (state) => { showPlaces(state); showDevice(state); showRecordings(state); });
  document.getElementById("doctor").addEventListener("toggle", askDoctor, { once: true });
}

const KINDS = {
  page: ["This page", "the puppet, and your camera's image for you alone"],
  window: ["Window", "the puppet, and your camera's image for you alone"],
  virtual: ["Virtual camera", "the puppet only: what calls see"],
};

function showPlaces(state) {
  const lines = state.outputs.map((name) => {
    const [title, text] = KINDS[name] ?? (state.recording === name ? [`Recording ${name}`, "the puppet only"] : /\.\w+$/.test(name) ? [name, "the puppet only"] : [name, KINDS.virtual[1]]);
    return line(title, text, name === "page" || name === "window" ? "you" : "");
  });
  const browser = state.settings.camera === "this browser's camera";
  const where = `${location.host}`;
  lines.push(line("Your camera's image", browser ? `goes from a browser to livepuppet at ${where} (${state.seat_way || "not now"}), and nowhere else` : "stays on the machine that livepuppet runs on; it is shown here and is in no output", "you"));
  document.getElementById("places").replaceChildren(...lines);
}

function line(title, text, kind) {
  return element("li", { className: kind }, title, element("small", { textContent: text }));
}

function showDevice({ about }) {
  document.getElementById("device").textContent = `${about.engine ?? ""} engine on ${about.device ?? "?"}, ${about.picture ?? ""}, driven by ${about.source ?? ""}`;
}

function showRecordings({ recordings }) {
  const list = document.getElementById("recordings");
  if (list.childElementCount === recordings.length) return;
  document.getElementById("t-recordings").hidden = recordings.length === 0;
  list.replaceChildren(...recordings.map((name) => element("li", {}, element("a", { href: `/api/recordings/${encodeURIComponent(name)}`, download: name }, icon("save"), name))));
}

async function askDoctor() {
  const list = document.getElementById("findings");
  const classes = { good: "good", note: "note-state", bad: "bad", broken: "broken" };
  try {
    const findings = await ask("GET", "/api/doctor");
    list.replaceChildren(...findings.map(({ section, state, text, fix }) => {
      const item = element("li", { className: classes[state] }, text, element("small", { textContent: section }));
      if (fix) item.lastChild.append(": ", element("code", { textContent: fix }));
      return item;
    }));
  } catch (error) {
    list.replaceChildren(element("li", { className: "bad", textContent: error.message }));
  }
}
