"""`livepuppet.render`: a portrait and a driving video in, a finished video out."""

from __future__ import annotations

import threading
from pathlib import Path

from livepuppet.factory import open_engine
from livepuppet.provenance.label import Corner
from livepuppet.rendering.driver import Progress, ReferenceChoice
from livepuppet.rendering.job import DEFAULT_CRF, MouthFrom, RenderJob, RenderResult, check_files, check_job
from livepuppet.rendering.pipeline import RenderPipeline
from livepuppet.types import AnyEngine, Size, Tuning


def render(
    avatar: str | Path,
    driving: str | Path,
    output: str | Path,
    *,
    reference: ReferenceChoice = "best",
    engine: str | AnyEngine = "landmark",
    model: str | None = None,
    device: str = "auto",
    size: Size | None = None,
    start: float | None = None,
    end: float | None = None,
    face: int | None = None,
    avatar_face: int | None = None,
    tuning: Tuning | None = None,
    mirror: bool = False,
    crf: int = DEFAULT_CRF,
    transparent: bool = False,
    compare: bool = False,
    motion: str | Path | None = None,
    resume: bool = False,
    fps: float | None = None,
    speech: str | Path | None = None,
    mouth_from: MouthFrom = "driver",
    overwrite: bool = False,
    watermark: bool = True,
    label: str | None = None,
    label_position: Corner = "bottom-right",
    sign_with: tuple[Path, Path] | None = None,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
) -> RenderResult:
    """Make a video in which a portrait moves as the driver of another one does: frame for frame, at its own times, with its sound.

    Every frame carries the invisible mark and the file content credentials, unless told not to.

    Args:
        avatar: the portrait, a picture file.
        driving: a video, an address, a motion file (.npz), or sound alone, whose voice then moves the portrait.
        output: .mp4, .mkv, .webm, .mov (ProRes), .gif, or numbered pictures ('x_%05d.png').
        reference: the driving frame from which motion is counted: 'best' (nearest to the portrait's pose and expression), 'first', or a
            time in seconds.
        engine: an engine, which stays open, or the name of one.
        model, device: for an engine that is named, see `open_engine`.
        size: of the output, width and height; None takes the portrait's own.
        start, end: seconds of the driving video.
        face: who drives, of several people: 1 is the largest and steadiest, which None takes.
        avatar_face: which of several faces of the portrait moves: 1 is the largest, which None takes.
        tuning: gain, smoothing and the like.
        mirror: flip the driver first, as in a mirror.
        crf: quality of H.264 and VP9, 0 (best) … 51.
        transparent: cut the person out (.mov, .webm, .png).
        compare: show the driver on the left.
        motion: where to save the driver's motion (.npz), without pictures of anybody.
        resume: go on with a video that was interrupted; one that is whole is left as it is.
        overwrite: whether the output and the motion file may take the place of files that are there; they do when they are whole.
        fps: pictures a second where the driver is sound alone; None: 25. Any other driver keeps its own.
        speech: a recording that moves the mouth and is heard, instead of the driving video's own sound.
        mouth_from: what moves the mouth: 'driver', who is seen, or 'sound'.
        watermark, label, label_position, sign_with: see `open_sink`.
        progress: told of stages and frames; None tells nobody.
        stop: set it, from another thread, to end early; what was made until then is playable, and `path` in the result says where it is.

    Returns:
        Frames made, frames in which nobody was seen, whether it is whole.

    Raises:
        UsageError: what is asked for cannot be made, or another process makes this video; nothing was written.
        OutputExistsError: a file would be overwritten unasked; nothing was written.
        PortraitError: the portrait cannot be used.
        SourceError, SinkError: the driving video stopped, or the output cannot be written.
    """
    job = RenderJob(
        avatar=Path(avatar),
        driving=str(driving),
        output=Path(output),
        size=size,
        engine=engine if isinstance(engine, str) else engine.name,
        model=model,
        device=device,
        mirror=mirror,
        tuning=tuning or Tuning(),
        reference=reference,
        start=start,
        end=end,
        face=face,
        avatar_face=avatar_face,
        crf=crf,
        compare=compare,
        motion=None if motion is None else Path(motion),
        transparent=transparent,
        resume=resume,
        fps=fps,
        speech=None if speech is None else str(speech),
        mouth_from=mouth_from,
        overwrite=overwrite,
        watermark=watermark,
        label=label,
        label_position=label_position,
        sign_with=sign_with,
    )
    return render_job(job, None if isinstance(engine, str) else engine, progress=progress, stop=stop)


def render_job(
    job: RenderJob, engine: AnyEngine | None = None, *, progress: Progress | None = None, stop: threading.Event | None = None
) -> RenderResult:
    """Make one job's video.

    Args:
        engine: None opens the job's own. Raises what `render` does.
    """
    check_job(job)
    check_files(job)  # before an engine is opened, which takes its time
    opened = engine or open_engine(job.engine, job.device, job.model)
    try:
        return RenderPipeline(job, opened, progress=progress, stop=stop).run()
    finally:
        if engine is None:
            opened.close()
