"""Where the driver's motion comes from: a video, or a motion file made from one. Both look alike to whoever renders."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Literal, Protocol, TypeAlias

from livepuppet.errors import UsageError
from livepuppet.rendering.driver_view import FrameView
from livepuppet.rendering.motion_file import MotionFile
from livepuppet.rendering.people import Span, find_people
from livepuppet.rendering.person_tracks import PeopleTracks
from livepuppet.rendering.tracking import (
    LIMIT_PX,
    SEARCH_LIMIT_PX,
    DriverFrame,
    Reference,
    measure_references,
    search_references,
    smooth_driver_frames,
    track_driver,
)
from livepuppet.types import AnyEngine, Avatar, Motion, Size
from livepuppet.video.audio import AudioTrack
from livepuppet.video.container import is_url
from livepuppet.video.reader import VideoReader

log = logging.getLogger(__name__)

ReferenceChoice: TypeAlias = Literal["best", "first"] | float
"""Which frame is the driver at rest: the nearest to the portrait, the first with a face, or the one at a time in seconds."""

FrameCallback: TypeAlias = Callable[[DriverFrame], None]

AROUND_S = 1.0
"""Moments needed on both sides of those that are made: for steadying, and for bridging gaps."""


class Progress(Protocol):
    """Hears how far the work is."""

    def stage(self, name: str, total: int | None) -> None:
        """A part of the work begins.

        Args:
            total: how many frames it has, None where unknown.
        """

    def advance(self) -> None:
        """One more frame of it is done."""


class SilentProgress:
    """Progress that nobody watches."""

    def stage(self, name: str, total: int | None) -> None:
        return None

    def advance(self) -> None:
        return None


class Driver(Protocol):
    """What rendering needs of a driver. Times in seconds since the first frame; timestamps in units of `time_base`."""

    fps: float
    time_base: Fraction
    start_pts: int
    origin_pts: int
    """What becomes 0 in a video made from it: its first frame, or its sound where that begins clearly earlier."""
    size: Size | None

    @property
    def skipped(self) -> int:
        """Damaged packets left out since the beginning or the last search."""

    def first_pts(self, start: float) -> int:
        """The timestamp of the first frame from `start` on.

        Raises:
            UsageError: where there is none.
        """

    def count(self, start: float, end: float | None) -> int | None:
        """How many frames lie between, as far as it is known beforehand."""

    def references(self, engine: AnyEngine, avatar: Avatar, choice: ReferenceChoice, start: float, end: float | None) -> list[Reference]:
        """The frames that count as rest; empty where nobody is seen."""

    def at_rest(self, engine: AnyEngine, references: list[Reference], smoothing: float) -> list[tuple[int, Motion]]:
        """The driver's motion there, each with the timestamp from which it counts."""

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
        """Steadied moments from `start` until before `end`.

        Args:
            images: keep each frame's image, reduced to this size where it is larger; None keeps none.
            each: called with every moment as it was seen, before it is steadied.
        """

    def audio(self, origin: Fraction, cut: bool, end: float | None) -> AudioTrack | None:
        """The sound; `origin`, on the file's own clock, becomes 0.

        Args:
            cut: what is before is not wanted. None where there is none.
        """

    def close(self) -> None:
        """Free what is open. May be called twice."""


def open_driver(
    path: str,
    *,
    mirror: bool,
    progress: Progress,
    stop: threading.Event,
    face: int | None = None,
    spans: Sequence[Span] = ((0.0, None),),
    cast: PeopleTracks | Literal["unknown"] | None = "unknown",
) -> Driver:
    """A video, or a motion file by its suffix .npz.

    Args:
        face: who drives, of several people.
        spans: the parts of the video that will be used, in which people are looked for.
        cast: who is there, where that is known already.

    Raises:
        UsageError, SourceError: its message says what is wrong.
    """
    if is_motion_file(path):
        check_motion_request(mirror=mirror, face=face)
        return MotionFileDriver(path)
    if cast == "unknown" and is_url(path):
        if face is not None:
            raise UsageError("choosing a face needs a video that can be read twice: save the stream to a file first", parameter="face")
        cast = None
    return VideoDriver(path, mirror=mirror, progress=progress, stop=stop, face=face, spans=spans, cast=cast)


def is_motion_file(path: str) -> bool:
    """By its suffix."""
    return path.lower().endswith(".npz")


def check_motion_request(*, mirror: bool, face: int | None) -> None:
    """Raises UsageError for what can be asked of a video, and not of a motion file."""
    if mirror:
        raise UsageError("a motion file cannot be mirrored: save it from a mirrored video instead", parameter="mirror")
    if face is not None:
        raise UsageError("a motion file holds one person's motion: no face can be chosen", parameter="face")


class VideoDriver:
    """A driver in a video."""

    def __init__(
        self,
        path: str,
        *,
        mirror: bool,
        progress: Progress,
        stop: threading.Event,
        face: int | None,
        spans: Sequence[Span],
        cast: PeopleTracks | Literal["unknown"] | None,
    ) -> None:
        self._path = path
        self._progress, self._stop = progress, stop
        self._video = VideoReader(path, limit=LIMIT_PX)
        self.fps, self.time_base, self.start_pts = self._video.fps, self._video.time_base, self._video.start_pts
        self.origin_pts = self._video.origin_pts
        self._video.rewind()
        if cast == "unknown":
            progress.stage("looking who is there", self.count(*spans[0]))
            cast = find_people(path, face, progress.advance, spans=spans, stop=stop)
        self._view = FrameView(mirror, cast)
        self.size: Size | None = self._view.size(self._video.size)

    @property
    def skipped(self) -> int:
        return self._video.skipped

    def first_pts(self, start: float) -> int:
        if not start:
            return self.start_pts
        self._video.seek(start)
        first = self._video.read()
        if first is None:
            raise UsageError(f"{self._path} ends before {start:g} s", parameter="start")
        return first.pts

    def count(self, start: float, end: float | None) -> int | None:
        video = self._video
        if video.frame_count is None and video.duration is None:
            return None
        frames = video.frame_count or round((video.duration or 0) * video.fps)
        if start or end is not None:
            length = video.duration or frames / video.fps
            frames = max(0, round((min(end if end is not None else length, length) - start) * video.fps))
        return frames or None

    def references(self, engine: AnyEngine, avatar: Avatar, choice: ReferenceChoice, start: float, end: float | None) -> list[Reference]:
        if choice == "best":
            return self._best(engine, avatar, start, end)
        at = start if choice == "first" else float(choice)
        self._progress.stage("looking for the face", None)
        for driver_frame in self._until_stopped(track_driver(engine, self._video, view=self._view, start=at, end=end)):
            if driver_frame.motion is not None:
                if driver_frame.seconds > at + 1 / self.fps:
                    log.info("nobody is seen at %.2f s: the reference is taken at %.2f s", at, driver_frame.seconds)
                return [Reference(driver_frame.pts, driver_frame.pts, driver_frame.seconds)]
        return []

    def _best(self, engine: AnyEngine, avatar: Avatar, start: float, end: float | None) -> list[Reference]:
        video = VideoReader(self._path, limit=SEARCH_LIMIT_PX)
        try:
            self._progress.stage("searching the reference", self.count(start, end))
            driver_frames = self._until_stopped(track_driver(engine, video, view=self._view, start=start, end=end))
            references = search_references(engine, avatar, driver_frames)
        finally:
            video.close()
        for reference in references:
            log.debug("from pts %d the reference is at %.2f s, distance %.2f", reference.since, reference.seconds, reference.distance)
        return references

    def at_rest(self, engine: AnyEngine, references: list[Reference], smoothing: float) -> list[tuple[int, Motion]]:
        return measure_references(engine, self._video, references, view=self._view, strength=smoothing)

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
        seen = track_driver(engine, self._video, view=self._view, start=start, end=end, images=images)
        return smooth_driver_frames(_told(seen, each), smoothing)

    def audio(self, origin: Fraction, cut: bool, end: float | None) -> AudioTrack | None:
        if not self._video.audio:
            return None
        last = None if end is None else Fraction(end) + self.start_pts * self.time_base
        return AudioTrack(self._path, origin=origin, cut=cut, end=last)

    def close(self) -> None:
        self._video.close()

    def _until_stopped(self, driver_frames: Iterable[DriverFrame]) -> Iterator[DriverFrame]:
        for driver_frame in driver_frames:
            if self._stop.is_set():
                return
            yield driver_frame
            self._progress.advance()


class MotionFileDriver:
    """A driver's motion that was saved before; see motion_file.py."""

    size: Size | None = None
    skipped = 0

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = MotionFile(path)
        head = self._file.head
        self.fps, self.time_base, self.start_pts = head.fps, head.time_base, head.start_pts
        self.origin_pts = head.start_pts

    def first_pts(self, start: float) -> int:
        for driver_frame in self._between(start, None):
            return driver_frame.pts
        raise UsageError(
            f"{self._path} ends before {start:g} s" if start else f"{self._path} holds no motion", parameter="start" if start else ""
        )

    def count(self, start: float, end: float | None) -> int | None:
        return self._file.head.frames if not start and end is None else None

    def references(self, engine: AnyEngine, avatar: Avatar, choice: ReferenceChoice, start: float, end: float | None) -> list[Reference]:
        """Those of the file for 'best': they were chosen for a portrait in rest, and distances to another mean little."""
        if engine.name != self._file.head.engine:
            raise UsageError(f"{self._path} was made with the engine '{self._file.head.engine}': choose that one", parameter="engine")
        if choice == "best":
            return [Reference(since, since, self._file.seconds(since)) for since, _ in self._file.head.references]
        seen = (m for m in self._between(start if choice == "first" else float(choice), end) if m.motion is not None)
        return [Reference(m.pts, m.pts, m.seconds) for m in _first(seen)]

    def at_rest(self, engine: AnyEngine, references: list[Reference], smoothing: float) -> list[tuple[int, Motion]]:
        saved = dict(self._file.head.references)
        if all(r.since in saved for r in references):
            return [(r.since, saved[r.since]) for r in references]
        found = []
        for reference in references:
            for driver_frame in smooth_driver_frames(
                self._between(max(0.0, reference.seconds - AROUND_S), reference.seconds + AROUND_S), smoothing
            ):
                if driver_frame.pts == reference.pts and driver_frame.motion is not None:
                    found.append((reference.since, driver_frame.motion))
        return found

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
        return smooth_driver_frames(_told(self._between(start, end), each), smoothing)

    def audio(self, origin: Fraction, cut: bool, end: float | None) -> AudioTrack | None:
        return None

    def close(self) -> None:
        self._file.close()

    def _between(self, start: float, end: float | None) -> Iterator[DriverFrame]:
        for driver_frame in self._file:
            if end is not None and driver_frame.seconds >= end:
                return
            if driver_frame.seconds >= start - 1e-9:
                yield driver_frame


def _told(driver_frames: Iterable[DriverFrame], each: FrameCallback | None) -> Iterator[DriverFrame]:
    for driver_frame in driver_frames:
        if each is not None:
            each(driver_frame)
        yield driver_frame


def _first(driver_frames: Iterator[DriverFrame]) -> Iterator[DriverFrame]:
    for driver_frame in driver_frames:
        yield driver_frame
        return
