// Puts the page together.

import { PAGE_CAMERA, cameraRuns, startCamera, stopCamera } from "./camera.js";
import { makeControls } from "./controls.js";
import { makeGallery } from "./gallery.js";
import { makeGuide } from "./guide.js";
import { makeKeys } from "./keys.js";
import { makePanels } from "./panels.js";
import { showPicture } from "./picture.js";
import { makePlot } from "./plot.js";
import { connect, on, press, session, set, step } from "./session.js";

const $ = (id) => document.getElementById(id);
const NOTE_MS = 5000;
let note = "", noteUntil = 0, recordingSince = 0;

function say(line, forMs = NOTE_MS) {
  [note, noteUntil] = [line, Date.now() + forMs];
  showMessage();
  setTimeout(showMessage, forMs + 50);
}

function showMessage() {
  const text = Date.now() < noteUntil ? note : session.state?.message ?? "";
  if ($("message").textContent !== text) $("message").textContent = text;
}

function curtain(text) {
  $("curtain").hidden = !text;
  $("curtain-text").textContent = text;
}

function showBar({ settings, recording }) {
  for (const name of ["freeze", "record", "mirror"]) $(`do-${name}`).setAttribute("aria-pressed", String(settings[name]));
  $("badge-frozen").hidden = !settings.freeze;
  $("badge-rec").hidden = !recording;
  if (recording && !recordingSince) recordingSince = Date.now();
  if (!recording) recordingSince = 0;
}

function showRecordingTime() {
  const seconds = recordingSince ? Math.floor((Date.now() - recordingSince) / 1000) : 0;
  $("rec-time").textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

function turnTheme() {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const present = document.documentElement.dataset.theme ?? (dark ? "dark" : "light");
  const other = present === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = other;
  localStorage.setItem("livepuppet-theme", other);
}

const startBrowserCamera = () => startCamera(say);

/** Choosing this browser's camera means asking the browser for it first. */
function choose(name, value) {
  if (name !== "camera") return false;
  if (value === PAGE_CAMERA) { startBrowserCamera(); return true; }
  stopCamera();
  return false;
}

function offerSeat(state) {
  if (state.settings.camera === PAGE_CAMERA && !cameraRuns() && state.seat_taken) note = "another browser's camera drives the puppet";
}

on("state", (state) => { showBar(state); showMessage(); offerSeat(state); });
on("trouble", (line) => say(line));
on("lost", () => curtain("The connection to livepuppet is lost. Trying again …"));
on("connected", () => curtain(""));
on("ended", (reason) => { stopCamera(); curtain(`The session has ended: ${reason}. Start it again with “livepuppet studio”.`); });

$("do-reference").addEventListener("click", () => press("reference"));
for (const name of ["freeze", "record", "mirror"]) $(`do-${name}`).addEventListener("click", () => step(name, 1));
$("do-full").addEventListener("click", () => (document.fullscreenElement ? document.exitFullscreen() : $("stage").requestFullscreen()));
$("theme").addEventListener("click", turnTheme);
$("quit").addEventListener("click", () => press("quit"));
setInterval(showRecordingTime, 500);

showPicture($("puppet"), $("inset"));
try {
  await connect();
  makeControls(choose);
  makeGallery($("gallery"), say);
  makePlot($("plot"));
  makeGuide(startBrowserCamera);
  makePanels();
  makeKeys();
} catch (error) {
  curtain(`livepuppet does not answer: ${error.message}`);
}
