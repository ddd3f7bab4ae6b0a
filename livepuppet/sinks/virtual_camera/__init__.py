"""The virtual camera: what Zoom, Teams, Meet, OBS and browsers show when livepuppet is chosen as the camera."""

from __future__ import annotations

import atexit
import logging
import threading

from livepuppet.errors import SinkError
from livepuppet.sinks.virtual_camera.backends import CameraBackend, open_backend
from livepuppet.sinks.virtual_camera.placeholder import fit_within, starting_placeholder
from livepuppet.types import Frame, Image, Size

log = logging.getLogger("livepuppet.virtual_camera")

REPEAT_S = 0.1
"""With nothing new the last picture goes out again this often, so that no reader times out and one that joins sees it at once."""


class VirtualCamera:
    """Hands the newest frame to a virtual camera from a thread of its own, so that a slow reader never slows the puppet.

    Every frame that arrives is sent once and at once; nothing is queued: a frame that comes before the last one was sent replaces it.
    Pictures of another size than the camera's are fitted into it with black margins.

    Args:
        device: path, number or name of a virtual camera, or a backend's name (obs, unitycapture); None takes the best there is.
    """

    name = "virtual camera"
    live = True

    def __init__(self, device: str | None = None) -> None:
        self._device = device
        self._outlet: CameraBackend | None = None
        self._thread: threading.Thread | None = None
        self._change = threading.Condition()
        self._waiting: Image | None = None
        self._failure: SinkError | None = None
        self._closed = False
        self._lossless = False
        self.sent = 0
        """Pictures handed to the device, repetitions included."""

    def open(self, size: Size, fps: float, *, lossless: bool) -> None:
        self._lossless = lossless
        self._outlet = open_backend(size, fps, self._device)
        atexit.register(self.close)  # an exception elsewhere must not leave the meeting with a dead device
        self.name = f"virtual camera '{self._outlet.name}'"
        log.info("%s is on: choose '%s' as the camera in your meeting", self.name, self._outlet.name)
        first = starting_placeholder(self._outlet.size)
        self._outlet.send(first)  # before anything else: v4l2loopback shows itself as a camera only after its first picture
        self.sent = 1
        repeat_s = max(REPEAT_S, 2.5 / max(fps, 1.0))
        self._thread = threading.Thread(target=self._pump, args=(self._outlet, first, repeat_s), name="virtual camera", daemon=True)
        self._thread.start()

    def write(self, frame: Frame) -> None:
        with self._change:
            if self._lossless:
                self._change.wait_for(lambda: self._waiting is None or self._failure is not None or self._closed)
            if self._failure is not None:
                raise self._failure
            if self._outlet is None or self._closed:
                raise SinkError("the virtual camera is not open")
            self._waiting = frame.image
            self._change.notify_all()

    def close(self) -> None:
        with self._change:
            self._closed = True
            self._change.notify_all()
        if self._thread is not None:
            self._thread.join()
        if self._outlet is not None:
            self._outlet.close()
            atexit.unregister(self.close)

    def _pump(self, outlet: CameraBackend, last: Image, repeat_s: float) -> None:
        """The thread: send what is waiting, or the last picture again when nothing came for a while."""
        try:
            while True:
                with self._change:
                    self._change.wait_for(lambda: self._waiting is not None or self._closed, repeat_s)
                    if self._closed and self._waiting is None:
                        return
                    fresh, self._waiting = self._waiting, None
                    self._change.notify_all()
                if fresh is not None:
                    last = fit_within(fresh, outlet.size)
                outlet.send(last)
                self.sent += 1
        except SinkError as error:
            with self._change:
                self._failure = error
                self._change.notify_all()
