"""Opening a camera to see what it really does: how long it takes, how many pictures a second, what is on them."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

from livepuppet.devices import Device
from livepuppet.errors import LivepuppetError
from livepuppet.types import Frame, Image, Size

BLACK_LEVEL = 24
"""The brightest of a picture's values at which it still counts as black, 0 … 255."""


@dataclass(frozen=True)
class CameraProbe:
    """What came of it.

    Attributes:
        opened_s: until the first picture.
        fps: measured.
        problem: one line, '' if all is well.
    """

    device: Device
    opened_s: float = 0.0
    fps: float = 0.0
    size: Size = (0, 0)
    image: Image | None = None
    problem: str = ""

    @property
    def black(self) -> bool:
        return self.image is not None and int(self.image.max()) <= BLACK_LEVEL

    def facts(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "opened_s": round(self.opened_s, 2),
            "fps": round(self.fps, 1),
            "size": list(self.size),
            "black": self.black,
            "problem": self.problem,
        }


def probe_camera(device: Device, seconds: float = 1.0) -> CameraProbe:
    """Open the camera, watch it for so long, close it. Never raises for what the camera does wrong."""
    from livepuppet.sources.camera import CameraSource

    started = time.monotonic()
    try:
        source = CameraSource(device)
    except LivepuppetError as error:
        return CameraProbe(device, problem=str(error))
    opened_s = time.monotonic() - started
    end = threading.Timer(seconds, source.close)  # ends a `read` that waits for a camera gone silent, too
    end.start()
    frames: list[Frame] = []
    try:
        while (frame := source.read()) is not None:
            frames = [*frames[:1], frame]
        trouble = source.trouble
    finally:
        end.cancel()
        end.join()
        source.close()
    if not frames:
        return CameraProbe(device, opened_s, problem=trouble or f"camera '{device.label}' sent one picture and no more")
    first, last = frames[0], frames[-1]
    span = last.captured_at - first.captured_at
    fps = (last.index - first.index) / span if span > 0 else 0.0
    height, width = last.image.shape[:2]
    return CameraProbe(device, opened_s, fps, (width, height), last.image)
