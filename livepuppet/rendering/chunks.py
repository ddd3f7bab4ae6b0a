"""Long films made in pieces by several workers: split at key frames, looked at beyond both ends, joined where nobody can see it.

What a worker is asked to do are the functions `whole_film`, `search_piece` and `make_piece`; they take and return plain values only.
"""

from __future__ import annotations

import hashlib
import os
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
from livepuppet.provenance.marks import Mark
from livepuppet.rendering.driver import SilentProgress, frame_preprocessor, open_driver
from livepuppet.rendering.job import RenderJob, RenderResult, open_audio, open_video_writer, sign_output
from livepuppet.rendering.people import PeopleTracks, find_people
from livepuppet.rendering.pipeline import RenderPipeline
from livepuppet.rendering.tracking import SEARCH_LIMIT_PX, DriverFrame, Reference, ShotReference, best_of_each_shot, track_driver
from livepuppet.types import AnyEngine, Size
from livepuppet.version import __version__
from livepuppet.video.reader import VideoReader

CHUNK_S = 20.0
"""Length of a piece: long enough that looking beyond its ends costs little, short enough to be done again."""

JOINABLE = frozenset({".mp4", ".m4v", ".mkv", ".mov", ".webm"})

KEPT = 5
"""Files that a worker on another machine keeps for its next tasks."""

LOOK_BACK_S = 0.5
"""How far before a piece the search looks, to see whether it begins with a cut."""


@dataclass(frozen=True)
class VideoChunk:
    """A piece of the driving film by its timestamps: from the key frame `first` until before `before`; None: to the end."""

    first: int
    before: int | None


@dataclass(frozen=True)
class WorkerJob:
    """A job for a worker that may not see this machine's files. avatar, driving: their bytes, or None where the paths can be used."""

    job: RenderJob
    avatar: bytes | None
    driving: bytes | None
    version: str = __version__


@dataclass(frozen=True, eq=False)
class ChunkSearch:
    """What the search of one piece gave: its shots, and whether the first goes on from the piece before."""

    shots: list[ShotReference]
    continues: bool


def split_into_chunks(job: RenderJob, length: float = CHUNK_S) -> list[VideoChunk]:
    """The pieces of a job's film: [] where it is short, or cannot be split or joined."""
    joinable = job.output.suffix.lower() in JOINABLE and job.motion is None
    if not joinable or job.driving.lower().endswith(".npz") or "://" in job.driving:
        return []
    film = VideoReader(job.driving, limit=64)
    try:
        start, end = job.start or 0.0, job.end
        starts = [film.start_pts + round(start / film.time_base)] if start else [film.start_pts]
        keys = film.key_pts()
        limit = None if end is None else film.start_pts + round(end / film.time_base)
        step = round(length / film.time_base)
        whole = film.start_pts + round((film.duration or 0.0) / film.time_base)
        last = max(whole, *keys) if limit is None else limit
        for key in keys:
            if key - starts[-1] >= step and last - key >= step // 2 and (limit is None or key < limit):
                starts.append(key)
    finally:
        film.close()
    if len(starts) < 2:
        return []
    return [VideoChunk(first, before) for first, before in zip(starts, [*starts[1:], None], strict=True)]


def render_whole(parcel: WorkerJob) -> tuple[RenderResult, bytes | None]:
    """Make a film. Returns what was made, and the film itself where it could not be written to its place."""
    with unpack_job(parcel) as job:
        report = RenderPipeline(job, worker_engine(job.engine, job.device, job.model)).run()
        return report, job.output.read_bytes() if job.output != parcel.job.output else None


def search_chunk(parcel: WorkerJob, span: VideoChunk, cast: PeopleTracks | None) -> ChunkSearch:
    """Look for reference frames in one piece."""
    with unpack_job(parcel) as job:
        engine = worker_engine(job.engine, job.device, job.model)
        film = VideoReader(job.driving, limit=SEARCH_LIMIT_PX)
        try:
            start = film.seconds(span.first)
            end = job.end if span.before is None else film.seconds(span.before)
            look = frame_preprocessor(job.mirror, cast)
            before: int | None = None
            inside: list[DriverFrame] = []

            def moments() -> Iterator[DriverFrame]:
                nonlocal before
                for moment in track_driver(engine, film, look=look, start=max(0.0, start - LOOK_BACK_S), end=end):
                    if moment.pts < span.first:
                        before = moment.shot
                    else:
                        if not inside:
                            inside.append(replace(moment, motion=None))
                        yield moment

            shots = best_of_each_shot(engine, RenderPipeline(job, engine).prepare(), moments())
            return ChunkSearch(shots, bool(inside) and before == inside[0].shot)
        finally:
            film.close()


def render_chunk(
    parcel: WorkerJob, span: VideoChunk, cast: PeopleTracks | None, references: list[Reference], session_id: int, folder: str | None
) -> tuple[RenderResult, bytes | str]:
    """Make the pictures of one piece. folder: where to put it (returns its path); None: return the film's bytes."""
    with unpack_job(parcel) as job:
        rendering = RenderPipeline(job, worker_engine(job.engine, job.device, job.model), session_id=session_id)
        footage = open_driver(job.driving, mirror=job.mirror, progress=SilentProgress(), stop=rendering.stop, cast=cast)
        name = f"piece-{span.first}{job.output.suffix.lower()}"
        with tempfile.TemporaryDirectory(prefix="livepuppet-") as temporary:
            path = Path(folder or temporary) / name
            try:
                report = rendering.piece(footage, references, path, span.first - 1, span.before)
            finally:
                footage.close()
            return report, str(path) if folder else path.read_bytes()


def find_job_people(parcel: WorkerJob) -> PeopleTracks | None:
    """Who is in the driving film."""
    with unpack_job(parcel) as job:
        return find_people(job.driving, job.face)


def first_reference(parcel: WorkerJob, cast: PeopleTracks | None) -> list[Reference]:
    """The reference of a job that names it: 'first', or a time."""
    with unpack_job(parcel) as job:
        engine = worker_engine(job.engine, job.device, job.model)
        footage = open_driver(job.driving, mirror=job.mirror, progress=SilentProgress(), stop=threading.Event(), cast=cast)
        try:
            return footage.references(engine, RenderPipeline(job, engine).prepare(), job.reference, job.start or 0.0, job.end)
        finally:
            footage.close()


def join_chunks(job: RenderJob, paths: list[Path], size: Size, session_id: int) -> int:
    """Put pieces together, with the sound, into the job's film, and sign it. Returns the number of frames.

    The film appears in its place when it is whole. Raises SinkError.
    """
    footage = open_driver(job.driving, mirror=job.mirror, progress=SilentProgress(), stop=threading.Event(), cast=None)
    joined = job.output.with_stem(job.output.stem + ".joining")
    try:
        shift = footage.first_pts(job.start) if job.start else footage.origin_pts
        writer = open_video_writer(job, joined, size, footage, open_audio(job, footage, shift))
        try:
            for path in paths:
                writer.append(path)
            writer.close()
            os.replace(joined, job.output)
        except BaseException:
            writer.abandon()
            joined.unlink(missing_ok=True)
            raise
    finally:
        footage.close()
    sign_output(job, Mark(session_id, watermark=job.watermark, label=job.label, corner=job.label_position, film=True))
    return writer.written


def merge_searches(pieces: list[ChunkSearch]) -> list[ShotReference]:
    """The shots of the whole film: those that go on across a join are one."""
    shots: list[ShotReference] = []
    for piece in pieces:
        for i, shot in enumerate(piece.shots):
            if i == 0 and piece.continues and shots:
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
def unpack_job(parcel: WorkerJob) -> Iterator[RenderJob]:
    """The job with paths that exist here. Raises UsageError where this worker runs another version."""
    if parcel.version != __version__:
        raise UsageError(f"a worker runs livepuppet {__version__}, the job comes from {parcel.version}: install the same on all nodes")
    job = parcel.job
    if parcel.avatar is None and parcel.driving is None:
        yield job
        return
    with tempfile.TemporaryDirectory(prefix="livepuppet-") as folder:
        changes: dict[str, Any] = {"output": Path(folder) / job.output.name}
        if parcel.avatar is not None:
            changes["avatar"] = _kept(parcel.avatar, job.avatar.suffix)
        if parcel.driving is not None:
            changes["driving"] = str(_kept(parcel.driving, Path(job.driving).suffix))
        yield replace(job, **changes)


def _kept(data: bytes, suffix: str) -> Path:
    """The bytes as a file of this worker's, written once however many tasks use it."""
    folder = Path(_folder().name)
    path = folder / (hashlib.sha256(data).hexdigest()[:24] + suffix)
    if not path.exists():
        for old in sorted(folder.iterdir(), key=lambda p: p.stat().st_mtime)[:-KEPT]:
            old.unlink()
        path.write_bytes(data)
    return path


@lru_cache(maxsize=1)
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="livepuppet-worker-")
