"""Runs inside the emulated machine (see ../check): Chromium's getUserMedia shows the puppet from v4l2loopback."""

from __future__ import annotations

import http.server
import json
import subprocess
import threading
import time
from itertools import pairwise
from pathlib import Path
from queue import Queue
from typing import Any

import numpy as np

from livepuppet.sinks.virtual_camera import VirtualCamera
from livepuppet.types import Frame

PORT = 8080
COLOUR = (200, 120, 40)
SIZE = (640, 480)
VIVID = Path("/sys/bus/platform/drivers/vivid/unbind")
OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
    "--disable-component-update", "--disable-extensions", "--disable-sync", "--disable-default-apps", "--disable-breakpad",
    "--disable-features=OptimizationGuideOnDeviceModel,OptimizationHints,OnDeviceModelService,Translate,MediaRouter,Vulkan,WebGPUService",
    "--enable-features=NetworkServiceInProcess2",  # as a process of its own it crashed in a third of the starts under emulation
    "--disable-webgpu", "--mute-audio", "--no-zygote", "--no-first-run", "--use-fake-ui-for-media-stream", "--user-data-dir=/run/chromium",
)  # fmt: skip
PAGE = """<!doctype html><video id=view autoplay muted></video><script>
async function look() {
  const devices = (await navigator.mediaDevices.enumerateDevices()).filter(device => device.kind === "videoinput");
  const stream = await navigator.mediaDevices.getUserMedia({video: {deviceId: devices[0].deviceId, width: 640, height: 480}});
  const track = stream.getVideoTracks()[0];
  view.srcObject = stream;
  await view.play();
  const canvas = document.createElement("canvas"), pen = canvas.getContext("2d");
  const seen = [];
  const until = performance.now() + 5000;
  while (performance.now() < until) {
    canvas.width = view.videoWidth; canvas.height = view.videoHeight;
    pen.drawImage(view, 0, 0);
    let number = 0;
    for (let place = 0; place < 8; place++) if (pen.getImageData(16 * place + 8, 8, 1, 1).data[1] > 128) number |= 1 << place;
    seen.push(number);
    await new Promise(done => setTimeout(done, 100));
  }
  return {label: track.label, devices: devices.length, width: view.videoWidth, height: view.videoHeight, seen,
          middle: [...pen.getImageData(320, 240, 1, 1).data].slice(0, 3)};
}
look().catch(error => ({error: String(error)})).then(answer => fetch("/", {method: "POST", body: JSON.stringify(answer)}));
</script>"""


class Site(http.server.BaseHTTPRequestHandler):
    """Serves the page, and takes what the page saw."""

    answers: Queue[dict[str, Any]] = Queue()

    def do_GET(self) -> None:
        print(f"Chromium asks for {self.path}")
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(PAGE.encode())

    def do_POST(self) -> None:
        self.answers.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


def test_a_browser_shows_the_puppet() -> None:
    VIVID.write_text("vivid.0")  # the puppet is the only camera left that a browser lists: /dev/video11 lacks exclusive_caps=1
    sink = VirtualCamera()
    sink.open(SIZE, 10, lossless=False)
    over = threading.Event()

    def play() -> None:
        number = 0
        while not over.is_set():
            number = number % 200 + 1
            image = np.empty((SIZE[1], SIZE[0], 3), np.uint8)
            image[:] = COLOUR
            for place in range(8):
                image[:16, 16 * place : 16 * place + 16] = 255 if number >> place & 1 else 0
            sink.write(Frame(image, number, time.monotonic()))
            over.wait(0.1)

    player = threading.Thread(target=play)
    player.start()
    site = http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Site)
    threading.Thread(target=site.serve_forever, daemon=True).start()
    started = time.monotonic()
    command = ["chromium", *OPTIONS, f"http://127.0.0.1:{PORT}/"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as browser:
        try:
            answer = Site.answers.get(timeout=540)
        finally:
            browser.kill()
            over.set()
            player.join()
            sink.close()
            site.shutdown()
            site.server_close()
    print(f"\nChromium after {time.monotonic() - started:.0f} s: {answer}")
    assert "error" not in answer, answer
    assert answer["label"].startswith("livepuppet") and answer["devices"] == 1
    assert (answer["width"], answer["height"]) == SIZE
    assert max(abs(seen - meant) for seen, meant in zip(answer["middle"], COLOUR, strict=True)) <= 6
    steps = [(after - before) % 200 for before, after in pairwise(answer["seen"])]
    assert any(steps), "the picture did not move"
    assert all(step < 100 for step in steps), "a picture came before an older one"
