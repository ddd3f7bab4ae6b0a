// The picture alone: for a browser source of OBS, or a second screen.

import { showPicture } from "./picture.js";

showPicture(document.getElementById("puppet"), null);
