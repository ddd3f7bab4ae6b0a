// This browser's camera. It begins with JPEGs, the newest only, each one acknowledged before the next but one is sent; as soon as a WebRTC call
// stands, that takes over, because browsers slow down everything else in a tab that nobody looks at. Where there is no call, JPEGs go on.

import { socketAddress } from "./session.js";

const WIDTH = 960, HEIGHT = 720, QUALITY = 0.85, AHEAD = 2;
const GATHERING_MS = 1000, BITS = 6_000_000;
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
    this.called = false; // frames come by the call
    this.peer = null;
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
      if (message.call && window.RTCPeerConnection) this.offerCall();
    } else if (message.more) {
      this.owed -= 1;
    } else if (message.answer) {
      await this.peer.setRemoteDescription({ type: "answer", sdp: message.answer });
    } else if (message.call) {
      this.called = true;
    }
  }

  async offerCall() {
    this.peer = new RTCPeerConnection({ iceServers: [] });
    this.peer.addEventListener("connectionstatechange", () => {
      if (["failed", "disconnected", "closed"].includes(this.peer.connectionState)) this.called = false;
    });
    const sender = this.peer.addTrack(this.stream.getVideoTracks()[0], this.stream);
    await this.peer.setLocalDescription(await this.peer.createOffer());
    const parameters = sender.getParameters();
    for (const encoding of parameters.encodings ?? []) encoding.maxBitrate = BITS;
    await sender.setParameters({ ...parameters, degradationPreference: "maintain-framerate" }).catch(() => sender.setParameters(parameters));
    await new Promise((done) => {
      this.peer.addEventListener("icegatheringstatechange", () => this.peer.iceGatheringState === "complete" && done());
      setTimeout(done, GATHERING_MS);
    });
    if (this.stream) this.socket.send(JSON.stringify({ offer: this.peer.localDescription.sdp }));
  }

  watch() {
    if (!this.stream) return;
    const next = () => { this.send(); this.watch(); };
    if (this.video.requestVideoFrameCallback && !document.hidden) this.video.requestVideoFrameCallback(next);
    else setTimeout(next, 1000 / 30); // a hidden page draws no video frames, but goes on driving
  }

  send() {
    const { videoWidth: width, videoHeight: height } = this.video;
    if (this.called || this.busy || this.owed >= AHEAD || !width || this.socket.readyState !== WebSocket.OPEN) return;
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
    this.peer?.close();
    this.socket.close();
    this.ended(line);
  }
}
