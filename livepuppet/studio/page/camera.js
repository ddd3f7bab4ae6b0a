// This browser's camera: frames to livepuppet as JPEG, the newest only; each one is acknowledged before the next but one is sent.

import { socketAddress } from "./session.js";

const WIDTH = 960, HEIGHT = 720, QUALITY = 0.85, AHEAD = 2;
export const PAGE_CAMERA = "this browser's camera";

let running = null;

export const cameraRuns = () => running !== null;

/** Start sending. `tell` gets one line whenever it stops or cannot start; resolves once it has started or failed. */
export async function startCamera(tell) {
  if (running) return true;
  if (!navigator.mediaDevices?.getUserMedia) {
    tell("this browser gives no camera to a page at this address: open it as localhost or 127.0.0.1");
    return false;
  }
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: WIDTH }, height: { ideal: HEIGHT }, frameRate: { ideal: 30 } } });
  } catch (error) {
    tell(error.name === "NotAllowedError" ? "the camera was not allowed: the sign beside the address lets you allow it"
      : error.name === "NotFoundError" ? "this browser has no camera" : `the camera cannot be opened: ${error.message}`);
    return false;
  }
  running = new CameraSender(stream, (line) => { running = null; if (line) tell(line); });
  return true;
}

export function stopCamera() {
  running?.stop("");
}

class CameraSender {
  constructor(stream, ended) {
    this.stream = stream;
    this.ended = ended;
    this.owed = 0;
    this.busy = false;
    this.video = document.createElement("video");
    this.video.muted = true;
    this.video.playsInline = true;
    this.video.srcObject = stream;
    this.canvas = document.createElement("canvas");
    this.pen = this.canvas.getContext("2d", { alpha: false });
    this.socket = new WebSocket(socketAddress("/api/camera"));
    this.socket.addEventListener("message", (event) => this.hear(JSON.parse(event.data)));
    this.socket.addEventListener("close", (event) => this.stop(event.reason || "livepuppet takes this browser's camera no longer"));
    stream.getVideoTracks()[0].addEventListener("ended", () => this.stop("the camera was taken away"));
  }

  async hear(message) {
    if (message.seat) {
      await this.video.play();
      this.watch();
    } else {
      this.owed -= 1;
    }
  }

  watch() {
    if (!this.stream) return;
    const next = () => { this.send(); this.watch(); };
    if (this.video.requestVideoFrameCallback && !document.hidden) this.video.requestVideoFrameCallback(next);
    else setTimeout(next, 1000 / 30); // a hidden page draws no video frames, but goes on driving
  }

  send() {
    const { videoWidth: width, videoHeight: height } = this.video;
    if (this.busy || this.owed >= AHEAD || !width || this.socket.readyState !== WebSocket.OPEN) return;
    const scale = Math.min(1, WIDTH / Math.max(width, height));
    this.canvas.width = Math.round(width * scale);
    this.canvas.height = Math.round(height * scale);
    this.pen.drawImage(this.video, 0, 0, this.canvas.width, this.canvas.height);
    this.busy = true;
    this.canvas.toBlob((blob) => {
      this.busy = false;
      if (!blob || this.socket.readyState !== WebSocket.OPEN) return;
      this.socket.send(blob);
      this.owed += 1;
    }, "image/jpeg", QUALITY);
  }

  stop(line) {
    if (!this.stream) return;
    for (const track of this.stream.getTracks()) track.stop();
    this.stream = null;
    this.socket.close();
    this.ended(line);
  }
}
