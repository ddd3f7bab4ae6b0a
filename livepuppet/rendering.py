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
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from livepuppet.acting import Act, act
from livepuppet.credentials import Facts, sign_file, signable
from livepuppet.cutout import Cutout
from livepuppet.encoding import FilmWriter, clock_of, film_format
from livepuppet.errors import SinkError, UsageError
from livepuppet.film import Film
from livepuppet.footage import AROUND_S, Choice, Footage, Progress, Silent, open_footage
from livepuppet.identity import identity_from
from livepuppet.interfaces import Avatar, Engine, Image, Motion, Size, Tuning
from livepuppet.label import Corner
from livepuppet.marking import Mark
from livepuppet.motion_file import MotionWriter
from livepuppet.performance import Moment
from livepuppet.portraits import LIVE_LIMIT, load_portrait
from livepuppet.soundtrack import Soundtrack
from livepuppet.stills import StillsWriter, is_sequence
from livepuppet.unfinished import Unfinished, fingerprint, forget, recall, remember

log = logging.getLogger(__name__)

LARGEST_PX = 4096
"""Longest side of a portrait in a film: what players of H.264 can be expected to show."""

DEFAULT_CRF = 16


@dataclass(frozen=True)
class Job:
    """One film to make. Times in seconds of the driving film. size: None takes the portrait's own. face: which of several people
    drives, None the largest and steadiest. motion: where to save the driver's motion. resume: go on with an interrupted film."""

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
    resume: bool = False
    watermark: bool = True
    label: str | None = None
    label_position: Corner = "bottom-right"
    sign_with: tuple[Path, Path] | None = None

    def settings(self) -> dict[str, Any]:
        """What decides how the film looks, for recognising a film that was begun with something else."""
        return {
            "avatar": fingerprint(self.avatar),
            "driving": fingerprint(self.driving),
            "size": self.size,
            "engine": self.engine,
            "model": self.model,
            "mirror": self.mirror,
            "gain": self.tuning.gain,
            "smoothing": self.tuning.smoothing,
            "mouth": self.tuning.mouth,
            "reference": self.reference,
            "start": self.start,
            "end": self.end,
            "face": self.face,
            "crf": self.crf,
            "compare": self.compare,
            "transparent": self.transparent,
            "watermark": self.watermark,
            "label": self.label,
            "label_position": self.label_position,
        }


@dataclass(frozen=True)
class Report:
    """What was made. lost: frames in which nobody was seen. skipped: damaged packets. whole: not stopped on the way. resumed: frames
    that were there already."""

    frames: int
    lost: int
    skipped: int
    whole: bool
    size: Size
    resumed: int = 0


class Rendering:
    """Makes one film. engine: shared between renderings one after the other, closed by whoever opened it."""

    def __init__(self, job: Job, engine: Engine, *, progress: Progress | None = None, stop: threading.Event | None = None) -> None:
        """Raises UsageError for a label or a certificate that cannot be used."""
        self.job = job
        self.engine = engine
        self.progress = progress or Silent()
        self.stop = stop or threading.Event()
        self.lost = 0
        self.mark = Mark(watermark=job.watermark, label=job.label, corner=job.label_position, film=True)
        self.identity = identity_from(*job.sign_with) if job.sign_with else None

    def run(self) -> Report:
        """Make the film. Raises UsageError, PortraitError, SourceError or SinkError in one line; a stopped or failed film is playable."""
        job = self.job
        if not is_sequence(job.output):
            film_format(job.output.suffix.lower(), transparent=job.transparent)  # refused before anything is worked on
        footage = open_footage(job.driving, mirror=job.mirror, progress=self.progress, stop=self.stop)
        try:
            if job.compare and footage.size is None:
                raise UsageError(f"{job.driving} holds no pictures to compare with: leave --compare out")
            return self._make(footage)
        finally:
            footage.close()

    def _make(self, footage: Footage) -> Report:
        job = self.job
        before = self._recall()
        if before is None and job.resume and job.output.is_file():
            log.info("%s is whole already", job.output)
            return finished_film(job.output)
        first = footage.first_pts(job.start or 0.0)
        avatar = self.prepare()
        references = before.references if before else footage.references(self.engine, avatar, job.reference, job.start or 0.0, job.end)
        if self.stop.is_set():
            return Report(0, 0, 0, False, self._size(avatar, footage))
        if not references:
            raise UsageError(f"no face found in {job.driving}: choose a clip in which one face is well visible")
        rest = footage.at_rest(self.engine, references, job.tuning.smoothing)
        shift = first if job.start else 0
        writer = self.open_writer(job.output if before is None else resumed_name(job.output), avatar, footage, shift)
        resumable = isinstance(writer, FilmWriter) and job.output.suffix.lower() != ".gif"
        if resumable:
            remember(job.output, Unfinished(job.settings(), references, self.mark.session_id))
        motion = self._motion_writer(footage, rest)
        resumed = 0
        taken_over = before is None
        try:
            done = writer.append(job.output) if before is not None and isinstance(writer, FilmWriter) else None
            resumed, taken_over = writer.written, True
            self.progress.stage("rendering", footage.count(job.start or 0.0, job.end))
            for _ in range(resumed):
                self.progress.advance()
            clock = Clock(footage.time_base, clock_of(job.output.suffix.lower(), footage.time_base), shift)
            after = None if done is None else clock.source(done)
            for moment, picture in self.pictures(avatar, footage, rest, after=after, each=motion.write if motion else None):
                if self.stop.is_set():  # what was only looked ahead at is left for whoever goes on
                    break
                writer.write(picture, clock(moment.pts))
                self.progress.advance()
            whole = not self.stop.is_set()
            writer.close(whole=whole)
            if motion:
                motion.close()
        except BaseException:
            writer.abandon()
            raise
        finally:
            if writer.path != job.output and writer.path.is_file():
                if taken_over and writer.written:
                    os.replace(writer.path, job.output)
                else:
                    writer.path.unlink()
        if whole:
            self._sign()
            forget(job.output)
        return Report(writer.written, self.lost, footage.skipped, whole, self._size(avatar, footage), resumed)

    def prepare(self) -> Avatar:
        """The portrait made ready, at its own size: live, an engine may reduce a large one, a film has the time for all of it."""
        self.progress.stage("preparing", None)
        portrait = load_portrait(self.job.avatar, LARGEST_PX)
        height, width = portrait.shape[:2]
        own = (width - width % 2, height - height % 2) if max(width, height) > LIVE_LIMIT else None
        return self.engine.prepare(portrait, self.job.size or own)

    def open_writer(self, path: Path, avatar: Avatar, footage: Footage, shift: int, *, silent: bool = False) -> FilmWriter | StillsWriter:
        """What takes the finished pictures. silent: leave the sound to others."""
        job = self.job
        suffix = job.output.suffix.lower()
        if is_sequence(path):
            return StillsWriter(path, time_base=footage.time_base)
        sound: Soundtrack | None = None
        if not silent:
            sound = footage.sound(Fraction(shift) * footage.time_base if job.start else None, job.end)
        if sound is not None and suffix == ".gif":
            log.info("a GIF has no sound: the film's is left out")
            sound.close()
            sound = None
        return FilmWriter(
            path,
            self._size(avatar, footage),
            format=film_format(suffix, transparent=job.transparent),
            fps=footage.fps,
            time_base=clock_of(suffix, footage.time_base),
            crf=job.crf,
            sound=sound,
        )

    def pictures(
        self,
        avatar: Avatar,
        footage: Footage,
        rest: list[tuple[int, Motion]],
        *,
        after: int | None = None,
        before: int | None = None,
        each: Callable[[Moment], None] | None = None,
    ) -> Iterator[tuple[Moment, NDArray[np.uint8]]]:
        """Finished pictures in order, several being drawn at once; only those later than `after` and earlier than `before` (timestamps).

        The moments around them are looked at as well, so that pieces of a film made apart fit together.
        """
        job, start = self.job, self.job.start or 0.0
        tuning = job.tuning
        if after is not None:
            start = max(start, float((after - footage.start_pts) * footage.time_base) - AROUND_S)
        end = job.end
        if before is not None:
            piece_end = float((before - footage.start_pts) * footage.time_base) + AROUND_S
            end = piece_end if end is None else min(end, piece_end)
        moments = footage.moments(self.engine, start, end, tuning.smoothing, pictures=job.compare, each=each)
        acts = act(self.engine, avatar, moments, rest, tuning)

        def wanted() -> Iterator[Act]:
            for one in acts:
                if before is not None and one.moment.pts >= before:
                    return
                if after is None or one.moment.pts > after:
                    yield one

        def draw(one: Act) -> tuple[Moment, Image, Image | None]:
            return replace(one.moment, picture=None), self.engine.render(avatar, one.motion, tuning), one.moment.picture

        cutout = Cutout() if job.transparent else None
        try:
            for moment, picture, driver in in_order(draw, self._counted(wanted()), workers=min(4, os.cpu_count() or 1)):
                finished: NDArray[np.uint8] = self.mark.apply(picture)
                if cutout is not None:
                    finished = cutout(picture, finished)
                if driver is not None:
                    finished = side_by_side(driver, finished)
                yield moment, finished
        finally:
            if cutout is not None:
                cutout.close()

    def _recall(self) -> Unfinished | None:
        job = self.job
        if not job.resume:
            return None
        if is_sequence(job.output) or job.output.suffix.lower() == ".gif":
            raise UsageError(f"a {job.output.suffix} cannot be gone on with: render it again without --resume")
        before = recall(job.output, job.settings())
        if before is not None:
            self.mark = Mark(before.session_id, watermark=job.watermark, label=job.label, corner=job.label_position, film=True)
        return before

    def _motion_writer(self, footage: Footage, rest: list[tuple[int, Motion]]) -> MotionWriter | None:
        if self.job.motion is None:
            return None
        return MotionWriter(
            self.job.motion,
            engine=self.engine.name,
            references=rest,
            start_pts=footage.start_pts,
            time_base=footage.time_base,
            fps=footage.fps,
        )

    def _sign(self) -> None:
        """Put content credentials into the finished film, where its format has a place for them."""
        output, mark = self.job.output, self.mark
        if output.is_file() and output.stat().st_size and signable(output):
            facts = Facts(engine=self.engine.name, watermark=mark.watermark, session_id=mark.session_id, label=mark.label)
            try:
                sign_file(output, facts=facts, identity=self.identity)
            except SinkError as error:
                log.warning("%s", error)

    def _counted(self, acts: Iterable[Act]) -> Iterator[Act]:
        """The acts; those without a driver are counted, and longer absences said."""
        gap: float | None = None
        for one in acts:
            if not one.seen:
                self.lost += 1
                gap = one.moment.seconds if gap is None else gap
            elif gap is not None:
                if one.moment.seconds - gap > 0.5:
                    log.info("nobody is seen from %.1f to %.1f s: the avatar idles there", gap, one.moment.seconds)
                gap = None
            yield one

    def _size(self, avatar: Avatar, footage: Footage) -> Size:
        height, width = avatar.image.shape[:2]
        return (compared_width(footage.size, height) + width, height) if self.job.compare and footage.size else (width, height)


class Clock:
    """Timestamps of the driving film -> those of the output, which may tick more coarsely (a GIF in hundredths); they always grow."""

    def __init__(self, source: Fraction, target: Fraction, shift: int) -> None:
        self._factor, self._shift = source / target, shift
        self._last: int | None = None

    def __call__(self, pts: int) -> int:
        ticks = round((pts - self._shift) * self._factor)
        self._last = ticks if self._last is None else max(ticks, self._last + 1)
        return self._last

    def source(self, ticks: int) -> int:
        """The driving film's last timestamp that becomes `ticks` or less; later calls go on behind it."""
        self._last = ticks
        return int((ticks + Fraction(1, 2)) / self._factor) + self._shift


def finished_film(path: Path) -> Report:
    """The report on a film that is there."""
    film = Film(path)
    try:
        frames = film.frame_count or film.count_packets()
        return Report(frames, 0, 0, True, film.size, frames)
    finally:
        film.close()


def resumed_name(output: Path) -> Path:
    """Where the new film is written while the old one is still needed."""
    return output.with_stem(output.stem + ".resumed")


def compared_width(driver: Size, height: int) -> int:
    """Width of the driver's picture beside an avatar of this height."""
    return max(2, round(driver[0] * height / driver[1] / 2) * 2)


def side_by_side(driver: Image, avatar: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The driver's picture at the avatar's height, left of it; opaque where the avatar has transparency."""
    height = avatar.shape[0]
    width = compared_width((driver.shape[1], driver.shape[0]), height)
    way = cv2.INTER_AREA if driver.shape[0] > height else cv2.INTER_LINEAR
    left = np.asarray(cv2.resize(driver, (width, height), interpolation=way), np.uint8)
    if avatar.shape[2] == 4:
        left = np.concatenate([left, np.full((*left.shape[:2], 1), 255, np.uint8)], axis=2)
    return np.concatenate([left, avatar], axis=1)


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
