"""Records what the puppet does to a video file, in a thread of its own: a slow disk never delays the window or the virtual camera."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from livepuppet.errors import SinkError, UsageError
from livepuppet.files import refuse_existing
from livepuppet.types import Frame, Size
from livepuppet.video.formats import H264_SUFFIXES
from livepuppet.video.output import VideoOutput
from livepuppet.video.writer import CLOCK, VideoWriter, h264

log = logging.getLogger(__name__)

QUEUE_LENGTH = 16
"""Frames that may wait for the encoder: half a second. A full-HD frame takes 6 MB."""
QUEUE_BYTES = 96 << 20
"""What they may take together; large frames wait in smaller number."""

CRF = 20
PRESET = "veryfast"


class Recorder:
    """Writes H.264 to PATH (.mp4, .m4v, .mov or .mkv): under another name while it lasts, see `video/output.py`.

    A frame's time is its place in the driving video where it has one (`media_time`), else when it was captured; see `RecordingClock`.

    Attributes:
        dropped: frames left out because the disk or the encoder was too slow; stays 0 when opened `lossless`.
        path, seal: see `FileSink`.
    """

    live = False

    def __init__(self, path: str | Path, *, overwrite: bool = False) -> None:
        """overwrite: it may take the place of a file that is there. Raises UsageError for a suffix that names no video format."""
        self.path = Path(path)
        self.seal: Callable[[Path], object] | None = None
        self._overwrite = overwrite
        self._output: VideoOutput | None = None
        if self.path.suffix.lower() not in H264_SUFFIXES:
            raise UsageError(f"cannot record to '{path}': choose a name that ends in {', '.join(H264_SUFFIXES)}")
        self.name = str(path)
        self.dropped = 0
        self._lossless = False
        self._queue: queue.Queue[Frame | None] = queue.Queue(QUEUE_LENGTH)  # of another length once the frames' size is known
        self._thread: threading.Thread | None = None
        self._failure: SinkError | None = None
        self._failed = threading.Event()
        self._reported = False

    def open(self, size: Size, fps: float, *, lossless: bool) -> None:
        """Create the file and start the thread.

        Raises:
            SinkError: where it cannot be written.
            UsageError: another process is writing it.
            OutputExistsError: it is there already, and may not be overwritten.
        """
        self._lossless = lossless
        self._queue = queue.Queue(queue_length(size))
        output = VideoOutput(self.path)
        try:
            refuse_existing([("output", self.path)], overwrite=self._overwrite)
            writer = VideoWriter(output.begin(), size, format=h264(self.path.suffix.lower(), PRESET), fps=fps, crf=CRF)
        except BaseException:
            output.close()
            raise
        self._output = output
        self._thread = threading.Thread(target=self._record, args=(writer,), name=f"recorder {self.path.name}", daemon=True)
        self._thread.start()

    def write(self, frame: Frame) -> None:
        """Hand one frame to the thread.

        Raises:
            SinkError: when the recording has failed; what was written until then is playable.
        """
        self._raise_failure()
        if self._thread is None:
            raise SinkError(f"{self.path} is not open")
        if self._lossless:
            while not self._failed.is_set():
                try:
                    return self._queue.put(frame, timeout=0.1)
                except queue.Full:
                    continue
            return self._raise_failure()
        try:
            self._queue.put_nowait(frame)
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        """Write what waits and finish the video. May be called twice.

        Raises:
            SinkError: where `write` has not done so already.
        """
        thread, self._thread = self._thread, None
        if thread is None:
            return
        while thread.is_alive():
            try:
                self._queue.put(None, timeout=0.1)
                break
            except queue.Full:
                continue
        thread.join()
        if self.dropped:
            log.warning("%s lacks %d frames: the disk or the encoder was too slow", self.path, self.dropped)
        try:
            self._place()
        finally:
            self._raise_failure()

    def _place(self) -> None:
        """Give the file its name. One that failed is all there will ever be of this performance: it gets its name too, unless that would
        cost an older file."""
        output, self._output = self._output, None
        if output is None:
            return
        with output:
            if output.left and not (self._failure is not None and self.path.exists()):
                if self.seal is not None:
                    self.seal(output.working)
                output.commit(overwrite=self._overwrite)

    def _raise_failure(self) -> None:
        if self._failure is not None and not self._reported:
            self._reported = True
            raise self._failure
        if self._failure is not None and self._thread is not None:
            raise SinkError(str(self._failure))

    def _record(self, writer: VideoWriter) -> None:
        last: int | None = None
        clock = RecordingClock()
        try:
            while (frame := self._queue.get()) is not None:
                pts = round(Fraction(clock(frame)) / CLOCK)
                last = pts if last is None else max(pts, last + 1)
                writer.write(frame.image, last)
            writer.close()
        except Exception as error:
            self._failure = error if isinstance(error, SinkError) else SinkError(f"recording {self.path} failed: {error}")
            self._failed.set()
            writer.abandon()


def queue_length(size: Size) -> int:
    """How many frames of that size may wait for the encoder: at least 2."""
    return max(2, min(QUEUE_LENGTH, QUEUE_BYTES // (size[0] * size[1] * 3)))


class RecordingClock:
    """One clock for all frames of a recording, whether they carry the time of a video or only that of capture (while a source is silent the
    portrait rests, and what it does then is recorded too). Seconds, from 0 at the first frame."""

    def __init__(self) -> None:
        self._last: Frame | None = None
        self._seconds = 0.0

    def __call__(self, frame: Frame) -> float:
        """The frame's time. Between frames of a video it passes as in the video, else as on the clock at the wall."""
        last, self._last = self._last, frame
        if last is None:
            return self._seconds
        if frame.media_time is not None and last.media_time is not None:
            self._seconds += frame.media_time - last.media_time
        else:
            self._seconds += frame.captured_at - last.captured_at
        return self._seconds
