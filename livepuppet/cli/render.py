"""`livepuppet render`: a photo and a video in, a finished film out."""

from __future__ import annotations

import argparse
import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from livepuppet.cli.options import add_engine_arguments, add_marking_arguments, between, tuning_from
from livepuppet.cli.progress import open_progress
from livepuppet.errors import UsageError
from livepuppet.footage import Choice
from livepuppet.opening import open_engine, parse_size
from livepuppet.rendering import DEFAULT_CRF, Job, Rendering, Report

SUMMARY = "A photo and a video in, a finished film out."
EPILOG = """\
examples:
  livepuppet render --avatar me.jpg --driving talk.mp4 --output talking.mp4
  livepuppet render --avatar me.jpg --driving talk.mp4 --output beside.mp4 --compare
  livepuppet render --avatar me.jpg --driving talk.mp4 --output cut.mov --background transparent
  livepuppet render --avatar me.jpg --driving talk.mp4 --output talking.mp4 --motion talk.npz
  livepuppet render --avatar you.jpg --driving talk.npz --output again.mp4

Ctrl-C leaves a playable film of what was done; the same command with --resume goes on with it.
"""

log = logging.getLogger("livepuppet")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    films = parser.add_argument_group("what goes in, and what comes out")
    films.add_argument("--avatar", type=Path, required=True, metavar="PHOTO", help="the portrait that is to move")
    films.add_argument("--driving", required=True, metavar="VIDEO", help="the film of whoever moves it, or a motion file (.npz)")
    films.add_argument("--output", type=Path, required=True, metavar="FILE", help=".mp4, .mkv, .webm, .mov (ProRes), .gif or x_%%05d.png")
    films.add_argument("--size", metavar="WxH", help="size of the picture (default: the portrait's own)")
    films.add_argument("--crf", type=quality, default=DEFAULT_CRF, metavar="N", help="quality, 0 best to 51 (default: %(default)s)")
    films.add_argument("--background", choices=("portrait", "transparent"), default="portrait", help="default: portrait; .mp4 has no alpha")
    films.add_argument("--compare", action="store_true", help="show the driver on the left")
    films.add_argument("--motion", type=Path, metavar="FILE.npz", help="save the driver's motion, without pictures, to play back later")
    films.add_argument("--resume", action="store_true", help="go on with a film that was interrupted; one that is whole is left as it is")
    motion = parser.add_argument_group("how it moves")
    motion.add_argument(
        "--reference", type=reference, default="best", metavar="WHICH",
        help="the driving frame that counts as rest: best (nearest to the portrait's pose and expression), first, or a time in seconds",
    )  # fmt: skip
    motion.add_argument("--start", type=time, metavar="S", help="begin at this second of the driving film")
    motion.add_argument("--end", type=time, metavar="S", help="end before this second")
    add_engine_arguments(parser.add_argument_group("what moves it"))
    add_marking_arguments(parser.add_argument_group("how it says that it is synthetic"))
    parser.add_argument("--quiet", action="store_true", help="say nothing unless something is wrong")


def quality(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 51):
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 to 51, not {text}")
    return int(text)


def time(text: str) -> float:
    return between(text, 0.0, 1e6)


def reference(text: str) -> Choice:
    if text == "best":
        return "best"
    if text == "first":
        return "first"
    try:
        return time(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"must be best, first or a time in seconds, not {text}") from None


def job_of(options: argparse.Namespace) -> Job:
    """The film the options ask for. Raises UsageError where they contradict each other."""
    if options.end is not None and options.end <= (options.start or 0.0):
        raise UsageError(f"--end {options.end:g} is not after --start {options.start or 0:g}")
    return Job(
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
        crf=options.crf,
        compare=options.compare,
        motion=options.motion,
        transparent=options.background == "transparent",
        resume=options.resume,
        watermark=not options.no_watermark,
        label=options.label,
        label_position=options.label_position,
        sign_with=tuple(options.sign_with) if options.sign_with else None,
    )


def run(options: argparse.Namespace) -> int:
    job = job_of(options)
    engine = open_engine(job.engine, job.device, job.model)
    try:
        with stopping() as stop, open_progress(options.quiet) as progress:
            report = Rendering(job, engine, progress=progress, stop=stop).run()
    finally:
        engine.close()
    tell(job, report)
    return 0 if report.whole else 130


def tell(job: Job, report: Report) -> None:
    """The closing lines."""
    if report.lost:
        log.info("nobody was seen in %d of %d frames", report.lost, report.frames)
    if report.skipped:
        log.warning("%d damaged packets of %s were left out", report.skipped, job.driving)
    what = "wrote" if report.whole else "stopped: wrote the beginning of"
    size = job.output.stat().st_size / 1e6 if job.output.is_file() else 0
    log.info("%s %s (%d frames, %dx%d, %.1f MB)", what, job.output, report.frames, *report.size, size)


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
