"""A real Chromium without a window, driven by its DevTools protocol: what tests of pages share."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--remote-debugging-port=0",
    "--disable-background-networking", "--disable-component-update", "--disable-extensions", "--disable-sync", "--disable-default-apps",
    "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream", "--hide-scrollbars", "--mute-audio",
)  # fmt: skip
ANSWER_S = 60.0


class Page:
    """One tab."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._number = 0
        self.problems: list[str] = []
        """Errors and warnings that the page caused so far, refusals by its own policy among them."""
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(ANSWER_S))
            if message.get("id") == self._number:
                assert "error" not in message, message["error"]
                result: dict[str, Any] = message["result"]
                return result
            self._note(message)

    def open(self, address: str) -> None:
        self.call("Page.navigate", url=address)

    def script(self, code: str) -> Any:
        """Run JavaScript, and await what it promises."""
        answer = self.call("Runtime.evaluate", expression=code, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, condition: str, seconds: float = ANSWER_S) -> None:
        """Wait until a JavaScript expression is true."""
        end = time.monotonic() + seconds
        while not self.script(f"Boolean({condition})"):
            assert time.monotonic() < end, f"it never came: {condition}; {self.problems}"
            time.sleep(0.1)

    def press(self, key: str) -> None:
        """A key, as a keyboard sends it."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, text=key if len(key) == 1 and kind == "keyDown" else "")

    def size(self, width: int, height: int, *, phone: bool = False) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)

    def colours(self, scheme: str) -> None:
        """'light' or 'dark', as the system would ask for it; with motion reduced, so that nothing is seen half way between them."""
        wishes = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
        self.call("Emulation.setEmulatedMedia", features=[{"name": name, "value": value} for name, value in wishes.items()])

    def picture(self) -> bytes:
        """What it looks like: PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def accessible(self) -> list[tuple[str, str]]:
        """What a screen reader finds: role and name of everything that is not left out."""
        nodes = self.call("Accessibility.getFullAXTree")["nodes"]
        return [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node["ignored"]]

    def _note(self, message: dict[str, Any]) -> None:
        kind, content = message.get("method"), message.get("params", {})
        if kind == "Runtime.exceptionThrown":
            self.problems.append(str(content["exceptionDetails"]))
        elif kind == "Log.entryAdded" and content["entry"]["level"] in {"error", "warning"}:
            self.problems.append(str(content["entry"]["text"]))


@contextlib.contextmanager
def chromium(folder: Path, *flags: str) -> Iterator[Page]:
    """A browser with one empty tab and a camera that is not real; skips the test where there is no Chromium.

    Args:
        folder: for its profile.
        flags: more of them.
    """
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("no Chromium: pages are tested in a real browser")
    command = [program, *FLAGS, *flags, f"--user-data-dir={folder}", "about:blank"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert process.stderr is not None
    try:
        address = next((line.split(" on ")[1].strip() for line in process.stderr if "DevTools listening on" in line), "")
        assert address, "Chromium did not start"
        threading.Thread(target=process.stderr.read, daemon=True).start()
        tabs = json.loads(urllib.request.urlopen(f"http://{address.split('/')[2]}/json", timeout=ANSWER_S).read())
        tab = next(tab for tab in tabs if tab["type"] == "page")
        with connect(tab["webSocketDebuggerUrl"], max_size=None, compression=None, proxy=None) as socket:
            yield Page(socket)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stderr.close()
