"""A photo and a video in, a finished video out: one output frame for every driving frame, at its own time, with its own sound."""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from livepuppet.errors import FrameError, UsageError
from livepuppet.provenance.marks import Mark
from livepuppet.provenance.signing import load_identity
from livepuppet.rendering.driver import AROUND_S, Driver, Progress, SilentProgress
from livepuppet.rendering.job import (
    RenderJob,
    RenderResult,
    TimestampMapper,
    check_files,
    check_job,
    check_start,
    find_whole,
    finish_output,
    open_audio,
    open_output,
    open_video_writer,
    refuse_another,
)
from livepuppet.rendering.matting import PersonMatting
from livepuppet.rendering.motion_file import MotionWriter
from livepuppet.rendering.resume import ResumeNote, digest_settings, has_frames, read_note
from livepuppet.rendering.retargeting import RetargetedFrame, retarget_frames
from livepuppet.rendering.speech_driver import open_job_driver
from livepuppet.rendering.tracking import DriverFrame, Reference
from livepuppet.types import AnyEngine, Avatar, Image, Motion, Size
from livepuppet.video.image_sequence import ImageSequenceWriter, is_image_sequence
from livepuppet.video.output import VideoOutput
from livepuppet.video.writer import VideoWriter, output_time_base
from livepuppet.vision.portrait import LIVE_LIMIT, load_portrait

log = logging.getLogger(__name__)

IN_FLIGHT_BYTES = 256 << 20
WORK_BYTES_PER_PX = 20
"""What drawing one frame takes at once (its maps of places, as float32, and its images), and what all that are drawn at once may take."""

LARGEST_PX = 4096
"""Longest side of a portrait in a video: what players of H.264 can be expected to show."""


class RenderPipeline:
    """Makes one video.

    Attributes:
        engine: shared between renderings one after the other, closed by whoever opened it.
    """

    def __init__(
        self,
        job: RenderJob,
        engine: AnyEngine,
        *,
        progress: Progress | None = None,
        stop: threading.Event | None = None,
        session_id: int | None = None,
    ) -> None:
        """session_id: the watermark's, drawn at random unless given. Raises UsageError for a label or a certificate that cannot be used."""
        self.job = job
        self.engine = engine
        self.progress = progress or SilentProgress()
        self.stop = stop or threading.Event()
        self.lost = 0
        self.mark = Mark(session_id, watermark=job.watermark, label=job.label, corner=job.label_position, video=True)
        if job.sign_with:
            load_identity(*job.sign_with)  # refused before anything is worked on

    def run(self) -> RenderResult:
        """Make the video.

        Raises:
            UsageError, PortraitError, SourceError, SinkError: in one line; of a stopped or failed video what was made is playable, and a
                video that was there before is as it was.
        """
        job = self.job
        check_job(job)  # refused before anything is worked on
        check_files(job)
        settings = job.settings()
        if job.resume and (whole := find_whole(job, settings)):
            return whole
        with open_output(job) as output:
            before = self._recall(output, settings)
            check_start(job)
            avatar = self.prepare()
            driver = open_job_driver(job, progress=self.progress, stop=self.stop)
            try:
                if job.compare and driver.size is None:
                    raise UsageError(f"{job.driving} holds no images to compare with", parameter="compare")
                return self._make(driver, avatar, output, settings, before)
            finally:
                driver.close()

    def _make(
        self, driver: Driver, avatar: Avatar, output: VideoOutput, settings: dict[str, Any], before: ResumeNote | None
    ) -> RenderResult:
        job = self.job
        size = self._size(avatar, driver)
        first = driver.first_pts(job.start or 0.0)
        old = output.working if before is not None and has_frames(output.working) else None
        if before is not None and old is not None:
            references = before.references
        else:
            references = driver.references(self.engine, avatar, job.reference, job.start or 0.0, job.end)
        if self.stop.is_set():
            return RenderResult(0, 0, 0, False, size, path=output.working if output.left else None)
        if not references:
            raise UsageError(f"no face found in {job.driving}: choose a clip in which one face is well visible")
        rest = driver.at_rest(self.engine, references, job.tuning.smoothing)
        shift = first if job.start else driver.origin_pts
        replaces = job.overwrite or (before is not None and before.replaces)
        place = output.resume() if old else output.begin()
        output.write_note(ResumeNote(settings, references, self.mark.session_id, replaces).text())
        writer = self.open_writer(place, avatar, driver, shift, digest=digest_settings(settings))
        motion = self._motion_writer(driver, rest)
        resumed = 0
        try:
            done = None
            if old is not None and isinstance(writer, VideoWriter):
                done = writer.append(old)
                writer.renamed(output.taken_over(writer.path) if writer.written else writer.path)
            resumed = writer.written
            self.progress.stage("rendering", driver.count(job.start or 0.0, job.end))
            for _ in range(resumed):
                self.progress.advance()
            clock = TimestampMapper(driver.time_base, output_time_base(job.output.suffix.lower(), driver.time_base), shift)
            after = None if done is None else clock.source(done)
            for driver_frame, image in self.images(avatar, driver, rest, after=after, each=motion.write if motion else None):
                if self.stop.is_set():  # what was only looked ahead at is left for whoever goes on
                    break
                writer.write(image, clock(driver_frame.pts))
                self.progress.advance()
            whole = not self.stop.is_set()
            writer.close(whole=whole)
            if whole:
                if motion:
                    motion.close()
                finish_output(job, output, self.mark, digest_settings(settings), overwrite=replaces)
        except BaseException:
            writer.abandon()
            raise
        finally:
            if motion:
                motion.abandon()
        path = output.path if whole else output.working if output.left else None
        return RenderResult(writer.written, self.lost, driver.skipped, whole, size, resumed, path)

    def render_chunk(self, driver: Driver, references: list[Reference], path: Path, after: int, before: int | None) -> RenderResult:
        """Make the pictures later than `after` and earlier than `before` as a silent video of their own, to be joined with others."""
        job = self.job
        avatar = self.prepare()
        shift = driver.first_pts(job.start) if job.start else driver.origin_pts
        margin = round(2 * AROUND_S / driver.time_base)
        needed = references_between(references, after - margin, None if before is None else before + margin)
        rest = driver.at_rest(self.engine, needed, job.tuning.smoothing)
        clock = TimestampMapper(driver.time_base, output_time_base(job.output.suffix.lower(), driver.time_base), shift)
        writer = self.open_writer(path, avatar, driver, shift, silent=True)
        try:
            for driver_frame, image in self.images(avatar, driver, rest, after=after, before=before):
                writer.write(image, clock(driver_frame.pts))
            writer.close()
        except BaseException:
            writer.abandon()
            raise
        return RenderResult(writer.written, self.lost, driver.skipped, True, self._size(avatar, driver))

    def prepare(self) -> Avatar:
        """The portrait made ready, at its own size: live, an engine may reduce a large one, a video has the time for all of it."""
        self.progress.stage("preparing", None)
        portrait = load_portrait(self.job.avatar, LARGEST_PX)
        height, width = portrait.shape[:2]
        own = (width - width % 2, height - height % 2) if max(width, height) > LIVE_LIMIT else None
        chosen = {} if self.job.avatar_face is None else {"face": self.job.avatar_face}
        avatar: Avatar = self.engine.prepare(portrait, self.job.size or own, **chosen)
        return avatar

    def open_writer(
        self, path: Path, avatar: Avatar, driver: Driver, shift: int, *, silent: bool = False, digest: str = ""
    ) -> VideoWriter | ImageSequenceWriter:
        """What takes the finished pictures.

        Args:
            silent: leave the sound to others.
            digest: by which the video is recognised when it is whole.
        """
        if is_image_sequence(path):
            return ImageSequenceWriter(path, time_base=driver.time_base, comment=digest)
        audio = None if silent else open_audio(self.job, driver, shift)
        return open_video_writer(self.job, path, self._size(avatar, driver), driver, audio, digest)

    def images(
        self,
        avatar: Avatar,
        driver: Driver,
        rest: list[tuple[int, Motion]],
        *,
        after: int | None = None,
        before: int | None = None,
        each: Callable[[DriverFrame], None] | None = None,
    ) -> Iterator[tuple[DriverFrame, NDArray[np.uint8]]]:
        """Finished pictures in order, several being drawn at once; only those later than `after` and earlier than `before` (timestamps).

        The moments around them are looked at as well, so that chunks of a video made apart fit together.
        """
        job, start = self.job, self.job.start or 0.0
        tuning = job.tuning
        if after is not None and each is None:
            start = max(start, float((after - driver.start_pts) * driver.time_base) - AROUND_S)
        end = job.end
        if before is not None:
            chunk_end = float((before - driver.start_pts) * driver.time_base) + AROUND_S
            end = chunk_end if end is None else min(end, chunk_end)
        height = avatar.image.shape[0]
        beside_size = (comparison_width(driver.size, height), height) if job.compare and driver.size else None
        driver_frames = driver.driver_frames(self.engine, start, end, tuning.smoothing, images=beside_size, each=each)
        acts = retarget_frames(self.engine, avatar, driver_frames, rest, tuning)

        def wanted() -> Iterator[RetargetedFrame]:
            for one in acts:
                if before is not None and one.driver_frame.pts >= before:
                    return
                if after is None or one.driver_frame.pts > after:
                    yield one

        def draw(one: RetargetedFrame) -> tuple[DriverFrame, Image | None, Image | None]:
            """In one of several threads. No picture: the motion gave none, the one before stays."""
            try:
                image = self.engine.render(avatar, one.motion, tuning)
            except FrameError:
                image = None
            return replace(one.driver_frame, image=None), image, one.driver_frame.image

        cutout = PersonMatting() if job.transparent else None
        try:
            held = avatar.image
            for driver_frame, image, beside in map_in_order(draw, self._counted(wanted()), workers=workers_for(avatar.image)):
                held = held if image is None else image
                finished: NDArray[np.uint8] = self.mark.apply(held)
                if cutout is not None:
                    finished = cutout(held, finished)
                if beside is not None:
                    finished = side_by_side(beside, finished)
                yield driver_frame, finished
        finally:
            if cutout is not None:
                cutout.close()

    def _recall(self, output: VideoOutput, settings: dict[str, Any]) -> ResumeNote | None:
        """What an interrupted run noted, if it is to be gone on with."""
        job = self.job
        if not job.resume:
            if output.left and output.note:
                log.info(
                    "%s is left of an interrupted run, and will be replaced: resuming would go on with it",
                    output.working,
                    extra={"parameter": "resume"},
                )
            return None
        if not job.resumable:
            raise UsageError(f"a {job.output.suffix} cannot be resumed: render it again from the beginning", parameter="resume")
        before = read_note(job.output, output.note, settings)
        if before is None or not before.replaces:
            refuse_another(job, begun=before is not None)
        if before is None or not has_frames(output.working):
            log.info("nothing was made of %s yet: it begins at its beginning", job.output)
        if before is not None:
            self.mark = Mark(before.session_id, watermark=job.watermark, label=job.label, corner=job.label_position, video=True)
        return before

    def _motion_writer(self, driver: Driver, rest: list[tuple[int, Motion]]) -> MotionWriter | None:
        if self.job.motion is None:
            return None
        return MotionWriter(
            self.job.motion,
            engine=self.engine.name,
            references=rest,
            start_pts=driver.start_pts,
            time_base=driver.time_base,
            fps=driver.fps,
        )

    def _counted(self, acts: Iterable[RetargetedFrame]) -> Iterator[RetargetedFrame]:
        """The acts; those without a driver are counted, and longer absences said."""
        gap: float | None = None
        for one in acts:
            if not one.seen:
                self.lost += 1
                gap = one.driver_frame.seconds if gap is None else gap
            elif gap is not None:
                if one.driver_frame.seconds - gap > 0.5:
                    log.info("nobody is seen from %.1f to %.1f s: the avatar idles there", gap, one.driver_frame.seconds)
                gap = None
            yield one

    def _size(self, avatar: Avatar, driver: Driver) -> Size:
        height, width = avatar.image.shape[:2]
        return (comparison_width(driver.size, height) + width, height) if self.job.compare and driver.size else (width, height)


def workers_for(image: Image) -> int:
    """How many frames of that size are drawn at once: as many as there are cores, up to 4, and as few as memory asks for."""
    work = image.shape[0] * image.shape[1] * WORK_BYTES_PER_PX
    return max(1, min(4, os.cpu_count() or 1, IN_FLIGHT_BYTES // work))


def references_between(references: list[Reference], low: int, high: int | None) -> list[Reference]:
    """Those references that count somewhere between two timestamps."""
    following: list[int | None] = [*(r.since for r in references[1:]), None]
    return [r for r, end in zip(references, following, strict=True) if (end is None or end > low) and (high is None or r.since < high)]


def comparison_width(driver: Size, height: int) -> int:
    """Width of the driver's image beside an avatar of this height."""
    return max(2, round(driver[0] * height / driver[1] / 2) * 2)


def side_by_side(driver: Image, avatar: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The driver's image at the avatar's height, left of it; opaque where the avatar has transparency."""
    height = avatar.shape[0]
    width = comparison_width((driver.shape[1], driver.shape[0]), height)
    interpolation = cv2.INTER_AREA if driver.shape[0] > height else cv2.INTER_LINEAR
    left = np.asarray(cv2.resize(driver, (width, height), interpolation=interpolation), np.uint8)
    if avatar.shape[2] == 4:
        left = np.concatenate([left, np.full((*left.shape[:2], 1), 255, np.uint8)], axis=2)
    return np.concatenate([left, avatar], axis=1)


Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_order(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
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
