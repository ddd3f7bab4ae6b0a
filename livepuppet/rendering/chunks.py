"""Long videos made in chunks by several workers: split at key frames, looked at beyond both ends, joined where nobody can see it.

What a worker is asked to do are the functions `render_whole`, `search_chunk` and `render_chunk`; they take and return plain values only.
"""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from livepuppet.errors import UsageError
from livepuppet.factory import open_engine
from livepuppet.files import write_atomically
from livepuppet.provenance.marks import Mark
from livepuppet.rendering.driver import SilentProgress, open_driver
from livepuppet.rendering.driver_view import FrameView
from livepuppet.rendering.job import RenderJob, RenderResult, finish_output, open_audio, open_video_writer
from livepuppet.rendering.people import find_people
from livepuppet.rendering.person_tracks import PeopleTracks
from livepuppet.rendering.pipeline import RenderPipeline
from livepuppet.rendering.resume import digest_settings
from livepuppet.rendering.speech_driver import voice_drives
from livepuppet.rendering.tracking import SEARCH_LIMIT_PX, DriverFrame, Reference, ShotReference, best_of_each_shot, track_driver
from livepuppet.types import AnyEngine, Size
from livepuppet.version import __version__
from livepuppet.video.formats import JOINABLE_SUFFIXES
from livepuppet.video.output import VideoOutput
from livepuppet.video.reader import VideoReader

CHUNK_S = 20.0
"""Length of a chunk: long enough that looking beyond its ends costs little, short enough to be done again."""

KEPT = 5
"""Files that a worker on another machine keeps for its next tasks."""

LOOK_BACK_S = 0.5
"""How far before a chunk the search looks, to see whether it begins with a cut."""


@dataclass(frozen=True)
class VideoChunk:
    """A chunk of the driving video by its timestamps: from the key frame `first` until before `before`; None: to the end."""

    first: int
    before: int | None


@dataclass(frozen=True)
class WorkerJob:
    """A job for a worker that may not see this machine's files.

    Attributes:
        avatar, driving: their bytes, or None where the paths can be used.
    """

    job: RenderJob
    avatar: bytes | None
    driving: bytes | None
    version: str = __version__


@dataclass(frozen=True, eq=False)
class ChunkSearch:
    """What the search of one chunk gave: its shots, and whether the first goes on from the chunk before."""

    shots: list[ShotReference]
    continues: bool


def split_into_chunks(job: RenderJob, length: float = CHUNK_S) -> list[VideoChunk]:
    """The chunks of a job's video: [] where it is short, or cannot be split or joined."""
    joinable = job.output.suffix.lower() in JOINABLE_SUFFIXES and job.motion is None
    if not joinable or job.driving.lower().endswith(".npz") or "://" in job.driving or voice_drives(job):
        return []
    video = VideoReader(job.driving, limit=64)
    try:
        start, end = job.start or 0.0, job.end
        starts = [video.start_pts + round(start / video.time_base)] if start else [video.start_pts]
        keys = video.key_pts()
        limit = None if end is None else video.start_pts + round(end / video.time_base)
        step = round(length / video.time_base)
        whole = video.start_pts + round((video.duration or 0.0) / video.time_base)
        last = max(whole, *keys) if limit is None else limit
        for key in keys:
            if key - starts[-1] >= step and last - key >= step // 2 and (limit is None or key < limit):
                starts.append(key)
    finally:
        video.close()
    if len(starts) < 2:
        return []
    return [VideoChunk(first, before) for first, before in zip(starts, [*starts[1:], None], strict=True)]


def render_whole(worker_job: WorkerJob) -> tuple[RenderResult, bytes | None]:
    """Make a video. Returns what was made, and the video itself where it could not be written to its place."""
    with unpack_job(worker_job) as job:
        report = RenderPipeline(job, worker_engine(job.engine, job.device, job.model)).run()
        return report, job.output.read_bytes() if job.output != worker_job.job.output else None


def search_chunk(worker_job: WorkerJob, chunk: VideoChunk, cast: PeopleTracks | None) -> ChunkSearch:
    """Look for reference frames in one chunk."""
    with unpack_job(worker_job) as job:
        engine = worker_engine(job.engine, job.device, job.model)
        video = VideoReader(job.driving, limit=SEARCH_LIMIT_PX)
        try:
            start = video.seconds(chunk.first)
            end = job.end if chunk.before is None else video.seconds(chunk.before)
            view = FrameView(job.mirror, cast)
            before: int | None = None
            inside: list[DriverFrame] = []

            def driver_frames() -> Iterator[DriverFrame]:
                nonlocal before
                for driver_frame in track_driver(engine, video, view=view, start=max(0.0, start - LOOK_BACK_S), end=end):
                    if driver_frame.pts < chunk.first:
                        before = driver_frame.shot
                    else:
                        if not inside:
                            inside.append(replace(driver_frame, motion=None))
                        yield driver_frame

            shots = best_of_each_shot(engine, RenderPipeline(job, engine).prepare(), driver_frames())
            return ChunkSearch(shots, bool(inside) and before == inside[0].shot)
        finally:
            video.close()


def render_chunk(
    worker_job: WorkerJob, chunk: VideoChunk, cast: PeopleTracks | None, references: list[Reference], session_id: int, folder: str | None
) -> tuple[RenderResult, bytes | str]:
    """Make the pictures of one chunk.

    Args:
        folder: where to put it (returns its path); None: return the video's bytes.
    """
    with unpack_job(worker_job) as job:
        rendering = RenderPipeline(job, worker_engine(job.engine, job.device, job.model), session_id=session_id)
        driver = open_driver(job.driving, mirror=job.mirror, progress=SilentProgress(), stop=rendering.stop, cast=cast)
        name = f"chunk-{chunk.first}{job.output.suffix.lower()}"
        with tempfile.TemporaryDirectory(prefix="livepuppet-") as temporary:
            path = Path(folder or temporary) / name
            try:
                report = rendering.render_chunk(driver, references, path, chunk.first - 1, chunk.before)
            finally:
                driver.close()
            return report, str(path) if folder else path.read_bytes()


def find_job_people(worker_job: WorkerJob) -> PeopleTracks | None:
    """Who is in the driving video."""
    with unpack_job(worker_job) as job:
        return find_people(job.driving, job.face, spans=job.spans)


def first_reference(worker_job: WorkerJob, cast: PeopleTracks | None) -> list[Reference]:
    """The reference of a job that names it: 'first', or a time."""
    with unpack_job(worker_job) as job:
        engine = worker_engine(job.engine, job.device, job.model)
        driver = open_driver(job.driving, mirror=job.mirror, progress=SilentProgress(), stop=threading.Event(), cast=cast)
        try:
            return driver.references(engine, RenderPipeline(job, engine).prepare(), job.reference, job.start or 0.0, job.end)
        finally:
            driver.close()


def check_portrait(worker_job: WorkerJob) -> None:
    """Raises PortraitError for a portrait that cannot be used, before anything is searched in the video."""
    with unpack_job(worker_job) as job:
        RenderPipeline(job, worker_engine(job.engine, job.device, job.model)).prepare()


def join_chunks(job: RenderJob, output: VideoOutput, paths: list[Path], size: Size, session_id: int) -> int:
    """Put chunks together, with the sound, into the job's video, and sign it. Returns the number of frames.

    The video appears in its place when it is whole.

    Raises:
        SinkError: its message says what is wrong.
    """
    driver = open_driver(job.driving, mirror=job.mirror, progress=SilentProgress(), stop=threading.Event(), cast=None)
    digest = digest_settings(job.settings())
    try:
        shift = driver.first_pts(job.start) if job.start else driver.origin_pts
        writer = open_video_writer(job, output.begin(), size, driver, open_audio(job, driver, shift), digest)
        try:
            for path in paths:
                writer.append(path)
            writer.close()
        except BaseException:
            writer.abandon()
            output.working.unlink(missing_ok=True)
            raise
    finally:
        driver.close()
    mark = Mark(session_id, watermark=job.watermark, label=job.label, corner=job.label_position, video=True)
    finish_output(job, output, mark, digest, overwrite=job.overwrite)
    return writer.written


def merge_searches(searches: list[ChunkSearch]) -> list[ShotReference]:
    """The shots of the whole video: those that go on across a join are one."""
    shots: list[ShotReference] = []
    for search in searches:
        for i, shot in enumerate(search.shots):
            if i == 0 and search.continues and shots:
                better = min(shots[-1], shot, key=lambda s: s.distance)
                shots[-1] = ShotReference(shots[-1].first, shot.last, better.best, better.distance)
            else:
                shots.append(shot)
    return shots


@lru_cache(maxsize=2)
def worker_engine(name: str, device: str, model: str | None) -> AnyEngine:
    """A worker keeps its engine from task to task."""
    return open_engine(name, device, model)


@contextmanager
def unpack_job(worker_job: WorkerJob) -> Iterator[RenderJob]:
    """The job with paths that exist here.

    Raises:
        UsageError: where this worker runs another version.
    """
    if worker_job.version != __version__:
        raise UsageError(f"a worker runs livepuppet {__version__}, the job comes from {worker_job.version}: install the same on all nodes")
    job = worker_job.job
    if worker_job.avatar is None and worker_job.driving is None:
        yield job
        return
    with tempfile.TemporaryDirectory(prefix="livepuppet-") as folder:
        changes: dict[str, Any] = {"output": Path(folder) / job.output.name, "resume": False}
        if worker_job.avatar is not None:
            changes["avatar"] = _kept(worker_job.avatar, job.avatar.suffix)
        if worker_job.driving is not None:
            changes["driving"] = str(_kept(worker_job.driving, Path(job.driving).suffix))
        yield replace(job, **changes)


def _kept(data: bytes, suffix: str) -> Path:
    """The bytes as a file of this worker's, written once however many tasks use it."""
    folder = Path(_folder().name)
    path = folder / (hashlib.sha256(data).hexdigest()[:24] + suffix)
    if not path.exists():
        for old in sorted(folder.iterdir(), key=lambda p: p.stat().st_mtime)[:-KEPT]:
            old.unlink()
        write_atomically(path, lambda file: file.write(data))
    return path


@lru_cache(maxsize=1)
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="livepuppet-worker-")
