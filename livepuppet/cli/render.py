"""`livepuppet render`: a photo and a video in, a finished video out; or a table of them, on all cores or a cluster."""

from __future__ import annotations

import argparse
import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import NoReturn

from livepuppet.cli.options import (
    add_engine_arguments,
    add_marking_arguments,
    add_overwrite_argument,
    ask,
    confirm_overwriting,
    number_between,
    positive_float,
    positive_int,
    tuning_from,
)
from livepuppet.cli.progress import open_progress
from livepuppet.errors import UsageError
from livepuppet.factory import parse_size
from livepuppet.files import existing_files, list_files, refuse_overwriting
from livepuppet.rendering.batch import BatchRow, RenderBatch, check_summary
from livepuppet.rendering.driver import ReferenceChoice
from livepuppet.rendering.executors import count_gpus, open_executor
from livepuppet.rendering.job import DEFAULT_CRF, RenderJob, RenderResult, check_job
from livepuppet.rendering.jobs_table import REQUIRED, decimal_point, read_table
from livepuppet.rendering.render import render_job

SUMMARY = "A photo and a video in, a finished video out; or a table of them."
EPILOG = """\
examples:
  livepuppet render --avatar me.jpg --driving talk.mp4 --output talking.mp4
  livepuppet render --avatar me.jpg --driving voice.wav --output talking.mp4          a voice moves the portrait
  livepuppet render --avatar me.jpg --driving talk.mp4 --output talking.mp4 --mouth-from sound
  livepuppet render --avatar me.jpg --driving talk.mp4 --output beside.mp4 --compare
  livepuppet render --avatar me.jpg --driving talk.mp4 --output cut.mov --background transparent
  livepuppet render --avatar me.jpg --driving talk.mp4 --output talking.mp4 --motion talk.npz
  livepuppet render --avatar you.jpg --driving talk.npz --output again.mp4
  livepuppet render --jobs jobs.csv                   on all cores (or GPUs) of this machine
  livepuppet render --jobs jobs.csv --on ray://head:10001

A video is written as NAME.unfinished.mp4 until it is whole; one that was there before stays until then. Ctrl-C leaves what
was done, which can be played; the same command with --resume goes on with it.

A jobs file is a table that a spreadsheet saved as CSV, with the columns avatar, driving and output, and any of the options
below as further columns (size, crf, reference, start, end, ...; yes or no for those without a value). Paths are relative to
the file. What is given on the command line holds for all rows that leave it empty. JOBS.summary.csv says what became of each
row.
"""

ROW_OPTIONS = frozenset(
    {
        "size",
        "crf",
        "background",
        "compare",
        "motion",
        "reference",
        "start",
        "end",
        "face",
        "avatar-face",
        "engine",
        "model",
        "device",
        "mirror",
    }
    | {"gain", "smoothing", "mouth", "no-watermark", "label", "label-position", "fps", "speech", "mouth-from"}
)
NUMBERS = frozenset({"reference", "start", "end", "gain", "smoothing"})
SWITCHES = frozenset({"compare", "mirror", "no-watermark"})
YES, NO = frozenset({"yes", "true", "1"}), frozenset({"no", "false", "0"})

log = logging.getLogger("livepuppet")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    videos = parser.add_argument_group("what goes in, and what comes out")
    videos.add_argument("--avatar", type=Path, metavar="PHOTO", help="the portrait that is to move")
    videos.add_argument("--driving", metavar="FILE", help="the video of whoever moves it, the sound of a voice, or a motion file (.npz)")
    videos.add_argument("--speech", metavar="FILE", help="a voice that moves the mouth and is heard, instead of the driving video's own")
    videos.add_argument("--output", type=Path, metavar="FILE", help=".mp4, .mkv, .webm, .mov (ProRes), .gif or x_%%05d.png")
    videos.add_argument("--size", metavar="WxH", help="size of the picture (default: the portrait's own)")
    videos.add_argument("--fps", type=positive_float, metavar="N", help="pictures a second where only a voice drives (default: 25)")
    videos.add_argument("--crf", type=parse_crf, default=DEFAULT_CRF, metavar="N", help="quality, 0 best to 51 (default: %(default)s)")
    videos.add_argument(
        "--background", choices=("portrait", "transparent"), default="portrait", help="default: portrait; .mp4 has no alpha"
    )
    videos.add_argument("--compare", action="store_true", help="show the driver on the left")
    videos.add_argument("--motion", type=Path, metavar="FILE.npz", help="save the driver's motion, without pictures, to play back later")
    videos.add_argument("--resume", action="store_true", help="go on with a video that was interrupted; one that is whole is left as it is")
    add_overwrite_argument(videos)
    motion = parser.add_argument_group("how it moves")
    motion.add_argument(
        "--reference", type=parse_reference, default="best", metavar="WHICH",
        help="the driving frame that counts as rest: best (nearest to the portrait's pose and expression), first, or a time in seconds",
    )  # fmt: skip
    motion.add_argument("--start", type=parse_time, metavar="S", help="begin at this second of the driving video")
    motion.add_argument("--end", type=parse_time, metavar="S", help="end before this second")
    motion.add_argument("--face", type=positive_int, metavar="N", help="who drives, of several people: 1 is the largest and steadiest")
    motion.add_argument(
        "--mouth-from",
        choices=("driver", "sound"),
        default="driver",
        help="sound: the voice that is heard moves the lips (default: driver)",
    )
    motion.add_argument("--avatar-face", type=positive_int, metavar="N", help="which of several faces of the photo moves: 1 is the largest")
    add_engine_arguments(parser.add_argument_group("what moves it"))
    add_marking_arguments(parser.add_argument_group("how it says that it is synthetic"))
    many = parser.add_argument_group("many videos")
    many.add_argument("--jobs", type=Path, metavar="FILE.csv", help="make a video for each row")
    many.add_argument("--on", metavar="WHERE", help="ray, or ray://HOST:PORT: on a Ray cluster (pip install 'livepuppet[ray]')")
    many.add_argument(
        "--workers", type=positive_int, metavar="N", help="videos at once on this machine (default: one per core, or per GPU)"
    )
    parser.add_argument("--quiet", action="store_true", help="say nothing unless something is wrong")


def parse_crf(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 51):
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 to 51, not {text}")
    return int(text)


def parse_time(text: str) -> float:
    return number_between(text, 0.0, 1e6)


def parse_reference(text: str) -> ReferenceChoice:
    if text == "best":
        return "best"
    if text == "first":
        return "first"
    try:
        return parse_time(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"must be best, first or a time in seconds, not {text}") from None


def job_from_options(options: argparse.Namespace) -> RenderJob:
    """The video the options ask for.

    Raises:
        UsageError: where something is missing or they contradict each other.
    """
    missing = [f"--{name}" for name in REQUIRED if not getattr(options, name)]
    if missing:
        raise UsageError(f"{' and '.join(missing)} missing: render needs --avatar, --driving and --output (or --jobs)")
    job = RenderJob(
        avatar=options.avatar,
        driving=options.driving,
        output=options.output,
        size=parse_size(options.size) if options.size else None,
        engine=options.engine,
        model=options.model,
        device=options.device,
        mirror=bool(options.mirror),
        tuning=tuning_from(options),
        reference=options.reference,
        start=options.start,
        end=options.end,
        face=options.face,
        avatar_face=options.avatar_face,
        crf=options.crf,
        compare=options.compare,
        motion=options.motion,
        transparent=options.background == "transparent",
        resume=options.resume,
        fps=options.fps,
        speech=options.speech,
        mouth_from="sound" if options.speech else options.mouth_from,
        overwrite=options.overwrite,
        watermark=not options.no_watermark,
        label=options.label,
        label_position=options.label_position,
        sign_with=tuple(options.sign_with) if options.sign_with else None,
    )
    check_job(job)
    return job


def run(options: argparse.Namespace) -> int:
    if options.jobs is not None:
        return run_jobs(options)
    if options.on:
        raise UsageError("--on spreads a jobs file over a cluster: name one with --jobs")
    job = job_from_options(options)
    if not job.resume:
        job = replace(job, overwrite=confirm_overwriting(job.written, job.overwrite))
    with stopping() as stop, open_progress(options.quiet) as progress:
        report = render_job(job, progress=progress, stop=stop)
    log_report(job, report)
    return 0 if report.whole else 130


def log_report(job: RenderJob, report: RenderResult) -> None:
    """The closing lines."""
    if report.existing:
        log.info("%s is whole already (%d frames): nothing was to be done", job.output, report.frames)
        return
    if report.lost:
        log.info("nobody was seen in %d of %d frames", report.lost, report.frames)
    if report.skipped:
        log.warning("%d damaged packets of %s were left out", report.skipped, job.driving)
    if not report.whole:
        kept = f"; {job.output} is as it was" if existing_files(job.output) else ""
        if not report.frames and report.path is None:
            log.info("stopped: nothing was made of %s yet%s", job.output, kept)
        elif not report.frames:
            log.info("stopped: %s is as it was; --resume goes on%s", report.path, kept)
        else:
            more = "; --resume goes on" if job.resumable else ""
            log.info("stopped: %s holds the first %d frames%s%s", report.path, report.frames, more, kept)
        return
    size = f", {job.output.stat().st_size / 1e6:.1f} MB" if job.output.is_file() else ""
    log.info("wrote %s (%d frames, %dx%d%s)", job.output, report.frames, *report.size, size)


def run_jobs(options: argparse.Namespace) -> int:
    """The rows of a jobs file; returns 0 where all are done, 1 where one failed, 130 after Ctrl-C."""
    given = [f"--{name}" for name in REQUIRED if getattr(options, name)]
    if given:
        raise UsageError(f"{' and '.join(given)} belong in the columns of the jobs file")
    rows = read_rows(options.jobs, options)
    summary = options.jobs.with_suffix(".summary.csv")
    check_summary(summary)
    if not (options.resume or options.overwrite):
        confirm_rows(rows)
    neural = any(row.job is not None and row.job.engine != "landmark" and row.job.device in ("auto", "cuda") for row in rows)
    executor = open_executor(options.on, size=options.workers, gpus=count_gpus() if neural else 0)
    with stopping() as stop, open_progress(options.quiet, unit="videos") as progress:
        good = RenderBatch(rows, executor, summary=summary, progress=progress, stop=stop).run()
    done = sum(row.state in ("done", "there already") for row in rows)
    failed = [f"row {row.number} ({row.output})" for row in rows if row.state == "failed"]
    if failed:
        log.warning("%d of %d rows failed: %s%s", len(failed), len(rows), ", ".join(failed[:5]), ", ..." if len(failed) > 5 else "")
    log.info("%d of %d videos are there; %s says more", done, len(rows), summary)
    return 130 if stop.is_set() else 0 if good else 1


class RowParser(argparse.ArgumentParser):
    """Reads a row as if it were a command line; what is wrong with it is raised, not printed."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def confirm_rows(rows: list[BatchRow]) -> None:
    """Ask whoever sits at the terminal, once, whether outputs that are there may be overwritten; else those rows will fail."""
    there = [path for row in rows if row.job for _, output in row.job.written if output for path in existing_files(output)]
    if not there:
        return
    if ask(f"{list_files(there)}. Overwrite?"):
        for row in rows:
            row.job = row.job and replace(row.job, overwrite=True)
    else:
        log.warning("%s: --resume leaves whole videos alone, --overwrite makes them anew", list_files(there))


def read_rows(path: Path, options: argparse.Namespace) -> list[BatchRow]:
    """The rows of a jobs file, with the command line's options where a cell is empty. A row that makes no sense carries its reason.

    Raises:
        UsageError: for a file that cannot be read, lacks a column or has one that means nothing.
    """
    rows: list[BatchRow] = []
    outputs: set[Path] = set()
    for number, cells in read_table(path, ROW_OPTIONS):
        row = BatchRow(number, cells.get("output", ""), None)
        rows.append(row)
        try:
            if "" in cells:
                raise UsageError("it has more cells than there are columns")
            job = job_from_options(row_options(cells, path.parent, options))
            if job.output.resolve() in outputs:
                raise UsageError(f"{row.output} is the output of an earlier row")
            outputs.add(job.output.resolve())
            row.job = job
        except (ValueError, OSError) as error:  # UsageError is one; a path that no file can have raises the others
            row.reason = str(error)
    refuse_destructive_rows(rows)
    return rows


def refuse_destructive_rows(rows: list[BatchRow]) -> None:
    """A row whose output is what another row reads fails before anything is begun: rows run in any order, and at once."""
    read = [path for row in rows if row.job for path in (row.job.avatar, Path(row.job.driving))]
    for row in rows:
        if row.job is not None:
            try:
                refuse_overwriting(read, [("output", row.job.output), ("motion", row.job.motion)])
            except UsageError as error:
                row.job, row.reason = None, str(error)


def row_options(cells: dict[str, str], folder: Path, options: argparse.Namespace) -> argparse.Namespace:
    """The command line's options with a row's own in their place.

    Raises:
        UsageError: its message says what is wrong.
    """
    words: list[str] = []
    for name, text in cells.items():
        if name in SWITCHES:
            if text.lower() not in YES | NO:
                raise UsageError(f"{name} is yes or no, not {text}")
            words += [f"--{name}"] if text.lower() in YES else []
        else:
            path = name in REQUIRED or name in ("motion", "speech")
            value = str(folder / Path(text).expanduser()) if path and "://" not in text else text
            words.append(f"--{name}={decimal_point(value) if name in NUMBERS else value}")
    parser = RowParser(allow_abbrev=False, argument_default=argparse.SUPPRESS)
    add_arguments(parser)
    for action in parser._actions:
        action.default = argparse.SUPPRESS  # what a row leaves out is the command line's to say
    return parser.parse_args(words, argparse.Namespace(**vars(options)))


@contextmanager
def stopping() -> Iterator[threading.Event]:
    """Ctrl-C or a polite kill asks the work to stop at the next frame; a second one ends it at once."""
    stop = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {which: signal.signal(which, ask) for which in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)
