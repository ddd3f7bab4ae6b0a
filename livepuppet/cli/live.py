"""`livepuppet`: the puppet moves."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import time
from collections.abc import Callable
from pathlib import Path

from livepuppet.cli.options import (
    add_marking_arguments,
    add_output_arguments,
    add_overwrite_argument,
    add_puppet_arguments,
    choose_outputs,
    confirm_overwriting,
    identity_for,
    mark_from,
    positive_float,
    positive_int,
    settings_from,
)
from livepuppet.errors import SinkError
from livepuppet.factory import make_sink, open_source, sign_files
from livepuppet.files import check_ending, check_folder, free_name, refuse_overwriting, write_atomically
from livepuppet.live.assembly import assemble_session, interruptible
from livepuppet.live.session import Limits, Session
from livepuppet.live.stats import Meter, Statistics
from livepuppet.provenance.consent import consent_line
from livepuppet.provenance.marks import sign_video
from livepuppet.types import Sink, Source
from livepuppet.vision.portrait import find_portraits

SUMMARY = "Bring a still portrait to life with your webcam, in real time."
USAGE = """livepuppet [--avatar PATH ...] [--camera WHICH] [--output WHERE]... [options]
       livepuppet COMMAND [options]"""
EPILOG = """\
examples:
  livepuppet                                      your webcam moves the first of the shipped avatars
  livepuppet --avatar mona_lisa.jpg               ... or the Mona Lisa, in a window
  livepuppet --avatar portraits/ --output window --output virtual
                                                  choose among a folder by keys 1-9, and join a call with it
  livepuppet --avatar me.jpg --camera talk.mp4 --output talking.mp4
                                                  a video moves a photo, into a file
  livepuppet --camera demo                        no webcam at hand: the built-in performance

Press H in the window for the keys. Look into the camera and hold still for a moment: that is the
reference from which all motion is counted (X takes a new one).
"""

log = logging.getLogger("livepuppet")
STARTED_AT = time.monotonic()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    image = parser.add_argument_group("what moves, and what moves it")
    add_puppet_arguments(image)
    out = parser.add_argument_group("where it goes")
    add_output_arguments(out)
    add_marking_arguments(parser.add_argument_group("how it says that it is synthetic"))
    run_time = parser.add_argument_group("how long, and what is written down")
    end = run_time.add_mutually_exclusive_group()
    end.add_argument("--seconds", type=positive_float, metavar="S", help="stop after so many seconds")
    end.add_argument("--frames", type=positive_int, metavar="N", help="stop after so many frames")
    run_time.add_argument("--stats", type=Path, metavar="FILE", help="write what was measured as JSON: fps, latency, drops, time per stage")
    add_overwrite_argument(run_time)


def run(options: argparse.Namespace) -> int:
    options.output = choose_outputs(options.output)
    identity = identity_for(options)
    videos = [Path(output) for output in options.output if Path(output).suffix]
    portraits = find_portraits(options.avatar) if options.avatar else []
    written = [*(("output", path) for path in videos), ("stats", options.stats)]
    refuse_overwriting([*portraits, Path(options.camera), *(options.sign_with or [])], written)
    check_ending(options.stats, (".json", ""), "stats", "a JSON file")
    check_folder(options.stats, "stats")
    overwrite = confirm_overwriting(written, options.overwrite)
    sinks = [make_sink(output, overwrite=overwrite) for output in options.output]
    watched = any(sink.live for sink in sinks)
    mark = mark_from(options, video=not watched)
    source = open_source(options.camera, paced=watched, fps=options.fps)
    remember_choice(options.camera, source)
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(source.close)
        for sink in sinks:
            cleanup.callback(close_quietly, sink)
        limits = Limits(options.seconds or _one_performance(options, source, watched), options.frames, options.fps)
        session = assemble_session(settings_from(options, options.output), source, sinks, limits, Meter())
        engine = session.puppet.engine
        cleanup.callback(engine.close)
        session.mark = mark.apply

        def seal(video: Path) -> None:
            sign_video(video, engine.name, mark, identity)

        session.new_recording = lambda: _new_recording(videos, seal)
        sign_files(sinks, seal)
        _mention_consent(session)
        with interruptible():
            try:
                session.run()
            except KeyboardInterrupt:
                session.reason = "stopped"
            finally:
                statistics = session.meter.snapshot()
                if options.stats:
                    write_statistics(options.stats, session, statistics)
        log_summary(session, statistics, videos)
    return 1 if session.failures else 0


def remember_choice(asked: str, source: Source) -> None:
    """A webcam that was named is the one that `auto` takes from now on."""
    from livepuppet.devices.choice import remember_camera
    from livepuppet.sources.camera import CameraSource

    if asked not in ("auto", "camera") and isinstance(source, CameraSource):
        remember_camera(source.name)


def _new_recording(videos: list[Path], seal: Callable[[Path], object]) -> tuple[Sink, Path]:
    """A sink for the recording that key R starts."""
    path = free_name(Path(time.strftime("livepuppet-%Y%m%d-%H%M%S.mp4")))
    videos.append(path)
    sink = make_sink(str(path))
    sign_files([sink], seal)
    return sink, path


def _mention_consent(session: Session) -> None:
    """Once per user, in terminal and window: whose portraits may be animated."""
    line = consent_line(session.avatars.portraits[session.avatars.chosen]) if session.avatars else None
    if line:
        log.info("%s", line)
        session.controls.say(line)


def close_quietly(sink: Sink) -> None:
    """For sinks that the session did not get to close, because it never began."""
    with contextlib.suppress(SinkError):  # whatever went wrong first is what the person is told
        sink.close()


def _one_performance(options: argparse.Namespace, source: Source, watched: bool) -> float | None:
    """The demo goes on for ever; into a file, and with no end asked for, it plays once."""
    duration: float | None = getattr(source, "duration", None)
    return duration if not watched and not options.frames else None


def write_statistics(path: Path, session: Session, statistics: Statistics) -> None:
    """What was measured, as JSON.

    Raises:
        RunError: where the file cannot be written.
    """
    document = statistics.as_dict() | {
        "reason": session.reason,
        "failures": [str(failure) for failure in session.failures],
        "startup_s": round(session.first_delivered_at - STARTED_AT, 3) if session.first_delivered_at else None,
    }
    write_atomically(path, lambda file: file.write(json.dumps(document, indent=2).encode() + b"\n"))


def log_summary(session: Session, statistics: Statistics, videos: list[Path]) -> None:
    """The closing lines."""
    late = statistics.latency
    log.info(
        "%s: %d frames, %.0f fps, capture to output %.0f ms (p95 %.0f)",
        session.reason or "done",
        session.delivered,
        statistics.mean_fps,
        late.p50,
        late.p95,
    )
    for video in videos:
        if video.is_file():
            log.info("wrote %s (%.1f MB)", video, video.stat().st_size / 1e6)
