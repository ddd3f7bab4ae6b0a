"""The sound of a file as samples: mono, at one rate, on one clock, for whoever listens to it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import av.error
import numpy as np
from av.audio.stream import AudioStream
from numpy.typing import NDArray

from livepuppet.errors import UsageError
from livepuppet.types import Closing
from livepuppet.video.container import choose_video, is_url, open_container, packets_of, timeline_of

log = logging.getLogger(__name__)

FAITHFUL_S = 0.05
"""Gaps and overlaps longer than this are kept; shorter ones are a clock's rounding."""
LONGEST_GAP_S = 600.0
"""A clock that jumps farther is taken for broken, and no silence is put there."""


def only_sound(path: str) -> bool:
    """Whether a file holds sound and no video (a cover picture is none).

    Raises:
        UsageError: it cannot be read at all.
    """
    if is_url(path) or path.lower().endswith(".npz") or not Path(path).is_file():
        return False  # whoever opens it says what is wrong with it
    with open_container(path) as container:
        covers = choose_video(container) is None and all(stream.codec_context for stream in container.streams.video)
        return bool(container.streams.audio) and covers


class SampleReader(Closing):
    """The first track of a file's sound that can be decoded.

    Attributes:
        origin: when it begins, in seconds on the file's own clock.

    Raises:
        UsageError: there is no such file, or no sound in it.
    """

    def __init__(self, path: str, rate: int) -> None:
        self.path, self.rate = path, rate
        self._container = open_container(path)
        self._timeline = timeline_of(path, self._container)
        best = self._container.streams.best("audio")
        usable = [s for s in self._container.streams.audio if s.codec_context is not None]
        stream = next((s for s in usable if best is not None and s.index == best.index), usable[0] if usable else None)
        self._frames = self._decoded(stream) if stream is not None else iter(())
        self._first = next(self._frames, None)
        if self._first is None:
            self.close()
            raise UsageError(f"{path} has no sound that can be heard: give a recording of a voice")
        first = self._first
        self.origin = Fraction(first.pts or 0) * Fraction(first.time_base) if first.time_base else Fraction(0)

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        """Blocks of samples, -1 … 1, from `origin` on; once."""
        resampler, like = None, None
        given = 0
        for frame in self._all():
            now = (frame.format.name, frame.layout.name, frame.sample_rate)
            if now != like:
                if resampler is not None:
                    for block in _samples(resampler, None):
                        given += len(block)
                        yield block
                like, resampler = now, av.AudioResampler("flt", "mono", self.rate)
            if frame.pts is not None and frame.time_base is not None:
                due = round(float(Fraction(frame.pts) * Fraction(frame.time_base) - self.origin) * self.rate)
                gap = due - given
                if FAITHFUL_S * self.rate < gap < LONGEST_GAP_S * self.rate:
                    given += gap
                    yield np.zeros(gap, np.float32)
            assert resampler is not None
            for block in _samples(resampler, frame):
                given += len(block)
                yield block
        if resampler is not None:
            yield from _samples(resampler, None)

    def close(self) -> None:
        self._container.close()

    def _all(self) -> Iterator[av.AudioFrame]:
        if self._first is not None:
            yield self._first
        self._first = None
        yield from self._frames

    def _decoded(self, stream: AudioStream) -> Iterator[av.AudioFrame]:
        count = -1
        for packet in packets_of(self._container, (stream,), lambda error: log.debug("damaged sound left out: %s", error)):
            count += bool(packet.size)
            if self._timeline is not None and packet.size:
                self._timeline.correct(packet, count)
            try:
                frames = packet.decode()
            except av.error.FFmpegError as error:
                log.debug("damaged sound left out: %s", error)
                continue
            for frame in frames:
                if isinstance(frame, av.AudioFrame) and frame.samples:
                    yield frame


def _samples(resampler: av.AudioResampler, frame: av.AudioFrame | None) -> Iterator[NDArray[np.float32]]:
    for made in resampler.resample(frame):
        block = np.nan_to_num(np.asarray(made.to_ndarray(), np.float32).ravel(), posinf=0.0, neginf=0.0)
        if len(block):
            yield np.clip(block, -1, 1)
