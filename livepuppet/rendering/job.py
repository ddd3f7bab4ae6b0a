"""One video to make: what it is made from and how, and what surrounds its pictures: clock, sound, container, signature."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from livepuppet.provenance.label import Corner
from livepuppet.provenance.marks import Mark, sign_video
from livepuppet.provenance.signing import load_identity
from livepuppet.rendering.driver import Driver, ReferenceChoice
from livepuppet.rendering.resume import fingerprint
from livepuppet.types import Size, Tuning
from livepuppet.video.audio import AudioTrack
from livepuppet.video.reader import VideoReader
from livepuppet.video.writer import VideoWriter, output_time_base, video_format

log = logging.getLogger(__name__)

DEFAULT_CRF = 16

REFERENCE_S = 2.0
"""Of a reference outside the range that is rendered, so much is looked at to see who is there."""


@dataclass(frozen=True)
class RenderJob:
    """One video to make. Times in seconds of the driving video.

    Attributes:
        size: None takes the portrait's own.
        face: which of several people drives, None the largest and steadiest.
        avatar_face: which of several faces of the portrait moves, None the largest.
        motion: where to save the driver's motion.
        resume: go on with an interrupted video.
    """

    avatar: Path
    driving: str
    output: Path
    size: Size | None = None
    engine: str = "landmark"
    model: str | None = None
    device: str = "auto"
    mirror: bool = False
    tuning: Tuning = field(default_factory=Tuning)
    reference: ReferenceChoice = "best"
    start: float | None = None
    end: float | None = None
    face: int | None = None
    avatar_face: int | None = None
    crf: int = DEFAULT_CRF
    compare: bool = False
    motion: Path | None = None
    transparent: bool = False
    resume: bool = False
    watermark: bool = True
    label: str | None = None
    label_position: Corner = "bottom-right"
    sign_with: tuple[Path, Path] | None = None

    @property
    def spans(self) -> list[tuple[float, float | None]]:
        """The parts of the driving video that are used, seconds: what is rendered, and where the reference is, if that is elsewhere."""
        begin, end = self.start or 0.0, self.end
        spans: list[tuple[float, float | None]] = [(begin, end)]
        if not isinstance(self.reference, str):
            at = float(self.reference)
            if at < begin:
                spans.append((at, min(at + REFERENCE_S, begin)))
            elif end is not None and at >= end:
                spans.append((at, at + REFERENCE_S))
        return spans

    def settings(self) -> dict[str, Any]:
        """What decides how the video looks, for recognising a video that was begun with something else."""
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
            "avatar_face": self.avatar_face,
            "crf": self.crf,
            "compare": self.compare,
            "transparent": self.transparent,
            "watermark": self.watermark,
            "label": self.label,
            "label_position": self.label_position,
        }


@dataclass(frozen=True)
class RenderResult:
    """What was made.

    Attributes:
        lost: frames in which nobody was seen.
        skipped: damaged packets.
        whole: not stopped on the way.
        resumed: frames that were there already.
    """

    frames: int
    lost: int
    skipped: int
    whole: bool
    size: Size
    resumed: int = 0


class TimestampMapper:
    """Timestamps of the driving video -> those of the output, which may tick more coarsely (a GIF in hundredths); they always grow."""

    def __init__(self, source: Fraction, target: Fraction, shift: int) -> None:
        self._factor, self._shift = source / target, shift
        self._last: int | None = None

    def __call__(self, pts: int) -> int:
        ticks = round((pts - self._shift) * self._factor)
        self._last = ticks if self._last is None else max(ticks, self._last + 1)
        return self._last

    def source(self, ticks: int) -> int:
        """The driving video's last timestamp that becomes `ticks` or less; later calls go on behind it."""
        self._last = ticks
        return int((ticks + Fraction(1, 2)) / self._factor) + self._shift


def open_video_writer(job: RenderJob, path: Path, size: Size, driver: Driver, audio: AudioTrack | None) -> VideoWriter:
    """A video of the job's kind."""
    suffix = job.output.suffix.lower()
    return VideoWriter(
        path,
        size,
        format=video_format(suffix, transparent=job.transparent),
        fps=driver.fps,
        time_base=output_time_base(suffix, driver.time_base),
        crf=job.crf,
        audio=audio,
    )


def open_audio(job: RenderJob, driver: Driver, shift: int) -> AudioTrack | None:
    """The driving video's sound; the timestamp `shift` becomes 0."""
    audio = driver.audio(shift * driver.time_base, bool(job.start), job.end)
    if audio is not None and job.output.suffix.lower() == ".gif":
        log.info("a GIF has no sound: the video's is left out")
        audio.close()
        return None
    return audio


def sign_output(job: RenderJob, mark: Mark) -> None:
    """Put content credentials into the finished video, where its format has a place for them."""
    sign_video(job.output, job.engine, mark, load_identity(*job.sign_with) if job.sign_with else None)


def existing_result(path: Path) -> RenderResult:
    """The report on a video that is there."""
    video = VideoReader(path)
    try:
        frames = video.frame_count or video.count_packets()
        return RenderResult(frames, 0, 0, True, video.size, frames)
    finally:
        video.close()


def resumed_name(output: Path) -> Path:
    """Where the new video is written while the old one is still needed."""
    return output.with_stem(output.stem + ".resumed")
