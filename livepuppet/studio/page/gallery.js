// The portraits: choose one, drop a photo to add it, remove one that was added.

import { ask, on, set } from "./session.js";
import { element } from "./controls.js";

const MOST_BYTES = 32 << 20;
let place, tell, names = "", adding = 0;

export function makeGallery(gallery, say) {
  [place, tell] = [gallery, say];
  on("state", show);
  let depth = 0;
  const files = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  addEventListener("dragenter", (event) => { if (files(event)) { depth += 1; document.body.classList.add("dragging"); } });
  addEventListener("dragleave", (event) => { if (files(event) && --depth <= 0) leave(); });
  addEventListener("dragover", (event) => { if (files(event)) event.preventDefault(); });
  addEventListener("drop", (event) => { if (files(event)) { event.preventDefault(); leave(); addPhotos(event.dataTransfer.files); } });
  addEventListener("paste", (event) => { if (event.clipboardData?.files.length) addPhotos(event.clipboardData.files); });
  const leave = () => { depth = 0; document.body.classList.remove("dragging"); };
}

async function show(state) {
  const present = state.options.avatar.join("\n");
  if (present !== names) {
    names = present;
    const avatars = await ask("GET", "/api/avatars");
    const tiles = new Map([...place.querySelectorAll(".tile[data-name]")].map((tile) => [tile.dataset.name, tile]));
    place.replaceChildren(...avatars.map((avatar) => tiles.get(avatar.name) ?? makeTile(avatar)), addTile());
  }
  for (const input of place.querySelectorAll("input[type=radio]")) input.checked = input.value === state.settings.avatar;
}

function makeTile({ name, own }) {
  const input = element("input", { type: "radio", name: "avatar", value: name });
  input.addEventListener("change", () => set("avatar", name));
  const image = element("img", { alt: "", src: `/api/avatars/${encodeURIComponent(name)}/thumbnail`, loading: "lazy" });
  const tile = element("label", { className: "tile", title: name }, input, image, element("span", { className: "caption", textContent: name.replaceAll("_", " ") }));
  tile.dataset.name = name;
  if (own) {
    const remove = element("button", { className: "remove", type: "button", title: `Remove ${name}` }, icon("bin"), element("span", { className: "hidden", textContent: `Remove ${name}` }));
    remove.addEventListener("click", (event) => { event.preventDefault(); removePhoto(name); });
    tile.append(remove);
  }
  return tile;
}

function addTile() {
  const input = element("input", { type: "file", accept: "image/*", multiple: true });
  input.setAttribute("aria-label", "Add a photo");
  input.addEventListener("change", () => { addPhotos(input.files); input.value = ""; });
  const tile = element("label", { className: "tile add", title: "Choose a photo, drop one on the page, or paste it" }, input,
    element("span", { className: "face" }, icon("plus")), element("span", { className: "caption", textContent: "add a photo" }));
  tile.classList.toggle("busy", adding > 0);
  return tile;
}

async function addPhotos(files) {
  for (const file of files) {
    if (file.size > MOST_BYTES) { tell(`${file.name} is too large: at most 32 MB`); continue; }
    busy(+1);
    try {
      const { name, line } = await ask("POST", `/api/avatars?name=${encodeURIComponent(file.name)}`, file, "application/octet-stream");
      await set("avatar", name);
      if (line) tell(line, 12000);
    } catch (error) {
      tell(`${file.name}: ${error.message}`);
    } finally {
      busy(-1);
    }
  }
}

async function removePhoto(name) {
  const dialog = document.getElementById("sure");
  document.getElementById("sure-text").textContent = `Remove the photo “${name}” from this computer's collection?`;
  dialog.returnValue = "no";
  dialog.showModal();
  dialog.addEventListener("close", async () => {
    if (dialog.returnValue !== "yes") return;
    try { await ask("DELETE", `/api/avatars/${encodeURIComponent(name)}`); } catch (error) { tell(error.message); }
  }, { once: true });
}

function busy(by) {
  adding += by;
  place.querySelector(".tile.add")?.classList.toggle("busy", adding > 0);
}

export function icon(name) {
  const drawn = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#i-${name}`);
  drawn.setAttribute("aria-hidden", "true");
  drawn.append(use);
  return drawn;
}
