"""Many videos: each a row of a table, on all workers there are; a row that fails fails alone, and the summary says why.

Every row is one coroutine (`RenderBatch._render`): who is in the driving video, then the reference frames, then the chunks, then the join.
"""

from __future__ import annotations

import asyncio
import csv
import io
import logging
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from livepuppet.errors import LivepuppetError, RunError, SinkError, UsageError
from livepuppet.files import unfinished_path, write_atomically
from livepuppet.provenance.marks import Mark
from livepuppet.rendering.chunks import (
    CHUNK_S,
    VideoChunk,
    WorkerJob,
    check_portrait,
    find_job_people,
    first_reference,
    join_chunks,
    merge_searches,
    render_chunk,
    render_whole,
    search_chunk,
    split_into_chunks,
)
from livepuppet.rendering.driver import Progress, SilentProgress
from livepuppet.rendering.executors import Executor
from livepuppet.rendering.job import RenderJob, RenderResult, check_files, find_whole, open_output, refuse_another
from livepuppet.rendering.person_tracks import PeopleTracks
from livepuppet.rendering.tracking import Reference, references_from_shots
from livepuppet.video.output import VideoOutput

log = logging.getLogger(__name__)

COLUMNS = ("row", "output", "state", "frames", "lost", "seconds", "reason")

STOP_POLL_S = 0.2
"""How often a stop is looked for."""


@dataclass
class BatchRow:
    """One row of a jobs file.

    Attributes:
        number: of its line.
        output: as the file has it.
        job: None where the row itself is wrong; `reason` says how.
        state: waiting, under way, done, there already, failed or stopped.
        frames, lost: in the video; lost: in which nobody was seen.
        seconds: spent on it.
        reason: why it failed.
    """

    number: int
    output: str
    job: RenderJob | None
    state: str = "waiting"
    frames: int = 0
    lost: int = 0
    seconds: float = 0.0
    reason: str = ""


class RenderBatch:
    """Renders rows on an executor, a few more tasks at once than it has workers, so that none waits and memory stays bounded."""

    def __init__(
        self,
        rows: list[BatchRow],
        executor: Executor,
        *,
        summary: Path | None = None,
        progress: Progress | None = None,
        stop: threading.Event | None = None,
        chunk_s: float = CHUNK_S,
    ) -> None:
        """Prepare, and start nothing.

        Args:
            rows: what to do; their states are kept up to date.
            executor: who does it; closed at the end of `run`.
            summary: a CSV that is written anew whenever a row is finished, None for none.
            progress: told of every finished row.
            stop: set it to end what is under way.
            chunk_s: seconds of the chunks that long videos are made in.
        """
        self.rows = rows
        self.executor = executor
        self.summary = summary
        self.progress = progress or SilentProgress()
        self.stop = stop or threading.Event()
        self._chunk_s = chunk_s

    def run(self) -> bool:
        """Do everything; returns whether all rows succeeded.

        Raises:
            SinkError: where the summary cannot be written.
        """
        self.progress.stage("videos", len(self.rows))
        try:
            asyncio.run(self._run())
        finally:
            for row in self.rows:
                if row.state in ("waiting", "under way"):
                    row.state, row.reason = "stopped", "interrupted"
            self.executor.close()
            self._write_summary()
        return all(row.state in ("done", "there already") for row in self.rows)

    async def _run(self) -> None:
        self._write_summary()
        self._tasks = asyncio.Semaphore(2 * self.executor.size)
        rows = asyncio.Semaphore(2 * self.executor.size)

        async def one(row: BatchRow) -> None:
            async with rows:
                if not self.stop.is_set():
                    await self._attempt(row)

        everything: asyncio.Future[list[None]] = asyncio.gather(*(one(row) for row in self.rows))
        stopped = asyncio.create_task(self._stopped())
        waited: set[asyncio.Future[Any]] = {everything, stopped}
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if everything.done():
            everything.result()
        else:
            everything.cancel()
            await asyncio.gather(everything, return_exceptions=True)

    async def _stopped(self) -> None:
        while not self.stop.is_set():
            await asyncio.sleep(STOP_POLL_S)

    async def _attempt(self, row: BatchRow) -> None:
        """Render a row, whatever becomes of it: nothing that goes wrong with one row touches the others."""
        began = time.monotonic()
        if row.job is None:
            return self._finish(row, "failed", row.reason)
        row.state = "under way"
        try:
            state = await self._render(row, row.job)
        except (LivepuppetError, OSError) as error:
            state, row.reason = "failed", _first_line(error)
        except Exception as error:  # a fault of ours ends this row, and is said
            log.debug("row %d", row.number, exc_info=True)
            state, row.reason = "failed", f"{type(error).__name__}: {_first_line(error)}"
        row.seconds = time.monotonic() - began
        self._finish(row, state, row.reason)

    async def _render(self, row: BatchRow, job: RenderJob) -> str:
        """The way of one video. Returns the row's new state."""
        check_files(job)
        if job.resume:
            if whole := find_whole(job, job.settings()):
                row.frames = whole.frames
                return "there already"
            if not job.resumable:  # these begin anew
                refuse_another(job, begun=False)
                job = replace(job, resume=False)
        worker_job = self._parcel(job)
        begun = job.resume and unfinished_path(job.output).is_file()
        chunks = [] if begun else self._chunks(job)
        if not chunks and self.executor.shares_disk:  # the worker holds the video's place itself
            result, _ = await self._task(render_whole, worker_job)
            row.frames, row.lost = result.frames, result.lost
            return "done"
        with open_output(job) as output:
            if job.resume:
                refuse_another(job, begun=False)
            if chunks:
                await self._render_chunks(row, worker_job, chunks, output)
            else:  # made where this machine's files are not to be had
                result, data = await self._task(render_whole, worker_job)
                output.begin().write_bytes(data)
                output.commit(overwrite=job.overwrite)
                row.frames, row.lost = result.frames, result.lost
        return "done"

    async def _render_chunks(self, row: BatchRow, worker_job: WorkerJob, chunks: list[VideoChunk], output: VideoOutput) -> None:
        """A long video, in chunks that lie in a folder beside it until they are joined."""
        job, session_id = worker_job.job, Mark(watermark=False).session_id
        folder = chunks_folder(output.path)
        shutil.rmtree(folder, ignore_errors=True)  # an interrupted run's: the place is ours
        folder.mkdir()
        try:
            await self._task(check_portrait, worker_job)
            people = await self._task(find_job_people, worker_job)
            references = await self._references(worker_job, chunks, people)
            made = await self._all(
                self._render_chunk(worker_job, number, chunk, people, references, session_id, folder) for number, chunk in enumerate(chunks)
            )
            size = made[0][1].size
            row.frames = join_chunks(job, output, [path for path, _ in made], size, session_id)
            row.lost = sum(result.lost for _, result in made)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    async def _references(self, worker_job: WorkerJob, chunks: list[VideoChunk], people: PeopleTracks | None) -> list[Reference]:
        """The reference frames of the whole video, searched for in all its chunks at once. Raises UsageError where nobody is seen."""
        references: list[Reference]
        if worker_job.job.reference == "best":
            found = await self._all(self._task(search_chunk, worker_job, chunk, people) for chunk in chunks)
            references = references_from_shots(merge_searches(found))
        else:
            references = await self._task(first_reference, worker_job, people)
        if not references:
            raise UsageError(f"no face found in {worker_job.job.driving}: choose a clip in which one face is well visible")
        return references

    async def _render_chunk(
        self,
        worker_job: WorkerJob,
        number: int,
        chunk: VideoChunk,
        people: PeopleTracks | None,
        references: list[Reference],
        session_id: int,
        folder: Path,
    ) -> tuple[Path, RenderResult]:
        where = str(folder) if self.executor.shares_disk else None
        result, video = await self._task(render_chunk, worker_job, chunk, people, references, session_id, where)
        if not isinstance(video, bytes):
            return Path(video), result
        path = folder / f"chunk-{number}{worker_job.job.output.suffix.lower()}"
        path.write_bytes(video)
        return path, result

    def _parcel(self, job: RenderJob) -> WorkerJob:
        if self.executor.shares_disk:
            return WorkerJob(job, None, None)
        driving = None if "://" in job.driving else self.executor.share(Path(job.driving).read_bytes())
        return WorkerJob(job, self.executor.share(job.avatar.read_bytes()), driving)

    def _chunks(self, job: RenderJob) -> list[VideoChunk]:
        """[] where the video is made in one go: with more rows than workers, whole videos keep all of them busy, and cost less."""
        few = sum(row.state in ("waiting", "under way") for row in self.rows) < self.executor.size
        return split_into_chunks(job, self._chunk_s) if few or not self.executor.shares_disk else []

    async def _task(self, function: Callable[..., Any], worker_job: WorkerJob, *arguments: Any) -> Any:
        """One task of the executor, when its turn has come."""
        async with self._tasks:
            return await asyncio.wrap_future(
                self.executor.submit(unpack_and_run, function, worker_job.job, worker_job.avatar, worker_job.driving, *arguments)
            )

    async def _all(self, tasks: Any) -> list[Any]:
        """All of them at once; the first that fails ends the others that have not begun."""
        running = [asyncio.ensure_future(task) for task in tasks]
        try:
            return list(await asyncio.gather(*running))
        finally:
            for one in running:
                one.cancel()

    def _finish(self, row: BatchRow, state: str, reason: str = "") -> None:
        row.state, row.reason = state, reason
        if state == "failed":
            log.warning("row %d (%s) failed: %s", row.number, row.output, reason)
        else:
            log.info("row %d: %s (%d frames)", row.number, row.output, row.frames)
        self.progress.advance()
        self._write_summary()

    def _write_summary(self) -> None:
        if self.summary is None:
            return
        text = io.StringIO()
        table = csv.writer(text)
        table.writerow(COLUMNS)
        for row in self.rows:
            table.writerow((row.number, row.output, row.state, row.frames, row.lost, f"{row.seconds:.1f}", row.reason))
        try:
            write_atomically(self.summary, lambda file: file.write(text.getvalue().encode()))
        except RunError as error:
            raise SinkError(f"cannot write the summary: {error}") from error


def check_summary(path: Path) -> None:
    """Raises UsageError where a file that is no summary has the summary's name."""
    if path.exists():
        with path.open(encoding="utf-8", errors="replace") as file:
            if file.readline().strip() not in {"", ",".join(COLUMNS)}:
                raise UsageError(f"{path} is in the place of the summary, and is none: rename it, or the jobs file", parameter="jobs")


def chunks_folder(output: Path) -> Path:
    """Where the chunks of a video lie while it is made."""
    return output.with_name(f".{output.stem}-{output.suffix.removeprefix('.')}-chunks")


def unpack_and_run(function: Callable[..., Any], job: RenderJob, avatar: bytes | None, driving: bytes | None, *arguments: Any) -> Any:
    """What a worker runs: the function with the job and its files, which Ray delivers only as arguments of their own."""
    return function(WorkerJob(job, avatar, driving), *arguments)


def _first_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error).splitlines()[0] if str(error) else type(error).__name__
