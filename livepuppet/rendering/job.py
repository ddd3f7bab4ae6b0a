"""One video to make: what it is made from and how, and what surrounds its pictures: clock, sound, container, signature."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, TypeAlias

from livepuppet.errors import OutputExistsError, PortraitError, SinkError, UsageError
from livepuppet.files import check_ending, check_folder, is_same_file, refuse_existing, refuse_overwriting, unfinished_path
from livepuppet.provenance.label import Corner
from livepuppet.provenance.marks import Mark, sign_video
from livepuppet.provenance.signing import load_identity
from livepuppet.rendering.driver import Driver, ReferenceChoice, check_motion_request, is_motion_file
from livepuppet.rendering.resume import digest_settings, fingerprint, read_digest, write_gif_comment
from livepuppet.types import Size, Tuning
from livepuppet.video.audio import AudioTrack
from livepuppet.video.container import is_url
from livepuppet.video.image_sequence import TIMES, ImageSequenceOutput, check_sequence_name, is_image_sequence
from livepuppet.video.output import VideoOutput
from livepuppet.video.reader import VideoReader
from livepuppet.video.writer import VideoWriter, output_time_base, video_format

log = logging.getLogger(__name__)

DEFAULT_CRF = 16
MouthFrom: TypeAlias = Literal["driver", "sound"]

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
        fps: pictures a second where the driver is sound alone, None for 25.
        speech: a recording that moves the mouth and is heard, instead of the driving video's own sound.
        mouth_from: what moves the mouth: the driver that is seen, or the sound.
        overwrite: the video, and the motion file, may take the place of files that are there.
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
    fps: float | None = None
    speech: str | None = None
    mouth_from: MouthFrom = "driver"
    overwrite: bool = False
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
            "fps": self.fps,
            "speech": None if self.speech is None else fingerprint(self.speech),
            "mouth_from": self.mouth_from,
            "watermark": self.watermark,
            "label": self.label,
            "label_position": self.label_position,
        }

    @property
    def resumable(self) -> bool:
        """Whether its kind of video can be gone on with."""
        return not is_image_sequence(self.output) and self.output.suffix.lower() != ".gif"

    @property
    def written(self) -> list[tuple[str, Path | None]]:
        """What it writes, each with its parameter."""
        times = [("output", self.output.with_name(TIMES))] if is_image_sequence(self.output) else []
        return [("output", self.output), *times, ("motion", self.motion)]


@dataclass(frozen=True)
class RenderResult:
    """What was made.

    Attributes:
        lost: frames in which nobody was seen.
        skipped: damaged packets.
        whole: not stopped on the way.
        resumed: frames that were there already.
        path: the video; while it is not whole, where what was made of it lies; None where nothing was.
        existing: it was whole before, and nothing was done.
    """

    frames: int
    lost: int
    skipped: int
    whole: bool
    size: Size
    resumed: int = 0
    path: Path | None = None
    existing: bool = False


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


def check_job(job: RenderJob) -> None:
    """Refuse what can be seen to be wrong in the request itself, before anything is opened.

    Raises:
        UsageError: times that contradict each other, a name of no kind of video, or an output that would destroy an input or another
            output.
    """
    if job.end is not None and job.end <= (job.start or 0.0):
        raise UsageError(f"the end, {job.end:g} s, is not after the start, {job.start or 0:g} s", parameter="end")
    read = [job.avatar, *map(Path, (job.driving, *([job.speech] if job.speech else []))), *(job.sign_with or ())]
    refuse_overwriting(read, [("output", job.output), ("motion", job.motion)])
    for path in read:
        if path.exists() and is_same_file(unfinished_path(job.output), path):
            raise UsageError(f"{path} is needed while {job.output} is written: choose another name", parameter="output")
    if is_image_sequence(job.output):
        check_sequence_name(job.output)
    else:
        video_format(job.output.suffix.lower(), transparent=job.transparent)
    check_ending(job.motion, (".npz",), "motion", "a motion file")
    if is_motion_file(job.driving):
        check_motion_request(mirror=job.mirror, face=job.face)
        if job.compare:
            raise UsageError(f"{job.driving} holds no images to compare with", parameter="compare")


def check_files(job: RenderJob) -> None:
    """Refuse what can be seen to be wrong on the disk: inputs that are not there, outputs that could not be written, or would overwrite
    something unasked.

    Raises:
        PortraitError, UsageError: in one line.
        OutputExistsError: a file is there already.
    """
    if not job.avatar.exists():
        raise PortraitError(f"no such picture: {job.avatar}", parameter="avatar")
    if not is_url(job.driving) and not Path(job.driving).exists():
        VideoReader(job.driving).close()  # says what is wrong with it
    if job.speech is not None and not Path(job.speech).is_file():
        raise UsageError(f"no such recording: {job.speech}", parameter="speech")
    for parameter, path in job.written:
        check_folder(path, parameter, SinkError)
    if not job.resume:
        refuse_existing(job.written, overwrite=job.overwrite)


def check_start(job: RenderJob) -> None:
    """Refuse a beginning behind the end of the driving video before anything is searched in it.

    Raises:
        UsageError, SourceError: its message says what is wrong.
    """
    if not job.start or is_url(job.driving) or is_motion_file(job.driving):
        return
    video = VideoReader(job.driving, limit=64)
    try:
        if video.duration is not None and job.start >= video.duration:
            raise UsageError(f"{job.driving} ends before {job.start:g} s", parameter="start")
    finally:
        video.close()


def find_whole(job: RenderJob, settings: dict[str, Any]) -> RenderResult | None:
    """The report on a job's video that is there, whole, and made of the same inputs with the same settings; None where it is not."""
    if read_digest(job.output) != digest_settings(settings) or (job.motion is not None and not job.motion.exists()):
        return None
    if is_image_sequence(job.output):
        frames = len(job.output.with_name(TIMES).read_text().splitlines()) - 1
        return RenderResult(frames, 0, 0, True, (0, 0), frames, job.output, existing=True)
    video = VideoReader(job.output)
    try:
        frames = video.frame_count or video.count_packets()
        return RenderResult(frames, 0, 0, True, video.size, frames, job.output, existing=True)
    finally:
        video.close()


def open_output(job: RenderJob) -> VideoOutput:
    """The video's place, held until it is closed.

    Raises:
        UsageError, SinkError: somebody else writes there, or nobody can.
    """
    return ImageSequenceOutput(job.output) if is_image_sequence(job.output) else VideoOutput(job.output)


def refuse_another(job: RenderJob, *, begun: bool) -> None:
    """For a video that is to be gone on with: what is there in its place is something else.

    Args:
        begun: whether there is anything to go on with.

    Raises:
        OutputExistsError: unless it may be overwritten.
    """
    try:
        refuse_existing(job.written, overwrite=job.overwrite)
    except OutputExistsError as error:
        if begun or not job.output.exists():
            raise
        raise OutputExistsError(
            f"nothing was made of this video yet, and {job.output} is another one: choose another name, or allow overwriting",
            parameter=error.parameter,
        ) from error


def finish_output(job: RenderJob, output: VideoOutput, mark: Mark, digest: str, *, overwrite: bool) -> None:
    """Sign a whole video, where its format has a place for that, and give it its name.

    Raises:
        SinkError: another file came to be there, or it cannot be renamed.
    """
    if not output.special and job.output.suffix.lower() == ".gif":
        write_gif_comment(output.working, digest)
    sign_video(output.working, job.engine, mark, load_identity(*job.sign_with) if job.sign_with else None)
    output.commit(overwrite=overwrite)


def open_video_writer(job: RenderJob, path: Path, size: Size, driver: Driver, audio: AudioTrack | None, digest: str = "") -> VideoWriter:
    """A video of the job's kind. digest: by which it is recognised when it is whole."""
    suffix = job.output.suffix.lower()
    return VideoWriter(
        path,
        size,
        format=video_format(suffix, transparent=job.transparent),
        fps=driver.fps,
        time_base=output_time_base(suffix, driver.time_base),
        crf=job.crf,
        audio=audio,
        comment=digest,
    )


def open_audio(job: RenderJob, driver: Driver, shift: int) -> AudioTrack | None:
    """The driving video's sound; the timestamp `shift` becomes 0."""
    audio = driver.audio(shift * driver.time_base, bool(job.start), job.end)
    if audio is not None and job.output.suffix.lower() == ".gif":
        log.info("a GIF has no sound: the video's is left out")
        audio.close()
        return None
    return audio
