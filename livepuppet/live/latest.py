"""The one-slot hand-over of frames between the capture thread and the main thread.

It holds one frame, the newest. A live writer replaces a frame that nobody took; a lossless writer waits until it is taken. A reader
waits for a frame it has not seen. Closing carries the writer's error across, so that it is raised where a person will see it.
There is no queue: the age of what the reader gets is bounded by one frame interval, however slow the reader is.
"""

from __future__ import annotations

import threading

from livepuppet.types import AnyFrame


class LatestFrame:
    """One writer, one reader.

    Attributes:
        lossless: `put` waits until the previous frame was taken.
    """

    def __init__(self, *, lossless: bool) -> None:
        self.lossless = lossless
        self._changed = threading.Condition()
        self._frame: AnyFrame | None = None
        self._closed = False
        self._error: BaseException | None = None

    def put(self, frame: AnyFrame) -> bool:
        """Hand over a frame. False: the channel is closed and the frame was not taken over."""
        with self._changed:
            while self.lossless and self._frame is not None and not self._closed:
                self._changed.wait()
            if self._closed:
                return False
            self._frame = frame
            self._changed.notify_all()
            return True

    def take(self, timeout: float) -> AnyFrame | None:
        """The newest frame not yet taken; None when none came within `timeout` seconds, or none will come any more (see `ended`).

        Raises the error that the writer closed the channel with, once its last frame was taken.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._frame is not None or self._closed, timeout)
            frame, self._frame = self._frame, None
            if frame is not None:
                self._changed.notify_all()
                return frame
            if self._error is not None:
                error, self._error = self._error, None
                raise error
            return None

    def close(self, error: BaseException | None = None) -> None:
        """No more frames; a frame that waits can still be taken. The first error given is the one that is carried."""
        with self._changed:
            self._closed = True
            self._error = self._error or error
            self._changed.notify_all()

    @property
    def ended(self) -> bool:
        """Closed, and everything taken."""
        with self._changed:
            return self._closed and self._frame is None and self._error is None
