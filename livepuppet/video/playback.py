"""A video played as a source: at its own pace or as fast as it is taken, once or over and over."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

from livepuppet.errors import SourceError, UsageError
from livepuppet.types import Closing, Frame
from livepuppet.video.reader import DecodedFrame, VideoReader

log = logging.getLogger(__name__)

RETRY_S = 1.0
"""Pause between attempts to reach a stream again."""

FALLEN_BEHIND_S = 0.1
"""A reader later than this makes a recorded video wait for it: it goes on from there and never rushes to catch up."""


class Playback(Closing):
    """Delivers a video's frames, as the protocol `Source` asks.

    Attributes:
        live: nobody waits for the reader (a network stream, or a video that stands in for a camera), so a late reader finds the next frames
            due at once, and frames that nobody took in time are dropped. A stream without an end is a camera: its frames have no
            `media_time`, and it is connected to again when it stops.

    Args:
        paced: at the times its timestamps say, or as fast as frames are taken.
        loop: start again at the end, for ever; `media_time` goes on growing.

    Raises:
        UsageError: where the path is not a video with pictures.
        SourceError: where an address does not answer.
    """

    mirrored = False

    def __init__(self, path: str | Path, *, name: str, paced: bool, loop: bool, live: bool = False) -> None:
        self._video = VideoReader(path)
        self._path = path
        self.name = name
        self.trouble = ""
        self.live = live or self._video.live
        self.fps = self._video.fps
        self._paced = paced and not self._video.live
        self._loop = loop and not self._video.live
        self._endless = self._video.live and self._video.duration is None
        self._index = 0
        self._round_s = 0.0
        self._last_s = 0.0
        self._started: float | None = None
        self._closed = threading.Event()
        self._reading = threading.Lock()

    @property
    def skipped(self) -> int:
        """Damaged packets left out so far."""
        return self._video.skipped

    def read(self) -> Frame | None:
        """The next frame; None at the end of a video that does not loop, or once closed.

        Raises:
            SourceError: its message says what is wrong.
        """
        with self._reading:
            if self._closed.is_set():
                return None
            image = self._video.read() if not self._endless else self._read_endless()
            if image is None and self._loop:
                self._round_s = self._last_s + 1 / self.fps
                self._video.seek(0)
                image = self._video.read()
            if image is None:
                if self._video.live and not self._endless:
                    raise SourceError(f"{self.name} has ended")
                return None
            self._last_s = media_time = self._round_s + self._video.seconds(image.pts)
        if self._paced and not self._wait_until(media_time):
            return None
        frame = Frame(image.image, self._index, time.monotonic(), None if self._endless else media_time)
        self._index += 1
        return frame

    def close(self) -> None:
        """Stop; ends a `read` that waits in another thread. May be called twice."""
        if self._closed.is_set():
            return
        self._closed.set()
        with self._reading:  # a read in progress is let finish: at most one frame, or the time-out of a network stream
            if self._video.skipped:
                log.warning("%s: %d damaged packets were left out", self.name, self._video.skipped)
            self._video.close()

    def _read_endless(self) -> DecodedFrame | None:
        """The next picture, however often the stream has to be reached again; None once closed."""
        while not self._closed.is_set():
            try:
                image = self._video.read()
                if image is not None:
                    return image
                reason = f"{self.name} has ended"
            except SourceError as error:
                reason = str(error)
            self._video.close()
            self.trouble = f"{reason}: connecting again every {RETRY_S:g} s"
            log.info("%s", self.trouble)
            while not self._closed.wait(RETRY_S):
                try:
                    self._video = VideoReader(self._path)
                except (SourceError, UsageError) as error:
                    log.debug("not yet: %s", error)
                    continue
                self.trouble = ""
                log.info("%s is back", self.name)
                break
        return None

    def _wait_until(self, media_time: float) -> bool:
        """Sleep until the frame is due; False where the source was closed meanwhile."""
        now = time.monotonic()
        if self._started is None or (not self.live and now - (self._started + media_time) > FALLEN_BEHIND_S):
            self._started = now - media_time
        return not self._closed.wait(max(0.0, self._started + media_time - now))
