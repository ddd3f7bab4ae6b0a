"""What tests of the loop share: a source that plays a list, sinks that keep what they get, and a session of both."""

from __future__ import annotations

import threading
import time

from blob_engine import BlobEngine, driver, portrait

from livepuppet.errors import SinkError
from livepuppet.live.puppet import Puppet
from livepuppet.live.session import Session
from livepuppet.types import Frame, Image, Size, Status, Tuning


class Script:
    """A source that delivers a given list of pictures; live sources never wait to be asked."""

    mirrored = False

    def __init__(
        self, images: list[Image], *, live: bool, fps: float = 200.0, error: Exception | None = None, silent_after: int | None = None
    ) -> None:
        self.name, self.live, self.fps = "script", live, fps
        self.trouble = ""
        self._images, self._error, self._silent_after = images, error, silent_after
        self._index = 0
        self._closed = threading.Event()
        self.closed = 0

    def read(self) -> Frame | None:
        if self._silent_after is not None and self._index >= self._silent_after:
            self.trouble = "the camera is unplugged"
            self._closed.wait()
        if self._closed.is_set():
            return None
        if self._index >= len(self._images):
            if self._error is not None:
                raise self._error
            return None
        if self.live and self._closed.wait(1 / self.fps):
            return None
        frame = Frame(self._images[self._index], self._index, time.monotonic(), None if self.live else self._index / 30)
        self._index += 1
        return frame

    def close(self) -> None:
        self.closed += 1
        self._closed.set()


class Shelf:
    """A sink that keeps what it gets, and may break."""

    def __init__(self, *, live: bool = False, breaks_at: int | None = None, delay: float = 0.0) -> None:
        self.name, self.live = "shelf", live
        self.frames: list[Frame] = []
        self.opened: tuple[Size, float, bool] | None = None
        self.closed = 0
        self._breaks_at, self._delay = breaks_at, delay

    def open(self, size: Size, fps: float, *, lossless: bool) -> None:
        self.opened = (size, fps, lossless)

    def write(self, frame: Frame) -> None:
        if self._breaks_at is not None and len(self.frames) >= self._breaks_at:
            raise SinkError("the disk is full: free some space")
        time.sleep(self._delay)
        self.frames.append(frame)

    def close(self) -> None:
        self.closed += 1


class Watcher(Shelf):
    """A sink with somebody in front of it."""

    def __init__(self, presses: dict[int, str] | None = None) -> None:
        super().__init__(live=True)
        self.name = "watcher"
        self.statuses: list[Status] = []
        self._presses = presses or {}

    def show(self, status: Status) -> None:
        self.statuses.append(status)

    def keys(self) -> list[str]:
        key = self._presses.pop(len(self.frames), None)
        return [key] if key else []


def session_for(source: Script, sinks: list[Shelf], **more: object) -> Session:
    engine = BlobEngine()
    puppet = Puppet(engine, engine.prepare(portrait()), Tuning(smoothing=0.0))
    return Session(source, puppet, sinks, **more)  # type: ignore[arg-type]


def clip(count: int) -> list[Image]:
    return [driver(0.3 + 0.4 * i / count) for i in range(count)]
