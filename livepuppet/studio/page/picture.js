// The moving picture: the newest frame, asked for one by one, so that a slow page sees fewer frames and never old ones.

import { socketAddress } from "./session.js";

const AHEAD = 2; // frames on their way at once: one is drawn while the next one travels

/** Draw the puppet, and the driver's own image beside it, until the page goes. `inset` may be null. */
export function showPicture(puppet, inset) {
  const pens = new Map([puppet, inset].filter(Boolean).map((canvas) => [canvas, canvas.getContext("2d", { alpha: canvas === puppet })]));
  let socket = null;
  let owed = 0;
  let retry = 500;

  const more = () => {
    while (!document.hidden && socket?.readyState === WebSocket.OPEN && owed < AHEAD) {
      socket.send("more");
      owed += 1;
    }
  };

  const open = () => {
    socket = new WebSocket(socketAddress("/api/picture"));
    socket.binaryType = "arraybuffer";
    socket.addEventListener("open", () => { owed = 0; retry = 500; more(); });
    socket.addEventListener("close", (event) => {
      if (event.code === 4000) return;
      setTimeout(open, retry);
      retry = Math.min(retry * 2, 5000);
    });
    socket.addEventListener("message", async (event) => {
      const length = new DataView(event.data).getUint32(0);
      await draw(puppet, event.data.slice(4, 4 + length));
      if (inset) {
        const rest = event.data.slice(4 + length);
        inset.hidden = rest.byteLength === 0;
        if (rest.byteLength) await draw(inset, rest);
      }
      owed -= 1;
      more();
    });
  };

  const draw = async (canvas, jpeg) => {
    const image = await createImageBitmap(new Blob([jpeg], { type: "image/jpeg" }));
    if (canvas.width !== image.width || canvas.height !== image.height) {
      canvas.width = image.width;
      canvas.height = image.height;
    }
    pens.get(canvas).drawImage(image, 0, 0);
    image.close();
  };

  document.addEventListener("visibilitychange", more);
  open();
}
