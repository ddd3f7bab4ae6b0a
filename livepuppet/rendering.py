"""A photo and a video in, a finished film out: one output frame for every driving frame, at its own time, with its own sound."""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Literal, Protocol, TypeAlias, TypeVar

import cv2
import numpy as np

from livepuppet.acting import Act, act
from livepuppet.credentials import Facts, sign_file, signable
from livepuppet.encoding import FilmWriter, film_format
from livepuppet.errors import SinkError, UsageError
from livepuppet.film import Film
from livepuppet.identity import identity_from
from livepuppet.interfaces import Avatar, Engine, Image, Motion, Size, Tuning
from livepuppet.label import Corner
from livepuppet.marking import Mark
from livepuppet.performance import (
    LIMIT_PX,
    SEARCH_LIMIT_PX,
    Gaze,
    Moment,
    Reference,
    measure_references,
    observe,
    search_references,
    steadied,
)
from livepuppet.portraits import LIVE_LIMIT, load_portrait
from livepuppet.soundtrack import Soundtrack

log = logging.getLogger(__name__)

Choice: TypeAlias = Literal["best", "first"] | float

LARGEST_PX = 4096
"""Longest side of a portrait in a film: what players of H.264 can be expected to show."""

DEFAULT_CRF = 16


@dataclass(frozen=True)
class Job:
    """One film to make. Times in seconds of the driving film. size: None takes the portrait's own."""

    avatar: Path
    driving: str
    output: Path
    size: Size | None = None
    engine: str = "landmark"
    model: str | None = None
    device: str = "auto"
    mirror: bool = False
    tuning: Tuning = field(default_factory=Tuning)
    reference: Choice = "best"
    start: float | None = None
    end: float | None = None
    face: int | None = None
    crf: int = DEFAULT_CRF
    compare: bool = False
    motion: Path | None = None
    transparent: bool = False
    watermark: bool = True
    label: str | None = None
    label_position: Corner = "bottom-right"
    sign_with: tuple[Path, Path] | None = None


@dataclass(frozen=True)
class Report:
    """What was made. lost: frames in which nobody was seen. skipped: damaged packets. whole: not stopped on the way."""

    frames: int
    lost: int
    skipped: int
    whole: bool
    size: Size


class Progress(Protocol):
    """Hears how far a rendering is."""

    def stage(self, name: str, total: int | None) -> None:
        """A part of the work begins. total: how many frames it has, None where unknown."""

    def advance(self) -> None:
        """One more frame of it is done."""


class Silent:
    """Progress that nobody watches."""

    def stage(self, name: str, total: int | None) -> None:
        return None

    def advance(self) -> None:
        return None


class Rendering:
    """Makes one film. engine: shared between renderings, closed by whoever opened it."""

    def __init__(self, job: Job, engine: Engine, *, progress: Progress | None = None, stop: threading.Event | None = None) -> None:
        self.job = job
        self.engine = engine
        self.progress = progress or Silent()
        self.stop = stop or threading.Event()
        self.lost = 0
        self.mark = Mark(watermark=job.watermark, label=job.label, corner=job.label_position)
        self.identity = identity_from(*job.sign_with) if job.sign_with else None

    def run(self) -> Report:
        """Make the film. Raises UsageError, PortraitError, SourceError or SinkError in one line; a stopped or failed film is playable."""
        job = self.job
        format = film_format(job.output.suffix.lower(), transparent=job.transparent)
        self.progress.stage("preparing", None)
        avatar = self._prepare()
        film = Film(job.driving, limit=LIMIT_PX)
        try:
            look = self._look()
            first = self._first(film)
            references = self._references(avatar, film, look)
            film.seek(0.0)
            moments = steadied(
                observe(self.engine, film, look=look, start=job.start or 0.0, end=job.end, pictures=job.compare), job.tuning.smoothing
            )
            acts = act(self.engine, avatar, self._watched(moments), references, job.tuning)
            shift = first if job.start else 0
            sound = self._sound(film, shift)
            size = self._size(avatar, film)
            writer = FilmWriter(job.output, size, format=format, fps=film.fps, time_base=film.time_base, crf=job.crf, sound=sound)
            try:
                self.progress.stage("rendering", self._count(film))
                for moment, picture in self._pictures(avatar, acts):
                    writer.write(picture, moment.pts - shift)
                    self.progress.advance()
                writer.close(whole=not self.stop.is_set())
            except BaseException:
                writer.abandon()
                raise
            finally:
                if sound is not None:
                    sound.close()
            self._sign()
            return Report(writer.written, self.lost, film.skipped, not self.stop.is_set(), size)
        finally:
            film.close()

    def _sign(self) -> None:
        """Put content credentials into the finished film, where its format has a place for them."""
        output, mark = self.job.output, self.mark
        if output.is_file() and output.stat().st_size and signable(output):
            facts = Facts(engine=self.engine.name, watermark=mark.watermark, session_id=mark.session_id, label=mark.label)
            try:
                sign_file(output, facts=facts, identity=self.identity)
            except SinkError as error:
                log.warning("%s", error)

    def _first(self, film: Film) -> int:
        """The timestamp of the first frame to make. Raises UsageError where there is none."""
        if not self.job.start:
            return film.start_pts
        film.seek(self.job.start)
        first = film.read()
        if first is None:
            raise UsageError(f"{self.job.driving} ends before --start {self.job.start:g}")
        return first.pts

    def _prepare(self) -> Avatar:
        portrait = load_portrait(self.job.avatar, LARGEST_PX)
        height, width = portrait.shape[:2]
        # Live, an engine may reduce a large portrait; a film has the time for all of it.
        own = (width - width % 2, height - height % 2) if max(width, height) > LIVE_LIMIT else None
        return self.engine.prepare(portrait, self.job.size or own)

    def _look(self) -> Gaze:
        mirror = self.job.mirror

        def look(image: Image, pts: int) -> Image:
            return np.ascontiguousarray(image[:, ::-1]) if mirror else image

        return look

    def _references(self, avatar: Avatar, film: Film, look: Gaze) -> list[tuple[int, Motion]]:
        """The driver's motions at rest; see `performance.Reference`."""
        job = self.job
        start, end = job.start or 0.0, job.end
        if job.reference == "best":
            search = Film(job.driving, limit=SEARCH_LIMIT_PX)
            try:
                self.progress.stage("searching the reference", self._count(search))
                moments = self._counted(observe(self.engine, search, look=look, start=start, end=end))
                references = search_references(self.engine, avatar, moments)
            finally:
                search.close()
            for reference in references:
                log.debug(
                    "reference from pts %d: the frame at %.2f s, distance %.2f", reference.since, reference.seconds, reference.distance
                )
        else:
            at = start if job.reference == "first" else float(job.reference)
            references = self._first_seen(film, look, at, end)
        if not references:
            raise UsageError(f"no face found in {job.driving}: choose a clip in which one face is well visible")
        return measure_references(self.engine, film, references, look=look, strength=job.tuning.smoothing)

    def _first_seen(self, film: Film, look: Gaze, at: float, end: float | None) -> list[Reference]:
        self.progress.stage("looking for the face", None)
        for moment in observe(self.engine, film, look=look, start=at, end=end):
            if moment.motion is not None:
                if moment.seconds > at + 1 / film.fps:
                    log.info("nobody is seen at %.2f s: the reference is taken at %.2f s", at, moment.seconds)
                return [Reference(moment.pts, moment.pts, moment.seconds)]
            if self.stop.is_set():
                break
        return []

    def _count(self, film: Film) -> int | None:
        """How many frames there are to do, as far as the film tells."""
        if film.frame_count is None and film.duration is None:
            return None
        frames = film.frame_count or round((film.duration or 0) * film.fps)
        start, end = self.job.start or 0.0, self.job.end
        if start or end is not None:
            length = film.duration or frames / film.fps
            frames = max(0, round((min(end if end is not None else length, length) - start) * film.fps))
        return frames or None

    def _counted(self, moments: Iterable[Moment]) -> Iterator[Moment]:
        for moment in moments:
            if self.stop.is_set():
                return
            yield moment
            self.progress.advance()

    def _watched(self, moments: Iterable[Moment]) -> Iterator[Moment]:
        """The moments, until somebody stops; those without a face are counted."""
        gap: float | None = None
        for moment in moments:
            if self.stop.is_set():
                return
            if moment.motion is None:
                self.lost += 1
                gap = moment.seconds if gap is None else gap
            elif gap is not None:
                if moment.seconds - gap > 0.5:
                    log.info("nobody is seen from %.1f to %.1f s: the avatar idles there", gap, moment.seconds)
                gap = None
            yield moment

    def _pictures(self, avatar: Avatar, acts: Iterator[Act]) -> Iterator[tuple[Moment, Image]]:
        """Finished pictures in order, several being drawn at once. The driver's picture is let go as soon as it is not needed."""
        tuning = self.job.tuning

        def draw(act: Act) -> tuple[Moment, Image]:
            picture = self.engine.render(avatar, act.motion, tuning)
            if act.moment.picture is not None:
                picture = side_by_side(act.moment.picture, picture)
            return replace(act.moment, picture=None, motion=None), picture

        for moment, picture in in_order(draw, acts, workers=min(4, os.cpu_count() or 1)):
            yield moment, self.mark.apply(picture)

    def _sound(self, film: Film, shift: int) -> Soundtrack | None:
        if not film.audio:
            return None
        if self.job.output.suffix.lower() == ".gif":
            log.info("a GIF has no sound: the film's is left out")
            return None
        start = Fraction(shift) * film.time_base if self.job.start else None
        end = None if self.job.end is None else Fraction(self.job.end) + film.start_pts * film.time_base
        return Soundtrack(self.job.driving, start=start, end=end)

    def _size(self, avatar: Avatar, film: Film) -> Size:
        height, width = avatar.image.shape[:2]
        return (compared_width(film.size, height) + width, height) if self.job.compare else (width, height)


def compared_width(driver: Size, height: int) -> int:
    """Width of the driver's picture beside an avatar of this height."""
    return max(2, round(driver[0] * height / driver[1] / 2) * 2)


def side_by_side(driver: Image, avatar: Image) -> Image:
    """The driver's picture at the avatar's height, left of it."""
    height = avatar.shape[0]
    width = compared_width((driver.shape[1], driver.shape[0]), height)
    way = cv2.INTER_AREA if driver.shape[0] > height else cv2.INTER_LINEAR
    return np.concatenate([np.asarray(cv2.resize(driver, (width, height), interpolation=way), np.uint8), avatar], axis=1)


Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """`function` of every item, several at once in threads, results in the items' order, few of them waiting."""
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
