"""Many films: each a row of a table, on all workers there are; a row that fails fails alone, and the summary says why."""

from __future__ import annotations

import csv
import logging
import os
import shutil
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from livepuppet.errors import LivepuppetError, SinkError, UsageError
from livepuppet.provenance.marks import Mark
from livepuppet.rendering.chunks import (
    CHUNK_S,
    VideoChunk,
    WorkerJob,
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
from livepuppet.rendering.executors import Executor, TaskResult
from livepuppet.rendering.job import RenderJob, RenderResult, existing_result
from livepuppet.rendering.people import PeopleTracks
from livepuppet.rendering.resume import note_path
from livepuppet.rendering.tracking import Reference, references_from_shots

log = logging.getLogger(__name__)

COLUMNS = ("row", "output", "state", "frames", "lost", "seconds", "reason")


@dataclass
class BatchRow:
    """One row of a jobs file. number: of its line. job: None where the row itself is wrong, `reason` says how."""

    number: int
    output: str
    job: RenderJob | None
    state: str = "waiting"
    frames: int = 0
    lost: int = 0
    seconds: float = 0.0
    reason: str = ""


@dataclass
class BatchWork:
    """A row under way. spans: its pieces, [] where it is made whole. results: what the tasks gave, by piece."""

    row: BatchRow
    job: RenderJob
    shared: tuple[Any, Any] = (None, None)
    spans: list[VideoChunk] = field(default_factory=list)
    results: dict[int, Any] = field(default_factory=dict)
    cast: PeopleTracks | None = None
    session_id: int = 0
    folder: str = ""
    began: float = 0.0
    failed: bool = False


Step = Callable[[], None]


class RenderBatch:
    """Works off rows. summary: a CSV that is written anew whenever a row is finished, None for none. piece_s: length of the pieces of long
    films. Raises SinkError where the summary cannot be written."""

    def __init__(
        self,
        rows: list[BatchRow],
        crew: Executor,
        *,
        summary: Path | None = None,
        progress: Progress | None = None,
        stop: threading.Event | None = None,
        piece_s: float = CHUNK_S,
    ) -> None:
        self.rows = rows
        self.crew = crew
        self.summary = summary
        self.progress = progress or SilentProgress()
        self.stop = stop or threading.Event()
        self._piece_s = piece_s
        self._steps: deque[Step] = deque()
        self._handlers: dict[int, Callable[[TaskResult], None]] = {}
        self._under_way = 0

    def run(self) -> bool:
        """Do everything; returns whether all rows succeeded. A stop ends what is under way."""
        self.progress.stage("films", len(self.rows))
        waiting = deque(self.rows)
        for row in self.rows:
            if row.job is None:
                waiting.remove(row)
                self._finish(row, "failed", row.reason)
        self._write_summary()
        try:
            while (waiting or self._steps or self._handlers) and not self.stop.is_set():
                # a few more tasks than workers, so that none waits and memory stays bounded
                while len(self._handlers) < 2 * self.crew.size and (self._steps or (waiting and self._under_way < 2 * self.crew.size)):
                    if self._steps:
                        self._steps.popleft()()
                    else:
                        self._begin(waiting.popleft())
                for outcome in self.crew.wait(0.5):
                    self._handlers.pop(outcome.ticket)(outcome)
        finally:
            for row in self.rows:
                if row.state in ("waiting", "under way"):
                    row.state, row.reason = "stopped", "interrupted"
            self._write_summary()
            self.crew.close()
        return all(row.state in ("done", "there already") for row in self.rows)

    def _begin(self, row: BatchRow) -> None:
        assert row.job is not None
        self._under_way += 1
        row.state = "under way"
        work = BatchWork(row, row.job, began=time.monotonic())
        try:
            if row.job.resume and row.job.output.is_file() and not note_path(row.job.output).exists():
                row.frames = existing_result(row.job.output).frames
                return self._end(work, "there already")
            if not row.job.output.parent.is_dir():
                raise SinkError(f"cannot write {row.job.output}: there is no folder {row.job.output.parent}")
            self._plan(work)
        except (LivepuppetError, OSError) as error:
            self._fail(work, error)

    def _plan(self, work: BatchWork) -> None:
        job = work.job
        few = sum(row.state in ("waiting", "under way") for row in self.rows) < self.crew.size
        if few or not self.crew.shares_disk:  # otherwise whole films keep all workers busy, and cost less
            work.spans = split_into_chunks(job, self._piece_s)
        if not self.crew.shares_disk:
            work.shared = self._share(job.avatar), self._share(Path(job.driving)) if "://" not in job.driving else None
        if not work.spans:
            return self._give(work, render_whole, (), partial(self._whole, work))
        work.session_id = Mark(watermark=False).session_id
        work.folder = tempfile.mkdtemp(prefix=f".{job.output.stem}-", dir=job.output.parent)
        self._give(work, find_job_people, (), partial(self._cast, work))

    def _cast(self, work: BatchWork, cast: PeopleTracks | None) -> None:
        work.cast = cast
        if work.job.reference == "best":
            for i, span in enumerate(work.spans):
                self._steps.append(partial(self._give, work, search_chunk, (span, cast), partial(self._found, work, i)))
        else:
            self._give(work, first_reference, (cast,), partial(self._referenced, work))

    def _share(self, path: Path) -> Any:
        return self.crew.share(path.read_bytes())

    def _give(self, work: BatchWork, function: Callable[..., Any], arguments: tuple[Any, ...], then: Callable[[Any], None]) -> None:
        """Hand out a task of this row; `then` gets its result."""
        if work.failed:
            return

        def handle(outcome: TaskResult) -> None:
            if work.failed:
                return
            if outcome.error is not None:
                return self._fail(work, outcome.error)
            try:
                then(outcome.result)
            except (LivepuppetError, OSError) as error:
                self._fail(work, error)

        ticket = self.crew.submit(run_unpacked, function, work.job, *work.shared, *arguments)
        self._handlers[ticket] = handle

    def _whole(self, work: BatchWork, made: tuple[RenderResult, bytes | None]) -> None:
        report, data = made
        if data is not None:
            temporary = work.job.output.with_name(f".{work.job.output.name}.{os.getpid()}")
            temporary.write_bytes(data)
            os.replace(temporary, work.job.output)
        work.row.frames, work.row.lost = report.frames, report.lost
        self._end(work, "done")

    def _found(self, work: BatchWork, piece: int, found: Any) -> None:
        work.results[piece] = found
        if len(work.results) == len(work.spans):
            pieces = [work.results[i] for i in range(len(work.spans))]
            work.results = {}
            self._referenced(work, references_from_shots(merge_searches(pieces)))

    def _referenced(self, work: BatchWork, references: list[Reference]) -> None:
        if not references:
            raise UsageError(f"no face found in {work.job.driving}: choose a clip in which one face is well visible")
        folder = work.folder if self.crew.shares_disk else None
        for i, span in enumerate(work.spans):
            arguments = (span, work.cast, references, work.session_id, folder)
            self._steps.append(partial(self._give, work, render_chunk, arguments, partial(self._made, work, i)))

    def _made(self, work: BatchWork, piece: int, made: tuple[RenderResult, bytes | str]) -> None:
        report, film = made
        if isinstance(film, bytes):
            path = Path(work.folder) / f"piece-{piece}{work.job.output.suffix.lower()}"
            path.write_bytes(film)
        else:
            path = Path(film)
        work.results[piece] = (path, report)
        if len(work.results) < len(work.spans):
            return
        done = [work.results[i] for i in range(len(work.spans))]
        work.row.frames = join_chunks(work.job, [path for path, _ in done], report.size, work.session_id)
        work.row.lost = sum(r.lost for _, r in done)
        self._end(work, "done")

    def _fail(self, work: BatchWork, error: Exception) -> None:
        work.failed = True
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        self._end(work, "failed", reason if isinstance(error, LivepuppetError | OSError) else f"{type(error).__name__}: {reason}")

    def _end(self, work: BatchWork, state: str, reason: str = "") -> None:
        self._under_way -= 1
        work.row.seconds = time.monotonic() - work.began
        if work.folder:
            shutil.rmtree(work.folder, ignore_errors=True)
        self._finish(work.row, state, reason)

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
        temporary = self.summary.with_name(self.summary.name + ".new")
        try:
            with temporary.open("w", newline="") as file:
                table = csv.writer(file)
                table.writerow(COLUMNS)
                for row in self.rows:
                    table.writerow((row.number, row.output, row.state, row.frames, row.lost, f"{row.seconds:.1f}", row.reason))
            os.replace(temporary, self.summary)
        except OSError as error:
            raise SinkError(f"cannot write the summary {self.summary}: {error.strerror}") from error


def run_unpacked(function: Callable[..., Any], job: RenderJob, avatar: bytes | None, driving: bytes | None, *arguments: Any) -> Any:
    """What a worker runs: the function with the job and its files."""
    return function(WorkerJob(job, avatar, driving), *arguments)
