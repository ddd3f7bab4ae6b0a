"""A sink as `open_sink` gives it: it opens itself, marks every frame, and signs the finished video."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from livepuppet.provenance.marks import Mark, sign_video
from livepuppet.provenance.signing import SigningIdentity
from livepuppet.types import Closing, Frame, Image, Screen, Sink, Size, Status

DEFAULT_FPS = 30.0
"""Of images without times of their own, and what a sink is told that opens itself."""


class MarkedSink(Closing):
    """Any sink, and around it what a frame needs between the puppet and the viewer. Used by one thread; also a context manager.

    Attributes:
        name, live: the sink's own.
        fps: how images are spaced that come without times.
        engine: what moved the frames, for the credentials; `run` sets it.
    """

    def __init__(
        self, sink: Sink, mark: Mark, *, video: Path | None = None, identity: SigningIdentity | None = None, fps: float = DEFAULT_FPS
    ) -> None:
        """Take a sink that is not open yet.

        Args:
            sink: what shows or writes the frames.
            mark: what each of them is given.
            video: the file that it writes, to be signed when it is closed; None where there is none.
            identity: who signs; None takes this user's own key.
            fps: see the class.
        """
        self.name, self.live, self.fps = sink.name, sink.live, fps
        self.engine = "unspecified"
        self._sink, self._mark, self._video, self._identity = sink, mark, video, identity
        self._opened = False
        self._closed = False
        self._images = 0

    def open(self, size: Size, fps: float, *, lossless: bool) -> None:
        """See `Sink.open`. Need not be called: the first frame opens the sink in its own size."""
        self.fps = fps
        self._sink.open(size, fps, lossless=lossless)
        self._opened = True

    def write(self, frame: Frame | Image) -> None:
        """Mark one finished frame and hand it on.

        Args:
            frame: a Frame, whose times (`media_time`, else `captured_at`) are kept, or an image, RGB uint8 (H, W, 3): images follow each
                other `1 / fps` seconds apart.

        Raises:
            SinkError: it cannot be opened or written.
        """
        if not isinstance(frame, Frame):
            frame = Frame(frame, self._images, time.monotonic(), self._images / self.fps)
            self._images += 1
        if not self._opened:
            height, width = frame.image.shape[:2]
            self.open((width, height), self.fps, lossless=not self.live)
        self._sink.write(replace(frame, image=self._mark.apply(frame.image)))

    def close(self) -> None:
        """Finish, and sign a video. May be called twice.

        Raises:
            SinkError: its message says what is wrong.
        """
        if self._closed:
            return
        self._closed = True
        try:
            self._sink.close()
        finally:
            if self._opened and self._video is not None:
                sign_video(self._video, self.engine, self._mark, self._identity)


class MarkedScreen(MarkedSink):
    """A marked sink that a person sits in front of."""

    def show(self, status: Status) -> None:
        """See `Screen.show`."""
        self._screen.show(status)

    def keys(self) -> list[str]:
        """See `Screen.keys`."""
        return self._screen.keys()

    @property
    def _screen(self) -> Screen:
        assert isinstance(self._sink, Screen)
        return self._sink
