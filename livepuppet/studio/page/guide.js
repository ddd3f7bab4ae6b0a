// The first visit: camera, face, hold still. Each step is done when the session says so.

import { on, session, set } from "./session.js";
import { element } from "./controls.js";
import { PAGE_CAMERA } from "./camera.js";

const SEEN = "livepuppet-guide-seen";
const DEMO = "demo";

export function makeGuide(startBrowserCamera) {
  const card = document.getElementById("guide");
  const steps = ["camera", "face", "still"].map((name) => document.getElementById(`step-${name}`));
  const text = document.getElementById("step-camera-text");
  const choice = document.getElementById("step-camera-choice");
  let chosen = false, drawn = "", ending = null;

  const close = () => { card.hidden = true; localStorage.setItem(SEEN, "yes"); };
  const open = () => { chosen = false; ending = null; card.hidden = false; if (session.state) show(session.state); };
  document.getElementById("close-guide").addEventListener("click", close);
  document.getElementById("open-guide").addEventListener("click", open);

  const take = async (name) => {
    chosen = name !== PAGE_CAMERA || (await startBrowserCamera());
    if (name !== PAGE_CAMERA) await set("camera", name);
    if (session.state) show(session.state);
  };

  const offer = (state) => {
    const cameras = state.options.camera;
    const key = cameras.join("\n") + state.settings.camera;
    if (key === drawn) return;
    drawn = key;
    const ordered = [...cameras.filter((name) => name !== DEMO), ...cameras.filter((name) => name === DEMO)];
    choice.replaceChildren(...ordered.map((name, i) => {
      const button = element("button", { type: "button", textContent: name === DEMO ? "just watch the demo" : name, className: i === 0 ? "main" : "" });
      button.addEventListener("click", () => take(name));
      return button;
    }));
  };

  const show = (state) => {
    if (card.hidden) return;
    const playing = state.settings.camera === DEMO;
    const camera = state.driven && !state.trouble && (chosen || !playing);
    text.textContent = state.trouble || (playing && !chosen ? "Which camera shall move the portrait?" : "Waiting for the camera …");
    offer(state);
    const done = [camera, camera && state.face, camera && state.referenced];
    const now = done.indexOf(false);
    steps.forEach((one, i) => {
      one.classList.toggle("done", done[i]);
      one.classList.toggle("now", i === now);
      one.setAttribute("aria-current", i === now ? "step" : "false");
    });
    document.getElementById("armed").value = state.armed;
    if (now === -1) ending ??= setTimeout(close, 1600);
    else if (ending) { clearTimeout(ending); ending = null; }
  };

  on("state", show);
  card.hidden = localStorage.getItem(SEEN) === "yes";
}
