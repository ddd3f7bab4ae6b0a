"""`livepuppet`: the puppet moves."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import math
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from livepuppet.errors import UsageError
from livepuppet.interfaces import Sink, Source, Tuning
from livepuppet.meter import Meter, Statistics
from livepuppet.opening import new_recording, open_engine, open_sink, open_source, output_size, parse_size, screen_available
from livepuppet.parts import PARTS
from livepuppet.portraits import shipped_avatars
from livepuppet.session import Limits, Session

SUMMARY = "Bring a still portrait to life with your webcam, in real time."
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
    run_time = parser.add_argument_group("how long, and what is written down")
    end = run_time.add_mutually_exclusive_group()
    end.add_argument("--seconds", type=positive, metavar="S", help="stop after so many seconds")
    end.add_argument("--frames", type=whole, metavar="N", help="stop after so many frames")
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
    group.add_argument("--engine", choices=sorted(PARTS["engine"]), default="landmark", help="what moves the picture (default: landmark)")
    group.add_argument("--model", metavar="NAME", help="the model of a neural engine: a name of `livepuppet models list`, or a directory")
    group.add_argument("--device", default="auto", metavar="D", help="auto, cpu, cuda, ...: where a neural engine computes (default: auto)")
    group.add_argument("--mirror", action=argparse.BooleanOptionalAction, default=None, help="move as in a mirror (default: with a webcam)")
    group.add_argument("--gain", type=gain, default=1.0, metavar="G", help="how strongly it moves, 0 to 2 (default: 1)")
    group.add_argument("--smoothing", type=smoothing, default=1.0, metavar="S", help="0 quick and jittery to 4 slow and calm (default: 1)")
    group.add_argument("--mouth", choices=("driver", "avatar", "none"), default="driver", help="whose teeth show (default: driver)")


def add_output_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--output",
        action="append",
        metavar="WHERE",
        help="window, virtual (a camera for calls), FILE.mp4, or none; may be repeated (default: window)",
    )
    group.add_argument("--size", metavar="WxH", help="size of the picture (default: the portrait's own; 1280x720 with --output virtual)")
    group.add_argument("--fps", type=positive, metavar="N", help="most frames per second")


def positive(text: str) -> float:
    value = number(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"must be more than 0, not {text}")
    return value


def whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"must be a whole number above 0, not {text}")
    return int(text)


def gain(text: str) -> float:
    return between(text, 0.0, 2.0)


def smoothing(text: str) -> float:
    return between(text, 0.0, 4.0)


def between(text: str, low: float, high: float) -> float:
    value = number(text)
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"must be {low:g} to {high:g}, not {text}")
    return value


def number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"must be a number, not {text}")
    return value


def choose_outputs(asked: list[str] | None) -> list[str]:
    """The outputs as asked, or a window, or a film where there is no screen. Raises UsageError: a window asked for, and no screen."""
    if asked:
        outputs = list(dict.fromkeys(asked))
        if "window" in outputs and not screen_available():
            raise UsageError("there is no screen for --output window: choose a file (--output film.mp4), virtual or none")
        return outputs
    if screen_available():
        return ["window"]
    film = str(_free_film())
    log.info("no screen found: writing %s (choose with --output)", film)
    return [film]


def _free_film() -> Path:
    from livepuppet.opening import free_name

    return free_name(Path(DEFAULT_FILM))


def open_session(options: argparse.Namespace, source: Source, sinks: list[Sink], limits: Limits, meter: Meter) -> Session:
    """Engine, gallery and puppet for the options; what `bench` measures is made here too."""
    from livepuppet.gallery import Gallery
    from livepuppet.puppet import Puppet

    size = output_size(parse_size(options.size) if options.size else None, options.output or [])
    engine = open_engine(options.engine, options.device, options.model)
    gallery = Gallery(engine, [Path(path) for path in options.avatar] if options.avatar else shipped_avatars(), size)
    avatar = gallery.first()
    tuning = Tuning(gain=options.gain, smoothing=options.smoothing, mouth=options.mouth)
    puppet = Puppet(engine, avatar, tuning, meter=meter)
    height, width = avatar.image.shape[:2]
    meter.describe(engine=engine.name, device=engine.device, avatar=gallery.name, source=source.name, picture=f"{width} x {height}")
    mirror = source.mirrored if options.mirror is None else options.mirror
    return Session(source, puppet, sinks, gallery=gallery, meter=meter, mirror=mirror, limits=limits, new_recording=new_recording)


def run(options: argparse.Namespace) -> int:
    options.output = choose_outputs(options.output)
    sinks = [open_sink(output) for output in options.output]
    watched = any(sink.live for sink in sinks)
    source = open_source(options.camera, paced=watched, fps=options.fps)
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(source.close)
        limits = Limits(options.seconds or _one_performance(options, source, watched), options.frames, options.fps)
        session = open_session(options, source, sinks, limits, Meter())
        cleanup.callback(session.puppet.engine.close)
        with interruptible():
            try:
                session.run()
            except KeyboardInterrupt:
                session.reason = "stopped"
            finally:
                statistics = session.meter.snapshot()
                if options.stats:
                    write_statistics(options.stats, session, statistics)
        report(session, statistics, options.output)
    return 1 if session.failures else 0


def _one_performance(options: argparse.Namespace, source: Source, watched: bool) -> float | None:
    """The demo goes on for ever; into a file, and with no end asked for, it plays once."""
    duration: float | None = getattr(source, "duration", None)
    return duration if not watched and not options.frames else None


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """A polite kill ends the session as Ctrl-C does, so that recordings are finished."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


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


def report(session: Session, statistics: Statistics, outputs: list[str]) -> None:
    """The closing line."""
    late = statistics.latency
    log.info(
        "%s: %d frames, %.0f fps, capture to output %.0f ms (p95 %.0f)",
        session.reason or "done",
        session.delivered,
        statistics.mean_fps,
        late.p50,
        late.p95,
    )
    for output in outputs:
        path = Path(output)
        if path.suffix and path.is_file():
            log.info("wrote %s (%.1f MB)", path, path.stat().st_size / 1e6)
