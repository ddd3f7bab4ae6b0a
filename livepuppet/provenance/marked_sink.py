"""A sink as `open_sink` gives it: it opens itself, marks every frame, and signs the finished video."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from livepuppet.errors import SinkError, UsageError
from livepuppet.provenance.marks import Mark, sign_video
from livepuppet.provenance.signing import SigningIdentity
from livepuppet.types import Closing, FileSink, Frame, Image, Screen, Sink, Size, Status
from livepuppet.vision.imgproc import checked_image

DEFAULT_FPS = 30.0
"""Of images without times of their own, and what a sink is told that opens itself."""
MIN_FPS, MAX_FPS = 1.0, 240.0
"""What a sink is told of frames that are further apart, or nearer; their own times are kept all the same."""


class MarkedSink(Closing):
    """Any sink, and around it what a frame needs between the puppet and the viewer. Used by one thread; also a context manager.

    Attributes:
        name, live: the sink's own.
        fps: how images are spaced that come without times.
        engine: what moved the frames, for the credentials; `run` sets it.
    """

    def __init__(self, sink: Sink, mark: Mark, *, identity: SigningIdentity | None = None, fps: float = DEFAULT_FPS) -> None:
        """Take a sink that is not open yet.

        Args:
            sink: what shows or writes the frames; the file of a `FileSink` is signed when it is whole.
            mark: what each of them is given.
            identity: who signs; None takes this user's own key.
            fps: see the class.
        """
        self.name, self.live, self.fps = sink.name, sink.live, fps
        self.engine = "unspecified"
        self._sink, self._mark, self._identity = sink, mark, identity
        if isinstance(sink, FileSink):
            sink.seal = self._sign
        self._size: Size | None = None
        self._first: Frame | None = None  # waits for the second, whose distance says how fast the video is
        self._closed = False
        self._images = 0

    def open(self, size: Size, fps: float, *, lossless: bool) -> None:
        """See `Sink.open`. Need not be called: the first frame opens the sink in its own size. One that is open stays as it is.

        Raises:
            SinkError: it cannot be opened, was closed, or is a video of another size.
        """
        if self._closed:
            raise SinkError(f"{self.name} was closed: open another sink")
        if self._first is not None:
            self._open_at(fps)
        if self._size is None:
            self.fps = fps
            self._sink.open(size, fps, lossless=lossless)
            self._size = size
        elif self._size != size and not self.live:
            raise SinkError(f"{self.name} is open for frames of {size_text(self._size)}, not of {size_text(size)}: open another sink")

    def write(self, frame: Frame | Image) -> None:
        """Mark one finished frame and hand it on. The caller may use its array again.

        Args:
            frame: a Frame, whose times (`media_time`, else `captured_at`) are kept, or an image, RGB uint8 (H, W, 3): images follow each
                other `1 / fps` seconds apart.

        Raises:
            UsageError: the image is not RGB uint8, or not of the size of a video's earlier ones.
            SinkError: it cannot be opened or written, or was closed.
        """
        if self._closed:
            raise SinkError(f"{self.name} was closed: open another sink")
        timed = isinstance(frame, Frame)
        size = image_size(checked_image(frame.image if isinstance(frame, Frame) else frame))
        expected = image_size(self._first.image) if self._first is not None else self._size
        if expected is not None and expected != size and not self.live:
            raise UsageError(f"image is {size_text(size)}, unlike the video's earlier ones ({size_text(expected)})", parameter="image")
        if not isinstance(frame, Frame):
            frame = Frame(frame, self._images, time.monotonic(), self._images / self.fps)
            self._images += 1
        frame = replace(frame, image=self._marked(frame.image))
        if self._first is not None:
            self._open_at(frame_rate(self._first, frame))
        elif self._size is None:
            if timed and not self.live:
                self._first = frame
                return
            self.open(size, self.fps, lossless=not self.live)
        self._sink.write(frame)

    def close(self) -> None:
        """Finish, and sign a video. May be called twice.

        Raises:
            SinkError: its message says what is wrong.
        """
        if self._closed:
            return
        try:
            if self._first is not None:
                self._open_at(self.fps)
        finally:
            self._closed = True
            self._sink.close()

    def _sign(self, video: Path) -> None:
        sign_video(video, self.engine, self._mark, self._identity)

    def _marked(self, image: Image) -> Image:
        """The marked image, which shares no memory with the caller's: it may wait for the encoder."""
        marked = self._mark.apply(np.ascontiguousarray(image))
        return marked.copy() if np.may_share_memory(marked, image) else marked

    def _open_at(self, fps: float) -> None:
        """Open the sink, which runs at that rate, with the frame that has waited for it."""
        first, self._first = self._first, None
        assert first is not None
        self.open(image_size(first.image), fps, lossless=True)
        self._sink.write(first)


def image_size(image: Image) -> Size:
    """Width and height."""
    return image.shape[1], image.shape[0]


def size_text(size: Size) -> str:
    """As people write it: 640x480."""
    return f"{size[0]}x{size[1]}"


def frame_rate(first: Frame, second: Frame) -> float:
    """Frames per second of two that follow each other, by the time that both have; DEFAULT_FPS where that does not pass between them."""
    if first.media_time is not None and second.media_time is not None:
        step = second.media_time - first.media_time
    else:
        step = second.captured_at - first.captured_at
    return min(max(1 / step, MIN_FPS), MAX_FPS) if step > 0 else DEFAULT_FPS


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
