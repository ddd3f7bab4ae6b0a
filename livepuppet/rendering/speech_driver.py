"""A voice as the driver of a video: alone, with head and eyes that live on, or as the mouth of somebody in another video."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from livepuppet.errors import UsageError
from livepuppet.live.puppet import driven_by_numbers
from livepuppet.rendering.driver import Driver, FrameCallback, Progress, ReferenceChoice, open_driver
from livepuppet.rendering.job import RenderJob
from livepuppet.rendering.tracking import DriverFrame, Reference, smooth_driver_frames
from livepuppet.speech.features import RATE
from livepuppet.speech.talker import Level, Talker
from livepuppet.types import AnyEngine, Avatar, ExpressionFrame, ExpressiveEngine, Motion, Size
from livepuppet.video.audio import AudioTrack
from livepuppet.video.samples import SampleReader, only_sound
from livepuppet.vision.expressions import EXPRESSION_UNITS

DEFAULT_FPS = 25.0
CLOCK = Fraction(1, 90_000)
SILENT_FACE = np.zeros(len(EXPRESSION_UNITS))
LEAD_S = 0.05
"""Lips are ahead of what is heard, and the mouth follows what it aims at a little late: a recording's is shown earlier by this."""


def voice_drives(job: RenderJob) -> bool:
    """Whether a voice moves the mouth of this job's video, or all of it."""
    return job.mouth_from == "sound" or job.speech is not None or only_sound(job.driving)


def open_job_driver(job: RenderJob, *, progress: Progress, stop: threading.Event) -> Driver:
    """What drives a job's video: a voice, a voice and a video, or what `open_driver` opens.

    Raises:
        UsageError, SourceError: its message says what is wrong.
    """
    if only_sound(job.driving):
        for name, asked in (("mirror", job.mirror), ("face", job.face), ("speech", job.speech)):
            if asked:
                raise UsageError(f"{job.driving} is sound alone, nobody is seen in it: leave {name} out", parameter=name)
        return SpeechDriver(job.driving, job.fps)
    if job.fps is not None:
        raise UsageError("a video that follows another one keeps its frame rate: fps is for a driver that is sound alone", parameter="fps")
    driver = open_driver(job.driving, mirror=job.mirror, progress=progress, stop=stop, face=job.face, spans=job.spans)
    if not voice_drives(job):
        return driver
    try:
        return VoicedDriver(driver, job.driving, job.speech)
    except BaseException:
        driver.close()
        raise


class Voice:
    """A recording, listened to from its beginning as often as asked; the same every time.

    Attributes:
        origin: when it begins, on the file's own clock in seconds.
        duration: seconds.
    """

    def __init__(self, path: str, seed: int = 0) -> None:
        """Raises UsageError where there is no sound."""
        self.path, self._seed = path, seed
        self._samples = 0
        with SampleReader(path, RATE) as reader:
            self.origin = reader.origin
            self._level = Level.of(self._counted(reader))
        self.duration = self._samples / RATE

    def _counted(self, blocks: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        """In pieces of a tenth of a second."""
        for block in blocks:
            self._samples += len(block)
            for start in range(0, len(block), RATE // 10):
                yield block[start : start + RATE // 10]

    def talkers(self, times: Iterable[float]) -> Iterator[tuple[float, Talker]]:
        """For each of these rising times (seconds of the sound) the time, and a talker that has heard what it needs to know of it."""
        talker = Talker(self._seed, self._level)
        with SampleReader(self.path, RATE) as reader:
            blocks = iter(reader)
            ended = False
            for at in times:
                while not ended and talker.known_until < at + LEAD_S + 0.1:
                    block = next(blocks, None)
                    if block is None:
                        talker.finish()
                        ended = True
                    else:
                        talker.hear(block)
                yield at, talker


class SpeechDriver:
    """Nobody is seen: the voice moves the mouth, and head and eyes live on by themselves."""

    size: Size | None = None
    skipped = 0

    def __init__(self, path: str, fps: float | None) -> None:
        self._voice = Voice(path)
        self._path = path
        self.fps = fps or DEFAULT_FPS
        self.time_base = CLOCK
        self.start_pts = round(self._voice.origin / CLOCK)
        self.origin_pts = self.start_pts

    @property
    def _frames(self) -> int:
        return max(1, math.ceil(self._voice.duration * self.fps - 1e-6))

    def _pts(self, frame: int) -> int:
        return self.start_pts + round(frame / self.fps / float(CLOCK))

    def first_pts(self, start: float) -> int:
        first = math.ceil(start * self.fps - 1e-6)
        if first >= self._frames:
            raise UsageError(f"{self._path} ends before {start:g} s", parameter="start")
        return self._pts(first)

    def count(self, start: float, end: float | None) -> int | None:
        last = self._frames if end is None else min(self._frames, math.ceil(end * self.fps - 1e-6))
        return max(0, last - math.ceil(start * self.fps - 1e-6)) or None

    def references(self, engine: AnyEngine, avatar: Avatar, choice: ReferenceChoice, start: float, end: float | None) -> list[Reference]:
        """The silent face, whatever is chosen."""
        driven_by_numbers(engine)
        return [Reference(self.start_pts, self.start_pts, 0.0)]

    def at_rest(self, engine: AnyEngine, references: list[Reference], smoothing: float) -> list[tuple[int, Motion]]:
        return [(r.since, driven_by_numbers(engine).express(ExpressionFrame(SILENT_FACE))) for r in references]

    def driver_frames(
        self,
        engine: AnyEngine,
        start: float,
        end: float | None,
        smoothing: float,
        *,
        images: Size | None = None,
        each: FrameCallback | None = None,
    ) -> Iterator[DriverFrame]:
        return smooth_driver_frames(self._told(driven_by_numbers(engine), start, end, each), smoothing)

    def _told(self, engine: ExpressiveEngine, start: float, end: float | None, each: FrameCallback | None) -> Iterator[DriverFrame]:
        """Always from the sound's beginning, so that head and eyes do the same wherever a video begins."""
        last = self._frames if end is None else min(self._frames, math.ceil(end * self.fps - 1e-6))
        for number, (_, talker) in enumerate(self._voice.talkers((frame + 0.5) / self.fps for frame in range(last))):
            face = talker.face((number + 0.5) / self.fps, lead=LEAD_S)
            if number / self.fps < start - 1e-9:
                continue
            frame = DriverFrame(self._pts(number), number / self.fps, 0, engine.express(face))
            if each is not None:
                each(frame)
            yield frame

    def audio(self, origin: Fraction, cut: bool, end: float | None) -> AudioTrack | None:
        return AudioTrack(self._path, origin=origin, cut=cut, end=None if end is None else Fraction(end) + self._voice.origin)

    def close(self) -> None:
        return None


class VoicedDriver:
    """A driver in a video whose mouth a voice moves; all else is the other driver's. The voice begins with the video.

    Attributes:
        other: the driver in the video; closed with this one.
    """

    def __init__(self, other: Driver, video: str, speech: str | None) -> None:
        """speech: another recording than the video's own sound."""
        self.other, self._own = other, speech is None
        self._voice = Voice(video if speech is None else speech)
        self._path = self._voice.path
        self.fps, self.time_base, self.size = other.fps, other.time_base, other.size
        self.start_pts = other.start_pts
        self.origin_pts = other.origin_pts if self._own else other.start_pts

    @property
    def skipped(self) -> int:
        return self.other.skipped

    def first_pts(self, start: float) -> int:
        return self.other.first_pts(start)

    def count(self, start: float, end: float | None) -> int | None:
        return self.other.count(start, end)

    def references(self, engine: AnyEngine, avatar: Avatar, choice: ReferenceChoice, start: float, end: float | None) -> list[Reference]:
        driven_by_numbers(engine)
        return self.other.references(engine, avatar, choice, start, end)

    def at_rest(self, engine: AnyEngine, references: list[Reference], smoothing: float) -> list[tuple[int, Motion]]:
        silent = driven_by_numbers(engine)
        return [(since, silent.replace_mouth(motion, SILENT_FACE)) for since, motion in self.other.at_rest(engine, references, smoothing)]

    def driver_frames(
        self,
        engine: AnyEngine,
        start: float,
        end: float | None,
        smoothing: float,
        *,
        images: Size | None = None,
        each: FrameCallback | None = None,
    ) -> Iterator[DriverFrame]:
        frames = self.other.driver_frames(engine, start, end, smoothing, images=images)
        return self._voiced(driven_by_numbers(engine), frames, each)

    def _voiced(self, engine: ExpressiveEngine, frames: Iterator[DriverFrame], each: FrameCallback | None) -> Iterator[DriverFrame]:
        offset = float(self.start_pts * self.time_base - self._voice.origin) if self._own else 0.0
        waiting: list[DriverFrame] = []

        def times() -> Iterator[float]:
            for frame in frames:
                waiting.append(frame)
                yield frame.seconds + offset + 0.5 / self.fps

        for at, talker in self._voice.talkers(times()):
            frame = waiting.pop()
            if frame.motion is not None:
                frame = replace(frame, motion=engine.replace_mouth(frame.motion, talker.mouth(at + LEAD_S)))
            if each is not None:
                each(frame)
            yield frame

    def audio(self, origin: Fraction, cut: bool, end: float | None) -> AudioTrack | None:
        if self._own:
            return self.other.audio(origin, cut, end)
        begin = Fraction(self._voice.origin) + origin - self.start_pts * self.time_base
        return AudioTrack(self._path, origin=begin, cut=cut, end=None if end is None else Fraction(end) + self._voice.origin)

    def close(self) -> None:
        self.other.close()
