"""`livepuppet`: the puppet moves."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from livepuppet.cli.options import (
    add_engine_arguments,
    add_marking_arguments,
    identity_for,
    mark_from,
    positive_float,
    positive_int,
    tuning_from,
)
from livepuppet.errors import SinkError, UsageError
from livepuppet.factory import free_name, open_engine, open_sink, open_source, output_size, parse_size, screen_available
from livepuppet.live.avatar_loader import AvatarLoader
from livepuppet.live.puppet import Puppet
from livepuppet.live.session import Limits, Session
from livepuppet.live.stats import Meter, Statistics
from livepuppet.provenance.consent import consent_line
from livepuppet.provenance.marks import sign_video
from livepuppet.types import Sink, Source
from livepuppet.vision.portrait import shipped_avatars

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
DEFAULT_FILM = "livepuppet.mp4"

log = logging.getLogger("livepuppet")
STARTED_AT = time.monotonic()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    picture = parser.add_argument_group("what moves, and what moves it")
    add_puppet_arguments(picture)
    out = parser.add_argument_group("where it goes")
    add_output_arguments(out)
    add_marking_arguments(parser.add_argument_group("how it says that it is synthetic"))
    run_time = parser.add_argument_group("how long, and what is written down")
    end = run_time.add_mutually_exclusive_group()
    end.add_argument("--seconds", type=positive_float, metavar="S", help="stop after so many seconds")
    end.add_argument("--frames", type=positive_int, metavar="N", help="stop after so many frames")
    run_time.add_argument("--stats", type=Path, metavar="FILE", help="write what was measured as JSON: fps, latency, drops, time per stage")


def add_puppet_arguments(group: argparse._ArgumentGroup) -> None:
    """The options that choose avatar, driver and engine; `bench` has the same."""
    group.add_argument(
        "--avatar", nargs="+", action="extend", metavar="PATH", help="pictures, or folders of them (default: the shipped avatars)"
    )
    group.add_argument(
        "--camera",
        default="auto",
        metavar="WHICH",
        help="auto, an index, a camera's name, a video file, a URL, or demo (default: auto)",
    )
    add_engine_arguments(group)


def add_output_arguments(group: argparse._ArgumentGroup, default: str = "window") -> None:
    group.add_argument(
        "--output",
        action="append",
        metavar="WHERE",
        help=f"window, virtual (a camera for calls), FILE.mp4, or none; may be repeated (default: {default})",
    )
    group.add_argument("--size", metavar="WxH", help="size of the picture (default: the portrait's own; 1280x720 with --output virtual)")
    group.add_argument("--fps", type=positive_float, metavar="N", help="most frames per second")


def choose_outputs(asked: list[str] | None) -> list[str]:
    """The outputs as asked, or a window, or a film where there is no screen. Raises UsageError: a window asked for, and no screen."""
    if asked:
        outputs = list(dict.fromkeys(asked))
        if "window" in outputs and not screen_available():
            raise UsageError("there is no screen for --output window: choose a file (--output film.mp4), virtual or none")
        return outputs
    if screen_available():
        return ["window"]
    film = str(free_name(Path(DEFAULT_FILM)))
    log.info("no screen found: writing %s (choose with --output)", film)
    return [film]


def assemble_session(options: argparse.Namespace, source: Source, sinks: list[Sink], limits: Limits, meter: Meter) -> Session:
    """Engine, gallery and puppet for the options; what `bench` measures is made here too. Raises what each of them raises."""
    size = output_size(parse_size(options.size) if options.size else None, options.output or [])
    opened = []
    if size is not None:
        for sink in sinks:
            if sink.live:  # a camera that calls can see from the first moment, and says that it is starting
                sink.open(size, options.fps or source.fps, lossless=False)
                opened.append(sink)
    engine = open_engine(options.engine, options.device, options.model)
    gallery = AvatarLoader(engine, [Path(path) for path in options.avatar] if options.avatar else shipped_avatars(), size)
    avatar = gallery.first()
    puppet = Puppet(engine, avatar, tuning_from(options), meter=meter)
    height, width = avatar.image.shape[:2]
    meter.describe(engine=engine.name, device=engine.device, avatar=gallery.name, source=source.name, picture=f"{width} x {height}")
    mirror = source.mirrored if options.mirror is None else options.mirror
    return Session(source, puppet, sinks, gallery=gallery, meter=meter, mirror=mirror, limits=limits, opened=opened)


def run(options: argparse.Namespace) -> int:
    options.output = choose_outputs(options.output)
    identity = identity_for(options)
    sinks = [open_sink(output) for output in options.output]
    films = [Path(output) for output in options.output if Path(output).suffix]
    watched = any(sink.live for sink in sinks)
    mark = mark_from(options, film=not watched)
    source = open_source(options.camera, paced=watched, fps=options.fps)
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(source.close)
        for sink in sinks:
            cleanup.callback(close_quietly, sink)
        limits = Limits(options.seconds or _one_performance(options, source, watched), options.frames, options.fps)
        session = assemble_session(options, source, sinks, limits, Meter())
        engine = session.puppet.engine
        cleanup.callback(engine.close)
        session.mark = mark.apply
        session.new_recording = lambda: _new_recording(films)
        _mention_consent(session)
        with interruptible():
            try:
                session.run()
            except KeyboardInterrupt:
                session.reason = "stopped"
            finally:
                for film in films:
                    sign_video(film, engine.name, mark, identity)
                statistics = session.meter.snapshot()
                if options.stats:
                    write_statistics(options.stats, session, statistics)
        log_summary(session, statistics, films)
    return 1 if session.failures else 0


def _new_recording(films: list[Path]) -> tuple[Sink, Path]:
    """A sink for the recording that key R starts; its film is signed with the others at the end."""
    path = free_name(Path(time.strftime("livepuppet-%Y%m%d-%H%M%S.mp4")))
    films.append(path)
    return open_sink(str(path)), path


def _mention_consent(session: Session) -> None:
    """Once per user, in terminal and window: whose portraits may be animated."""
    line = consent_line(session.gallery.portraits[session.gallery.chosen]) if session.gallery else None
    if line:
        log.info("%s", line)
        session.desk.say(line)


def close_quietly(sink: Sink) -> None:
    """For sinks that the session did not get to close, because it never began."""
    with contextlib.suppress(SinkError):  # whatever went wrong first is what the person is told
        sink.close()


def _one_performance(options: argparse.Namespace, source: Source, watched: bool) -> float | None:
    """The demo goes on for ever; into a file, and with no end asked for, it plays once."""
    duration: float | None = getattr(source, "duration", None)
    return duration if not watched and not options.frames else None


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """A polite kill ends the session as Ctrl-C does, so that recordings are finished; also where a parent had Ctrl-C ignored."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def write_statistics(path: Path, session: Session, statistics: Statistics) -> None:
    """What was measured, as JSON. Raises UsageError where the file cannot be written."""
    document = statistics.as_dict() | {
        "reason": session.reason,
        "failures": [str(failure) for failure in session.failures],
        "startup_s": round(session.first_delivered_at - STARTED_AT, 3) if session.first_delivered_at else None,
    }
    try:
        path.write_text(json.dumps(document, indent=2) + "\n")
    except OSError as error:
        raise UsageError(f"cannot write the statistics to {path}: {error.strerror}") from error


def log_summary(session: Session, statistics: Statistics, films: list[Path]) -> None:
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
    for film in films:
        if film.is_file():
            log.info("wrote %s (%.1f MB)", film, film.stat().st_size / 1e6)
